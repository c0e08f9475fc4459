/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: the outpost command's exit codes, output and files, as scripts rely on
 * them, for all that needs no server. Method: the program itself, run by a shell
 * in a temporary folder.
 */
#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static struct device device; /* its database is what the commands work on */
static char output[16 * 1024];

static void set_up(void)
{
    device_open(&device, 1, &outpost_v1_schema);
}

static void tear_down(void)
{
    device_close(&device);
}

/* Runs a line of the shell, in which $DB is the database; the exit code. Standard
 * output and error are in output. */
static int run_line(const char *program, const char *format, va_list list)
{
    char arguments[1024], line[2048];
    size_t len;

    vsnprintf(arguments, sizeof arguments, format, list);
    snprintf(line, sizeof line, "exec 2>&1; DB=%s; %s %s", device.path, program, arguments);
    FILE *pipe = popen(line, "r");
    CU_ASSERT_FATAL(pipe != NULL);
    len = fread(output, 1, sizeof output - 1, pipe);
    output[len] = '\0';
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int run(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    int code = run_line(OUTPOST_PROGRAM, format, list);
    va_end(list);
    return code;
}

static void shell(const char *format, ...)
{
    va_list list;

    va_start(list, format);
    CU_ASSERT_EQUAL(run_line("", format, list), 0);
    va_end(list);
}

static bool says(const char *text)
{
    if (strstr(output, text) != NULL)
        return true;
    fprintf(stderr, "no \"%s\" in:\n%s\n", text, output);
    return false;
}

static void test_help_everywhere(void)
{
    static const char *const commands[] = {"init",   "import", "sync", "facility",
                                           "status", "verify", "sql"};

    set_up();
    CU_ASSERT_EQUAL(run("--help"), 0);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        char usage[64];
        snprintf(usage, sizeof usage, "outpost %s", commands[i]);
        CU_ASSERT_TRUE(says(usage));
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        CU_ASSERT_EQUAL(run("%s --help", commands[i]), 0);
        CU_ASSERT_TRUE(says("usage: outpost"));
    }
    tear_down();
}

static void test_usage_is_64(void)
{
    static const char *const lines[] = {
        "",
        "nonsense",
        "sync",
        "sync --db",
        "sync --db $DB extra",
        "sync --db $DB --frobnicate",
        "init --db /tmp/outpost-none.db --server x:1",
        "import csv . --db $DB",
        "facility --db $DB",
        "facility not-a-uuid --db $DB",
        "sql --db $DB",
    };

    set_up();
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        CU_ASSERT_EQUAL(run("%s", lines[i]), 64);
    CU_ASSERT_EQUAL(access("/tmp/outpost-none.db", F_OK), -1);
    tear_down();
}

/* What cannot be enrolled leaves no file, and one that was there is kept. */
static void test_init_that_fails_leaves_nothing(void)
{
    char fresh[300];

    set_up();
    snprintf(fresh, sizeof fresh, "%s.new", device.path);
    CU_ASSERT_EQUAL(run("init --db $DB.new --server localhost:1 --ca /no/such --code x"), 65);
    CU_ASSERT_EQUAL(access(fresh, F_OK), -1);
    CU_ASSERT_EQUAL(run("init --db $DB.new --server localhost:1 --ca /dev/null --code x"), 65);
    CU_ASSERT_EQUAL(access(fresh, F_OK), -1);
    CU_ASSERT_EQUAL(run("init --db $DB --server localhost:1 --ca /dev/null --code x"), 64);
    CU_ASSERT_TRUE(says("enrolled already"));
    CU_ASSERT_EQUAL(access(device.path, F_OK), 0);
    tear_down();
}

static void test_no_database_and_no_identity(void)
{
    set_up();
    CU_ASSERT_EQUAL(run("status --db $DB.none"), 65);
    CU_ASSERT_TRUE(says("outpost init makes a database"));
    CU_ASSERT_EQUAL(run("sync --db $DB --json"), 77);
    CU_ASSERT_TRUE(says("\"code\": \"DENIED\""));
    CU_ASSERT_TRUE(says("\"caught_up\": false"));
    app(&device, "UPDATE outpost_state SET device_id = x''");
    CU_ASSERT_EQUAL(run("sync --db $DB"), 77);
    CU_ASSERT_TRUE(says("run outpost init"));
    tear_down();
}

/* SQL as an app runs it: marked, ids as UUIDs, faults with SQLite's own words. */
static void test_sql(void)
{
    set_up();
    CU_ASSERT_EQUAL(run("sql --db $DB \"INSERT INTO patient (id, full_name) VALUES"
                        " (x'00112233445566778899aabbccddeeff', 'Asha')\""),
                    0);
    CU_ASSERT_EQUAL(run("sql --db $DB \"SELECT id, full_name, x'01ff', NULL, 7 FROM patient;"
                        " SELECT 'two'\""),
                    0);
    CU_ASSERT_STRING_EQUAL(output, "00112233-4455-6677-8899-aabbccddeeff\tAsha\t01ff\t\t7\ntwo\n");
    CU_ASSERT_EQUAL(run("sql --db $DB --json \"SELECT id FROM patient\""), 0);
    CU_ASSERT_TRUE(says("\"00112233-4455-6677-8899-aabbccddeeff\""));
    CU_ASSERT_TRUE(says("\"error\": null"));
    CU_ASSERT_EQUAL(run("status --db $DB"), 0);
    CU_ASSERT_TRUE(says("pending: 1"));
    CU_ASSERT_EQUAL(run("sql --db $DB \"SELEKT 1\""), 65);
    CU_ASSERT_TRUE(says("syntax error"));
    tear_down();
}

static void test_status_and_verify(void)
{
    set_up();
    CU_ASSERT_EQUAL(run("status --db $DB --json"), 0);
    CU_ASSERT_TRUE(says("\"device_id\": \"00000000-0000-0000-0000-000000000001\""));
    CU_ASSERT_TRUE(says("\"patient\": 0"));
    char revision[40];
    snprintf(revision, sizeof revision, "\"schema_revision\": %u", outpost_v1_schema.revision);
    CU_ASSERT_TRUE(says(revision));
    CU_ASSERT_EQUAL(run("verify --db $DB"), 0);
    app(&device, "UPDATE outpost_state SET family_records = 1");
    CU_ASSERT_EQUAL(run("verify --db $DB --json"), 65);
    CU_ASSERT_TRUE(says("\"verified\": false"));
    CU_ASSERT_EQUAL(run("facility 00000000-0000-4000-8000-0000000000AB --db $DB"), 0);
    CU_ASSERT_TRUE(says("00000000-0000-4000-8000-0000000000ab"));
    tear_down();
}

/* ---- Synthea ------------------------------------------------------------------------------ */

static void test_import_makes_rows_once(void)
{
    set_up();
    CU_ASSERT_EQUAL(run("import synthea %s --db $DB", SYNTHEA_SAMPLE), 0);
    CU_ASSERT_TRUE(says("patients: 12\nreadings: 40\nchanged: 52\n"));
    CU_ASSERT_TRUE(says("incomplete: 1\n"));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 52);
    CU_ASSERT_STRING_EQUAL(
        app_text(&device, "SELECT full_name || '|' || gender || status || date_of_birth || '|' ||"
                          " street_address || '|' || village_or_colony || '|' || district || '|'"
                          " || state || '|' || pin_code || '|' || country FROM patient WHERE"
                          " full_name LIKE 'Elif%%'"),
        "Elif104 Elm204|22" /* M, dead */ "1998-04-25|128 Test Street Unit 4|Duluth|"
        "St. Louis County|Minnesota|55802|");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure WHERE facility_id ="
                                        " x'fafafafafafafafafafafafafafafafa'"),
                    40);
    app(&device, "DELETE FROM outpost_pending");
    CU_ASSERT_EQUAL(run("import synthea %s --db $DB", SYNTHEA_SAMPLE), 0);
    CU_ASSERT_TRUE(says("changed: 0\nunchanged: 52\n"));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 0);
    tear_down();
}

/* VALUE rounded, halves away from zero: 131.5 over 79.5 of the copied file. */
static void test_import_rounds_and_updates(void)
{
    set_up();
    shell("cp -r %s $DB.csv && chmod -R u+w $DB.csv", SYNTHEA_SAMPLE);
    shell("printf '%%s\\n' "
          "2024-01-01T08:00:00Z,$(sed -n 2p $DB.csv/patients.csv | cut -d, -f1),"
          "$(sed -n 2p $DB.csv/encounters.csv | cut -d, -f1),v,8462-4,D,79.5,m,n"
          " >> $DB.csv/observations.csv;"
          " sed -i 's/8480-6,Systolic Blood Pressure,131.0/8480-6,S,131.5/'"
          " $DB.csv/observations.csv");
    CU_ASSERT_EQUAL(run("import synthea $DB.csv --db $DB"), 0);
    CU_ASSERT_TRUE(says("readings: 41\n"));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure WHERE systolic_mmhg ="
                                        " 132 AND diastolic_mmhg = 80"),
                    1);
    /* A nurse's edit and deletion stay; what the files tell anew is taken. */
    app(&device, "UPDATE patient SET zone = 'mine' WHERE full_name LIKE 'Ada%%'");
    app(&device, "DELETE FROM patient WHERE full_name LIKE 'Bram%%'");
    shell("sed -i 's/Castano202/Castano999/' $DB.csv/patients.csv");
    CU_ASSERT_EQUAL(run("import synthea $DB.csv --db $DB"), 0);
    CU_ASSERT_TRUE(says("changed: 1\n"));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient WHERE full_name LIKE"
                                             " 'Ada%%'"),
                           "mine");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient WHERE full_name LIKE"
                                        " '%%Castano999' OR full_name LIKE 'Bram%%'"),
                    1);
    shell("rm -r $DB.csv");
    tear_down();
}

/* A file that is not what it should be: 65, file and column or line, no value, and
 * nothing imported. */
static void test_import_of_bad_files(void)
{
    static const struct {
        const char *spoil, *expected;
    } cases[] = {
        {"sed -i 1s/BIRTHDATE/BORN/ $DB.csv/patients.csv",
         "patients.csv: column BIRTHDATE is missing"},
        {"rm $DB.csv/encounters.csv", "encounters.csv: No such file"},
        {"sed -i 5s/.*/x/ $DB.csv/observations.csv", "observations.csv: line 5: "},
        {"sed -i 3s/^........-/secret-/ $DB.csv/patients.csv",
         "patients.csv: line 3: Id is not a UUID"},
        {"sed -i 's/8480-6,Systolic Blood Pressure,131.0/8480-6,S,secret/'"
         " $DB.csv/observations.csv",
         "VALUE is not a number"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_up();
        shell("cp -r %s $DB.csv && chmod -R u+w $DB.csv; %s", SYNTHEA_SAMPLE, cases[i].spoil);
        CU_ASSERT_EQUAL(run("import synthea $DB.csv --db $DB"), 65);
        CU_ASSERT_TRUE(says(cases[i].expected));
        CU_ASSERT_PTR_NULL(strstr(output, "secret"));
        CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 0);
        shell("rm -r $DB.csv");
        tear_down();
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_help_everywhere),
        SUITE_TEST(test_usage_is_64),
        SUITE_TEST(test_init_that_fails_leaves_nothing),
        SUITE_TEST(test_no_database_and_no_identity),
        SUITE_TEST(test_sql),
        SUITE_TEST(test_status_and_verify),
        SUITE_TEST(test_import_makes_rows_once),
        SUITE_TEST(test_import_rounds_and_updates),
        SUITE_TEST(test_import_of_bad_files),
    };

    return suite_run("outpost_command", tests, sizeof tests / sizeof tests[0]);
}
