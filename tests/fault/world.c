/* SPDX-License-Identifier: Apache-2.0
 *
 * See world.h.
 */
#include "world.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const paths[WORLD_SIDES] = {"device.db", "server.db", "other.db"};
static const struct record_uuid region_id = {{7}}, facility_id = {{8}};
static const struct record_uuid device_ids[WORLD_SIDES] = {{{1}}, {{0}}, {{2}}};

enum {
    /* Syncs that a device may need after the last fault. */
    TRIES_MAX = 3,
    /* How far a recovery comes before the power goes again, at most. */
    RECOVERY_OPERATIONS = 80,
    /* Of a long WAL: the sync's own commits reach the 1000 of SQLite's checkpoint. */
    LONG_WAL_FRAMES = 950,
    WAL_FRAME_BYTES = 24 + 8192,
    SEAL_PART = 8,
    REQUEST_PUSH = 2,
    RESPONSE_PUSH_RESULT = 2,
};

static const int64_t now_ms = INT64_C(1700000000000);

static bool wrong(struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The first thing that is wrong is kept. Always false. */
static bool wrong(struct world *world, const char *format, ...)
{
    va_list arguments;

    if (world->error[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(world->error, sizeof world->error, format, arguments);
        va_end(arguments);
    }
    return false;
}

static bool is_down(const struct world *world, enum world_side side)
{
    return crash_vfs_is_down(&world->disks[side]);
}

/* ---- The app ------------------------------------------------------------------------- */

/* One transaction of the app: patients with ids of their own and readings. */
static bool app_transaction(sqlite3 *db, enum world_side side, size_t n)
{
    char sql[2048];

    snprintf(sql, sizeof sql,
             "BEGIN IMMEDIATE;"
             "WITH RECURSIVE p(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM p WHERE i < %d)"
             " INSERT INTO patient(id, full_name, age_years, age_recorded_at_ms)"
             " SELECT CAST(printf('%d-%02zu-%%02d---------', i) AS BLOB), 'T%zu', 30 + i, 1 FROM p;"
             "WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM r WHERE i < %d)"
             " INSERT INTO blood_pressure(id, patient_id, systolic_mmhg, diastolic_mmhg)"
             " SELECT CAST(substr(p.id, 1, 7) || printf('-%%08d', i) AS BLOB), p.id, 120 + i, 80"
             " FROM patient p, r WHERE p.full_name = 'T%zu' AND substr(p.id, 1, 1) = x'%02x';"
             "COMMIT",
             WORLD_TRANSACTION_PATIENTS, (int)side, n, n, WORLD_READINGS_EACH, n,
             '0' + (unsigned)side);
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* Transactions until one fails; how many were committed. */
static size_t app_work(enum world_side side, size_t count)
{
    sqlite3 *db = NULL;
    size_t committed = 0;

    if (sqlite3_open(paths[side], &db) == SQLITE_OK)
        while (committed < count && app_transaction(db, side, committed))
            committed++;
    sqlite3_close(db);
    return committed;
}

/* ---- What leaves the server -------------------------------------------------------------- */

static void note_push(struct world *world, struct rpc_bytes message)
{
    struct wire_field push, item, mutation;

    if (wire_find(message, REQUEST_PUSH, &push) != WIRE_FIELD)
        return;
    if (world->flight_end == WORLD_FLIGHTS_MAX)
        abort();
    struct world_flight *flight = &world->flights[world->flight_end++];
    struct wire_reader reader = wire_reader_over(push.bytes);
    flight->count = 0;
    while (wire_read(&reader, &item) == WIRE_FIELD) {
        if (item.number != 1 || wire_find(item.bytes, 1, &mutation) != WIRE_FIELD)
            continue;
        if (flight->count == SERVER_HALF_BATCH)
            abort();
        flight->ids[flight->count++] = record_mutation_id(world->hasher, mutation.bytes);
    }
}

static void note_answers(struct world *world, struct rpc_bytes push_result)
{
    const struct world_flight *flight = &world->flights[world->flight_first++];
    struct wire_reader reader = wire_reader_over(push_result);
    struct wire_field answer, status;
    size_t at = 0;

    while (wire_read(&reader, &answer) == WIRE_FIELD) {
        if (answer.number != 1)
            continue;
        bool retry =
            wire_find(answer.bytes, 1, &status) == WIRE_FIELD && status.value == PUSH_RETRY;
        if (!retry && world->acknowledged_count < WORLD_ACKNOWLEDGED_MAX)
            world->acknowledged[world->acknowledged_count++] = flight->ids[at];
        at++;
    }
}

static bool leaves(void *context, struct rpc_bytes message)
{
    struct world *world = context;
    struct wire_field result;

    if (is_down(world, WORLD_SERVER))
        return false;
    if (wire_find(message, RESPONSE_PUSH_RESULT, &result) == WIRE_FIELD)
        note_answers(world, result.bytes);
    return true;
}

/* ---- Opening and syncing -------------------------------------------------------------------- */

static bool open_device(struct world *world, enum world_side side, bool create)
{
    char error[DEVICE_HALF_ERROR_LEN];

    if (world->device == NULL)
        world->device = device_half_open(paths[side], create, error);
    return world->device != NULL || wrong(world, "%s: %s", paths[side], error);
}

static bool open_server(struct world *world, bool create)
{
    struct server_half_options options = {.path = paths[WORLD_SERVER],
                                          .create = create,
                                          .now_ms = now_ms,
                                          .seed = crash_random(&world->luck),
                                          .leaves = leaves,
                                          .context = world};
    char error[SERVER_HALF_ERROR_LEN];

    if (world->server == NULL)
        world->server = server_half_open(&options, error);
    return world->server != NULL || wrong(world, "server.db: %s", error);
}

static void close_device(struct world *world)
{
    device_half_close(world->device);
    world->device = NULL;
}

static void close_server(struct world *world)
{
    server_half_close(world->server);
    world->server = NULL;
}

static bool receive_one(struct world *world, bool *any_out)
{
    struct rpc_bytes message;

    *any_out = server_half_take(world->server, &message);
    return !*any_out || device_half_receive(world->device, message);
}

/* Messages go over one at a time; by a coin, the device takes an answer before it
 * sends on. False: the stream is over. */
static bool exchange(struct world *world)
{
    struct rpc_bytes message;
    bool any = true;

    switch (device_half_next(world->device, &message)) {
    case DEVICE_HALF_SEND:
        note_push(world, message);
        if (world->cut_at_push > 0 && world->flight_end == world->cut_at_push) {
            world->disks[WORLD_DEVICE].down = true;
            return false;
        }
        server_half_message(world->server, message);
        return crash_random_below(&world->luck, 2) == 0 || receive_one(world, &any);
    case DEVICE_HALF_HALF_CLOSE:
        server_half_half_close(world->server);
        return true;
    case DEVICE_HALF_WAIT:
        return receive_one(world, &any) && any;
    case DEVICE_HALF_FAILED:
        break;
    }
    return false;
}

static bool sync_once(struct world *world, enum world_side side)
{
    bool alive = device_half_begin(world->device, now_ms, SEAL_PART);

    world->flight_first = world->flight_end = 0;
    server_half_begin(world->server, &device_ids[side]);
    while (alive && !is_down(world, side) && !is_down(world, WORLD_SERVER))
        alive = exchange(world);
    server_half_end(world->server);
    return device_half_end(world->device);
}

/* ---- The base ----------------------------------------------------------------------------------
 */

static bool run_sql(enum world_side side, const char *sql)
{
    sqlite3 *db = NULL;
    bool done = sqlite3_open(paths[side], &db) == SQLITE_OK &&
                sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

    sqlite3_close(db);
    return done;
}

static bool add_device(enum world_side side)
{
    char sql[512];

    snprintf(sql, sizeof sql,
             "INSERT INTO device(device_id, enrolment_region_id, facility_id, enrolled_at_ms)"
             " VALUES (x'%02x000000000000000000000000000000',"
             " x'%02x000000000000000000000000000000', x'%02x000000000000000000000000000000', 1)",
             device_ids[side].bytes[0], region_id.bytes[0], facility_id.bytes[0]);
    return run_sql(WORLD_SERVER, sql);
}

/* Leaves server and device open. */
static bool make_base(struct world *world)
{
    bool good = open_server(world, true) &&
                server_half_add_facility(world->server, &region_id, &facility_id) &&
                add_device(WORLD_DEVICE) && add_device(WORLD_OTHER) &&
                open_device(world, WORLD_OTHER, true) &&
                device_half_enrol(world->device, &device_ids[WORLD_OTHER], &facility_id,
                                  SERVER_HALF_BATCH) &&
                app_work(WORLD_OTHER, WORLD_OTHER_TRANSACTIONS) == WORLD_OTHER_TRANSACTIONS &&
                sync_once(world, WORLD_OTHER);

    close_device(world);
    return (good && open_device(world, WORLD_DEVICE, true) &&
            device_half_enrol(world->device, &device_ids[WORLD_DEVICE], &facility_id,
                              SERVER_HALF_BATCH)) ||
           wrong(world, "the base cannot be made");
}

/* Commits that change nothing of interest, until the WAL is as long as it is wanted. */
static bool lengthen_wal(struct world *world, enum world_side side, const char *sql)
{
    char name[32];
    sqlite3 *db = NULL;
    bool good = sqlite3_open(paths[side], &db) == SQLITE_OK;

    snprintf(name, sizeof name, "%s-wal", paths[side]);
    for (size_t i = 0; good && i < 2 * LONG_WAL_FRAMES; i++) {
        const struct crash_file *wal = crash_disk_find(&world->disks[side], name);
        good = wal != NULL && sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
        if (good && wal->seen.len / WAL_FRAME_BYTES >= LONG_WAL_FRAMES)
            break;
    }
    sqlite3_close(db);
    return good || wrong(world, "the WAL of %s cannot be made longer", paths[side]);
}

bool world_init(struct world *world, struct crash_disk *disks, bool long_wals)
{
    *world = (struct world){.disks = disks, .hasher = record_hasher_new()};
    for (size_t i = 0; i < WORLD_SIDES; i++)
        crash_disk_deinit(&disks[i]);
    bool good = make_base(world);
    if (good && long_wals)
        good = lengthen_wal(world, WORLD_DEVICE,
                            "CREATE TABLE IF NOT EXISTS padding(n);"
                            "INSERT OR REPLACE INTO padding(rowid, n) VALUES (1, random())") &&
               lengthen_wal(world, WORLD_SERVER,
                            "UPDATE device SET last_sync_at_ms = last_sync_at_ms + 1");
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 || !long_wals) {
            close_device(world);
            close_server(world);
        }
        for (size_t i = 0; pass == 0 && i < WORLD_SIDES; i++)
            world->base[i] = crash_disk_save(&disks[i]);
    }
    return good;
}

void world_deinit(struct world *world)
{
    close_device(world);
    close_server(world);
    for (size_t i = 0; i < WORLD_SIDES; i++)
        crash_image_free(world->base[i]);
    record_hasher_free(world->hasher);
}

void world_restore(struct world *world, uint64_t seed)
{
    close_device(world);
    close_server(world);
    for (size_t i = 0; i < WORLD_SIDES; i++)
        crash_disk_restore(&world->disks[i], world->base[i]);
    world->luck = seed;
    world->committed = 0;
    world->acknowledged_count = 0;
    world->cut_at_push = 0;
    world->error[0] = '\0';
}

/* ---- A run
 * ---------------------------------------------------------------------------------------- */

void world_run(struct world *world)
{
    world->committed = app_work(WORLD_DEVICE, WORLD_TRANSACTIONS);
    if (open_server(world, false) && open_device(world, WORLD_DEVICE, false) &&
        sync_once(world, WORLD_DEVICE)) {
        close_device(world);
        close_server(world);
    }
    world->error[0] = '\0'; /* what failed here is the fault's doing; the end tells */
}

/* ---- What must hold
 * -------------------------------------------------------------------------------- */

static int64_t number_of(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static bool is_whole(struct world *world, enum world_side side)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    char text[200] = "it cannot be read";

    if (sqlite3_open(paths[side], &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "PRAGMA integrity_check(1)", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return strcmp(text, "ok") == 0 || wrong(world, "%s is corrupt: %s", paths[side], text);
}

/* A transaction of the app that was committed is whole, one that failed is whole or
 * nothing, and later ones are nothing. */
static bool check_transactions(struct world *world, sqlite3 *db)
{
    enum { WHOLE = WORLD_TRANSACTION_PATIENTS * (1 + WORLD_READINGS_EACH) };

    for (size_t n = 0; n < WORLD_TRANSACTIONS; n++) {
        char sql[300];
        snprintf(sql, sizeof sql,
                 "SELECT (SELECT count(*) FROM patient WHERE full_name = 'T%zu'"
                 " AND substr(id, 1, 1) = x'30') + (SELECT count(*) FROM patient p"
                 " JOIN blood_pressure b ON b.patient_id = p.id WHERE p.full_name = 'T%zu'"
                 " AND substr(p.id, 1, 1) = x'30')",
                 n, n);
        int64_t rows = number_of(db, sql);
        if (rows != WHOLE && (rows != 0 || n < world->committed))
            return wrong(world,
                         "transaction %zu of the app has %" PRId64
                         " of %d records; %zu transactions were committed",
                         n, rows, (int)WHOLE, world->committed);
        if (rows != 0 && n > world->committed)
            return wrong(world, "transaction %zu of the app appeared from nowhere", n);
    }
    return true;
}

static bool put_acknowledged(struct world *world, sqlite3 *db)
{
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_exec(db, "CREATE TEMP TABLE acknowledged(id BLOB)", NULL, NULL, NULL) ==
                    SQLITE_OK &&
                sqlite3_prepare_v2(db, "INSERT INTO acknowledged VALUES (?1)", -1, &statement,
                                   NULL) == SQLITE_OK;

    for (size_t i = 0; good && i < world->acknowledged_count; i++) {
        sqlite3_bind_blob(statement, 1, world->acknowledged[i].bytes, RECORD_MUTATION_ID_LEN,
                          SQLITE_STATIC);
        good = sqlite3_step(statement) == SQLITE_DONE;
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    return good || wrong(world, "the acknowledged ids cannot be noted");
}

#define DEVICE_ROWS                                                                            \
    "(SELECT 10 AS type, id AS family, id, outpost_version AS version, outpost_stamp AS stamp" \
    " FROM patient UNION ALL SELECT 13, patient_id, id, outpost_version, outpost_stamp"        \
    " FROM blood_pressure)"
#define OWN_REGION "region_id = x'07000000000000000000000000000000'"

/* Each must be 0. */
static const struct {
    const char *what, *sql;
} nothing_of[] = {
    {"mutations whose answers left the server are not in its log",
     "SELECT count(*) FROM acknowledged WHERE id NOT IN (SELECT mutation_id FROM s.change_log)"},
    {"mutations that the device has as acknowledged are not in the server's log",
     "SELECT count(*) FROM outpost_journal"
     " WHERE mutation_id NOT IN (SELECT mutation_id FROM s.change_log)"},
    {"mutations took effect twice",
     "SELECT count(*) - count(DISTINCT mutation_id) FROM s.change_log"},
    {"mutations are still in the outbox", "SELECT count(*) FROM outpost_outbox"},
    {"records are still pending", "SELECT count(*) FROM outpost_pending"},
    {"records are rejected", "SELECT count(*) FROM outpost_rejected"},
    {"records of the device are not those of the server",
     "SELECT count(*) FROM " DEVICE_ROWS " d WHERE NOT EXISTS (SELECT 1 FROM s.record r"
     " WHERE r." OWN_REGION " AND r.family_id = d.family AND r.type = d.type AND r.id = d.id"
     " AND r.version = d.version AND r.stamp = d.stamp AND r.deleted = 0)"},
    {"records are on the server alone, or on it twice",
     "SELECT (SELECT count(*) FROM s.record WHERE " OWN_REGION
     ") - (SELECT count(*) FROM " DEVICE_ROWS ")"},
    {"log entries are more or fewer than the records, each of which was entered once",
     "SELECT (SELECT count(*) FROM s.change_log WHERE " OWN_REGION ") - (SELECT count(*) FROM"
     " s.record WHERE " OWN_REGION ")"},
    {"records of the other device are missing",
     "SELECT 100 - (SELECT count(*) FROM " DEVICE_ROWS " WHERE substr(family, 1, 1) = x'32')"},
};

static bool check_databases(struct world *world)
{
    sqlite3 *db = NULL;
    bool good = (sqlite3_open(paths[WORLD_DEVICE], &db) == SQLITE_OK &&
                 sqlite3_exec(db, "PRAGMA temp_store = MEMORY; ATTACH 'server.db' AS s", NULL, NULL,
                              NULL) == SQLITE_OK) ||
                wrong(world, "the databases cannot be opened side by side");

    good = good && check_transactions(world, db) && put_acknowledged(world, db);
    for (size_t i = 0; good && i < sizeof nothing_of / sizeof nothing_of[0]; i++) {
        int64_t count = number_of(db, nothing_of[i].sql);
        if (count != 0)
            good = wrong(world, "%" PRId64 " %s", count, nothing_of[i].what);
    }
    sqlite3_close(db);
    return good;
}

static bool check(struct world *world)
{
    char error[SERVER_HALF_ERROR_LEN];

    if (!device_half_verify(world->device))
        return wrong(world, "device: %s", device_half_error(world->device));
    if (!server_half_verify(world->server, error))
        return wrong(world, "%s", error);
    return check_databases(world) && is_whole(world, WORLD_DEVICE) && is_whole(world, WORLD_SERVER);
}

/* ---- The end
 * ----------------------------------------------------------------------------------------- */

static void power_on(struct world *world, enum world_side side, uint64_t seed)
{
    if (side == WORLD_DEVICE)
        close_device(world);
    else
        close_server(world);
    crash_disk_power_on(&world->disks[side], seed);
}

static bool open_both(struct world *world)
{
    return open_server(world, false) && open_device(world, WORLD_DEVICE, false);
}

/* Power on, and with it half of the recoveries lose it again. */
static bool recover(struct world *world, enum world_side side, uint64_t seed)
{
    if (!is_down(world, side))
        return true;
    power_on(world, side, seed);
    if (crash_random_below(&seed, 2) == 0) {
        crash_disk_plan(&world->disks[side], CRASH_POWER,
                        1 + crash_random_below(&seed, RECOVERY_OPERATIONS));
        if (open_both(world))
            sync_once(world, WORLD_DEVICE);
        if (is_down(world, side)) {
            power_on(world, side, seed);
            world->error[0] = '\0';
        }
        crash_disk_plan(&world->disks[side], CRASH_NOTHING, 0);
    }
    return is_whole(world, side);
}

bool world_check_sealed(struct world *world, uint64_t seed)
{
    const struct world_flight *flight = &world->flights[world->flight_end - 1];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    if (!is_down(world, WORLD_DEVICE))
        return wrong(world, "there was no such push");
    power_on(world, WORLD_DEVICE, seed);
    bool good = sqlite3_open(paths[WORLD_DEVICE], &db) == SQLITE_OK &&
                sqlite3_prepare_v2(db, "SELECT 1 FROM outpost_outbox WHERE mutation_id = ?1", -1,
                                   &statement, NULL) == SQLITE_OK;
    for (size_t i = 0; good && i < flight->count; i++) {
        sqlite3_bind_blob(statement, 1, flight->ids[i].bytes, RECORD_MUTATION_ID_LEN,
                          SQLITE_STATIC);
        good = sqlite3_step(statement) == SQLITE_ROW;
        sqlite3_reset(statement);
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return good || wrong(world, "push %zu left before it was durable", world->flight_end);
}

bool world_finish(struct world *world, uint64_t seed)
{
    bool caught_up = false;

    if (!recover(world, WORLD_DEVICE, seed) || !recover(world, WORLD_SERVER, seed) ||
        !open_both(world))
        return false;
    for (int tries = 0; !caught_up && tries < TRIES_MAX; tries++)
        caught_up = sync_once(world, WORLD_DEVICE);
    if (!caught_up)
        return wrong(world, "the device does not catch up: %s", device_half_error(world->device));
    return check(world);
}
