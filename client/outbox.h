/* SPDX-License-Identifier: Apache-2.0
 *
 * Sealing: pending records become mutations whose bytes never change (R5).
 *
 * In FULL transactions before the bytes go out (I1): global records and the first few thousand
 * others, then a few thousand more at a time, roots before members, while what was
 * sealed before is on its way. A record has at most
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
    uint32_t part;                  /* records sealed in one transaction; 0: the default */
};

/* How far sealing is; zero but for the options when it begins. */
struct outbox_sealing {
    struct outbox_options options;
    bool begun, done;
    int64_t last; /* the number of the last one sealed */
    bool first;   /* whatever is in the outbox was sealed by this */
    size_t stage; /* global records, roots, members */
    size_t type;  /* where in the schema */
    bool within;  /* that type; up to this key: */
    struct record_uuid family_id, id;
};

/* Seals the next part. Opens and commits its own transaction; with nothing to seal it writes
 * nothing. */
STORE_MUST_USE bool outbox_seal_part(struct store *store, struct outbox_sealing *sealing);

/* The same within the caller's FULL transaction, which may have nothing to do with it. */
STORE_MUST_USE bool outbox_seal_more(struct store *store, struct outbox_sealing *sealing);

/* Seals all there is. */
STORE_MUST_USE bool outbox_seal(struct store *store, const struct outbox_options *options);

/* Up to which n the outbox may be sent: what goes after what is not sealed yet waits for it. */
int64_t outbox_end(const struct outbox_sealing *sealing);

/* Records that sealing has not come to. */
STORE_MUST_USE bool outbox_unsealed(struct store *store, const struct outbox_sealing *sealing,
                                    uint64_t *count_out);

/* Mutations in the outbox. */
STORE_MUST_USE bool outbox_count(struct store *store, uint64_t *count_out);

/* Where a type stands in the order of sending: parents before children. Of a
 * type that this schema does not know: with the children. */
int outbox_rank(const struct record_schema *schema, uint32_t type_number);

#endif
