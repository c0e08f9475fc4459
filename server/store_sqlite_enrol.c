/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's enrolment codes, and how one becomes a device.
 */
#include "store_sqlite.h"

#include <openssl/crypto.h>

int sqlite_code_add(struct sqlite_conn *conn, const struct scope_roles *roles,
                    struct store_code_add *add)
{
    struct record_uuid region;
    int code =
        sqlite_region_of_facility(conn, roles, &add->facility_id, &region, &add->facility_closed);

    add->facility_known = code == SQLITE_OK;
    add->regions_known = true;
    if (code == SQLITE_NOTFOUND || add->facility_closed)
        return SQLITE_OK;
    for (size_t i = 0; i < add->region_count && code == SQLITE_OK && add->regions_known; i++)
        code = sqlite_region_known(conn, roles, &add->regions[i], &add->regions_known);
    if (code != SQLITE_OK || !add->regions_known)
        return code;
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "INSERT OR REPLACE INTO enrolment(selector, secret_hash, facility_id, admin,"
              " expires_at_ms, tries_left, region_ids) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)");
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_bytes(statement, 7, add->regions, add->region_count * sizeof add->regions[0]);
    sqlite3_bind_text(statement, 1, add->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    sqlite_bind_bytes(statement, 2, add->secret_hash, STORE_CODE_HASH_LEN);
    sqlite_bind_uuid(statement, 3, &add->facility_id);
    sqlite3_bind_int(statement, 4, add->admin);
    sqlite3_bind_int64(statement, 5, add->expires_at_ms);
    sqlite3_bind_int(statement, 6, STORE_CODE_TRIES);
    return sqlite_conn_run(statement);
}

/* The regions that the code carries: ids of 16 bytes, one behind the other. */
static void take_regions(struct rpc_bytes ids, struct scope_rights *rights)
{
    struct record_uuid id;
    size_t at = 0;

    while (at + RECORD_UUID_LEN <= ids.len &&
           record_uuid_from_bytes(rpc_bytes_view(ids.data + at, RECORD_UUID_LEN), &id) &&
           scope_rights_set(rights, &id, true))
        at += RECORD_UUID_LEN;
}

/* The enrolment region needs no right beside it. */
static void drop_home(struct scope_rights *rights, const struct record_uuid *home)
{
    for (size_t i = 0; i < rights->count; i++)
        if (record_uuid_compare(&rights->rights[i].region, home) == 0)
            rights->rights[i--] = rights->rights[--rights->count];
}

static int read_code(struct sqlite_conn *conn, struct store_enrol *enrol)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT secret_hash, facility_id, admin, expires_at_ms, tries_left, length(used_by),"
              " region_ids FROM enrolment WHERE selector = ?1");
    struct store_device *device = &enrol->device;
    uint8_t hash[STORE_CODE_HASH_LEN];

    enrol->verdict = STORE_CODE_WRONG;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite3_bind_text(statement, 1, enrol->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        sqlite_column_copy(statement, 0, hash, sizeof hash);
        device->facility_id = sqlite_column_uuid(statement, 1);
        device->admin = sqlite3_column_int(statement, 2) != 0;
        take_regions(sqlite_column_view(statement, 6), &device->standing.rights);
        /* Dead before wrong: after the last try the right secret is no help. */
        if (sqlite3_column_int(statement, 4) <= 0)
            enrol->verdict = STORE_CODE_DEAD;
        else if (CRYPTO_memcmp(hash, enrol->secret_hash, sizeof hash) != 0)
            enrol->verdict = STORE_CODE_WRONG;
        else if (sqlite3_column_int(statement, 5) > 0)
            enrol->verdict = STORE_CODE_USED;
        else if (sqlite3_column_int64(statement, 3) < device->enrolled_at_ms)
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
        return sqlite_conn_failure(conn);
    sqlite3_bind_text(statement, 1, enrol->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    return sqlite_conn_run(statement);
}

static int use_code(struct sqlite_conn *conn, const struct store_enrol *enrol)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "UPDATE enrolment SET used_by = ?2 WHERE selector = ?1");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite3_bind_text(statement, 1, enrol->selector, STORE_CODE_SELECTOR_LEN, SQLITE_STATIC);
    sqlite_bind_uuid(statement, 2, &enrol->device.device_id);
    int code = sqlite_conn_run(statement);
    return code == SQLITE_OK ? sqlite_write_device(conn, &enrol->device) : code;
}

int sqlite_enrol(struct sqlite_conn *conn, const struct scope_roles *roles,
                 struct store_enrol *enrol)
{
    struct store_device *device = &enrol->device;
    int code = read_code(conn, enrol);

    if (code != SQLITE_OK)
        return code;
    if (enrol->verdict == STORE_CODE_WRONG)
        return count_wrong_secret(conn, enrol);
    if (enrol->verdict != STORE_CODE_GOOD)
        return SQLITE_OK;
    bool closed = false;
    code = sqlite_region_of_facility(conn, roles, &device->facility_id, &device->enrolment_region,
                                     &closed);
    drop_home(&device->standing.rights, &device->enrolment_region);
    if (closed)
        enrol->verdict = STORE_CODE_FACILITY_CLOSED;
    return code == SQLITE_OK && !closed ? use_code(conn, enrol) : code;
}
