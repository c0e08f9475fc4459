/* SPDX-License-Identifier: Apache-2.0
 *
 * A world's life by its list of steps, and its end when the faults are over.
 */
#include "sim.h"

#include "failing_memory.h"

enum {
    /* Rounds of syncs after the faults: a restored server is given back what it lost
     * level by level, and each phone's gift is news for the others. */
    QUIET_ROUNDS_MAX = 14,
    REPAIR_ROUNDS = 5,
    /* One more than the devices keep. */
    JOURNAL_DAYS = 31,
    MOVES_MAX = 12,
    FAULT_OPERATIONS = 80,
    FAULT_ALLOCATIONS = 1500,
};

/* ---- Steps
 * ----------------------------------------------------------------------------------------- */

size_t sim_draw_steps(const struct sim_options *options, size_t count, struct sim_step *steps_out)
{
    static const struct {
        unsigned weight;
        char letter;
    } kinds[] = {
#define X(name, weight, letter) {weight, letter},
        SIM_STEPS(X)
#undef X
    };
    static const char letters[] = {
#define X(letter, name, what) letter,
        SIM_FAULTS(X)
#undef X
    };
    uint64_t luck = options->seed * 2 + 2;
    unsigned sum = 0, weights[SIM_STEP_COUNT];

    for (size_t i = 0; i < SIM_STEP_COUNT; i++) {
        weights[i] = kinds[i].letter == 0 ? kinds[i].weight : 0;
        for (size_t f = 0; f < SIM_FAULT_COUNT; f++)
            if (letters[f] == kinds[i].letter && (options->faults & 1u << f) != 0)
                weights[i] = kinds[i].weight;
        sum += weights[i];
    }
    for (size_t i = 0; i < count; i++) {
        unsigned draw = (unsigned)crash_random_below(&luck, sum);
        size_t kind = 0;
        while (draw >= weights[kind])
            draw -= weights[kind++];
        steps_out[i] = (struct sim_step){.kind = (enum sim_step_kind)kind};
        steps_out[i].who = (unsigned)crash_random_below(&luck, 60);
        steps_out[i].luck = crash_random(&luck);
    }
    return count;
}

static void plan_fault(struct sim *sim, struct crash_disk *disk)
{
    static const enum crash_fault faults[] = {CRASH_FULL_ONCE, CRASH_ERROR_ONCE, CRASH_ERROR_ONCE,
                                              CRASH_FULL};

    crash_disk_plan(disk, faults[sim_below(sim, 4)], 1 + sim_below(sim, FAULT_OPERATIONS));
    sim_say(sim, "  %s will fail", disk->label);
}

static void plan_power(struct sim *sim, struct crash_disk *disk)
{
    crash_disk_plan(disk, CRASH_POWER, 1 + sim_below(sim, FAULT_OPERATIONS));
    sim_say(sim, "  %s will lose power", disk->label);
}

static void plan_memory(struct sim *sim)
{
    static const uint64_t counts[] = {1, 1, 1, 2, 5, 50};

    failing_memory_plan(1 + sim_below(sim, FAULT_ALLOCATIONS), counts[sim_below(sim, 6)]);
    sim_say(sim, "  memory will run out");
}

static void move_clock(struct sim *sim, struct phone *phone)
{
    if (sim_chance(sim, 30))
        sim->server.clock_offset_ms += ((int64_t)sim_below(sim, 9) - 4) * SIM_DAY_MS;
    else
        phone->clock_offset_ms = ((int64_t)sim_below(sim, 7300) - 3650) * SIM_DAY_MS;
}

static void step_phone(struct sim *sim, struct phone *phone, enum sim_step_kind kind)
{
    bool late = sim_has(sim, SIM_LATE_BIT) && sim_chance(sim, 50);

    switch (kind) {
    case SIM_STEP_USER:
        user_act(sim, phone);
        break;
    case SIM_STEP_MOVE:
        user_move(sim, phone);
        break;
    case SIM_STEP_SWITCH:
        user_switch(sim, phone);
        break;
    case SIM_STEP_DELETE:
        user_delete(sim, phone);
        break;
    case SIM_STEP_ADMIN:
        user_administer(sim, phone);
        break;
    case SIM_STEP_SYNC:
        if (phone->link != NULL || sim_sync_begin(sim, phone))
            sim_sync_move(sim, phone, 1 + (size_t)sim_below(sim, MOVES_MAX));
        break;
    case SIM_STEP_WHOLE:
        sim_sync_whole(sim, phone);
        break;
    case SIM_STEP_CUT:
        sim_cut(sim, phone, late);
        break;
    case SIM_STEP_KILL:
        sim_phone_restart(sim, phone);
        break;
    case SIM_STEP_SAVE:
        sim_save(sim, phone);
        break;
    case SIM_STEP_POWER:
        plan_power(sim, phone->disk);
        break;
    case SIM_STEP_DISK:
        plan_fault(sim, phone->disk);
        break;
    case SIM_STEP_CLOCK:
        move_clock(sim, phone);
        break;
    default:
        break;
    }
}

static void step_world(struct sim *sim, enum sim_step_kind kind, unsigned who)
{
    struct crash_disk *disk = &sim->disks[SIM_SERVER_DISK];
    struct link *ghost;

    switch (kind) {
    case SIM_STEP_SERVE:
        for (uint64_t i = sim_below(sim, MOVES_MAX); i > 0; i--)
            server_end_step(&sim->server);
        break;
    case SIM_STEP_GHOST:
        ghost = sim->ghosts[who % SIM_GHOSTS_MAX];
        for (size_t i = 0; ghost == NULL && i < SIM_GHOSTS_MAX; i++)
            ghost = sim->ghosts[i];
        if (ghost != NULL)
            sim_ghost(sim, ghost, 1 + (size_t)sim_below(sim, MOVES_MAX));
        break;
    case SIM_STEP_COPY:
        if (sim->copy_count > 0)
            sim_copy(sim, sim_below(sim, sim->copy_count));
        break;
    case SIM_STEP_OLD:
        if (sim->copy_count > 0)
            sim_old(sim, sim_below(sim, sim->copy_count));
        break;
    case SIM_STEP_BACKUP:
        sim_backup(sim);
        break;
    case SIM_STEP_RESTORE:
        sim_restore(sim);
        if (sim_has(sim, SIM_LOST_BIT) && sim->restores > 0 && sim_chance(sim, 60)) {
            struct phone *phone = &sim->phones[who % sim->phone_count];
            if (phone->used && sim->phone_count > 1)
                sim_lose(sim, phone);
        }
        break;
    case SIM_STEP_OUTAGE:
        plan_power(sim, disk);
        break;
    case SIM_STEP_TROUBLE:
        plan_fault(sim, disk);
        break;
    case SIM_STEP_MEMORY:
        plan_memory(sim);
        break;
    case SIM_STEP_NEWER:
        newer_app_act(sim);
        break;
    default:
        break;
    }
}

/* A full disk is cleaned up, a failing one replaced, some day. */
static void mend_disks(struct sim *sim, unsigned percent)
{
    for (size_t i = 0; i <= SIM_SERVER_DISK; i++) {
        struct crash_disk *disk = &sim->disks[i];
        if (disk->fault != CRASH_NOTHING && disk->fault_came && !disk->down &&
            sim_chance(sim, percent))
            crash_disk_plan(disk, CRASH_NOTHING, 0);
    }
}

void sim_step(struct sim *sim, const struct sim_step *step)
{
    struct phone *phone = &sim->phones[step->who % sim->phone_count];

    sim->luck = step->luck;
    sim->server.luck = crash_random(&sim->luck);
    sim->now_ms += (int64_t)sim_below(sim, 3600000);
    sim_say(sim, "%s %zu", sim_step_name(step->kind), (size_t)(step->who % sim->phone_count));
    step_world(sim, step->kind, step->who);
    if (phone->used && phone->half != NULL)
        step_phone(sim, phone, step->kind);
    mend_disks(sim, 40);
    sim_recover(sim);
}

/* ---- The end
 * ------------------------------------------------------------------------------------------ */

static void stop_faults(struct sim *sim)
{
    sim->quiet = true;
    failing_memory_plan(0, 0);
    for (size_t i = 0; i <= SIM_SERVER_DISK; i++)
        if (!sim->disks[i].down)
            crash_disk_plan(&sim->disks[i], CRASH_NOTHING, 0);
    sim_recover(sim);
    for (size_t i = 0; i < SIM_GHOSTS_MAX; i++)
        while (sim->ghosts[i] != NULL && sim->ghosts[i]->up.len > 0)
            sim_ghost(sim, sim->ghosts[i], 1);
    for (size_t i = 0; i < sim->phone_count; i++)
        if (sim->phones[i].used)
            sim_cut(sim, &sim->phones[i], false);
    while (server_end_step(&sim->server))
        ;
    sim_drop_ghosts(sim);
}

/* False: something moved, or somebody did not catch up, so another round is due.
 * moved_out: whether something did. */
static bool sync_all(struct sim *sim, bool repair, bool *moved_out)
{
    bool still = true;

    *moved_out = false;

    for (size_t i = 0; i < sim->phone_count; i++) {
        struct phone *phone = &sim->phones[i];
        if (!phone->used || phone->refused || phone->half == NULL)
            continue;
        if (repair && user_repair(sim, phone) > 0)
            *moved_out = true;
        still = (sim_sync_whole(sim, phone) || phone->refused) && still;
        *moved_out =
            *moved_out || phone->result.pushed + phone->result.pulled + phone->result.withdrawn > 0;
    }
    return still && !*moved_out;
}

/* Everybody syncs until nothing moves. */
static void come_to_rest(struct sim *sim)
{
    int still = 0; /* rounds in a row: the first one's Welcome may have asked for work again */

    /* A round in which nothing moves may have been one of failures; the next is alike. */
    for (int round = 0, stuck = 0; still < 2 && round < QUIET_ROUNDS_MAX && stuck < 3; round++) {
        bool moved;
        sim_say(sim, "round %d", round + 1);
        still = sync_all(sim, round < REPAIR_ROUNDS, &moved) ? still + 1 : 0;
        stuck = moved ? 0 : stuck + 1;
    }
    if (still < 2)
        sim_fail(sim, "the phones do not come to rest");
}

/* R8: what was accepted once and has no place yet goes again as long as the journal has it. */
static bool journal_waits(struct sim *sim)
{
    for (size_t i = 0; i < sim->phone_count; i++)
        if (sim->phones[i].app != NULL &&
            phone_number(&sim->phones[i], "SELECT count(*) FROM outpost_resend WHERE rank = -1") >
                0)
            return true;
    return false;
}

void sim_finish(struct sim *sim)
{
    sim_say(sim, "THE FAULTS ARE OVER");
    stop_faults(sim);
    come_to_rest(sim);
    if (journal_waits(sim)) {
        sim_say(sim, "the journals' days go by");
        sim->now_ms += (int64_t)JOURNAL_DAYS * SIM_DAY_MS;
        come_to_rest(sim);
    }
    if (sim->server.watch.leaks > 0)
        sim_fail(sim, "%u records were sent to a device out of their region",
                 sim->server.watch.leaks);
    check_world(sim);
    if (sim->ledger.overflow != NULL)
        sim_fail(sim, "the ledger is full of %s: make the world smaller", sim->ledger.overflow);
}

bool sim_run(struct sim *sim, const struct sim_options *options, const struct sim_step *steps,
             size_t step_count)
{
    sim_begin(sim, options);
    for (size_t i = 0; i < step_count; i++)
        sim_step(sim, &steps[i]);
    sim_finish(sim);
    return sim->failure_count == 0;
}
