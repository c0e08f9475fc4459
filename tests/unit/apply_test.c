/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: the three images of a record move as R4-R9, R20 and R21 say, whatever is
 * edited, lost or cut in between. Method: a real database, edited through the
 * app's own connection, synced with the mini server; then both are compared.
 */
#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

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

#define P1 "x'01010101010101010101010101010101'"
#define P2 "x'02020202020202020202020202020202'"
#define B1 "x'11111111111111111111111111111111'"
#define B2 "x'12121212121212121212121212121212'"

static void insert_patient(const char *id, const char *name)
{
    app(&device,
        "INSERT INTO patient (id, full_name, date_of_birth) VALUES (%s, '%s',"
        " '1980-01-02')",
        id, name);
}

/* What is made here reaches the server, filled in, and is clean afterwards. */
static void test_R5_new_records_travel_with_every_field(void)
{
    struct record_key patient = patient_key(1), pressure = pressure_key(1, 0x11);

    set_up();
    insert_patient(P1, "Asha");
    app(&device, "INSERT INTO blood_pressure (patient_id, id, systolic_mmhg, diastolic_mmhg)"
                 " VALUES (" P1 ", " B1 ", 120, 80)");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &patient, 1), "Asha");
    CU_ASSERT_STRING_EQUAL(server_field(server, &pressure, 1), "120");
    CU_ASSERT_EQUAL(app_number(&device,
                               "SELECT count(*) FROM patient WHERE"
                               " registration_facility_id = x'%s'",
                               "fafafafafafafafafafafafafafafafa"),
                    1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT outpost_version FROM patient"), 1);
    CU_ASSERT_EQUAL(device.result.pushed, 2);
    CU_ASSERT_EQUAL(device.result.round_trips, 1);
    expect_same(&device, server);
    tear_down();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R5_new_records_travel_with_every_field),
    };

    return suite_run("apply", tests, sizeof tests / sizeof tests[0]);
}
