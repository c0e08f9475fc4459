/* SPDX-License-Identifier: Apache-2.0
 *
 * Record types by number and name, and the order of keys; see record.h.
 */
#include "outpost/record.h"

#include <assert.h>

const struct record_type *record_type_by_number(const struct record_schema *schema, uint32_t number)
{
    for (size_t i = 0; i < schema->type_count; i++)
        if (schema->types[i].number == number)
            return &schema->types[i];
    return NULL;
}

const struct record_type *record_type_by_table(const struct record_schema *schema,
                                               const char *table)
{
    for (size_t i = 0; i < schema->type_count; i++)
        if (strcmp(schema->types[i].table, table) == 0)
            return &schema->types[i];
    return NULL;
}

const struct record_type *record_root_type(const struct record_schema *schema)
{
    for (size_t i = 0; i < schema->type_count; i++)
        if (schema->types[i].family == RECORD_FAMILY_ROOT)
            return &schema->types[i];
    assert(!"a schema without a root type: the generator refuses it");
    return NULL;
}

/* Numbers mostly follow each other: a field lies as far from the first as its number does. */
const struct record_field *record_field_by_number(const struct record_type *type, uint32_t number)
{
    size_t low = 0;
    size_t high = type->field_count;
    size_t guess = high > 0 ? number - type->fields[0].number : 0;

    if (guess < high && type->fields[guess].number == number)
        return &type->fields[guess];
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (type->fields[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < type->field_count && type->fields[low].number == number)
        return &type->fields[low];
    return NULL;
}

const struct record_field *record_field_by_name(const struct record_type *type, const char *name)
{
    for (size_t i = 0; i < type->field_count; i++)
        if (strcmp(type->fields[i].name, name) == 0)
            return &type->fields[i];
    return NULL;
}

int record_key_compare(const struct record_key *a, const struct record_key *b)
{
    int order = record_uuid_compare(&a->family, &b->family);

    if (order == 0 && a->type != b->type)
        order = a->type < b->type ? -1 : 1;
    return order != 0 ? order : record_uuid_compare(&a->id, &b->id);
}
