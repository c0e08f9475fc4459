/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's devices: their standing, their tokens, where they are.
 */
#include "store_postgres.h"

#include <stdio.h>
#include <stdlib.h>

enum postgres_code postgres_ask(struct postgres_conn *conn, const PGresult **result_out)
{
    size_t query = postgres_end_query(conn);
    enum postgres_code code = postgres_exchange(conn);

    if (code == POSTGRES_OK)
        *result_out = postgres_result(conn, query);
    return code;
}

enum postgres_code postgres_change(struct postgres_conn *conn)
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
    enum postgres_code code = postgres_ask(conn, &result);
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

enum postgres_code postgres_region_known(struct postgres_conn *conn,
                                         const struct scope_roles *roles,
                                         const struct record_uuid *region, bool *known_out)
{
    const PGresult *result;

    postgres_query(conn, "SELECT 1 FROM record WHERE region_id = $1 AND family_id = $1"
                         " AND type = $2 AND id = $3 AND NOT deleted");
    postgres_put_uuid(conn, &scope_global_region);
    postgres_put_int(conn, (int32_t)roles->region->number);
    postgres_put_uuid(conn, region);
    enum postgres_code code = postgres_ask(conn, &result);
    *known_out = code == POSTGRES_OK && postgres_row_count(result) == 1;
    return code;
}

/* ---- Reading devices ----------------------------------------------------- */

#define DEVICE_COLUMNS                                                                  \
    "SELECT device_id, enrolment_region_id, facility_id, admin, enrolled_at_ms, state," \
    " version, wipe_ordered_at_ms, wiped_at_ms, public_key, last_sync_at_ms,"           \
    " copied_from, last_seen_at_ms, schema_revision, app_version, syncs, failed_syncs," \
    " rejected_syncs FROM device"

static void device_from_row(const PGresult *result, size_t row, struct store_device *device)
{
    struct rpc_bytes key = postgres_bytes(result, row, 9);

    *device = (struct store_device){
        .device_id = postgres_uuid(result, row, 0),
        .enrolment_region = postgres_uuid(result, row, 1),
        .facility_id = postgres_uuid(result, row, 2),
        .admin = postgres_bool(result, row, 3),
        .enrolled_at_ms = (int64_t)postgres_u64(result, row, 4),
        .standing =
            {
                .revoked = postgres_int(result, row, 5) != 0,
                .version = postgres_u64(result, row, 6),
                .wipe_ordered_at_ms = (int64_t)postgres_u64(result, row, 7),
                .wiped_at_ms = (int64_t)postgres_u64(result, row, 8),
            },
        .last_sync_at_ms = (int64_t)postgres_u64(result, row, 10),
        .copied_from = postgres_uuid(result, row, 11),
        .last_seen_at_ms = (int64_t)postgres_u64(result, row, 12),
        .schema_revision = (uint32_t)postgres_u64(result, row, 13),
        .syncs = {.begun = postgres_u64(result, row, 15),
                  .failed = postgres_u64(result, row, 16),
                  .rejected = postgres_u64(result, row, 17)},
    };
    struct rpc_bytes app = postgres_bytes(result, row, 14);
    snprintf(device->app_version, sizeof device->app_version, "%.*s", (int)app.len,
             (const char *)app.data);
    if (key.len <= sizeof device->public_key) {
        device->public_key_len = key.len;
        memcpy(device->public_key, key.data, key.len);
    }
}

static size_t send_device(struct postgres_conn *conn, const struct record_uuid *device_id)
{
    postgres_query(conn, DEVICE_COLUMNS " WHERE device_id = $1");
    postgres_put_uuid(conn, device_id);
    return postgres_end_query(conn);
}

static size_t send_rights(struct postgres_conn *conn, const struct record_uuid *device_id)
{
    postgres_query(conn, "SELECT region_id, allowed FROM device_region WHERE device_id = $1"
                         " ORDER BY region_id");
    postgres_put_uuid(conn, device_id);
    return postgres_end_query(conn);
}

static void take_right(const PGresult *result, size_t row, int column, struct scope_rights *rights)
{
    struct record_uuid region = postgres_uuid(result, row, column);

    (void)scope_rights_set(rights, &region, postgres_bool(result, row, column + 1));
}

enum postgres_code postgres_read_device(struct postgres_conn *conn,
                                        const struct record_uuid *device_id,
                                        struct store_device *device_out, bool *found_out)
{
    size_t device = send_device(conn, device_id);
    size_t rights = send_rights(conn, device_id);
    enum postgres_code code = postgres_exchange(conn);

    *found_out = code == POSTGRES_OK && postgres_row_count(postgres_result(conn, device)) == 1;
    if (!*found_out)
        return code;
    device_from_row(postgres_result(conn, device), 0, device_out);
    const PGresult *result = postgres_result(conn, rights);
    for (size_t row = 0; row < postgres_row_count(result); row++)
        take_right(result, row, 0, &device_out->standing.rights);
    return POSTGRES_OK;
}

enum postgres_code postgres_device_get(struct postgres_conn *conn, struct store_device_get *get)
{
    return postgres_read_device(conn, &get->device_id, &get->device, &get->found);
}

struct scope_device postgres_scope_of(const struct store_device *device)
{
    return (struct scope_device){
        .device_id = device->device_id,
        .enrolment_region = device->enrolment_region,
        .rights = device->standing.rights,
        .facility = device->facility_id,
        .admin = device->admin,
    };
}

enum postgres_code postgres_read_author(struct postgres_conn *conn, const struct scope_roles *roles,
                                        const struct record_uuid *device_id,
                                        struct scope_device *author_out)
{
    struct store_device device;
    bool found;
    enum postgres_code code = postgres_read_device(conn, device_id, &device, &found);

    if (code != POSTGRES_OK || !found)
        return code == POSTGRES_OK ? POSTGRES_ABSENT : code;
    *author_out = postgres_scope_of(&device);
    code =
        postgres_region_of_facility(conn, roles, &author_out->facility, &author_out->region, NULL);
    return code == POSTGRES_ABSENT ? POSTGRES_OK : code; /* it may still write in its enrolment's */
}

/* ---- Refusals (R18) -------------------------------------------------------- */

static void put_callers(struct postgres_conn *conn, const struct store_caller *callers,
                        size_t count)
{
    struct postgres_array ids;

    postgres_array_init(&ids, POSTGRES_UUID);
    for (size_t i = 0; i < count; i++)
        postgres_array_add_uuid(&ids, &callers[i].device_id);
    postgres_put_array(conn, &ids);
    postgres_array_deinit(&ids);
}

struct postgres_refusals postgres_send_refusals(struct postgres_conn *conn,
                                                const struct store_caller *callers, size_t count)
{
    struct postgres_refusals queries;

    postgres_query(conn, "SELECT u.o, d.* FROM unnest($1::uuid[]) WITH ORDINALITY u(id, o),"
                         " LATERAL (SELECT state, wipe_ordered_at_ms, wiped_at_ms,"
                         " enrolment_region_id FROM device WHERE device_id = u.id OFFSET 0) d");
    put_callers(conn, callers, count);
    queries.devices = postgres_end_query(conn);
    postgres_query(conn, "SELECT u.o, d.* FROM unnest($1::uuid[]) WITH ORDINALITY u(id, o),"
                         " LATERAL (SELECT region_id, allowed FROM device_region"
                         " WHERE device_id = u.id OFFSET 0) d");
    put_callers(conn, callers, count);
    queries.rights = postgres_end_query(conn);
    return queries;
}

/* The rights of the caller at that place, from the second query. */
static void rights_of(const PGresult *result, size_t at, struct scope_rights *rights)
{
    rights->count = 0;
    for (size_t row = 0; row < postgres_row_count(result); row++)
        if (postgres_u64(result, row, 0) == at + 1)
            take_right(result, row, 1, rights);
}

void postgres_take_refusals(struct postgres_conn *conn, struct postgres_refusals queries,
                            const struct store_caller *callers, size_t count,
                            struct store_refusal *refusals)
{
    const PGresult *result = postgres_result(conn, queries.devices);
    const PGresult *rights = postgres_result(conn, queries.rights);

    for (size_t i = 0; i < count; i++)
        refusals[i] = (struct store_refusal){.why = STANDING_ADMITTED};
    for (size_t row = 0; row < postgres_row_count(result); row++) {
        size_t at = postgres_u64(result, row, 0) - 1;
        struct standing standing = {
            .revoked = postgres_int(result, row, 1) != 0,
            .wipe_ordered_at_ms = (int64_t)postgres_u64(result, row, 2),
            .wiped_at_ms = (int64_t)postgres_u64(result, row, 3),
        };
        struct scope_device scope = {.enrolment_region = postgres_uuid(result, row, 4)};
        rights_of(rights, at, &scope.rights);
        refusals[at].why = standing_refuses(&standing, &scope, &callers[at].region);
        refusals[at].wipe_ordered_at_ms = standing.wipe_ordered_at_ms;
    }
}

enum postgres_code postgres_read_refused(struct postgres_conn *conn, struct store_refused *refused)
{
    struct postgres_refusals queries =
        postgres_send_refusals(conn, refused->callers, refused->caller_count);
    enum postgres_code code = postgres_exchange(conn);

    if (code == POSTGRES_OK)
        postgres_take_refusals(conn, queries, refused->callers, refused->caller_count,
                               refused->refusals);
    return code == POSTGRES_OK ? postgres_read_rollouts_version(conn, &refused->rollouts_version)
                               : code;
}

/* ---- Caught up ----------------------------------------------------------- */

/* R23: the new token becomes the present one; what the device presented stays
 * good as the previous one, since this answer may be lost on its way. */
static enum postgres_code write_token(struct postgres_conn *conn,
                                      const struct store_caught_up *caught_up)
{
    const struct store_sync *sync = &caught_up->sync;

    postgres_query(conn, "UPDATE device SET token = $2, token_previous = $3, last_sync_at_ms = $4,"
                         " last_seen_at_ms = $4, schema_revision = $5, app_version = $6,"
                         " syncs = syncs + 1, rejected_syncs = rejected_syncs + $7"
                         " WHERE device_id = $1");
    postgres_put_uuid(conn, &caught_up->caller.device_id);
    postgres_put_bytes(conn, caught_up->next_token, TOKEN_LEN);
    postgres_put_bytes(conn, caught_up->presented_token, TOKEN_LEN);
    postgres_put_u64(conn, (uint64_t)caught_up->now_ms);
    postgres_put_u64(conn, sync->schema_revision);
    postgres_put_text(conn, sync->app_version, strlen(sync->app_version));
    postgres_put_u64(conn, sync->rejected);
    return postgres_change(conn);
}

enum postgres_code postgres_caught_up(struct postgres_conn *conn, struct store_caught_up *caught_up)
{
    struct store_heads heads = {.region_count = caught_up->region_count,
                                .regions = caught_up->regions};
    bool behind = false;
    struct postgres_refusals refused = postgres_send_refusals(conn, &caught_up->caller, 1);
    enum postgres_code code = postgres_exchange(conn);

    if (code == POSTGRES_OK)
        postgres_take_refusals(conn, refused, &caught_up->caller, 1, &caught_up->refusal);
    if (code != POSTGRES_OK || caught_up->refusal.why != STANDING_ADMITTED)
        return code;
    code =
        postgres_read_heads_without(conn, caught_up->withheld, caught_up->withheld_count, &heads);
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

/* ---- Lists ----------------------------------------------------------------- */

/* Both lists are by id. */
static void add_rights(const PGresult *result, struct store_device_list *list)
{
    size_t at = 0;

    for (size_t row = 0; row < postgres_row_count(result); row++) {
        struct record_uuid id = postgres_uuid(result, row, 0);
        while (at < list->device_count &&
               record_uuid_compare(&list->devices[at].device_id, &id) < 0)
            at++;
        if (at < list->device_count && record_uuid_compare(&list->devices[at].device_id, &id) == 0)
            take_right(result, row, 1, &list->devices[at].standing.rights);
    }
}

enum postgres_code postgres_device_list(struct postgres_conn *conn, struct store_device_list *list)
{
    free(list->devices); /* of an earlier try */
    list->devices = NULL;
    list->device_count = 0;
    size_t devices = postgres_send(conn, DEVICE_COLUMNS " ORDER BY device_id");
    size_t rights = postgres_send(conn, "SELECT device_id, region_id, allowed FROM device_region"
                                        " ORDER BY device_id, region_id");
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, devices);
    size_t count = postgres_row_count(result);
    list->devices = calloc(count > 0 ? count : 1, sizeof *list->devices);
    if (list->devices == NULL)
        return POSTGRES_NO_MEMORY;
    for (; list->device_count < count; list->device_count++) {
        device_from_row(result, list->device_count, &list->devices[list->device_count]);
        list->devices[list->device_count].settings = list->defaults;
    }
    add_rights(postgres_result(conn, rights), list);
    for (size_t i = 0; i < count && code == POSTGRES_OK; i++)
        code = postgres_read_settings(conn, &list->devices[i].enrolment_region,
                                      &list->devices[i].device_id, &list->devices[i].settings);
    return code;
}

/* ---- Writing them ---------------------------------------------------------- */

static void send_insert(struct postgres_conn *conn, const struct store_device *device)
{
    bool copied = !record_uuid_is_zero(&device->copied_from);

    postgres_query(conn, "INSERT INTO device(device_id, enrolment_region_id, facility_id, admin,"
                         " enrolled_at_ms, public_key, copied_from) VALUES ($1, $2, $3, $4, $5, $6,"
                         " $7) ON CONFLICT DO NOTHING");
    postgres_put_uuid(conn, &device->device_id);
    postgres_put_uuid(conn, &device->enrolment_region);
    postgres_put_uuid(conn, &device->facility_id);
    postgres_put_bool(conn, device->admin);
    postgres_put_u64(conn, (uint64_t)device->enrolled_at_ms);
    postgres_put_bytes(conn, device->public_key, device->public_key_len);
    postgres_put_bytes(conn, device->copied_from.bytes, copied ? RECORD_UUID_LEN : 0);
    postgres_end_query(conn);
}

static enum postgres_code write_standing(struct postgres_conn *conn,
                                         const struct store_device *device)
{
    const struct standing *standing = &device->standing;

    postgres_query(conn, "UPDATE device SET state = $2, version = $3, wipe_ordered_at_ms = $4,"
                         " wiped_at_ms = $5 WHERE device_id = $1");
    postgres_put_uuid(conn, &device->device_id);
    postgres_put_int(conn, standing->revoked);
    postgres_put_u64(conn, standing->version);
    postgres_put_u64(conn, (uint64_t)standing->wipe_ordered_at_ms);
    postgres_put_u64(conn, (uint64_t)standing->wiped_at_ms);
    postgres_end_query(conn);
    for (size_t i = 0; i < standing->rights.count; i++) {
        postgres_query(conn, "INSERT INTO device_region(device_id, region_id, allowed)"
                             " VALUES ($1, $2, $3) ON CONFLICT (device_id, region_id)"
                             " DO UPDATE SET allowed = excluded.allowed");
        postgres_put_uuid(conn, &device->device_id);
        postgres_put_uuid(conn, &standing->rights.rights[i].region);
        postgres_put_bool(conn, standing->rights.rights[i].allowed);
        postgres_end_query(conn);
    }
    return postgres_exchange(conn);
}

enum postgres_code postgres_write_device(struct postgres_conn *conn,
                                         const struct store_device *device)
{
    send_insert(conn, device);
    return write_standing(conn, device);
}

enum postgres_code postgres_device_add(struct postgres_conn *conn,
                                       const struct store_device_add *add)
{
    struct store_device present;
    bool found;
    enum postgres_code code = postgres_read_device(conn, &add->device.device_id, &present, &found);

    if (code == POSTGRES_OK && (!found || present.standing.version < add->device.standing.version))
        code = postgres_write_device(conn, &add->device);
    if (code == POSTGRES_OK && !found && !record_uuid_is_zero(&add->device.copied_from))
        code = postgres_copy_settings(conn, &add->device);
    if (code != POSTGRES_OK)
        return code;
    postgres_query(conn, "UPDATE enrolment SET used_by = $2 WHERE selector = $1 AND used_by = ''");
    postgres_put_text(conn, add->selector, strnlen(add->selector, STORE_CODE_SELECTOR_LEN));
    postgres_put_bytes(conn, add->device.device_id.bytes, RECORD_UUID_LEN);
    return postgres_change(conn);
}

/* The row is locked: decisions of two servers about one device meet here, and each
 * counts (R22). */
static enum postgres_code lock_device(struct postgres_conn *conn,
                                      const struct record_uuid *device_id)
{
    postgres_query(conn, "SELECT 1 FROM device WHERE device_id = $1 FOR UPDATE");
    postgres_put_uuid(conn, device_id);
    return postgres_change(conn);
}

enum postgres_code postgres_device_change(struct postgres_conn *conn,
                                          const struct scope_roles *roles,
                                          struct store_device_change *change)
{
    const struct standing_decision *decision = &change->decision;
    struct store_device *device = &change->device;
    enum postgres_code code = lock_device(conn, &change->device_id);

    if (code == POSTGRES_OK)
        code = postgres_read_device(conn, &change->device_id, device, &change->found);
    change->region_known = true;
    change->outcome = STANDING_UNCHANGED;
    if (code == POSTGRES_OK && decision->change == STANDING_ALLOW)
        code = postgres_region_known(conn, roles, &decision->region, &change->region_known);
    if (code != POSTGRES_OK || !change->found || !change->region_known)
        return code;
    change->outcome = standing_apply(&device->standing, &device->enrolment_region, decision);
    return change->outcome == STANDING_CHANGED ? write_standing(conn, device) : POSTGRES_OK;
}
