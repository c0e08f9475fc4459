/* SPDX-License-Identifier: Apache-2.0 */
#include "values.h"

#include "peek.h"

#include <stdio.h>
#include <string.h>

enum {
    SYSTOLIC = 1,
    DIASTOLIC = 2,
    SYSTOLIC_MIN = 180,
    SYSTOLIC_MAX = 300,
    DIASTOLIC_MIN = 40,
    SYSTOLIC_COUNT = SYSTOLIC_MAX - SYSTOLIC_MIN + 1,
};

const struct value_group value_groups[] = {
    {TYPE_PATIENT, 1, VALUE_TEXT, 1, "full_name", false},
    {TYPE_PATIENT, 3, VALUE_BIRTH, 5, "age_recorded_at_ms", true},
    {TYPE_PATIENT, 7, VALUE_TEXT, 7, "street_address", false},
    {TYPE_PATIENT, 8, VALUE_TEXT, 8, "village_or_colony", false},
    {TYPE_PATIENT, 9, VALUE_TEXT, 9, "zone", false},
    {TYPE_PATIENT, 10, VALUE_TEXT, 10, "district", false},
    {TYPE_PATIENT, 13, VALUE_TEXT, 13, "pin_code", false},
    {TYPE_PATIENT, 18, VALUE_NUMBER, 18, "recorded_at_ms", false},
    {TYPE_PATIENT, 40, VALUE_TEXT, 40, NULL, false},
    {TYPE_PHONE, 1, VALUE_TEXT, 1, "number", true},
    {TYPE_IDENTIFIER, 2, VALUE_TEXT, 2, "value", false},
    {TYPE_PRESSURE, 1, VALUE_PRESSURE, 1, "systolic_mmhg", true},
    {TYPE_PRESSURE, 3, VALUE_NUMBER, 3, "recorded_at_ms", false},
    {TYPE_PRESSURE, 40, VALUE_TEXT, 40, NULL, false},
    {TYPE_FACILITY, 1, VALUE_TEXT, 1, "name", false},
    {TYPE_UNKNOWN, 1, VALUE_TEXT, 1, NULL, false},
};
const size_t value_group_count = sizeof value_groups / sizeof value_groups[0];

const char *value_table(uint32_t type)
{
    static const char *const tables[] = {
        [TYPE_PATIENT] = "patient",
        [TYPE_PHONE] = "patient_phone",
        [TYPE_IDENTIFIER] = "patient_identifier",
        [TYPE_PRESSURE] = "blood_pressure",
        [TYPE_FACILITY] = "facility",
        [TYPE_REGION] = "sync_region",
    };

    return type < sizeof tables / sizeof tables[0] ? tables[type] : NULL;
}

const struct value_group *value_group_find(uint32_t type, uint32_t group)
{
    for (size_t i = 0; i < value_group_count; i++)
        if (value_groups[i].type == type && value_groups[i].group == group)
            return &value_groups[i];
    return NULL;
}

void value_text(uint32_t n, char text_out[16])
{
    snprintf(text_out, 16, "v%06u", n);
}

const char *value_columns(const struct value_group *group)
{
    switch (group->form) {
    case VALUE_TEXT:
    case VALUE_NUMBER:
        break;
    case VALUE_BIRTH:
        return "age_years, age_recorded_at_ms";
    case VALUE_PRESSURE:
        return "systolic_mmhg, diastolic_mmhg";
    }
    return group->column;
}

void value_literals(const struct value_group *group, uint32_t n, bool bad,
                    char sql_out[VALUES_SQL_LEN])
{
    switch (group->form) {
    case VALUE_TEXT:
        snprintf(sql_out, VALUES_SQL_LEN, bad ? "'b%04u'" : "'v%06u'", n);
        break;
    case VALUE_NUMBER:
        snprintf(sql_out, VALUES_SQL_LEN, "%u", n);
        break;
    case VALUE_BIRTH:
        snprintf(sql_out, VALUES_SQL_LEN, "%u, %u", 1 + n % 120 + (bad ? 130 : 0), n);
        break;
    case VALUE_PRESSURE:
        snprintf(sql_out, VALUES_SQL_LEN, "%u, %u",
                 bad ? SYSTOLIC_MAX + 1 + n : SYSTOLIC_MIN + n % SYSTOLIC_COUNT,
                 bad ? DIASTOLIC_MIN : DIASTOLIC_MIN + n / SYSTOLIC_COUNT);
        break;
    }
}

void value_expression(const struct value_group *group, char sql_out[VALUES_SQL_LEN])
{
    switch (group->form) {
    case VALUE_TEXT:
        snprintf(sql_out, VALUES_SQL_LEN, "CAST(substr(%s, 2, 6) AS INTEGER)", group->column);
        break;
    case VALUE_NUMBER:
    case VALUE_BIRTH:
        snprintf(sql_out, VALUES_SQL_LEN, "%s", group->column);
        break;
    case VALUE_PRESSURE:
        snprintf(sql_out, VALUES_SQL_LEN,
                 "CASE WHEN systolic_mmhg = 0 THEN 0 WHEN systolic_mmhg > %d THEN systolic_mmhg -"
                 " %d ELSE systolic_mmhg - %d + (diastolic_mmhg - %d) * %d END",
                 SYSTOLIC_MAX, SYSTOLIC_MAX + 1, SYSTOLIC_MIN, DIASTOLIC_MIN, SYSTOLIC_COUNT);
        break;
    }
}

static uint32_t number_in_text(const struct peek_field *field)
{
    uint32_t n = 0;

    for (size_t i = 1; i < field->len && i < 7; i++) {
        if (field->data[i] < '0' || field->data[i] > '9')
            return 0;
        n = n * 10 + (uint32_t)(field->data[i] - '0');
    }
    return n;
}

uint32_t value_in_body(const struct value_group *group, const void *body, size_t len)
{
    struct peek_field field, other;

    if (!peek_find(body, len, group->field, &field))
        return 0;
    switch (group->form) {
    case VALUE_TEXT:
        return field.data != NULL ? number_in_text(&field) : 0;
    case VALUE_NUMBER:
    case VALUE_BIRTH:
        return (uint32_t)field.value;
    case VALUE_PRESSURE:
        if (field.value > SYSTOLIC_MAX)
            return (uint32_t)field.value - SYSTOLIC_MAX - 1;
        if (field.value < SYSTOLIC_MIN || !peek_find(body, len, DIASTOLIC, &other))
            return 0;
        return (uint32_t)(field.value - SYSTOLIC_MIN +
                          (other.value - DIASTOLIC_MIN) * SYSTOLIC_COUNT);
    }
    return 0;
}
