/* SPDX-License-Identifier: Apache-2.0
 *
 * Sync: the service's calls become streams. Who calls is read from the client
 * certificate; without a good one a call ends before a stream exists (I7).
 */
#ifndef OUTPOST_SERVER_SYNC_H
#define OUTPOST_SERVER_SYNC_H

#include "stream.h"
#include "sync_version.h"

#include "outpost/v1/sync.rpc.h"

struct sync_call;

struct sync_service {
    struct stream_service *streams;
    const struct sync_version *version; /* NULL: outpost.v1 */
    struct sync_call *calls;            /* open ones */
    struct store_heads heads;
    struct record_uuid *watched; /* the regions of the question under way */
    bool asking;
    struct store_refused refused; /* the other question */
    struct store_caller *callers; /* one for each call that was open when it was asked */
    struct store_refusal *refusals;
    bool asking_refused;
};

/* Fills in the handlers; the service lives as long as any connection. */
void sync_handlers(struct sync_service *service,
                   struct outpost_v1_sync_service_handlers *handlers_out);

/* The method of a service of another version, which lives as long, too. */
struct rpc_method sync_version_method(struct sync_service *service);

/* Looks for changes in the regions of following streams, made by anybody (this
 * process, another one, a command), and wakes those that have some. To be
 * called every SYNC_FOLLOW_INTERVAL_MS. */
enum { SYNC_FOLLOW_INTERVAL_MS = 200 };
void sync_poll_followers(struct sync_service *service);

/* Ends the streams of devices that may not go on since (refuse.c); as often. A push
 * or page of such a device is refused by the store itself. */
void sync_poll_refused(struct sync_service *service);

#endif
