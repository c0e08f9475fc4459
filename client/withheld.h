/* SPDX-License-Identifier: Apache-2.0
 *
 * Withheld: record types and fields that the server does not give this device's app yet,
 * or not any more (Welcome in sync.proto). Kept in outpost_withheld, where an app reads
 * what to leave out of its screens.
 *
 * A type that is withheld leaves this device as a family does: what is held and not
 * pending goes, edits stay and are sent. A field's values stay, in outpost_unknown as if
 * this version did not know it, because a stamp covers the whole record (R2); when it
 * opens they are in their column again, without a network.
 */
#ifndef OUTPOST_CLIENT_WITHHELD_H
#define OUTPOST_CLIENT_WITHHELD_H

#include "store.h"

#include "outpost/v1/sync.pb-c.h"

/* What is kept, into the store's memory of it. */
STORE_MUST_USE bool withheld_load(struct store *store);

bool withheld_has_field(const struct store *store, uint32_t type, uint32_t field);

/* Keeps what Welcome says, in a transaction of its own, unless it says what is known. No
 * copy goes yet: pushes are on their way whose short answers are made on them (R7). */
STORE_MUST_USE bool withheld_take(struct store *store, const Outpost__V1__Welcome *welcome);

/* Inside the transaction of CaughtUp: what is held of withheld types goes, also what an
 * answer has brought. */
STORE_MUST_USE bool withheld_drop(struct store *store, uint64_t *withdrawn);

#endif
