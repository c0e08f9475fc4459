/* SPDX-License-Identifier: Apache-2.0
 *
 * A world's beginning, its steps and its end; see sim.h.
 */
#include "sim.h"

#include "server_half.h"
#include "values.h"

#include "outpost/v1/schema.gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SERVER_DISK = SIM_PHONES_MAX,
    /* Rounds of syncs after the faults: a restored server is given back what it lost
     * level by level, and each phone's gift is news for the others. */
    QUIET_ROUNDS_MAX = 14,
    REPAIR_ROUNDS = 5,
    MOVES_MAX = 12,
    FAULT_OPERATIONS = 80,
    DAY_MS = 86400000,
};

/* ---- Names ----------------------------------------------------------------------------- */

const char *sim_step_name(enum sim_step_kind kind)
{
    static const char *const names[] = {
#define X(name, weight, letter) #name,
        SIM_STEPS(X)
#undef X
    };

    return names[kind];
}

struct record_uuid sim_region(unsigned n)
{
    return (struct record_uuid){{0xa0, (uint8_t)n}};
}

struct record_uuid sim_facility(unsigned n)
{
    return (struct record_uuid){{0xfa, (uint8_t)n}};
}

unsigned sim_region_of(const struct record_uuid *facility)
{
    return facility->bytes[1] / 2;
}

/* Eight bytes of luck, so that the order of keys says nothing, then what it is. */
struct record_uuid sim_new_id(struct sim *sim, uint32_t type)
{
    uint64_t luck = crash_random(&sim->luck);
    uint32_t n = ++sim->records;
    struct record_uuid id = {{0}};

    memcpy(id.bytes, &luck, sizeof luck);
    id.bytes[11] = (uint8_t)type;
    id.bytes[14] = (uint8_t)(n >> 8);
    id.bytes[15] = (uint8_t)n;
    return id;
}

const char *sim_name(const struct record_key *key, char text_out[48])
{
    const char *table = value_table(key->type);

    snprintf(text_out, 48, "%s %d", table != NULL ? table : "record of a newer app",
             key->id.bytes[14] << 8 | key->id.bytes[15]);
    return text_out;
}

/* ---- Luck and words ------------------------------------------------------------------------ */

bool sim_has(const struct sim *sim, enum sim_fault fault)
{
    return (sim->options.faults & 1u << fault) != 0;
}

uint64_t sim_below(struct sim *sim, uint64_t limit)
{
    return crash_random_below(&sim->luck, limit);
}

bool sim_chance(struct sim *sim, unsigned percent)
{
    return sim_below(sim, 100) < percent;
}

void sim_say(const struct sim *sim, const char *format, ...)
{
    va_list arguments;

    if (!sim->options.verbose)
        return;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;
    char text[SIM_TEXT_LEN];

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sim_say(sim, "  FAILURE: %s", text);
    if (sim->failure_count < SIM_FAILURES_MAX)
        memcpy(sim->failures[sim->failure_count++], text, sizeof text);
}

/* ---- Once --------------------------------------------------------------------------------------
 */

static bool make_server(struct sim *sim)
{
    struct store_steps steps = server_end_steps(&sim->server);
    struct server_half_options options = {
        .path = sim->server.path, .create = true, .now_ms = 1, .steps = &steps};
    char error[SERVER_HALF_ERROR_LEN];
    struct server_half *half = server_half_open(&options, error);
    bool good = half != NULL;

    for (unsigned i = 0; good && i < SIM_FACILITIES; i++) {
        struct record_uuid region = sim_region(i / 2), facility = sim_facility(i);
        good = server_half_add_facility(half, &region, &facility);
    }
    server_half_close(half);
    return good;
}

static struct crash_image *make_phone(struct sim *sim, const struct record_schema *schema)
{
    struct phone phone;
    struct crash_image *image = NULL;

    phone_init(&phone, 0, &sim->disks[0]);
    phone.schema = schema;
    crash_disk_deinit(phone.disk);
    phone.half = device_half_open_with(phone.path, true, schema, phone.error);
    if (phone.half != NULL) {
        struct record_uuid id = {{0xd0}}, facility = sim_facility(0);
        bool good =
            device_half_enrol(phone.half, &id, &facility, 1) &&
            sqlite3_open(phone.path, &phone.app) == SQLITE_OK &&
            phone_sql(&phone, "UPDATE outpost_state SET enrolment_region_id = zeroblob(16)");
        phone_stop(&phone);
        if (good)
            image = crash_disk_save(phone.disk);
    }
    return image;
}

static bool make_older(struct sim *sim)
{
    const struct record_schema *schema = &outpost_v1_schema;

    sim->older_types = calloc(schema->type_count, sizeof *sim->older_types);
    if (sim->older_types == NULL)
        return false;
    sim->older = (struct record_schema){schema->revision, sim->older_types, 0};
    for (size_t i = 0; i < schema->type_count; i++)
        if (schema->types[i].number != TYPE_IDENTIFIER)
            sim->older_types[sim->older.type_count++] = schema->types[i];
    return true;
}

bool sim_init(struct sim *sim)
{
    *sim = (struct sim){.luck = 1};
    /* One thread, and nobody asks how much memory SQLite has: its locks and counts
     * would take a sixth of the time. */
    if (sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK)
        return false;
    sim->disks = calloc(SIM_PHONES_MAX + 1, sizeof *sim->disks);
    sim->held = calloc(SIM_HELD_MAX, sizeof *sim->held);
    if (sim->disks == NULL || sim->held == NULL || !ledger_init(&sim->ledger) ||
        !server_end_init(&sim->server, "server.db", &sim->now_ms) || !make_older(sim))
        return false;
    for (int i = 0; i < SIM_PHONES_MAX; i++) {
        char label[32];
        snprintf(label, sizeof label, "phone%d", i);
        crash_disk_init(&sim->disks[i], label);
    }
    crash_disk_init(&sim->disks[SERVER_DISK], "server");
    crash_vfs_install(sim->disks, SIM_PHONES_MAX + 1);
    if (!make_server(sim))
        return false;
    sim->base_server = crash_disk_save(&sim->disks[SERVER_DISK]);
    sim->base_phone = make_phone(sim, NULL);
    sim->base_older = make_phone(sim, &sim->older);
    return sim->base_phone != NULL && sim->base_older != NULL;
}

static void clear(struct sim *sim)
{
    for (size_t i = 0; i < sim->phone_count; i++) {
        struct phone *phone = &sim->phones[i];
        if (phone->link != NULL) {
            link_cut(phone->link);
            link_free(phone_sync_end(phone));
        }
        phone_stop(phone);
    }
    sim_drop_ghosts(sim);
    server_end_stop(&sim->server);
    for (size_t i = 0; i < sim->copy_count; i++)
        crash_image_free(sim->copies[i].image);
    crash_image_free(sim->backup);
    sim->backup = NULL;
    sim->phone_count = sim->copy_count = sim->deleted_count = sim->held_count = 0;
    sim->identity_count = 0;
}

void sim_deinit(struct sim *sim)
{
    clear(sim);
    server_end_deinit(&sim->server);
    crash_image_free(sim->base_phone);
    crash_image_free(sim->base_older);
    crash_image_free(sim->base_server);
    for (int i = 0; i <= SERVER_DISK; i++)
        crash_disk_deinit(&sim->disks[i]);
    crash_vfs_uninstall();
    ledger_deinit(&sim->ledger);
    free(sim->older_types);
    free(sim->held);
    free(sim->disks);
}

/* ---- The beginning ------------------------------------------------------------------------------
 */

static void tell_server(struct sim *sim, const struct sim_identity *identity)
{
    struct record_uuid facility = sim_facility(identity->region.bytes[1] * 2u);

    if (sim->server.store != NULL &&
        !server_end_add_device(&sim->server, &identity->id, &identity->region, &facility,
                               identity->id.bytes[2] != 0))
        sim_say(sim, "  the server cannot be told of a device");
}

void sim_enrol(struct sim *sim, const struct record_uuid *id, const struct record_uuid *region)
{
    struct sim_identity identity = {*id, *region};

    if (sim->identity_count == SIM_IDENTITIES_MAX)
        sim->ledger.overflow = "identities";
    else
        sim->identities[sim->identity_count++] = identity;
    tell_server(sim, &identity);
}

void sim_enrol_all(struct sim *sim)
{
    for (size_t i = 0; i < sim->identity_count; i++)
        tell_server(sim, &sim->identities[i]);
}

struct phone *sim_add_phone(struct sim *sim, unsigned facility, bool admin, bool older)
{
    int index = (int)sim->phone_count;
    struct phone *phone = &sim->phones[index];
    struct record_uuid id = {{0xd0, (uint8_t)index, admin}};
    struct record_uuid at = sim_facility(facility), region = sim_region(facility / 2);
    char sql[400], blobs[3][PHONE_BLOB_LEN];

    phone_init(phone, index, &sim->disks[index]);
    phone->schema = older ? &sim->older : NULL;
    phone->used = true;
    sim->phone_count++;
    crash_disk_restore(phone->disk, older ? sim->base_older : sim->base_phone);
    snprintf(sql, sizeof sql,
             "UPDATE outpost_state SET device_id = %s, facility_id = %s, enrolment_region_id = %s,"
             " admin = %d, push_batch = %u",
             phone_blob(&id, blobs[0]), phone_blob(&at, blobs[1]), phone_blob(&region, blobs[2]),
             admin, sim->server.service.settings.push_batch);
    if (!phone_start(phone, false) || !phone_sql(phone, sql))
        sim_fail(sim, "phone %d does not begin: %s", index, phone->error);
    phone->device_id = id;
    phone->enrolment_region = region;
    sim_enrol(sim, &id, &region);
    sim_say(sim, "phone %d: facility %u, region %u%s%s", index, facility, facility / 2,
            admin ? ", administrator" : "", older ? ", older app" : "");
    return phone;
}

static void add_drawn_phone(struct sim *sim)
{
    unsigned facility = (unsigned)sim_below(sim, SIM_FACILITIES);
    bool admin = sim_chance(sim, sim_has(sim, SIM_SWITCHES_BIT) ? 60 : 25);
    bool older = sim_chance(sim, 30) && sim_has(sim, SIM_UNKNOWN_BIT);
    int64_t offset_ms = ((int64_t)sim_below(sim, 7300) - 3650) * DAY_MS;
    struct phone *phone = sim_add_phone(sim, facility, admin, older);

    if (sim_has(sim, SIM_CLOCKS_BIT))
        phone->clock_offset_ms = offset_ms;
}

void sim_begin(struct sim *sim, const struct sim_options *options)
{
    static const uint32_t push_batches[] = {1, 2, 3, 5};
    struct settings *settings = &sim->server.service.settings;

    clear(sim);
    ledger_clear(&sim->ledger);
    sim->options = *options;
    sim->luck = options->seed * 2 + 1;
    crash_vfs_seed(crash_random(&sim->luck));
    sim->now_ms = INT64_C(1700000000000);
    sim->records = 0;
    sim->quiet = false;
    sim->alarms = sim->restores = sim->server.watch.leaks = 0;
    sim->server_percent = sim_chance(sim, 30) ? 8 : 33;
    sim->failure_count = 0;
    settings_init_default(settings);
    settings->push_batch = push_batches[sim_below(sim, 4)];
    settings->pull_batch = 1 + (uint32_t)sim_below(sim, 7);
    sim->server.luck = crash_random(&sim->luck);
    sim->server.clock_offset_ms =
        sim_has(sim, SIM_CLOCKS_BIT) ? ((int64_t)sim_below(sim, 730) - 365) * DAY_MS : 0;
    crash_disk_restore(&sim->disks[SERVER_DISK], sim->base_server);
    sim_server_start(sim);
    size_t phones = 2 + (size_t)sim_below(sim, 3);
    if (options->phones > 0)
        phones = options->phones;
    for (size_t i = 0; !options->empty && i < phones; i++)
        add_drawn_phone(sim);
}

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

static void move_clock(struct sim *sim, struct phone *phone)
{
    if (sim_chance(sim, 30))
        sim->server.clock_offset_ms += ((int64_t)sim_below(sim, 9) - 4) * DAY_MS;
    else
        phone->clock_offset_ms = ((int64_t)sim_below(sim, 7300) - 3650) * DAY_MS;
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
    struct crash_disk *disk = &sim->disks[SERVER_DISK];
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
        sim_copy(sim);
        break;
    case SIM_STEP_OLD:
        sim_old(sim);
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
    for (size_t i = 0; i <= SERVER_DISK; i++) {
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
    for (size_t i = 0; i <= SERVER_DISK; i++)
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
        still = still && phone->result.retried == 0;
    }
    return still && !*moved_out;
}

void sim_finish(struct sim *sim)
{
    bool still = false;

    sim_say(sim, "THE FAULTS ARE OVER");
    stop_faults(sim);
    /* A round in which nothing moves may have been one of failures; the next is alike. */
    for (int round = 0, stuck = 0; !still && round < QUIET_ROUNDS_MAX && stuck < 2; round++) {
        bool moved;
        sim_say(sim, "round %d", round + 1);
        still = sync_all(sim, round < REPAIR_ROUNDS, &moved);
        stuck = moved ? 0 : stuck + 1;
    }
    if (!still)
        sim_fail(sim, "the phones do not come to rest");
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
