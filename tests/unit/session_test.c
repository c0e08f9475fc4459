/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: the session sends what session.h says in the order it says, and a server
 * that answers out of turn or with rubbish changes nothing. Method: the session's
 * own steps, with responses that the test writes.
 */
#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>

enum { WELCOME = 1, PUSH_RESULT = 2, PULL = 3, CAUGHT_UP = 4 };

static struct device device;
static struct mini_server *server;
static struct sync_session *session;

static void set_up(bool follow)
{
    struct sync_session_options options = {.now_ms = 1, .follow = follow};

    server = mini_server_new(&outpost_v1_schema);
    CU_ASSERT_TRUE_FATAL(sync_session_new(&device.store, &options, &session));
}

static void tear_down(void)
{
    sync_session_free(session);
    store_rollback(&device.store);
    mini_server_free(server);
    device_close(&device);
}

static void insert_patients(int count)
{
    app(&device,
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
        " INSERT INTO patient (full_name, date_of_birth) SELECT 'N' || i, '1980-01-02'"
        " FROM n",
        count);
}

/* The steps until the session waits, as letters: h Hello, p Push, d PushDone,
 * c half-close. */
static const char *steps(void)
{
    static char letters[64];
    size_t count = 0;
    enum session_step step = SESSION_WAIT;
    struct rpc_bytes message;

    while (count < sizeof letters - 1 && sync_session_next(session, &step, &message) &&
           step != SESSION_WAIT)
        letters[count++] = step == SESSION_HALF_CLOSE ? 'c' : "?hpd"[message.data[0] >> 3];
    letters[count] = '\0';
    return letters;
}

static bool receive(uint32_t number, struct rpc_bytes message)
{
    struct rpc_buffer response;
    bool good;

    rpc_buffer_init(&response, 1024 * 1024);
    wire_put_message(&response, number, message);
    good = sync_session_receive(session, rpc_buffer_view(&response));
    rpc_buffer_deinit(&response);
    return good;
}

static bool receive_welcome(uint32_t push_batch)
{
    struct rpc_buffer welcome, settings;
    bool good;

    rpc_buffer_init(&welcome, 256);
    rpc_buffer_init(&settings, 256);
    wire_put_uint(&settings, 1, push_batch);
    wire_put_message(&welcome, 1, rpc_buffer_view(&settings));
    wire_put_bytes(&welcome, 3, rpc_bytes_view(server->facility.bytes, RECORD_UUID_LEN));
    good = receive(WELCOME, rpc_buffer_view(&welcome));
    rpc_buffer_deinit(&settings);
    rpc_buffer_deinit(&welcome);
    return good;
}

/* count answers of that status, without a record. */
static bool receive_answers(size_t count, uint32_t status)
{
    struct rpc_buffer result, answer;
    bool good;

    rpc_buffer_init(&result, 1024 * 1024);
    rpc_buffer_init(&answer, 16);
    wire_put_uint(&answer, 1, status);
    for (size_t i = 0; i < count; i++)
        wire_put_message(&result, 1, rpc_buffer_view(&answer));
    good = receive(PUSH_RESULT, rpc_buffer_view(&result));
    rpc_buffer_deinit(&answer);
    rpc_buffer_deinit(&result);
    return good;
}

/* Nothing to push: all goes out in one flight, and one wait is all there is. */
static void test_nothing_to_push_is_one_flight(void)
{
    device_open(&device, 1, &outpost_v1_schema);
    set_up(false);
    CU_ASSERT_STRING_EQUAL(steps(), "hdc");
    CU_ASSERT_TRUE(receive_welcome(0));
    CU_ASSERT_STRING_EQUAL(steps(), "");
    CU_ASSERT_TRUE(receive(CAUGHT_UP, rpc_bytes_view(NULL, 0)));
    CU_ASSERT_STRING_EQUAL(steps(), "");
    CU_ASSERT_TRUE(sync_session_caught_up(session));
    CU_ASSERT_EQUAL(sync_session_result(session)->round_trips, 1);
    tear_down();
}

static void insert_readings(const char *of_patients)
{
    app(&device,
        "INSERT INTO blood_pressure (patient_id, systolic_mmhg, diastolic_mmhg)"
        " SELECT id, 120, 80 FROM patient WHERE full_name LIKE '%s'",
        of_patients);
}

/* Records are sealed in parts: the first before anything is sent, then one when nothing sealed is
 * left, then one with each push's answers, which stays ahead by no more than a push. What the app
 * adds meanwhile before where the sealing is goes with the next session, with its members. */
static void test_sealed_in_parts(void)
{
    struct sync_session_options options = {.now_ms = 1, .seal_part = 2};

    device_open(&device, 1, &outpost_v1_schema);
    insert_patients(10);
    insert_readings("N%");
    server = mini_server_new(&outpost_v1_schema);
    CU_ASSERT_TRUE_FATAL(sync_session_new(&device.store, &options, &session));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 2);
    CU_ASSERT_EQUAL(sync_session_progress(session).to_push, 20);

    app(&device, "INSERT INTO patient (id, full_name, date_of_birth)"
                 " VALUES (CAST(zeroblob(15) || x'01' AS BLOB), 'late', '1980-01-02'),"
                 " (CAST(x'ff' || zeroblob(15) AS BLOB), 'later', '1980-01-02')");
    insert_readings("late%");
    CU_ASSERT_STRING_EQUAL(steps(), "hpppp");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 10);
    CU_ASSERT_TRUE(receive_welcome(2));
    for (int push = 5; push <= 11; push++) {
        CU_ASSERT_TRUE(receive_answers(2, 0));
        CU_ASSERT_TRUE(app_number(&device, "SELECT count(*) FROM outpost_outbox") <= 12);
        CU_ASSERT_STRING_EQUAL(steps(), push < 11 ? "p" : "pdc");
    }
    for (int push = 8; push <= 11; push++)
        CU_ASSERT_TRUE(receive_answers(2, 0));
    CU_ASSERT_EQUAL(sync_session_result(session)->pushed, 22);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 2);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 0);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient WHERE outpost_version = 0"
                                        " AND full_name = 'late'"),
                    1);
    sync_session_free(session);

    CU_ASSERT_TRUE_FATAL(sync_session_new(&device.store, &options, &session));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 2);
    tear_down();
}

/* A root may refer to a global record: one that comes too late for a session keeps back
 * the roots that are sealed after it. */
static void test_roots_wait_for_a_late_global_record(void)
{
    struct sync_session_options options = {.now_ms = 1, .seal_part = 2};

    device_open(&device, 1, &outpost_v1_schema);
    insert_patients(5);
    server = mini_server_new(&outpost_v1_schema);
    CU_ASSERT_TRUE_FATAL(sync_session_new(&device.store, &options, &session));
    app(&device, "INSERT INTO facility (name) VALUES ('late')");
    CU_ASSERT_STRING_EQUAL(steps(), "hpdc");
    CU_ASSERT_TRUE(receive_welcome(0));
    CU_ASSERT_TRUE(receive_answers(2, 0));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 4);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 0);
    sync_session_free(session);

    CU_ASSERT_TRUE_FATAL(sync_session_new(&device.store, &options, &session));
    CU_ASSERT_STRING_EQUAL(steps(), "hppdc");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 4);
    tear_down();
}

/* However small the pushes, no more is sealed ahead than one and a part. */
static void test_sealing_keeps_to_the_pace_of_pushes(void)
{
    struct sync_session_options options = {.now_ms = 1, .seal_part = 4};

    device_open(&device, 1, &outpost_v1_schema);
    insert_patients(60);
    server = mini_server_new(&outpost_v1_schema);
    CU_ASSERT_TRUE_FATAL(sync_session_new(&device.store, &options, &session));
    CU_ASSERT_STRING_EQUAL(steps(), "hpppp");
    CU_ASSERT_TRUE(receive_welcome(1));
    for (int push = 0; push < 12; push++) {
        CU_ASSERT_TRUE(receive_answers(push < 4 ? 4 : 1, 0));
        CU_ASSERT_STRING_EQUAL(steps(), "p");
    }
    CU_ASSERT_TRUE(app_number(&device, "SELECT count(*) FROM outpost_outbox") <= 4 + 1 + 4);
    tear_down();
}

/* R14: deletions go last and children first, so that none goes before all are sealed. */
static void test_R14_deletions_wait_for_all_that_is_sealed(void)
{
    struct sync_session_options options = {.now_ms = 1, .seal_part = 2};

    device_open(&device, 1, &outpost_v1_schema);
    insert_patients(5);
    insert_readings("N%");
    server = mini_server_new(&outpost_v1_schema);
    CU_ASSERT_TRUE(device_sync(&device, server, whole));
    app(&device, "DELETE FROM patient");
    CU_ASSERT_TRUE_FATAL(sync_session_new(&device.store, &options, &session));
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 2);
    CU_ASSERT_STRING_EQUAL(steps(), "hpdc");
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 10);
    tear_down();
}

/* At most four pushes wait for answers; Welcome's batch counts from then on. */
static void test_window_of_four_pushes(void)
{
    device_open(&device, 1, &outpost_v1_schema);
    insert_patients(2700);
    set_up(false);
    CU_ASSERT_STRING_EQUAL(steps(), "hpppp");
    CU_ASSERT_TRUE(receive_welcome(300));
    CU_ASSERT_STRING_EQUAL(steps(), "");
    CU_ASSERT_TRUE(receive_answers(500, 0));
    CU_ASSERT_STRING_EQUAL(steps(), "p");
    CU_ASSERT_TRUE(receive_answers(500, 0));
    CU_ASSERT_TRUE(receive_answers(500, 0));
    CU_ASSERT_STRING_EQUAL(steps(), "ppdc");
    CU_ASSERT_TRUE(receive_answers(500, 0));
    CU_ASSERT_TRUE(receive_answers(300, 0));
    CU_ASSERT_TRUE(receive_answers(300, 0));
    CU_ASSERT_TRUE(receive_answers(100, 0));
    CU_ASSERT_EQUAL(sync_session_result(session)->pushed, 2700);
    CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_pending"), 0);
    CU_ASSERT_EQUAL(sync_session_result(session)->round_trips, 3);
    tear_down();
}

/* What a Welcome said about batches holds for what the next sync pushes before its
 * own Welcome comes; it was forgotten, and every sync began with batches of 500. */
static void test_the_last_welcomes_batch_counts_before_the_next(void)
{
    device_open(&device, 1, &outpost_v1_schema);
    set_up(false);
    CU_ASSERT_STRING_EQUAL(steps(), "hdc");
    CU_ASSERT_TRUE(receive_welcome(2));
    mini_server_free(server);
    sync_session_free(session);
    insert_patients(9);
    set_up(false);
    CU_ASSERT_STRING_EQUAL(steps(), "hpppp");
    CU_ASSERT_TRUE(receive_welcome(2));
    CU_ASSERT_TRUE(receive_answers(2, 0));
    CU_ASSERT_STRING_EQUAL(steps(), "pdc");
    tear_down();
}

/* Follow: no half-close before it is asked for. */
static void test_follow_closes_when_asked(void)
{
    device_open(&device, 1, &outpost_v1_schema);
    set_up(true);
    CU_ASSERT_STRING_EQUAL(steps(), "hd");
    CU_ASSERT_TRUE(receive_welcome(0));
    CU_ASSERT_TRUE(receive(CAUGHT_UP, rpc_bytes_view(NULL, 0)));
    CU_ASSERT_STRING_EQUAL(steps(), "");
    CU_ASSERT_TRUE(receive(CAUGHT_UP, rpc_bytes_view(NULL, 0)));
    CU_ASSERT_EQUAL(sync_session_result(session)->caught_up_count, 2);
    sync_session_finish(session);
    CU_ASSERT_STRING_EQUAL(steps(), "c");
    tear_down();
}

/* The token of a stream comes once; a CaughtUp without one keeps it (R23). */
static void test_R23_token_survives_a_caught_up_without_one(void)
{
    struct rpc_buffer caught_up;

    device_open(&device, 1, &outpost_v1_schema);
    set_up(true);
    steps();
    receive_welcome(0);
    rpc_buffer_init(&caught_up, 64);
    wire_put_bytes(&caught_up, 3, rpc_bytes_view("token", 5));
    CU_ASSERT_TRUE(receive(CAUGHT_UP, rpc_buffer_view(&caught_up)));
    CU_ASSERT_TRUE(receive(CAUGHT_UP, rpc_bytes_view(NULL, 0)));
    CU_ASSERT_STRING_EQUAL(app_text(&device, "SELECT CAST(token AS TEXT) FROM outpost_state"),
                           "token");
    rpc_buffer_deinit(&caught_up);
    tear_down();
}

/* Each of these is refused, with a status and an untouched store. */
static void test_out_of_turn_is_refused(void)
{
    static const struct {
        bool welcome;
        uint32_t number;
        size_t answers; /* in place of an empty message */
    } cases[] = {
        {false, PULL, 0},       /* before Welcome */
        {false, CAUGHT_UP, 0},  /* before Welcome */
        {true, PULL, 0},        /* before the answers */
        {true, CAUGHT_UP, 0},   /* before the answers */
        {true, WELCOME, 0},     /* twice */
        {true, PUSH_RESULT, 1}, /* too few answers */
        {true, PUSH_RESULT, 3}, /* too many */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        device_open(&device, 1, &outpost_v1_schema);
        insert_patients(2);
        set_up(false);
        steps();
        if (cases[i].welcome)
            CU_ASSERT_TRUE(receive_welcome(0));
        CU_ASSERT_FALSE(cases[i].answers > 0 ? receive_answers(cases[i].answers, 0)
                                             : receive(cases[i].number, rpc_bytes_view(NULL, 0)));
        CU_ASSERT_EQUAL(device.store.status.code, OUTPOST_BUG);
        CU_ASSERT_FALSE(sync_session_receive(session, rpc_bytes_view(NULL, 0)));
        CU_ASSERT_STRING_EQUAL(steps(), "");
        CU_ASSERT_FALSE(sync_session_caught_up(session));
        store_rollback(&device.store);
        CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_outbox"), 2);
        CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM outpost_journal"), 0);
        tear_down();
    }
}

/* Rubbish in place of messages: a status each time, never a crash, never a row. */
static void test_rubbish_is_refused(void)
{
    static const uint8_t rubbish[] = {0x0a, 0x05, 0x01, 0xff, 0xff, 0x80, 0x80, 0x12, 0x7f};
    uint64_t random = 12345;

    for (uint32_t number = PULL; number <= CAUGHT_UP; number++)
        for (size_t len = 1; len <= sizeof rubbish; len++) {
            uint8_t bytes[sizeof rubbish];
            for (size_t i = 0; i < len; i++) {
                random = random * UINT64_C(6364136223846793005) + 1;
                bytes[i] = rubbish[(random >> 40) % sizeof rubbish];
            }
            device_open(&device, 1, &outpost_v1_schema);
            set_up(false);
            steps();
            CU_ASSERT_TRUE(receive_welcome(0));
            if (!receive(number, rpc_bytes_view(bytes, len)))
                CU_ASSERT_NOT_EQUAL(device.store.status.code, OUTPOST_OK);
            store_rollback(&device.store);
            CU_ASSERT_EQUAL(app_number(&device, "SELECT count(*) FROM patient"), 0);
            tear_down();
        }
}

/* The record of an answer must be the mutation's own. */
static void test_answer_about_another_record_is_refused(void)
{
    struct rpc_buffer result, answer, record;
    struct record_image image = {.key = patient_key(9), .version = 4};

    device_open(&device, 1, &outpost_v1_schema);
    insert_patients(1);
    set_up(false);
    steps();
    CU_ASSERT_TRUE(receive_welcome(0));
    rpc_buffer_init(&result, 1024);
    rpc_buffer_init(&answer, 1024);
    rpc_buffer_init(&record, 1024);
    record_image_encode(&image, &record);
    wire_put_uint(&answer, 1, 1);
    wire_put_message(&answer, 4, rpc_buffer_view(&record));
    wire_put_message(&result, 1, rpc_buffer_view(&answer));
    CU_ASSERT_FALSE(receive(PUSH_RESULT, rpc_buffer_view(&result)));
    rpc_buffer_deinit(&record);
    rpc_buffer_deinit(&answer);
    rpc_buffer_deinit(&result);
    tear_down();
}

static void test_not_enrolled_is_denied(void)
{
    struct sync_session_options options = {.now_ms = 1};

    device_open(&device, 1, &outpost_v1_schema);
    app(&device, "UPDATE outpost_state SET device_id = x''");
    CU_ASSERT_FALSE(sync_session_new(&device.store, &options, &session));
    CU_ASSERT_EQUAL(device.store.status.code, OUTPOST_DENIED);
    store_rollback(&device.store);
    device_close(&device);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_nothing_to_push_is_one_flight),
        SUITE_TEST(test_sealed_in_parts),
        SUITE_TEST(test_roots_wait_for_a_late_global_record),
        SUITE_TEST(test_sealing_keeps_to_the_pace_of_pushes),
        SUITE_TEST(test_R14_deletions_wait_for_all_that_is_sealed),
        SUITE_TEST(test_window_of_four_pushes),
        SUITE_TEST(test_the_last_welcomes_batch_counts_before_the_next),
        SUITE_TEST(test_follow_closes_when_asked),
        SUITE_TEST(test_R23_token_survives_a_caught_up_without_one),
        SUITE_TEST(test_out_of_turn_is_refused),
        SUITE_TEST(test_rubbish_is_refused),
        SUITE_TEST(test_answer_about_another_record_is_refused),
        SUITE_TEST(test_not_enrolled_is_denied),
    };

    return suite_run("session", tests, sizeof tests / sizeof tests[0]);
}
