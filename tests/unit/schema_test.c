/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a database is made, upgraded and refused as schema.h says, and what one
 * version does not know survives it (I9). Method: an older schema is the present
 * one without a type and without some fields; both open the same file, and a
 * server that knows everything looks at what comes back.
 */
#include "device_fixture.h"
#include "older_schema.h"
#include "suite.h"

#include "apply.h"
#include "outpost/v1/schema.gen.h"
#include "schema.h"

#include <stdio.h>
#include <unistd.h>

/* ---- Tests -------------------------------------------------------------------------------- */

/* A device of yesterday holds, edits and gives back records of today's server
 * unharmed; upgraded, it has them in its columns. */
static void test_I9_unknown_fields_and_types_survive(void)
{
    struct mini_server *server = mini_server_new(&outpost_v1_schema);
    struct record_key patient = patient_key(1), pressure = pressure_key(1, 0x11);
    struct device device;

    older_schema_make();
    device_open(&device, 1, &older_schema);
    server_patient(server, 1, "Asha");
    server_text(server, &patient, 9, "unknown zone");
    server_uint(server, &patient, 18, 1234);
    server_text(server, &patient, 99, "of tomorrow");
    server_pressure(server, 1, 0x11, 120, 80);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_unknown_record"), 1);

    app(&device, "UPDATE patient SET district = 'North'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 9), "unknown zone");
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 99), "of tomorrow");
    CU_ASSERT_EQUAL(device.result.pulled, 0);

    /* An edit is under way while the program is upgraded. */
    app(&device, "UPDATE patient SET district = 'South'");
    device_reopen(&device, &outpost_v1_schema);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone || recorded_at_ms FROM patient"),
                           "unknown zone1234");
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM outpost_base_patient"),
                           "unknown zone");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT systolic_mmhg FROM blood_pressure"), 120);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_unknown_record"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 1);
    app(&device, "UPDATE blood_pressure SET systolic_mmhg = 121 WHERE patient_id ="
                 " x'01010101010101010101010101010101'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &pressure, 1), "121");
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 10), "South");
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 99), "of tomorrow");
    expect_same(&device, server);
    device_close(&device);
    mini_server_free(server);
}

/* An app that saves with REPLACE writes every column it knows, and so empties
 * what it does not: that must not become an edit. */
static void test_I9_replace_keeps_unknown_fields(void)
{
    struct mini_server *server = mini_server_new(&outpost_v1_schema);
    struct record_key patient = patient_key(1);
    struct device device;

    older_schema_make();
    device_open(&device, 1, &older_schema);
    server_patient(server, 1, "Asha");
    server_text(server, &patient, 9, "unknown zone");
    server_text(server, &patient, 99, "of tomorrow");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "INSERT OR REPLACE INTO patient (id, full_name, date_of_birth,"
                 " registration_facility_id) SELECT id, 'Bina', date_of_birth,"
                 " registration_facility_id FROM patient");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT length(outpost_unknown) FROM patient"), 0);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 1), "Bina");
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 9), "unknown zone");
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 99), "of tomorrow");
    expect_same(&device, server);
    app(&device, "INSERT OR REPLACE INTO patient (id, full_name, date_of_birth,"
                 " registration_facility_id) SELECT id, full_name, date_of_birth,"
                 " registration_facility_id FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 0);
    expect_same(&device, server);
    device_close(&device);
    mini_server_free(server);
}

/* An older program on a newer database: a status, nothing touched. */
static void test_newer_database_is_refused(void)
{
    struct device device;
    struct store store;

    older_schema_make();
    device_open(&device, 1, &outpost_v1_schema);
    CU_ASSERT_TRUE(store_open(&store, device.path, false, &older_schema));
    CU_ASSERT_FALSE(schema_ensure(&store));
    CU_ASSERT_EQUAL(store.status.code, OUTPOST_BAD_INPUT);
    CU_ASSERT_PTR_NOT_NULL(strstr(store.status.message, "newer"));
    store_close(&store);
    device_close(&device);
}

static int refused_code(const char *path)
{
    struct outpost_options options;
    outpost *opened;

    outpost_options_init_default(&options);
    options.path = path;
    struct outpost_status status = outpost_open(&options, &opened);
    if (status.code == OUTPOST_OK)
        outpost_close(opened);
    else
        CU_ASSERT(strlen(status.message) > 0);
    return status.code;
}

/* Not a database, a page torn, no file, no folder: each a status. */
static void test_damaged_database_gives_a_status(void)
{
    char path[] = "/tmp/outpost-schema-XXXXXX";
    int descriptor = mkstemp(path);
    struct device device;

    CU_ASSERT_FATAL(descriptor >= 0);
    for (int i = 0; i < 1000; i++)
        CU_ASSERT(write(descriptor, "not a database, ", 16) == 16);
    close(descriptor);
    CU_ASSERT_EQUAL(refused_code(path), OUTPOST_BAD_INPUT);
    unlink(path);
    CU_ASSERT_EQUAL(refused_code(path), OUTPOST_IO);
    CU_ASSERT_EQUAL(refused_code("/no/such/folder/at all"), OUTPOST_IO);

    device_open(&device, 1, &outpost_v1_schema);
    app(&device, "PRAGMA wal_checkpoint(TRUNCATE)");
    FILE *file = fopen(device.path, "r+b");
    CU_ASSERT_FATAL(file != NULL);
    fseek(file, 100, SEEK_SET); /* the first page's head, where the schema is */
    for (int i = 0; i < 3000; i++)
        fputc(0xee, file);
    fclose(file);
    CU_ASSERT_EQUAL(refused_code(device.path), OUTPOST_BAD_INPUT);
    device_close(&device);
}

/* A lost state row is damage, too, and no abort. */
static void test_lost_state_row_gives_a_status(void)
{
    struct outpost_sync_options sync;
    struct outpost_sync_result result;
    struct outpost_options options;
    struct device device;
    outpost *opened;

    device_open(&device, 1, &outpost_v1_schema);
    outpost_options_init_default(&options);
    options.path = device.path;
    struct outpost_status status = outpost_open(&options, &opened);
    CU_ASSERT_EQUAL_FATAL(status.code, OUTPOST_OK);
    app(&device, "DELETE FROM outpost_state");
    outpost_sync_options_init_default(&sync);
    status = outpost_sync(opened, &sync, &result);
    CU_ASSERT_EQUAL(status.code, OUTPOST_BAD_INPUT);
    outpost_close(opened);
    device_close(&device);
}

/* An outbox of the layout before sealed_last: what was sealed then is sent, parents first,
 * and its numbers stay its own. */
static void test_R5_an_outbox_of_the_older_layout(void)
{
    struct mini_server *server = mini_server_new(&outpost_v1_schema);
    struct device device;

    device_open(&device, 1, &outpost_v1_schema);
    app(&device, "INSERT INTO patient (full_name, date_of_birth) VALUES ('Asha', '1980-01-02'), "
                 "('Rekha', '1980-01-02')");
    app(&device, "INSERT INTO blood_pressure (patient_id, systolic_mmhg, diastolic_mmhg)"
                 " SELECT id, 120, 80 FROM patient");
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){0, -1}));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 4);
    /* Readings had come first, had they been sealed first. */
    app(&device, "UPDATE outpost_outbox SET n = 10 - (n & 7)");
    app(&device, "CREATE INDEX outpost_outbox_order ON outpost_outbox (rank, n)");
    app(&device, "ALTER TABLE outpost_state DROP COLUMN sealed_last");
    device_reopen(&device, &outpost_v1_schema);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT sealed_last FROM outpost_state"), 9);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT group_concat(type || ' ' || (n & 15)) FROM"
                                             " (SELECT type, n FROM outpost_outbox ORDER BY n)"),
                           "10 8,10 9,13 6,13 7");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM sqlite_master WHERE name ="
                                        " 'outpost_outbox_order'"),
                    0);
    app(&device, "INSERT INTO patient (full_name, date_of_birth) VALUES ('Meena', '1980-01-02')");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(
        app_text(&device, "SELECT group_concat(n) FROM (SELECT n FROM outpost_journal ORDER BY n)"),
        "6,7,8,9,10");
    expect_same(&device, server);
    device_close(&device);
    mini_server_free(server);
}

/* Opening what is as it should be writes nothing. */
static void test_opening_again_writes_nothing(void)
{
    struct device device;

    device_open(&device, 1, &outpost_v1_schema);
    int64_t before = app_number(&device, "PRAGMA data_version");
    struct store store;
    CU_ASSERT_TRUE(store_open(&store, device.path, false, &outpost_v1_schema));
    CU_ASSERT_TRUE(schema_ensure(&store));
    store_close(&store);
    CU_ASSERT_EQUAL(app_number(&device, "PRAGMA data_version"), before);
    device_close(&device);
}

/* A trigger that went missing or was changed is put right; what is the app's own
 * stays. */
static void test_own_triggers_are_mended_and_the_apps_kept(void)
{
    struct device device;

    device_open(&device, 1, &outpost_v1_schema);
    app(&device, "DROP TRIGGER outpost_patient_before_update");
    app(&device, "DROP TRIGGER outpost_patient_after_insert");
    app(&device, "CREATE TRIGGER outpost_patient_after_insert AFTER INSERT ON patient BEGIN"
                 " SELECT 1; END");
    app(&device, "CREATE INDEX by_name ON patient (full_name)");
    app(&device, "CREATE TABLE mine (x)");
    device_reopen(&device, &outpost_v1_schema);
    app(&device, "INSERT INTO patient (full_name) VALUES ('Asha')");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 1);
    app(&device, "DELETE FROM outpost_pending");
    app(&device, "UPDATE patient SET zone = 'x'");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM sqlite_master WHERE name IN"
                                        " ('by_name', 'mine')"),
                    2);
    device_close(&device);
}

/* The app's own triggers fire for pulled rows, as insert, update and delete; our
 * writes are still not marked as edits. */
static void test_apps_triggers_fire_for_pulled_rows(void)
{
    struct mini_server *server = mini_server_new(&outpost_v1_schema);
    struct record_key patient = patient_key(1);
    struct device device;

    device_open(&device, 1, &outpost_v1_schema);
    app(&device, "CREATE TABLE seen (what TEXT)");
    for (int i = 0; i < 3; i++) {
        static const char *const whats[] = {"INSERT", "UPDATE", "DELETE"};
        app(&device,
            "CREATE TRIGGER app_%d AFTER %s ON patient BEGIN INSERT INTO seen VALUES"
            " ('%s'); END",
            i, whats[i], whats[i]);
    }
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    server_text(server, &patient, 9, "zone");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    mini_server_put(server, &patient, rpc_bytes_view(NULL, 0), true);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT group_concat(what) FROM seen"),
                           "INSERT,UPDATE,DELETE");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 0);
    expect_same(&device, server);
    app(&device, "DROP TRIGGER app_0");
    app(&device, "DROP TRIGGER app_1");
    app(&device, "DROP TRIGGER app_2");
    server_patient(server, 2, "Bina");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_TRUE(device.store.triggers_off);
    expect_same(&device, server);
    device_close(&device);
    mini_server_free(server);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_I9_unknown_fields_and_types_survive),
        SUITE_TEST(test_I9_replace_keeps_unknown_fields),
        SUITE_TEST(test_newer_database_is_refused),
        SUITE_TEST(test_damaged_database_gives_a_status),
        SUITE_TEST(test_lost_state_row_gives_a_status),
        SUITE_TEST(test_R5_an_outbox_of_the_older_layout),
        SUITE_TEST(test_opening_again_writes_nothing),
        SUITE_TEST(test_own_triggers_are_mended_and_the_apps_kept),
        SUITE_TEST(test_apps_triggers_fire_for_pulled_rows),
    };

    return suite_run("schema", tests, sizeof tests / sizeof tests[0]);
}
