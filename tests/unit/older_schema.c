/* SPDX-License-Identifier: Apache-2.0
 *
 * See older_schema.h.
 */
#include "older_schema.h"

#include "outpost/v1/schema.gen.h"

enum { TYPES_MAX = 64, FIELDS_MAX = 64 };

static struct record_field old_fields[TYPES_MAX][FIELDS_MAX];
static struct record_type old_types[TYPES_MAX];
struct record_schema older_schema;

/* Fields that the older schema does not have: a text, a number and an id. */
static bool known_to_old(uint32_t type, uint32_t field)
{
    return type != 10 || (field != OLDER_SCHEMA_LACKS_TEXT && field != OLDER_SCHEMA_LACKS_NUMBER &&
                          field != OLDER_SCHEMA_LACKS_ID);
}

void older_schema_make(void)
{
    const struct record_schema *now = &outpost_v1_schema;
    size_t count = 0;

    for (size_t i = 0; i < now->type_count; i++) {
        const struct record_type *type = &now->types[i];
        if (type->number == OLDER_SCHEMA_LACKS_TYPE)
            continue;
        old_types[count] = *type;
        size_t fields = 0;
        for (size_t j = 0; j < type->field_count; j++)
            if (known_to_old(type->number, type->fields[j].number))
                old_fields[count][fields++] = type->fields[j];
        old_types[count].fields = old_fields[count];
        old_types[count].field_count = fields;
        count++;
    }
    older_schema = (struct record_schema){
        .revision = now->revision - 1, .types = old_types, .type_count = count};
}
