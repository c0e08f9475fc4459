/* SPDX-License-Identifier: Apache-2.0 */
#include "phone.h"

#include "failing_memory.h"

#include <stdio.h>

void phone_init(struct phone *phone, int index, struct crash_disk *disk)
{
    *phone = (struct phone){.index = index, .disk = disk};
    snprintf(phone->path, sizeof phone->path, "phone%d.db", index);
}

void phone_stop(struct phone *phone)
{
    sqlite3_close(phone->app);
    device_half_close(phone->half);
    phone->app = NULL;
    phone->half = NULL;
}

static bool start(struct phone *phone, bool create)
{
    phone->half = device_half_open_with(phone->path, create, phone->schema, phone->error);
    if (phone->half == NULL)
        return false;
    if (sqlite3_open(phone->path, &phone->app) == SQLITE_OK &&
        phone_sql(phone, "PRAGMA synchronous = FULL") &&
        phone_id(phone, "SELECT device_id FROM outpost_state", &phone->device_id))
        return phone_id(phone, "SELECT enrolment_region_id FROM outpost_state",
                        &phone->enrolment_region);
    snprintf(phone->error, sizeof phone->error, "the app: %.200s", sqlite3_errmsg(phone->app));
    phone_stop(phone);
    return false;
}

bool phone_start(struct phone *phone, bool create)
{
    failing_memory_pause();
    bool started = start(phone, create);
    failing_memory_resume();
    return started;
}

/* See sim_region, sim_facility: two facilities in each region. */
static struct record_uuid region_of(const struct record_uuid *facility)
{
    return (struct record_uuid){{0xa0, (uint8_t)(facility->bytes[1] / 2)}};
}

bool phone_sync_begin(struct phone *phone, struct server_end *server, struct ledger *ledger,
                      int64_t now_ms, const struct link_stop *stop)
{
    struct link_regions regions = {.enrolment = phone->enrolment_region};
    struct record_uuid facility = {{0}};

    phone_id(phone, "SELECT facility_id FROM outpost_state", &facility);
    regions.work = region_of(&facility);
    failing_memory_enter();
    bool begun = device_half_begin(phone->half, now_ms + phone->clock_offset_ms, phone->seal_part);
    failing_memory_leave();
    if (begun)
        phone->link = link_new(phone->half, server, ledger, &phone->device_id, &regions, stop);
    if (phone->link == NULL)
        phone_sync_end(phone);
    return phone->link != NULL;
}

struct link *phone_sync_end(struct phone *phone)
{
    struct link *link = phone->link;

    phone->caught_up = device_half_end(phone->half);
    phone->result = device_half_result(phone->half);
    phone->mismatch = phone->result.digest_mismatch;
    snprintf(phone->error, sizeof phone->error, "%s", device_half_error(phone->half));
    if (link != NULL && link->over && !rpc_ok(&link->ended)) {
        phone->caught_up = false;
        if (link->ended.code != RPC_CANCELLED) /* the device says why it did that */
            snprintf(phone->error, sizeof phone->error, "%s", link->ended.message);
        phone->refused = phone->refused || link->ended.code == RPC_PERMISSION_DENIED;
    }
    phone->link = NULL;
    return link;
}

/* ---- The app -------------------------------------------------------------------------- */

bool phone_sql(struct phone *phone, const char *sql)
{
    failing_memory_enter();
    int code = sqlite3_exec(phone->app, sql, NULL, NULL, NULL);
    failing_memory_leave();
    return code == SQLITE_OK;
}

int64_t phone_number(struct phone *phone, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t number = -1;

    if (sqlite3_prepare_v2(phone->app, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

bool phone_id(struct phone *phone, const char *sql, struct record_uuid *id_out)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;

    if (sqlite3_prepare_v2(phone->app, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW &&
        sqlite3_column_bytes(statement, 0) == RECORD_UUID_LEN) {
        memcpy(id_out->bytes, sqlite3_column_blob(statement, 0), RECORD_UUID_LEN);
        found = true;
    }
    sqlite3_finalize(statement);
    return found;
}

const char *phone_blob(const struct record_uuid *id, char text_out[PHONE_BLOB_LEN])
{
    size_t at = (size_t)snprintf(text_out, PHONE_BLOB_LEN, "x'");

    for (size_t i = 0; i < RECORD_UUID_LEN; i++)
        at += (size_t)snprintf(text_out + at, PHONE_BLOB_LEN - at, "%02x", id->bytes[i]);
    snprintf(text_out + at, PHONE_BLOB_LEN - at, "'");
    return text_out;
}
