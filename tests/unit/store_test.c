/* SPDX-License-Identifier: Apache-2.0
 *
 * The store interface on a real SQLite file, or in the PostgreSQL database that
 * OUTPOST_TEST_POSTGRES names: every request kind, group commit
 * of many submitters at once, and that what was decided in one large
 * transaction is what would have been decided one by one.
 */
#include "code.h"
#include "made_records.h"
#include "store_fixture.h"
#include "suite.h"

#include <sqlite3.h>

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <unistd.h>

static const char *file;
static struct store *store;
static struct made_records made;

/* ---- Requests ---------------------------------------------------------------------- */

static struct rpc_status run(struct store_request *request, enum store_kind kind)
{
    request->kind = kind;
    return store_run(store, request);
}

static void push(struct push_batch *batch)
{
    struct store_push request = {.batch = batch, .region_id = made.region_id};
    struct rpc_status status = run(&request.request, STORE_PUSH);

    CU_ASSERT_TRUE(rpc_ok(&status));
}

static struct store_head head_of(const struct record_uuid *region)
{
    struct store_heads heads = {.region_count = 1, .regions = region};
    struct rpc_status status = run(&heads.request, STORE_HEADS);

    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    struct store_head head = heads.heads[0];
    store_heads_deinit(&heads);
    return head;
}

/* A fresh store with one region and one facility in it. */
static void begin(void)
{
    struct push_batch *batch;

    CU_ASSERT_TRUE_FATAL(made_init(&made, 7, 8));
    struct store_options options = {.roles = made.roles};
    struct rpc_status status = store_fixture_open(&options, &store);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    file = store_fixture_file();

    batch = made_batch(&made, 0);
    CU_ASSERT_TRUE_FATAL(made_add_facility(&made, batch));
    push(batch);
    CU_ASSERT_EQUAL(made_answers(batch, PUSH_APPLIED), 1);
    push_batch_free(batch);
}

static void end(void)
{
    store_close(store);
    store_fixture_remove();
    made_deinit(&made);
}

/* ---- Pushes --------------------------------------------------------------------- */

/* Walks the region's log: dense seqs (I3), a whole hash chain, and as many
 * entries as expected. */
static void check_log(uint64_t expected)
{
    uint8_t hash[AUDIT_HASH_LEN] = {0}, next[AUDIT_HASH_LEN];
    uint64_t seq = 0;
    size_t count;

    do {
        struct store_log_list list = {.region_id = made.region_id, .after_seq = seq};
        struct rpc_status status = run(&list.request, STORE_LOG_LIST);
        CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
        count = list.entry_count;
        for (size_t i = 0; i < count; i++) {
            CU_ASSERT_EQUAL_FATAL(list.entries[i].entry.seq, ++seq);
            audit_hash(made.hasher, hash, &list.entries[i].entry, next);
            CU_ASSERT_EQUAL_FATAL(memcmp(next, list.entries[i].hash, sizeof next), 0);
            memcpy(hash, next, sizeof hash);
        }
        arena_deinit(&list.arena);
    } while (count == STORE_LIST_ROWS_MAX);
    CU_ASSERT_EQUAL(seq, expected);
}

static void count_done(struct store_request *request)
{
    CU_ASSERT_TRUE(rpc_ok(&request->status));
    ++*(unsigned *)request->owner;
}

enum { SUBMITTERS = 60, READINGS = 20 };

static void test_I3_many_submitters_at_once_get_dense_seqs_in_order(void)
{
    struct store_push pushes[SUBMITTERS] = {0};
    unsigned done = 0;

    begin();
    for (uint32_t i = 0; i < SUBMITTERS; i++) {
        pushes[i].batch = made_batch(&made, (uint8_t)(i + 1));
        pushes[i].region_id = made.region_id;
        CU_ASSERT_TRUE(made_add_patient(&made, pushes[i].batch, i));
        for (uint32_t r = 0; r < READINGS; r++)
            CU_ASSERT_TRUE(made_add_reading(&made, pushes[i].batch, i, i * READINGS + r));
        pushes[i].request.kind = STORE_PUSH;
        pushes[i].request.done = count_done;
        pushes[i].request.owner = &done;
        store_submit(store, &pushes[i].request);
    }
    while (done < SUBMITTERS) {
        store->engine->wait(store);
        store_drain(store);
    }
    for (size_t i = 0; i < SUBMITTERS; i++) {
        CU_ASSERT_EQUAL(made_answers(pushes[i].batch, PUSH_APPLIED), 1 + READINGS);
        CU_ASSERT_TRUE(pushes[i].head_region.seq >= 1 + READINGS);
        push_batch_free(pushes[i].batch);
    }
    check_log(SUBMITTERS * (1 + READINGS));
    CU_ASSERT_EQUAL(head_of(&made.region_id).records, SUBMITTERS * (1 + READINGS));
    end();
}

static void test_the_outcome_does_not_depend_on_batching(void)
{
    uint64_t digests[2];

    for (int way = 0; way < 2; way++) {
        begin();
        struct push_batch *batch = made_batch(&made, 1);
        for (uint32_t i = 0; i < 40; i++) {
            CU_ASSERT_TRUE(made_add_patient(&made, batch, i));
            CU_ASSERT_TRUE(made_add_reading(&made, batch, i, i));
            CU_ASSERT_TRUE(made_add_reading(&made, batch, i, i)); /* the same mutation again */
            CU_ASSERT_TRUE(made_add_reading(&made, batch, 1000 + i, i)); /* no such patient */
            if (way == 1) {
                push(batch);
                push_batch_free(batch);
                batch = made_batch(&made, 1);
            }
        }
        if (way == 0) {
            push(batch);
            CU_ASSERT_EQUAL(made_answers(batch, PUSH_APPLIED), 80);
            CU_ASSERT_EQUAL(made_answers(batch, PUSH_NO_EFFECT), 40);
            CU_ASSERT_EQUAL(made_answers(batch, PUSH_RETRY), 40);
        }
        push_batch_free(batch);
        check_log(80);
        digests[way] = head_of(&made.region_id).digest;
        end();
    }
    CU_ASSERT_EQUAL(digests[0], digests[1]);
}

static void test_R8_receipts_chain(void)
{
    struct wire_field first, second;
    struct push_batch *one, *two;

    begin();
    one = made_batch(&made, 1);
    CU_ASSERT_TRUE(made_add_patient(&made, one, 1));
    push(one);
    two = made_batch(&made, 1);
    CU_ASSERT_TRUE(made_add_patient(&made, two, 2));
    push(two);
    CU_ASSERT_EQUAL_FATAL(wire_find(rpc_buffer_view(&one->result), 2, &first), WIRE_FIELD);
    CU_ASSERT_EQUAL_FATAL(wire_find(rpc_buffer_view(&two->result), 2, &second), WIRE_FIELD);
    CU_ASSERT_FALSE(rpc_bytes_equal(first.bytes, second.bytes));
    uint8_t hash[RECORD_SHA256_LEN];
    struct rpc_bytes parts[] = {first.bytes,
                                rpc_bytes_view(two->items[0].id.bytes, RECORD_MUTATION_ID_LEN)};
    record_hash(made.hasher, parts, 2, hash);
    CU_ASSERT_TRUE(rpc_bytes_equal(second.bytes, rpc_bytes_view(hash, AUDIT_HASH_LEN)));
    push_batch_free(one);
    push_batch_free(two);
    end();
}

/* ---- Pages ------------------------------------------------------------------------ */

static void test_pages_bring_every_record_exactly_once(void)
{
    struct push_batch *batch;

    begin();
    batch = made_batch(&made, 1);
    for (uint32_t i = 0; i < 50; i++) {
        CU_ASSERT_TRUE(made_add_patient(&made, batch, i));
        CU_ASSERT_TRUE(made_add_reading(&made, batch, i, 2 * i));
        CU_ASSERT_TRUE(made_add_reading(&made, batch, i, 2 * i + 1));
    }
    push(batch);
    push_batch_free(batch);
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        struct record_key after = {.type = 0};
        uint64_t after_seq = 0, digest = 0, rows = 0;
        bool at_end = false;
        while (!at_end) {
            struct store_page page = {.region_id = made.region_id,
                                      .snapshot = snapshot != 0,
                                      .after = after,
                                      .after_seq = after_seq,
                                      .rows_max = 7};
            struct rpc_status status = run(&page.request, STORE_PAGE);
            CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
            CU_ASSERT_TRUE(page.row_count <= 7);
            for (size_t i = 0; i < page.row_count; i++) {
                const struct store_row *row = &page.rows[i];
                CU_ASSERT_TRUE(!snapshot || record_key_compare(&row->key, &after) > 0);
                CU_ASSERT_TRUE(snapshot || row->seq > after_seq);
                after = row->key;
                after_seq = row->seq;
                digest += record_digest_share(row->key.type, &row->key.id, row->stamp);
                rows++;
            }
            at_end = page.at_end;
            CU_ASSERT_TRUE(!at_end || snapshot || page.place.seq == 150);
            store_page_deinit(&page);
        }
        CU_ASSERT_EQUAL(rows, 150);
        CU_ASSERT_EQUAL(digest, head_of(&made.region_id).digest);
    }
    end();
}

/* ---- Devices ------------------------------------------------------------------------ */

static enum store_code_verdict enrol(const char *text_of_code, uint8_t n, int64_t now_ms)
{
    struct store_enrol request = {.device_id = {{n}}, .now_ms = now_ms};
    struct code code;

    CU_ASSERT_TRUE_FATAL(code_parse(text_of_code, made.hasher, &code));
    memcpy(request.selector, code.selector, sizeof request.selector);
    memcpy(request.secret_hash, code.secret_hash, sizeof request.secret_hash);
    struct rpc_status status = run(&request.request, STORE_ENROL);
    CU_ASSERT_TRUE(rpc_ok(&status));
    return request.verdict;
}

static void new_code(char text_out[CODE_TEXT_LEN + 1], uint8_t seed)
{
    uint8_t random[CODE_SYMBOLS];
    struct store_code_add request = {.facility_id = made.facility_id, .expires_at_ms = 1000};

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(seed * 7 + i * 5);
    struct code code = code_make(random, made.hasher, text_out);
    memcpy(request.selector, code.selector, sizeof request.selector);
    memcpy(request.secret_hash, code.secret_hash, sizeof request.secret_hash);
    struct rpc_status status = run(&request.request, STORE_CODE_ADD);
    CU_ASSERT_TRUE(rpc_ok(&status) && request.facility_known);
}

static void test_codes_expire_and_are_used_once(void)
{
    char code[CODE_TEXT_LEN + 1];

    begin();
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 1001), STORE_CODE_EXPIRED);
    CU_ASSERT_EQUAL(enrol(code, 1, 1000), STORE_CODE_GOOD);
    CU_ASSERT_EQUAL(enrol(code, 2, 1000), STORE_CODE_USED);
    end();
}

static void hello(uint8_t n, struct store_hello *request)
{
    *request = (struct store_hello){.device_id = {{n}}};
    struct rpc_status status = run(&request->request, STORE_HELLO);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
}

static void test_R23_tokens_present_and_previous(void)
{
    char code[CODE_TEXT_LEN + 1];
    struct store_hello request;
    struct store_caught_up caught_up = {.device_id = {{1}},
                                        .region_count = 2,
                                        .regions = {{{0}}, made.region_id},
                                        .renew_token = true};
    static const uint8_t zeros[STORE_TOKEN_LEN];

    begin();
    hello(1, &request);
    CU_ASSERT_FALSE(request.device_known);
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    hello(1, &request);
    CU_ASSERT_TRUE(request.device_known && request.facility_known && !request.revoked);
    CU_ASSERT_EQUAL(record_uuid_compare(&request.device.region, &made.region_id), 0);
    CU_ASSERT_EQUAL(memcmp(request.token, zeros, sizeof zeros), 0);

    memset(caught_up.next_token, 5, STORE_TOKEN_LEN);
    struct rpc_status status = run(&caught_up.request, STORE_CAUGHT_UP);
    CU_ASSERT_TRUE(rpc_ok(&status) && caught_up.behind[0]); /* the facility is not there yet */
    hello(1, &request);
    CU_ASSERT_EQUAL(memcmp(request.token, zeros, sizeof zeros), 0);

    caught_up.places[0].seq = 1;
    status = run(&caught_up.request, STORE_CAUGHT_UP);
    CU_ASSERT_TRUE(rpc_ok(&status) && !caught_up.behind[0] && !caught_up.behind[1]);
    hello(1, &request);
    CU_ASSERT_EQUAL(request.token[0], 5);
    memset(caught_up.presented_token, 5, STORE_TOKEN_LEN);
    memset(caught_up.next_token, 6, STORE_TOKEN_LEN);
    status = run(&caught_up.request, STORE_CAUGHT_UP);
    hello(1, &request);
    CU_ASSERT_EQUAL(request.token[0], 6);
    CU_ASSERT_EQUAL(request.token_previous[0], 5);
    end();
}

/* A revoked device's push, page and CaughtUp do nothing, each by itself: the
 * stream that asks may have been open for hours. */
static void test_a_revoked_device_is_refused_in_every_transaction(void)
{
    char code[CODE_TEXT_LEN + 1];
    struct store_device_set set = {.device_id = {{1}}, .state = STORE_DEVICE_REVOKED};
    struct store_caught_up caught_up = {.device_id = {{1}}, .renew_token = true};
    struct store_page page = {.device_id = {{1}}};
    struct push_batch *batch;

    begin();
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    struct rpc_status status = run(&set.request, STORE_DEVICE_SET);
    CU_ASSERT_TRUE(rpc_ok(&status) && set.found);
    batch = made_batch(&made, 1);
    CU_ASSERT_TRUE(made_add_patient(&made, batch, 1));
    struct store_push request = {.batch = batch, .region_id = made.region_id};
    status = run(&request.request, STORE_PUSH);
    CU_ASSERT_TRUE(rpc_ok(&status) && request.revoked);
    CU_ASSERT_EQUAL(head_of(&made.region_id).last.seq, 0);
    push_batch_free(batch);
    status = run(&page.request, STORE_PAGE);
    CU_ASSERT_TRUE(rpc_ok(&status) && page.revoked && page.row_count == 0);
    store_page_deinit(&page);
    status = run(&caught_up.request, STORE_CAUGHT_UP);
    CU_ASSERT_TRUE(rpc_ok(&status) && caught_up.revoked);
    end();
}

static void test_R22_a_place_that_the_log_does_not_have_is_told(void)
{
    char code[CODE_TEXT_LEN + 1];
    struct store_hello request = {.device_id = {{1}}, .place_count = 3};
    struct push_batch *batch;

    begin();
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    batch = made_batch(&made, 1);
    CU_ASSERT_TRUE(made_add_patient(&made, batch, 1));
    push(batch);
    push_batch_free(batch);
    for (size_t i = 0; i < 3; i++) {
        request.places[i].region_id = made.region_id;
        request.places[i].place = head_of(&made.region_id).last;
    }
    request.places[1].place.seq = 2;
    request.places[2].place.hash[3] ^= 1;
    struct rpc_status status = run(&request.request, STORE_HELLO);
    CU_ASSERT_TRUE(rpc_ok(&status));
    CU_ASSERT_TRUE(request.places[0].known);
    CU_ASSERT_FALSE(request.places[1].known);
    CU_ASSERT_FALSE(request.places[2].known);
    end();
}

/* ---- The file ------------------------------------------------------------------------- */

static void test_a_newer_schema_is_refused_and_untouched(void)
{
    struct store_options options;
    struct store *again;
    sqlite3 *db;

    begin();
    options = (struct store_options){.roles = made.roles};
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(file, &db), SQLITE_OK);
    CU_ASSERT_EQUAL(
        sqlite3_exec(db, "INSERT INTO schema_migration VALUES (999, 'x', x'00')", NULL, NULL, NULL),
        SQLITE_OK);
    struct rpc_status status = store_sqlite_open(file, false, &options, &again);
    CU_ASSERT_EQUAL(status.code, RPC_FAILED_PRECONDITION);
    sqlite3_close(db);
    end();
}

static void test_a_missing_and_a_damaged_file_give_a_status(void)
{
    struct store_options options;
    struct store *again;

    begin();
    options = (struct store_options){.roles = made.roles};
    struct rpc_status status = store_sqlite_open("no/such/file.db", false, &options, &again);
    CU_ASSERT_EQUAL(status.code, RPC_NOT_FOUND);
    status = store_sqlite_open("/proc/self/exe", false, &options, &again);
    CU_ASSERT_FALSE(rpc_ok(&status));
    end();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_I3_many_submitters_at_once_get_dense_seqs_in_order),
        SUITE_TEST(test_the_outcome_does_not_depend_on_batching),
        SUITE_TEST(test_R8_receipts_chain),
        SUITE_TEST(test_pages_bring_every_record_exactly_once),
        SUITE_TEST(test_codes_expire_and_are_used_once),
        SUITE_TEST(test_R23_tokens_present_and_previous),
        SUITE_TEST(test_a_revoked_device_is_refused_in_every_transaction),
        SUITE_TEST(test_R22_a_place_that_the_log_does_not_have_is_told),
        SUITE_TEST(test_a_newer_schema_is_refused_and_untouched),
        SUITE_TEST(test_a_missing_and_a_damaged_file_give_a_status),
    };
    enum { OF_FILES = 2 }; /* the last ones are about SQLite's files */
    size_t count = sizeof tests / sizeof tests[0];

    return suite_run("store", tests, store_fixture_is_sqlite() ? count : count - OF_FILES);
}
