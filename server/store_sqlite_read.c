/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's reads: heads, places, Hello, and what the administrator asks
 * for.
 */
#include "store_sqlite.h"

#include <stdlib.h>

/* ---- Heads and places ---------------------------------------------------- */

int sqlite_read_head_and_types(struct sqlite_conn *conn, const struct record_uuid *region_id,
                               struct store_head *head_out, struct type_sums *types_out)
{
    sqlite3_stmt *statement =
        sqlite_conn_statement(conn, "SELECT last_seq, last_hash, records, digest, type_sums"
                                    " FROM sync_region WHERE region_id = ?1");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, region_id);
    int code = sqlite3_step(statement);
    *head_out = (struct store_head){.region_id = *region_id};
    types_out->count = 0;
    if (code == SQLITE_ROW) {
        type_sums_parse(sqlite_column_view(statement, 4), types_out);
        head_out->last.seq = sqlite_column_u64(statement, 0);
        sqlite_column_copy(statement, 1, head_out->last.hash, STORE_HASH_LEN);
        head_out->records = sqlite_column_u64(statement, 2);
        head_out->digest = sqlite_column_u64(statement, 3);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int sqlite_read_head(struct sqlite_conn *conn, const struct record_uuid *region_id,
                     struct store_head *head_out)
{
    struct type_sums types;

    return sqlite_read_head_and_types(conn, region_id, head_out, &types);
}

int sqlite_read_head_without(struct sqlite_conn *conn, const struct record_uuid *region_id,
                             const uint32_t *types, size_t type_count, struct store_head *head_out)
{
    struct type_sums sums;
    int code = sqlite_read_head_and_types(conn, region_id, head_out, &sums);

    type_sums_hide(&sums, types, type_count, &head_out->records, &head_out->digest);
    return code;
}

int sqlite_read_place_hash(struct sqlite_conn *conn, const struct record_uuid *region_id,
                           struct store_place *place)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT hash FROM change_log WHERE region_id = ?1 AND seq = ?2");

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, region_id);
    sqlite_bind_u64(statement, 2, place->seq);
    int code = sqlite3_step(statement);
    memset(place->hash, 0, sizeof place->hash);
    if (code == SQLITE_ROW)
        sqlite_column_copy(statement, 0, place->hash, STORE_HASH_LEN);
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* R22: whether the place is in the region's log. */
static int read_place_known(struct sqlite_conn *conn, struct store_hello_place *asked)
{
    struct store_place place = {.seq = asked->place.seq};

    asked->known = true;
    if (place.seq == 0)
        return SQLITE_OK;
    int code = sqlite_read_place_hash(conn, &asked->region_id, &place);
    asked->known = memcmp(place.hash, asked->place.hash, STORE_HASH_LEN) == 0;
    return code;
}

static void head_from_row(sqlite3_stmt *statement, struct store_head *head)
{
    head->region_id = sqlite_column_uuid(statement, 0);
    head->last.seq = sqlite_column_u64(statement, 1);
    sqlite_column_copy(statement, 2, head->last.hash, STORE_HASH_LEN);
    head->records = sqlite_column_u64(statement, 3);
    head->digest = sqlite_column_u64(statement, 4);
}

static int read_all_heads(struct sqlite_conn *conn, struct store_heads *heads)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT region_id, last_seq, last_hash, records, digest FROM sync_region"
              " ORDER BY region_id");
    int code;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_head *grown =
            realloc(heads->heads, (heads->head_count + 1) * sizeof *heads->heads);
        if (grown == NULL) {
            sqlite3_reset(statement);
            return SQLITE_NOMEM;
        }
        heads->heads = grown;
        head_from_row(statement, &heads->heads[heads->head_count++]);
    }
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

int sqlite_read_heads(struct sqlite_conn *conn, struct store_heads *heads)
{
    int code = SQLITE_OK;

    heads->heads = NULL;
    heads->head_count = 0;
    if (heads->region_count == 0)
        return read_all_heads(conn, heads);
    heads->heads = calloc(heads->region_count, sizeof *heads->heads);
    if (heads->heads == NULL)
        return SQLITE_NOMEM;
    for (size_t i = 0; i < heads->region_count && code == SQLITE_OK; i++)
        code = sqlite_read_head(conn, &heads->regions[i], &heads->heads[heads->head_count++]);
    return code;
}

/* ---- Hello --------------------------------------------------------------- */

static int read_device(struct sqlite_conn *conn, struct store_hello *hello)
{
    struct store_device device;
    int code = sqlite_read_device(conn, &hello->device_id, &device, &hello->device_known);

    if (code != SQLITE_OK || !hello->device_known)
        return code;
    hello->standing = device.standing;
    hello->device = sqlite_scope_of(&device);
    if (!record_uuid_is_zero(&hello->facility_id))
        hello->device.facility = hello->facility_id;
    return sqlite_read_tokens(conn, &hello->device_id, &hello->tokens);
}

/* R8: whether the receipt is among the device's last ones. */
static int read_receipt_known(struct sqlite_conn *conn, struct store_hello *hello)
{
    static const uint8_t none[STORE_HASH_LEN];
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT receipts FROM receipt WHERE region_id = ?1 AND device_id = ?2");

    hello->receipt_known = memcmp(hello->receipt, none, sizeof none) == 0;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(statement, 1, &hello->device.enrolment_region);
    sqlite_bind_uuid(statement, 2, &hello->device_id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        struct rpc_bytes kept = sqlite_column_view(statement, 0);
        for (size_t at = 0; at + STORE_HASH_LEN <= kept.len; at += STORE_HASH_LEN)
            if (memcmp(kept.data + at, hello->receipt, STORE_HASH_LEN) == 0)
                hello->receipt_known = true;
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int read_view(struct sqlite_conn *conn, struct store_hello *hello)
{
    struct rollout_device device = {hello->device_id, hello->device.enrolment_region};
    struct rollouts rollouts;
    int code = sqlite_read_rollouts(conn, &hello->device_id, &rollouts);

    if (code == SQLITE_OK)
        hello->view = rollout_view_of(&rollouts, &device);
    return code;
}

int sqlite_read_hello(struct sqlite_conn *conn, const struct scope_roles *roles,
                      struct store_hello *hello)
{
    int code = read_device(conn, hello);

    hello->head_count = 0;
    hello->facility_known = false;
    if (code != SQLITE_OK || !hello->device_known)
        return code;
    code = sqlite_read_settings(conn, &hello->device.enrolment_region, &hello->device_id,
                                &hello->settings);
    if (code == SQLITE_OK)
        code = read_view(conn, hello);
    if (code != SQLITE_OK)
        return code;
    code = sqlite_region_of_facility(conn, roles, &hello->device.facility, &hello->device.region,
                                     NULL);
    if (code == SQLITE_NOTFOUND)
        return SQLITE_OK;
    hello->facility_known = code == SQLITE_OK;
    if (code == SQLITE_OK)
        code = read_receipt_known(conn, hello);
    for (size_t i = 0; i < hello->place_count && code == SQLITE_OK; i++)
        code = read_place_known(conn, &hello->places[i]);
    const struct record_uuid *regions[] = {&scope_global_region, &hello->device.region};
    for (size_t i = 0; i < 2 && code == SQLITE_OK; i++)
        code = sqlite_read_head_without(conn, regions[i], hello->view.types, hello->view.type_count,
                                        &hello->heads[hello->head_count++]);
    return code;
}

/* ---- Administration ------------------------------------------------------ */

int sqlite_read_record(struct sqlite_conn *conn, struct store_record_get *get)
{
    static const char anywhere[] = "SELECT region_id, version, deleted, stamp, body, family_id"
                                   " FROM record WHERE type = ?3 AND id = ?4";
    static const char of_family[] =
        "SELECT region_id, version, deleted, stamp, body, family_id FROM record"
        " WHERE region_id IN (SELECT region_id FROM family WHERE family_id = ?2)"
        " AND family_id = ?2 AND type = ?3 AND id = ?4 LIMIT 1";
    static const char of_region[] =
        "SELECT region_id, version, deleted, stamp, body, family_id FROM record"
        " WHERE region_id = ?1 AND family_id = ?2 AND type = ?3 AND id = ?4";
    sqlite3_stmt *statement = sqlite_conn_statement(conn, get->any_family  ? anywhere
                                                          : get->of_family ? of_family
                                                                           : of_region);

    rpc_buffer_init(&get->body, RECORD_BODY_BYTES_MAX);
    get->found = false;
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    if (!get->any_family && !get->of_family)
        sqlite_bind_uuid(statement, 1, &get->region_id);
    if (!get->any_family)
        sqlite_bind_uuid(statement, 2, &get->key.family);
    sqlite3_bind_int64(statement, 3, get->key.type);
    sqlite_bind_uuid(statement, 4, &get->key.id);
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        get->found = true;
        get->found_region_id = sqlite_column_uuid(statement, 0);
        get->version = sqlite_column_u64(statement, 1);
        get->deleted = sqlite3_column_int(statement, 2) != 0;
        get->stamp = sqlite_column_u64(statement, 3);
        rpc_buffer_append_bytes(&get->body, sqlite_column_view(statement, 4));
        get->key.family = sqlite_column_uuid(statement, 5);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool log_entry_from_row(sqlite3_stmt *statement, struct store_log_list *list)
{
    struct store_log_entry *entry = &list->entries[list->entry_count++];
    struct rpc_bytes mutation = sqlite_column_view(statement, 12);

    entry->region_id = sqlite_column_uuid(statement, 0);
    entry->entry.seq = sqlite_column_u64(statement, 1);
    entry->entry.kind = (enum audit_kind)sqlite3_column_int(statement, 2);
    entry->entry.key.family = sqlite_column_uuid(statement, 3);
    entry->entry.key.type = (uint32_t)sqlite3_column_int64(statement, 4);
    entry->entry.key.id = sqlite_column_uuid(statement, 5);
    entry->entry.version = sqlite_column_u64(statement, 6);
    entry->entry.stamp = sqlite_column_u64(statement, 7);
    sqlite_column_copy(statement, 8, entry->entry.mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    entry->entry.device = sqlite_column_uuid(statement, 9);
    entry->entry.received_at_ms = sqlite3_column_int64(statement, 10);
    sqlite_column_copy(statement, 11, entry->hash, STORE_HASH_LEN);
    entry->mutation = arena_dup(&list->arena, mutation);
    return entry->mutation.len == mutation.len;
}

int sqlite_read_log(struct sqlite_conn *conn, struct store_log_list *list)
{
    static const char of_region[] =
        "SELECT region_id, seq, kind, family_id, type, id, version, stamp, mutation_id, device_id,"
        " received_at_ms, hash, mutation FROM change_log WHERE region_id = ?1 AND seq > ?2"
        " ORDER BY seq LIMIT ?3";
    static const char of_record[] =
        "SELECT region_id, seq, kind, family_id, type, id, version, stamp, mutation_id, device_id,"
        " received_at_ms, hash, mutation FROM change_log WHERE type = ?4 AND id = ?5"
        " AND (region_id, seq) > (?1, ?2) ORDER BY region_id, seq LIMIT ?3";
    sqlite3_stmt *statement = sqlite_conn_statement(conn, list->of_record ? of_record : of_region);
    int code = SQLITE_NOMEM;

    if (statement == NULL)
        return sqlite_conn_failure(conn);
    arena_init(&list->arena, STORE_LIST_ROWS_MAX * (RECORD_ENVELOPE_BYTES_MAX + 1024));
    list->entry_count = 0;
    list->entries = arena_alloc(&list->arena, STORE_LIST_ROWS_MAX * sizeof *list->entries);
    if (list->entries == NULL)
        return SQLITE_NOMEM;
    sqlite_bind_uuid(statement, 1, &list->region_id);
    sqlite_bind_u64(statement, 2, list->after_seq);
    sqlite3_bind_int(statement, 3, STORE_LIST_ROWS_MAX);
    if (list->of_record) {
        sqlite3_bind_int64(statement, 4, list->type);
        sqlite_bind_uuid(statement, 5, &list->id);
    }
    while ((code = sqlite3_step(statement)) == SQLITE_ROW)
        if (!log_entry_from_row(statement, list))
            break;
    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code == SQLITE_ROW ? SQLITE_NOMEM : code;
}
