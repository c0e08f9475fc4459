/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules by which the three images of a record move: R4, R6, R7, R20, R21.
 *
 * Every function here runs inside a transaction of the store, keeps the sums
 * over held copies right, and never overwrites a pending record's row (I5).
 */
#ifndef OUTPOST_CLIENT_APPLY_H
#define OUTPOST_CLIENT_APPLY_H

#include "image.h"

/* A sealed mutation as the outbox keeps it. */
struct sealed {
    int64_t n;
    struct record_key key;
    int64_t generation; /* of the edits at sealing */
    struct image image; /* the row then; not present when the mutation deletes */
    struct rpc_buffer mutation;
};

/* The numbers are those of outpost.v1.AnswerStatus. */
enum answer_status {
    ANSWER_APPLIED = 0,
    ANSWER_MERGED = 1,
    ANSWER_NO_EFFECT = 2,
    ANSWER_QUARANTINED = 3,
    ANSWER_OUT_OF_SCOPE = 4,
    ANSWER_RETRY = 5,
};

struct answer {
    enum answer_status status;
    uint32_t reason;
    uint32_t field;
    const struct image *record; /* as the server has it now; not present: none */
};

/* R6: what came is held; the row takes it only when nothing is pending. */
STORE_MUST_USE bool apply_take(struct store *store, const struct record_key *key,
                               const struct image *came);

/* R7: the answer to a sealed mutation, RETRY excepted. */
STORE_MUST_USE bool apply_answer(struct store *store, const struct sealed *sealed,
                                 const struct answer *answer);

/* R4: row and held are the same again; marks and base go, the row's version and
 * stamp become the held ones. row_same: the row has held's content already. */
STORE_MUST_USE bool apply_clean(struct store *store, const struct record_key *key,
                                const struct image *held, bool row_same);

/* R20. dropped: how many clean records went is added to it. */
STORE_MUST_USE bool apply_family_left(struct store *store, const struct record_uuid *family,
                                      uint64_t *dropped);
STORE_MUST_USE bool apply_family_entered(struct store *store, const struct record_uuid *family);
/* A record of the family was sent: the family is in scope. */
STORE_MUST_USE bool apply_family_present(struct store *store, const struct record_uuid *family);
/* Drops what is not pending any more of families that left. */
STORE_MUST_USE bool apply_purge_left(struct store *store, uint64_t *dropped);

/* The record was met: no sweep takes it (sweep.h). */
STORE_MUST_USE bool apply_confirm(struct store *store, const struct record_key *key);

/* The server does not have that record: a clean one goes, a pending one loses
 * its held copy. */
STORE_MUST_USE bool apply_unheld(struct store *store, const struct record_key *key,
                                 uint64_t *dropped);

/* A mutation that is not in the outbox was applied as sent, on top of the copy
 * that is held: the short answer to what was sent again. */
STORE_MUST_USE bool apply_applied(struct store *store, const struct record_key *key,
                                  struct rpc_bytes mutation);

#endif
