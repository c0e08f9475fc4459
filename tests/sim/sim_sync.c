/* SPDX-License-Identifier: Apache-2.0
 *
 * Syncs in small moves, and the ends of connections and processes.
 */
#include "sim.h"

#include <stdio.h>

enum {
    /* Of a sync that nothing disturbs: a stream that never ends shows as that. */
    WHOLE_ROUNDS_MAX = 20000,
    SMALL_PIECE = 200,
};

/* ---- Syncs ----------------------------------------------------------------------------- */

bool sim_sync_begin(struct sim *sim, struct phone *phone)
{
    static const struct link_stop never = {LINK_NEVER, LINK_NEVER, false};

    return sim_sync_begin_until(sim, phone, &never);
}

bool sim_sync_begin_until(struct sim *sim, struct phone *phone, const struct link_stop *stop)
{
    if (phone->link != NULL || phone->half == NULL || phone->refused || sim->server.store == NULL)
        return false;
    if (!phone_sync_begin(phone, &sim->server, &sim->ledger, sim->now_ms, stop)) {
        sim_say(sim, "  phone %d cannot sync: %s", phone->index, phone->error);
        return false;
    }
    sim_say(sim, "  phone %d begins a sync", phone->index);
    return true;
}

static void ended(struct sim *sim, struct phone *phone)
{
    link_free(phone_sync_end(phone));
    sim_say(sim, "  phone %d's sync ends: %s (answered %u, to go again %u, got %u, withdrawn %u)",
            phone->index, phone->caught_up ? "caught up" : phone->error,
            (unsigned)phone->result.pushed, (unsigned)phone->result.retried,
            (unsigned)phone->result.pulled, (unsigned)phone->result.withdrawn);
    if (phone->mismatch) {
        sim->alarms++;
        bool whole = device_half_verify(phone->half);
        sim_say(sim, "  the digests differ: %s",
                whole ? "other records" : device_half_error(phone->half));
        if (sim->restores == 0 || sim->quiet)
            sim_fail(sim, "phone %d caught up and the digests differ", phone->index);
    }
    if (phone->refused)
        sim_take_identity(sim, phone);
}

static size_t piece(struct sim *sim)
{
    return sim_chance(sim, 50) ? LINK_BYTES_MAX : 1 + (size_t)sim_below(sim, SMALL_PIECE);
}

void sim_sync_move(struct sim *sim, struct phone *phone, size_t moves)
{
    struct link *link = phone->link;

    for (size_t i = 0; i < moves && !link->over; i++) {
        if (sim_chance(sim, sim->server_percent)) {
            server_end_step(&sim->server);
            link_collect(link);
        } else if (sim_chance(sim, 50)) {
            link_carry_up(link, piece(sim));
        } else {
            link_carry_down(link, piece(sim));
        }
    }
    if (link->over)
        ended(sim, phone);
}

bool sim_sync_whole(struct sim *sim, struct phone *phone)
{
    if (phone->link == NULL && !sim_sync_begin(sim, phone))
        return false;
    struct link *link = phone->link;
    for (int i = 0; i < WHOLE_ROUNDS_MAX && !link->over; i++) {
        bool moved = link_carry_up(link, LINK_BYTES_MAX);
        moved = server_end_step(&sim->server) || moved;
        link_collect(link);
        moved = link_carry_down(link, LINK_BYTES_MAX) || moved;
        if (!moved)
            break;
    }
    if (link->stopped && !link->over) {
        sim_cut(sim, phone, false);
        return false;
    }
    if (!link->over) {
        sim_fail(sim, "phone %d's sync does not end: nothing is under way any more", phone->index);
        link_cut(link);
    }
    ended(sim, phone);
    return phone->caught_up;
}

/* ---- Connections that the device has given up --------------------------------------------- */

void sim_cut(struct sim *sim, struct phone *phone, bool late)
{
    if (phone->link == NULL)
        return;
    struct link *link = phone->link;
    link_cut(link);
    phone_sync_end(phone);
    sim_say(sim, "  phone %d's connection is cut%s", phone->index,
            late ? "; what is under way arrives later" : "");
    if (late && link->host != NULL) {
        for (size_t i = 0; i < SIM_GHOSTS_MAX; i++) {
            if (sim->ghosts[i] != NULL)
                continue;
            sim->ghosts[i] = link;
            return;
        }
    }
    link_free(link);
}

void sim_ghost(struct sim *sim, struct link *ghost, size_t moves)
{
    for (size_t i = 0; i < moves; i++) {
        link_carry_up(ghost, piece(sim));
        if (sim_chance(sim, 50))
            server_end_step(&sim->server);
        link_collect(ghost);
        rpc_buffer_clear(&ghost->down);
    }
}

void sim_sync_late(struct sim *sim, struct phone *phone)
{
    static const struct link_stop pushed = {LINK_NEVER, LINK_NEVER, true};

    if (!sim_sync_begin_until(sim, phone, &pushed))
        return;
    while (phone->link->taken == 0 && link_carry_up(phone->link, 1))
        ;
    while (server_end_step(&sim->server))
        ;
    sim_cut(sim, phone, true);
}

void sim_ghost_whole(struct sim *sim, size_t n)
{
    struct link *ghost = sim->ghosts[n];

    if (ghost == NULL)
        return;
    while (link_carry_up(ghost, LINK_BYTES_MAX) || server_end_step(&sim->server)) {
        link_collect(ghost);
        rpc_buffer_clear(&ghost->down);
    }
    link_free(ghost);
    sim->ghosts[n] = NULL;
}

void sim_drop_ghosts(struct sim *sim)
{
    for (size_t i = 0; i < SIM_GHOSTS_MAX; i++) {
        link_free(sim->ghosts[i]);
        sim->ghosts[i] = NULL;
    }
}

/* ---- Processes --------------------------------------------------------------------------------
 */

static void start_phone(struct sim *sim, struct phone *phone)
{
    if (!phone_start(phone, false) && phone->disk->fault == CRASH_NOTHING)
        sim_fail(sim, "phone %d does not open: %s", phone->index, phone->error);
}

void sim_phone_restart(struct sim *sim, struct phone *phone)
{
    sim_cut(sim, phone, sim_has(sim, SIM_LATE_BIT) && sim_chance(sim, 50));
    phone_stop(phone);
    start_phone(sim, phone);
}

void sim_server_stop(struct sim *sim)
{
    for (size_t i = 0; i < sim->phone_count; i++)
        if (sim->phones[i].link != NULL)
            link_server_gone(sim->phones[i].link);
    sim_drop_ghosts(sim);
    server_end_stop(&sim->server);
    for (size_t i = 0; i < sim->phone_count; i++)
        if (sim->phones[i].link != NULL)
            ended(sim, &sim->phones[i]);
}

void sim_server_start(struct sim *sim)
{
    if (!server_end_start(&sim->server, false) &&
        sim->disks[SIM_SERVER_DISK].fault == CRASH_NOTHING)
        sim_fail(sim, "the server does not open: %s", sim->server.error);
}

void sim_recover(struct sim *sim)
{
    for (size_t i = 0; i < sim->phone_count; i++) {
        struct phone *phone = &sim->phones[i];
        if (!phone->used)
            continue;
        if (phone->disk->down) {
            sim_say(sim, "  phone %d has lost power", phone->index);
            sim_cut(sim, phone, sim_has(sim, SIM_LATE_BIT) && sim_chance(sim, 50));
            phone_stop(phone);
            crash_disk_power_on(phone->disk, crash_random(&sim->luck));
            start_phone(sim, phone);
            if (phone->half != NULL)
                sim_forget_pages(sim, phone);
        }
        if (phone->half == NULL)
            start_phone(sim, phone);
    }
    if (sim->disks[SIM_SERVER_DISK].down) {
        sim_say(sim, "  the server has lost power");
        sim_server_stop(sim);
        crash_disk_power_on(&sim->disks[SIM_SERVER_DISK], crash_random(&sim->luck));
    }
    if (sim->server.store == NULL)
        sim_server_start(sim);
}
