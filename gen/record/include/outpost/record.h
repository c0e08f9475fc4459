/* SPDX-License-Identifier: Apache-2.0
 *
 * Records: their names, their content and the hashes by which both sides know
 * them.
 *
 * The runtime under the generated tables, shared by device and server, so that
 * neither can compute a canonical body, a stamp, a mutation id or a digest in
 * its own way (PROTOCOL.md R1, R2, R24; the same is written down for strangers
 * in proto/outpost/v1/sync.proto). Everything works on wire bytes and on tables
 * that protoc-gen-outpost wrote: no function here names a record type.
 *
 * Threads: no shared state; a record_hasher belongs to one thread at a time.
 * Errors: false or a null result means malformed input or no memory, as said at
 * each; nothing here logs, and no text is ever made from a field's value (I10).
 */
#ifndef OUTPOST_RECORD_H
#define OUTPOST_RECORD_H

#include "outpost/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Limits (I12) ------------------------------------------------------ */

enum {
    /* Fields of one record, unknown ones included: protects the merge, which
     * compares fields pairwise, from a body made of thousands of tiny ones. */
    RECORD_FIELDS_MAX = 128,
    /* Bytes of one record's body: protects batches and phones from a record
     * that no page could carry (R25). */
    RECORD_BODY_BYTES_MAX = 64 * 1024,
    /* Bytes of one encoded Record or Mutation, with room for names and lists. */
    RECORD_ENVELOPE_BYTES_MAX = RECORD_BODY_BYTES_MAX + 1024,
    /* The least record type number; smaller field numbers are the envelope's. */
    RECORD_TYPE_MIN = 10,
};

/* ---- Ids ---------------------------------------------------------------- */

enum { RECORD_UUID_LEN = 16, RECORD_UUID_TEXT_LEN = 36 };

struct record_uuid {
    uint8_t bytes[RECORD_UUID_LEN]; /* network order */
};

bool record_uuid_is_zero(const struct record_uuid *id);
int record_uuid_compare(const struct record_uuid *a, const struct record_uuid *b);

/* Reads exactly 16 bytes. False: another length. */
bool record_uuid_from_bytes(struct rpc_bytes bytes, struct record_uuid *id_out);

/* Reads hyphenated hexadecimal text of either case. False: not a UUID. */
bool record_uuid_parse(const char *text, struct record_uuid *id_out);

/* Writes lower-case hyphenated text and a NUL. */
void record_uuid_format(const struct record_uuid *id, char text_out[RECORD_UUID_TEXT_LEN + 1]);

/* Makes a version 4 UUID out of 16 random bytes. */
struct record_uuid record_uuid_v4(const uint8_t random[RECORD_UUID_LEN]);

/* The version 5 UUID of a name in Outpost's own name space
 * (6f757470-6f73-5470-8000-6f7574706f73); false only without memory. */
bool record_uuid_v5(struct rpc_bytes name, struct record_uuid *id_out);

/* ---- Schema: what the generator writes ---------------------------------- */

enum record_kind {
    RECORD_KIND_STRING,
    RECORD_KIND_BYTES,
    RECORD_KIND_ENUM,   /* varint, int32 */
    RECORD_KIND_INT32,  /* varint */
    RECORD_KIND_INT64,  /* varint */
    RECORD_KIND_UINT32, /* varint */
    RECORD_KIND_UINT64, /* varint */
    RECORD_KIND_BOOL,   /* varint 0 or 1 */
    RECORD_KIND_DOUBLE, /* fixed64 */
    RECORD_KIND_FLOAT,  /* fixed32 */
};

/* The enumerators below have the numbers of outpost/options.proto. */
enum record_family {
    RECORD_FAMILY_GLOBAL = 1,
    RECORD_FAMILY_ROOT = 2,
    RECORD_FAMILY_MEMBER = 3,
};

enum record_merge_rule {
    RECORD_MERGE_LATER_ARRIVAL = 0,
    RECORD_MERGE_FIRST_WRITE = 1,
    RECORD_MERGE_MAXIMUM = 2,
    RECORD_MERGE_ONE_WAY = 3,
};

enum record_format {
    RECORD_FORMAT_ANY = 0,
    RECORD_FORMAT_DATE = 1,
    RECORD_FORMAT_UUID = 2,
    RECORD_FORMAT_NOT_BLANK = 3,
};

enum record_fill {
    RECORD_FILL_NONE = 0,
    RECORD_FILL_DEVICE_FACILITY = 1,
};

struct record_field {
    uint32_t number;
    const char *name; /* in the .proto and in SQL */
    enum record_kind kind;
    enum record_format format;
    enum record_merge_rule merge;
    enum record_fill fill;
    /* Number of the group's first field (its own when it stands alone): the
     * name under which the group's last change is kept. */
    uint32_t group;
    bool required;
    bool not_future;
    bool personal;
    bool scope;   /* the id of the sync region that the record puts things in */
    bool closing; /* since when the record is closed, ms; 0: open */
    bool ranged;
    int64_t min, max;       /* with ranged; inclusive */
    uint32_t min_length;    /* Unicode characters */
    uint32_t not_below;     /* number of the other field, or 0 */
    uint32_t together_with; /* number of the other field, or 0 */
    uint32_t reference;     /* record type number, or 0 */
};

struct record_type {
    uint32_t number;   /* field number in the envelopes, RECORD_TYPE_MIN or more */
    const char *name;  /* the message's name in the .proto, e.g. "BloodPressure" */
    const char *table; /* e.g. "blood_pressure" */
    enum record_family family;
    const struct record_field *fields; /* ascending by number */
    size_t field_count;
    const uint32_t *exactly_one_of; /* field numbers; NULL when none */
    size_t exactly_one_of_count;
};

struct record_schema {
    uint32_t revision;
    const struct record_type *types; /* ascending by number */
    size_t type_count;
};

/* NULL: not in this schema. */
const struct record_type *record_type_by_number(const struct record_schema *schema,
                                                uint32_t number);
const struct record_type *record_type_by_table(const struct record_schema *schema,
                                               const char *table);
const struct record_field *record_field_by_number(const struct record_type *type, uint32_t number);
const struct record_field *record_field_by_name(const struct record_type *type, const char *name);

/* The type that is the family's root; every schema has exactly one. */
const struct record_type *record_root_type(const struct record_schema *schema);

/* ---- Names -------------------------------------------------------------- */

/* A record's name. family is all zeros for a global record. */
struct record_key {
    struct record_uuid family;
    uint32_t type;
    struct record_uuid id;
};

/* Order of families, snapshots and pages: family, type, id. */
int record_key_compare(const struct record_key *a, const struct record_key *b);

/* ---- Bodies ------------------------------------------------------------- */

/* A body taken apart: its fields ascending by number, each once, none zero.
 * The fields are views into the bytes that were parsed. */
struct record_body {
    size_t count;
    struct wire_field fields[RECORD_FIELDS_MAX];
};

/* False: malformed, or above a limit. */
bool record_body_parse(struct rpc_bytes bytes, struct record_body *body_out);

/* NULL: not recorded. */
const struct wire_field *record_body_find(const struct record_body *body, uint32_t number);

/* Sets a field, replacing one of the same number; a zero value removes it.
 * False: RECORD_FIELDS_MAX reached. */
bool record_body_set(struct record_body *body, const struct wire_field *field);
void record_body_remove(struct record_body *body, uint32_t number);

/* Appends the canonical encoding (R2). */
void record_body_encode(const struct record_body *body, struct rpc_buffer *buffer);

/* Whether these bytes, of which body was parsed, are just that encoding. */
bool record_body_is_canonical(const struct record_body *body, struct rpc_bytes bytes);

/* Equal as values: same kind on the wire and same content. NULL is "not recorded". */
bool record_value_equal(const struct wire_field *a, const struct wire_field *b);

/* Below 0, 0 or above 0, as numbers of that kind. Of text, or of values whose
 * wire type is not the kind's: 0. */
int record_value_compare(enum record_kind kind, const struct wire_field *a,
                         const struct wire_field *b);

/* ---- Envelopes ---------------------------------------------------------- */

/* A Record of the wire. body is a view. */
struct record_image {
    struct record_key key;
    uint64_t version;
    bool deleted;
    struct rpc_bytes body; /* canonical where it comes from our own side */
};

/* False: malformed, ids of a wrong length, no body, or two bodies. */
bool record_image_parse(struct rpc_bytes bytes, struct record_image *image_out);
void record_image_encode(const struct record_image *image, struct rpc_buffer *buffer);

/* A Mutation of the wire. body is a view. */
struct record_mutation {
    struct record_key key;
    uint64_t base_version;
    uint64_t base_stamp;
    bool deletes;
    uint64_t recovered_version; /* 0: an ordinary edit */
    size_t field_count;
    uint32_t fields[RECORD_FIELDS_MAX]; /* ascending */
    struct rpc_bytes body;
};

/* False: malformed, ids of a wrong length, no body or two, fields not strictly
 * ascending, a body field that is not listed. */
bool record_mutation_parse(struct rpc_bytes bytes, struct record_mutation *mutation_out);
void record_mutation_encode(const struct record_mutation *mutation, struct rpc_buffer *buffer);
bool record_mutation_sets(const struct record_mutation *mutation, uint32_t number);

/* ---- Hashes ------------------------------------------------------------- */

enum { RECORD_SHA256_LEN = 32, RECORD_MUTATION_ID_LEN = 16 };

struct record_mutation_id {
    uint8_t bytes[RECORD_MUTATION_ID_LEN];
};

/* SHA-256 without an allocation per hash. NULL: no memory. */
struct record_hasher *record_hasher_new(void);
void record_hasher_free(struct record_hasher *hasher);

/* SHA-256 over the parts, one after the other. */
void record_hash(struct record_hasher *hasher, const struct rpc_bytes *parts, size_t part_count,
                 uint8_t hash_out[RECORD_SHA256_LEN]);

/* R2. body must be canonical. */
uint64_t record_stamp(struct record_hasher *hasher, uint64_t version, bool deleted,
                      struct rpc_bytes body);

/* R1. The exact bytes of a Mutation. */
struct record_mutation_id record_mutation_id(struct record_hasher *hasher,
                                             struct rpc_bytes mutation);

/* R24: one living record's share of its region's digest. */
uint64_t record_digest_share(uint32_t type, const struct record_uuid *id, uint64_t stamp);

/* ---- Validation --------------------------------------------------------- */

/* One UTF-8 character from the front of at least one byte: its length, or 0 when the
 * bytes are not UTF-8. Overlong forms, surrogates and what is above U+10FFFF are not. */
size_t record_utf8_character(const uint8_t *bytes, size_t len, uint32_t *character_out);

/* The numbers are those of outpost.v1.Reason. */
enum record_problem {
    RECORD_PROBLEM_NONE = 0,
    RECORD_PROBLEM_MALFORMED = 1,
    RECORD_PROBLEM_REQUIRED = 2,
    RECORD_PROBLEM_RANGE = 3,
    RECORD_PROBLEM_FORMAT = 4,
    RECORD_PROBLEM_FUTURE = 5,
    RECORD_PROBLEM_CONTRADICTION = 6,
    RECORD_PROBLEM_TOO_LARGE = 11,
};

struct record_verdict {
    enum record_problem problem;
    uint32_t field; /* the first field at fault, or 0 */
};

/* Checks a living record's whole body against its type. now_ms is the clock
 * for not_future, ms since 1970. Unknown fields and enum values pass. */
struct record_verdict record_validate(const struct record_type *type,
                                      const struct record_body *body, int64_t now_ms);

/* A problem in lower-case words ("out of range"); never NULL. */
const char *record_problem_text(enum record_problem problem);

#ifdef __cplusplus
}
#endif

#endif
