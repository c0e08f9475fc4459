/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of any type as JSON, and from FIELD=VALUE words, by the generated
 * tables. For administrators' commands that are asked for values; nothing here
 * is ever written to a log.
 */
#ifndef OUTPOST_SERVER_RECORD_JSON_H
#define OUTPOST_SERVER_RECORD_JSON_H

#include "command.h"

/* Adds every field of the type to the object, recorded or not. */
void record_json_add(json_t *object, const struct record_type *type,
                     const struct record_body *body);

/* A value as JSON; value NULL gives the kind's zero. */
json_t *record_json_value(const struct record_field *field, const struct wire_field *value);

/* The values that a mutation sets, by name. Fields that this server does not
 * know are left out; type may be NULL. */
json_t *record_json_changes(const struct record_type *type, const struct record_mutation *mutation);

/* The first text field of a global record: what people call it. */
json_t *record_json_name(const struct record_type *type, const struct record_body *body);

/* Reads one FIELD=VALUE into a body; text and ids are copied to the arena. */
struct rpc_status record_json_set(const struct record_type *type, const char *assignment,
                                  struct arena *arena, struct record_body *body);

/* One value from text, by the field's kind. */
struct rpc_status record_json_parse(const struct record_field *field, const char *text,
                                    struct arena *arena, struct wire_field *value_out);

#endif
