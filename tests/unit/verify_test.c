/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: verify and status tell what is here, and no change behind the triggers'
 * back goes unseen (I13). Method: a synced device, tampered with in every table
 * that holds a server's copy.
 */
#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

static struct device device;
static struct mini_server *server;
static outpost *handle;

static void set_up(void)
{
    struct outpost_options options;

    server = mini_server_new(&outpost_v1_schema);
    device_open(&device, 1, &outpost_v1_schema);
    for (uint8_t i = 1; i <= 5; i++) {
        server_patient(server, i, "Asha");
        server_pressure(server, i, (uint8_t)(i + 100), 120, 80);
    }
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    outpost_options_init_default(&options);
    options.path = device.path;
    struct outpost_status status = outpost_open(&options, &handle);
    CU_ASSERT_EQUAL_FATAL(status.code, OUTPOST_OK);
}

static void tear_down(void)
{
    outpost_close(handle);
    device_close(&device);
    mini_server_free(server);
}

static struct outpost_verify_result verify(enum outpost_code expected)
{
    struct outpost_verify_result result;
    struct outpost_status status = outpost_verify(handle, &result);

    CU_ASSERT_EQUAL(status.code, expected);
    return result;
}

/* Edits by the app are no damage: what the server sent is still known. */
static void test_I13_whole_with_work_pending(void)
{
    struct outpost_verify_result result;

    set_up();
    result = verify(OUTPOST_OK);
    CU_ASSERT_EQUAL(result.records, 10);
    CU_ASSERT_TRUE(result.compared);
    app(&device, "UPDATE patient SET zone = 'x' WHERE id = x'01010101010101010101010101010101'");
    app(&device, "DELETE FROM patient WHERE id = x'02020202020202020202020202020202'");
    app(&device, "INSERT INTO patient (full_name) VALUES ('new')");
    result = verify(OUTPOST_OK);
    CU_ASSERT_EQUAL(result.records, 10);
    tear_down();
}

static void test_I13_tampered_row_is_found(void)
{
    static const char *const damage[] = {
        "UPDATE patient SET zone = 'x' WHERE id = x'03030303030303030303030303030303'",
        "UPDATE blood_pressure SET systolic_mmhg = 121 WHERE patient_id ="
        " x'03030303030303030303030303030303'",
        "UPDATE patient SET outpost_version = 7 WHERE id = x'03030303030303030303030303030303'",
        "UPDATE patient SET outpost_stamp = 7 WHERE id = x'03030303030303030303030303030303'",
        "DELETE FROM blood_pressure WHERE patient_id = x'03030303030303030303030303030303'",
        "UPDATE outpost_state SET family_digest = family_digest + 1",
        "UPDATE outpost_region SET digest = digest + 1",
    };

    for (size_t i = 0; i < sizeof damage / sizeof damage[0]; i++) {
        set_up();
        app(&device, "UPDATE outpost_state SET applying = 1"); /* unseen by the triggers */
        app(&device, "%s", damage[i]);
        app(&device, "UPDATE outpost_state SET applying = 0");
        struct outpost_verify_result result = verify(OUTPOST_BAD_INPUT);
        CU_ASSERT_EQUAL(result.damaged, i < 4);
        CU_ASSERT(result.regions > 0 || i < 4);
        CU_ASSERT_EQUAL(result.first[0] != '\0', i < 4);
        tear_down();
    }
}

static void test_tampered_base_and_held_are_found(void)
{
    struct record_key key = patient_key(1);

    set_up();
    app(&device, "UPDATE patient SET zone = 'x' WHERE id = x'01010101010101010101010101010101'");
    app(&device, "UPDATE outpost_base_patient SET zone = 'y'");
    CU_ASSERT_EQUAL(verify(OUTPOST_BAD_INPUT).damaged, 1);
    app(&device, "UPDATE outpost_base_patient SET zone = ''");
    verify(OUTPOST_OK);
    server->busy = true;
    server_text(server, &key, 9, "z");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    verify(OUTPOST_OK);
    app(&device, "UPDATE outpost_held SET version = version + 1");
    CU_ASSERT_EQUAL(verify(OUTPOST_BAD_INPUT).damaged, 1);
    tear_down();
}

/* After half a sync the digests of the last CaughtUp say nothing. */
static void test_half_a_sync_is_not_compared(void)
{
    set_up();
    for (uint8_t i = 10; i < 20; i++)
        server_patient(server, i, "Bina");
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 2}));
    CU_ASSERT_FALSE(verify(OUTPOST_OK).compared);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_TRUE(verify(OUTPOST_OK).compared);
    tear_down();
}

static void test_status_counts(void)
{
    static struct outpost_device_status here;

    set_up();
    app(&device, "UPDATE patient SET zone = 'x' WHERE id = x'01010101010101010101010101010101'");
    app(&device, "UPDATE patient SET age_years = 7 WHERE id = x'02020202020202020202020202020202'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'y' WHERE id = x'01010101010101010101010101010101'");
    struct outpost_status status = outpost_get_status(handle, &here);
    CU_ASSERT_EQUAL(status.code, OUTPOST_OK);
    CU_ASSERT_TRUE(here.enrolled);
    CU_ASSERT_EQUAL(here.pending, 1);
    CU_ASSERT_EQUAL(here.rejected, 1);
    CU_ASSERT_EQUAL(here.region_count, 2);
    CU_ASSERT_EQUAL(here.regions[1].records, 10);
    CU_ASSERT_EQUAL(here.regions[1].seq, 11);
    CU_ASSERT_EQUAL(here.type_count, outpost_v1_schema.type_count);
    CU_ASSERT_STRING_EQUAL(here.types[0].table, "patient");
    CU_ASSERT_EQUAL(here.types[0].rows, 5);
    tear_down();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_I13_whole_with_work_pending),
        SUITE_TEST(test_I13_tampered_row_is_found),
        SUITE_TEST(test_tampered_base_and_held_are_found),
        SUITE_TEST(test_half_a_sync_is_not_compared),
        SUITE_TEST(test_status_counts),
    };

    return suite_run("verify", tests, sizeof tests / sizeof tests[0]);
}
