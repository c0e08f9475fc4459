/* SPDX-License-Identifier: Apache-2.0
 *
 * Values that tell where they come from: each is a number that is written once in
 * a world, in a form that its field takes; so wherever it turns up, in a row, a
 * body, a mutation or a conflict, it says which edit made it.
 *
 * A group is what is merged as one: a field, or a merge group.
 */
#ifndef OUTPOST_TESTS_SIM_VALUES_H
#define OUTPOST_TESTS_SIM_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TYPE_PATIENT = 10,
    TYPE_PHONE = 11,
    TYPE_IDENTIFIER = 12,
    TYPE_PRESSURE = 13,
    TYPE_FACILITY = 14,
    TYPE_REGION = 15,
    TYPE_UNKNOWN = 99, /* of a newer app; no device here has a table for it */

    PATIENT_REGISTERED_AT = 15,
    PATIENT_ASSIGNED_TO = 16,

    VALUES_SQL_LEN = 160,
};

/* How a value is written; the columns' own rules must like it, or not like it. */
enum value_form {
    VALUE_TEXT,     /* "v000123"; bad: "b0123" where a text needs six letters */
    VALUE_NUMBER,   /* 123 */
    VALUE_BIRTH,    /* an age, and 123 as its time; bad: an age of 130 and more */
    VALUE_PRESSURE, /* both numbers hold it; bad: systolic above 300 */
};

struct value_group {
    uint32_t type, group; /* group: the number of its first field */
    enum value_form form;
    uint32_t field;     /* in which a body has it */
    const char *column; /* NULL: no device has one */
    bool spoils;        /* it can be written badly */
};

extern const struct value_group value_groups[];
extern const size_t value_group_count;

const char *value_table(uint32_t type);
const struct value_group *value_group_find(uint32_t type, uint32_t group);

/* "column, ..." and, for these, "value, ..." */
const char *value_columns(const struct value_group *group);
void value_literals(const struct value_group *group, uint32_t n, bool bad,
                    char sql_out[VALUES_SQL_LEN]);
/* An expression that gives the value's number, 0 for none. */
void value_expression(const struct value_group *group, char sql_out[VALUES_SQL_LEN]);

/* The number in a body; 0: none. */
uint32_t value_in_body(const struct value_group *group, const void *body, size_t len);
void value_text(uint32_t n, char text_out[16]);

#endif
