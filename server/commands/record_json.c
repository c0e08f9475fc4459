/* SPDX-License-Identifier: Apache-2.0 */
#include "record_json.h"

#include <errno.h>
#include <stdlib.h>

static double double_of(const struct wire_field *value)
{
    double number;

    memcpy(&number, &value->value, sizeof number);
    return number;
}

static float float_of(const struct wire_field *value)
{
    uint32_t low = (uint32_t)value->value;
    float number;

    memcpy(&number, &low, sizeof number);
    return number;
}

static json_t *bytes_json(const struct record_field *field, struct rpc_bytes bytes)
{
    struct record_uuid id;
    json_t *text;

    if (field->kind == RECORD_KIND_STRING) {
        text = json_stringn((const char *)bytes.data, bytes.len);
        return text != NULL ? text : json_string(""); /* not UTF-8 */
    }
    if (field->format == RECORD_FORMAT_UUID && record_uuid_from_bytes(bytes, &id))
        return command_id_json(&id);
    return json_sprintf("%zu bytes", bytes.len);
}

json_t *record_json_value(const struct record_field *field, const struct wire_field *value)
{
    bool text = field->kind == RECORD_KIND_STRING || field->kind == RECORD_KIND_BYTES;
    bool real = field->kind == RECORD_KIND_DOUBLE || field->kind == RECORD_KIND_FLOAT;

    if (value == NULL)
        return text ? json_string("") : real ? json_real(0) : json_integer(0);
    if (value->type == WIRE_LEN)
        return bytes_json(field, value->bytes);
    if (field->kind == RECORD_KIND_DOUBLE)
        return json_real(double_of(value));
    if (field->kind == RECORD_KIND_FLOAT)
        return json_real((double)float_of(value));
    return json_integer((json_int_t)value->value);
}

void record_json_add(json_t *object, const struct record_type *type, const struct record_body *body)
{
    for (size_t i = 0; i < type->field_count; i++)
        json_object_set_new(
            object, type->fields[i].name,
            record_json_value(&type->fields[i], record_body_find(body, type->fields[i].number)));
}

json_t *record_json_changes(const struct record_type *type, const struct record_mutation *mutation)
{
    json_t *changes = json_object();
    struct record_body body;

    if (type == NULL || !record_body_parse(mutation->body, &body))
        return changes;
    for (size_t i = 0; i < mutation->field_count; i++) {
        const struct record_field *field = record_field_by_number(type, mutation->fields[i]);
        if (field != NULL)
            json_object_set_new(
                changes, field->name,
                record_json_value(field, record_body_find(&body, mutation->fields[i])));
    }
    return changes;
}

json_t *record_json_name(const struct record_type *type, const struct record_body *body)
{
    for (size_t i = 0; i < type->field_count; i++)
        if (type->fields[i].kind == RECORD_KIND_STRING)
            return record_json_value(&type->fields[i],
                                     record_body_find(body, type->fields[i].number));
    return json_string("");
}

/* ---- From text ------------------------------------------------------------ */

static struct rpc_status parse_id(const struct record_field *field, const char *text,
                                  struct arena *arena, struct wire_field *value)
{
    struct record_uuid id;

    if (!record_uuid_parse(text, &id))
        return command_usage("%s must be a UUID", field->name);
    value->bytes = arena_dup(arena, rpc_bytes_view(id.bytes, RECORD_UUID_LEN));
    return rpc_status_ok();
}

static struct rpc_status parse_real(const struct record_field *field, const char *text,
                                    struct wire_field *value)
{
    char *end;
    double number = strtod(text, &end);
    float single = (float)number;
    uint32_t low;

    if (end == text || *end != '\0')
        return command_usage("%s must be a number", field->name);
    if (field->kind == RECORD_KIND_DOUBLE) {
        value->type = WIRE_FIXED64;
        memcpy(&value->value, &number, sizeof number);
    } else {
        value->type = WIRE_FIXED32;
        memcpy(&low, &single, sizeof low);
        value->value = low;
    }
    return rpc_status_ok();
}

struct rpc_status record_json_parse(const struct record_field *field, const char *text,
                                    struct arena *arena, struct wire_field *value_out)
{
    char *end;

    *value_out = (struct wire_field){.number = field->number, .type = WIRE_LEN};
    if (field->kind == RECORD_KIND_BYTES)
        return parse_id(field, text, arena, value_out);
    if (field->kind == RECORD_KIND_STRING) {
        value_out->bytes = arena_dup(arena, rpc_bytes_view(text, strlen(text)));
        return rpc_status_ok();
    }
    if (field->kind == RECORD_KIND_DOUBLE || field->kind == RECORD_KIND_FLOAT)
        return parse_real(field, text, value_out);
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0)
        return command_usage("%s must be a whole number", field->name);
    value_out->type = WIRE_VARINT;
    value_out->value = (uint64_t)number;
    return rpc_status_ok();
}

struct rpc_status record_json_set(const struct record_type *type, const char *assignment,
                                  struct arena *arena, struct record_body *body)
{
    const char *equals = strchr(assignment, '=');
    char name[64];
    struct wire_field value;

    if (equals == NULL || equals == assignment || (size_t)(equals - assignment) >= sizeof name)
        return command_usage("\"%.60s\" is not FIELD=VALUE", assignment);
    memcpy(name, assignment, (size_t)(equals - assignment));
    name[equals - assignment] = '\0';
    const struct record_field *field = record_field_by_name(type, name);
    if (field == NULL)
        return command_usage("a %s has no field %s", type->table, name);
    struct rpc_status status = record_json_parse(field, equals + 1, arena, &value);
    if (rpc_ok(&status) && !record_body_set(body, &value))
        return rpc_status_make(RPC_INVALID_ARGUMENT, "too many fields");
    return status;
}
