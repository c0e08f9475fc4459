/* SPDX-License-Identifier: Apache-2.0
 *
 * What a virtual device holds, against a plain list that does the same slowly: random
 * histories of records that come, change, go, of families that leave and of snapshots.
 * After each step both hold the same, the sums are those of a recount, and in the
 * end the pool holds nothing that nobody holds.
 */
#include "replica.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

enum { RECORDS = 60, FAMILIES = 6, STEPS = 4000 };

/* The plain list: by record, the version that is held, 0 for none. */
struct plain {
    uint64_t held[RECORDS];
    bool unconfirmed[RECORDS], answered[RECORDS];
};

struct world {
    struct pool pool;
    struct replica replica;
    struct plain plain;
    struct draw draw;
};

/* The first tenth are global. */
static struct record_key key_of(unsigned record)
{
    struct record_key key = {.type = 13, .id = {{1, (uint8_t)record}}};

    if (record >= RECORDS / 10)
        key.family.bytes[0] = (uint8_t)(1 + record % FAMILIES);
    return key;
}

static struct pool_entity *entity_of(struct world *world, unsigned record)
{
    struct record_key key = key_of(record);

    return pool_entity(&world->pool, &key);
}

static void put(struct world *world, unsigned record, uint64_t number, bool deleted)
{
    uint8_t body[] = {0x08, (uint8_t)(number + 1)};
    struct pool_version *version = pool_hold(&world->pool, entity_of(world, record), number,
                                             deleted, rpc_bytes_view(body, sizeof body));
    bool news = replica_put(&world->replica, &world->pool, version);

    CU_ASSERT_EQUAL(news, !deleted && world->plain.held[record] != number);
    world->plain.held[record] = deleted ? 0 : number;
    world->plain.unconfirmed[record] = world->plain.answered[record] = false;
}

static void drop_family(struct world *world, uint8_t family)
{
    struct record_uuid id = {{family}};

    replica_drop_family(&world->replica, &world->pool, &id);
    for (unsigned i = RECORDS / 10; i < RECORDS; i++)
        if (1 + i % FAMILIES == family)
            world->plain.held[i] = 0;
}

static void begin_snapshot(struct world *world)
{
    replica_begin_snapshot(&world->replica, REPLICA_FAMILIES);
    for (unsigned i = RECORDS / 10; i < RECORDS; i++)
        world->plain.unconfirmed[i] =
            world->plain.held[i] > 0 && (world->plain.unconfirmed[i] || !world->plain.answered[i]);
}

static void end_snapshot(struct world *world)
{
    replica_end_snapshot(&world->replica, &world->pool, REPLICA_FAMILIES);
    for (unsigned i = RECORDS / 10; i < RECORDS; i++)
        if (world->plain.unconfirmed[i]) {
            world->plain.held[i] = 0;
            world->plain.unconfirmed[i] = false;
        }
}

static void answer(struct world *world, unsigned record)
{
    replica_note_answered(&world->replica, entity_of(world, record));
    world->plain.answered[record] = world->plain.held[record] > 0;
}

static void forget_answers(struct world *world)
{
    replica_forget_answered(&world->replica);
    memset(world->plain.answered, 0, sizeof world->plain.answered);
}

static void compare(struct world *world)
{
    struct replica_sum sums[REPLICA_CLASSES] = {{0, 0}, {0, 0}};
    size_t count = 0;

    for (unsigned i = 0; i < RECORDS; i++) {
        const struct pool_entity *entity = entity_of(world, i);
        const struct pool_version *held = replica_find(&world->replica, entity);
        CU_ASSERT_EQUAL(held != NULL ? held->number : 0, world->plain.held[i]);
        if (held == NULL)
            continue;
        struct replica_sum *sum = &sums[replica_class_of(&entity->key.family)];
        count++;
        sum->records++;
        sum->digest += record_digest_share(entity->key.type, &entity->key.id, held->stamp);
    }
    CU_ASSERT_EQUAL(world->replica.count, count);
    CU_ASSERT_EQUAL(memcmp(sums, world->replica.sums, sizeof sums), 0);
    CU_ASSERT_EQUAL(world->pool.version_count, count);
}

static void step(struct world *world)
{
    unsigned record = (unsigned)draw_below(&world->draw, RECORDS);

    switch (draw_below(&world->draw, 40)) {
    case 0:
        drop_family(world, (uint8_t)(1 + draw_below(&world->draw, FAMILIES)));
        break;
    case 1:
        begin_snapshot(world);
        break;
    case 2:
        end_snapshot(world);
        break;
    case 3:
        forget_answers(world);
        break;
    case 4:
    case 5:
        put(world, record, 1 + draw_below(&world->draw, 3), true);
        break;
    case 6:
    case 7:
        answer(world, record);
        break;
    default:
        put(world, record, 1 + draw_below(&world->draw, 3), false);
    }
}

static void test_random_histories(void)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct world world = {.draw = draw_stream(seed, 1, 0)};
        CU_ASSERT_TRUE_FATAL(pool_init(&world.pool));
        for (int i = 0; i < STEPS; i++) {
            step(&world);
            compare(&world);
        }
        replica_clear(&world.replica, &world.pool);
        CU_ASSERT_EQUAL(world.pool.version_count, 0);
        pool_deinit(&world.pool);
    }
}

static void test_devices_share_what_is_the_same(void)
{
    struct world one = {.draw = {0}};
    struct replica other = {0};
    struct record_key key = key_of(20);
    uint8_t body[] = {0x08, 1}, changed[] = {0x08, 2};

    CU_ASSERT_TRUE_FATAL(pool_init(&one.pool));
    struct pool_entity *entity = pool_entity(&one.pool, &key);
    struct rpc_bytes bytes = rpc_bytes_view(body, sizeof body);
    CU_ASSERT_TRUE(
        replica_put(&one.replica, &one.pool, pool_hold(&one.pool, entity, 1, false, bytes)));
    CU_ASSERT_TRUE(replica_put(&other, &one.pool, pool_hold(&one.pool, entity, 1, false, bytes)));
    CU_ASSERT_EQUAL(one.pool.version_count, 1);
    CU_ASSERT_TRUE(replica_put(
        &other, &one.pool,
        pool_hold(&one.pool, entity, 1, false, rpc_bytes_view(changed, sizeof changed))));
    CU_ASSERT_EQUAL(one.pool.version_count, 2);
    CU_ASSERT_NOT_EQUAL(one.replica.sums[REPLICA_FAMILIES].digest,
                        other.sums[REPLICA_FAMILIES].digest);
    replica_clear(&one.replica, &one.pool);
    replica_clear(&other, &one.pool);
    pool_deinit(&one.pool);
}

static bool is_odd(void *context, const struct pool_version *version)
{
    (void)context;
    return version->entity->key.id.bytes[1] % 2 > 0;
}

static void test_picking_finds_what_is_wanted(void)
{
    struct world world = {.draw = draw_stream(1, 2, 0)};
    unsigned found[RECORDS] = {0};

    CU_ASSERT_TRUE_FATAL(pool_init(&world.pool));
    CU_ASSERT_PTR_NULL(replica_pick(&world.replica, &world.draw, 13, is_odd, NULL));
    for (unsigned i = 0; i < RECORDS; i++)
        put(&world, i, 1, false);
    for (int i = 0; i < 2000; i++) {
        struct pool_version *version = replica_pick(&world.replica, &world.draw, 13, is_odd, NULL);
        CU_ASSERT_PTR_NOT_NULL_FATAL(version);
        found[version->entity->key.id.bytes[1]]++;
    }
    for (unsigned i = 0; i < RECORDS; i++)
        CU_ASSERT_EQUAL(found[i] > 0, i % 2 > 0);
    CU_ASSERT_PTR_NULL(replica_pick(&world.replica, &world.draw, 10, is_odd, NULL));
    replica_clear(&world.replica, &world.pool);
    pool_deinit(&world.pool);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_random_histories),
        SUITE_TEST(test_devices_share_what_is_the_same),
        SUITE_TEST(test_picking_finds_what_is_wanted),
    };

    return suite_run("load replica", tests, sizeof tests / sizeof tests[0]);
}
