/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of new records that the server has now: they get its version and stamp (R4).
 *
 * Rows that lie together in their table, as those of one push mostly do, are one UPDATE,
 * which costs half of what as many do.
 */
#ifndef OUTPOST_CLIENT_SETTLE_H
#define OUTPOST_CLIENT_SETTLE_H

#include "store.h"

/* The server's version of a record that it did not have. */
enum { SETTLE_VERSION = 1 };

/* For a connection that was just opened. */
STORE_MUST_USE bool settle_register(struct store *store);

/* keys ascend and are of one type; stamps are those of SETTLE_VERSION. settled_out: how many
 * at the front have their row, and are counted among what is held; the next, if any, has none. */
STORE_MUST_USE bool settle_rows(struct store *store, const struct record_key *keys,
                                const uint64_t *stamps, size_t count, size_t *settled_out);

#endif
