/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: answers `applied` that are taken together leave what one by one they would, also
 * when something among them is not as the others (applied.h). Method: a real database and
 * many new records, pushed to the mini server, with one of them changed while the push is
 * under way; then both are compared, and the tables of work looked at.
 */
#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>

enum { PATIENTS = 40 };

static struct device device;
static struct mini_server *server;

static void set_up(void)
{
    server = mini_server_new(&outpost_v1_schema);
    device_open(&device, 1, &outpost_v1_schema);
}

static void tear_down(void)
{
    device_close(&device);
    mini_server_free(server);
}

/* Patients 10, 20, ... and for each a reading of the same number. */
static void insert_patients(void)
{
    for (int i = 1; i <= PATIENTS; i++)
        app(&device,
            "INSERT INTO patient (id, date_of_birth, full_name) VALUES (CAST(x'%02x' || "
            "zeroblob(14) || x'01' AS"
            " BLOB), '1980-01-02', 'N%d')",
            i * 5, i);
    app(&device, "INSERT INTO blood_pressure (patient_id, id, systolic_mmhg, diastolic_mmhg)"
                 " SELECT id, id, 120, 80 FROM patient");
}

/* And R24, which would mend what settling got wrong, had nothing to do. */
static void expect_work(int64_t pending, int64_t journal, int64_t journal_with_version)
{
    CU_ASSERT_FALSE(device.result.recounted);
    CU_ASSERT_EQUAL(device.result.repaired, 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), pending);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_journal"), journal);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_journal WHERE version = 1"),
                    journal_with_version);
}

static void test_R7_all_are_settled(void)
{
    set_up();
    insert_patients();
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 2 * PATIENTS);
    expect_work(0, 2 * PATIENTS, 2 * PATIENTS);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient WHERE outpost_version = 1"
                                        " AND outpost_stamp <> 0"),
                    PATIENTS);
    expect_same(&device, server);
    tear_down();
}

static void edit_one(struct device *d)
{
    app(d, "UPDATE patient SET zone = 'later' WHERE full_name = 'N7'");
}

/* I5: the answer to it clears what was sealed, and not the edit. */
static void test_I5_one_was_edited_meanwhile(void)
{
    set_up();
    insert_patients();
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, edit_one));
    expect_work(1, 2 * PATIENTS, 2 * PATIENTS);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT full_name || zone FROM outpost_base_patient"),
                           "N7");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 1);
    expect_same(&device, server);
    tear_down();
}

static void insert_one(struct device *d)
{
    app(d, "INSERT INTO patient (id, date_of_birth, full_name) VALUES"
           " (x'07000000000000000000000000000000', '1980-01-02', 'between')");
}

/* A record that came between them is pending still. Not in a first sync, whose sweep would mark
 * it again. */
static void test_I5_one_came_between_meanwhile(void)
{
    set_up();
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    insert_patients();
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, insert_one));
    expect_work(1, 2 * PATIENTS, 2 * PATIENTS);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT full_name FROM outpost_pending p JOIN patient"
                                             " t ON t.id = p.id"),
                           "between");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    tear_down();
}

static void delete_one(struct device *d)
{
    app(d, "DELETE FROM blood_pressure WHERE patient_id = (SELECT id FROM patient WHERE full_name ="
           " 'N7')");
}

static void test_I5_one_was_deleted_meanwhile(void)
{
    set_up();
    insert_patients();
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, delete_one));
    expect_work(1, 2 * PATIENTS, 2 * PATIENTS);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure"), PATIENTS - 1);
    expect_same(&device, server);
    tear_down();
}

/* A row that went behind the triggers' back is not what the server has: it comes back. */
static void lose_one(struct device *d)
{
    sqlite3_db_config(d->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    app(d, "DELETE FROM patient WHERE full_name = 'N7'");
    sqlite3_db_config(d->app, SQLITE_DBCONFIG_ENABLE_TRIGGER, 1, NULL);
}

static void test_R7_one_is_not_there(void)
{
    set_up();
    insert_patients();
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, lose_one));
    expect_work(0, 2 * PATIENTS, 2 * PATIENTS);
    expect_same(&device, server);
    tear_down();
}

/* Another device had made one of them before: it is merged, the others are applied. */
static void test_R7_one_was_there_already(void)
{
    struct record_key key = {.type = 10};

    set_up();
    insert_patients();
    key.id.bytes[0] = 7 * 5;
    key.id.bytes[RECORD_UUID_LEN - 1] = 1;
    key.family = key.id;
    server_text(server, &key, 10, "North");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_work(0, 2 * PATIENTS, 2 * PATIENTS - 1);
    CU_ASSERT_STRING_EQUAL(
        app_text(&device, "SELECT full_name || district FROM patient WHERE full_name = 'N7'"),
        "N7North");
    expect_same(&device, server);
    tear_down();
}

/* Edits of records that the server has are settled one by one, among the new ones. */
static void test_R7_edits_among_new_records(void)
{
    set_up();
    insert_patients();
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE blood_pressure SET systolic_mmhg = 130 WHERE hex(id) < '50'");
    app(&device, "INSERT INTO blood_pressure (patient_id, systolic_mmhg, diastolic_mmhg)"
                 " SELECT id, 140, 90 FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_work(0, app_number(&device, "SELECT count(*) FROM outpost_journal"), 3 * PATIENTS);
    expect_same(&device, server);
    tear_down();
}

/* What the server has already lies thick between the new records: those rows stay as they are. */
static void test_R7_few_among_many(void)
{
    set_up();
    insert_patients();
    for (int i = 0; i < 4; i++)
        app(&device, "INSERT INTO blood_pressure (patient_id, systolic_mmhg, diastolic_mmhg)"
                     " SELECT id, 140, 90 FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE blood_pressure SET systolic_mmhg = 130 WHERE hex(id) < '50'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "INSERT INTO blood_pressure (patient_id, systolic_mmhg, diastolic_mmhg)"
                 " SELECT id, 150, 95 FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, PATIENTS);
    expect_work(0, app_number(&device, "SELECT count(*) FROM outpost_journal"), 7 * PATIENTS);
    expect_same(&device, server);
    tear_down();
}

/* R8: in the journal the work stands in the order in which it was sealed. */
static void test_R8_the_journal_is_in_order(void)
{
    set_up();
    insert_patients();
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'x' WHERE full_name = 'N1'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM patient WHERE full_name = 'N1'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "INSERT INTO patient (full_name, date_of_birth) VALUES ('last', '1980-01-02')");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT max(n) FROM outpost_journal"), 2 * PATIENTS + 4);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT sealed_last FROM outpost_state"), 2 * PATIENTS + 4);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT group_concat(type) FROM (SELECT type FROM"
                                             " outpost_journal ORDER BY n DESC LIMIT 4)"),
                           "10,13,10,10");
    expect_same(&device, server);
    tear_down();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R7_all_are_settled),
        SUITE_TEST(test_I5_one_was_edited_meanwhile),
        SUITE_TEST(test_I5_one_came_between_meanwhile),
        SUITE_TEST(test_I5_one_was_deleted_meanwhile),
        SUITE_TEST(test_R7_one_is_not_there),
        SUITE_TEST(test_R7_one_was_there_already),
        SUITE_TEST(test_R7_edits_among_new_records),
        SUITE_TEST(test_R7_few_among_many),
        SUITE_TEST(test_R8_the_journal_is_in_order),
    };

    return suite_run("applied", tests, sizeof tests / sizeof tests[0]);
}
