/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: the reader finds columns by name, hands out whole rows and tells every
 * fault by file and line. Method: small files written into a temporary folder.
 */
#include "outpost/synthea_csv.h"
#include "suite.h"

#include <stdio.h>
#include <unistd.h>

static const char *const columns[] = {"Id", "NAME", "VALUE"};

static struct synthea_csv *open_text(const char *text, struct synthea_error *error)
{
    char path[] = "/tmp/outpost-csv-XXXXXX";
    int descriptor = mkstemp(path);
    struct synthea_csv *csv;

    CU_ASSERT_FATAL(descriptor >= 0);
    CU_ASSERT(write(descriptor, text, strlen(text)) == (ssize_t)strlen(text));
    close(descriptor);
    csv = synthea_csv_open(path, columns, 3, error);
    unlink(path);
    return csv;
}

static void test_columns_are_found_by_name(void)
{
    struct synthea_error error;
    struct synthea_row row;
    struct synthea_csv *csv = open_text("\xef\xbb\xbfVALUE,other,NAME,Id\r\n"
                                        "1.5,x,\"a, \"\"b\"\"\nc\",i1\r\n"
                                        "\r\n"
                                        ",x,,i2",
                                        &error);

    CU_ASSERT_FATAL(csv != NULL);
    CU_ASSERT_EQUAL(synthea_csv_next(csv, &row, &error), SYNTHEA_ROW);
    CU_ASSERT_EQUAL(row.line, 2);
    CU_ASSERT_STRING_EQUAL(row.values[0], "i1");
    CU_ASSERT_STRING_EQUAL(row.values[1], "a, \"b\"\nc");
    CU_ASSERT_STRING_EQUAL(row.values[2], "1.5");
    CU_ASSERT_EQUAL(synthea_csv_next(csv, &row, &error), SYNTHEA_ROW);
    CU_ASSERT_STRING_EQUAL(row.values[0], "i2");
    CU_ASSERT_STRING_EQUAL(row.values[1], "");
    CU_ASSERT_STRING_EQUAL(row.values[2], "");
    CU_ASSERT_EQUAL(synthea_csv_next(csv, &row, &error), SYNTHEA_END);
    CU_ASSERT_EQUAL(synthea_csv_next(csv, &row, &error), SYNTHEA_END);
    synthea_csv_close(csv);
}

static void test_missing_column_names_file_and_column(void)
{
    struct synthea_error error;

    CU_ASSERT_PTR_NULL(open_text("Id,VALUE\n", &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "/tmp/outpost-csv-"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, ": column NAME is missing"));
    CU_ASSERT_PTR_NULL(open_text("", &error));
    CU_ASSERT_PTR_NULL(synthea_csv_open("/tmp/no such file", columns, 3, &error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "/tmp/no such file: "));
}

static void test_faults_tell_their_line_and_no_value(void)
{
    static const char *const rows[] = {
        "a,b,1\nsecret\"x,b,2\n", /* a quote inside a bare field */
        "a,b,1\nsecret,b\n",      /* a column too few */
        "a,b,1\nsecret,b,1,2\n",  /* one too many */
        "a,b,1\n\"secret,b,1\n",  /* never closed */
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        struct synthea_error error = {""};
        struct synthea_row row;
        snprintf(text, sizeof text, "Id,NAME,VALUE\n%s", rows[i]);
        struct synthea_csv *csv = open_text(text, &error);
        CU_ASSERT_FATAL(csv != NULL);
        CU_ASSERT_EQUAL(synthea_csv_next(csv, &row, &error), SYNTHEA_ROW);
        CU_ASSERT_EQUAL(synthea_csv_next(csv, &row, &error), SYNTHEA_FAILED);
        CU_ASSERT_PTR_NOT_NULL(strstr(error.message, i == 3 ? "line 4: " : "line 3: "));
        CU_ASSERT_PTR_NULL(strstr(error.message, "secret"));
        synthea_csv_close(csv);
    }
}

static void test_row_without_end_is_refused(void)
{
    struct synthea_error error;
    struct synthea_row row;
    size_t len = SYNTHEA_ROW_BYTES_MAX + 100;
    char *text = malloc(len + 1);

    CU_ASSERT_FATAL(text != NULL);
    memset(text, 'x', len);
    text[len] = '\0';
    memcpy(text, "Id,NAME,VALUE\n\"", 15);
    struct synthea_csv *csv = open_text(text, &error);
    CU_ASSERT_FATAL(csv != NULL);
    CU_ASSERT_EQUAL(synthea_csv_next(csv, &row, &error), SYNTHEA_FAILED);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.message, "too long"));
    synthea_csv_close(csv);
    free(text);
}

static void test_times(void)
{
    static const struct {
        const char *text;
        bool good;
        int64_t time_ms;
    } cases[] = {
        {"1970-01-01", true, 0},
        {"1970-01-01T00:00:01Z", true, 1000},
        {"1970-01-01T00:00:01.25Z", true, 1250},
        {"1970-01-01T00:00:01.1234567Z", true, 1123},
        {"1970-01-01T05:30:00+05:30", true, 0},
        {"1969-12-31T23:59:59", true, -1000},
        {"2021-08-23T03:26:50Z", true, INT64_C(1629689210000)},
        {"2000-02-29", true, INT64_C(951782400000)},
        {"1900-02-29", false, 0},
        {"2021-13-01", false, 0},
        {"2021-08-23 03:26:50", false, 0},
        {"2021-08-23T03:26:50Zx", false, 0},
        {"2021-08-23T24:00:00Z", false, 0},
        {"", false, 0},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t time_ms = 0;
        CU_ASSERT_EQUAL(synthea_time_parse(cases[i].text, &time_ms), cases[i].good);
        CU_ASSERT_EQUAL(time_ms, cases[i].time_ms);
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_columns_are_found_by_name),
        SUITE_TEST(test_missing_column_names_file_and_column),
        SUITE_TEST(test_faults_tell_their_line_and_no_value),
        SUITE_TEST(test_row_without_end_is_refused),
        SUITE_TEST(test_times),
    };

    return suite_run("synthea_csv", tests, sizeof tests / sizeof tests[0]);
}
