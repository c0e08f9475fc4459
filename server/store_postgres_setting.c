/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's settings: of all devices, of a region's, of one.
 */
#include "store_postgres.h"

enum postgres_code postgres_read_settings(struct postgres_conn *conn,
                                          const struct record_uuid *enrolment_region,
                                          const struct record_uuid *device_id,
                                          struct settings *settings)
{
    const PGresult *result;

    postgres_query(conn, "SELECT name, value FROM setting WHERE (level, id) IN"
                         " (VALUES ($1::integer, $2::uuid), ($3, $4), ($5, $6)) ORDER BY level");
    postgres_put_int(conn, STORE_SETTING_ALL);
    postgres_put_uuid(conn, &scope_global_region);
    postgres_put_int(conn, STORE_SETTING_REGION);
    postgres_put_uuid(conn, enrolment_region);
    postgres_put_int(conn, STORE_SETTING_DEVICE);
    postgres_put_uuid(conn, device_id);
    enum postgres_code code = postgres_ask(conn, &result);
    if (code != POSTGRES_OK)
        return code;
    for (size_t row = 0; row < postgres_row_count(result); row++) {
        struct rpc_bytes name = postgres_bytes(result, row, 0);
        uint64_t value = postgres_u64(result, row, 1);
        const struct setting *setting = setting_by_name((const char *)name.data, name.len);
        /* What a newer outpostd has set and this one does not know is left alone. */
        if (setting != NULL && value >= setting->min && value <= setting->max)
            setting_put(settings, setting, (uint32_t)value);
    }
    return POSTGRES_OK;
}

static enum postgres_code read_target_known(struct postgres_conn *conn,
                                            const struct scope_roles *roles,
                                            struct store_setting_set *set)
{
    struct store_device device;

    switch (set->level) {
    case STORE_SETTING_REGION:
        return postgres_region_known(conn, roles, &set->id, &set->found);
    case STORE_SETTING_DEVICE:
        return postgres_read_device(conn, &set->id, &device, &set->found);
    case STORE_SETTING_ALL:
        break;
    }
    set->found = true;
    return POSTGRES_OK;
}

static void send_setting(struct postgres_conn *conn, const struct store_setting_set *set,
                         const struct store_setting_change *wanted)
{
    postgres_query(conn, wanted->removed
                             ? "DELETE FROM setting WHERE level = $1 AND id = $2 AND name = $3"
                             : "INSERT INTO setting(level, id, name, value) VALUES ($1, $2, $3, $4)"
                               " ON CONFLICT (level, id, name) DO UPDATE SET"
                               " value = excluded.value");
    postgres_put_int(conn, set->level);
    postgres_put_uuid(conn, &set->id);
    postgres_put_text(conn, wanted->setting->name, strlen(wanted->setting->name));
    if (!wanted->removed)
        postgres_put_u64(conn, wanted->value);
    postgres_end_query(conn);
}

enum postgres_code postgres_setting_set(struct postgres_conn *conn, const struct scope_roles *roles,
                                        struct store_setting_set *set)
{
    enum postgres_code code = read_target_known(conn, roles, set);

    if (code != POSTGRES_OK || !set->found || set->change_count == 0)
        return code;
    for (size_t i = 0; i < set->change_count; i++)
        send_setting(conn, set, &set->changes[i]);
    return postgres_exchange(conn);
}
