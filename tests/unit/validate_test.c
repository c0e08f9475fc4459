/* SPDX-License-Identifier: Apache-2.0
 *
 * Every rule that an annotation can set, at its edges; and that what the schema
 * does not know passes (I9).
 */
#include "outpost/record.h"
#include "outpost/v1/schema.gen.h"
#include "suite.h"
#include "test/v1/schema.gen.h"

/* 2024-02-29 12:00:00 UTC. */
static const int64_t now_ms = INT64_C(1709208000000);

/* ---- Records to check ------------------------------------------------------- */

static struct rpc_buffer buffer;

static void begin(void)
{
    rpc_buffer_init(&buffer, RECORD_BODY_BYTES_MAX);
}

static void put_text(uint32_t number, const char *text)
{
    wire_put_bytes(&buffer, number, rpc_bytes_view(text, strlen(text)));
}

static void put_double(uint32_t number, double value)
{
    struct wire_field field = {.number = number, .type = WIRE_FIXED64};

    memcpy(&field.value, &value, sizeof value);
    wire_put_field(&buffer, &field);
}

static void put_float(uint32_t number, float value)
{
    struct wire_field field = {.number = number, .type = WIRE_FIXED32};
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    field.value = bits;
    wire_put_field(&buffer, &field);
}

static struct record_verdict check(const struct record_type *type)
{
    struct record_body body;

    CU_ASSERT_TRUE_FATAL(record_body_parse(rpc_buffer_view(&buffer), &body));
    struct record_verdict verdict = record_validate(type, &body, now_ms);
    rpc_buffer_deinit(&buffer);
    return verdict;
}

/* The verdict of a type that has this one field, when it has this content. */
static enum record_problem check_text(const struct record_field *field, const char *text)
{
    const struct record_type type = {.fields = field, .field_count = 1};

    begin();
    put_text(field->number, text);
    return check(&type).problem;
}

static enum record_problem check_number(const struct record_field *field, int64_t value)
{
    const struct record_type type = {.fields = field, .field_count = 1};

    begin();
    wire_put_uint(&buffer, field->number, (uint64_t)value);
    return check(&type).problem;
}

static enum record_problem check_double(const struct record_field *field, double value)
{
    const struct record_type type = {.fields = field, .field_count = 1};

    begin();
    put_double(field->number, value);
    return check(&type).problem;
}

/* ---- Text --------------------------------------------------------------------- */

/* Goal: exactly UTF-8 passes: no overlong forms, no surrogates, nothing above
 * U+10FFFF, no cut characters, no NUL. */
static void test_utf8(void)
{
    static const struct record_field field = {.number = 1, .kind = RECORD_KIND_STRING};
    static const char *const good[] = {
        "Anna",
        "\xc2\x80",         /* U+0080 */
        "\xdf\xbf",         /* U+07FF */
        "\xe0\xa0\x80",     /* U+0800 */
        "\xed\x9f\xbf",     /* U+D7FF */
        "\xee\x80\x80",     /* U+E000 */
        "\xef\xbf\xbf",     /* U+FFFF */
        "\xf0\x90\x80\x80", /* U+10000 */
        "\xf4\x8f\xbf\xbf", /* U+10FFFF */
        "\x7f\x01",
        "\xe0\xa4\x86\xe0\xa4\xb6\xe0\xa4\xbe", /* Asha in Devanagari */
    };
    static const char *const bad[] = {
        "\x80", /* a continuation alone */
        "\xbf",
        "\xc0\x80",         /* NUL, overlong */
        "\xc1\xbf",         /* U+007F, overlong */
        "\xe0\x9f\xbf",     /* U+07FF, overlong */
        "\xf0\x8f\xbf\xbf", /* U+FFFF, overlong */
        "\xed\xa0\x80",     /* U+D800, a surrogate */
        "\xed\xbf\xbf",     /* U+DFFF */
        "\xf4\x90\x80\x80", /* U+110000 */
        "\xf5\x80\x80\x80",
        "\xf8\x88\x80\x80\x80", /* five bytes */
        "\xfc\x84\x80\x80\x80\x80",
        "\xfe",
        "\xff",
        "\xc2", /* cut */
        "\xe0\xa0",
        "\xf0\x90\x80",
        "\xc2\x41", /* broken off */
        "a\xe0\xa0zb",
        "\xf0\x90\x80"
        "a",
    };

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CU_ASSERT_EQUAL(check_text(&field, good[i]), RECORD_PROBLEM_NONE);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_EQUAL(check_text(&field, bad[i]), RECORD_PROBLEM_MALFORMED);

    begin();
    wire_put_bytes(&buffer, 1, rpc_bytes_view("a\0b", 3));
    CU_ASSERT_EQUAL(check(&(struct record_type){.fields = &field, .field_count = 1}).problem,
                    RECORD_PROBLEM_MALFORMED);
}

/* Goal: min_length counts characters, not bytes. */
static void test_min_length(void)
{
    static const struct record_field field = {
        .number = 1, .kind = RECORD_KIND_STRING, .min_length = 3};

    CU_ASSERT_EQUAL(check_text(&field, "abc"), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_text(&field, "ab"), RECORD_PROBLEM_FORMAT);
    CU_ASSERT_EQUAL(check_text(&field, "\xc3\xab\xc3\xab"), RECORD_PROBLEM_FORMAT);
    CU_ASSERT_EQUAL(check_text(&field, "\xc3\xab\xc3\xab\xc3\xab"), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_text(&field, ""), RECORD_PROBLEM_NONE); /* not recorded */
}

static void test_not_blank(void)
{
    static const struct record_field field = {
        .number = 1, .kind = RECORD_KIND_STRING, .format = RECORD_FORMAT_NOT_BLANK};

    CU_ASSERT_EQUAL(check_text(&field, " "), RECORD_PROBLEM_FORMAT);
    CU_ASSERT_EQUAL(check_text(&field, "\t\n\xc2\xa0\xe3\x80\x80\xe2\x80\x83"),
                    RECORD_PROBLEM_FORMAT);
    CU_ASSERT_EQUAL(check_text(&field, " a "), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_text(&field, "\xe0\xa4\x86"), RECORD_PROBLEM_NONE);
}

/* Goal: the Gregorian calendar, and one day of grace into the future. */
static void test_dates(void)
{
    static const struct record_field field = {
        .number = 1, .kind = RECORD_KIND_STRING, .format = RECORD_FORMAT_DATE, .not_future = true};
    static const struct {
        const char *text;
        enum record_problem problem;
    } cases[] = {
        {"1984-05-17", RECORD_PROBLEM_NONE},   {"0001-01-01", RECORD_PROBLEM_NONE},
        {"1970-01-01", RECORD_PROBLEM_NONE},   {"2000-02-29", RECORD_PROBLEM_NONE},
        {"2024-02-29", RECORD_PROBLEM_NONE},   {"2024-03-01", RECORD_PROBLEM_NONE},
        {"2024-03-02", RECORD_PROBLEM_FUTURE}, {"9999-12-31", RECORD_PROBLEM_FUTURE},
        {"1900-02-29", RECORD_PROBLEM_FORMAT}, {"2023-02-29", RECORD_PROBLEM_FORMAT},
        {"2023-02-28", RECORD_PROBLEM_NONE},   {"2023-04-31", RECORD_PROBLEM_FORMAT},
        {"2023-00-10", RECORD_PROBLEM_FORMAT}, {"2023-13-10", RECORD_PROBLEM_FORMAT},
        {"2023-01-00", RECORD_PROBLEM_FORMAT}, {"2023-01-32", RECORD_PROBLEM_FORMAT},
        {"0000-01-01", RECORD_PROBLEM_FORMAT}, {"2023-1-01", RECORD_PROBLEM_FORMAT},
        {"2023/01/01", RECORD_PROBLEM_FORMAT}, {"2023-01-01 ", RECORD_PROBLEM_FORMAT},
        {"20230101", RECORD_PROBLEM_FORMAT},   {"2023-01-0a", RECORD_PROBLEM_FORMAT},
        {"-023-01-01", RECORD_PROBLEM_FORMAT}, {"\xd9\xa2\xd9\xa0-01-01", RECORD_PROBLEM_FORMAT},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum record_problem problem = check_text(&field, cases[i].text);
        if (problem != cases[i].problem)
            printf("\n  %s: %s\n", cases[i].text, record_problem_text(problem));
        CU_ASSERT_EQUAL(problem, cases[i].problem);
    }
}

/* ---- Numbers ------------------------------------------------------------------- */

/* Goal: ranges are inclusive, exact for whole numbers of any size, and hold for
 * recorded values only. */
static void test_ranges(void)
{
    struct record_field field = {
        .number = 1, .kind = RECORD_KIND_INT32, .ranged = true, .min = -5, .max = 12};

    CU_ASSERT_EQUAL(check_number(&field, -5), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_number(&field, 12), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_number(&field, -6), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_number(&field, 13), RECORD_PROBLEM_RANGE);
    field.min = 1;
    CU_ASSERT_EQUAL(check_number(&field, 0), RECORD_PROBLEM_NONE); /* not recorded */

    field.kind = RECORD_KIND_INT64;
    field.min = -INT64_C(9007199254740993);
    field.max = INT64_C(9007199254740992); /* 2^53: a double skips its neighbour */
    CU_ASSERT_EQUAL(check_number(&field, field.max), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_number(&field, field.max + 1), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_number(&field, field.min), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_number(&field, field.min - 1), RECORD_PROBLEM_RANGE);

    field.kind = RECORD_KIND_UINT64;
    field.min = 1;
    field.max = INT64_MAX;
    CU_ASSERT_EQUAL(check_number(&field, INT64_MAX), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_number(&field, INT64_MIN), RECORD_PROBLEM_RANGE); /* 2^63 */

    field.kind = RECORD_KIND_DOUBLE;
    field.min = -90;
    field.max = 90;
    CU_ASSERT_EQUAL(check_double(&field, 90.0), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_double(&field, 90.0000001), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_double(&field, -90.5), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_double(&field, 0.0 / 0.0), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_double(&field, 1.0 / 0.0), RECORD_PROBLEM_RANGE);
    field.ranged = false;
    CU_ASSERT_EQUAL(check_double(&field, -1.0 / 0.0), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_double(&field, 1e300), RECORD_PROBLEM_NONE);
}

/* Goal: a value that its kind cannot hold is malformed. */
static void test_kinds(void)
{
    static const struct {
        enum record_kind kind;
        int64_t value;
        enum record_problem problem;
    } cases[] = {
        {RECORD_KIND_INT32, INT32_MIN, RECORD_PROBLEM_NONE},
        {RECORD_KIND_INT32, INT32_MAX, RECORD_PROBLEM_NONE},
        {RECORD_KIND_INT32, INT64_C(1) + INT32_MAX, RECORD_PROBLEM_MALFORMED},
        {RECORD_KIND_ENUM, -1, RECORD_PROBLEM_NONE},
        {RECORD_KIND_ENUM, 99, RECORD_PROBLEM_NONE}, /* a later version's */
        {RECORD_KIND_ENUM, INT64_C(1) << 40, RECORD_PROBLEM_MALFORMED},
        {RECORD_KIND_UINT32, UINT32_MAX, RECORD_PROBLEM_NONE},
        {RECORD_KIND_UINT32, INT64_C(1) + UINT32_MAX, RECORD_PROBLEM_MALFORMED},
        {RECORD_KIND_UINT64, -1, RECORD_PROBLEM_NONE},
        {RECORD_KIND_INT64, INT64_MIN, RECORD_PROBLEM_NONE},
        {RECORD_KIND_BOOL, 1, RECORD_PROBLEM_NONE},
        {RECORD_KIND_BOOL, 2, RECORD_PROBLEM_MALFORMED},
        {RECORD_KIND_STRING, 1, RECORD_PROBLEM_MALFORMED},
        {RECORD_KIND_BYTES, 1, RECORD_PROBLEM_MALFORMED},
        {RECORD_KIND_DOUBLE, 1, RECORD_PROBLEM_MALFORMED},
        {RECORD_KIND_FLOAT, 1, RECORD_PROBLEM_MALFORMED},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct record_field field = {.number = 1, .kind = cases[i].kind};
        CU_ASSERT_EQUAL(check_number(&field, cases[i].value), cases[i].problem);
    }
    const struct record_field number = {.number = 1, .kind = RECORD_KIND_UINT32};
    CU_ASSERT_EQUAL(check_text(&number, "12"), RECORD_PROBLEM_MALFORMED);
    CU_ASSERT_EQUAL(check_double(&number, 1.0), RECORD_PROBLEM_MALFORMED);
}

static void test_times(void)
{
    const struct record_field field = {.number = 1, .kind = RECORD_KIND_INT64, .not_future = true};
    const int64_t day_ms = INT64_C(86400000);

    CU_ASSERT_EQUAL(check_number(&field, now_ms + day_ms), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_number(&field, now_ms + day_ms + 1), RECORD_PROBLEM_FUTURE);
    CU_ASSERT_EQUAL(check_number(&field, -5), RECORD_PROBLEM_NONE);
}

static void test_ids(void)
{
    const struct record_field field = {
        .number = 1, .kind = RECORD_KIND_BYTES, .format = RECORD_FORMAT_UUID};

    CU_ASSERT_EQUAL(check_text(&field, "0123456789abcdef"), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_text(&field, "0123456789abcde"), RECORD_PROBLEM_FORMAT);
    CU_ASSERT_EQUAL(check_text(&field, "0123456789abcdef0"), RECORD_PROBLEM_FORMAT);
    CU_ASSERT_EQUAL(check_text(&field, ""), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(
        check_text(&field, "\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc\xff\xfe\xfd\xfc"),
        RECORD_PROBLEM_NONE);
}

static int compare(enum record_kind kind, uint64_t a, uint64_t b)
{
    enum wire_type type = kind == RECORD_KIND_DOUBLE   ? WIRE_FIXED64
                          : kind == RECORD_KIND_STRING ? WIRE_LEN
                                                       : WIRE_VARINT;
    const struct wire_field x = {.number = 1, .type = type, .value = a};
    const struct wire_field y = {.number = 1, .type = type, .value = b};

    return record_value_compare(kind, &x, &y);
}

/* Goal: values compare as numbers of their kind, exactly; text does not. */
static void test_value_compare(void)
{
    const struct wire_field fixed = {.number = 1, .type = WIRE_FIXED64, .value = 1};
    const struct wire_field varint = {.number = 1, .type = WIRE_VARINT, .value = 1};

    CU_ASSERT_TRUE(compare(RECORD_KIND_INT32, (uint64_t)-1, 1) < 0);
    CU_ASSERT_TRUE(compare(RECORD_KIND_UINT64, (uint64_t)-1, 1) > 0);
    CU_ASSERT_EQUAL(compare(RECORD_KIND_INT64, 5, 5), 0);
    CU_ASSERT_TRUE(
        compare(RECORD_KIND_INT64, UINT64_C(9007199254740993), UINT64_C(9007199254740992)) > 0);
    /* 1.0 and -1.0, by their bits */
    CU_ASSERT_TRUE(compare(RECORD_KIND_DOUBLE, UINT64_C(0x3ff0000000000000),
                           UINT64_C(0xbff0000000000000)) > 0);
    CU_ASSERT_EQUAL(compare(RECORD_KIND_STRING, 1, 2), 0);
    CU_ASSERT_EQUAL(record_value_compare(RECORD_KIND_INT32, &fixed, &varint), 0);
    CU_ASSERT_EQUAL(record_value_compare(RECORD_KIND_INT32, &varint, &fixed), 0);
}

/* ---- Fields together ------------------------------------------------------------- */

static void test_required(void)
{
    static const struct record_field fields[] = {
        {.number = 1, .kind = RECORD_KIND_UINT32},
        {.number = 2, .kind = RECORD_KIND_UINT32, .required = true},
    };
    const struct record_type type = {.fields = fields, .field_count = 2};

    begin();
    wire_put_uint(&buffer, 1, 5);
    struct record_verdict verdict = check(&type);
    CU_ASSERT_EQUAL(verdict.problem, RECORD_PROBLEM_REQUIRED);
    CU_ASSERT_EQUAL(verdict.field, 2);
    begin();
    wire_put_uint(&buffer, 2, 5);
    CU_ASSERT_EQUAL(check(&type).problem, RECORD_PROBLEM_NONE);
}

static enum record_problem check_pair(const struct record_field fields[2], uint64_t first,
                                      uint64_t second)
{
    const struct record_type type = {.fields = fields, .field_count = 2};

    begin();
    wire_put_uint(&buffer, 1, first);
    wire_put_uint(&buffer, 2, second);
    return check(&type).problem;
}

/* Goal: not_below compares recorded values, exactly; signed with unsigned too. */
static void test_not_below(void)
{
    struct record_field fields[] = {
        {.number = 1, .kind = RECORD_KIND_UINT64, .not_below = 2},
        {.number = 2, .kind = RECORD_KIND_INT64},
    };

    CU_ASSERT_EQUAL(check_pair(fields, 120, 80), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, 80, 80), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, 79, 80), RECORD_PROBLEM_CONTRADICTION);
    CU_ASSERT_EQUAL(check_pair(fields, 0, 80), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, 80, 0), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, 5, (uint64_t)-1), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, UINT64_MAX, 80), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, UINT64_C(9007199254740992), UINT64_C(9007199254740993)),
                    RECORD_PROBLEM_CONTRADICTION);
    fields[0].kind = RECORD_KIND_INT64;
    CU_ASSERT_EQUAL(check_pair(fields, (uint64_t)-7, (uint64_t)-6), RECORD_PROBLEM_CONTRADICTION);
    fields[1].kind = RECORD_KIND_UINT64;
    CU_ASSERT_EQUAL(check_pair(fields, (uint64_t)-7, 6), RECORD_PROBLEM_CONTRADICTION);
}

static void test_together_with(void)
{
    static const struct record_field fields[] = {
        {.number = 1, .kind = RECORD_KIND_UINT32, .together_with = 2},
        {.number = 2, .kind = RECORD_KIND_UINT32},
    };

    CU_ASSERT_EQUAL(check_pair(fields, 1, 1), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, 0, 0), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(fields, 1, 0), RECORD_PROBLEM_CONTRADICTION);
    CU_ASSERT_EQUAL(check_pair(fields, 0, 1), RECORD_PROBLEM_CONTRADICTION);
}

static void test_exactly_one_of(void)
{
    static const struct record_field fields[] = {
        {.number = 1, .kind = RECORD_KIND_UINT32},
        {.number = 2, .kind = RECORD_KIND_UINT32},
        {.number = 3, .kind = RECORD_KIND_UINT32},
    };
    static const uint32_t numbers[] = {2, 3};
    const struct record_type type = {
        .fields = fields,
        .field_count = 3,
        .exactly_one_of = numbers,
        .exactly_one_of_count = 2,
    };
    static const enum record_problem expected[] = {RECORD_PROBLEM_REQUIRED, RECORD_PROBLEM_NONE,
                                                   RECORD_PROBLEM_NONE,
                                                   RECORD_PROBLEM_CONTRADICTION};

    for (unsigned recorded = 0; recorded < 4; recorded++) {
        begin();
        wire_put_uint(&buffer, 1, 1);
        wire_put_uint(&buffer, 2, recorded & 1);
        wire_put_uint(&buffer, 3, recorded >> 1);
        CU_ASSERT_EQUAL(check(&type).problem, expected[recorded]);
    }
}

/* ---- Whole records --------------------------------------------------------------- */

/* Goal: I9: a field that this version does not know passes, whatever it is. */
static void test_I9_unknown_fields_pass(void)
{
    begin();
    put_text(1, "Clinic");
    put_text(11, "0123456789abcdef");
    put_text(99, "\xff\xff");
    wire_put_uint(&buffer, 100, UINT64_MAX);
    CU_ASSERT_EQUAL(check(record_type_by_table(&outpost_v1_schema, "facility")).problem,
                    RECORD_PROBLEM_NONE);
}

/* Goal: the generated tables say what blood_pressure.proto and patient.proto do. */
static void test_generated_rules(void)
{
    const struct record_type *reading = record_type_by_table(&outpost_v1_schema, "blood_pressure");
    const struct record_type *patient = record_root_type(&outpost_v1_schema);
    struct record_verdict verdict;

    CU_ASSERT_EQUAL(check_pair(reading->fields, 120, 80), RECORD_PROBLEM_NONE);
    CU_ASSERT_EQUAL(check_pair(reading->fields, 301, 80), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_pair(reading->fields, 120, 39), RECORD_PROBLEM_RANGE);
    CU_ASSERT_EQUAL(check_pair(reading->fields, 120, 0), RECORD_PROBLEM_REQUIRED);
    CU_ASSERT_EQUAL(check_pair(reading->fields, 80, 81), RECORD_PROBLEM_CONTRADICTION);

    begin();
    put_text(1, "Anna");
    put_text(3, "1984-05-17");
    put_text(15, "0123456789abcdef");
    CU_ASSERT_EQUAL(check(patient).problem, RECORD_PROBLEM_NONE);
    begin();
    put_text(1, "Anna");
    put_text(3, "1984-05-17");
    wire_put_uint(&buffer, 4, 40);
    wire_put_uint(&buffer, 5, 1);
    put_text(15, "0123456789abcdef");
    verdict = check(patient);
    CU_ASSERT_EQUAL(verdict.problem, RECORD_PROBLEM_CONTRADICTION);
    CU_ASSERT_EQUAL(verdict.field, 3);
    begin();
    put_text(1, "Anna");
    wire_put_uint(&buffer, 4, 40);
    put_text(15, "0123456789abcdef");
    verdict = check(patient);
    CU_ASSERT_EQUAL(verdict.problem, RECORD_PROBLEM_CONTRADICTION);
    CU_ASSERT_EQUAL(verdict.field, 5);
}

/* Goal: kinds and rules that the product does not use yet, from the test
 * package: bool, float, groups, and int32 below zero. */
static void test_generated_rules_of_the_test_package(void)
{
    const struct record_type *person = record_root_type(&test_v1_schema);

    begin();
    wire_put_uint(&buffer, 1, (uint64_t)-5);
    wire_put_uint(&buffer, 4, 1);
    put_float(8, 399.5f);
    put_float(11, 1.5f);
    put_float(12, 1.5f);
    CU_ASSERT_EQUAL(check(person).problem, RECORD_PROBLEM_NONE);
    begin();
    wire_put_uint(&buffer, 4, 1);
    put_float(8, 400.5f);
    CU_ASSERT_EQUAL(check(person).field, 8);
    begin();
    wire_put_uint(&buffer, 4, 1);
    put_float(11, 1.75f);
    put_float(12, 1.5f);
    CU_ASSERT_EQUAL(check(person).problem, RECORD_PROBLEM_CONTRADICTION);
}

static void test_problem_texts(void)
{
    CU_ASSERT_STRING_EQUAL(record_problem_text(RECORD_PROBLEM_RANGE), "out of range");
    for (int problem = 0; problem < 64; problem++)
        CU_ASSERT_PTR_NOT_NULL(record_problem_text((enum record_problem)problem));
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_utf8),
        SUITE_TEST(test_min_length),
        SUITE_TEST(test_not_blank),
        SUITE_TEST(test_dates),
        SUITE_TEST(test_ranges),
        SUITE_TEST(test_kinds),
        SUITE_TEST(test_times),
        SUITE_TEST(test_ids),
        SUITE_TEST(test_value_compare),
        SUITE_TEST(test_required),
        SUITE_TEST(test_not_below),
        SUITE_TEST(test_together_with),
        SUITE_TEST(test_exactly_one_of),
        SUITE_TEST(test_I9_unknown_fields_pass),
        SUITE_TEST(test_generated_rules),
        SUITE_TEST(test_generated_rules_of_the_test_package),
        SUITE_TEST(test_problem_texts),
    };

    return suite_run("validate", tests, sizeof tests / sizeof tests[0]);
}
