/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a page whose records are fed to one statement leaves what one by one they would,
 * whatever is in it (feed.h). Method: pages made by hand, as of a snapshot that begins, on
 * a real database.
 */
#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"
#include "pull.h"

#include <stdio.h>

enum { ZONE = 9, NAME = 1, BIRTH = 3 };

static struct device device;
static struct rpc_buffer page;
static struct outpost_sync_result result;

/* The page that goes on in a snapshot; with begins it is the first. */
static void page_begin(bool begins)
{
    struct record_uuid region = id_of(0xee);

    rpc_buffer_clear(&page);
    if (begins)
        wire_put_bytes(&page, 5, rpc_bytes_view(region.bytes, RECORD_UUID_LEN));
}

static void set_up(void)
{
    device_open(&device, 1, &outpost_v1_schema);
    rpc_buffer_init(&page, 1024 * 1024);
    result = (struct outpost_sync_result){0};
    page_begin(true);
}

static void tear_down(void)
{
    rpc_buffer_deinit(&page);
    device_close(&device);
}

static void add(uint8_t patient, uint64_t version, struct rpc_bytes body)
{
    struct record_image image = {.key = patient_key(patient), .version = version, .body = body};
    struct rpc_buffer record;

    rpc_buffer_init(&record, 4096);
    record_image_encode(&image, &record);
    wire_put_message(&page, 1, rpc_buffer_view(&record));
    rpc_buffer_deinit(&record);
}

static void add_named(uint8_t patient, uint64_t version, const char *name)
{
    struct rpc_buffer body;

    rpc_buffer_init(&body, 4096);
    wire_put_bytes(&body, NAME, rpc_bytes_view((const uint8_t *)name, strlen(name)));
    add(patient, version, rpc_buffer_view(&body));
    rpc_buffer_deinit(&body);
}

static bool apply(void)
{
    return pull_apply(&device.store, rpc_buffer_view(&page), 1, &result);
}

/* R24: the kept sums are those of the rows, and each row is what its stamp says. */
static void expect_sums(int64_t records)
{
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), records);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT family_records FROM outpost_state"), records);
    uint64_t digest = 0;
    for (uint8_t i = 1; i < 100; i++) {
        struct record_key key = patient_key(i);
        struct image image;
        image_init(&image);
        CU_ASSERT_TRUE(image_read_row(&device.store, &key, &image));
        if (image.present) {
            uint64_t kept = image.stamp;
            image_stamp(&image, device.store.hasher);
            CU_ASSERT_EQUAL(kept, image.stamp);
            digest += record_digest_share(key.type, &key.id, kept);
        }
        image_deinit(&image);
    }
    CU_ASSERT_EQUAL((uint64_t)app_number(&device, "SELECT family_digest FROM outpost_state"),
                    digest);
}

static void test_R21_a_page_of_new_records(void)
{
    char name[20];

    set_up();
    for (uint8_t i = 1; i <= 50; i++) {
        snprintf(name, sizeof name, "N%d", i);
        add_named(i, i, name);
    }
    CU_ASSERT_TRUE(apply());
    CU_ASSERT_EQUAL(result.pulled, 50);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient WHERE full_name = 'N' ||"
                                        " outpost_version"),
                    50);
    expect_sums(50);
    tear_down();
}

/* What is there already, also from earlier in the page, is updated; the guess is given up,
 * and what comes behind it arrives all the same. */
static void test_R6_some_are_there(void)
{
    set_up();
    add_named(2, 1, "old");
    CU_ASSERT_TRUE(apply());
    page_begin(true);
    add_named(1, 1, "first");
    add_named(2, 2, "new");
    add_named(3, 1, "third");
    add_named(3, 2, "third again");
    add_named(4, 1, "fourth");
    CU_ASSERT_TRUE(apply());
    CU_ASSERT_STRING_EQUAL(
        app_text(&device, "SELECT group_concat(full_name) FROM (SELECT full_name FROM patient"
                          " ORDER BY id)"),
        "first,new,third again,fourth");
    expect_sums(4);
    tear_down();
}

/* I5: the app works while the snapshot comes. */
static void test_I5_pending_is_not_overwritten(void)
{
    set_up();
    add_named(1, 1, "first");
    CU_ASSERT_TRUE(apply());
    app(&device, "UPDATE patient SET zone = 'mine'");
    page_begin(false);
    add_named(1, 2, "changed");
    add_named(2, 1, "second");
    CU_ASSERT_TRUE(apply());
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT full_name || zone FROM patient"
                                             " WHERE zone <> ''"),
                           "firstmine");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 2);
    tear_down();
}

/* R2: fields in another order, twice, or zero are the same record. I9: what this version
 * does not know is kept. */
static void test_R2_a_body_that_is_not_canonical(void)
{
    struct rpc_buffer body;

    set_up();
    rpc_buffer_init(&body, 4096);
    wire_put_bytes(&body, 900, rpc_bytes_view((const uint8_t *)"newer", 5));
    wire_put_bytes(&body, ZONE, rpc_bytes_view((const uint8_t *)"z", 1));
    wire_put_bytes(&body, NAME, rpc_bytes_view((const uint8_t *)"other", 5));
    wire_put_message(&body, BIRTH, rpc_bytes_view(NULL, 0));
    wire_put_bytes(&body, NAME, rpc_bytes_view((const uint8_t *)"name", 4));
    add(1, 3, rpc_buffer_view(&body));
    add_named(2, 1, "second");
    CU_ASSERT_TRUE(apply());
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT full_name || zone || (instr(outpost_unknown,"
                                             " CAST('newer' AS BLOB)) > 0) FROM patient WHERE zone"
                                             " = 'z'"),
                           "namez1");
    expect_sums(2);
    rpc_buffer_deinit(&body);
    tear_down();
}

/* I4: a page that is damaged anywhere leaves nothing. */
static void test_I4_a_malformed_body_leaves_nothing(void)
{
    static const uint8_t cut[] = {0x0a, 0x7f, 'x'};

    set_up();
    add_named(1, 1, "first");
    add(2, 1, rpc_bytes_view(cut, sizeof cut));
    add_named(3, 1, "third");
    CU_ASSERT_FALSE(apply());
    CU_ASSERT_EQUAL(store_rollback(&device.store).code, OUTPOST_BUG);
    CU_ASSERT_EQUAL(result.pulled, 0);
    expect_sums(0);
    tear_down();
}

/* An app's own constraint refuses a row: as before, the sync says so and nothing is lost. */
static void test_an_apps_index_refuses_one(void)
{
    set_up();
    app(&device, "CREATE UNIQUE INDEX mine ON patient (full_name)");
    add_named(1, 1, "same");
    add_named(2, 1, "same");
    CU_ASSERT_FALSE(apply());
    CU_ASSERT_EQUAL(store_rollback(&device.store).code, OUTPOST_BUG);
    expect_sums(0);
    tear_down();
}

/* The app's triggers fire for each row, and one that ignores a row is obeyed. */
static void test_an_apps_triggers_fire(void)
{
    set_up();
    app(&device, "CREATE TABLE seen (name)");
    app(&device, "CREATE TRIGGER mine AFTER INSERT ON patient BEGIN INSERT INTO seen VALUES"
                 " (NEW.full_name); END");
    add_named(1, 1, "first");
    add_named(2, 1, "second");
    CU_ASSERT_TRUE(apply());
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT group_concat(name) FROM seen"),
                           "first,second");
    expect_sums(2);
    tear_down();
}

/* A reader of the table outside of a page finds it empty. */
static void test_nothing_is_fed_outside_of_a_page(void)
{
    sqlite3_stmt *statement = NULL;

    set_up();
    CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(device.store.db, "SELECT count(c0) FROM outpost_feed",
                                             -1, &statement, NULL),
                          SQLITE_OK);
    CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_ROW);
    CU_ASSERT_EQUAL(sqlite3_column_int(statement, 0), 0);
    sqlite3_finalize(statement);
    tear_down();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R21_a_page_of_new_records),
        SUITE_TEST(test_R6_some_are_there),
        SUITE_TEST(test_I5_pending_is_not_overwritten),
        SUITE_TEST(test_R2_a_body_that_is_not_canonical),
        SUITE_TEST(test_I4_a_malformed_body_leaves_nothing),
        SUITE_TEST(test_an_apps_index_refuses_one),
        SUITE_TEST(test_an_apps_triggers_fire),
        SUITE_TEST(test_nothing_is_fed_outside_of_a_page),
    };

    return suite_run("feed", tests, sizeof tests / sizeof tests[0]);
}
