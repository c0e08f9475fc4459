/* SPDX-License-Identifier: Apache-2.0
 *
 * The ledger sees each way in which a server can lie about what it acknowledged, and says
 * nothing against an honest one: answers are noted as they come, and what a fresh
 * device is sent in the end is made up.
 */
#include "ledger.h"
#include "suite.h"

struct world {
    struct pool_entity entity;
    struct mutation *mutation;
};

static struct pool_version *version(struct world *world, uint64_t number, uint64_t stamp)
{
    struct pool_version *made = calloc(1, sizeof *made);

    *made = (struct pool_version){.entity = &world->entity, .number = number, .stamp = stamp};
    return made;
}

static void init(struct world *world)
{
    *world = (struct world){.mutation = calloc(1, sizeof *world->mutation)};
    world->entity.ledger.ours = true;
    world->mutation->entity = &world->entity;
    world->mutation->expected = version(world, 1, 0);
}

static void world_free(struct world *world)
{
    free(world->mutation->expected);
    free(world->mutation);
}

static void note(struct world *world, enum ledger_answer answer, uint32_t times_sent,
                 uint64_t number, uint64_t stamp)
{
    struct pool_version *now = number > 0 ? version(world, number, stamp) : NULL;

    world->mutation->times_sent = times_sent;
    ledger_note(world->mutation, answer, now);
    free(now);
}

/* Checks against what is held in the end; number 0: nothing. */
static void expect(struct world *world, uint64_t number, uint64_t stamp,
                   enum ledger_verdict verdict)
{
    struct pool_version *held = number > 0 ? version(world, number, stamp) : NULL;

    CU_ASSERT_EQUAL(ledger_check(&world->entity.ledger, held), verdict);
    free(held);
}

static void test_I1_what_was_acknowledged_is_there(void)
{
    struct world world;

    init(&world);
    expect(&world, 0, 0, LEDGER_GOOD); /* nothing was said of it */
    note(&world, LEDGER_APPLIED, 1, 1, 11);
    expect(&world, 1, 11, LEDGER_GOOD);
    expect(&world, 0, 0, LEDGER_MISSING);
    expect(&world, 1, 12, LEDGER_DIFFERENT);
    note(&world, LEDGER_MERGED, 1, 3, 13);
    note(&world, LEDGER_APPLIED, 1, 2, 14); /* heard later */
    expect(&world, 3, 13, LEDGER_GOOD);
    expect(&world, 2, 14, LEDGER_OLDER);
    expect(&world, 3, 14, LEDGER_DIFFERENT);
    world_free(&world);
}

static void test_I2_each_edit_is_one_version(void)
{
    struct world world;

    init(&world);
    note(&world, LEDGER_APPLIED, 1, 1, 11);
    note(&world, LEDGER_MERGED, 1, 0, 0);
    expect(&world, 2, 12, LEDGER_GOOD);
    expect(&world, 3, 13, LEDGER_TWICE);
    note(&world, LEDGER_APPLIED, 1, 0, 0);
    expect(&world, 2, 12, LEDGER_LOST_EDIT);
    expect(&world, 3, 13, LEDGER_GOOD);
    expect(&world, 4, 14, LEDGER_TWICE);
    world_free(&world);
}

/* Its answer says neither accepted nor without effect; nobody can have made a new record before. */
static void test_I2_an_edit_of_what_has_moved_away(void)
{
    struct world world;

    init(&world);
    note(&world, LEDGER_OUT_OF_SCOPE, 1, 0, 0);
    expect(&world, 0, 0, LEDGER_MISSING);
    expect(&world, 1, 11, LEDGER_GOOD);
    expect(&world, 2, 12, LEDGER_TWICE);
    world.mutation->expected->number = 2;
    note(&world, LEDGER_OUT_OF_SCOPE, 1, 0, 0);
    expect(&world, 1, 11, LEDGER_GOOD);
    expect(&world, 2, 12, LEDGER_GOOD);
    expect(&world, 3, 13, LEDGER_TWICE);
    world_free(&world);
}

/* A lost answer leaves open whether the edit was accepted; both ends are honest then. */
static void test_I2_a_lost_answer_is_one_version_at_most(void)
{
    struct world world;

    init(&world);
    note(&world, LEDGER_APPLIED, 1, 1, 11);
    note(&world, LEDGER_NO_EFFECT, 2, 1, 11);
    expect(&world, 1, 11, LEDGER_GOOD);
    expect(&world, 2, 12, LEDGER_GOOD);
    expect(&world, 3, 13, LEDGER_TWICE);
    world.mutation->times_sent = 1;
    ledger_note_unanswered(world.mutation);
    expect(&world, 3, 13, LEDGER_GOOD);
    world.mutation->times_sent = 0;
    ledger_note_unanswered(world.mutation);
    expect(&world, 4, 14, LEDGER_TWICE);
    world_free(&world);
}

/* Refused is not accepted; and what others edit has more versions than we know of. */
static void test_what_is_no_promise_is_not_held_against_the_server(void)
{
    struct world world;

    init(&world);
    note(&world, LEDGER_QUARANTINED, 1, 0, 0);
    note(&world, LEDGER_RETRY, 1, 0, 0);
    note(&world, LEDGER_NO_EFFECT, 1, 0, 0);
    expect(&world, 0, 0, LEDGER_GOOD);
    world.entity.ledger.ours = false;
    note(&world, LEDGER_APPLIED, 1, 9, 19);
    expect(&world, 30, 30, LEDGER_GOOD);
    expect(&world, 8, 18, LEDGER_OLDER);
    world_free(&world);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_I1_what_was_acknowledged_is_there),
        SUITE_TEST(test_I2_each_edit_is_one_version),
        SUITE_TEST(test_I2_an_edit_of_what_has_moved_away),
        SUITE_TEST(test_I2_a_lost_answer_is_one_version_at_most),
        SUITE_TEST(test_what_is_no_promise_is_not_held_against_the_server),
    };

    return suite_run("load ledger", tests, sizeof tests / sizeof tests[0]);
}
