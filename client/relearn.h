/* SPDX-License-Identifier: Apache-2.0
 *
 * Relearning: what an older version of the app kept as unknown fields and records goes
 * where this version has a place for it, without a network (I9). No content changes, so
 * stamps, sums, marks and sealed bytes stay.
 */
#ifndef OUTPOST_CLIENT_RELEARN_H
#define OUTPOST_CLIENT_RELEARN_H

#include "store.h"

/* All of it, and then the database's revision, in one transaction: a kill leaves the
 * older revision noted, and the next opening begins again. */
STORE_MUST_USE bool relearn(struct store *store);

/* Inside a transaction: puts every value of the table's rows and base images where it
 * belongs by now, column or outpost_unknown (withheld.h). */
STORE_MUST_USE bool relearn_places(struct store *store, struct store_table *table);

#endif
