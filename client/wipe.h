/* SPDX-License-Identifier: Apache-2.0
 *
 * Wiping: a device that was lost destroys what it holds, by an order that only its
 * server can give (WipeOrder in sync.proto).
 *
 * Promises: an order that is not the server's, not for this device or not for this
 * call changes nothing. A good one destroys the key first, in the transaction that
 * notes the order and the signed report, so that nothing can be sent or fetched from
 * then on; then every record and every table of ours, overwritten in the file and
 * gone from the WAL. Whatever interrupts, the next opening goes on. What stays is
 * one row, outpost_wipe, with the report until the server has it, and the app's own
 * tables.
 */
#ifndef OUTPOST_CLIENT_WIPE_H
#define OUTPOST_CLIENT_WIPE_H

#include "store.h"

struct wipe {
    bool ordered; /* the order is taken; else nothing below counts */
    bool done;
    bool reported;
    struct record_uuid device_id;
    int64_t ordered_at_ms;
    char server[300];
};

/* Reads outpost_wipe; not ordered when there is none. */
STORE_MUST_USE bool wipe_load(struct store *store, struct wipe *wipe_out);

/* A WipeOrder came in a call whose Hello presented state's token. Always false: the
 * session is over. DENIED: the order is taken, and wipe_finish is to be called; BUG:
 * it is not a good one, and nothing has changed. */
STORE_MUST_USE bool wipe_take_order(struct store *store, struct rpc_bytes order,
                                    const struct device_state *state);

/* Does what is left to do. TRY_LATER: somebody else has the database open in a
 * transaction. */
STORE_MUST_USE bool wipe_finish(struct store *store);

/* The report, signed by the key that is gone. */
struct wipe_report {
    struct rpc_buffer ca_pem;
    struct rpc_buffer signature;
};
STORE_MUST_USE bool wipe_load_report(struct store *store, struct wipe_report *report_out);
void wipe_report_deinit(struct wipe_report *report);
STORE_MUST_USE bool wipe_note_reported(struct store *store);

/* Fails with DENIED when the database is wiped or being wiped; false then. */
STORE_MUST_USE bool wipe_allows(struct store *store);

#endif
