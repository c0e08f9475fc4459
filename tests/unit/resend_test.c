/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: what goes again to a server that was put back, and what it answers, as R7, R8, R14
 * and R20 say. Method: as in apply_test.c.
 */
#include "apply.h"
#include "apply_fixture.h"

/* The whole journal goes again, as to a server that forgot it. */
static void resend_all(int accepted)
{
    app(&device,
        "INSERT INTO outpost_resend (type, family_id, id, rank, mutation, mutation_id,"
        " acknowledged_version) SELECT type, family_id, id, -1, mutation, mutation_id, version * %d"
        " FROM outpost_journal ORDER BY n",
        accepted);
}

/* Accepted once, refused by a server that was put back: the row stays, is marked with
 * the reason, and its correction carries everything that the server lacks. */
static void test_R7_a_resend_that_is_refused_is_marked(void)
{
    struct record_key key = pressure_key(1, 0x11);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "INSERT INTO blood_pressure (patient_id, id, systolic_mmhg, diastolic_mmhg)"
                 " VALUES (" P1 ", " B1 ", 120, 80)");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL_FATAL(server->known_count, 1);
    server->known[0] = (struct mini_known){
        .id = server->known[0].id, .status = ANSWER_QUARANTINED, .reason = 9, .field = 4};
    mini_server_forget(server, &key);
    resend_all(1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_rejected(&device, 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT reason * 100 + field FROM outpost_rejected"), 904);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT systolic_mmhg FROM blood_pressure"), 120);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_resend"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT family_records FROM outpost_state"), 1);
    app(&device, "UPDATE blood_pressure SET systolic_mmhg = 121 WHERE patient_id = " P1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 1), "121");
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 2), "80");
    expect_same(&device, server);
    tear_down();
}

/* The same where the server has an older version: it is base and held. */
static void test_R7_a_resend_that_is_refused_beside_an_older_version(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'Z'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    server->known[0].status = ANSWER_QUARANTINED;
    server_text(server, &key, 9, "older");
    resend_all(1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_rejected(&device, 1);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient"), "Z");
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM outpost_base_patient"), "older");
    app(&device, "UPDATE patient SET zone = 'older'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    tear_down();
}

/* What was refused in its time and corrected since is not marked anew by its resend,
 * though others have changed the record meanwhile. */
static void test_R7_a_resend_of_what_was_refused_before_marks_nothing(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET age_years = 7");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_rejected(&device, 1);
    app(&device, "UPDATE patient SET age_years = 0, zone = 'Z'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    server_text(server, &key, 9, "Y");
    resend_all(0);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient"), "Y");
    expect_same(&device, server);
    tear_down();
}

/* What nobody has the base of any more goes again as long as the journal keeps it, and
 * ends with it. */
static void test_R8_a_resend_ends_with_its_days(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL_FATAL(server->known_count, 1);
    server->known_count = 0;
    mini_server_forget(server, &key);
    resend_all(1);
    app(&device, "DELETE FROM outpost_aside");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_resend"), 1);
    app(&device, "DELETE FROM outpost_journal");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_resend"), 0);
    tear_down();
}

/* A device holds no tombstones; one that its own work hangs on is put aside. */
static void test_R20_a_deleted_patient_is_put_aside(void)
{
    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT version * 10 + deleted FROM outpost_aside"), 21);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT instr(CAST(body AS TEXT), 'Asha') > 0"
                                        " FROM outpost_aside"),
                    1);
    tear_down();
}

/* A reading was pulled in an earlier page than its patient, and a restored server has
 * neither: the offer waits and holds nothing up, until somebody gives the patient back. */
static void test_R14_an_offer_without_its_parent_waits(void)
{
    struct record_key pressure = pressure_key(1, 0x11);

    set_up();
    server_pressure(server, 1, 0x11, 120, 80);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT systolic_mmhg FROM blood_pressure"), 120);
    mini_server_forget(server, &pressure);
    app(&device, "UPDATE outpost_state SET cursor = x'', offer_due = 1");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT offer_due FROM outpost_state"), 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure"), 1);
    for (int i = 0; i < 2; i++) {
        CU_ASSERT_TRUE(device_sync(&device, server, whole));
        CU_ASSERT_EQUAL(app_number(&device, "SELECT offer_due FROM outpost_state"), 0);
        CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_resend"), 1);
        CU_ASSERT_FALSE(device.result.digest_mismatch);
        expect_same(&device, server);
    }
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_resend"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT systolic_mmhg FROM blood_pressure"), 120);
    expect_same(&device, server);
    tear_down();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R7_a_resend_that_is_refused_is_marked),
        SUITE_TEST(test_R7_a_resend_that_is_refused_beside_an_older_version),
        SUITE_TEST(test_R7_a_resend_of_what_was_refused_before_marks_nothing),
        SUITE_TEST(test_R8_a_resend_ends_with_its_days),
        SUITE_TEST(test_R20_a_deleted_patient_is_put_aside),
        SUITE_TEST(test_R14_an_offer_without_its_parent_waits),
    };

    return suite_run("resend", tests, sizeof tests / sizeof tests[0]);
}
