/* SPDX-License-Identifier: Apache-2.0
 *
 * Versions of the protocol that are answered beside outpost.v1, on the same streams and so
 * on the same records.
 *
 * A version is its own proto package, in which messages are wrapped otherwise; what an
 * adapter does is to wrap them anew, each way, message by message. A version whose
 * conversation differs, and not only its envelope, is another stream and not this.
 */
#ifndef OUTPOST_SERVER_SYNC_VERSION_H
#define OUTPOST_SERVER_SYNC_VERSION_H

#include "outpost/rpc_bytes.h"

struct sync_version {
    const char *path; /* "/package.Service/Method" */
    /* A request of this version as an outpost.v1.SyncRequest, and an
     * outpost.v1.SyncResponse as a response of this version; both append. False: it is not
     * one. Called in the loop's thread. */
    bool (*take)(struct rpc_bytes request, struct rpc_buffer *v1);
    bool (*give)(struct rpc_bytes v1, struct rpc_buffer *response);
};

enum {
    /* Besides outpost.v1: who supports more of them at once should end some. */
    SYNC_VERSIONS_MAX = 4,
};

/* All that this server answers besides, and how many. */
extern const struct sync_version sync_versions[];
extern const size_t sync_version_count;

#endif
