/* SPDX-License-Identifier: Apache-2.0
 *
 * Pushing: the outbox as Push messages, and the answers to them.
 *
 * A Push holds what was sealed, byte for byte, and beside each mutation the stamp
 * of what is held at that moment (R5). The answers of one Push, the receipt and
 * the cursor are one FULL transaction (I1, I4).
 */
#ifndef OUTPOST_CLIENT_PUSH_H
#define OUTPOST_CLIENT_PUSH_H

#include "store.h"

enum {
    /* Mutations in one Push: what the contract allows. */
    PUSH_ITEMS_MAX = 5000,
    /* Pushes that wait for their answers: enough to keep a link busy, few enough
     * to bound what a slow server makes us remember. */
    PUSH_FLIGHTS_MAX = 4,
};

/* Where the next Push starts: in what is sent again (resend.h), then in the outbox. */
struct push_position {
    bool in_outbox;
    int64_t rank, n;
    int64_t end; /* of the outbox, the last n that may go; INT64_MAX at first */
};

/* Before everything. */
struct push_position push_position_start(void);

/* A Push under way: which entries, in its order: an outbox entry by its n, one
 * that is sent again by -n. */
struct push_flight {
    size_t count;
    size_t len;       /* of the Push, in bytes */
    int64_t *entries; /* of PUSH_ITEMS_MAX */
};

struct push_limits {
    uint32_t items; /* mutations in one Push */
    uint32_t bytes; /* of one Push, about */
};

/* Whether there are mutations after that position. */
STORE_MUST_USE bool push_more(struct store *store, struct push_position *position, bool *more_out);

/* How many mutations of the outbox are after that position; most at most. */
STORE_MUST_USE bool push_ahead(struct store *store, const struct push_position *position,
                               uint32_t most, uint32_t *count_out);

/* Appends to message a SyncRequest with the next mutations and notes them in the
 * flight; there must be more. */
STORE_MUST_USE bool push_next(struct store *store, struct push_position *position,
                              const struct push_limits *limits, struct push_flight *flight,
                              struct rpc_buffer *message);

/* Applies a PushResult within the caller's FULL transaction (R7). Counts are added to result. */
STORE_MUST_USE bool push_apply_result(struct store *store, const struct push_flight *flight,
                                      struct rpc_bytes push_result, int64_t now_ms,
                                      struct outpost_sync_result *result);

#endif
