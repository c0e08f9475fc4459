/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules: what a change of the contract must not do to payloads that are stored and
 * to programs that are in the field, and what to do instead.
 */
#ifndef OUTPOST_CHECK_FINDING_H
#define OUTPOST_CHECK_FINDING_H

#include "../plugin/output.h"

/* X(rule, what to do instead) */
#define FINDING_RULES(X)                                                                           \
    /* ---- Packages, messages, enums ---- */                                                      \
    X(PACKAGE_REMOVED, "keep it as long as anything calls it, and put the next one beside it")     \
    X(SYNTAX_CHANGED, "keep the file's syntax: it decides what an absent field means")             \
    X(MESSAGE_REMOVED, "keep it: stored bytes and older programs still have it")                   \
    X(ENUM_REMOVED, "keep it: stored bytes and older programs still have it")                      \
    X(RESERVED_NUMBER_FREED, "reserve it again: bytes with that number may lie anywhere")          \
    X(RESERVED_NAME_FREED, "reserve it again")                                                     \
    X(ONEOF_REMOVED, "keep it: its members exclude each other in older programs")                  \
    /* ---- Fields ---- */                                                                         \
    X(FIELD_REMOVED_NUMBER_FREE, "reserve the number, or keep the field and mark it deprecated")   \
    X(FIELD_REMOVED_NAME_FREE, "reserve the name, or keep the field and mark it deprecated")       \
    X(FIELD_NUMBER_REUSED, "reserve the number, and give the new field one that was never used")   \
    X(FIELD_NUMBER_CHANGED, "give it its number back: bytes know a field by its number alone")     \
    X(FIELD_RENAMED, "keep the name, which is also a column, and add a field for a new meaning")   \
    X(FIELD_JSON_NAME_CHANGED, "keep the name in JSON")                                            \
    X(FIELD_TYPE_CHANGED, "keep the type, and add a field of the new type beside it")              \
    X(FIELD_MESSAGE_CHANGED, "keep the message or enum, and add a field of the new one")           \
    X(FIELD_CARDINALITY_CHANGED, "keep it, and add a field (of a record: a type) beside it")       \
    X(FIELD_PRESENCE_CHANGED, "keep optional as it was: zero means not recorded without it")       \
    X(FIELD_ONEOF_CHANGED, "keep it where it was: setting one member clears the others")           \
    /* ---- Enum values ---- */                                                                    \
    X(ENUM_VALUE_REMOVED, "keep it and mark it deprecated: records hold it")                       \
    X(ENUM_VALUE_RENAMED, "keep the name, and add a value for a new meaning")                      \
    X(ENUM_VALUE_NUMBER_CHANGED, "give it its number back: records hold the number")               \
    /* ---- Services ---- */                                                                       \
    X(SERVICE_REMOVED, "keep it as long as anything calls it")                                     \
    X(RPC_REMOVED, "keep it as long as anything calls it")                                         \
    X(RPC_REQUEST_CHANGED, "keep the request's message, or add an RPC beside it")                  \
    X(RPC_RESPONSE_CHANGED, "keep the response's message, or add an RPC beside it")                \
    X(RPC_STREAMING_CHANGED, "keep its direction, or add an RPC beside it")                        \
    /* ---- Record types ---- */                                                                   \
    X(RECORD_NO_LONGER, "keep the record option: devices hold a table of it")                      \
    X(RECORD_TYPE_CHANGED, "give it its number back: it is the field in the envelopes")            \
    X(RECORD_TYPE_REUSED, "give it a number that no record type ever had")                         \
    X(RECORD_TABLE_CHANGED, "keep the table's name: apps and pending edits use it")                \
    X(RECORD_FAMILY_CHANGED, "keep it, and make a new type: a record's family never changes")      \
    X(RECORD_EXACTLY_ONE_OF_CHANGED, "keep it: older records would fail, or older programs")       \
    /* ---- Rules of a record's fields ---- */                                                     \
    X(FIELD_REQUIRED_ADDED, "leave it out: records without the field are stored and on their way") \
    X(FIELD_RANGE_NARROWED, "keep the wider range: records outside the new one are stored")        \
    X(FIELD_MIN_LENGTH_RAISED, "keep the lesser length: shorter texts are stored")                 \
    X(FIELD_FORMAT_CHANGED, "keep the format: texts of the older one are stored")                  \
    X(FIELD_NOT_FUTURE_ADDED, "leave it out: records that it refuses are stored")                  \
    X(FIELD_NOT_BELOW_CHANGED, "leave it as it was: records that it refuses are stored")           \
    X(FIELD_TOGETHER_WITH_CHANGED, "leave it as it was: records with one of the two are stored")   \
    X(FIELD_MERGE_CHANGED, "keep the rule: servers of two versions must merge alike")              \
    X(FIELD_GROUP_CHANGED, "leave the group as it was: older devices send its old fields alone")   \
    X(FIELD_REFERENCE_CHANGED, "keep what the id refers to, and add a field for another id")       \
    X(FIELD_ROLE_CHANGED, "keep fill, scope and closing: they decide where records belong")        \
    X(FIELD_PERSONAL_REMOVED, "keep the mark: what could tell who a person is still can")

enum finding_rule {
#define X(rule, instead) FINDING_##rule,
    FINDING_RULES(X)
#undef X
        FINDING_RULE_COUNT
};

/* "FIELD_RENAMED" */
const char *finding_name(enum finding_rule rule);

/* Where: of the file as it is now, or as it was where it is gone. */
struct finding_place {
    const char *file;
    const char *kind; /* "message", "enum", "service"; NULL: the file itself */
    const char *name;
    const char *member_kind; /* "field", "value", "rpc", "oneof"; NULL: the whole */
    const char *member;
};

/* What was found, a line each, in the order of finding. */
struct findings {
    struct text text;
    size_t count;
};

/* Adds "RULE: file: message M, field f: what; instead". */
void finding_add(struct findings *findings, enum finding_rule rule,
                 const struct finding_place *place, const char *format, ...) TEXT_PRINTF(4, 5);

#endif
