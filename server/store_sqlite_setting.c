/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's settings: of all devices, of a region's, of one.
 */
#include "store_sqlite.h"

int sqlite_read_settings(struct sqlite_conn *conn, const struct record_uuid *enrolment_region,
                         const struct record_uuid *device_id, struct settings *settings)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT name, value FROM setting WHERE (level, id) IN"
              " (VALUES (?1, zeroblob(16)), (?2, ?3), (?4, ?5)) ORDER BY level");
    int code;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
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
    struct store_device device;

    switch (set->level) {
    case STORE_SETTING_REGION:
        return sqlite_region_known(conn, roles, &set->id, &set->found);
    case STORE_SETTING_DEVICE:
        return sqlite_read_device(conn, &set->id, &device, &set->found);
    case STORE_SETTING_ALL:
        break;
    }
    set->found = true;
    return SQLITE_OK;
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
        return sqlite_conn_failure(conn);
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
