/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's reads: pages, heads, and what the administrator asks for.
 * Pages are keyset reads and pass bodies through as they are stored.
 */
#include "store_postgres.h"

#include <stdlib.h>

enum {
    PULL_RECORDS = 1,
    PULL_MARKERS = 2,
    MARKER_FAMILY_ID = 1,
    MARKER_REGION_ID = 2,
    MARKER_KIND = 3,
    MARKER_BYTES_MAX = 64, /* of one, encoded */
};

/* ---- Heads and places ---------------------------------------------------- */

static size_t send_head(struct postgres_conn *conn, const struct record_uuid *region_id)
{
    postgres_query(conn, "SELECT last_seq, last_hash, records, digest FROM sync_region"
                         " WHERE region_id = $1");
    postgres_put_uuid(conn, region_id);
    return postgres_end_query(conn);
}

static void take_head(const PGresult *result, const struct record_uuid *region_id,
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

/* The hash of the entry with that seq. */
static size_t send_place(struct postgres_conn *conn, const struct record_uuid *region_id,
                         uint64_t seq)
{
    postgres_query(conn, "SELECT hash FROM change_log WHERE region_id = $1 AND seq = $2");
    postgres_put_uuid(conn, region_id);
    postgres_put_u64(conn, seq);
    return postgres_end_query(conn);
}

static void take_place(const PGresult *result, uint8_t hash[STORE_HASH_LEN])
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
static enum postgres_code read_these_heads(struct postgres_conn *conn, struct store_heads *heads)
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
                         " LATERAL (SELECT last_seq, last_hash, records, digest FROM sync_region"
                         " WHERE region_id = u.id OFFSET 0) s");
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
    }
    return POSTGRES_OK;
}

enum postgres_code postgres_read_heads(struct postgres_conn *conn, struct store_heads *heads)
{
    heads->heads = NULL;
    heads->head_count = 0;
    return heads->region_count == 0 ? read_all_heads(conn, heads) : read_these_heads(conn, heads);
}

/* ---- Hello --------------------------------------------------------------- */

static enum postgres_code read_device(struct postgres_conn *conn, struct store_hello *hello)
{
    postgres_query(conn, "SELECT enrolment_region_id, facility_id, state, admin, token,"
                         " token_previous FROM device WHERE device_id = $1");
    postgres_put_uuid(conn, &hello->device_id);
    size_t query = postgres_end_query(conn);
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    const PGresult *result = postgres_result(conn, query);
    hello->device_known = postgres_row_count(result) == 1;
    if (!hello->device_known)
        return POSTGRES_OK;
    hello->device.device_id = hello->device_id;
    hello->device.enrolment_region = postgres_uuid(result, 0, 0);
    hello->device.facility =
        record_uuid_is_zero(&hello->facility_id) ? postgres_uuid(result, 0, 1) : hello->facility_id;
    hello->revoked = postgres_int(result, 0, 2) != STORE_DEVICE_ACTIVE;
    hello->device.admin = postgres_bool(result, 0, 3);
    postgres_copy(result, 0, 4, hello->token, STORE_TOKEN_LEN);
    postgres_copy(result, 0, 5, hello->token_previous, STORE_TOKEN_LEN);
    return POSTGRES_OK;
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
    size_t places[STORE_REGIONS_PER_DEVICE_MAX], heads[2];

    postgres_query(conn, "SELECT receipts FROM receipt WHERE region_id = $1 AND device_id = $2");
    postgres_put_uuid(conn, &hello->device.enrolment_region);
    postgres_put_uuid(conn, &hello->device_id);
    size_t receipt = postgres_end_query(conn);
    for (size_t i = 0; i < hello->place_count; i++)
        places[i] = send_place(conn, &hello->places[i].region_id, hello->places[i].place.seq);
    for (size_t i = 0; i < 2; i++)
        heads[i] = send_head(conn, regions[i]);
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    take_receipt(postgres_result(conn, receipt), hello);
    for (size_t i = 0; i < hello->place_count; i++) {
        struct store_hello_place *asked = &hello->places[i];
        uint8_t hash[STORE_HASH_LEN];
        take_place(postgres_result(conn, places[i]), hash);
        asked->known =
            asked->place.seq == 0 || memcmp(hash, asked->place.hash, STORE_HASH_LEN) == 0;
    }
    for (size_t i = 0; i < 2; i++)
        take_head(postgres_result(conn, heads[i]), regions[i], &hello->heads[i]);
    hello->head_count = 2;
    return POSTGRES_OK;
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
        code = postgres_region_of_facility(conn, roles, &hello->device.facility,
                                           &hello->device.region, NULL);
    if (code == POSTGRES_ABSENT)
        return POSTGRES_OK;
    hello->facility_known = code == POSTGRES_OK;
    return code == POSTGRES_OK ? read_places(conn, hello) : code;
}

/* ---- Pages --------------------------------------------------------------- */

static size_t send_rows(struct postgres_conn *conn, const struct store_page *page)
{
    postgres_query(
        conn, page->snapshot
                  ? "SELECT family_id, type, id, version, deleted, stamp, seq, body FROM record"
                    " WHERE region_id = $1 AND (family_id, type, id) > ($2, $3, $4)"
                    " AND NOT deleted ORDER BY family_id, type, id LIMIT $5"
                  : "SELECT family_id, type, id, version, deleted, stamp, seq, body FROM record"
                    " WHERE region_id = $1 AND seq > $2 ORDER BY seq LIMIT $3");
    postgres_put_uuid(conn, &page->region_id);
    if (page->snapshot) {
        postgres_put_uuid(conn, &page->after.family);
        postgres_put_int(conn, (int32_t)page->after.type);
        postgres_put_uuid(conn, &page->after.id);
    } else {
        postgres_put_u64(conn, page->after_seq);
    }
    postgres_put_u64(conn, page->rows_max);
    return postgres_end_query(conn);
}

/* Markers of a tail; which of them belong to the page depends on its rows. */
static size_t send_markers(struct postgres_conn *conn, const struct store_page *page)
{
    postgres_query(conn, "SELECT family_id, kind, seq FROM marker"
                         " WHERE region_id = $1 AND seq > $2 ORDER BY seq LIMIT $3");
    postgres_put_uuid(conn, &page->region_id);
    postgres_put_u64(conn, page->after_seq);
    postgres_put_u64(conn, page->rows_max);
    return postgres_end_query(conn);
}

/* Appends the row as one `records` field of a Pull, the body as it is stored. */
static void page_add_row(const PGresult *result, size_t at, struct rpc_buffer *scratch,
                         struct store_page *page)
{
    struct record_image image = {
        .key = {postgres_uuid(result, at, 0), (uint32_t)postgres_int(result, at, 1),
                postgres_uuid(result, at, 2)},
        .version = postgres_u64(result, at, 3),
        .deleted = postgres_bool(result, at, 4),
        .body = postgres_bytes(result, at, 7),
    };
    struct store_row *row = &page->rows[page->row_count++];

    rpc_buffer_clear(scratch);
    record_image_encode(&image, scratch);
    row->key = image.key;
    row->stamp = postgres_u64(result, at, 5);
    row->seq = postgres_u64(result, at, 6);
    row->offset = page->encoded.len;
    wire_put_message(&page->encoded, PULL_RECORDS, rpc_buffer_view(scratch));
    row->len = page->encoded.len - row->offset;
}

static bool take_rows(const PGresult *result, struct store_page *page)
{
    size_t count = postgres_row_count(result);
    struct rpc_buffer scratch;

    rpc_buffer_init(&scratch, RECORD_ENVELOPE_BYTES_MAX);
    for (size_t at = 0; at < count && page->encoded.len < page->bytes_max; at++)
        page_add_row(result, at, &scratch, page);
    page->at_end = page->row_count == count && count < page->rows_max;
    bool good = !page->encoded.failed && !scratch.failed;
    rpc_buffer_deinit(&scratch);
    return good;
}

static void page_add_marker(const PGresult *result, size_t at, struct store_page *page)
{
    struct record_uuid family = postgres_uuid(result, at, 0);

    page->marker_count++;
    wire_put_tag(&page->markers, PULL_MARKERS, WIRE_LEN);
    wire_put_varint(&page->markers, 2 * (2 + RECORD_UUID_LEN) + 2);
    wire_put_bytes(&page->markers, MARKER_FAMILY_ID, rpc_bytes_view(family.bytes, RECORD_UUID_LEN));
    wire_put_bytes(&page->markers, MARKER_REGION_ID,
                   rpc_bytes_view(page->region_id.bytes, RECORD_UUID_LEN));
    wire_put_uint(&page->markers, MARKER_KIND, (uint64_t)postgres_int(result, at, 1));
}

/* The markers among the rows of a tail page, up to its last seq. When they are
 * more than a page holds they end the page, and rows behind them wait. */
static void take_markers(const PGresult *result, struct store_page *page)
{
    size_t count = postgres_row_count(result);
    uint64_t last = page->at_end ? INT64_MAX : page->rows[page->row_count - 1].seq;

    for (size_t at = 0; at < count && postgres_u64(result, at, 2) <= last; at++)
        page_add_marker(result, at, page);
    if (page->marker_count < page->rows_max)
        return;
    last = postgres_u64(result, page->marker_count - 1, 2);
    while (page->row_count > 0 && page->rows[page->row_count - 1].seq > last)
        page->encoded.len = page->rows[--page->row_count].offset;
    page->place.seq = last;
    page->at_end = false;
}

/* A tail page brings the device up to its last row or marker, or to the head. */
static enum postgres_code read_tail(struct postgres_conn *conn, const PGresult *markers,
                                    struct store_page *page)
{
    page->place.seq = page->row_count > 0 ? page->rows[page->row_count - 1].seq : page->after_seq;
    take_markers(markers, page);
    if (page->at_end) {
        page->place = page->head;
        return POSTGRES_OK;
    }
    size_t query = send_place(conn, &page->region_id, page->place.seq);
    enum postgres_code code = postgres_exchange(conn);
    if (code == POSTGRES_OK)
        take_place(postgres_result(conn, query), page->place.hash);
    return code;
}

static size_t send_revoked(struct postgres_conn *conn, const struct record_uuid *device_id)
{
    postgres_query(conn, "SELECT 1 FROM device WHERE device_id = $1 AND state <> $2");
    postgres_put_uuid(conn, device_id);
    postgres_put_int(conn, STORE_DEVICE_ACTIVE);
    return postgres_end_query(conn);
}

enum postgres_code postgres_read_page(struct postgres_conn *conn, struct store_page *page)
{
    struct store_head head;

    if (page->rows_max == 0 || page->rows_max > STORE_PAGE_ROWS_MAX)
        page->rows_max = STORE_PAGE_ROWS_MAX;
    if (page->bytes_max == 0 || page->bytes_max > STORE_PAGE_BYTES_MAX)
        page->bytes_max = STORE_PAGE_BYTES_MAX;
    rpc_buffer_init(&page->encoded, page->bytes_max + RECORD_ENVELOPE_BYTES_MAX);
    rpc_buffer_init(&page->markers, page->rows_max * MARKER_BYTES_MAX);
    page->row_count = 0;
    page->marker_count = 0;
    page->rows = calloc(page->rows_max, sizeof *page->rows);
    if (page->rows == NULL)
        return POSTGRES_NO_MEMORY;
    size_t revoked = send_revoked(conn, &page->device_id);
    size_t rows = send_rows(conn, page);
    size_t heads = send_head(conn, &page->region_id);
    size_t markers = page->snapshot ? 0 : send_markers(conn, page);
    enum postgres_code code = postgres_exchange(conn);
    if (code != POSTGRES_OK)
        return code;
    page->revoked = postgres_row_count(postgres_result(conn, revoked)) > 0;
    if (page->revoked)
        return POSTGRES_OK;
    if (!take_rows(postgres_result(conn, rows), page))
        return POSTGRES_NO_MEMORY;
    take_head(postgres_result(conn, heads), &page->region_id, &head);
    page->head = head.last;
    return page->snapshot ? POSTGRES_OK : read_tail(conn, postgres_result(conn, markers), page);
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
