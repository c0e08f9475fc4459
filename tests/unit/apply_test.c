/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: the three images of a record move as R4-R9 say, whatever is
 * edited, lost or cut in between. Method: a real database, edited through the
 * app's own connection, synced with the mini server; then both are compared.
 */
#include "apply_fixture.h"
#include "pull.h"

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

/* An edit sends its own field only, and both sides agree on the new version
 * though no record came back. */
static void test_R7_applied_moves_held_by_the_fields_sent(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET district = 'North' WHERE id = " P1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_base_patient"), 1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 10), "North");
    CU_ASSERT_EQUAL(mini_server_find(server, &key)->version, 2);
    CU_ASSERT_EQUAL(device.result.pulled, 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_journal"), 1);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT CAST(receipt AS TEXT) FROM outpost_state"),
                           "receipt");
    expect_same(&device, server);
    tear_down();
}

/* Two devices edit different fields: both stay, here through a merged answer. */
static void test_R7_merged_brings_what_others_wrote(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    server_text(server, &key, 11, "Punjab");
    app(&device, "UPDATE patient SET district = 'North'");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.conflicts, 1);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT district || state FROM patient"),
                           "NorthPunjab");
    expect_same(&device, server);
    tear_down();
}

static void edit_zone(struct device *d)
{
    app(d, "UPDATE patient SET zone = 'later' WHERE id = " P1);
}

/* The lost update: an edit made while the push is in flight must survive its
 * answer, and must go out with the next sync. */
static void test_R7_edit_during_the_push_is_kept(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET district = 'North'");
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, edit_zone));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient"), "later");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 1);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT district FROM outpost_base_patient"), "North");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT outpost_version FROM outpost_base_patient"), 1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 9), "later");
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 10), "North");
    expect_same(&device, server);
    tear_down();
}

static void edit_and_back(struct device *d)
{
    app(d, "UPDATE patient SET zone = 'x' WHERE id = " P1);
    app(d, "UPDATE patient SET zone = '' WHERE id = " P1);
}

/* An edit undone in flight leaves the row as sealed: clean after the answer. */
static void test_R7_edit_undone_during_the_push_is_no_edit(void)
{
    set_up();
    insert_patient(P1, "Asha");
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, edit_and_back));
    expect_same(&device, server);
    tear_down();
}

static void delete_patient(struct device *d)
{
    app(d, "DELETE FROM patient WHERE id = " P1);
}

static void test_R7_deletion_during_the_push_is_kept(void)
{
    struct record_key key = patient_key(1);

    set_up();
    insert_patient(P1, "Asha");
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, delete_patient));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 0);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_TRUE(mini_server_find(server, &key)->deleted);
    expect_same(&device, server);
    tear_down();
}

static void insert_again(struct device *d)
{
    insert_patient(P1, "Reborn");
    (void)d;
}

/* Deleted, and inserted again while the deletion is in flight: the server's copy
 * is a tombstone then, and everything that the new row holds must be sent. */
static void test_R7_insert_during_the_push_of_a_deletion(void)
{
    struct record_key key = patient_key(1);

    set_up();
    insert_patient(P1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM patient");
    CU_ASSERT_TRUE(device_sync_with(&device, server, whole, insert_again));
    CU_ASSERT_TRUE(mini_server_find(server, &key)->deleted);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_FALSE(mini_server_find(server, &key)->deleted);
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 1), "Reborn");
    expect_same(&device, server);
    tear_down();
}

/* The same row, inserted as it was: an edit all the same, for the server has a
 * tombstone. */
static void test_R7_same_row_inserted_during_the_push_of_its_deletion(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "CREATE TABLE kept AS SELECT * FROM patient");
    app(&device, "DELETE FROM patient");
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 1}));
    app(&device, "INSERT INTO patient SELECT * FROM kept");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_FALSE(mini_server_find(server, &key)->deleted);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 1);
    expect_same(&device, server);
    tear_down();
}

/* The reply is lost: the same bytes go again and take effect once. */
static void test_R1_lost_reply_is_sent_again_and_counts_once(void)
{
    char before[64];

    set_up();
    insert_patient(P1, "Asha");
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 1}));
    CU_ASSERT_EQUAL(server->mutations, 1);
    snprintf(before, sizeof before, "%s",
             app_text(&device, "SELECT hex(mutation_id) FROM outpost_outbox"));
    device_reopen(&device, &outpost_v1_schema);
    CU_ASSERT_STRING_EQUAL(before,
                           app_text(&device, "SELECT hex(mutation_id) FROM outpost_outbox"));
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(server->mutations, 1);
    expect_same(&device, server);
    tear_down();
}

/* The reply is lost and the row edited before the resend: at most one sealed
 * mutation, the later edit waits and is not lost. */
static void test_R5_one_sealed_mutation_per_record(void)
{
    struct record_key key = patient_key(1);

    set_up();
    insert_patient(P1, "Asha");
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 1}));
    edit_zone(&device);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 9), "");
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient"), "later");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 9), "later");
    expect_same(&device, server);
    tear_down();
}

/* Busy: nothing leaves the outbox, and the next sync sends it. */
static void test_R7_retry_stays_sealed(void)
{
    set_up();
    insert_patient(P1, "Asha");
    server->busy = true;
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.retried, 1);
    CU_ASSERT_EQUAL(device.result.pushed, 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 1);
    server->busy = false;
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    tear_down();
}

/* Refused: the row stays as the nurse wrote it, is marked, and is not sent again
 * until corrected; the correction carries everything. */
static void test_R9_correction_of_a_rejected_record(void)
{
    struct record_key key = pressure_key(1, 0x11);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "INSERT INTO blood_pressure (patient_id, id, systolic_mmhg, diastolic_mmhg)"
                 " VALUES (" P1 ", " B1 ", 12, 80)");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.quarantined, 1);
    expect_rejected(&device, 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT reason * 100 + field FROM outpost_rejected"), 301);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT reason * 100 + field FROM outpost_warning"), 301);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT systolic_mmhg FROM blood_pressure"), 12);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 0);
    app(&device, "UPDATE blood_pressure SET systolic_mmhg = 121 WHERE patient_id = " P1);
    server->busy = true;
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_rejected"), 0);
    server->busy = false;
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 1), "121");
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 2), "80");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_warning"), 0);
    expect_same(&device, server);
    tear_down();
}

/* A rejected edit is taken back by hand: equal to held again, so the mark goes. */
static void test_R9_taken_back_clears_the_mark(void)
{
    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET age_years = 7");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_rejected(&device, 1);
    app(&device, "UPDATE patient SET age_years = 0");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 0);
    expect_same(&device, server);
    tear_down();
}

/* A pull of a record that is rejected here keeps the row; one that makes row and
 * held equal clears the mark. */
static void test_R9_pull_that_makes_equal_clears_the_mark(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'Z', age_years = 7");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_rejected(&device, 1);
    server_text(server, &key, 9, "Y");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient"), "Z");
    expect_rejected(&device, 1);
    server_uint(server, &key, 4, 7);
    server_text(server, &key, 9, "Z");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    tear_down();
}

/* Pending here, changed there: held moves, the row does not, until the answer. */
static void test_R6_pull_never_overwrites_pending(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'mine'");
    server->busy = true;
    server_text(server, &key, 9, "theirs");
    server_text(server, &key, 10, "North");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_FALSE(device.result.digest_mismatch);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone || district FROM patient"), "mine");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT version FROM outpost_held"), 3);
    server->busy = false;
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone || district FROM patient"), "mineNorth");
    expect_same(&device, server);
    tear_down();
}

/* Edited and edited back before any sync: no mutation, and the row takes what
 * the server has meanwhile. */
static void test_R5_edit_undone_is_no_mutation(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET zone = 'x'");
    server->busy = true;
    server_text(server, &key, 10, "North");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM outpost_outbox");
    app(&device, "UPDATE patient SET zone = ''");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed + device.result.retried, 0);
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT district FROM patient"), "North");
    expect_same(&device, server);
    tear_down();
}

/* Inserted and deleted before any sync: the server never hears of it. */
static void test_R5_made_and_deleted_is_nothing(void)
{
    set_up();
    insert_patient(P1, "Asha");
    app(&device, "DELETE FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(server->record_count, 0);
    expect_same(&device, server);
    tear_down();
}

/* Delete meets another device's edit: the record lives and comes back. */
static void test_R14_deletion_that_meets_an_edit(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM patient");
    server_text(server, &key, 9, "theirs");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient"), "theirs");
    expect_same(&device, server);
    tear_down();
}

/* A reading whose patient was refused and then deleted, with it, does not wait in
 * the outbox for ever. */
static void test_R14_child_of_a_patient_that_never_came_is_undone_with_it(void)
{
    set_up();
    app(&device, "INSERT INTO patient (id, full_name, age_years, age_recorded_at_ms)"
                 " VALUES (" P1 ", 'A', 150, 1)");
    app(&device, "INSERT INTO blood_pressure (patient_id, id, systolic_mmhg, diastolic_mmhg)"
                 " VALUES (" P1 ", " B1 ", 120, 80)");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_rejected"), 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 1);

    app(&device, "DELETE FROM patient");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 0);
    expect_same(&device, server);
    tear_down();
}

/* A patient goes with its children, and the children go first. */
static void test_R14_deletions_of_children_go_first(void)
{
    struct record_key patient = patient_key(1), pressure = pressure_key(1, 0x11);

    set_up();
    server_patient(server, 1, "Asha");
    server_pressure(server, 1, 0x11, 120, 80);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM patient");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM blood_pressure"), 0);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 2);
    CU_ASSERT_TRUE(mini_server_find(server, &patient)->deleted);
    CU_ASSERT_TRUE(mini_server_find(server, &pressure)->deleted);
    CU_ASSERT(mini_server_find(server, &pressure)->seq < mini_server_find(server, &patient)->seq);
    expect_same(&device, server);
    tear_down();
}

/* A tombstone of a clean record deletes the row. */
static void test_R6_tombstone_deletes_the_row(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    server_patient(server, 2, "Bina");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    mini_server_put(server, &key, rpc_bytes_view(NULL, 0), true);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 1);
    expect_same(&device, server);
    tear_down();
}

/* Too large for any page: marked at once, and the rest goes out. */
static void test_R25_oversize_is_marked_and_blocks_nothing(void)
{
    set_up();
    insert_patient(P1, "Asha");
    insert_patient(P2, "Bina");
    app(&device, "UPDATE patient SET street_address = hex(zeroblob(40000)) WHERE id = " P1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT reason FROM outpost_rejected"), 11);
    expect_rejected(&device, 1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.pushed, 0);
    app(&device, "UPDATE patient SET street_address = 'short' WHERE id = " P1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    expect_same(&device, server);
    tear_down();
}

/* Text in a number's column travels whole and is refused by the server, not lost
 * by the device. */
static void test_I6_value_of_the_wrong_kind_is_sent_whole(void)
{
    set_up();
    insert_patient(P1, "Asha");
    app(&device, "UPDATE patient SET age_years = 'about forty', date_of_birth = ''");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(device.result.quarantined, 1);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT reason * 100 + field FROM outpost_rejected"), 104);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT instr(mutation, CAST('about forty' AS BLOB)) > 0"
                                        " FROM outpost_journal"),
                    1);
    tear_down();
}

/* Of a merge group every field is listed, the empty ones too. */
static void test_R12_merge_group_travels_whole(void)
{
    struct record_key key = patient_key(1);

    set_up();
    server_patient(server, 1, "Asha");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE patient SET date_of_birth = '', age_years = 40, age_recorded_at_ms = 9");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 3), "");
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 4), "40");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT instr(mutation, x'3203030405') > 0"
                                        " FROM outpost_journal"),
                    1);
    expect_same(&device, server);
    tear_down();
}

/* A reply was lost and a page brings our own edit before the resend: the record
 * stays sealed and pending, or the next edit would be taken for the sealed one. */
static void test_R6_pulled_while_sealed_stays_pending(void)
{
    struct record_key key = patient_key(1);
    struct outpost_sync_result result = {0};
    struct rpc_buffer page, record;

    set_up();
    insert_patient(P1, "Asha");
    CU_ASSERT_FALSE(device_sync(&device, server, (struct cut){-1, 1}));
    struct mini_record *there = mini_server_find(server, &key);
    struct record_image image = {
        .key = key, .version = there->version, .body = rpc_buffer_view(&there->body)};
    rpc_buffer_init(&page, 1024);
    rpc_buffer_init(&record, 1024);
    record_image_encode(&image, &record);
    wire_put_message(&page, 1, rpc_buffer_view(&record));
    CU_ASSERT_TRUE(pull_apply(&device.store, rpc_buffer_view(&page), 1, &result));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 1);
    edit_zone(&device);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT zone FROM patient"), "later");
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_STRING_EQUAL(server_field(server, &key, 9), "later");
    expect_same(&device, server);
    rpc_buffer_deinit(&record);
    rpc_buffer_deinit(&page);
    tear_down();
}

/* One field of a group is edited: the other is listed with it. */
static void test_R12_one_field_takes_its_group_along(void)
{
    set_up();
    server_patient(server, 1, "Asha");
    server_pressure(server, 1, 0x11, 120, 80);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "UPDATE blood_pressure SET systolic_mmhg = 130 WHERE patient_id = " P1);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT instr(mutation, x'32020102') > 0"
                                        " FROM outpost_journal"),
                    1);
    expect_same(&device, server);
    tear_down();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R5_new_records_travel_with_every_field),
        SUITE_TEST(test_R7_applied_moves_held_by_the_fields_sent),
        SUITE_TEST(test_R7_merged_brings_what_others_wrote),
        SUITE_TEST(test_R7_edit_during_the_push_is_kept),
        SUITE_TEST(test_R7_edit_undone_during_the_push_is_no_edit),
        SUITE_TEST(test_R7_deletion_during_the_push_is_kept),
        SUITE_TEST(test_R7_insert_during_the_push_of_a_deletion),
        SUITE_TEST(test_R7_same_row_inserted_during_the_push_of_its_deletion),
        SUITE_TEST(test_R1_lost_reply_is_sent_again_and_counts_once),
        SUITE_TEST(test_R5_one_sealed_mutation_per_record),
        SUITE_TEST(test_R7_retry_stays_sealed),
        SUITE_TEST(test_R9_correction_of_a_rejected_record),
        SUITE_TEST(test_R9_taken_back_clears_the_mark),
        SUITE_TEST(test_R9_pull_that_makes_equal_clears_the_mark),
        SUITE_TEST(test_R6_pull_never_overwrites_pending),
        SUITE_TEST(test_R5_edit_undone_is_no_mutation),
        SUITE_TEST(test_R5_made_and_deleted_is_nothing),
        SUITE_TEST(test_R14_deletion_that_meets_an_edit),
        SUITE_TEST(test_R14_child_of_a_patient_that_never_came_is_undone_with_it),
        SUITE_TEST(test_R14_deletions_of_children_go_first),
        SUITE_TEST(test_R6_tombstone_deletes_the_row),
        SUITE_TEST(test_R25_oversize_is_marked_and_blocks_nothing),
        SUITE_TEST(test_I6_value_of_the_wrong_kind_is_sent_whole),
        SUITE_TEST(test_R12_merge_group_travels_whole),
        SUITE_TEST(test_R6_pulled_while_sealed_stays_pending),
        SUITE_TEST(test_R12_one_field_takes_its_group_along),
    };

    return suite_run("apply", tests, sizeof tests / sizeof tests[0]);
}
