/* SPDX-License-Identifier: Apache-2.0
 *
 * Power loss and full or failing disks under both databases (I1, I2, I4), at every
 * operation that changes a disk in a sync of 200 records, on the device and on the
 * server.
 *
 * Method: a world (world.h) is run again and again from the same base; in the Nth
 * run the fault comes at the Nth write, truncate, sync or delete of one side. When
 * it is the power, what was not synced is kept, dropped or torn by a seed and that
 * side starts again; when it is room, or an error, once or from then on, the same
 * processes go on as soon as it is over. The other side notices what the network
 * tells it. The sync is taken to its end. Then nothing may be corrupt, nothing that
 * the server acknowledged and nothing that the app committed may be missing, every
 * record is on both sides once, digests agree, the outbox is empty.
 *
 * That the sweep can fail is part of it: with syncs that are taken and not done,
 * on one side after the other, it must find losses.
 *
 *   crash_test [--side device|server] [--seeds N] [--first-seed S] [--stride K]
 *              [--error-stride K]
 *
 * A stride is over operations: 1 is every one. The second one is for the faults
 * that are not loss of power.
 */
#include "world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* The mutation needs no full sweep: about so many points of one. */
    MUTATION_POINTS = 60,
    /* Of one sync of 200 records in batches of 50; and lucks tried with each. */
    PUSHES = 4,
    SEALED_LUCKS = 8,
    /* No sync of 200 records makes more; protects from a sweep without end. */
    OPERATIONS_MAX = 100000,
};

struct options {
    bool sides[2]; /* WORLD_DEVICE, WORLD_SERVER */
    uint64_t seeds, first_seed, stride, error_stride;
};

struct sweep {
    struct world *world;
    enum world_side side;
    enum crash_fault fault;
    uint64_t seed, stride;
    bool ignores_sync;
    uint64_t operations, points, losses; /* out */
    char first_loss[WORLD_ERROR_LEN + 64];
};

static const char *const side_names[] = {"device", "server"};
static const char *const fault_names[] = {
    [CRASH_POWER] = "power loss",          [CRASH_FULL_ONCE] = "no room once",
    [CRASH_FULL] = "no room from then on", [CRASH_ERROR_ONCE] = "an error once",
    [CRASH_ERROR] = "errors from then on",
};

/* The fault at one operation. False: the run was over before it came. */
static bool run_point(struct sweep *sweep, uint64_t at)
{
    struct world *world = sweep->world;
    struct crash_disk *disk = &world->disks[sweep->side];
    uint64_t luck = sweep->seed * UINT64_C(1000003) + at;

    world_restore(world, sweep->seed);
    disk->ignores_sync = sweep->ignores_sync;
    crash_disk_plan(disk, sweep->fault, at);
    world_run(world);
    bool came = disk->fault_came;
    if (!came)
        sweep->operations = disk->operations;
    crash_disk_plan(disk, CRASH_NOTHING, 0);
    bool good = world_finish(world, luck);
    disk->ignores_sync = false;
    sweep->points += came;
    if (!good && sweep->losses++ == 0)
        snprintf(sweep->first_loss, sizeof sweep->first_loss, "operation %" PRIu64 ": %s", at,
                 world->error);
    return came;
}

static void run_sweep(struct sweep *sweep)
{
    uint64_t at = 1;

    while (at < OPERATIONS_MAX && run_point(sweep, at))
        at += sweep->stride;
}

/* I1: the power goes as a push leaves; what it holds is in the outbox ever after. */
static bool sealed_before_sent(struct world *world, uint64_t seed)
{
    uint64_t bad = 0, points = 0;

    for (size_t push = 1; push <= PUSHES; push++)
        for (uint64_t luck = 1; luck <= SEALED_LUCKS; luck++) {
            world_restore(world, seed);
            world->cut_at_push = push;
            world_run(world);
            world->cut_at_push = 0;
            points++;
            if ((!world_check_sealed(world, seed * SEALED_LUCKS + luck) ||
                 !world_finish(world, luck)) &&
                bad++ == 0)
                printf("device: seed %" PRIu64 ": %s\n", seed, world->error);
        }
    printf("device: seed %" PRIu64 ": power loss as a push leaves: %" PRIu64 " points, %" PRIu64
           " bad\n",
           seed, points, bad);
    fflush(stdout);
    return bad == 0;
}

static bool report(const struct sweep *sweep)
{
    bool good = sweep->points > 0 && (sweep->losses > 0) == sweep->ignores_sync;

    printf("%s: seed %" PRIu64 ": %s%s: %" PRIu64 " points of %" PRIu64 " operations, %" PRIu64
           " bad%s%s%s\n",
           side_names[sweep->side], sweep->seed, fault_names[sweep->fault],
           sweep->ignores_sync ? ", syncs ignored" : "", sweep->points, sweep->operations,
           sweep->losses, sweep->ignores_sync && good ? " as must be" : "",
           sweep->losses > 0 ? "; the first: " : "", sweep->first_loss);
    fflush(stdout);
    return good;
}

static bool run_side(struct world *world, enum world_side side, uint64_t seed,
                     const struct options *options)
{
    struct sweep sweep = {.world = world,
                          .side = side,
                          .fault = CRASH_POWER,
                          .seed = seed,
                          .stride = options->stride};
    struct sweep mutation = sweep;
    bool good = side == WORLD_SERVER || sealed_before_sent(world, seed);

    run_sweep(&sweep);
    good = report(&sweep) && good;
    mutation.stride = sweep.operations / MUTATION_POINTS + 1;
    mutation.ignores_sync = true;
    run_sweep(&mutation);
    good = report(&mutation) && good;
    for (enum crash_fault fault = CRASH_FULL_ONCE; fault <= CRASH_ERROR; fault++) {
        struct sweep errors = {.world = world,
                               .side = side,
                               .fault = fault,
                               .seed = seed,
                               .stride = options->error_stride};
        run_sweep(&errors);
        good = report(&errors) && good;
    }
    return good;
}

static bool run_seed(struct crash_disk *disks, const struct options *options, uint64_t seed)
{
    static struct world world;
    bool made = world_init(&world, disks, seed % 2 == 0);
    bool good = made;

    if (!made)
        printf("seed %" PRIu64 ": %s\n", seed, world.error);
    for (enum world_side side = WORLD_DEVICE; side <= WORLD_SERVER; side++)
        if (made && options->sides[side])
            good = run_side(&world, side, seed, options) && good;
    world_deinit(&world);
    return good;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    *options = (struct options){
        .sides = {true, true}, .seeds = 1, .first_seed = 1, .stride = 1, .error_stride = 1};
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            return false;
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--seeds") == 0)
            options->seeds = number;
        else if (strcmp(argv[i], "--first-seed") == 0)
            options->first_seed = number;
        else if (strcmp(argv[i], "--stride") == 0)
            options->stride = number;
        else if (strcmp(argv[i], "--error-stride") == 0)
            options->error_stride = number;
        else if (strcmp(argv[i], "--side") == 0)
            for (int side = 0; side < 2; side++)
                options->sides[side] = strcmp(argv[i + 1], side_names[side]) == 0;
        else
            return false;
    }
    return options->seeds > 0 && options->stride > 0 && options->error_stride > 0 &&
           (options->sides[0] || options->sides[1]);
}

int main(int argc, char **argv)
{
    struct crash_disk disks[WORLD_SIDES];
    struct options options;
    bool good = true;

    if (!parse_options(argc, argv, &options)) {
        fprintf(stderr,
                "usage: %s [--side device|server] [--seeds N] [--first-seed S]"
                " [--stride K]\n",
                argv[0]);
        return 64;
    }
    crash_disk_init(&disks[WORLD_DEVICE], "device");
    crash_disk_init(&disks[WORLD_SERVER], "server");
    crash_disk_init(&disks[WORLD_OTHER], "other");
    crash_vfs_install(disks, WORLD_SIDES);
    for (uint64_t seed = options.first_seed; seed < options.first_seed + options.seeds; seed++)
        good = run_seed(disks, &options, seed) && good;
    crash_vfs_uninstall();
    for (size_t i = 0; i < WORLD_SIDES; i++)
        crash_disk_deinit(&disks[i]);
    printf("crash: %s: seeds %" PRIu64 " to %" PRIu64 ", stride %" PRIu64 "\n",
           good ? "ok" : "FAILED", options.first_seed, options.first_seed + options.seeds - 1,
           options.stride);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
