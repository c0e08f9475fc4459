/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's reads: heads, places, Hello, and what the administrator asks
 * for.
 */
#include "store_postgres.h"

#include <stdlib.h>

/* ---- Heads and places ---------------------------------------------------- */

size_t postgres_send_head(struct postgres_conn *conn, const struct record_uuid *region_id)
{
    postgres_query(conn, "SELECT last_seq, last_hash, records, digest, type_sums FROM sync_region"
                         " WHERE region_id = $1");
    postgres_put_uuid(conn, region_id);
    return postgres_end_query(conn);
}

void postgres_take_head(const PGresult *result, const struct record_uuid *region_id,
                        struct store_head *head)
{
    *head = (struct store_head){.region_id = *region_id};
    if (postgres_row_count(result) == 0)
        return;
    head->last.seq = postgres_u64(result, 0, 0);
    postgres_copy(result, 0, 1, head->last.hash, STORE_HASH_LEN);
    head->records = postgres_u64(result, 0, 2);
    head->digest = postgres_u64(result, 0, 3);
}

/* Without what is withheld; the column is the result's last. */
static void hide_types(const PGresult *result, size_t row, int column, const uint32_t *types,
                       size_t type_count, struct store_head *head)
{
    struct type_sums sums;

    if (row >= postgres_row_count(result))
        return;
    type_sums_parse(postgres_bytes(result, row, column), &sums);
    type_sums_hide(&sums, types, type_count, &head->records, &head->digest);
}

/* The hash of the entry with that seq. */
size_t postgres_send_place(struct postgres_conn *conn, const struct record_uuid *region_id,
                           uint64_t seq)
{
    postgres_query(conn, "SELECT hash FROM change_log WHERE region_id = $1 AND seq = $2");
    postgres_put_uuid(conn, region_id);
    postgres_put_u64(conn, seq);
    return postgres_end_query(conn);
}

void postgres_take_place(const PGresult *result, uint8_t hash[STORE_HASH_LEN])
{
    memset(hash, 0, STORE_HASH_LEN);
    if (postgres_row_count(result) == 1)
        postgres_copy(result, 0, 0, hash, STORE_HASH_LEN);
}

static enum postgres_code read_all_heads(struct postgres_conn *conn, struct store_heads *heads)
{
    size_t query = postgres_send(conn, "SELECT last_seq, last_hash, records, digest, region_id"
                                       " FROM sync_region ORDER BY region_id");
    enum postgres_code code = postgres_exchange(conn);

    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    size_t count = postgres_row_count(result);
    heads->heads = calloc(count > 0 ? count : 1, sizeof *heads->heads);
    if (heads->heads == NULL)
        return POSTGRES_NO_MEMORY;
    for (; heads->head_count < count; heads->head_count++) {
        struct store_head *head = &heads->heads[heads->head_count];
        head->last.seq = postgres_u64(result, heads->head_count, 0);
        postgres_copy(result, heads->head_count, 1, head->last.hash, STORE_HASH_LEN);
        head->records = postgres_u64(result, heads->head_count, 2);
        head->digest = postgres_u64(result, heads->head_count, 3);
        head->region_id = postgres_uuid(result, heads->head_count, 4);
    }
    return POSTGRES_OK;
}

/* One statement, and so one snapshot; the order is the asker's. */
static enum postgres_code read_these_heads(struct postgres_conn *conn, const uint32_t *types,
                                           size_t type_count, struct store_heads *heads)
{
    struct postgres_array ids;

    heads->heads = calloc(heads->region_count, sizeof *heads->heads);
    if (heads->heads == NULL)
        return POSTGRES_NO_MEMORY;
    heads->head_count = heads->region_count;
    postgres_array_init(&ids, POSTGRES_UUID);
    for (size_t i = 0; i < heads->region_count; i++) {
        heads->heads[i].region_id = heads->regions[i];
        postgres_array_add_uuid(&ids, &heads->regions[i]);
    }
    postgres_query(conn, "SELECT u.o, s.* FROM unnest($1::uuid[]) WITH ORDINALITY u(id, o),"
                         " LATERAL (SELECT last_seq, last_hash, records, digest, type_sums"
                         " FROM sync_region WHERE region_id = u.id OFFSET 0) s");
    postgres_put_array(conn, &ids);
    size_t query = postgres_end_query(conn);
    enum postgres_code code = postgres_exchange(conn);
    postgres_array_deinit(&ids);
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    for (size_t row = 0; row < postgres_row_count(result); row++) {
        struct store_head *head = &heads->heads[postgres_u64(result, row, 0) - 1];
        head->last.seq = postgres_u64(result, row, 1);
        postgres_copy(result, row, 2, head->last.hash, STORE_HASH_LEN);
        head->records = postgres_u64(result, row, 3);
        head->digest = postgres_u64(result, row, 4);
        hide_types(result, row, 5, types, type_count, head);
    }
    return POSTGRES_OK;
}

enum postgres_code postgres_read_heads(struct postgres_conn *conn, struct store_heads *heads)
{
    store_heads_deinit(heads); /* of an earlier try */
    return heads->region_count == 0 ? read_all_heads(conn, heads)
                                    : read_these_heads(conn, NULL, 0, heads);
}

enum postgres_code postgres_read_heads_without(struct postgres_conn *conn, const uint32_t *types,
                                               size_t type_count, struct store_heads *heads)
{
    store_heads_deinit(heads);
    return read_these_heads(conn, types, type_count, heads);
}

/* ---- Hello --------------------------------------------------------------- */

static enum postgres_code read_device(struct postgres_conn *conn, struct store_hello *hello)
{
    struct store_device device;
    enum postgres_code code =
        postgres_read_device(conn, &hello->device_id, &device, &hello->device_known);

    if (code != POSTGRES_OK || !hello->device_known)
        return code;
    hello->standing = device.standing;
    hello->device = postgres_scope_of(&device);
    if (!record_uuid_is_zero(&hello->facility_id))
        hello->device.facility = hello->facility_id;
    return postgres_read_tokens(conn, &hello->device_id, &hello->tokens);
}

/* R8: whether the receipt is among the device's last ones. */
static void take_receipt(const PGresult *result, struct store_hello *hello)
{
    static const uint8_t none[STORE_HASH_LEN];

    hello->receipt_known = memcmp(hello->receipt, none, sizeof none) == 0;
    if (postgres_row_count(result) == 0)
        return;
    struct rpc_bytes kept = postgres_bytes(result, 0, 0);
    for (size_t at = 0; at + STORE_HASH_LEN <= kept.len; at += STORE_HASH_LEN)
        if (memcmp(kept.data + at, hello->receipt, STORE_HASH_LEN) == 0)
            hello->receipt_known = true;
}

static enum postgres_code read_places(struct postgres_conn *conn, struct store_hello *hello)
{
    const struct record_uuid *regions[] = {&scope_global_region, &hello->device.region};
    size_t places[STORE_PLACES_MAX], heads[2];

    postgres_query(conn, "SELECT receipts FROM receipt WHERE region_id = $1 AND device_id = $2");
    postgres_put_uuid(conn, &hello->device.enrolment_region);
    postgres_put_uuid(conn, &hello->device_id);
    size_t receipt = postgres_end_query(conn);
    for (size_t i = 0; i < hello->place_count; i++)
        places[i] =
            postgres_send_place(conn, &hello->places[i].region_id, hello->places[i].place.seq);
    for (size_t i = 0; i < 2; i++)
        heads[i] = postgres_send_head(conn, regions[i]);
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    take_receipt(postgres_result(conn, receipt), hello);
    for (size_t i = 0; i < hello->place_count; i++) {
        struct store_hello_place *asked = &hello->places[i];
        uint8_t hash[STORE_HASH_LEN];
        postgres_take_place(postgres_result(conn, places[i]), hash);
        asked->known =
            asked->place.seq == 0 || memcmp(hash, asked->place.hash, STORE_HASH_LEN) == 0;
    }
    for (size_t i = 0; i < 2; i++) {
        const PGresult *result = postgres_result(conn, heads[i]);
        postgres_take_head(result, regions[i], &hello->heads[i]);
        hide_types(result, 0, 4, hello->view.types, hello->view.type_count, &hello->heads[i]);
    }
    hello->head_count = 2;
    return POSTGRES_OK;
}

static enum postgres_code read_view(struct postgres_conn *conn, struct store_hello *hello)
{
    struct rollout_device device = {hello->device_id, hello->device.enrolment_region};
    struct rollouts rollouts;
    enum postgres_code code = postgres_read_rollouts(conn, &hello->device_id, &rollouts);

    if (code == POSTGRES_OK)
        hello->view = rollout_view_of(&rollouts, &device);
    return code;
}

/* The regions where something is not found that the device was told. */
static struct postgres_locks regions_in_doubt(const struct store_hello *hello)
{
    struct postgres_locks regions = {.count = 0};

    if (!hello->receipt_known)
        postgres_locks_add(&regions, &hello->device.enrolment_region);
    for (size_t i = 0; i < hello->place_count; i++)
        if (!hello->places[i].known)
            postgres_locks_add(&regions, &hello->places[i].region_id);
    return regions;
}

/* It is lost (R8, R22) only if it is not on its way either. */
static enum postgres_code read_places_surely(struct postgres_conn *conn, struct store_hello *hello)
{
    enum postgres_code code = read_places(conn, hello);
    struct postgres_locks doubt = regions_in_doubt(hello);

    if (code != POSTGRES_OK || doubt.count == 0)
        return code;
    code = postgres_await_regions(conn, &doubt);
    return code == POSTGRES_OK ? read_places(conn, hello) : code;
}

enum postgres_code postgres_read_hello(struct postgres_conn *conn, const struct scope_roles *roles,
                                       struct store_hello *hello)
{
    enum postgres_code code = read_device(conn, hello);

    hello->head_count = 0;
    hello->facility_known = false;
    if (code != POSTGRES_OK || !hello->device_known)
        return code;
    code = postgres_read_settings(conn, &hello->device.enrolment_region, &hello->device_id,
                                  &hello->settings);
    if (code == POSTGRES_OK)
        code = read_view(conn, hello);
    if (code == POSTGRES_OK)
        code = postgres_region_of_facility(conn, roles, &hello->device.facility,
                                           &hello->device.region, NULL);
    if (code == POSTGRES_ABSENT)
        return POSTGRES_OK;
    hello->facility_known = code == POSTGRES_OK;
    return code == POSTGRES_OK ? read_places_surely(conn, hello) : code;
}

/* ---- Administration ------------------------------------------------------ */

static size_t send_record(struct postgres_conn *conn, const struct store_record_get *get)
{
    postgres_query(conn,
                   get->any_family ? "SELECT region_id, version, deleted, stamp, body, family_id"
                                     " FROM record WHERE type = $1 AND id = $2 LIMIT 1"
                   : get->of_family
                       ? "SELECT r.region_id, r.version, r.deleted, r.stamp, r.body,"
                         " r.family_id FROM family f, record r"
                         " WHERE f.family_id = $3 AND r.region_id = ANY(f.region_ids)"
                         " AND r.family_id = f.family_id AND r.type = $1 AND r.id = $2 LIMIT 1"
                       : "SELECT region_id, version, deleted, stamp, body, family_id"
                         " FROM record WHERE type = $1 AND id = $2 AND family_id = $3"
                         " AND region_id = $4");
    postgres_put_int(conn, (int32_t)get->key.type);
    postgres_put_uuid(conn, &get->key.id);
    if (!get->any_family)
        postgres_put_uuid(conn, &get->key.family);
    if (!get->any_family && !get->of_family)
        postgres_put_uuid(conn, &get->region_id);
    return postgres_end_query(conn);
}

enum postgres_code postgres_read_record(struct postgres_conn *conn, struct store_record_get *get)
{
    size_t query = send_record(conn, get);
    enum postgres_code code = postgres_exchange(conn);

    rpc_buffer_deinit(&get->body); /* of an earlier try */
    rpc_buffer_init(&get->body, RECORD_BODY_BYTES_MAX);
    get->found = false;
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    if (postgres_row_count(result) == 0)
        return POSTGRES_OK;
    get->found = true;
    get->found_region_id = postgres_uuid(result, 0, 0);
    get->version = postgres_u64(result, 0, 1);
    get->deleted = postgres_bool(result, 0, 2);
    get->stamp = postgres_u64(result, 0, 3);
    rpc_buffer_append_bytes(&get->body, postgres_bytes(result, 0, 4));
    get->key.family = postgres_uuid(result, 0, 5);
    return get->body.failed ? POSTGRES_NO_MEMORY : POSTGRES_OK;
}

static bool log_entry_from_row(const PGresult *result, size_t row, struct store_log_list *list)
{
    struct store_log_entry *entry = &list->entries[list->entry_count++];
    struct rpc_bytes mutation = postgres_bytes(result, row, 12);

    entry->region_id = postgres_uuid(result, row, 0);
    entry->entry.seq = postgres_u64(result, row, 1);
    entry->entry.kind = (enum audit_kind)postgres_int(result, row, 2);
    entry->entry.key.family = postgres_uuid(result, row, 3);
    entry->entry.key.type = (uint32_t)postgres_int(result, row, 4);
    entry->entry.key.id = postgres_uuid(result, row, 5);
    entry->entry.version = postgres_u64(result, row, 6);
    entry->entry.stamp = postgres_u64(result, row, 7);
    postgres_copy(result, row, 8, entry->entry.mutation_id.bytes, RECORD_MUTATION_ID_LEN);
    entry->entry.device = postgres_uuid(result, row, 9);
    entry->entry.received_at_ms = (int64_t)postgres_u64(result, row, 10);
    postgres_copy(result, row, 11, entry->hash, STORE_HASH_LEN);
    entry->mutation = arena_dup(&list->arena, mutation);
    return entry->mutation.len == mutation.len;
}

enum postgres_code postgres_read_log(struct postgres_conn *conn, struct store_log_list *list)
{
    arena_deinit(&list->arena); /* of an earlier try */
    arena_init(&list->arena, STORE_LIST_ROWS_MAX * (RECORD_ENVELOPE_BYTES_MAX + 1024));
    list->entry_count = 0;
    list->entries = arena_alloc(&list->arena, STORE_LIST_ROWS_MAX * sizeof *list->entries);
    if (list->entries == NULL)
        return POSTGRES_NO_MEMORY;
    postgres_query(
        conn,
        list->of_record
            ? "SELECT region_id, seq, kind, family_id, type, id, version, stamp, mutation_id,"
              " device_id, received_at_ms, hash, mutation FROM change_log WHERE type = $4"
              " AND id = $5 AND (region_id, seq) > ($1, $2) ORDER BY region_id, seq LIMIT $3"
            : "SELECT region_id, seq, kind, family_id, type, id, version, stamp, mutation_id,"
              " device_id, received_at_ms, hash, mutation FROM change_log WHERE region_id = $1"
              " AND seq > $2 ORDER BY seq LIMIT $3");
    postgres_put_uuid(conn, &list->region_id);
    postgres_put_u64(conn, list->after_seq);
    postgres_put_u64(conn, STORE_LIST_ROWS_MAX);
    if (list->of_record) {
        postgres_put_int(conn, (int32_t)list->type);
        postgres_put_uuid(conn, &list->id);
    }
    size_t query = postgres_end_query(conn);
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    for (size_t row = 0; row < postgres_row_count(result); row++)
        if (!log_entry_from_row(result, row, list))
            return POSTGRES_NO_MEMORY;
    return POSTGRES_OK;
}
