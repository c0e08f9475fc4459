/* SPDX-License-Identifier: Apache-2.0
 *
 * What is held here and what the server has are not the same, though the log says so:
 * a row was changed behind the triggers' back, a page of the file went bad, or there is
 * a bug (R24).
 *
 * Found at CaughtUp, by digest. The kept sums tell of records that should be held; once a
 * day (by the server's clock) the rows themselves are read, so that damage to them is
 * found too. Then, in this order: what is held is counted anew, each copy by its true
 * content; if it now agrees, only the sums were wrong. Else a repair of the region is
 * noted (outpost_repair), the next Hello asks for the region anew, and its snapshot
 * overwrites what differs and sweeps what the server does not have. Pending work stays.
 * A repair that does not help is tried again after an hour, then after two, four, up to
 * a week; one whose difference is another one than before at once, a few times.
 */
#ifndef OUTPOST_CLIENT_REPAIR_H
#define OUTPOST_CLIENT_REPAIR_H

#include "store.h"

enum {
    REPAIR_CHECK_MS = 24 * 3600 * 1000,
    REPAIR_WAIT_FIRST_MS = 3600 * 1000,
    REPAIR_WAIT_MOST_MS = 7 * 24 * 3600 * 1000,
    /* Repairs of a region in which nothing else was ever agreed on, before new
     * differences wait too: protects the link from a server whose sums are never right. */
    REPAIR_AT_ONCE_MAX = 3,
};

/* ---- Checking --------------------------------------------------------------- */

/* Reads all that is held when that is due; no transaction may be open. recount_out:
 * repair_recount has work. */
STORE_MUST_USE bool repair_check(struct store *store, int64_t now_ms, bool *recount_out);

/* The next CaughtUp reads all that is held. Makes its own transaction. */
STORE_MUST_USE bool repair_check_soon(struct store *store);

/* In a transaction: stamps and sums tell what is truly held from now on. */
STORE_MUST_USE bool repair_recount(struct store *store);

/* ---- Repairing, all in a transaction ------------------------------------------- */

enum repair_state {
    REPAIR_WAITS = 0,     /* one did not help; the next has its time */
    REPAIR_DUE = 1,       /* the next Hello asks for the region */
    REPAIR_UNDER_WAY = 2, /* its snapshot has begun */
};

/* At CaughtUp: what the server has of a region, and what is held of it. */
struct repair_region {
    struct record_uuid region_id;
    struct store_sum here, there;
};

enum repair_outcome {
    REPAIR_AGREES,
    REPAIR_HELPED,  /* agrees, after a repair */
    REPAIR_DIFFERS, /* a repair is noted, or waits for its time */
};

/* Whether that difference was found before, a repair did not help, and the next is not
 * due: then nothing is looked at again. */
STORE_MUST_USE bool repair_waits(struct store *store, const struct repair_region *region,
                                 int64_t now_ms, bool *waits_out);

STORE_MUST_USE bool repair_compare(struct store *store, const struct repair_region *region,
                                   int64_t now_ms, enum repair_outcome *outcome_out);

/* A snapshot of the region begins: if a repair was asked for, this is it. */
STORE_MUST_USE bool repair_begins(struct store *store, const struct record_uuid *region_id,
                                  int64_t now_ms);

/* Repairs of regions other than these are over: the device does not hold them any more. */
STORE_MUST_USE bool repair_keep_regions(struct store *store);

/* ---- Asking ---------------------------------------------------------------------- */

/* The regions that the next Hello asks for: OUTPOST_REGIONS_MAX at most. */
STORE_MUST_USE bool repair_due(struct store *store, struct record_uuid ids_out[],
                               size_t *count_out);
STORE_MUST_USE bool repair_any_due(struct store *store, bool *any_out);

#endif
