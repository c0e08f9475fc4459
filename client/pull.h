/* SPDX-License-Identifier: Apache-2.0
 *
 * Pulling: pages of records and markers, and the end of a sync.
 *
 * Each Pull is one transaction with the cursor behind it (I4); NORMAL, because
 * it can be fetched again. CaughtUp is FULL: its token tells this device from a
 * copy of it.
 */
#ifndef OUTPOST_CLIENT_PULL_H
#define OUTPOST_CLIENT_PULL_H

#include "store.h"

enum {
    /* How long acknowledged mutations are kept (R8). */
    PULL_JOURNAL_DAYS = 30,
};

/* session_ms is what the session's answers have in the journal. Counts are added
 * to result. */
STORE_MUST_USE bool pull_apply(struct store *store, struct rpc_bytes pull, int64_t session_ms,
                               struct outpost_sync_result *result);

/* Keeps cursor, token and the regions' states, and compares digests (R24). */
STORE_MUST_USE bool pull_caught_up(struct store *store, struct rpc_bytes caught_up, int64_t now_ms,
                                   struct outpost_sync_result *result);

/* Whether the sum over what is held is what the server told of a region; regions
 * other than the global one are compared when there is exactly one. */
bool pull_region_agrees(const struct store *store, const struct record_uuid *region_id,
                        uint64_t records, uint64_t digest);

#endif
