/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the push: finding things in a push_set. For push.c, decide.c and
 * the engines that fill a set; see push.h.
 */
#ifndef OUTPOST_SERVER_PUSH_SET_H
#define OUTPOST_SERVER_PUSH_SET_H

#include "push.h"

/* Finds the entry of *wanted in one of the set's tables or adds it, zero but for its key, and
 * sets *added; entry becomes NULL: no memory. */
#define PUSH_SET_FIND_OR_ADD(set, table, key_field, wanted, entry, added)                    \
    do {                                                                                     \
        unsigned hash_value;                                                                 \
        HASH_VALUE(wanted, sizeof *(wanted), hash_value);                                    \
        HASH_FIND_BYHASHVALUE(hh, (set)->table, wanted, sizeof *(wanted), hash_value, entry); \
        if ((entry) != NULL)                                                                 \
            break;                                                                           \
        (entry) = arena_alloc(&(set)->arena, sizeof *(entry));                               \
        if ((entry) == NULL)                                                                 \
            break;                                                                           \
        (entry)->key_field = *(wanted);                                                      \
        HASH_ADD_BYHASHVALUE(hh, (set)->table, key_field, sizeof *(wanted), hash_value, entry); \
        if ((entry)->hh.tbl == NULL)                                                         \
            (entry) = NULL;                                                                  \
        else                                                                                 \
            *(added) = true;                                                                 \
    } while (0)

/* Each finds an entry or adds it, not loaded (*added becomes true, and is left
 * alone otherwise). NULL: no memory. */
struct push_record *push_set_record(struct push_set *set, const struct record_key *key,
                                    bool *added);
struct push_family *push_set_family(struct push_set *set, const struct record_uuid *id,
                                    bool *added);
struct push_known *push_set_known(struct push_set *set, const struct push_batch *batch,
                                  const struct push_item *item, bool *added);
struct push_region *push_set_region(struct push_set *set, const struct record_uuid *id,
                                    bool *added);
struct push_marker *push_set_marker(struct push_set *set, const struct record_uuid *region,
                                    const struct record_uuid *family, bool *added);
struct push_receipts *push_set_receipts(struct push_set *set, const struct scope_device *device,
                                        bool *added);

/* The key of a family's root: what a member needs to be there (R14). */
struct record_key push_root_key(const struct push_set *set, const struct record_uuid *family);
struct record_key push_facility_key(const struct push_set *set, const struct record_uuid *facility);

/* The region of a facility in the set. False: not known, or it names none. */
bool push_region_of_facility(struct push_set *set, const struct record_uuid *facility,
                             struct record_uuid *region_out);

/* Whether a mutation of a root sets one of the fields that place its family. */
bool push_names_facility(const struct scope_roles *roles, const struct record_mutation *mutation);

/* Frees the scratch that push_decide keeps in the set; NULL is allowed. */
void push_work_free(struct push_work *work);

#endif
