/* SPDX-License-Identifier: Apache-2.0
 *
 * A server without a network: server/'s store on SQLite and one stream at a time.
 * After each message that goes in, everything that the store was asked is awaited;
 * so one request is under way at a time, and the operations that its threads make
 * on the disk come in the same order in every run.
 */
#ifndef OUTPOST_TESTS_SERVER_HALF_H
#define OUTPOST_TESTS_SERVER_HALF_H

#include "store.h"
#include "stream.h"

enum { SERVER_HALF_BATCH = 50, SERVER_HALF_ERROR_LEN = 400 };

struct server_half_options {
    const char *path;
    bool create;
    int64_t now_ms;
    uint64_t seed; /* of the tokens */
    /* Told of each message; false: it does not leave, the machine is down. */
    bool (*leaves)(void *context, struct rpc_bytes message);
    void *context;
    const struct store_steps *steps; /* NULL: the store has threads */
};

struct server_half;

/* NULL: error_out says why. */
struct server_half *server_half_open(const struct server_half_options *options,
                                     char error_out[SERVER_HALF_ERROR_LEN]);
void server_half_close(struct server_half *half);
struct store *server_half_store(struct server_half *half);

/* Makes a sync region, if there is none, and a facility in it, through the log as everything else.
 */
bool server_half_add_facility(struct server_half *half, const struct record_uuid *region_id,
                              const struct record_uuid *facility_id);

void server_half_begin(struct server_half *half, const struct record_uuid *device_id);
void server_half_message(struct server_half *half, struct rpc_bytes message);
void server_half_half_close(struct server_half *half);
/* The oldest message that left and was not taken yet; it lives until the next
 * call. False: none. */
bool server_half_take(struct server_half *half, struct rpc_bytes *message_out);
void server_half_end(struct server_half *half);

/* Walks every region: the log's density and hash chain, mutation ids, stamps,
 * counts, digests. False: error_out says what is wrong. */
bool server_half_verify(struct server_half *half, char error_out[SERVER_HALF_ERROR_LEN]);

#endif
