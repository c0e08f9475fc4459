/* SPDX-License-Identifier: Apache-2.0
 *
 * A record's past: what a merge must know of its changes (R2, R12).
 *
 * Per field or merge group the version and the device of its last change, and
 * the stamps of the last 32 versions. It is stored with the record and goes
 * along wherever the record moves. Most records are written once, so the
 * encoding keeps the creation apart from later changes: 18 bytes then.
 */
#ifndef OUTPOST_SERVER_PAST_H
#define OUTPOST_SERVER_PAST_H

#include "outpost/record.h"

/* How far back a base is recognised as the record's own (R2). */
enum { PAST_STAMPS_MAX = 32 };

struct past_change {
    uint32_t group; /* record_field.group, or an unknown field's number */
    uint64_t version;
    struct record_uuid device;
};

struct past {
    /* The creation, which holds for every recorded group without a change. */
    uint64_t created_version;
    /* The latest version that a phone gave back after the server had lost it; 0:
     * none. What was acknowledged up to there is in the record (R8, R22). */
    uint64_t recovered_version;
    struct record_uuid created_by;
    size_t change_count;
    struct past_change changes[RECORD_FIELDS_MAX];
    /* Stamps of the versions before the present one: [0] of version - 1,
     * [1] of version - 2, ...; 0 where there was no such version. */
    size_t stamp_count;
    uint64_t stamps[PAST_STAMPS_MAX];
};

/* False: not what past_encode wrote (a corrupt store). */
bool past_parse(struct rpc_bytes bytes, struct past *past_out);
/* Copies what is in use. */
void past_copy(const struct past *from, struct past *to);
void past_encode(const struct past *past, struct rpc_buffer *buffer);

/* The last change of a group, recorded or not now. False: it never had one. */
bool past_last_change(const struct past *past, uint32_t group, bool recorded,
                      struct past_change *change_out);

/* Notes a change; false: RECORD_FIELDS_MAX groups have changed already. */
bool past_note_change(struct past *past, const struct past_change *change);

/* Notes that the record goes from version old_version (with old_stamp) to
 * new_version. */
void past_note_version(struct past *past, uint64_t old_version, uint64_t old_stamp,
                       uint64_t new_version);

/* Whether (version, stamp) is the present or a remembered version. */
bool past_has(const struct past *past, uint64_t present_version, uint64_t present_stamp,
              uint64_t version, uint64_t stamp);

#endif
