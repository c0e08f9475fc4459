/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal (R21): however patients are registered, moved, edited and deleted between the
 * pages of a snapshot, and however often it is cut and begun again at another
 * facility, the device holds in the end what its region has, no more and no less; and
 * its own facility's families come first.
 * Method: real streams over a real store, page by page; a device that is a list of
 * (key, stamp) and does what sync.proto says of pages; random histories. The oracle is
 * the store's tail, read from its beginning, and the digest that CaughtUp tells.
 * OUTPOST_TEST_SEEDS: how many histories (40).
 */
#include "store_fixture.h"
#include "stream_state.h"
#include "suite.h"

#include <stdio.h>

enum {
    PATIENTS = 18,
    FACILITIES = 5, /* three in the first region, two in the second */
    HELD_MAX = 4096,
    PAGE_ROWS = 3,
    QUEUE_MAX = 8,
    ROUNDS = 4, /* of catching up, in one history */
    STEPS_MAX = 4000,
};

static const struct record_uuid region_ids[2] = {{{7}}, {{17}}};
static struct record_uuid facilities[FACILITIES];
static const struct record_uuid device_id = {{1}};
static uint64_t random_state;
static uint32_t reading_count;

static uint64_t below(uint64_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (random_state >> 33) % limit;
}

static size_t region_of(size_t facility)
{
    return facility < 3 ? 0 : 1;
}

/* ---- What the others do -------------------------------------------------------- */

static struct push_batch *batch_of_others(void)
{
    struct scope_device author = {.device_id = {{99}},
                                  .enrolment_region = region_ids[0],
                                  .facility = facilities[0],
                                  .region = region_ids[0],
                                  .admin = true};

    return push_batch_new(&author, 1700000000000);
}

static void push(struct push_batch *batch)
{
    struct store_push request = {.batch = batch, .region_id = region_ids[0]};
    struct rpc_status status = fixture_run(&request.request, STORE_PUSH);

    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    for (size_t i = 0; i < batch->item_count; i++)
        CU_ASSERT_TRUE(batch->items[i].outcome.status <= PUSH_NO_EFFECT);
    push_batch_free(batch);
}

static void set_id(struct record_body *body, uint32_t number, const struct record_uuid *id)
{
    struct wire_field value = id_value(number, id);

    CU_ASSERT_TRUE(record_body_set(body, &value));
}

static void add_facilities(void)
{
    struct push_batch *batch = batch_of_others();
    const struct record_type *type = fixture.roles.facility;

    for (uint32_t i = 0; i < FACILITIES; i++) {
        struct record_body body;
        facilities[i] = made_id(8, i);
        valid_body(type, i, &body);
        set_id(&body, fixture.roles.facility_home->number, &region_ids[region_of(i)]);
        add_mutation(batch, (struct record_key){.type = type->number, .id = facilities[i]}, &body,
                     0, 0);
    }
    push(batch);
}

static struct record_key patient_key(uint32_t n)
{
    struct record_uuid id = made_id(1, n * 7919 % 251); /* not in the order of registration */

    return (struct record_key){id, fixture.roles.root->number, id};
}

static struct store_record_get present(const struct record_key *key)
{
    struct store_record_get get = {.key = *key, .of_family = true};
    struct rpc_status status = fixture_run(&get.request, STORE_RECORD_GET);

    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    rpc_buffer_deinit(&get.body);
    return get;
}

static void register_patient(struct push_batch *batch, uint32_t n)
{
    struct record_body body;

    valid_body(fixture.roles.root, n, &body);
    set_id(&body, fixture.roles.root_facilities[0]->number, &facilities[below(FACILITIES)]);
    add_mutation(batch, patient_key(n), &body, 0, 0);
}

static void add_reading(struct push_batch *batch, uint32_t patient)
{
    struct record_body body;
    struct record_key root = patient_key(patient);
    struct record_key key = {root.family, member_type()->number, made_id(2, reading_count++)};

    valid_body(member_type(), reading_count, &body);
    add_mutation(batch, key, &body, 0, 0);
}

/* Assigns the patient to a facility, or to none. */
static void assign(struct push_batch *batch, uint32_t n)
{
    struct record_key key = patient_key(n);
    struct store_record_get get = present(&key);
    struct record_body body = {0};
    static const struct record_uuid none = {{0}};
    uint64_t to = below(FACILITIES + 1);

    set_id(&body, fixture.roles.root_facilities[1]->number,
           to < FACILITIES ? &facilities[to] : &none);
    add_mutation(batch, key, &body, get.version, get.stamp);
}

static void delete_reading(struct push_batch *batch)
{
    struct store_record_get get = {.key = {.type = member_type()->number,
                                           .id = made_id(2, (uint32_t)below(reading_count + 1))},
                                   .any_family = true};
    struct rpc_status status = fixture_run(&get.request, STORE_RECORD_GET);
    struct rpc_buffer bytes;

    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    rpc_buffer_deinit(&get.body);
    if (!get.found || get.deleted)
        return;
    struct record_mutation mutation = {
        .key = get.key, .base_version = get.version, .base_stamp = get.stamp, .deletes = true};
    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    record_mutation_encode(&mutation, &bytes);
    CU_ASSERT_TRUE(push_batch_add(batch, rpc_buffer_view(&bytes), get.stamp, fixture.hasher));
    rpc_buffer_deinit(&bytes);
}

static void others_do_something(void)
{
    struct push_batch *batch = batch_of_others();
    uint32_t patient = (uint32_t)below(PATIENTS);
    struct record_key key = patient_key(patient);

    if (!present(&key).found)
        register_patient(batch, patient);
    else if (below(2) == 0)
        assign(batch, patient);
    else if (below(3) > 0)
        add_reading(batch, patient);
    else
        delete_reading(batch);
    push(batch);
}

/* ---- The device ------------------------------------------------------------------- */

static struct held {
    struct record_key key;
    uint64_t stamp;
    bool confirmed;
} held[HELD_MAX];
static size_t held_count;
static struct rpc_buffer cursor;
static size_t facility; /* where it works */
static bool caught_up;
static uint64_t told_records, told_digest;

static void drop(size_t i)
{
    held[i] = held[--held_count];
}

static void take_record(struct rpc_bytes bytes)
{
    struct record_image image;
    size_t i = 0;

    CU_ASSERT_TRUE_FATAL(record_image_parse(bytes, &image));
    if (record_uuid_is_zero(&image.key.family))
        return;
    while (i < held_count && record_key_compare(&held[i].key, &image.key) != 0)
        i++;
    if (image.deleted) {
        if (i < held_count)
            drop(i);
        return;
    }
    CU_ASSERT_TRUE_FATAL(i < HELD_MAX);
    held_count += i == held_count;
    held[i] = (struct held){image.key,
                            record_stamp(fixture.hasher, image.version, false, image.body), true};
}

static void take_marker(struct rpc_bytes bytes)
{
    struct wire_field family;

    CU_ASSERT_EQUAL_FATAL(wire_find(bytes, 1, &family), WIRE_FIELD);
    for (size_t i = held_count; i-- > 0;)
        if (memcmp(held[i].key.family.bytes, family.bytes.data, RECORD_UUID_LEN) == 0)
            drop(i);
}

static bool is_global(struct rpc_bytes region)
{
    return memcmp(region.data, scope_global_region.bytes, RECORD_UUID_LEN) == 0;
}

/* The order of sync.proto: the beginning, markers, records, the end. */
static void take_pull(struct rpc_bytes pull)
{
    static const uint32_t order[] = {5, 2, 1, 4, 3};

    for (size_t n = 0; n < sizeof order / sizeof order[0]; n++) {
        struct wire_reader reader = wire_reader_over(pull);
        struct wire_field field;
        while (wire_read(&reader, &field) == WIRE_FIELD) {
            if (field.number != order[n])
                continue;
            switch (field.number) {
            case 5:
                for (size_t i = 0; i < held_count && !is_global(field.bytes); i++)
                    held[i].confirmed = false;
                break;
            case 2:
                take_marker(field.bytes);
                break;
            case 1:
                take_record(field.bytes);
                break;
            case 4:
                for (size_t i = held_count; i-- > 0 && !is_global(field.bytes);)
                    if (!held[i].confirmed)
                        drop(i);
                break;
            default:
                rpc_buffer_clear(&cursor);
                rpc_buffer_append_bytes(&cursor, field.bytes);
            }
        }
    }
}

static void take_caught_up(struct rpc_bytes message)
{
    struct wire_reader reader = wire_reader_over(message);
    struct wire_field field, id, value;

    caught_up = true;
    while (wire_read(&reader, &field) == WIRE_FIELD) {
        if (field.number == 1) {
            rpc_buffer_clear(&cursor);
            rpc_buffer_append_bytes(&cursor, field.bytes);
        }
        if (field.number != 2 || wire_find(field.bytes, 1, &id) != WIRE_FIELD ||
            is_global(id.bytes))
            continue;
        told_records = wire_find(field.bytes, 3, &value) == WIRE_FIELD ? value.value : 0;
        told_digest = wire_find(field.bytes, 4, &value) == WIRE_FIELD ? value.value : 0;
    }
}

/* ---- One stream ----------------------------------------------------------------------- */

struct peer {
    struct rpc_buffer queue[QUEUE_MAX];
    size_t count;
    bool finished;
};

static void peer_send(void *context, struct rpc_bytes message)
{
    struct peer *peer = context;

    CU_ASSERT_TRUE_FATAL(peer->count < QUEUE_MAX);
    struct rpc_buffer *entry = &peer->queue[peer->count++];
    rpc_buffer_init(entry, 4 * 1024 * 1024);
    rpc_buffer_append_bytes(entry, message);
}

/* A page at a time: nothing is read while one waits. */
static bool peer_writable(void *context)
{
    return ((struct peer *)context)->count == 0;
}

static void peer_nothing(void *context)
{
    (void)context;
}

static void peer_finish(void *context, struct rpc_status status)
{
    CU_ASSERT_TRUE(rpc_ok(&status));
    if (!rpc_ok(&status))
        fprintf(stderr, "refused: %s\n", status.message);
    ((struct peer *)context)->finished = true;
}

static int64_t time_ms(void *context)
{
    (void)context;
    return 1700000000000;
}

static void random_bytes(void *context, uint8_t *bytes, size_t len)
{
    (void)context;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)below(256);
}

static void await_store(const struct stream *stream)
{
    while (stream->owed > 0) {
        fixture.store->engine->wait(fixture.store);
        store_drain(fixture.store);
    }
}

static void send_hello(struct stream *stream)
{
    struct rpc_buffer hello, message;

    rpc_buffer_init(&hello, 8192);
    rpc_buffer_init(&message, 8192);
    wire_put_bytes(&hello, 2, rpc_buffer_view(&cursor));
    wire_put_bytes(&hello, 4, rpc_bytes_view(facilities[facility].bytes, RECORD_UUID_LEN));
    wire_put_message(&message, 1, rpc_buffer_view(&hello));
    stream_on_message(stream, rpc_buffer_view(&message));
    rpc_buffer_clear(&message);
    wire_put_message(&message, 3, rpc_bytes_view(NULL, 0));
    await_store(stream);
    stream_on_message(stream, rpc_buffer_view(&message));
    stream_on_half_close(stream);
    await_store(stream);
    rpc_buffer_deinit(&message);
    rpc_buffer_deinit(&hello);
}

static void take_message(struct rpc_bytes message)
{
    struct wire_reader reader = wire_reader_over(message);
    struct wire_field field;

    CU_ASSERT_EQUAL_FATAL(wire_read(&reader, &field), WIRE_FIELD);
    if (field.number == 3)
        take_pull(field.bytes);
    else if (field.number == 4)
        take_caught_up(field.bytes);
}

/* Between two pages: something happens, or the link breaks. False: it broke. */
static bool meanwhile(unsigned unrest)
{
    for (uint64_t n = unrest > 0 ? below(3) : 0; n > 0; n--)
        others_do_something();
    return unrest == 0 || below(8) > 0;
}

static void sync_once(const struct stream_service *service, unsigned unrest)
{
    struct peer peer = {.count = 0};
    struct stream_peer other_end = {.send = peer_send,
                                    .writable = peer_writable,
                                    .pause_reading = peer_nothing,
                                    .resume_reading = peer_nothing,
                                    .finish = peer_finish,
                                    .context = &peer};
    struct stream *stream = stream_new(service, &other_end, &device_id);
    bool linked = true;

    CU_ASSERT_PTR_NOT_NULL_FATAL(stream);
    caught_up = false;
    send_hello(stream);
    for (size_t steps = 0; linked && steps < STEPS_MAX && (peer.count > 0 || !peer.finished);
         steps++) {
        struct peer taken = peer;
        peer.count = 0;
        for (size_t i = 0; i < taken.count; i++) {
            if (linked)
                take_message(rpc_buffer_view(&taken.queue[i]));
            rpc_buffer_deinit(&taken.queue[i]);
        }
        linked = meanwhile(unrest);
        stream_on_writable(stream);
        await_store(stream);
    }
    stream_on_close(stream);
    for (size_t i = 0; i < peer.count; i++)
        rpc_buffer_deinit(&peer.queue[i]);
}

/* ---- What must hold --------------------------------------------------------------------- */

static void expect_all(void)
{
    uint64_t digest = 0, expected = 0, living = 0;

    for (size_t i = 0; i < held_count; i++)
        digest += record_digest_share(held[i].key.type, &held[i].key.id, held[i].stamp);
    struct store_page page = {.region_id = region_ids[region_of(facility)],
                              .rows_max = STORE_PAGE_ROWS_MAX};
    struct rpc_status status = fixture_run(&page.request, STORE_PAGE);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status) && page.at_end);
    for (size_t i = 0; i < page.row_count; i++) {
        struct wire_field field;
        struct wire_reader reader = wire_reader_over(
            rpc_bytes_view(page.encoded.data + page.rows[i].offset, page.rows[i].len));
        struct record_image image;
        CU_ASSERT_EQUAL(wire_read(&reader, &field), WIRE_FIELD);
        CU_ASSERT_TRUE_FATAL(record_image_parse(field.bytes, &image));
        if (image.deleted)
            continue;
        living++;
        expected += record_digest_share(image.key.type, &image.key.id, page.rows[i].stamp);
    }
    store_page_deinit(&page);
    CU_ASSERT_EQUAL(held_count, living);
    CU_ASSERT_EQUAL(digest, expected);
    CU_ASSERT_EQUAL(told_records, living);
    CU_ASSERT_EQUAL(told_digest, expected);
}

/* Which facilities a family is listed at is what its root says. */
static void expect_lists(void)
{
    for (size_t f = 0; f < FACILITIES; f++)
        for (uint32_t n = 0; n < PATIENTS; n++) {
            struct record_key key = patient_key(n);
            struct store_record_get get = {.key = key, .of_family = true};
            struct rpc_status status = fixture_run(&get.request, STORE_RECORD_GET);
            struct record_body body;
            bool named = false, listed = false;
            CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
            if (get.found && record_body_parse(rpc_buffer_view(&get.body), &body)) {
                struct scope_facilities names = scope_facilities_of_root(&fixture.roles, &body);
                for (size_t i = 0; i < names.count; i++)
                    named = named || record_uuid_compare(&names.ids[i], &facilities[f]) == 0;
            }
            rpc_buffer_deinit(&get.body);
            struct store_page page = {.region_id = region_ids[region_of(f)],
                                      .part = STORE_OWN,
                                      .facility = facilities[f],
                                      .after = {.family = key.family},
                                      .rows_max = 1};
            status = fixture_run(&page.request, STORE_PAGE);
            CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
            listed = page.row_count > 0 &&
                     record_uuid_compare(&page.rows[0].key.family, &key.family) == 0;
            store_page_deinit(&page);
            CU_ASSERT_EQUAL(named, listed);
        }
}

static struct stream_service service;

static void begin(uint64_t seed)
{
    struct store_device_add add = {
        .device = {.device_id = device_id, .enrolment_region = region_ids[0]}};

    random_state = seed;
    reading_count = 0;
    held_count = 0;
    facility = 0;
    fixture_open();
    add_facilities();
    add.device.facility_id = facilities[0];
    scope_rights_set(&add.device.standing.rights, &region_ids[1], true);
    add.device.standing.version = 1;
    struct rpc_status status = fixture_run(&add.request, STORE_DEVICE_ADD);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    service = (struct stream_service){.store = fixture.store,
                                      .roles = fixture.roles,
                                      .hasher = fixture.hasher,
                                      .time_ms = time_ms,
                                      .random = random_bytes};
    settings_init_default(&service.settings);
    service.settings.pull_batch = PAGE_ROWS;
    rpc_buffer_init(&cursor, 8192);
}

static void end(void)
{
    rpc_buffer_deinit(&cursor);
    fixture_close();
}

static void run_history(uint64_t seed)
{
    begin(seed);
    for (size_t i = 0; i < PATIENTS * 3; i++)
        others_do_something();
    for (int round = 0; round < ROUNDS; round++) {
        if (round == 2) { /* a first sync in full unrest, too */
            held_count = 0;
            rpc_buffer_clear(&cursor);
        }
        for (uint64_t streams = 1 + below(6); streams > 0; streams--) {
            if (below(2) == 0)
                facility = below(6) > 0 ? below(3) : below(FACILITIES);
            sync_once(&service, 1);
        }
        sync_once(&service, 0);
        CU_ASSERT_TRUE(caught_up);
        expect_all();
    }
    expect_lists();
    end();
}

static void test_R21_random_histories_end_with_what_the_region_has(void)
{
    const char *wanted = getenv("OUTPOST_TEST_SEEDS");
    uint64_t seeds = wanted != NULL ? strtoull(wanted, NULL, 10) : 40;

    for (uint64_t seed = 1; seed <= seeds; seed++) {
        unsigned failures = CU_get_number_of_failures();
        run_history(seed);
        if (CU_get_number_of_failures() > failures)
            printf("(seed %llu) ", (unsigned long long)seed);
    }
}

/* Pages of OWN and REST by themselves: the first part is exactly the facility's
 * families, by key and whole, and the rest is all others. */
static void test_R21_own_families_first_and_each_record_once(void)
{
    begin(7);
    for (size_t i = 0; i < PATIENTS * 6; i++)
        others_do_something();
    struct store_heads heads = {.region_count = 1, .regions = region_ids};
    struct rpc_status status = fixture_run(&heads.request, STORE_HEADS);
    CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
    uint64_t records = heads.heads[0].records, digest = heads.heads[0].digest;
    struct store_page page = {.region_id = region_ids[0],
                              .facility = facilities[1],
                              .high_water = heads.heads[0].last.seq};
    store_heads_deinit(&heads);
    uint64_t seen[2] = {0, 0};
    for (int part = 0; part < 2; part++) {
        bool at_end = false;
        page.part = part == 0 ? STORE_OWN : STORE_REST;
        page.after = (struct record_key){.type = 0};
        while (!at_end) {
            page.rows_max = PAGE_ROWS;
            status = fixture_run(&page.request, STORE_PAGE);
            CU_ASSERT_TRUE_FATAL(rpc_ok(&status));
            for (size_t i = 0; i < page.row_count; i++) {
                const struct store_row *row = &page.rows[i];
                CU_ASSERT_TRUE(record_key_compare(&row->key, &page.after) > 0);
                page.after = row->key;
                seen[part]++;
                digest -= record_digest_share(row->key.type, &row->key.id, row->stamp);
            }
            at_end = page.at_end;
            store_page_deinit(&page);
        }
    }
    CU_ASSERT_TRUE(seen[0] > 0 && seen[1] > 0);
    CU_ASSERT_EQUAL(seen[0] + seen[1], records);
    CU_ASSERT_EQUAL(digest, 0);
    end();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R21_own_families_first_and_each_record_once),
        SUITE_TEST(test_R21_random_histories_end_with_what_the_region_has),
    };

    return suite_run("snapshot", tests, sizeof tests / sizeof tests[0]);
}
