/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are copied, put back and lost: of phones, and of the server.
 */
#include "sim.h"

#include "values.h"

#include <stdio.h>

/* ---- What a phone has -------------------------------------------------------------------- */

/* Calls back for each record of the phone that the server has told it of. */
static void each_held(struct sim *sim, struct phone *phone,
                      void (*take)(struct sim *sim, struct phone *phone,
                                   const struct record_key *key))
{
    static const char sql[] =
        "SELECT 10, id, id FROM patient WHERE outpost_version > 0 UNION ALL"
        " SELECT 13, patient_id, id FROM blood_pressure WHERE outpost_version > 0 UNION ALL"
        " SELECT 11, patient_id, id FROM patient_phone WHERE outpost_version > 0";
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(phone->app, sql, -1, &statement, NULL) == SQLITE_OK)
        while (sqlite3_step(statement) == SQLITE_ROW) {
            struct record_key key = {.type = (uint32_t)sqlite3_column_int64(statement, 0)};
            memcpy(key.family.bytes, sqlite3_column_blob(statement, 1), RECORD_UUID_LEN);
            memcpy(key.id.bytes, sqlite3_column_blob(statement, 2), RECORD_UUID_LEN);
            take(sim, phone, &key);
        }
    sqlite3_finalize(statement);
}

static void note_held(struct sim *sim, struct phone *phone, const struct record_key *key)
{
    for (size_t i = 0; i < sim->held_count; i++)
        if (record_key_compare(&sim->held[i].key, key) == 0) {
            sim->held[i].phones |= 1u << phone->index;
            return;
        }
    if (sim->held_count < SIM_HELD_MAX)
        sim->held[sim->held_count++] = (struct sim_held){.key = *key, .phones = 1u << phone->index};
}

void sim_forget(struct sim *sim, struct phone *phone)
{
    for (size_t i = 0; i < sim->held_count; i++)
        sim->held[i].phones &= ~(1u << phone->index);
    for (uint32_t n = 1; n < sim->ledger.edit_count; n++)
        if (sim->ledger.edits[n].phone == phone->index)
            sim->ledger.edits[n].over = true;
}

static void note_held_still(struct sim *sim, struct phone *phone, const struct record_key *key)
{
    for (size_t i = 0; i < sim->held_count; i++)
        if (record_key_compare(&sim->held[i].key, key) == 0)
            sim->held[i].phones |= sim->held[i].before & 1u << phone->index;
}

void sim_forget_pages(struct sim *sim, struct phone *phone)
{
    for (size_t i = 0; i < sim->held_count; i++) {
        sim->held[i].before = sim->held[i].phones;
        sim->held[i].phones &= ~(1u << phone->index);
    }
    each_held(sim, phone, note_held_still);
}

/* ---- Phones -------------------------------------------------------------------------------- */

static bool is_quiet(const struct crash_disk *disk)
{
    return !disk->down && disk->fault == CRASH_NOTHING;
}

void sim_save(struct sim *sim, struct phone *phone)
{
    if (sim->copy_count == SIM_COPIES_MAX || !is_quiet(phone->disk))
        return;
    sim->copies[sim->copy_count++] = (struct sim_copy){phone->index, crash_disk_save(phone->disk)};
    sim_say(sim, "  phone %d's file is copied away", phone->index);
}

static void put_file(struct sim *sim, struct phone *phone, const struct crash_image *image)
{
    sim_cut(sim, phone, sim_has(sim, SIM_LATE_BIT) && sim_chance(sim, 50));
    phone_stop(phone);
    crash_disk_restore(phone->disk, image);
    if (!phone_start(phone, false))
        sim_fail(sim, "phone %d does not open from a copied file: %s", phone->index, phone->error);
}

void sim_copy(struct sim *sim, size_t at)
{
    if (at >= sim->copy_count || sim->phone_count == SIM_PHONES_MAX)
        return;
    const struct sim_copy *copy = &sim->copies[at];
    struct phone *phone = &sim->phones[sim->phone_count];
    phone_init(phone, (int)sim->phone_count, &sim->disks[sim->phone_count]);
    phone->schema = sim->phones[copy->phone].schema;
    phone->regions = sim->phones[copy->phone].regions;
    phone->used = true;
    sim->phone_count++;
    put_file(sim, phone, copy->image);
    sim_say(sim, "  phone %d works with a copy of phone %d's file", phone->index, copy->phone);
}

void sim_old(struct sim *sim, size_t at)
{
    if (at >= sim->copy_count)
        return;
    const struct sim_copy *copy = &sim->copies[at];
    struct phone *phone = &sim->phones[copy->phone];
    if (!phone->used || !is_quiet(phone->disk))
        return;
    sim_say(sim, "  phone %d gets its old file back", phone->index);
    sim_forget(sim, phone);
    put_file(sim, phone, copy->image);
    phone->refused = false;
}

void sim_take_identity(struct sim *sim, struct phone *phone)
{
    struct record_uuid id = phone->device_id, token = {{0}};

    if (sim->server.store == NULL)
        return;
    id.bytes[3] = (uint8_t)(sim->identity_count + 1);
    phone_id(phone, "SELECT token FROM outpost_state", &token);
    if (server_end_recertify(&sim->server, &phone->device_id, &id, token.bytes)) {
        /* The register has it from now on: a phone that loses power here may have taken it. */
        sim_enrol(sim, phone, &id);
        if (device_half_take_identity(phone->half, &id, id.bytes[2] != 0)) {
            phone->device_id = id;
            sim_say(sim, "  phone %d is a copy and becomes a device of its own", phone->index);
        }
    } else {
        sim_say(sim, "  phone %d is given no identity", phone->index);
    }
    phone->refused = false;
}

void sim_lose(struct sim *sim, struct phone *phone)
{
    sim_say(sim, "  phone %d never returns", phone->index);
    sim_cut(sim, phone, false);
    sim_forget(sim, phone);
    phone_stop(phone);
    phone->used = false;
}

/* ---- The server --------------------------------------------------------------------------------
 */

void sim_backup(struct sim *sim)
{
    const struct crash_disk *disk = &sim->disks[SIM_SERVER_DISK];

    if (!is_quiet(disk))
        return;
    crash_image_free(sim->backup);
    sim->backup = crash_disk_save(disk);
    ledger_backup(&sim->ledger);
    sim_say(sim, "  the server's files are copied away");
}

void sim_restore(struct sim *sim)
{
    if (sim->backup == NULL || !is_quiet(&sim->disks[SIM_SERVER_DISK]))
        return;
    sim_say(sim, "  THE SERVER IS PUT BACK to its copy");
    for (size_t i = 0; i < sim->phone_count; i++)
        if (sim->phones[i].half != NULL && !sim->phones[i].refused)
            each_held(sim, &sim->phones[i], note_held);
    sim_server_stop(sim);
    crash_disk_restore(&sim->disks[SIM_SERVER_DISK], sim->backup);
    sim->restores++;
    ledger_restore(&sim->ledger);
    sim_server_start(sim);
    sim_enrol_all(sim);
}
