/* SPDX-License-Identifier: Apache-2.0
 *
 * What is here: counts for people and scripts; see outpost_get_status.
 */
#include "device.h"

#include "schema.h"
#include "wipe.h"

static bool read_count(struct store *store, const char *sql, uint64_t *count_out)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
        return store_fail_sqlite(store, "counting");
    if (sqlite3_step(statement) == SQLITE_ROW)
        *count_out = (uint64_t)sqlite3_column_int64(statement, 0);
    else
        store_fail_sqlite(store, "counting");
    sqlite3_finalize(statement);
    return store_ok(store);
}

static bool read_regions(struct store *store, struct outpost_device_status *status)
{
    sqlite3_stmt *statement = store_statement(store, STORE_REGION_ALL);
    enum store_step step = STORE_FAILED;

    while (status->region_count < OUTPOST_REGIONS_MAX &&
           (step = store_step(store, statement)) == STORE_ROW) {
        struct outpost_region *region = &status->regions[status->region_count++];
        struct record_uuid id = store_column_uuid(statement, 0);
        enum store_class class = record_uuid_is_zero(&id) ? CLASS_GLOBAL : CLASS_FAMILY;
        memcpy(region->region_id, id.bytes, OUTPOST_ID_LEN);
        region->seq = (uint64_t)sqlite3_column_int64(statement, 1);
        region->records = store->sums[class].records;
        region->digest = store->sums[class].digest;
    }
    sqlite3_reset(statement);
    return store_ok(store);
}

static bool read_types(struct store *store, struct outpost_device_status *status)
{
    for (size_t i = 0; i < store->schema->type_count && i < OUTPOST_TYPES_MAX; i++) {
        sqlite3_stmt *statement = schema_statement(store, &store->tables[i], TABLE_COUNT);
        if (store_step(store, statement) != STORE_ROW)
            return false;
        status->types[i].table = store->schema->types[i].table;
        status->types[i].rows = (uint64_t)sqlite3_column_int64(statement, 0);
        sqlite3_reset(statement);
        status->type_count = i + 1;
    }
    return true;
}

static bool read_state(struct store *store, struct outpost_device_status *status)
{
    struct device_state state;
    bool good;

    device_state_init(&state);
    good = device_state_load(store, &state);
    status->enrolled = state.enrolled;
    memcpy(status->device_id, state.device_id.bytes, OUTPOST_ID_LEN);
    memcpy(status->facility_id, state.facility_id.bytes, OUTPOST_ID_LEN);
    device_state_deinit(&state);
    return good;
}

static bool read_revisions(struct store *store, struct outpost_device_status *status)
{
    sqlite3_stmt *statement = store_statement(store, STORE_STATE_REVISIONS_GET);

    if (store_step(store, statement) == STORE_ROW) {
        status->minimum_revision = (uint32_t)sqlite3_column_int64(statement, 0);
        status->recommended_revision = (uint32_t)sqlite3_column_int64(statement, 1);
    }
    sqlite3_reset(statement);
    return store_ok(store);
}

static bool read_wipe(struct store *store, struct outpost_device_status *status)
{
    struct wipe wipe;

    if (!wipe_load(store, &wipe))
        return false;
    status->wiping = wipe.ordered && !wipe.done;
    status->wiped = wipe.ordered && wipe.done;
    status->wipe_ordered_at_ms = wipe.ordered_at_ms;
    memcpy(status->device_id, wipe.device_id.bytes, OUTPOST_ID_LEN);
    return true;
}

struct outpost_status outpost_get_status(outpost *device, struct outpost_device_status *status_out)
{
    struct store *store = &device->store;
    struct outpost_device_status status = {.schema_revision = store->schema->revision};
    uint64_t pending = 0;

    if (!read_wipe(store, &status) || status.wiping || status.wiped) {
        *status_out = status;
        return device_status(device);
    }
    /* One read transaction, so that the counts belong together. */
    if (store_begin_read(store) && read_state(store, &status) && read_regions(store, &status) &&
        read_revisions(store, &status) && read_types(store, &status) &&
        read_count(store, "SELECT count(*) FROM outpost_pending", &pending) &&
        read_count(store, "SELECT count(*) FROM outpost_rejected", &status.rejected)) {
        status.pending = pending - (status.rejected < pending ? status.rejected : pending);
        *status_out = status;
    }
    store_end_read(store);
    return device_status(device);
}
