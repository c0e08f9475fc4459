/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: snapshots, families that enter and leave, and what is pending meanwhile, as R20 and
 * R21 say. Method: as in apply_test.c.
 */
#include "apply_fixture.h"
#include "pull.h"

#include <stdio.h>

static void fill_server(int patients)
{
    char name[16];

    for (int i = 1; i <= patients; i++) {
        snprintf(name, sizeof name, "N%d", i);
        server_patient(server, (uint8_t)i, name);
        server_pressure(server, (uint8_t)i, (uint8_t)(100 + i), 120, 80);
    }
}

/* Cut after every message in turn: each sync goes on where the last one was. */
static void test_R21_snapshot_resumes_wherever_it_was_cut(void)
{
    set_up();
    fill_server(12);
    uint64_t pulled = 0;
    for (int tries = 0; tries < 50; tries++) {
        bool caught_up = device_sync(&device, server, (struct cut){-1, 2});
        pulled += device.result.pulled;
        device_reopen(&device, &outpost_v1_schema);
        if (caught_up)
            break;
    }
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(pulled, 24);
    expect_same(&device, server);
    tear_down();
}

/* A snapshot begun anew: what was not met again is gone, pending work is not. */
static void test_R21_sweep_drops_what_was_not_met(void)
{
    struct record_key gone = patient_key(3), pending = patient_key(4);

    set_up();
    fill_server(5);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    mini_server_forget(server, &gone);
    mini_server_forget(server, &pending);
    gone = pressure_key(3, 103);
    mini_server_forget(server, &gone);
    pending = pressure_key(4, 104);
    mini_server_forget(server, &pending);
    app(&device, "UPDATE patient SET zone = 'kept' WHERE full_name = 'N4'");
    app(&device, "UPDATE outpost_state SET cursor = x''");
    server->busy = true;
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 3}));
    CU_ASSERT(app_number(&device, "SELECT count(*) FROM outpost_unconfirmed") > 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 5);
    device_reopen(&device, &outpost_v1_schema);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_FALSE(device.result.digest_mismatch);
    CU_ASSERT_EQUAL(device.result.withdrawn, 3);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 4);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure"), 3);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient WHERE full_name = 'N4'"),
                           "kept");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT body IS NULL FROM outpost_held"), 1);
    tear_down();
}

/* A first sync into an empty database notes nothing to sweep. */
static void test_R21_first_sync_notes_nothing(void)
{
    set_up();
    fill_server(4);
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 2}));
    CU_ASSERT(app_number(&device, "SELECT count(*) FROM patient") > 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_unconfirmed"), 0);
    tear_down();
}

/* What was answered in the stream whose first page begins the snapshot counts as
 * met, though no page may bring it. */
static void test_R21_answered_before_the_snapshot_stays(void)
{
    set_up();
    insert_patient(P1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'x'");
    app(&device, "UPDATE outpost_state SET cursor = x''");
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 2}));
    struct rpc_buffer page;
    struct outpost_sync_result result = {0};
    rpc_buffer_init(&page, 256);
    wire_put_bytes(&page, 5, rpc_bytes_view(server->region.bytes, RECORD_UUID_LEN));
    wire_put_bytes(&page, 4, rpc_bytes_view(server->region.bytes, RECORD_UUID_LEN));
    CU_ASSERT_TRUE(
        pull_apply(&device.store, rpc_buffer_view(&page), INT64_C(1800000000000), &result));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 1);
    CU_ASSERT_TRUE(pull_apply(&device.store, rpc_buffer_view(&page), 1, &result));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 0);
    CU_ASSERT_EQUAL(result.withdrawn, 1);
    rpc_buffer_deinit(&page);
    tear_down();
}

static void pull_marker(uint8_t family, uint32_t kind)
{
    struct record_uuid id = id_of(family);
    struct rpc_buffer page, marker;
    struct outpost_sync_result result = {0};

    rpc_buffer_init(&page, 256);
    rpc_buffer_init(&marker, 256);
    wire_put_bytes(&marker, 1, rpc_bytes_view(id.bytes, RECORD_UUID_LEN));
    wire_put_bytes(&marker, 2, rpc_bytes_view(server->region.bytes, RECORD_UUID_LEN));
    wire_put_uint(&marker, 3, kind);
    wire_put_message(&page, 2, rpc_buffer_view(&marker));
    CU_ASSERT_TRUE(pull_apply(&device.store, rpc_buffer_view(&page), 1, &result));
    rpc_buffer_deinit(&marker);
    rpc_buffer_deinit(&page);
}

/* A family leaves: clean rows go at once, pending ones once they are answered. */
static void test_R20_left_family_goes_when_nothing_is_pending(void)
{
    struct record_key key = patient_key(1);

    set_up();
    fill_server(2);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'mine' WHERE id = " P1);
    pull_marker(1, 1);
    pull_marker(2, 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure"), 0);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT full_name || zone FROM patient"), "N1mine");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_left"), 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT family_records FROM outpost_state"), 0);
    server->out_of_scope = 10;
    device_sync(&device, server, whole);
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 9), "mine");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_left"), 0);
    tear_down();
}

/* A family that left is marked alone as long as an offer is due: what is held of it may
 * be all that there is. It goes with the CaughtUp that ends the offers. */
static void test_R22_nothing_is_purged_while_an_offer_is_due(void)
{
    struct record_key patient = patient_key(1), pressure = pressure_key(1, 0x11);

    set_up();
    server_patient(server, 1, "Asha");
    server_pressure(server, 1, 0x11, 120, 80);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE outpost_state SET offer_due = 1");
    app(&device, "UPDATE patient SET zone = 'Z'");
    mini_server_forget(server, &pressure);
    server->out_of_scope = patient.type;
    /* Welcome and the answer; no CaughtUp. */
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 2}));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_left"), 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure"), 1);
    mini_server_forget(server, &patient);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.withdrawn, 1);
    CU_ASSERT_FALSE(device.result.digest_mismatch);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT offer_due FROM outpost_state"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_left"), 0);
    expect_same(&device, server);
    tear_down();
}

/* A family enters: clean rows make room for what follows, edits stay. */
static void test_R20_entered_family_comes_whole(void)
{
    set_up();
    fill_server(2);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'mine' WHERE id = " P1);
    pull_marker(1, 1);
    pull_marker(1, 2);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_left"), 0);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient WHERE id = " P1), "mine");
    app(&device, "UPDATE outpost_state SET cursor = x''");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    tear_down();
}

/* A record of a family that had left comes: the family is in scope again. */
static void test_R20_record_of_a_left_family_ends_the_mark(void)
{
    set_up();
    fill_server(2);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'mine' WHERE id = " P1);
    pull_marker(1, 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_left"), 1);
    app(&device, "UPDATE outpost_state SET cursor = x''");
    server->busy = true;
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_left"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure"), 2);
    server->busy = false;
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    tear_down();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R21_snapshot_resumes_wherever_it_was_cut),
        SUITE_TEST(test_R21_sweep_drops_what_was_not_met),
        SUITE_TEST(test_R21_first_sync_notes_nothing),
        SUITE_TEST(test_R21_answered_before_the_snapshot_stays),
        SUITE_TEST(test_R20_left_family_goes_when_nothing_is_pending),
        SUITE_TEST(test_R22_nothing_is_purged_while_an_offer_is_due),
        SUITE_TEST(test_R20_entered_family_comes_whole),
        SUITE_TEST(test_R20_record_of_a_left_family_ends_the_mark),
    };

    return suite_run("apply family", tests, sizeof tests / sizeof tests[0]);
}
