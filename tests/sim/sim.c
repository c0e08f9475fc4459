/* SPDX-License-Identifier: Apache-2.0
 *
 * A world's beginning; see sim.h.
 */
#include "sim.h"

#include "failing_memory.h"

#include "server_half.h"
#include "values.h"

#include "outpost/v1/schema.gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) != SQLITE_OK || !failing_memory_install())
        return false;
    sim->disks = calloc(SIM_PHONES_MAX + 1, sizeof *sim->disks);
    sim->held = calloc(SIM_HELD_MAX, sizeof *sim->held);
    if (sim->disks == NULL || sim->held == NULL || !ledger_init(&sim->ledger) ||
        !server_end_init(&sim->server, "server.db", &sim->now_ms) || !make_older(sim))
        return false;
    for (int i = 0; i < SIM_PHONES_MAX; i++) {
        char label[24];
        snprintf(label, sizeof label, "phone%d", i);
        crash_disk_init(&sim->disks[i], label);
    }
    crash_disk_init(&sim->disks[SIM_SERVER_DISK], "server");
    crash_vfs_install(sim->disks, SIM_PHONES_MAX + 1);
    if (!make_server(sim))
        return false;
    sim->base_server = crash_disk_save(&sim->disks[SIM_SERVER_DISK]);
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
    for (int i = 0; i <= SIM_SERVER_DISK; i++)
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
    unsigned home = identity->region.bytes[1];
    struct store_device device = {
        .device_id = identity->id,
        .enrolment_region = identity->region,
        .facility_id = sim_facility(home * 2),
        .admin = identity->id.bytes[2] != 0,
        .enrolled_at_ms = 1,
    };

    for (unsigned n = 0; n < SIM_REGIONS; n++) {
        struct record_uuid region = sim_region(n);
        if (n != home && (identity->regions & 1u << n) != 0)
            scope_rights_set(&device.standing.rights, &region, true);
    }
    if (sim->server.store != NULL && !server_end_add_device(&sim->server, &device))
        sim_say(sim, "  the server cannot be told of a device");
}

void sim_enrol(struct sim *sim, const struct phone *phone, const struct record_uuid *device_id)
{
    struct sim_identity identity = {*device_id, phone->enrolment_region, phone->regions};

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

struct phone *sim_add_phone(struct sim *sim, const struct sim_enrolment *enrolment)
{
    int index = (int)sim->phone_count;
    struct phone *phone = &sim->phones[index];
    unsigned home = enrolment->facility / 2;
    struct record_uuid id = {{0xd0, (uint8_t)index, enrolment->admin}};
    struct record_uuid at = sim_facility(enrolment->facility), region = sim_region(home);
    char sql[400], blobs[3][PHONE_BLOB_LEN];

    phone_init(phone, index, &sim->disks[index]);
    phone->schema = enrolment->older ? &sim->older : NULL;
    phone->used = true;
    sim->phone_count++;
    crash_disk_restore(phone->disk, enrolment->older ? sim->base_older : sim->base_phone);
    snprintf(sql, sizeof sql,
             "UPDATE outpost_state SET device_id = %s, facility_id = %s, enrolment_region_id = %s,"
             " admin = %d, push_batch = %u",
             phone_blob(&id, blobs[0]), phone_blob(&at, blobs[1]), phone_blob(&region, blobs[2]),
             enrolment->admin, sim->server.service.settings.push_batch);
    if (!phone_start(phone, false) || !phone_sql(phone, sql))
        sim_fail(sim, "phone %d does not begin: %s", index, phone->error);
    phone->device_id = id;
    phone->enrolment_region = region;
    phone->regions = enrolment->regions | 1u << home;
    sim_enrol(sim, phone, &id);
    sim_say(sim, "phone %d: facility %u, region %u%s%s%s", index, enrolment->facility, home,
            enrolment->admin ? ", administrator" : "", enrolment->older ? ", older app" : "",
            enrolment->regions != 0 ? ", of other regions, too" : "");
    return phone;
}

static void add_drawn_phone(struct sim *sim)
{
    bool switches = sim_has(sim, SIM_SWITCHES_BIT);
    struct sim_enrolment enrolment = {
        .facility = (unsigned)sim_below(sim, SIM_FACILITIES),
        .regions = switches ? (unsigned)sim_below(sim, 1u << SIM_REGIONS) : 0,
        .admin = sim_chance(sim, switches ? 40 : 25),
        .older = sim_chance(sim, 30) && sim_has(sim, SIM_UNKNOWN_BIT),
    };
    int64_t offset_ms = ((int64_t)sim_below(sim, 7300) - 3650) * SIM_DAY_MS;
    struct phone *phone = sim_add_phone(sim, &enrolment);

    if (sim_has(sim, SIM_CLOCKS_BIT))
        phone->clock_offset_ms = offset_ms;
    phone->seal_part = 1 + (uint32_t)((sim->options.seed + (uint64_t)phone->index) % 4);
}

void sim_begin(struct sim *sim, const struct sim_options *options)
{
    static const uint32_t push_batches[] = {1, 2, 3, 5};
    struct settings *settings = &sim->server.service.settings;

    failing_memory_plan(0, 0);
    clear(sim);
    ledger_clear(&sim->ledger);
    sim->options = *options;
    sim->luck = options->seed * 2 + 1;
    crash_vfs_seed(crash_random(&sim->luck));
    sim->now_ms = INT64_C(1700000000000);
    sim->records = 0;
    sim->quiet = false;
    sim->alarms = sim->restores = 0;
    sim->server.watch = (struct watch){.leaks = 0};
    sim->server_percent = sim_chance(sim, 30) ? 8 : 33;
    sim->failure_count = 0;
    settings_init_default(settings);
    settings->push_batch = push_batches[sim_below(sim, 4)];
    settings->pull_batch = 1 + (uint32_t)sim_below(sim, 7);
    sim->server.luck = crash_random(&sim->luck);
    sim->server.clock_offset_ms =
        sim_has(sim, SIM_CLOCKS_BIT) ? ((int64_t)sim_below(sim, 730) - 365) * SIM_DAY_MS : 0;
    crash_disk_restore(&sim->disks[SIM_SERVER_DISK], sim->base_server);
    sim_server_start(sim);
    size_t phones = 2 + (size_t)sim_below(sim, 3);
    if (options->phones > 0)
        phones = options->phones;
    for (size_t i = 0; !options->empty && i < phones; i++)
        add_drawn_phone(sim);
}
