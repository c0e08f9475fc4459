/* SPDX-License-Identifier: Apache-2.0
 *
 * Held copies put aside (I14): a family leaves this device, or is swept, and the server
 * may yet lose what it has of it. What this device then could not give back any more is
 * kept for the journal's 30 days, where no app sees it (outpost_aside):
 *
 *   - the patient, while work of this device hangs on it: pending, or in the journal;
 *     else a restored server could take none of that work (R13, R14);
 *   - a deleted patient, while such work or records of it are here, for the same reason:
 *     a device holds no tombstones;
 *   - a record that such work changes: its edits are made on that copy;
 *   - a record that was offered to a restored server, and taken, but is not this
 *     device's to hold: a second restore would lose it again (R22).
 *
 * All of it is offered again when a server turns out to have lost history.
 */
#ifndef OUTPOST_CLIENT_ASIDE_H
#define OUTPOST_CLIENT_ASIDE_H

#include "image.h"

/* All inside a transaction. The first two before the copies go. */
STORE_MUST_USE bool aside_keep_family(struct store *store, const struct record_uuid *family);
STORE_MUST_USE bool aside_keep_unconfirmed(struct store *store);
STORE_MUST_USE bool aside_keep(struct store *store, const struct record_key *key);

/* Before the tombstone takes the row's place. */
STORE_MUST_USE bool aside_keep_tombstone(struct store *store, const struct record_key *key,
                                         const struct image *tombstone);

/* Offers the copy of a record, if there is one; or all. */
STORE_MUST_USE bool aside_offer(struct store *store, const struct record_key *key);
STORE_MUST_USE bool aside_offer_all(struct store *store);

/* At CaughtUp: copies since the last one count from now, those of before `before_ms` go. */
STORE_MUST_USE bool aside_trim(struct store *store, int64_t now_ms, int64_t before_ms);

#endif
