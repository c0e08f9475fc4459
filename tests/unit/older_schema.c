/* SPDX-License-Identifier: Apache-2.0
 *
 * See older_schema.h. The device SQL is that of now without the lines and names of what
 * is left out.
 */
#include "older_schema.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TYPES_MAX = 64, FIELDS_MAX = 64 };

static struct record_field old_fields[TYPES_MAX][FIELDS_MAX];
static struct record_type old_types[TYPES_MAX];
static char *old_sql[TYPES_MAX];
struct record_schema older_schema;

/* Fields that the older schema does not have: a text, a number and an id. */
static bool known_to_old(uint32_t type, uint32_t field)
{
    return type != 10 || (field != OLDER_SCHEMA_LACKS_TEXT && field != OLDER_SCHEMA_LACKS_NUMBER &&
                          field != OLDER_SCHEMA_LACKS_ID);
}

static void cut_line(char *sql, const char *name)
{
    char pattern[64];
    char *line;

    snprintf(pattern, sizeof pattern, "  %s ", name);
    while ((line = strstr(sql, pattern)) != NULL) {
        char *end = strchr(line, '\n') + 1;
        memmove(line, end, strlen(end) + 1);
    }
}

/* Takes a name out of the column lists, wherever a line was broken. */
static void cut_name(char *sql, const char *name)
{
    char pattern[64];
    char *at = sql;

    snprintf(pattern, sizeof pattern, "%s,", name);
    while ((at = strstr(at, pattern)) != NULL) {
        if (at[-1] == ' ')
            memset(at, ' ', strlen(pattern));
        at++;
    }
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
        old_sql[count] = strdup(type->device_sql);
        size_t fields = 0;
        for (size_t j = 0; j < type->field_count; j++) {
            if (known_to_old(type->number, type->fields[j].number)) {
                old_fields[count][fields++] = type->fields[j];
                continue;
            }
            cut_line(old_sql[count], type->fields[j].name);
            cut_name(old_sql[count], type->fields[j].name);
        }
        /* Deleting a patient deletes its children: not those of a type that is not there. */
        char *member = strstr(old_sql[count], "DELETE FROM blood_pressure");
        if (member != NULL)
            memset(member, ' ', (size_t)(strchr(member, ';') + 1 - member));
        old_types[count].fields = old_fields[count];
        old_types[count].field_count = fields;
        old_types[count].device_sql = old_sql[count];
        count++;
    }
    older_schema = (struct record_schema){
        .revision = now->revision - 1, .types = old_types, .type_count = count};
}

void older_schema_free(void)
{
    for (size_t i = 0; i < TYPES_MAX; i++) {
        free(old_sql[i]);
        old_sql[i] = NULL;
    }
}
