/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's devices, enrolment codes and tokens.
 */
#include "store_sqlite.h"

#include <openssl/crypto.h>
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
        return sqlite3_errcode(conn->db);
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

/* ---- Caught up ----------------------------------------------------------- */

/* R23: the new token becomes the present one; what the device presented stays
 * good as the previous one, since this answer may be lost on its way. */
static int write_token(struct sqlite_conn *conn, const struct store_caught_up *caught_up)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "UPDATE device SET token = ?2, token_previous = ?3, last_sync_at_ms = ?4"
              " WHERE device_id = ?1");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(statement, 1, &caught_up->device_id);
    sqlite_bind_bytes(statement, 2, caught_up->next_token, STORE_TOKEN_LEN);
    sqlite_bind_bytes(statement, 3, caught_up->presented_token, STORE_TOKEN_LEN);
    sqlite3_bind_int64(statement, 4, caught_up->now_ms);
    return sqlite_conn_run(statement);
}

int sqlite_caught_up(struct sqlite_conn *conn, struct store_caught_up *caught_up)
{
    bool behind = false;
    int code = sqlite_device_revoked(conn, &caught_up->device_id, &caught_up->revoked);

    if (caught_up->revoked)
        return code;
    for (size_t i = 0; i < caught_up->region_count && code == SQLITE_OK; i++) {
        code = sqlite_read_head(conn, &caught_up->regions[i], &caught_up->heads[i]);
        caught_up->behind[i] = caught_up->heads[i].last.seq > caught_up->places[i].seq;
        behind = behind || caught_up->behind[i];
    }
    if (code == SQLITE_OK && !behind && caught_up->renew_token)
        code = write_token(conn, caught_up);
    return code;
}

/* ---- Enrolment ----------------------------------------------------------- */

int sqlite_code_add(struct sqlite_conn *conn, const struct scope_roles *roles,
                    struct store_code_add *add)
{
    struct record_uuid region;
    int code =
        sqlite_region_of_facility(conn, roles, &add->facility_id, &region, &add->facility_closed);

    add->facility_known = code == SQLITE_OK;
    if (code == SQLITE_NOTFOUND || add->facility_closed)
        return SQLITE_OK;
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT OR REPLACE INTO enrolment(selector, secret_hash, facility_id, admin,"
              " expires_at_ms, tries_left) VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite3_bind_text(statement, 1, add->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    sqlite_bind_bytes(statement, 2, add->secret_hash, STORE_CODE_HASH_LEN);
    sqlite_bind_uuid(statement, 3, &add->facility_id);
    sqlite3_bind_int(statement, 4, add->admin);
    sqlite3_bind_int64(statement, 5, add->expires_at_ms);
    sqlite3_bind_int(statement, 6, STORE_CODE_TRIES);
    return sqlite_conn_run(statement);
}

static int read_code(struct sqlite_conn *conn, struct store_enrol *enrol)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT secret_hash, facility_id, admin, expires_at_ms, tries_left, length(used_by)"
              " FROM enrolment WHERE selector = ?1");
    uint8_t hash[STORE_CODE_HASH_LEN];

    enrol->verdict = STORE_CODE_WRONG;
    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite3_bind_text(statement, 1, enrol->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        sqlite_column_copy(statement, 0, hash, sizeof hash);
        enrol->facility_id = sqlite_column_uuid(statement, 1);
        enrol->admin = sqlite3_column_int(statement, 2) != 0;
        /* Dead before wrong: after the last try the right secret is no help. */
        if (sqlite3_column_int(statement, 4) <= 0)
            enrol->verdict = STORE_CODE_DEAD;
        else if (CRYPTO_memcmp(hash, enrol->secret_hash, sizeof hash) != 0)
            enrol->verdict = STORE_CODE_WRONG;
        else if (sqlite3_column_int(statement, 5) > 0)
            enrol->verdict = STORE_CODE_USED;
        else if (sqlite3_column_int64(statement, 3) < enrol->now_ms)
            enrol->verdict = STORE_CODE_EXPIRED;
        else
            enrol->verdict = STORE_CODE_GOOD;
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int count_wrong_secret(struct sqlite_conn *conn, const struct store_enrol *enrol)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "UPDATE enrolment SET tries_left = tries_left - 1 WHERE selector = ?1");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite3_bind_text(statement, 1, enrol->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    return sqlite_conn_run(statement);
}

static int use_code(struct sqlite_conn *conn, const struct store_enrol *enrol)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "UPDATE enrolment SET used_by = ?2 WHERE selector = ?1");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite3_bind_text(statement, 1, enrol->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    sqlite_bind_uuid(statement, 2, &enrol->device_id);
    int code = sqlite_conn_run(statement);
    if (code != SQLITE_OK)
        return code;

    statement = sqlite_conn_statement(
        conn, "INSERT INTO device(device_id, enrolment_region_id, facility_id, admin,"
              " enrolled_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)");
    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(statement, 1, &enrol->device_id);
    sqlite_bind_uuid(statement, 2, &enrol->region_id);
    sqlite_bind_uuid(statement, 3, &enrol->facility_id);
    sqlite3_bind_int(statement, 4, enrol->admin);
    sqlite3_bind_int64(statement, 5, enrol->now_ms);
    return sqlite_conn_run(statement);
}

int sqlite_enrol(struct sqlite_conn *conn, const struct scope_roles *roles,
                 struct store_enrol *enrol)
{
    int code = read_code(conn, enrol);

    if (code != SQLITE_OK)
        return code;
    if (enrol->verdict == STORE_CODE_WRONG)
        return count_wrong_secret(conn, enrol);
    if (enrol->verdict != STORE_CODE_GOOD)
        return SQLITE_OK;
    bool closed = false;
    code = sqlite_region_of_facility(conn, roles, &enrol->facility_id, &enrol->region_id, &closed);
    if (closed)
        enrol->verdict = STORE_CODE_FACILITY_CLOSED;
    return code == SQLITE_OK && !closed ? use_code(conn, enrol) : code;
}

/* ---- Devices ------------------------------------------------------------- */

int sqlite_device_revoked(struct sqlite_conn *conn, const struct record_uuid *device_id,
                          bool *revoked_out)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "SELECT 1 FROM device WHERE device_id = ?1 AND state <> ?2");

    *revoked_out = false;
    if (record_uuid_is_zero(device_id))
        return SQLITE_OK;
    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(statement, 1, device_id);
    sqlite3_bind_int(statement, 2, STORE_DEVICE_ACTIVE);
    int code = sqlite3_step(statement);
    *revoked_out = code == SQLITE_ROW;
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int sqlite_read_revoked(struct sqlite_conn *conn, struct store_revoked *revoked)
{
    int code = SQLITE_OK;

    for (size_t i = 0; i < revoked->device_count && code == SQLITE_OK; i++)
        code = sqlite_device_revoked(conn, &revoked->devices[i], &revoked->revoked[i]);
    return code;
}

int sqlite_read_author(struct sqlite_conn *conn, const struct scope_roles *roles,
                       const struct record_uuid *device_id, struct scope_device *author_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT enrolment_region_id, facility_id, admin FROM device WHERE device_id = ?1");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(statement, 1, device_id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        *author_out = (struct scope_device){
            .device_id = *device_id,
            .enrolment_region = sqlite_column_uuid(statement, 0),
            .facility = sqlite_column_uuid(statement, 1),
            .admin = sqlite3_column_int(statement, 2) != 0,
        };
    sqlite3_reset(statement);
    if (code == SQLITE_DONE)
        return SQLITE_NOTFOUND;
    if (code != SQLITE_ROW)
        return code;
    code = sqlite_region_of_facility(conn, roles, &author_out->facility, &author_out->region, NULL);
    return code == SQLITE_NOTFOUND ? SQLITE_OK : code; /* it may still write in its enrolment's */
}

int sqlite_device_list(struct sqlite_conn *conn, struct store_device_list *list)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT device_id, enrolment_region_id, facility_id, state, admin, enrolled_at_ms,"
              " last_sync_at_ms FROM device ORDER BY device_id");
    int code;

    list->devices = NULL;
    list->device_count = 0;
    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_device *grown =
            realloc(list->devices, (list->device_count + 1) * sizeof *list->devices);
        if (grown == NULL) {
            sqlite3_reset(statement);
            return SQLITE_NOMEM;
        }
        list->devices = grown;
        list->devices[list->device_count++] = (struct store_device){
            .device_id = sqlite_column_uuid(statement, 0),
            .enrolment_region = sqlite_column_uuid(statement, 1),
            .facility_id = sqlite_column_uuid(statement, 2),
            .state = (enum store_device_state)sqlite3_column_int(statement, 3),
            .admin = sqlite3_column_int(statement, 4) != 0,
            .enrolled_at_ms = sqlite3_column_int64(statement, 5),
            .last_sync_at_ms = sqlite3_column_int64(statement, 6),
            .settings = list->defaults,
        };
    }
    sqlite3_reset(statement);
    if (code == SQLITE_DONE)
        code = SQLITE_OK;
    for (size_t i = 0; i < list->device_count && code == SQLITE_OK; i++)
        code = sqlite_read_settings(conn, &list->devices[i].enrolment_region,
                                    &list->devices[i].device_id, &list->devices[i].settings);
    return code;
}

int sqlite_device_add(struct sqlite_conn *conn, const struct store_device_add *add)
{
    sqlite3_stmt *insert = sqlite_conn_statement(
        conn, "INSERT OR IGNORE INTO device(device_id, enrolment_region_id, facility_id, admin,"
              " enrolled_at_ms) VALUES (?1, ?2, ?3, ?4, ?5)");
    sqlite3_stmt *use = sqlite_conn_statement(
        conn, "UPDATE enrolment SET used_by = ?2 WHERE selector = ?1 AND used_by = x''");

    if (insert == NULL || use == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(insert, 1, &add->device.device_id);
    sqlite_bind_uuid(insert, 2, &add->device.enrolment_region);
    sqlite_bind_uuid(insert, 3, &add->device.facility_id);
    sqlite3_bind_int(insert, 4, add->device.admin);
    sqlite3_bind_int64(insert, 5, add->device.enrolled_at_ms);
    int code = sqlite_conn_run(insert);
    if (code != SQLITE_OK)
        return code;
    sqlite3_bind_text(use, 1, add->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    sqlite_bind_uuid(use, 2, &add->device.device_id);
    return sqlite_conn_run(use);
}

int sqlite_device_set(struct sqlite_conn *conn, struct store_device_set *set)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "UPDATE device SET state = ?2 WHERE device_id = ?1");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(statement, 1, &set->device_id);
    sqlite3_bind_int(statement, 2, set->state);
    int code = sqlite_conn_run(statement);
    set->found = code == SQLITE_OK && sqlite3_changes(conn->db) > 0;
    return code;
}

/* ---- Settings ------------------------------------------------------------ */

int sqlite_read_settings(struct sqlite_conn *conn, const struct record_uuid *enrolment_region,
                         const struct record_uuid *device_id, struct settings *settings)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT name, value FROM setting WHERE (level, id) IN"
              " (VALUES (?1, zeroblob(16)), (?2, ?3), (?4, ?5)) ORDER BY level");
    int code;

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite3_bind_int(statement, 1, STORE_SETTING_ALL);
    sqlite3_bind_int(statement, 2, STORE_SETTING_REGION);
    sqlite_bind_uuid(statement, 3, enrolment_region);
    sqlite3_bind_int(statement, 4, STORE_SETTING_DEVICE);
    sqlite_bind_uuid(statement, 5, device_id);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct rpc_bytes name = sqlite_column_view(statement, 0);
        uint64_t value = sqlite_column_u64(statement, 1);
        const struct setting *setting = setting_by_name((const char *)name.data, name.len);
        /* What a newer outpostd has set and this one does not know is left alone. */
        if (setting != NULL && value >= setting->min && value <= setting->max)
            setting_put(settings, setting, (uint32_t)value);
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_target_known(struct sqlite_conn *conn, const struct scope_roles *roles,
                             struct store_setting_set *set)
{
    sqlite3_stmt *statement =
        set->level == STORE_SETTING_DEVICE
            ? sqlite_conn_statement(conn, "SELECT 1 FROM device WHERE device_id = ?1")
            : sqlite_conn_statement(
                  conn, "SELECT 1 FROM record WHERE region_id = zeroblob(16)"
                        " AND family_id = zeroblob(16) AND type = ?2 AND id = ?1 AND deleted = 0");

    set->found = set->level == STORE_SETTING_ALL;
    if (set->found)
        return SQLITE_OK;
    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(statement, 1, &set->id);
    if (set->level == STORE_SETTING_REGION)
        sqlite3_bind_int64(statement, 2, roles->region->number);
    int code = sqlite3_step(statement);
    set->found = code == SQLITE_ROW;
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int write_setting(struct sqlite_conn *conn, const struct store_setting_set *set,
                         const struct store_setting_change *change)
{
    sqlite3_stmt *statement =
        change->removed
            ? sqlite_conn_statement(conn, "DELETE FROM setting WHERE level = ?1 AND id = ?2"
                                          " AND name = ?3")
            : sqlite_conn_statement(conn, "INSERT OR REPLACE INTO setting(level, id, name, value)"
                                          " VALUES (?1, ?2, ?3, ?4)");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite3_bind_int(statement, 1, set->level);
    sqlite_bind_uuid(statement, 2, &set->id);
    sqlite3_bind_text(statement, 3, change->setting->name, -1, SQLITE_STATIC);
    if (!change->removed)
        sqlite3_bind_int64(statement, 4, change->value);
    return sqlite_conn_run(statement);
}

int sqlite_setting_set(struct sqlite_conn *conn, const struct scope_roles *roles,
                       struct store_setting_set *set)
{
    int code = read_target_known(conn, roles, set);

    for (size_t i = 0; set->found && i < set->change_count && code == SQLITE_OK; i++)
        code = write_setting(conn, set, &set->changes[i]);
    return code;
}
