/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of a record type among themselves: what would compile and then
 * never be true, or be true of the wrong thing, is refused here.
 */
#include "schema.h"

bool schema_kind_is_number(enum record_kind kind)
{
    switch (kind) {
    case RECORD_KIND_INT32:
    case RECORD_KIND_INT64:
    case RECORD_KIND_UINT32:
    case RECORD_KIND_UINT64:
    case RECORD_KIND_DOUBLE:
    case RECORD_KIND_FLOAT:
        return true;
    default:
        return false;
    }
}

static bool is_time(const struct record_field *field)
{
    return field->kind == RECORD_KIND_INT64 || field->kind == RECORD_KIND_UINT64 ||
           field->format == RECORD_FORMAT_DATE;
}

static bool is_id(const struct record_field *field)
{
    return field->format == RECORD_FORMAT_UUID;
}

static bool check_format(struct output *output, struct schema_place place,
                         const struct record_field *field)
{
    bool text = field->format == RECORD_FORMAT_DATE || field->format == RECORD_FORMAT_NOT_BLANK;

    if (text && field->kind != RECORD_KIND_STRING)
        return schema_fault_at(output, place,
                               "the format is one of text, and this is no string: make it a "
                               "string, or take the format away");
    if (is_id(field) && field->kind != RECORD_KIND_BYTES)
        return schema_fault_at(output, place,
                               "FORMAT_UUID is 16 bytes, and this is not bytes: make it bytes, or "
                               "take the format away");
    if (field->min_length > 0 && field->kind != RECORD_KIND_STRING)
        return schema_fault_at(output, place,
                               "min_length counts characters, and this is no string: take "
                               "min_length away");
    return true;
}

static bool check_number(struct output *output, struct schema_place place,
                         const struct record_field *field)
{
    if (field->ranged && !schema_kind_is_number(field->kind))
        return schema_fault_at(output, place,
                               "range is for numbers, and this is none: take range away");
    if (field->ranged && field->min > field->max)
        return schema_fault_at(output, place, "range begins above its end: exchange min and max");
    if (field->not_future && !is_time(field))
        return schema_fault_at(output, place,
                               "not_future is for dates (FORMAT_DATE) and times in ms (int64), and "
                               "this is neither: take not_future away, or set the format");
    if (field->closing && field->kind != RECORD_KIND_INT64)
        return schema_fault_at(output, place,
                               "closing is for a time in ms (int64), and this is none: make it "
                               "int64, or take closing away");
    if (field->merge == RECORD_MERGE_MAXIMUM && !schema_kind_is_number(field->kind))
        return schema_fault_at(output, place,
                               "MERGE_RULE_MAXIMUM is for numbers, and this is none: choose "
                               "another merge rule");
    return true;
}

static bool check_id(struct output *output, struct schema_place place,
                     const struct record_field *field)
{
    const char *rule = field->reference != 0                        ? "reference"
                       : field->scope                               ? "scope"
                       : field->fill == RECORD_FILL_DEVICE_FACILITY ? "fill"
                                                                    : NULL;

    if (rule != NULL && !is_id(field))
        return schema_fault_at(output, place,
                               "%s is for ids, and this is none: make it bytes with FORMAT_UUID, "
                               "or take %s away",
                               rule, rule);
    if (field->scope && field->reference == 0)
        return schema_fault_at(output, place,
                               "scope needs to know what the id refers to: set reference");
    return true;
}

bool schema_check_field(struct output *output, struct schema_place place,
                        const struct record_field *field)
{
    return check_format(output, place, field) && check_number(output, place, field) &&
           check_id(output, place, field);
}

/* ---- One type ------------------------------------------------------------ */

static bool check_column(struct output *output, struct schema_place place,
                         const struct record_type *type, const struct record_field *field)
{
    if (strcmp(field->name, "id") == 0)
        return schema_fault_at(output, place,
                               "is the column of the record's id, which the envelope carries: "
                               "choose another name");
    if (field->not_below != 0) {
        const struct record_field *other = record_field_by_number(type, field->not_below);
        if (!schema_kind_is_number(field->kind) || !schema_kind_is_number(other->kind))
            return schema_fault_at(output, place,
                                   "not_below compares numbers, and %s is none: take not_below "
                                   "away",
                                   schema_kind_is_number(field->kind) ? other->name : field->name);
    }
    if (field->not_below == field->number || field->together_with == field->number)
        return schema_fault_at(output, place, "%s names the field itself: name another field",
                               field->not_below == field->number ? "not_below" : "together_with");
    return true;
}

static bool check_group(struct output *output, struct schema_place place,
                        const struct record_type *type, const struct record_field *field)
{
    const struct record_field *first = record_field_by_number(type, field->group);

    if (first == field)
        return true;
    if (first->merge != field->merge)
        return schema_fault_at(output, place,
                               "merges by another rule than %s, and both are of one group: give "
                               "the group's fields the same merge rule",
                               first->name);
    if (field->merge == RECORD_MERGE_MAXIMUM)
        return schema_fault_at(output, place,
                               "MERGE_RULE_MAXIMUM compares one number, and this is one of a "
                               "group: take it out of the group, or choose another merge rule");
    return true;
}

static bool check_exactly_one_of(struct output *output, struct schema_place place,
                                 const struct record_type *type)
{
    const uint32_t *numbers = type->exactly_one_of;

    if (type->exactly_one_of_count == 1)
        return schema_fault_at(output, place,
                               "exactly_one_of has one field: name two or more, or make the field "
                               "required");
    for (size_t i = 0; i < type->exactly_one_of_count; i++) {
        const struct record_field *field = record_field_by_number(type, numbers[i]);
        for (size_t j = 0; j < i; j++)
            if (numbers[j] == numbers[i])
                return schema_fault_at(
                    output, place, "exactly_one_of names \"%s\" twice: name it once", field->name);
        if (field->required)
            return schema_fault_at(output, place,
                                   "exactly_one_of names \"%s\", which is required, so that the "
                                   "others never could be recorded: take required away",
                                   field->name);
    }
    return true;
}

bool schema_check_type(struct output *output, struct schema_place place,
                       const struct record_type *type)
{
    const struct record_field *scope = NULL;

    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        struct schema_place at = place;
        at.field = field->name;
        if (!check_column(output, at, type, field) || !check_group(output, at, type, field))
            return false;
        if (field->scope && scope != NULL)
            return schema_fault_at(output, at,
                                   "is a second scope, %s is the first: a record is in one region",
                                   scope->name);
        if (field->scope)
            scope = field;
    }
    return check_exactly_one_of(output, place, type);
}
