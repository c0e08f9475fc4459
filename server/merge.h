/* SPDX-License-Identifier: Apache-2.0
 *
 * Merge: one mutation meets the record as it is (R12, R13, R14).
 *
 * Promise: at wire level by field number, so that fields which this server does
 * not know survive (I9); field by field or group by group; nothing disappears:
 * every value that loses is named in a clash (I6); clocks play no part (I11).
 * Pure: no I/O, no allocation, no clock.
 */
#ifndef OUTPOST_SERVER_MERGE_H
#define OUTPOST_SERVER_MERGE_H

#include "past.h"

enum merge_clash_kind {
    MERGE_CLASH_FIELD = 1,    /* two values of one field or group */
    MERGE_CLASH_DELETE = 2,   /* a delete met an edit: the record lives */
    MERGE_CLASH_UNDELETE = 3, /* an edit met a delete: the record lives again */
};

struct merge_clash {
    enum merge_clash_kind kind;
    uint32_t group;     /* MERGE_CLASH_FIELD */
    bool arriving_lost; /* else the stored value lost; it is in the log */
};

/* The record as it is. All zeros with an empty body: there is none. */
struct merge_record {
    uint64_t version; /* 0: none */
    bool deleted;
    uint64_t stamp;
    struct record_body body;
    struct past past;
};

struct merge_result {
    struct merge_record record; /* stamp is the caller's to compute; version is the new one */
    bool changed;
    bool as_sent;      /* every field was taken as the author sent it */
    bool others_since; /* another device changed the record after the base, or the base is lost */
    size_t clash_count;
    struct merge_clash clashes[RECORD_FIELDS_MAX + 1];
};

enum merge_status {
    MERGE_DONE,
    MERGE_TOO_MANY_FIELDS, /* the merged record would exceed RECORD_FIELDS_MAX */
};

/* The merge group that a field belongs to: its own number when it stands alone
 * or is unknown (type may be NULL). */
uint32_t merge_group_of(const struct record_type *type, uint32_t number);

/* type may be NULL (unknown here): every field stands alone, later arrival
 * wins. arriving is the mutation's body, parsed. The result's body refers to
 * the bytes of both. */
enum merge_status merge(const struct record_type *type, const struct merge_record *present,
                        const struct record_mutation *mutation, const struct record_body *arriving,
                        const struct record_uuid *device, struct merge_result *result_out);

/* R8, R22: nothing of it is taken, because the record has come back as it was after
 * it or later; every value that differs has lost. It is named, since the history that
 * had it may be gone. */
void merge_lost(const struct record_type *type, const struct merge_record *present,
                const struct record_mutation *mutation, const struct record_body *arriving,
                struct merge_result *result_out);

#endif
