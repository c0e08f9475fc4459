/* SPDX-License-Identifier: Apache-2.0
 *
 * The store interface on a real SQLite file, or in the PostgreSQL database that
 * OUTPOST_TEST_POSTGRES names: every request kind, group commit
 * of many submitters at once, and that what was decided in one large
 * transaction is what would have been decided one by one. The records are made
 * from the schema's tables, so that no field is named here.
 */
#include "code.h"
#include "store_fixture.h"
#include "suite.h"

#include <sqlite3.h>

static struct scope_device device(uint8_t n, bool admin)
{
    return (struct scope_device){.device_id = {{n}},
                                 .enrolment_region = region_id,
                                 .facility = facility_id,
                                 .region = region_id,
                                 .admin = admin};
}

static struct push_batch *new_batch(uint8_t n)
{
    struct scope_device author = device(n, n == 0);

    return push_batch_new(&author, 1700000000000);
}

static struct record_key patient_key(uint32_t n)
{
    struct record_uuid id = made_id(1, n);

    return (struct record_key){id, fixture.roles.root->number, id};
}

static void add_patient(struct push_batch *batch, uint32_t n)
{
    struct record_body body;

    valid_body(fixture.roles.root, n, &body);
    add_mutation(batch, patient_key(n), &body, 0, 0);
}

static void add_reading(struct push_batch *batch, uint32_t patient, uint32_t n)
{
    struct record_body body;
    struct record_key key = {made_id(1, patient), member_type()->number, made_id(2, n)};

    valid_body(member_type(), n, &body);
    add_mutation(batch, key, &body, 0, 0);
}

static size_t count_answers(const struct push_batch *batch, uint64_t status)
{
    struct wire_reader reader = wire_reader_over(rpc_buffer_view(&batch->result));
    struct wire_field answer, value;
    size_t count = 0;

    while (wire_read(&reader, &answer) == WIRE_FIELD) {
        if (answer.number != 1)
            continue;
        uint64_t got = wire_find(answer.bytes, 1, &value) == WIRE_FIELD ? value.value : 0;
        count += got == status;
    }
    return count;
}

static void push(struct push_batch *batch)
{
    struct store_push request = {.batch = batch, .region_id = region_id};
    struct rpc_status status = fixture_run(&request.request, STORE_PUSH);

    CU_ASSERT_TRUE(rpc_ok(&status));
}

static struct store_head head_of(const struct record_uuid *region)
{
    struct store_heads heads = {.region_count = 1, .regions = region};
    struct rpc_status status = fixture_run(&heads.request, STORE_HEADS);

    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    struct store_head head = heads.heads[0];
    store_heads_deinit(&heads);
    return head;
}

/* A fresh store with one region and one facility in it. */
static void begin(void)
{
    struct push_batch *batch;
    struct record_body body;

    fixture_open();
    batch = new_batch(0);
    valid_body(fixture.roles.facility, 1, &body);
    add_mutation(batch,
                 (struct record_key){.type = fixture.roles.facility->number, .id = facility_id},
                 &body, 0, 0);
    push(batch);
    CU_ASSERT_EQUAL(count_answers(batch, PUSH_APPLIED), 1);
    push_batch_free(batch);
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
        struct store_log_list list = {.region_id = region_id, .after_seq = seq};
        struct rpc_status status = fixture_run(&list.request, STORE_LOG_LIST);
        CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
        count = list.entry_count;
        for (size_t i = 0; i < count; i++) {
            CU_ASSERT_EQUAL_FATAL(list.entries[i].entry.seq, ++seq);
            audit_hash(fixture.hasher, hash, &list.entries[i].entry, next);
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
        pushes[i].batch = new_batch((uint8_t)(i + 1));
        pushes[i].region_id = region_id;
        add_patient(pushes[i].batch, i);
        for (uint32_t r = 0; r < READINGS; r++)
            add_reading(pushes[i].batch, i, i * READINGS + r);
        pushes[i].request.kind = STORE_PUSH;
        pushes[i].request.done = count_done;
        pushes[i].request.owner = &done;
        store_submit(fixture.store, &pushes[i].request);
    }
    while (done < SUBMITTERS) {
        fixture.store->engine->wait(fixture.store);
        store_drain(fixture.store);
    }
    for (size_t i = 0; i < SUBMITTERS; i++) {
        CU_ASSERT_EQUAL(count_answers(pushes[i].batch, PUSH_APPLIED), 1 + READINGS);
        CU_ASSERT_TRUE(pushes[i].head_region.seq >= 1 + READINGS);
        push_batch_free(pushes[i].batch);
    }
    check_log(SUBMITTERS * (1 + READINGS));
    CU_ASSERT_EQUAL(head_of(&region_id).records, SUBMITTERS * (1 + READINGS));
    fixture_close();
}

static void test_the_outcome_does_not_depend_on_batching(void)
{
    uint64_t digests[2];

    for (int way = 0; way < 2; way++) {
        begin();
        struct push_batch *batch = new_batch(1);
        for (uint32_t i = 0; i < 40; i++) {
            add_patient(batch, i);
            add_reading(batch, i, i);
            add_reading(batch, i, i);        /* the same mutation again */
            add_reading(batch, 1000 + i, i); /* no such patient */
            if (way == 1) {
                push(batch);
                push_batch_free(batch);
                batch = new_batch(1);
            }
        }
        if (way == 0) {
            push(batch);
            CU_ASSERT_EQUAL(count_answers(batch, PUSH_APPLIED), 80);
            CU_ASSERT_EQUAL(count_answers(batch, PUSH_NO_EFFECT), 40);
            CU_ASSERT_EQUAL(count_answers(batch, PUSH_RETRY), 40);
        }
        push_batch_free(batch);
        check_log(80);
        digests[way] = head_of(&region_id).digest;
        fixture_close();
    }
    CU_ASSERT_EQUAL(digests[0], digests[1]);
}

static void test_R8_receipts_chain(void)
{
    struct wire_field first, second;
    struct push_batch *one, *two;

    begin();
    one = new_batch(1);
    add_patient(one, 1);
    push(one);
    two = new_batch(1);
    add_patient(two, 2);
    push(two);
    CU_ASSERT_EQUAL_FATAL(wire_find(rpc_buffer_view(&one->result), 2, &first), WIRE_FIELD);
    CU_ASSERT_EQUAL_FATAL(wire_find(rpc_buffer_view(&two->result), 2, &second), WIRE_FIELD);
    CU_ASSERT_FALSE(rpc_bytes_equal(first.bytes, second.bytes));
    uint8_t hash[RECORD_SHA256_LEN];
    struct rpc_bytes parts[] = {first.bytes,
                                rpc_bytes_view(two->items[0].id.bytes, RECORD_MUTATION_ID_LEN)};
    record_hash(fixture.hasher, parts, 2, hash);
    CU_ASSERT_TRUE(rpc_bytes_equal(second.bytes, rpc_bytes_view(hash, AUDIT_HASH_LEN)));
    push_batch_free(one);
    push_batch_free(two);
    fixture_close();
}

/* ---- Pages ------------------------------------------------------------------------ */

/* Of a newer version, with a field that is large. */
static void add_large_patient(struct push_batch *batch, uint32_t n)
{
    static const uint8_t bytes[20000] = {1};
    const struct wire_field field = {
        .number = 2000, .type = WIRE_LEN, .bytes = {bytes, sizeof bytes}};
    struct record_body body;

    valid_body(fixture.roles.root, n, &body);
    CU_ASSERT_TRUE_FATAL(record_body_set(&body, &field));
    add_mutation(batch, patient_key(n), &body, 0, 0);
}

/* Pages until the end: each record once, in order; what they brought agrees with the
 * region's head. */
static void read_pages(enum store_part part, size_t rows_max, size_t bytes_max, uint64_t records)
{
    struct record_key after = {.type = 0};
    uint64_t after_seq = 0, digest = 0, rows = 0;
    bool at_end = false;

    while (!at_end) {
        struct store_page page = {.region_id = region_id,
                                  .part = part,
                                  .after = after,
                                  .after_seq = after_seq,
                                  .rows_max = rows_max,
                                  .bytes_max = bytes_max};
        struct rpc_status status = fixture_run(&page.request, STORE_PAGE);
        CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
        CU_ASSERT_TRUE(page.row_count <= rows_max);
        CU_ASSERT_TRUE_FATAL(page.row_count > 0 || page.at_end);
        for (size_t i = 0; i < page.row_count; i++) {
            const struct store_row *row = &page.rows[i];
            CU_ASSERT_TRUE(part == STORE_TAIL || record_key_compare(&row->key, &after) > 0);
            CU_ASSERT_TRUE(part != STORE_TAIL || row->seq > after_seq);
            CU_ASSERT_TRUE(row->offset < bytes_max); /* it is full with one that passes it */
            after = row->key;
            after_seq = row->seq;
            digest += record_digest_share(row->key.type, &row->key.id, row->stamp);
            rows++;
        }
        at_end = page.at_end;
        CU_ASSERT_TRUE(!at_end || part != STORE_TAIL || page.place.seq == records);
        store_page_deinit(&page);
    }
    CU_ASSERT_EQUAL(rows, records);
    CU_ASSERT_EQUAL(digest, head_of(&region_id).digest);
}

static void test_pages_bring_every_record_exactly_once(void)
{
    struct push_batch *batch;

    begin();
    batch = new_batch(1);
    for (uint32_t i = 0; i < 50; i++) {
        add_patient(batch, i);
        add_reading(batch, i, 2 * i);
        add_reading(batch, i, 2 * i + 1);
    }
    push(batch);
    push_batch_free(batch);
    read_pages(STORE_REST, 7, STORE_PAGE_BYTES_MAX, 150);
    read_pages(STORE_TAIL, 7, STORE_PAGE_BYTES_MAX, 150);
    read_pages(STORE_REST, 50, 1000, 150);
    read_pages(STORE_TAIL, 50, 1000, 150);
    read_pages(STORE_TAIL, 50, 1, 150);
    fixture_close();
}

/* Nothing is under way that could bring more: the page is what there is. */
static void test_R22_a_page_of_a_region_that_is_known_further_is_answered(void)
{
    struct push_batch *batch;

    begin();
    batch = new_batch(1);
    add_patient(batch, 1);
    push(batch);
    push_batch_free(batch);
    for (int part = 0; part < 2; part++) {
        struct store_page page = {
            .region_id = region_id, .part = part == 0 ? STORE_TAIL : STORE_REST, .known_seq = 1000};
        struct rpc_status status = fixture_run(&page.request, STORE_PAGE);
        CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
        CU_ASSERT_TRUE(page.row_count == 1 && page.at_end && page.head.seq == 1);
        store_page_deinit(&page);
    }
    fixture_close();
}

/* One by one among small ones, and many in a row. */
static void test_large_records_end_pages_and_none_is_missed(void)
{
    struct push_batch *batch;

    begin();
    batch = new_batch(1);
    for (uint32_t i = 0; i < 120; i++) {
        if (i % 20 == 0 || (i > 60 && i < 80))
            add_large_patient(batch, i);
        else
            add_patient(batch, i);
    }
    push(batch);
    push_batch_free(batch);
    for (int part = 0; part < 2; part++) {
        enum store_part asked = part == 0 ? STORE_TAIL : STORE_REST;
        read_pages(asked, 5000, STORE_PAGE_BYTES_MAX, 120);
        read_pages(asked, 30, 50000, 120);
        read_pages(asked, 7, 1000, 120);
        read_pages(asked, 1, 1000, 120);
    }
    fixture_close();
}

/* ---- Devices ------------------------------------------------------------------------ */

static enum store_code_verdict enrol(const char *text_of_code, uint8_t n, int64_t now_ms)
{
    struct store_enrol request = {.device = {.device_id = {{n}}, .enrolled_at_ms = now_ms}};
    struct code code;

    CU_ASSERT_TRUE_FATAL(code_parse(text_of_code, fixture.hasher, &code));
    memcpy(request.selector, code.selector, sizeof request.selector);
    memcpy(request.secret_hash, code.secret_hash, sizeof request.secret_hash);
    struct rpc_status status = fixture_run(&request.request, STORE_ENROL);
    CU_ASSERT_TRUE(rpc_ok(&status));
    return request.verdict;
}

static void new_code(char text_out[CODE_TEXT_LEN + 1], uint8_t seed)
{
    uint8_t random[CODE_SYMBOLS];
    struct store_code_add request = {.facility_id = facility_id, .expires_at_ms = 1000};

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(seed * 7 + i * 5);
    struct code code = code_make(random, fixture.hasher, text_out);
    memcpy(request.selector, code.selector, sizeof request.selector);
    memcpy(request.secret_hash, code.secret_hash, sizeof request.secret_hash);
    struct rpc_status status = fixture_run(&request.request, STORE_CODE_ADD);
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
    fixture_close();
}

static void hello(uint8_t n, struct store_hello *request)
{
    *request = (struct store_hello){.device_id = {{n}}};
    struct rpc_status status = fixture_run(&request->request, STORE_HELLO);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
}

static void test_R23_tokens_present_and_previous(void)
{
    char code[CODE_TEXT_LEN + 1];
    struct store_hello request;
    struct store_caught_up caught_up = {.caller = {.device_id = {{1}}},
                                        .region_count = 2,
                                        .regions = {{{0}}, region_id},
                                        .renew_token = true};
    static const uint8_t zeros[TOKEN_LEN];

    begin();
    hello(1, &request);
    CU_ASSERT_FALSE(request.device_known);
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    hello(1, &request);
    CU_ASSERT_TRUE(request.device_known && request.facility_known && !request.standing.revoked);
    CU_ASSERT_EQUAL(record_uuid_compare(&request.device.region, &region_id), 0);
    CU_ASSERT_EQUAL(memcmp(request.tokens.present, zeros, sizeof zeros), 0);

    memset(caught_up.next_token, 5, TOKEN_LEN);
    struct rpc_status status = fixture_run(&caught_up.request, STORE_CAUGHT_UP);
    CU_ASSERT_TRUE(rpc_ok(&status) && caught_up.behind[0]); /* the facility is not there yet */
    hello(1, &request);
    CU_ASSERT_EQUAL(memcmp(request.tokens.present, zeros, sizeof zeros), 0);

    caught_up.places[0].seq = 1;
    status = fixture_run(&caught_up.request, STORE_CAUGHT_UP);
    CU_ASSERT_TRUE(rpc_ok(&status) && !caught_up.behind[0] && !caught_up.behind[1]);
    hello(1, &request);
    CU_ASSERT_EQUAL(request.tokens.present[0], 5);
    memset(caught_up.presented_token, 5, TOKEN_LEN);
    memset(caught_up.next_token, 6, TOKEN_LEN);
    status = fixture_run(&caught_up.request, STORE_CAUGHT_UP);
    hello(1, &request);
    CU_ASSERT_EQUAL(request.tokens.present[0], 6);
    CU_ASSERT_EQUAL(request.tokens.previous[0], 5);
    fixture_close();
}

static struct store_recertify recertify(uint8_t asking, uint8_t n, uint8_t key, uint8_t token)
{
    struct store_recertify request = {
        .device = {.device_id = {{n}}, .copied_from = {{asking}}, .public_key_len = 1}};

    request.device.public_key[0] = key;
    memset(request.presented_token, token, sizeof request.presented_token);
    struct rpc_status status = fixture_run(&request.request, STORE_RECERTIFY);
    CU_ASSERT_TRUE(rpc_ok(&status));
    return request;
}

static void give_token(struct record_uuid id, uint8_t presented, uint8_t token)
{
    struct store_caught_up caught_up = {.caller = {.device_id = id}, .renew_token = true};

    memset(caught_up.presented_token, presented, TOKEN_LEN);
    memset(caught_up.next_token, token, TOKEN_LEN);
    struct rpc_status status = fixture_run(&caught_up.request, STORE_CAUGHT_UP);
    CU_ASSERT_TRUE(rpc_ok(&status));
}

static void revoke(uint8_t n)
{
    struct store_device_change change = {.device_id = {{n}},
                                         .decision = {.change = STANDING_REVOKE}};
    struct rpc_status status = fixture_run(&change.request, STORE_DEVICE_CHANGE);

    CU_ASSERT_TRUE(rpc_ok(&status) && change.found);
}

/* A copy gets a device of its own, the same one for the same key; who is no copy, not
 * known, revoked or has another's key gets none. */
static void test_R23_a_copy_becomes_a_device_once(void)
{
    static const struct {
        uint8_t asking, n, key, token;
        enum store_recertify_verdict verdict;
        uint8_t made;
    } asked[] = {
        {9, 2, 7, 3, STORE_RECERTIFY_UNKNOWN, 0},
        {1, 2, 7, 5, STORE_RECERTIFY_NOT_A_COPY, 0}, /* the previous token */
        {1, 2, 7, 6, STORE_RECERTIFY_NOT_A_COPY, 0}, /* the present one */
        {1, 2, 7, 8, STORE_RECERTIFY_NOT_A_COPY, 0}, /* newer than any that was given */
        {1, 2, 7, 3, STORE_RECERTIFY_GOOD, 2},
        {1, 3, 7, 3, STORE_RECERTIFY_GOOD, 2}, /* the answer was lost */
        {1, 3, 8, 3, STORE_RECERTIFY_GOOD, 3},
        {2, 4, 8, 3, STORE_RECERTIFY_KEY_TAKEN, 0},
        {2, 4, 9, 3, STORE_RECERTIFY_NOT_A_COPY, 0}, /* it was never given a token */
    };
    char code[CODE_TEXT_LEN + 1];
    struct store_hello request;

    begin();
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    give_token((struct record_uuid){{1}}, 0, 5);
    give_token((struct record_uuid){{1}}, 5, 6);
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct store_recertify got =
            recertify(asked[i].asking, asked[i].n, asked[i].key, asked[i].token);
        CU_ASSERT_EQUAL(got.verdict, asked[i].verdict);
        CU_ASSERT(asked[i].made == 0 || got.device.device_id.bytes[0] == asked[i].made);
    }
    hello(3, &request);
    CU_ASSERT_TRUE(request.device_known && request.facility_known);
    hello(4, &request);
    CU_ASSERT_FALSE(request.device_known);
    revoke(2);
    CU_ASSERT_EQUAL(recertify(1, 5, 7, 3).verdict, STORE_RECERTIFY_REFUSED);
    revoke(1);
    CU_ASSERT_EQUAL(recertify(1, 5, 6, 3).verdict, STORE_RECERTIFY_REFUSED);
    fixture_close();
}

/* The n-th of a chain of copies; 0: the device that enrolled. */
static struct record_uuid in_chain(int n)
{
    return n == 0 ? (struct record_uuid){{1}}
                  : (struct record_uuid){{2, (uint8_t)(n >> 8), (uint8_t)n}};
}

static enum store_recertify_verdict copy_in_chain(int n)
{
    struct store_recertify request = {
        .presented_token = {0, 1},
        .device = {.device_id = in_chain(n),
                   .copied_from = in_chain(n - 1),
                   .public_key_len = 2,
                   .public_key = {(uint8_t)(n >> 8), (uint8_t)n}},
    };

    give_token(in_chain(n - 1), 0, 5);
    give_token(in_chain(n - 1), 5, 6);
    struct rpc_status status = fixture_run(&request.request, STORE_RECERTIFY);
    CU_ASSERT_TRUE(rpc_ok(&status));
    return request.verdict;
}

/* Copies of copies count too, so that no chain of them grows for ever. */
static void test_R23_copies_of_one_enrolment_have_a_limit(void)
{
    char code[CODE_TEXT_LEN + 1];

    begin();
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    for (int n = 1; n <= STORE_COPIES_MAX; n++)
        CU_ASSERT_EQUAL(copy_in_chain(n), STORE_RECERTIFY_GOOD);
    CU_ASSERT_EQUAL(copy_in_chain(STORE_COPIES_MAX + 1), STORE_RECERTIFY_TOO_MANY);
    CU_ASSERT_EQUAL(recertify(1, 3, 77, 3).verdict, STORE_RECERTIFY_TOO_MANY);
    fixture_close();
}

/* A revoked device's push, page and CaughtUp do nothing, each by itself: the
 * stream that asks may have been open for hours. */
static void test_a_revoked_device_is_refused_in_every_transaction(void)
{
    char code[CODE_TEXT_LEN + 1];
    struct store_caught_up caught_up = {.caller = {.device_id = {{1}}}, .renew_token = true};
    struct store_page page = {.caller = {.device_id = {{1}}}};
    struct push_batch *batch;

    begin();
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    revoke(1);
    batch = new_batch(1);
    add_patient(batch, 1);
    struct store_push request = {.batch = batch, .region_id = region_id};
    struct rpc_status status = fixture_run(&request.request, STORE_PUSH);
    CU_ASSERT_TRUE(rpc_ok(&status) && request.refusal.why == STANDING_REFUSED_REVOKED);
    CU_ASSERT_EQUAL(head_of(&region_id).last.seq, 0);
    push_batch_free(batch);
    status = fixture_run(&page.request, STORE_PAGE);
    CU_ASSERT_TRUE(rpc_ok(&status) && page.refusal.why == STANDING_REFUSED_REVOKED &&
                   page.row_count == 0);
    store_page_deinit(&page);
    status = fixture_run(&caught_up.request, STORE_CAUGHT_UP);
    CU_ASSERT_TRUE(rpc_ok(&status) && caught_up.refusal.why == STANDING_REFUSED_REVOKED);
    fixture_close();
}

static void test_R22_a_place_that_the_log_does_not_have_is_told(void)
{
    char code[CODE_TEXT_LEN + 1];
    struct store_hello request = {.device_id = {{1}}, .place_count = 3};
    struct push_batch *batch;

    begin();
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    batch = new_batch(1);
    add_patient(batch, 1);
    push(batch);
    push_batch_free(batch);
    for (size_t i = 0; i < 3; i++) {
        request.places[i].region_id = region_id;
        request.places[i].place = head_of(&region_id).last;
    }
    request.places[1].place.seq = 2;
    request.places[2].place.hash[3] ^= 1;
    struct rpc_status status = fixture_run(&request.request, STORE_HELLO);
    CU_ASSERT_TRUE(rpc_ok(&status));
    CU_ASSERT_TRUE(request.places[0].known);
    CU_ASSERT_FALSE(request.places[1].known);
    CU_ASSERT_FALSE(request.places[2].known);
    fixture_close();
}

/* ---- The file ------------------------------------------------------------------------- */

static void test_a_newer_schema_is_refused_and_untouched(void)
{
    struct store_options options;
    struct store *again;
    sqlite3 *db;

    begin();
    options = (struct store_options){.roles = fixture.roles};
    CU_ASSERT_EQUAL_FATAL(sqlite3_open(test_store_place(), &db), SQLITE_OK);
    CU_ASSERT_EQUAL(
        sqlite3_exec(db, "INSERT INTO schema_migration VALUES (999, 'x', x'00')", NULL, NULL, NULL),
        SQLITE_OK);
    struct rpc_status status = store_sqlite_open(test_store_place(), false, &options, &again);
    CU_ASSERT_EQUAL(status.code, RPC_FAILED_PRECONDITION);
    sqlite3_close(db);
    fixture_close();
}

static void test_a_missing_and_a_damaged_file_give_a_status(void)
{
    struct store_options options;
    struct store *again;

    begin();
    options = (struct store_options){.roles = fixture.roles};
    struct rpc_status status = store_sqlite_open("no/such/file.db", false, &options, &again);
    CU_ASSERT_EQUAL(status.code, RPC_NOT_FOUND);
    status = store_sqlite_open("/proc/self/exe", false, &options, &again);
    CU_ASSERT_FALSE(rpc_ok(&status));
    fixture_close();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_I3_many_submitters_at_once_get_dense_seqs_in_order),
        SUITE_TEST(test_the_outcome_does_not_depend_on_batching),
        SUITE_TEST(test_R8_receipts_chain),
        SUITE_TEST(test_pages_bring_every_record_exactly_once),
        SUITE_TEST(test_large_records_end_pages_and_none_is_missed),
        SUITE_TEST(test_R22_a_page_of_a_region_that_is_known_further_is_answered),
        SUITE_TEST(test_codes_expire_and_are_used_once),
        SUITE_TEST(test_R23_tokens_present_and_previous),
        SUITE_TEST(test_R23_a_copy_becomes_a_device_once),
        SUITE_TEST(test_R23_copies_of_one_enrolment_have_a_limit),
        SUITE_TEST(test_a_revoked_device_is_refused_in_every_transaction),
        SUITE_TEST(test_R22_a_place_that_the_log_does_not_have_is_told),
        SUITE_TEST(test_a_newer_schema_is_refused_and_untouched),
        SUITE_TEST(test_a_missing_and_a_damaged_file_give_a_status),
    };

    enum { OF_FILES = 2 }; /* the last ones are about SQLite's files */
    size_t count = sizeof tests / sizeof tests[0];

    return suite_run("store", tests, test_store_is_sqlite() ? count : count - OF_FILES);
}
