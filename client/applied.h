/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers `applied` to new records, many at once (R7).
 *
 * It is what most of a push is answered, and of a record that the server did not have
 * before nothing has to be read or compared to settle it: the row is what was sealed, for
 * no edit was counted since, and what the server has now is just that, in version 1.
 */
#ifndef OUTPOST_CLIENT_APPLIED_H
#define OUTPOST_CLIENT_APPLIED_H

#include "store.h"

/* Outbox entries first, first + 1, ..., all answered `applied`. */
struct applied_run {
    int64_t first;
    size_t count;
};

/* Settles the entries at the front of the run that are such records and moves them to the
 * journal, inside a transaction. taken_out: how many; the next one is another's to apply
 * (apply.h) when it is 0. */
STORE_MUST_USE bool applied_take(struct store *store, const struct applied_run *run, int64_t now_ms,
                                 size_t *taken_out);

#endif
