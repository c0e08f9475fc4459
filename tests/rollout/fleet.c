/* SPDX-License-Identifier: Apache-2.0
 *
 * See fleet.h.
 */
#include "fleet.h"

#include "unsynced_vfs.h"

#include "outpost/v1/schema.gen.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PUSH_BATCH = 20, RESPONSE_PULL = 3, PULL_RECORDS = 1, PATH_LEN = 128 };

static struct record_type old_types[64];
static struct record_schema old_schema;

uint64_t fleet_random(struct fleet *fleet, uint64_t below)
{
    fleet->luck = fleet->luck * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (fleet->luck >> 33) % below;
}

bool fleet_wrong(struct fleet *fleet, const char *format, ...)
{
    va_list arguments;

    if (fleet->error[0] == '\0') {
        va_start(arguments, format);
        vsnprintf(fleet->error, sizeof fleet->error, format, arguments);
        va_end(arguments);
    }
    return false;
}

static void path_of(const struct fleet *fleet, const struct fleet_device *device,
                    char path[PATH_LEN])
{
    snprintf(path, PATH_LEN, "%s/%04zu.db", fleet->folder, (size_t)(device - fleet->devices));
}

/* ---- The server ---------------------------------------------------------------- */

/* Counts what a device outside must not get. */
static bool on_leaves(void *context, struct rpc_bytes message)
{
    struct fleet *fleet = context;
    struct wire_reader reader;
    struct wire_field pull, field;
    struct record_image image;

    if (wire_find(message, RESPONSE_PULL, &pull) != WIRE_FIELD || fleet->calling->inside)
        return true;
    reader = wire_reader_over(pull.bytes);
    while (wire_read(&reader, &field) == WIRE_FIELD)
        if (field.number == PULL_RECORDS && record_image_parse(field.bytes, &image) &&
            image.key.type == FLEET_TYPE)
            fleet->leaked++;
    return true;
}

static bool open_server(struct fleet *fleet)
{
    char path[PATH_LEN], error[SERVER_HALF_ERROR_LEN];
    struct server_half_options options = {.path = path,
                                          .create = true,
                                          .now_ms = fleet->now_ms,
                                          .seed = 1,
                                          .leaves = on_leaves,
                                          .context = fleet};

    snprintf(path, sizeof path, "%s/server.db", fleet->folder);
    fleet->server = server_half_open(&options, error);
    return fleet->server != NULL || fleet_wrong(fleet, "server: %s", error);
}

static bool enrol(struct fleet *fleet, const struct fleet_device *device)
{
    struct store_device_add add = {.request = {.kind = STORE_DEVICE_ADD},
                                   .device = {.device_id = device->id,
                                              .enrolment_region = device->region,
                                              .facility_id = device->facility,
                                              .enrolled_at_ms = fleet->now_ms}};
    struct rpc_status status = store_run(server_half_store(fleet->server), &add.request);

    return rpc_ok(&status) || fleet_wrong(fleet, "enrol: %s", status.message);
}

/* ---- The devices ----------------------------------------------------------------- */

static const struct record_schema *schema_of(const struct fleet_device *device)
{
    return device->old_app ? &old_schema : &outpost_v1_schema;
}

static void make_old_schema(void)
{
    old_schema = (struct record_schema){outpost_v1_schema.revision, old_types, 0};
    for (size_t i = 0; i < outpost_v1_schema.type_count; i++)
        if (outpost_v1_schema.types[i].number != FLEET_TYPE)
            old_types[old_schema.type_count++] = outpost_v1_schema.types[i];
}

static struct device_half *open_device(struct fleet *fleet, const struct fleet_device *device,
                                       bool create)
{
    char path[PATH_LEN], error[DEVICE_HALF_ERROR_LEN];

    path_of(fleet, device, path);
    struct device_half *half = device_half_open_with(path, create, schema_of(device), error);
    if (half == NULL)
        fleet_wrong(fleet, "%s: %s", path, error);
    return half;
}

static bool add_device(struct fleet *fleet, size_t n)
{
    struct fleet_device *device = &fleet->devices[n];
    uint8_t random[RECORD_UUID_LEN];

    for (size_t i = 0; i < sizeof random; i++)
        random[i] = (uint8_t)fleet_random(fleet, 256);
    *device = (struct fleet_device){.id = record_uuid_v4(random), .old_app = n % 8 == 0};
    device->region.bytes[0] = 0xa0;
    device->region.bytes[1] = (uint8_t)(n / FLEET_PER_REGION);
    device->facility = device->region;
    device->facility.bytes[0] = 0xb0;
    if (n % FLEET_PER_REGION == 0 &&
        !server_half_add_facility(fleet->server, &device->region, &device->facility))
        return fleet_wrong(fleet, "no facility");
    struct device_half *half = open_device(fleet, device, true);
    bool good = half != NULL && enrol(fleet, device) &&
                device_half_enrol(half, &device->id, &device->facility, PUSH_BATCH);
    device_half_close(half);
    return good;
}

bool fleet_init(struct fleet *fleet, size_t count, uint64_t seed)
{
    *fleet = (struct fleet){.luck = seed,
                            .count = count,
                            .now_ms = INT64_C(1700000000000),
                            .folder = "/tmp/outpost-fleet-XXXXXX"};
    fleet->devices = calloc(count, sizeof *fleet->devices);
    make_old_schema();
    if (!unsynced_vfs_install() || fleet->devices == NULL || mkdtemp(fleet->folder) == NULL ||
        !open_server(fleet))
        return fleet_wrong(fleet, "no folder, or no memory");
    for (size_t i = 0; i < count; i++)
        if (!add_device(fleet, i))
            return false;
    return true;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info;
    (void)kind;
    (void)walk;
    return remove(path);
}

void fleet_deinit(struct fleet *fleet)
{
    server_half_close(fleet->server);
    free(fleet->devices);
    nftw(fleet->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- SQL ---------------------------------------------------------------------------- */

bool fleet_app(struct fleet *fleet, const struct fleet_device *device, const char *sql)
{
    char path[PATH_LEN];
    sqlite3 *db = NULL;

    path_of(fleet, device, path);
    bool good = sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    if (!good)
        fleet_wrong(fleet, "%s: %s: %s", path, sql, sqlite3_errmsg(db));
    sqlite3_close(db);
    return good;
}

static int64_t ask(struct fleet *fleet, const char *path, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db = NULL;
    int64_t number = -1;

    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    else
        fleet_wrong(fleet, "%s: %s: %s", path, sql, sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

int64_t fleet_ask(struct fleet *fleet, const struct fleet_device *device, const char *sql)
{
    char path[PATH_LEN];

    path_of(fleet, device, path);
    return ask(fleet, path, sql);
}

int64_t fleet_ask_server(struct fleet *fleet, const char *sql)
{
    char path[PATH_LEN];

    snprintf(path, sizeof path, "%s/server.db", fleet->folder);
    return ask(fleet, path, sql);
}

/* ---- Syncs ---------------------------------------------------------------------------- */

/* What the server has to say; false: the link is gone, or the device is through. */
static bool hear(struct fleet *fleet, struct device_half *half, unsigned *left, bool *cut)
{
    struct rpc_bytes message;

    while (server_half_take(fleet->server, &message)) {
        if (*left > 0 && --*left == 0) {
            *cut = true;
            return false;
        }
        if (!device_half_receive(half, message))
            return false;
    }
    return true;
}

static void converse(struct fleet *fleet, struct device_half *half, unsigned messages, bool *cut)
{
    struct rpc_bytes message;

    for (;;) {
        switch (device_half_next(half, &message)) {
        case DEVICE_HALF_SEND:
            server_half_message(fleet->server, message);
            break;
        case DEVICE_HALF_HALF_CLOSE:
            server_half_half_close(fleet->server);
            hear(fleet, half, &messages, cut);
            return;
        case DEVICE_HALF_WAIT:
        case DEVICE_HALF_FAILED:
            return;
        }
        if (!hear(fleet, half, &messages, cut))
            return;
    }
}

bool fleet_sync(struct fleet *fleet, struct fleet_device *device, unsigned messages)
{
    struct device_half *half = open_device(fleet, device, false);
    bool cut = false, good;

    if (half == NULL)
        return false;
    fleet->calling = device;
    fleet->now_ms += 1000;
    server_half_begin(fleet->server, &device->id);
    if (device_half_begin(half, fleet->now_ms, 0))
        converse(fleet, half, messages, &cut);
    server_half_end(fleet->server);
    good = device_half_end(half);
    if (!good && !cut)
        fleet_wrong(fleet, "device %zu: %s", (size_t)(device - fleet->devices),
                    device_half_error(half));
    device_half_close(half);
    return good;
}

/* ---- The administrator ------------------------------------------------------------------- */

enum rollout_outcome fleet_change(struct fleet *fleet, const struct rollout_change *change,
                                  struct rollout *rollout_out)
{
    struct store_rollout_change request = {
        .request = {.kind = STORE_ROLLOUT_CHANGE}, .change = *change, .now_ms = fleet->now_ms};
    struct rpc_status status = store_run(server_half_store(fleet->server), &request.request);

    if (!rpc_ok(&status))
        fleet_wrong(fleet, "rollout: %s", status.message);
    *rollout_out = request.rollout;
    for (size_t i = 0; request.outcome == ROLLOUT_CHANGED && i < fleet->count; i++)
        fleet->devices[i].syncs = (struct rollout_syncs){0};
    return request.outcome;
}

bool fleet_rollouts(struct fleet *fleet, struct rollouts *rollouts_out)
{
    struct store_rollout_list list = {.request = {.kind = STORE_ROLLOUT_LIST}};
    struct rpc_status status = store_run(server_half_store(fleet->server), &list.request);

    *rollouts_out = list.rollouts;
    return rpc_ok(&status) || fleet_wrong(fleet, "rollouts: %s", status.message);
}
