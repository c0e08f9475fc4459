/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: whatever three devices edit, whenever they are cut, killed or edited
 * while they sync, they end with what the server has, and what each of them wrote
 * last reached the server (I2, I4, I5, I6). Method: seeded random histories; each
 * value written is unique, so that it can be looked for in what the server took.
 * A failure prints its seed; OUTPOST_TEST_SEEDS and OUTPOST_TEST_SEED choose others.
 */
#include "device_fixture.h"
#include "suite.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>

enum { DEVICES = 3, PATIENTS = 4, STEPS = 60, QUIET_ROUNDS = 4 };

struct world {
    uint64_t random;
    struct mini_server *server;
    struct device devices[DEVICES];
    unsigned written;
    /* Last value that a device wrote into a patient's zone; 0: none, or deleted. */
    unsigned last[DEVICES][PATIENTS];
};

static struct world *editing; /* whose device is edited during a push */

static uint64_t pick(struct world *world, uint64_t below)
{
    world->random = world->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (world->random >> 33) % below;
}

static void edit(struct world *world, size_t number)
{
    struct device *device = &world->devices[number];
    unsigned patient = (unsigned)pick(world, PATIENTS);
    unsigned reading = (unsigned)pick(world, 3);
    unsigned value = ++world->written;
    char id[40], child[40];

    snprintf(id, sizeof id, "x'%032u'", patient + 1);
    snprintf(child, sizeof child, "x'%031u%u'", patient + 1, reading + 2);
    switch (pick(world, 8)) {
    case 0: /* an app that saves with REPLACE writes every column */
        app(device,
            "INSERT OR REPLACE INTO patient (id, full_name, date_of_birth, zone,"
            " registration_facility_id) VALUES (%s, 'P%u', '1980-01-02', 'v%u.',"
            " x'fafafafafafafafafafafafafafafafa')",
            id, patient, value);
        world->last[number][patient] = value;
        break;
    case 1:
    case 2:
    case 3:
        app(device, "UPDATE patient SET zone = 'v%u.' WHERE id = %s", value, id);
        if (app_number(device, "SELECT count(*) FROM patient WHERE id = %s", id) > 0)
            world->last[number][patient] = value;
        break;
    case 4:
        app(device,
            "INSERT OR IGNORE INTO blood_pressure (patient_id, id, systolic_mmhg, diastolic_mmhg)"
            " SELECT id, %s, 120, %u FROM patient WHERE id = %s",
            child, 60 + value % 50, id);
        break;
    case 5:
        app(device,
            "UPDATE blood_pressure SET diastolic_mmhg = %u, recorded_at_ms = %u"
            " WHERE patient_id = %s AND id = %s",
            60 + value % 50, value, id, child);
        break;
    case 6:
        app(device, "DELETE FROM blood_pressure WHERE patient_id = %s AND id = %s", id, child);
        break;
    case 7:
        if (pick(world, 3) > 0)
            break;
        app(device, "DELETE FROM patient WHERE id = %s", id);
        world->last[number][patient] = 0;
        break;
    }
}

static void edit_during(struct device *device)
{
    edit(editing, (size_t)(device - editing->devices));
}

static void sync_somehow(struct world *world, size_t number)
{
    struct device *device = &world->devices[number];
    struct cut cut = whole;

    if (pick(world, 2))
        cut.after_sent = (int)pick(world, 4);
    if (pick(world, 2))
        cut.after_received = (int)pick(world, 8);
    device_sync_with(device, world->server, cut, pick(world, 2) ? edit_during : NULL);
    if (pick(world, 4) == 0)
        device_reopen(device, &outpost_v1_schema);
    CU_ASSERT_EQUAL(device->status.code, OUTPOST_OK);
    if (device->status.code != OUTPOST_OK)
        fprintf(stderr, "%s\n", device->status.message);
}

static void expect_in_log(struct world *world, unsigned value)
{
    char text[16];
    int len = snprintf(text, sizeof text, "v%u.", value);
    bool found = false;

    for (size_t i = 0; !found && i + (size_t)len <= world->server->log.len; i++)
        found = memcmp(world->server->log.data + i, text, (size_t)len) == 0;
    CU_ASSERT_TRUE(found);
}

static void run_world(uint64_t seed)
{
    static struct world world;

    world = (struct world){.random = seed * 7919 + 17};
    editing = &world;
    world.server = mini_server_new(&outpost_v1_schema);
    for (int i = 0; i < DEVICES; i++)
        device_open(&world.devices[i], i + 1, &outpost_v1_schema);
    for (size_t step = 0; step < STEPS; step++) {
        size_t number = pick(&world, DEVICES);
        world.server->page = 1 + pick(&world, 4);
        world.server->busy = pick(&world, 10) == 0;
        if (pick(&world, 3) > 0)
            edit(&world, number);
        else
            sync_somehow(&world, number);
    }
    world.server->busy = false;
    for (size_t round = 0; round < QUIET_ROUNDS; round++)
        for (size_t i = 0; i < DEVICES; i++)
            CU_ASSERT_TRUE(device_sync(&world.devices[i], world.server, whole));
    for (size_t i = 0; i < DEVICES; i++) {
        expect_same(&world.devices[i], world.server);
        for (size_t patient = 0; patient < PATIENTS; patient++)
            if (world.last[i][patient] != 0)
                expect_in_log(&world, world.last[i][patient]);
        device_close(&world.devices[i]);
    }
    mini_server_free(world.server);
}

static void test_random_histories_converge(void)
{
    const char *seeds = getenv("OUTPOST_TEST_SEEDS");
    const char *seed = getenv("OUTPOST_TEST_SEED");
    uint64_t first = seed != NULL ? strtoull(seed, NULL, 10) : 0;
    uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : 40;

    for (uint64_t i = first; i < first + count; i++) {
        unsigned before = CU_get_number_of_failures();
        run_world(i);
        if (CU_get_number_of_failures() > before) {
            fprintf(stderr, "seed %llu fails\n", (unsigned long long)i);
            break;
        }
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_random_histories_converge),
    };

    return suite_run("device_history", tests, sizeof tests / sizeof tests[0]);
}
