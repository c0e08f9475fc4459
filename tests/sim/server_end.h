/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated server: the store in steps, and what streams stand on. Order and
 * grouping of what the store executes are drawn from `luck`.
 */
#ifndef OUTPOST_TESTS_SIM_SERVER_END_H
#define OUTPOST_TESTS_SIM_SERVER_END_H

#include "split_store.h"
#include "stream.h"
#include "watch.h"

struct server_end {
    const char *path;
    struct store *store; /* NULL: the process is down */
    struct stream_service service;
    struct record_hasher *hasher;
    struct watch watch;
    struct record_schema schema;  /* the product's with merge rules that it does not use yet */
    struct record_type *types;    /* its */
    struct record_field *patient; /* the patient's fields, its */
    const int64_t *now_ms;        /* the world's clock */
    int64_t clock_offset_ms;      /* how wrong the server's own is */
    uint64_t luck;                /* of the step under way */
    bool asked;                   /* by the store, for its next step */
    bool splits;                  /* the store is a split one */
    struct split_counts split;    /* of the stores that are closed */
    char error[RPC_STATUS_MESSAGE_LEN];
};

/* Opens no file yet. */
bool server_end_init(struct server_end *end, const char *path, const int64_t *now_ms);
void server_end_deinit(struct server_end *end);

/* The process starts, on a split store or, NULL, on a whole one, and ends; streams must be gone
 * before the latter, or are told that the store is closed. */
bool server_end_start(struct server_end *end, const struct split_options *split);
void server_end_stop(struct server_end *end);

/* How its store is stepped, for another store on the same luck. */
struct store_steps server_end_steps(struct server_end *end);

/* The newest seq of the region that its readers see. */
uint64_t server_end_head(struct server_end *end, const struct record_uuid *region_id);

/* One step of the store; false: nothing waits. */
bool server_end_step(struct server_end *end);

/* A device row as enrolment makes it; one that is there stays (R22). */
bool server_end_add_device(struct server_end *end, const struct store_device *device);

/* R23: makes a device for a copy of another's database; false: the server does not. */
bool server_end_recertify(struct server_end *end, const struct record_uuid *copied_from,
                          const struct record_uuid *device_id, const uint8_t token[TOKEN_LEN]);

#endif
