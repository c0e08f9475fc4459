/* SPDX-License-Identifier: Apache-2.0
 *
 * A virtual device's edits that the server has not answered: sealed when they are made,
 * sent again byte for byte until an answer comes (R5, R7). At most one of a record at a
 * time, as on a real device.
 */
#ifndef OUTPOST_LOAD_OUTBOX_H
#define OUTPOST_LOAD_OUTBOX_H

#include "pool.h"

struct made_body;

enum {
    OUTBOX_FLIGHTS_MAX = 4,
    OUTBOX_PUSH_BYTES_MAX = 1024 * 1024,
};

struct mutation {
    struct mutation *next;
    struct pool_entity *entity;
    struct pool_version *expected; /* what the record becomes when it is applied */
    int64_t written_us;            /* -1: outside of the run */
    uint32_t times_sent;
    uint32_t len;
    uint8_t bytes[];
};

struct outbox {
    struct mutation *first, *last;
    size_t count;
    /* In this call: */
    struct mutation *unsent;              /* next to be sent */
    struct mutation **answered_at;        /* the link to the one that is answered next */
    uint32_t flights[OUTBOX_FLIGHTS_MAX]; /* items in each Push without answer, oldest first */
    size_t flight_count;
};

/* An edit of a record: base NULL for a new one. The outbox holds what it expects. */
struct mutation *outbox_add(struct outbox *outbox, struct pool *pool, struct pool_entity *entity,
                            const struct pool_version *base, const struct made_body *made,
                            struct rpc_buffer *scratch);
void outbox_clear(struct outbox *outbox, struct pool *pool);
bool outbox_has(const struct outbox *outbox, const struct pool_entity *entity);

/* A call begins: everything is to be sent, again or for the first time. */
void outbox_rewind(struct outbox *outbox);

/* Appends a Push of at most items to message, and takes it as sent. False: there is
 * nothing to send, or too much is under way. held_stamp tells what the device holds. */
bool outbox_next_push(struct outbox *outbox, uint32_t items,
                      uint64_t (*held_stamp)(void *context, const struct pool_entity *entity),
                      void *context, struct rpc_buffer *message);

/* The mutation that the next answer is about; NULL: none was sent. */
struct mutation *outbox_answered(struct outbox *outbox);
/* The record after the answer `applied` (R7): what the device holds now, with the edit's
 * fields. Not always what was expected: the device may have pulled a newer one since. The
 * caller releases it. */
struct pool_version *outbox_applied(struct pool *pool, const struct mutation *mutation,
                                    const struct pool_version *held);
/* It is answered for good and goes, or stays to be sent by the next call. */
void outbox_done(struct outbox *outbox, struct pool *pool);
void outbox_keep(struct outbox *outbox);

#endif
