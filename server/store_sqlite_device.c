/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's devices: their standing, their tokens, where they are.
 */
#include "store_sqlite.h"

#include <stdio.h>
#include <stdlib.h>

int sqlite_region_of_facility(struct sqlite_conn *conn, const struct scope_roles *roles,
                              const struct record_uuid *facility, struct record_uuid *region_out,
                              bool *closed_out)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "SELECT body FROM record WHERE region_id = zeroblob(16)"
                                    " AND family_id = zeroblob(16) AND type = ?1 AND id = ?2");
    struct record_body body;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite3_bind_int64(statement, 1, roles->facility->number);
    sqlite_bind_uuid(statement, 2, facility);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        code = record_body_parse(sqlite_column_view(statement, 0), &body) &&
                       scope_region_of_facility(roles, &body, region_out)
                   ? SQLITE_OK
                   : SQLITE_NOTFOUND;
    if (code == SQLITE_OK && closed_out != NULL)
        *closed_out = scope_facility_is_closed(roles, &body);
    if (code == SQLITE_DONE)
        code = SQLITE_NOTFOUND;
    sqlite3_reset(statement);
    return code;
}

int sqlite_region_known(struct sqlite_conn *conn, const struct scope_roles *roles,
                        const struct record_uuid *region, bool *known_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT 1 FROM record WHERE region_id = zeroblob(16) AND family_id = zeroblob(16)"
              " AND type = ?1 AND id = ?2 AND deleted = 0");

    *known_out = false;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite3_bind_int64(statement, 1, roles->region->number);
    sqlite_bind_uuid(statement, 2, region);
    int code = sqlite3_step(statement);
    *known_out = code == SQLITE_ROW;
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- Caught up ----------------------------------------------------------- */

/* R23: the new token becomes the present one; what the device presented stays
 * good as the previous one, since this answer may be lost on its way. */
static int write_token(struct sqlite_conn *conn, const struct store_caught_up *caught_up)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "UPDATE device SET token = ?2, token_previous = ?3, last_sync_at_ms = ?4,"
              " last_seen_at_ms = ?4, schema_revision = ?5, app_version = ?6, syncs = syncs + 1,"
              " rejected_syncs = rejected_syncs + ?7 WHERE device_id = ?1");
    const struct store_sync *sync = &caught_up->sync;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &caught_up->caller.device_id);
    sqlite_bind_bytes(statement, 2, caught_up->next_token, TOKEN_LEN);
    sqlite_bind_bytes(statement, 3, caught_up->presented_token, TOKEN_LEN);
    sqlite3_bind_int64(statement, 4, caught_up->now_ms);
    sqlite3_bind_int64(statement, 5, sync->schema_revision);
    sqlite3_bind_text(statement, 6, sync->app_version, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 7, sync->rejected);
    return sqlite_conn_run(statement);
}

int sqlite_caught_up(struct sqlite_conn *conn, struct store_caught_up *caught_up)
{
    bool behind = false;
    int code = sqlite_read_refusal(conn, &caught_up->caller, &caught_up->refusal);

    if (caught_up->refusal.why != STANDING_ADMITTED)
        return code;
    for (size_t i = 0; i < caught_up->region_count && code == SQLITE_OK; i++) {
        code = sqlite_read_head_without(conn, &caught_up->regions[i], caught_up->withheld,
                                        caught_up->withheld_count, &caught_up->heads[i]);
        caught_up->behind[i] = caught_up->heads[i].last.seq > caught_up->places[i].seq;
        behind = behind || caught_up->behind[i];
    }
    if (code == SQLITE_OK && !behind && caught_up->renew_token)
        code = write_token(conn, caught_up);
    return code;
}

/* ---- Devices ------------------------------------------------------------- */

#define DEVICE_COLUMNS                                                                  \
    "SELECT device_id, enrolment_region_id, facility_id, admin, enrolled_at_ms, state," \
    " version, wipe_ordered_at_ms, wiped_at_ms, public_key, last_sync_at_ms,"           \
    " copied_from, last_seen_at_ms, schema_revision, app_version, syncs, failed_syncs," \
    " rejected_syncs FROM device"

static void device_from_row(sqlite3_stmt *statement, struct store_device *device)
{
    struct rpc_bytes key = sqlite_column_view(statement, 9);

    *device = (struct store_device){
        .device_id = sqlite_column_uuid(statement, 0),
        .enrolment_region = sqlite_column_uuid(statement, 1),
        .facility_id = sqlite_column_uuid(statement, 2),
        .admin = sqlite3_column_int(statement, 3) != 0,
        .enrolled_at_ms = sqlite3_column_int64(statement, 4),
        .standing =
            {
                .revoked = sqlite3_column_int(statement, 5) != 0,
                .version = sqlite_column_u64(statement, 6),
                .wipe_ordered_at_ms = sqlite3_column_int64(statement, 7),
                .wiped_at_ms = sqlite3_column_int64(statement, 8),
            },
        .last_sync_at_ms = sqlite3_column_int64(statement, 10),
        .copied_from = sqlite_column_uuid(statement, 11),
        .last_seen_at_ms = sqlite3_column_int64(statement, 12),
        .schema_revision = (uint32_t)sqlite3_column_int64(statement, 13),
        .syncs = {.begun = sqlite_column_u64(statement, 15),
                  .failed = sqlite_column_u64(statement, 16),
                  .rejected = sqlite_column_u64(statement, 17)},
    };
    snprintf(device->app_version, sizeof device->app_version, "%s",
             (const char *)sqlite3_column_text(statement, 14));
    if (key.len <= sizeof device->public_key) {
        device->public_key_len = key.len;
        memcpy(device->public_key, key.data != NULL ? key.data : (const uint8_t *)"", key.len);
    }
}

static int read_rights(struct sqlite_conn *conn, const struct record_uuid *device_id,
                       struct scope_rights *rights)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "SELECT region_id, allowed FROM device_region"
                                    " WHERE device_id = ?1 ORDER BY region_id");
    int code;

    rights->count = 0;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, device_id);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct record_uuid region = sqlite_column_uuid(statement, 0);
        if (!scope_rights_set(rights, &region, sqlite3_column_int(statement, 1) != 0))
            break;
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code == SQLITE_ROW ? SQLITE_CORRUPT : code;
}

int sqlite_read_device(struct sqlite_conn *conn, const struct record_uuid *device_id,
                       struct store_device *device_out, bool *found_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(conn, DEVICE_COLUMNS " WHERE device_id = ?1");

    *found_out = false;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, device_id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        device_from_row(statement, device_out);
    sqlite3_reset(statement);
    if (code != SQLITE_ROW)
        return code == SQLITE_DONE ? SQLITE_OK : code;
    *found_out = true;
    return read_rights(conn, device_id, &device_out->standing.rights);
}

struct scope_device sqlite_scope_of(const struct store_device *device)
{
    return (struct scope_device){
        .device_id = device->device_id,
        .enrolment_region = device->enrolment_region,
        .rights = device->standing.rights,
        .facility = device->facility_id,
        .admin = device->admin,
    };
}

int sqlite_read_refusal(struct sqlite_conn *conn, const struct store_caller *caller,
                        struct store_refusal *refusal_out)
{
    struct store_device device;
    bool found;

    *refusal_out = (struct store_refusal){.why = STANDING_ADMITTED};
    if (record_uuid_is_zero(&caller->device_id))
        return SQLITE_OK;
    int code = sqlite_read_device(conn, &caller->device_id, &device, &found);
    if (code != SQLITE_OK || !found)
        return code;
    struct scope_device scope = sqlite_scope_of(&device);
    refusal_out->why = standing_refuses(&device.standing, &scope, &caller->region);
    refusal_out->wipe_ordered_at_ms = device.standing.wipe_ordered_at_ms;
    return SQLITE_OK;
}

int sqlite_read_refused(struct sqlite_conn *conn, struct store_refused *refused)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < refused->caller_count && code == SQLITE_OK; i++)
        code = sqlite_read_refusal(conn, &refused->callers[i], &refused->refusals[i]);
    return code == SQLITE_OK ? sqlite_read_rollouts_version(conn, &refused->rollouts_version)
                             : code;
}

int sqlite_read_author(struct sqlite_conn *conn, const struct scope_roles *roles,
                       const struct record_uuid *device_id, struct scope_device *author_out)
{
    struct store_device device;
    bool found;
    int code = sqlite_read_device(conn, device_id, &device, &found);

    if (code != SQLITE_OK || !found)
        return code == SQLITE_OK ? SQLITE_NOTFOUND : code;
    *author_out = sqlite_scope_of(&device);
    code = sqlite_region_of_facility(conn, roles, &author_out->facility, &author_out->region, NULL);
    return code == SQLITE_NOTFOUND ? SQLITE_OK : code; /* it may still write in its enrolment's */
}

int sqlite_device_list(struct sqlite_conn *conn, struct store_device_list *list)
{
    sqlite3_stmt *statement = sqlite_conn_statement(conn, DEVICE_COLUMNS " ORDER BY device_id");
    int code;

    list->devices = NULL;
    list->device_count = 0;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_device *grown =
            realloc(list->devices, (list->device_count + 1) * sizeof *list->devices);
        if (grown == NULL) {
            sqlite3_reset(statement);
            return SQLITE_NOMEM;
        }
        list->devices = grown;
        device_from_row(statement, &list->devices[list->device_count]);
        list->devices[list->device_count++].settings = list->defaults;
    }
    sqlite3_reset(statement);
    if (code == SQLITE_DONE)
        code = SQLITE_OK;
    for (size_t i = 0; i < list->device_count && code == SQLITE_OK; i++) {
        struct store_device *device = &list->devices[i];
        code = read_rights(conn, &device->device_id, &device->standing.rights);
        if (code == SQLITE_OK)
            code = sqlite_read_settings(conn, &device->enrolment_region, &device->device_id,
                                        &device->settings);
    }
    return code;
}

int sqlite_device_get(struct sqlite_conn *conn, struct store_device_get *get)
{
    return sqlite_read_device(conn, &get->device_id, &get->device, &get->found);
}

/* ---- Writing them ---------------------------------------------------------- */

static int insert_device(struct sqlite_conn *conn, const struct store_device *device)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT OR IGNORE INTO device(device_id, enrolment_region_id, facility_id, admin,"
              " enrolled_at_ms, public_key, copied_from) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    bool copied = !record_uuid_is_zero(&device->copied_from);

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &device->device_id);
    sqlite_bind_uuid(statement, 2, &device->enrolment_region);
    sqlite_bind_uuid(statement, 3, &device->facility_id);
    sqlite3_bind_int(statement, 4, device->admin);
    sqlite3_bind_int64(statement, 5, device->enrolled_at_ms);
    sqlite_bind_bytes(statement, 6, device->public_key, device->public_key_len);
    sqlite_bind_bytes(statement, 7, device->copied_from.bytes, copied ? RECORD_UUID_LEN : 0);
    return sqlite_conn_run(statement);
}

static int write_rights(struct sqlite_conn *conn, const struct store_device *device)
{
    const struct scope_rights *rights = &device->standing.rights;
    sqlite3_stmt *put =
        sqlite_conn_statement(conn, "INSERT OR REPLACE INTO device_region(device_id, region_id,"
                                    " allowed) VALUES (?1, ?2, ?3)");
    int code = SQLITE_OK;

    if (put == NULL)
        return sqlite_conn_failure(conn);
    for (size_t i = 0; i < rights->count && code == SQLITE_OK; i++) {
        sqlite_bind_uuid(put, 1, &device->device_id);
        sqlite_bind_uuid(put, 2, &rights->rights[i].region);
        sqlite3_bind_int(put, 3, rights->rights[i].allowed);
        code = sqlite_conn_run(put);
    }
    return code;
}

static int write_standing(struct sqlite_conn *conn, const struct store_device *device)
{
    const struct standing *standing = &device->standing;
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "UPDATE device SET state = ?2, version = ?3, wipe_ordered_at_ms = ?4,"
              " wiped_at_ms = ?5 WHERE device_id = ?1");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &device->device_id);
    sqlite3_bind_int(statement, 2, standing->revoked);
    sqlite_bind_u64(statement, 3, standing->version);
    sqlite3_bind_int64(statement, 4, standing->wipe_ordered_at_ms);
    sqlite3_bind_int64(statement, 5, standing->wiped_at_ms);
    int code = sqlite_conn_run(statement);
    return code == SQLITE_OK ? write_rights(conn, device) : code;
}

int sqlite_write_device(struct sqlite_conn *conn, const struct store_device *device)
{
    int code = insert_device(conn, device);

    return code == SQLITE_OK ? write_standing(conn, device) : code;
}

int sqlite_device_add(struct sqlite_conn *conn, const struct store_device_add *add)
{
    sqlite3_stmt *use = sqlite_conn_statement(
        conn, "UPDATE enrolment SET used_by = ?2 WHERE selector = ?1 AND used_by = x''");
    struct store_device present;
    bool found;
    int code = sqlite_read_device(conn, &add->device.device_id, &present, &found);

    if (code != SQLITE_OK || use == NULL)
        return code != SQLITE_OK ? code : sqlite_conn_failure(conn);
    if (!found || present.standing.version < add->device.standing.version)
        code = sqlite_write_device(conn, &add->device);
    if (code == SQLITE_OK && !found && !record_uuid_is_zero(&add->device.copied_from))
        code = sqlite_copy_settings(conn, &add->device);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_text(use, 1, add->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    sqlite_bind_uuid(use, 2, &add->device.device_id);
    return sqlite_conn_run(use);
}

int sqlite_device_change(struct sqlite_conn *conn, const struct scope_roles *roles,
                         struct store_device_change *change)
{
    const struct standing_decision *decision = &change->decision;
    struct store_device *device = &change->device;
    int code = sqlite_read_device(conn, &change->device_id, device, &change->found);

    change->region_known = true;
    change->outcome = STANDING_UNCHANGED;
    if (code == SQLITE_OK && decision->change == STANDING_ALLOW)
        code = sqlite_region_known(conn, roles, &decision->region, &change->region_known);
    if (code != SQLITE_OK || !change->found || !change->region_known)
        return code;
    change->outcome = standing_apply(&device->standing, &device->enrolment_region, decision);
    return change->outcome == STANDING_CHANGED ? write_standing(conn, device) : SQLITE_OK;
}
