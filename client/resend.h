/* SPDX-License-Identifier: Apache-2.0
 *
 * What a restored server is given back (R8, R13, R22): every phone is a backup.
 *
 * outpost_resend holds mutations that go in front of the outbox: offers (what
 * this device holds of a record that the server may have lost, as it was at its
 * version) and then the journal (what the server had acknowledged and forgot).
 * An entry goes when it is answered for good, and one of the journal with its days: once
 * they are over it is sent a last time, as new work. An offer's bytes, and so its id,
 * are made of the record alone, so that many phones offer it once.
 *
 * outpost_resend.rank: offers, in the order of their types; -2 offers that found no parent
 * (R14): the tail of a region may bring a record in an earlier page than its patient, and
 * what ends there, with the patient lost, leaves the record alone. The entry is then all
 * that there is of it here. It goes again with each sync, for as long as it takes, and
 * holds nothing up. -1 the journal.
 */
#ifndef OUTPOST_CLIENT_RESEND_H
#define OUTPOST_CLIENT_RESEND_H

#include "apply.h"

/* All inside a transaction. */

/* Offers that copy of a record. One without a version is not an offer. */
STORE_MUST_USE bool resend_offer(struct store *store, const struct record_key *key,
                                 const struct image *held);

/* R13: what is left here of a record: its held copy, else its base image, else the
 * copy put aside. */
STORE_MUST_USE bool resend_offer_what_is_left(struct store *store, const struct record_key *key);

/* R13: an answer RETRY; where it says that the server lost what the mutation builds on, that
 * is offered: the record, and its patient only when she is missing. An offer that is not asked
 * for would be due with every sync, for as long as such a mutation waits. */
STORE_MUST_USE bool resend_offer_lost(struct store *store, const struct record_key *key,
                                      const struct answer *answer);

/* The same for entry n of outpost_resend, which goes again; not one of the journal that has
 * nothing to build on, and whose days are over. An offer without its parent waits. */
STORE_MUST_USE bool resend_again(struct store *store, int64_t n, const struct record_key *key,
                                 bool offered, const struct answer *answer);

/* R8: everything in the journal goes again. */
STORE_MUST_USE bool resend_journal(struct store *store);

/* R7: what was acknowledged, or given back, is refused now. A clean row that the server
 * does not have so any more stays as the nurse wrote it, rejected with the reason; one that
 * is pending is decided by its own mutation. taken_out: false: it is not such a row, and
 * the answer has to be applied. */
STORE_MUST_USE bool resend_refused(struct store *store, const struct record_key *key,
                                   const struct answer *answer, bool *taken_out);

/* What there is to send again: when a stream has changed nothing of it, another one at once
 * would not either. */
struct resend_mark {
    int64_t count, last;
};

STORE_MUST_USE bool resend_mark(struct store *store, struct resend_mark *mark_out);

#endif
