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

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <unistd.h>

static const char *file;
static struct store *store;
static struct scope_roles roles;
static struct record_hasher *hasher;
static const struct record_uuid region_id = {{7}}, facility_id = {{8}};

/* ---- Building records -------------------------------------------------------- */

static struct record_uuid made_id(uint32_t kind, uint32_t n)
{
    struct record_uuid id = {
        {(uint8_t)kind, 0, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, 1, 0x40, 0, 0x80}};

    return id;
}

static struct wire_field text(uint32_t number, const char *value)
{
    return (struct wire_field){
        .number = number, .type = WIRE_LEN, .bytes = rpc_bytes_view(value, strlen(value))};
}

static struct wire_field id_value(uint32_t number, const struct record_uuid *id)
{
    return (struct wire_field){
        .number = number, .type = WIRE_LEN, .bytes = rpc_bytes_view(id->bytes, RECORD_UUID_LEN)};
}

/* A body that the type's validator accepts, by the tables alone. */
static void valid_body(const struct record_type *type, uint32_t n, struct record_body *body)
{
    static char name[32];

    body->count = 0;
    snprintf(name, sizeof name, "name %u", n);
    for (size_t i = 0; i < type->field_count; i++) {
        const struct record_field *field = &type->fields[i];
        struct wire_field value = {.number = field->number, .type = WIRE_VARINT};
        bool one_of = type->exactly_one_of_count > 0 && field->number == type->exactly_one_of[0];
        if (!field->required && !one_of && field->fill == RECORD_FILL_NONE)
            continue;
        if (field->format == RECORD_FORMAT_DATE)
            value = text(field->number, "1980-02-29");
        else if (field->scope)
            value = id_value(field->number, &region_id);
        else if (field->format == RECORD_FORMAT_UUID)
            value = id_value(field->number, &facility_id);
        else if (field->kind == RECORD_KIND_STRING)
            value = text(field->number, name);
        else
            value.value = (uint64_t)field->max;
        CU_ASSERT_TRUE(record_body_set(body, &value));
    }
}

static const struct record_type *member_type(void)
{
    const struct record_type *found = NULL;

    for (size_t i = 0; i < outpost_v1_schema.type_count; i++)
        if (outpost_v1_schema.types[i].family == RECORD_FAMILY_MEMBER)
            found = &outpost_v1_schema.types[i];
    return found;
}

static void add(struct push_batch *batch, struct record_key key, const struct record_body *body,
                uint64_t base_version, uint64_t base_stamp)
{
    struct record_mutation mutation = {
        .key = key, .base_version = base_version, .base_stamp = base_stamp};
    struct rpc_buffer encoded, bytes;

    rpc_buffer_init(&encoded, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    record_body_encode(body, &encoded);
    mutation.body = rpc_buffer_view(&encoded);
    for (size_t i = 0; i < body->count; i++)
        mutation.fields[mutation.field_count++] = body->fields[i].number;
    record_mutation_encode(&mutation, &bytes);
    CU_ASSERT_TRUE(push_batch_add(batch, rpc_buffer_view(&bytes), base_stamp, hasher));
    rpc_buffer_deinit(&bytes);
    rpc_buffer_deinit(&encoded);
}

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

    return (struct record_key){id, roles.root->number, id};
}

static void add_patient(struct push_batch *batch, uint32_t n)
{
    struct record_body body;

    valid_body(roles.root, n, &body);
    add(batch, patient_key(n), &body, 0, 0);
}

static void add_reading(struct push_batch *batch, uint32_t patient, uint32_t n)
{
    struct record_body body;
    struct record_key key = {made_id(1, patient), member_type()->number, made_id(2, n)};

    valid_body(member_type(), n, &body);
    add(batch, key, &body, 0, 0);
}

static struct rpc_status run(struct store_request *request, enum store_kind kind)
{
    request->kind = kind;
    return store_run(store, request);
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
    struct record_body body;

    hasher = record_hasher_new();
    CU_ASSERT_TRUE_FATAL(scope_roles_find(&outpost_v1_schema, &roles));
    struct store_options options = {.roles = roles};
    struct rpc_status status = store_fixture_open(&options, &store);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    file = store_fixture_file();

    batch = new_batch(0);
    valid_body(roles.facility, 1, &body);
    add(batch, (struct record_key){.type = roles.facility->number, .id = facility_id}, &body, 0, 0);
    push(batch);
    CU_ASSERT_EQUAL(count_answers(batch, PUSH_APPLIED), 1);
    push_batch_free(batch);
}

static void end(void)
{
    store_close(store);
    store_fixture_remove();
    record_hasher_free(hasher);
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
        struct rpc_status status = run(&list.request, STORE_LOG_LIST);
        CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
        count = list.entry_count;
        for (size_t i = 0; i < count; i++) {
            CU_ASSERT_EQUAL_FATAL(list.entries[i].entry.seq, ++seq);
            audit_hash(hasher, hash, &list.entries[i].entry, next);
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
        store_submit(store, &pushes[i].request);
    }
    while (done < SUBMITTERS) {
        store->engine->wait(store);
        store_drain(store);
    }
    for (size_t i = 0; i < SUBMITTERS; i++) {
        CU_ASSERT_EQUAL(count_answers(pushes[i].batch, PUSH_APPLIED), 1 + READINGS);
        CU_ASSERT_TRUE(pushes[i].head_region.seq >= 1 + READINGS);
        push_batch_free(pushes[i].batch);
    }
    check_log(SUBMITTERS * (1 + READINGS));
    CU_ASSERT_EQUAL(head_of(&region_id).records, SUBMITTERS * (1 + READINGS));
    end();
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
        end();
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
    record_hash(hasher, parts, 2, hash);
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
    batch = new_batch(1);
    for (uint32_t i = 0; i < 50; i++) {
        add_patient(batch, i);
        add_reading(batch, i, 2 * i);
        add_reading(batch, i, 2 * i + 1);
    }
    push(batch);
    push_batch_free(batch);
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        struct record_key after = {.type = 0};
        uint64_t after_seq = 0, digest = 0, rows = 0;
        bool at_end = false;
        while (!at_end) {
            struct store_page page = {.region_id = region_id,
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
        CU_ASSERT_EQUAL(digest, head_of(&region_id).digest);
    }
    end();
}

/* ---- Devices ------------------------------------------------------------------------ */

static enum store_code_verdict enrol(const char *text_of_code, uint8_t n, int64_t now_ms)
{
    struct store_enrol request = {.device_id = {{n}}, .now_ms = now_ms};
    struct code code;

    CU_ASSERT_TRUE_FATAL(code_parse(text_of_code, hasher, &code));
    memcpy(request.selector, code.selector, sizeof request.selector);
    memcpy(request.secret_hash, code.secret_hash, sizeof request.secret_hash);
    struct rpc_status status = run(&request.request, STORE_ENROL);
    CU_ASSERT_TRUE(rpc_ok(&status));
    return request.verdict;
}

static void new_code(char text_out[CODE_TEXT_LEN + 1], uint8_t seed)
{
    uint8_t random[CODE_SYMBOLS];
    struct store_code_add request = {.facility_id = facility_id, .expires_at_ms = 1000};

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)(seed * 7 + i * 5);
    struct code code = code_make(random, hasher, text_out);
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
    struct store_caught_up caught_up = {
        .device_id = {{1}}, .region_count = 2, .regions = {{{0}}, region_id}, .renew_token = true};
    static const uint8_t zeros[STORE_TOKEN_LEN];

    begin();
    hello(1, &request);
    CU_ASSERT_FALSE(request.device_known);
    new_code(code, 1);
    CU_ASSERT_EQUAL(enrol(code, 1, 0), STORE_CODE_GOOD);
    hello(1, &request);
    CU_ASSERT_TRUE(request.device_known && request.facility_known && !request.revoked);
    CU_ASSERT_EQUAL(record_uuid_compare(&request.device.region, &region_id), 0);
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
    batch = new_batch(1);
    add_patient(batch, 1);
    struct store_push request = {.batch = batch, .region_id = region_id};
    status = run(&request.request, STORE_PUSH);
    CU_ASSERT_TRUE(rpc_ok(&status) && request.revoked);
    CU_ASSERT_EQUAL(head_of(&region_id).last.seq, 0);
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
    options = (struct store_options){.roles = roles};
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
    options = (struct store_options){.roles = roles};
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
