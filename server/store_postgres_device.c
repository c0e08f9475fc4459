/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's devices, enrolment codes, tokens and settings.
 */
#include "store_postgres.h"

#include <openssl/crypto.h>
#include <stdlib.h>

/* The exchange with one query, and its result. */
static enum postgres_code ask(struct postgres_conn *conn, const PGresult **result_out)
{
    size_t query = postgres_end_query(conn);
    enum postgres_code code = postgres_exchange(conn);

    if (code == POSTGRES_OK)
        *result_out = postgres_result(conn, query);
    return code;
}

static enum postgres_code change(struct postgres_conn *conn)
{
    postgres_end_query(conn);
    return postgres_exchange(conn);
}

enum postgres_code postgres_region_of_facility(struct postgres_conn *conn,
                                               const struct scope_roles *roles,
                                               const struct record_uuid *facility,
                                               struct record_uuid *region_out, bool *closed_out)
{
    const PGresult *result;
    struct record_body body;

    postgres_query(conn, "SELECT body FROM record WHERE region_id = $1 AND family_id = $1"
                         " AND type = $2 AND id = $3");
    postgres_put_uuid(conn, &scope_global_region);
    postgres_put_int(conn, (int32_t)roles->facility->number);
    postgres_put_uuid(conn, facility);
    enum postgres_code code = ask(conn, &result);
    if (code != POSTGRES_OK)
        return code;
    if (postgres_row_count(result) == 0 ||
        !record_body_parse(postgres_bytes(result, 0, 0), &body) ||
        !scope_region_of_facility(roles, &body, region_out))
        return POSTGRES_ABSENT;
    if (closed_out != NULL)
        *closed_out = scope_facility_is_closed(roles, &body);
    return POSTGRES_OK;
}

/* ---- Caught up ----------------------------------------------------------- */

/* R23: the new token becomes the present one; what the device presented stays
 * good as the previous one, since this answer may be lost on its way. */
static enum postgres_code write_token(struct postgres_conn *conn,
                                      const struct store_caught_up *caught_up)
{
    postgres_query(conn, "UPDATE device SET token = $2, token_previous = $3, last_sync_at_ms = $4"
                         " WHERE device_id = $1");
    postgres_put_uuid(conn, &caught_up->device_id);
    postgres_put_bytes(conn, caught_up->next_token, STORE_TOKEN_LEN);
    postgres_put_bytes(conn, caught_up->presented_token, STORE_TOKEN_LEN);
    postgres_put_u64(conn, (uint64_t)caught_up->now_ms);
    return change(conn);
}

/* Whether the device is refused; one that is not known is not asked for here. */
static enum postgres_code read_one_revoked(struct postgres_conn *conn,
                                           const struct record_uuid *device_id, bool *revoked_out)
{
    struct store_revoked revoked = {
        .device_count = 1, .devices = device_id, .revoked = revoked_out};

    return postgres_read_revoked(conn, &revoked);
}

enum postgres_code postgres_caught_up(struct postgres_conn *conn, struct store_caught_up *caught_up)
{
    struct store_heads heads = {.region_count = caught_up->region_count,
                                .regions = caught_up->regions};
    bool behind = false;
    enum postgres_code code = read_one_revoked(conn, &caught_up->device_id, &caught_up->revoked);

    if (code != POSTGRES_OK || caught_up->revoked)
        return code;
    code = postgres_read_heads(conn, &heads);
    for (size_t i = 0; i < caught_up->region_count && code == POSTGRES_OK; i++) {
        caught_up->heads[i] = heads.heads[i];
        caught_up->behind[i] = heads.heads[i].last.seq > caught_up->places[i].seq;
        behind = behind || caught_up->behind[i];
    }
    store_heads_deinit(&heads);
    if (code == POSTGRES_OK && !behind && caught_up->renew_token)
        code = write_token(conn, caught_up);
    return code;
}

/* ---- Enrolment ----------------------------------------------------------- */

enum postgres_code postgres_code_add(struct postgres_conn *conn, const struct scope_roles *roles,
                                     struct store_code_add *add)
{
    struct record_uuid region;
    enum postgres_code code =
        postgres_region_of_facility(conn, roles, &add->facility_id, &region, &add->facility_closed);

    add->facility_known = code == POSTGRES_OK;
    if (code == POSTGRES_ABSENT || (code == POSTGRES_OK && add->facility_closed))
        return POSTGRES_OK;
    if (code != POSTGRES_OK)
        return code;
    postgres_query(conn, "INSERT INTO enrolment(selector, secret_hash, facility_id, admin,"
                         " expires_at_ms, tries_left) VALUES ($1, $2, $3, $4, $5, $6)"
                         " ON CONFLICT (selector) DO UPDATE SET secret_hash = excluded.secret_hash,"
                         " facility_id = excluded.facility_id, admin = excluded.admin,"
                         " expires_at_ms = excluded.expires_at_ms,"
                         " tries_left = excluded.tries_left, used_by = ''");
    postgres_put_text(conn, add->selector, STORE_CODE_SELECTOR_LEN);
    postgres_put_bytes(conn, add->secret_hash, STORE_CODE_HASH_LEN);
    postgres_put_uuid(conn, &add->facility_id);
    postgres_put_bool(conn, add->admin);
    postgres_put_u64(conn, (uint64_t)add->expires_at_ms);
    postgres_put_int(conn, STORE_CODE_TRIES);
    return change(conn);
}

/* The code's row is locked: two devices with one code meet here. */
static enum postgres_code read_code(struct postgres_conn *conn, struct store_enrol *enrol)
{
    const PGresult *result;
    uint8_t hash[STORE_CODE_HASH_LEN];

    enrol->verdict = STORE_CODE_WRONG;
    postgres_query(conn, "SELECT secret_hash, facility_id, admin, expires_at_ms, tries_left,"
                         " length(used_by) FROM enrolment WHERE selector = $1 FOR UPDATE");
    postgres_put_text(conn, enrol->selector, STORE_CODE_SELECTOR_LEN);
    enum postgres_code code = ask(conn, &result);
    if (code != POSTGRES_OK || postgres_row_count(result) == 0)
        return code;
    postgres_copy(result, 0, 0, hash, sizeof hash);
    enrol->facility_id = postgres_uuid(result, 0, 1);
    enrol->admin = postgres_bool(result, 0, 2);
    /* Dead before wrong: after the last try the right secret is no help. */
    if (postgres_int(result, 0, 4) <= 0)
        enrol->verdict = STORE_CODE_DEAD;
    else if (CRYPTO_memcmp(hash, enrol->secret_hash, sizeof hash) != 0)
        enrol->verdict = STORE_CODE_WRONG;
    else if (postgres_int(result, 0, 5) > 0)
        enrol->verdict = STORE_CODE_USED;
    else if ((int64_t)postgres_u64(result, 0, 3) < enrol->now_ms)
        enrol->verdict = STORE_CODE_EXPIRED;
    else
        enrol->verdict = STORE_CODE_GOOD;
    return POSTGRES_OK;
}

static enum postgres_code count_wrong_secret(struct postgres_conn *conn,
                                             const struct store_enrol *enrol)
{
    postgres_query(conn, "UPDATE enrolment SET tries_left = tries_left - 1 WHERE selector = $1");
    postgres_put_text(conn, enrol->selector, STORE_CODE_SELECTOR_LEN);
    return change(conn);
}

static enum postgres_code use_code(struct postgres_conn *conn, const struct store_enrol *enrol)
{
    postgres_query(conn, "UPDATE enrolment SET used_by = $2 WHERE selector = $1");
    postgres_put_text(conn, enrol->selector, STORE_CODE_SELECTOR_LEN);
    postgres_put_bytes(conn, enrol->device_id.bytes, RECORD_UUID_LEN);
    postgres_end_query(conn);
    postgres_query(conn, "INSERT INTO device(device_id, enrolment_region_id, facility_id, admin,"
                         " enrolled_at_ms) VALUES ($1, $2, $3, $4, $5)");
    postgres_put_uuid(conn, &enrol->device_id);
    postgres_put_uuid(conn, &enrol->region_id);
    postgres_put_uuid(conn, &enrol->facility_id);
    postgres_put_bool(conn, enrol->admin);
    postgres_put_u64(conn, (uint64_t)enrol->now_ms);
    return change(conn);
}

enum postgres_code postgres_enrol(struct postgres_conn *conn, const struct scope_roles *roles,
                                  struct store_enrol *enrol)
{
    bool closed = false;
    enum postgres_code code = read_code(conn, enrol);

    if (code != POSTGRES_OK)
        return code;
    if (enrol->verdict == STORE_CODE_WRONG)
        return count_wrong_secret(conn, enrol);
    if (enrol->verdict != STORE_CODE_GOOD)
        return POSTGRES_OK;
    code =
        postgres_region_of_facility(conn, roles, &enrol->facility_id, &enrol->region_id, &closed);
    if (closed)
        enrol->verdict = STORE_CODE_FACILITY_CLOSED;
    return code == POSTGRES_OK && !closed ? use_code(conn, enrol) : code;
}

/* ---- Devices ------------------------------------------------------------- */

enum postgres_code postgres_read_revoked(struct postgres_conn *conn, struct store_revoked *revoked)
{
    struct postgres_array ids;
    const PGresult *result;

    postgres_array_init(&ids, POSTGRES_UUID);
    for (size_t i = 0; i < revoked->device_count; i++)
        postgres_array_add_uuid(&ids, &revoked->devices[i]);
    postgres_query(conn, "SELECT u.o FROM unnest($1::uuid[]) WITH ORDINALITY u(id, o),"
                         " LATERAL (SELECT FROM device WHERE device_id = u.id AND state <> $2"
                         " OFFSET 0) d");
    postgres_put_array(conn, &ids);
    postgres_put_int(conn, STORE_DEVICE_ACTIVE);
    enum postgres_code code = ask(conn, &result);
    postgres_array_deinit(&ids);
    if (code != POSTGRES_OK)
        return code;
    for (size_t i = 0; i < revoked->device_count; i++)
        revoked->revoked[i] = false;
    for (size_t row = 0; row < postgres_row_count(result); row++)
        revoked->revoked[postgres_u64(result, row, 0) - 1] = true;
    return POSTGRES_OK;
}

enum postgres_code postgres_read_author(struct postgres_conn *conn, const struct scope_roles *roles,
                                        const struct record_uuid *device_id,
                                        struct scope_device *author_out)
{
    const PGresult *result;

    postgres_query(conn, "SELECT enrolment_region_id, facility_id, admin FROM device"
                         " WHERE device_id = $1");
    postgres_put_uuid(conn, device_id);
    enum postgres_code code = ask(conn, &result);
    if (code != POSTGRES_OK)
        return code;
    if (postgres_row_count(result) == 0)
        return POSTGRES_ABSENT;
    *author_out = (struct scope_device){
        .device_id = *device_id,
        .enrolment_region = postgres_uuid(result, 0, 0),
        .facility = postgres_uuid(result, 0, 1),
        .admin = postgres_bool(result, 0, 2),
    };
    code =
        postgres_region_of_facility(conn, roles, &author_out->facility, &author_out->region, NULL);
    return code == POSTGRES_ABSENT ? POSTGRES_OK : code; /* it may still write in its enrolment's */
}

enum postgres_code postgres_device_list(struct postgres_conn *conn, struct store_device_list *list)
{
    list->devices = NULL;
    list->device_count = 0;
    size_t query = postgres_send(conn, "SELECT device_id, enrolment_region_id, facility_id, state,"
                                       " admin, enrolled_at_ms, last_sync_at_ms FROM device"
                                       " ORDER BY device_id");
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    size_t count = postgres_row_count(result);
    list->devices = calloc(count > 0 ? count : 1, sizeof *list->devices);
    if (list->devices == NULL)
        return POSTGRES_NO_MEMORY;
    for (size_t row = 0; row < count; row++)
        list->devices[list->device_count++] = (struct store_device){
            .device_id = postgres_uuid(result, row, 0),
            .enrolment_region = postgres_uuid(result, row, 1),
            .facility_id = postgres_uuid(result, row, 2),
            .state = (enum store_device_state)postgres_int(result, row, 3),
            .admin = postgres_bool(result, row, 4),
            .enrolled_at_ms = (int64_t)postgres_u64(result, row, 5),
            .last_sync_at_ms = (int64_t)postgres_u64(result, row, 6),
            .settings = list->defaults,
        };
    for (size_t i = 0; i < count && code == POSTGRES_OK; i++)
        code = postgres_read_settings(conn, &list->devices[i].enrolment_region,
                                      &list->devices[i].device_id, &list->devices[i].settings);
    return code;
}

enum postgres_code postgres_device_add(struct postgres_conn *conn,
                                       const struct store_device_add *add)
{
    postgres_query(conn, "INSERT INTO device(device_id, enrolment_region_id, facility_id, admin,"
                         " enrolled_at_ms) VALUES ($1, $2, $3, $4, $5)"
                         " ON CONFLICT (device_id) DO NOTHING");
    postgres_put_uuid(conn, &add->device.device_id);
    postgres_put_uuid(conn, &add->device.enrolment_region);
    postgres_put_uuid(conn, &add->device.facility_id);
    postgres_put_bool(conn, add->device.admin);
    postgres_put_u64(conn, (uint64_t)add->device.enrolled_at_ms);
    postgres_end_query(conn);
    postgres_query(conn, "UPDATE enrolment SET used_by = $2 WHERE selector = $1 AND used_by = ''");
    postgres_put_text(conn, add->selector, strnlen(add->selector, STORE_CODE_SELECTOR_LEN));
    postgres_put_bytes(conn, add->device.device_id.bytes, RECORD_UUID_LEN);
    return change(conn);
}

enum postgres_code postgres_device_set(struct postgres_conn *conn, struct store_device_set *set)
{
    const PGresult *result;

    postgres_query(conn, "UPDATE device SET state = $2 WHERE device_id = $1");
    postgres_put_uuid(conn, &set->device_id);
    postgres_put_int(conn, set->state);
    enum postgres_code code = ask(conn, &result);
    set->found = code == POSTGRES_OK && postgres_changed(result) > 0;
    return code;
}

/* ---- Settings ------------------------------------------------------------ */

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
    enum postgres_code code = ask(conn, &result);
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
    const PGresult *result;

    set->found = set->level == STORE_SETTING_ALL;
    if (set->found)
        return POSTGRES_OK;
    if (set->level == STORE_SETTING_DEVICE) {
        postgres_query(conn, "SELECT 1 FROM device WHERE device_id = $1");
        postgres_put_uuid(conn, &set->id);
    } else {
        postgres_query(conn, "SELECT 1 FROM record WHERE region_id = $1 AND family_id = $1"
                             " AND type = $2 AND id = $3 AND NOT deleted");
        postgres_put_uuid(conn, &scope_global_region);
        postgres_put_int(conn, (int32_t)roles->region->number);
        postgres_put_uuid(conn, &set->id);
    }
    enum postgres_code code = ask(conn, &result);
    set->found = code == POSTGRES_OK && postgres_row_count(result) == 1;
    return code;
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
