/* SPDX-License-Identifier: Apache-2.0
 *
 * The generated tables are what the runtime expects of every schema, and the
 * look-ups find what is in them and nothing else.
 */
#include "outpost/record.h"
#include "outpost/v1/schema.gen.h"
#include "suite.h"
#include "test/v1/schema.gen.h"

static const struct record_schema *const schemas[] = {&outpost_v1_schema, &test_v1_schema};

/* Goal: what record.h promises of tables: ascending numbers, one root, each
 * number that a rule names is there. */
static void check_type(const struct record_schema *schema, const struct record_type *type)
{
    CU_ASSERT_TRUE(type->number >= RECORD_TYPE_MIN);
    CU_ASSERT_PTR_EQUAL(record_type_by_number(schema, type->number), type);
    CU_ASSERT_PTR_EQUAL(record_type_by_table(schema, type->table), type);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        CU_ASSERT_TRUE(i == 0 || field->number > type->fields[i - 1].number);
        CU_ASSERT_PTR_EQUAL(record_field_by_number(type, field->number), field);
        CU_ASSERT_PTR_EQUAL(record_field_by_name(type, field->name), field);
        const struct record_field *first = record_field_by_number(type, field->group);
        CU_ASSERT_PTR_NOT_NULL_FATAL(first);
        CU_ASSERT_EQUAL(first->group, first->number);
        CU_ASSERT_TRUE(first->number <= field->number);
        if (field->reference != 0)
            CU_ASSERT_PTR_NOT_NULL(record_type_by_number(schema, field->reference));
    }
    for (size_t i = 0; i < type->exactly_one_of_count; i++)
        CU_ASSERT_PTR_NOT_NULL(record_field_by_number(type, type->exactly_one_of[i]));
    CU_ASSERT_PTR_NULL(record_field_by_number(type, 0));
    CU_ASSERT_PTR_NULL(record_field_by_number(type, UINT32_MAX));
    CU_ASSERT_PTR_NULL(record_field_by_name(type, "no_such_field"));
}

static void test_tables_are_sound(void)
{
    for (size_t s = 0; s < sizeof schemas / sizeof schemas[0]; s++) {
        const struct record_schema *schema = schemas[s];
        size_t roots = 0;
        CU_ASSERT(schema->revision >= 1);
        for (size_t i = 0; i < schema->type_count; i++) {
            CU_ASSERT_TRUE(i == 0 || schema->types[i].number > schema->types[i - 1].number);
            roots += schema->types[i].family == RECORD_FAMILY_ROOT;
            check_type(schema, &schema->types[i]);
        }
        CU_ASSERT_EQUAL(roots, 1);
        CU_ASSERT_EQUAL(record_root_type(schema)->family, RECORD_FAMILY_ROOT);
        CU_ASSERT_PTR_NULL(record_type_by_number(schema, 9));
        CU_ASSERT_PTR_NULL(record_type_by_table(schema, "no_such_table"));
    }
}

/* Goal: every annotation reaches its member of the table. Method: the test
 * package, whose options are set in all ways that protobuf allows. */
static void test_annotations_reach_the_tables(void)
{
    const struct record_type *person = record_type_by_table(&test_v1_schema, "person");
    const struct record_type *home = record_type_by_table(&test_v1_schema, "home");
    const struct record_field *field;

    CU_ASSERT_PTR_NOT_NULL_FATAL(person);
    CU_ASSERT_EQUAL(person->number, 20);
    CU_ASSERT_STRING_EQUAL(person->name, "Person");
    CU_ASSERT_EQUAL_FATAL(person->exactly_one_of_count, 3);
    CU_ASSERT_EQUAL(person->exactly_one_of[0], 7);
    CU_ASSERT_EQUAL(person->exactly_one_of[2], 4);

    field = record_field_by_name(person, "mail");
    CU_ASSERT_EQUAL(field->format, RECORD_FORMAT_NOT_BLANK);
    CU_ASSERT_TRUE(field->personal);
    field = record_field_by_name(person, "phone");
    CU_ASSERT_EQUAL(field->min_length, 3);
    field = record_field_by_name(person, "doses");
    CU_ASSERT_EQUAL(field->merge, RECORD_MERGE_ONE_WAY);
    CU_ASSERT_TRUE(field->ranged);
    CU_ASSERT_EQUAL(field->min, 1);
    CU_ASSERT_EQUAL(field->max, 12);
    field = record_field_by_name(person, "best");
    CU_ASSERT_EQUAL(field->merge, RECORD_MERGE_MAXIMUM);
    CU_ASSERT_EQUAL(field->min, INT64_MIN);
    CU_ASSERT_EQUAL(field->max, INT64_MAX);
    field = record_field_by_name(person, "high");
    CU_ASSERT_EQUAL(field->group, 11);
    CU_ASSERT_EQUAL(field->not_below, 11);
    field = record_field_by_name(person, "low");
    CU_ASSERT_EQUAL(field->group, 11);
    CU_ASSERT_EQUAL(field->together_with, 12);
    field = record_field_by_name(person, "sealed_on");
    CU_ASSERT_EQUAL(field->merge, RECORD_MERGE_FIRST_WRITE);
    CU_ASSERT_TRUE(field->not_future);
    CU_ASSERT_EQUAL(record_field_by_name(person, "height_m")->kind, RECORD_KIND_DOUBLE);
    CU_ASSERT_EQUAL(record_field_by_name(person, "home_id")->reference, home->number);
    CU_ASSERT_TRUE(record_field_by_name(home, "parent_home_id")->scope);
    CU_ASSERT_TRUE(record_field_by_name(home, "street")->required);

    const struct record_field *fill =
        record_field_by_name(record_root_type(&outpost_v1_schema), "registration_facility_id");
    CU_ASSERT_EQUAL(fill->fill, RECORD_FILL_DEVICE_FACILITY);
}

/* Goal: keys are ordered by family, type, id. */
static void test_key_order(void)
{
    struct record_key a = {.type = 10}, b = {.type = 11};

    CU_ASSERT_TRUE(record_key_compare(&a, &b) < 0);
    a.family.bytes[0] = 1;
    CU_ASSERT_TRUE(record_key_compare(&a, &b) > 0);
    b = a;
    CU_ASSERT_EQUAL(record_key_compare(&a, &b), 0);
    b.id.bytes[15] = 1;
    CU_ASSERT_TRUE(record_key_compare(&a, &b) < 0);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_tables_are_sound),
        SUITE_TEST(test_annotations_reach_the_tables),
        SUITE_TEST(test_key_order),
    };

    return suite_run("record", tests, sizeof tests / sizeof tests[0]);
}
