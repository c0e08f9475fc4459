/* SPDX-License-Identifier: Apache-2.0
 *
 * A virtual device's outbox: what is sent again is the same bytes; answers find their
 * edits in order, also when some stay; and `applied` means the record that the device
 * holds by now with the edit's fields, which need not be the one that the edit was made on.
 */
#include "made.h"
#include "outbox.h"
#include "suite.h"

#include "outpost/rpc.h"

enum { REQUEST_PUSH = 2, PUSH_ITEMS = 1, ITEM_MUTATION = 1 };

struct world {
    struct pool pool;
    struct outbox outbox;
    struct made_body made;
    struct rpc_buffer scratch, message;
};

static void init(struct world *world)
{
    *world = (struct world){0};
    made_body_init(&world->made);
    rpc_buffer_init(&world->scratch, RPC_MESSAGE_BYTES_MAX);
    rpc_buffer_init(&world->message, RPC_MESSAGE_BYTES_MAX);
    CU_ASSERT_TRUE_FATAL(pool_init(&world->pool));
}

static void deinit(struct world *world)
{
    outbox_clear(&world->outbox, &world->pool);
    CU_ASSERT_EQUAL(world->pool.version_count, 0);
    pool_deinit(&world->pool);
    rpc_buffer_deinit(&world->message);
    rpc_buffer_deinit(&world->scratch);
    made_body_deinit(&world->made);
}

static struct pool_entity *entity(struct world *world, uint8_t number)
{
    struct record_key key = {.family = {{1}}, .type = 13, .id = {{2, number}}};

    return pool_entity(&world->pool, &key);
}

/* Names field 1 with that value, or clears it with 0. */
static void set_field(struct world *world, uint32_t number, uint8_t value)
{
    rpc_buffer_clear(&world->made.body);
    wire_put_uint(&world->made.body, number, value);
    world->made.fields[0] = number;
    world->made.field_count = 1;
}

static struct mutation *add(struct world *world, uint8_t number, const struct pool_version *base)
{
    return outbox_add(&world->outbox, &world->pool, entity(world, number), base, &world->made,
                      &world->scratch);
}

static uint64_t no_stamp(void *context, const struct pool_entity *of)
{
    (void)context;
    (void)of;
    return 0;
}

/* One push's mutations, one behind the other; their number. */
static size_t next_push(struct world *world, uint32_t items, struct rpc_buffer *mutations)
{
    struct wire_field push, item, mutation;
    size_t count = 0;

    rpc_buffer_clear(&world->message);
    if (!outbox_next_push(&world->outbox, items, no_stamp, NULL, &world->message))
        return 0;
    CU_ASSERT_EQUAL(wire_find(rpc_buffer_view(&world->message), REQUEST_PUSH, &push), WIRE_FIELD);
    struct wire_reader reader = wire_reader_over(push.bytes);
    while (wire_read(&reader, &item) == WIRE_FIELD) {
        CU_ASSERT_EQUAL(item.number, PUSH_ITEMS);
        CU_ASSERT_EQUAL(wire_find(item.bytes, ITEM_MUTATION, &mutation), WIRE_FIELD);
        rpc_buffer_append_bytes(mutations, mutation.bytes);
        count++;
    }
    return count;
}

static void test_R5_what_is_sent_again_is_the_same(void)
{
    struct world world;
    struct rpc_buffer first, again;

    init(&world);
    rpc_buffer_init(&first, RPC_MESSAGE_BYTES_MAX);
    rpc_buffer_init(&again, RPC_MESSAGE_BYTES_MAX);
    set_field(&world, 1, 120);
    for (uint8_t i = 0; i < 5; i++)
        add(&world, i, NULL);
    outbox_rewind(&world.outbox);
    CU_ASSERT_EQUAL(next_push(&world, 3, &first), 3);
    CU_ASSERT_EQUAL(next_push(&world, 3, &first), 2);
    CU_ASSERT_EQUAL(next_push(&world, 3, &first), 0);
    outbox_rewind(&world.outbox); /* the call was cut */
    CU_ASSERT_EQUAL(next_push(&world, 10, &again), 5);
    CU_ASSERT_TRUE(rpc_bytes_equal(rpc_buffer_view(&first), rpc_buffer_view(&again)));
    CU_ASSERT_EQUAL(world.outbox.first->times_sent, 2);
    rpc_buffer_deinit(&first);
    rpc_buffer_deinit(&again);
    deinit(&world);
}

static void test_answers_find_their_edits(void)
{
    struct world world;
    struct rpc_buffer sent;
    struct mutation *edits[6];

    init(&world);
    rpc_buffer_init(&sent, RPC_MESSAGE_BYTES_MAX);
    set_field(&world, 1, 120);
    for (uint8_t i = 0; i < 6; i++)
        edits[i] = add(&world, i, NULL);
    outbox_rewind(&world.outbox);
    CU_ASSERT_PTR_NULL(outbox_answered(&world.outbox));
    for (int i = 0; i < OUTBOX_FLIGHTS_MAX; i++)
        CU_ASSERT_EQUAL(next_push(&world, 1, &sent), 1);
    CU_ASSERT_EQUAL(next_push(&world, 1, &sent), 0); /* enough is under way */
    for (int i = 0; i < OUTBOX_FLIGHTS_MAX; i++) {
        CU_ASSERT_PTR_EQUAL(outbox_answered(&world.outbox), edits[i]);
        if (i % 2 > 0)
            outbox_keep(&world.outbox);
        else
            outbox_done(&world.outbox, &world.pool);
    }
    CU_ASSERT_PTR_NULL(outbox_answered(&world.outbox));
    CU_ASSERT_EQUAL(world.outbox.count, 4);
    CU_ASSERT_FALSE(outbox_has(&world.outbox, entity(&world, 0)));
    CU_ASSERT_TRUE(outbox_has(&world.outbox, entity(&world, 1)));
    /* One more is made meanwhile, and goes behind. */
    struct mutation *late = add(&world, 7, NULL);
    CU_ASSERT_PTR_EQUAL(world.outbox.last, late);
    CU_ASSERT_EQUAL(next_push(&world, 10, &sent), 3);
    CU_ASSERT_PTR_EQUAL(outbox_answered(&world.outbox), edits[4]);
    for (int i = 0; i < 3; i++)
        outbox_done(&world.outbox, &world.pool);
    CU_ASSERT_EQUAL(world.outbox.count, 2);
    CU_ASSERT_PTR_EQUAL(world.outbox.last, edits[3]);
    rpc_buffer_deinit(&sent);
    deinit(&world);
}

static struct pool_version *hold(struct world *world, uint64_t number, uint8_t one, uint8_t two)
{
    const uint8_t body[] = {0x08, one, 0x10, two};

    return pool_hold(&world->pool, entity(world, 0), number, false,
                     rpc_bytes_view(body, sizeof body));
}

static void test_R7_applied_is_what_is_held_with_the_fields(void)
{
    struct world world;

    init(&world);
    struct pool_version *base = hold(&world, 3, 120, 80), *newer = hold(&world, 5, 120, 70);
    set_field(&world, 1, 100);
    struct mutation *edit = add(&world, 0, base);
    edit->written_us = 77;
    CU_ASSERT_EQUAL(edit->expected->number, 4);
    struct pool_version *same = outbox_applied(&world.pool, edit, base);
    CU_ASSERT_PTR_EQUAL(same, edit->expected);
    struct pool_version *now = outbox_applied(&world.pool, edit, newer);
    struct pool_version *wanted = hold(&world, 6, 100, 70);
    CU_ASSERT_PTR_EQUAL(now, wanted);
    CU_ASSERT_EQUAL(now->written_us, 77);
    struct pool_version *all[] = {base, newer, same, now, wanted};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        pool_release(&world.pool, all[i]);
    deinit(&world);
}

static void test_a_field_named_without_a_value_is_cleared(void)
{
    struct world world;

    init(&world);
    struct pool_version *base = hold(&world, 1, 120, 80);
    set_field(&world, 2, 0);
    struct mutation *edit = add(&world, 0, base);
    const uint8_t body[] = {0x08, 120};
    CU_ASSERT_TRUE(rpc_bytes_equal(pool_body(edit->expected), rpc_bytes_view(body, sizeof body)));
    pool_release(&world.pool, base);
    deinit(&world);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_R5_what_is_sent_again_is_the_same),
        SUITE_TEST(test_answers_find_their_edits),
        SUITE_TEST(test_R7_applied_is_what_is_held_with_the_fields),
        SUITE_TEST(test_a_field_named_without_a_value_is_cleared),
    };

    return suite_run("load outbox", tests, sizeof tests / sizeof tests[0]);
}
