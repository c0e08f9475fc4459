/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing: pending records become mutations whose bytes never change (R5).
 *
 * One FULL transaction before the first byte goes out (I1). A record has at most
 * one sealed mutation; later edits wait for its answer. What differs from its
 * base in nothing is no edit any more; what is above the limits is marked
 * rejected and blocks nothing (R25); what the device's own checks find wrong is
 * marked in outpost_warning and sent all the same, for the server decides.
 */
#ifndef OUTPOST_CLIENT_OUTBOX_H
#define OUTPOST_CLIENT_OUTBOX_H

#include "store.h"

struct outbox_options {
    struct record_uuid facility_id; /* fills empty fields of new records that ask for it */
    int64_t now_ms;                 /* for the device's own checks */
};

/* Opens and commits its own transaction; with nothing to seal it writes nothing. */
STORE_MUST_USE bool outbox_seal(struct store *store, const struct outbox_options *options);

/* Mutations in the outbox. */
STORE_MUST_USE bool outbox_count(struct store *store, uint64_t *count_out);

/* Where a type stands in the order of sending: parents before children. Of a
 * type that this schema does not know: with the children. */
int outbox_rank(const struct record_schema *schema, uint32_t type_number);

#endif
