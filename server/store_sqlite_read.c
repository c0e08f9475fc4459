/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's reads: pages, heads, and what the administrator asks
 * for. Pages pass bodies through as they are stored.
 */
#include "store_sqlite.h"

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

int sqlite_read_head(struct sqlite_conn *conn, const struct record_uuid *region_id,
                     struct store_head *head_out)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT last_seq, last_hash, records, digest FROM sync_region WHERE region_id = ?1");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    sqlite_bind_uuid(statement, 1, region_id);
    int code = sqlite3_step(statement);
    *head_out = (struct store_head){.region_id = *region_id};
    if (code == SQLITE_ROW) {
        head_out->last.seq = sqlite_column_u64(statement, 0);
        sqlite_column_copy(statement, 1, head_out->last.hash, STORE_HASH_LEN);
        head_out->records = sqlite_column_u64(statement, 2);
        head_out->digest = sqlite_column_u64(statement, 3);
    }
    sqlite3_reset(statement);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The hash of the entry with that seq; zeros when there is none. */
static int read_place_hash(struct sqlite_conn *conn, const struct record_uuid *region_id,
                           struct store_place *place)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT hash FROM change_log WHERE region_id = ?1 AND seq = ?2");

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
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
    int code = read_place_hash(conn, &asked->region_id, &place);
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
        return sqlite3_errcode(conn->db);
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
        return sqlite3_errcode(conn->db);
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
        code = sqlite_read_head(conn, regions[i], &hello->heads[hello->head_count++]);
    return code;
}

/* ---- Pages --------------------------------------------------------------- */

static sqlite3_stmt *page_statement(struct sqlite_conn *conn, const struct store_page *page)
{
    sqlite3_stmt *statement =
        page->snapshot
            ? sqlite_conn_statement(
                  conn, "SELECT family_id, type, id, version, deleted, stamp, seq, body FROM record"
                        " WHERE region_id = ?1 AND (family_id, type, id) > (?2, ?3, ?4)"
                        " AND deleted = 0 ORDER BY family_id, type, id LIMIT ?5")
            : sqlite_conn_statement(
                  conn, "SELECT family_id, type, id, version, deleted, stamp, seq, body FROM record"
                        " WHERE region_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3");

    if (statement == NULL)
        return NULL;
    sqlite_bind_uuid(statement, 1, &page->region_id);
    if (page->snapshot) {
        sqlite_bind_uuid(statement, 2, &page->after.family);
        sqlite3_bind_int64(statement, 3, page->after.type);
        sqlite_bind_uuid(statement, 4, &page->after.id);
        sqlite3_bind_int64(statement, 5, (sqlite3_int64)page->rows_max);
    } else {
        sqlite_bind_u64(statement, 2, page->after_seq);
        sqlite3_bind_int64(statement, 3, (sqlite3_int64)page->rows_max);
    }
    return statement;
}

/* Appends the row as one `records` field of a Pull, the body as it is stored. */
static void page_add_row(sqlite3_stmt *statement, struct rpc_buffer *scratch,
                         struct store_page *page)
{
    struct record_image image = {
        .key = {sqlite_column_uuid(statement, 0), (uint32_t)sqlite3_column_int64(statement, 1),
                sqlite_column_uuid(statement, 2)},
        .version = sqlite_column_u64(statement, 3),
        .deleted = sqlite3_column_int(statement, 4) != 0,
        .body = sqlite_column_view(statement, 7),
    };
    struct store_row *row = &page->rows[page->row_count++];

    rpc_buffer_clear(scratch);
    record_image_encode(&image, scratch);
    row->key = image.key;
    row->stamp = sqlite_column_u64(statement, 5);
    row->seq = sqlite_column_u64(statement, 6);
    row->offset = page->encoded.len;
    wire_put_message(&page->encoded, PULL_RECORDS, rpc_buffer_view(scratch));
    row->len = page->encoded.len - row->offset;
}

static int read_rows(struct sqlite_conn *conn, struct store_page *page)
{
    sqlite3_stmt *statement = page_statement(conn, page);
    struct rpc_buffer scratch;
    int code = SQLITE_DONE;

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    rpc_buffer_init(&scratch, RECORD_ENVELOPE_BYTES_MAX);
    while (page->encoded.len < page->bytes_max && page->row_count < page->rows_max &&
           (code = sqlite3_step(statement)) == SQLITE_ROW)
        page_add_row(statement, &scratch, page);
    page->at_end = code == SQLITE_DONE;
    bool no_memory = page->encoded.failed || scratch.failed;
    rpc_buffer_deinit(&scratch);
    sqlite3_reset(statement);
    if (no_memory)
        return SQLITE_NOMEM;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static void page_add_marker(sqlite3_stmt *statement, struct store_page *page)
{
    struct record_uuid family = sqlite_column_uuid(statement, 0);

    page->marker_count++;
    wire_put_tag(&page->markers, PULL_MARKERS, WIRE_LEN);
    wire_put_varint(&page->markers, 2 * (2 + RECORD_UUID_LEN) + 2);
    wire_put_bytes(&page->markers, MARKER_FAMILY_ID, rpc_bytes_view(family.bytes, RECORD_UUID_LEN));
    wire_put_bytes(&page->markers, MARKER_REGION_ID,
                   rpc_bytes_view(page->region_id.bytes, RECORD_UUID_LEN));
    wire_put_uint(&page->markers, MARKER_KIND, sqlite_column_u64(statement, 1));
    if (sqlite3_column_int(statement, 1) == PUSH_MARKER_ENTERED)
        page->entered[page->entered_count++] = family;
}

/* The markers among the rows of a tail page, up to its last seq. When they are
 * more than a page holds they end the page, and rows behind them wait. */
static int read_markers(struct sqlite_conn *conn, struct store_page *page)
{
    sqlite3_stmt *statement = sqlite_conn_statement(
        conn, "SELECT family_id, kind, seq FROM marker"
              " WHERE region_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4");
    uint64_t last = page->at_end ? INT64_MAX : page->rows[page->row_count - 1].seq;
    int code = SQLITE_DONE;

    if (statement == NULL)
        return sqlite3_errcode(conn->db);
    page->entered = calloc(page->rows_max, sizeof *page->entered);
    if (page->entered == NULL)
        return SQLITE_NOMEM;
    sqlite_bind_uuid(statement, 1, &page->region_id);
    sqlite_bind_u64(statement, 2, page->after_seq);
    sqlite_bind_u64(statement, 3, last);
    sqlite3_bind_int64(statement, 4, (sqlite3_int64)page->rows_max);
    while (page->marker_count < page->rows_max && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        page_add_marker(statement, page);
        last = sqlite_column_u64(statement, 2);
    }
    sqlite3_reset(statement);
    if (page->marker_count == page->rows_max) {
        while (page->row_count > 0 && page->rows[page->row_count - 1].seq > last)
            page->encoded.len = page->rows[--page->row_count].offset;
        page->place.seq = last;
        page->at_end = false;
        return SQLITE_OK;
    }
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* A tail page brings the device up to its last row or marker, or to the head. */
static int read_tail(struct sqlite_conn *conn, struct store_page *page)
{
    page->place.seq = page->row_count > 0 ? page->rows[page->row_count - 1].seq : page->after_seq;
    int code = read_markers(conn, page);

    if (code != SQLITE_OK)
        return code;
    if (page->at_end) {
        page->place = page->head;
        return SQLITE_OK;
    }
    return read_place_hash(conn, &page->region_id, &page->place);
}

int sqlite_read_page(struct sqlite_conn *conn, struct store_page *page)
{
    struct store_head head;
    int code;

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
        return SQLITE_NOMEM;
    code = sqlite_read_refusal(conn, &page->caller, &page->refusal);
    if (code != SQLITE_OK || page->refusal.why != STANDING_ADMITTED)
        return code;
    code = read_rows(conn, page);
    if (code == SQLITE_OK)
        code = sqlite_read_head(conn, &page->region_id, &head);
    if (code != SQLITE_OK)
        return code;
    page->head = head.last;
    return page->snapshot ? SQLITE_OK : read_tail(conn, page);
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
        return sqlite3_errcode(conn->db);
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
        return sqlite3_errcode(conn->db);
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
