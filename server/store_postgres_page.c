/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL engine's pages: of the tail by seq, of a snapshot by key, the families
 * of the device's facility first (R21). Pages are keyset reads and pass bodies through
 * as they are stored.
 *
 * A page ends by its rows or by its bytes, and no connection holds much more than a page,
 * however large records are (I12). Records are small nearly always: so the rows are asked
 * for with the bodies of those that are not too large for their share of a page. When
 * one comes without, early in the page, the page is asked for again with its bytes counted
 * by the database, which takes it twice as long.
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
    /* A record takes more than so many bytes of a page: nobody asks for more rows than
     * fill it. */
    ROW_BYTES_MIN = 64,
    /* A body is not too large for its share of a page by less. */
    SHARE_BYTES_MIN = 512,
};

/* ---- Rows ---------------------------------------------------------------- */

#define COLUMNS "family_id, type, id, version, deleted, stamp, seq, body"
enum { BODY_COLUMN = 7 };

/* The rows of a table expression in the order of a key, $2 at most: without the bodies
 * that have more than $3 bytes; or up to the row that makes it $3 bytes. */
struct page_sql {
    const char *small, *counted;
};

#define PAGE_SQL(rows, key)                                                                      \
    {                                                                                            \
        "SELECT family_id, type, id, version, deleted, stamp, seq,"                              \
        " CASE WHEN length(body) <= $3::bigint THEN body END FROM " rows " ORDER BY " key        \
        " LIMIT $2",                                                                             \
            "SELECT " COLUMNS " FROM (SELECT " COLUMNS ", sum(length(body)) OVER (ORDER BY " key \
            " ROWS UNBOUNDED PRECEDING) - length(body) AS before FROM " rows " ORDER BY " key    \
            " LIMIT $2) AS page WHERE before < $3"                                               \
    }

#define AFTER_KEY " (family_id, type, id) > ($4, $5, $6)"

/* Of a device that something is withheld from: the types that are not sent. */
#define NOT_WITHHELD(parameter) " AND type <> ALL(" parameter "::integer[])"

#define TAIL_ROWS "record WHERE region_id = $1 AND seq > $4"
static const struct page_sql tail_rows = PAGE_SQL(TAIL_ROWS, "seq");
static const struct page_sql tail_rows_withheld = PAGE_SQL(TAIL_ROWS NOT_WITHHELD("$5"), "seq");

#define ALL_ROWS "record WHERE region_id = $1 AND" AFTER_KEY " AND NOT deleted"
static const struct page_sql all_rows = PAGE_SQL(ALL_ROWS, "family_id, type, id");
static const struct page_sql all_rows_withheld =
    PAGE_SQL(ALL_ROWS NOT_WITHHELD("$7"), "family_id, type, id");
static const struct page_sql fill_rows =
    PAGE_SQL(ALL_ROWS " AND type = ANY($7::integer[])", "family_id, type, id");

/* The families that the facility lists, in their order, and of each its rows. */
#define OWN_ROWS(also)                                                                       \
    "(SELECT family_id AS listed FROM facility_family WHERE region_id = $1"                  \
    " AND facility_id = $7 AND family_id >= $4 ORDER BY family_id) AS f,"                    \
    " LATERAL (SELECT " COLUMNS " FROM record WHERE region_id = $1 AND family_id = f.listed" \
    " AND" AFTER_KEY " AND NOT deleted" also " OFFSET 0) AS r"
static const struct page_sql own_rows = PAGE_SQL(OWN_ROWS(""), "listed, type, id");
static const struct page_sql own_rows_withheld =
    PAGE_SQL(OWN_ROWS(NOT_WITHHELD("$8")), "listed, type, id");

/* The others; and of the listed ones those whose root was changed since the snapshot
 * began: they may have come to the facility when the first part had passed them (R21). */
#define REST_ROWS                                                                             \
    ALL_ROWS " AND NOT EXISTS (SELECT FROM facility_family f WHERE f.region_id = $1"          \
             " AND f.facility_id = $7 AND f.family_id = record.family_id AND EXISTS ("        \
             "SELECT FROM record root WHERE root.region_id = $1"                              \
             " AND root.family_id = f.family_id AND root.type = $8 AND root.id = f.family_id" \
             " AND root.seq <= $9 OFFSET 0) OFFSET 0)"
static const struct page_sql rest_rows = PAGE_SQL(REST_ROWS, "family_id, type, id");
static const struct page_sql rest_rows_withheld =
    PAGE_SQL(REST_ROWS NOT_WITHHELD("$10"), "family_id, type, id");

static const struct page_sql *rows_of(const struct store_page *page)
{
    bool withheld = page->type_count > 0;

    switch (page->part) {
    case STORE_TAIL:
        return withheld ? &tail_rows_withheld : &tail_rows;
    case STORE_OWN:
        return withheld ? &own_rows_withheld : &own_rows;
    case STORE_FILL:
        return &fill_rows;
    case STORE_REST:
        break;
    }
    if (record_uuid_is_zero(&page->facility))
        return withheld ? &all_rows_withheld : &all_rows;
    return withheld ? &rest_rows_withheld : &rest_rows;
}

/* How many rows are asked for, whose bodies have so many bytes at most. */
static size_t rows_asked(const struct store_page *page)
{
    size_t fill = page->bytes_max / ROW_BYTES_MIN + 1;

    return fill < page->rows_max ? fill : page->rows_max;
}

static size_t share_bytes(const struct store_page *page)
{
    size_t share = page->bytes_max / rows_asked(page);

    return share > SHARE_BYTES_MIN ? share : SHARE_BYTES_MIN;
}

/* The last parameter of each that has it. */
static size_t end_with_types(struct postgres_conn *conn, const struct store_page *page)
{
    struct postgres_array types;

    if (page->type_count == 0)
        return postgres_end_query(conn);
    postgres_array_init(&types, POSTGRES_INT);
    for (size_t i = 0; i < page->type_count; i++)
        postgres_array_add_int(&types, (int32_t)page->types[i]);
    postgres_put_array(conn, &types);
    postgres_array_deinit(&types);
    return postgres_end_query(conn);
}

static size_t send_rows(struct postgres_conn *conn, const struct scope_roles *roles,
                        const struct store_page *page, bool counted)
{
    const struct page_sql *sql = rows_of(page);
    bool by_facility = page->part == STORE_OWN ||
                       (page->part == STORE_REST && !record_uuid_is_zero(&page->facility));

    postgres_query(conn, counted ? sql->counted : sql->small);
    postgres_put_uuid(conn, &page->region_id);
    postgres_put_u64(conn, rows_asked(page));
    postgres_put_u64(conn, counted ? page->bytes_max : share_bytes(page));
    if (page->part == STORE_TAIL) {
        postgres_put_u64(conn, page->after_seq);
        return end_with_types(conn, page);
    }
    postgres_put_uuid(conn, &page->after.family);
    postgres_put_int(conn, (int32_t)page->after.type);
    postgres_put_uuid(conn, &page->after.id);
    if (by_facility)
        postgres_put_uuid(conn, &page->facility);
    if (by_facility && page->part == STORE_REST) {
        postgres_put_int(conn, (int32_t)roles->root->number);
        postgres_put_u64(conn, page->high_water);
    }
    return end_with_types(conn, page);
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
        .body = postgres_bytes(result, at, BODY_COLUMN),
    };
    struct store_row *row = &page->rows[page->row_count++];

    rpc_buffer_clear(scratch);
    record_image_encode(&image, scratch);
    row->key = image.key;
    row->stamp = postgres_u64(result, at, 5);
    row->seq = postgres_u64(result, at, 6);
    row->offset = page->encoded.len;
    wire_put_buffer(&page->encoded, PULL_RECORDS, scratch);
    row->len = page->encoded.len - row->offset;
}

/* Rows until the page is full, or one's body was not sent. */
static enum postgres_code take_rows(const PGresult *result, struct store_page *page)
{
    size_t count = postgres_row_count(result), at = 0;
    struct rpc_buffer scratch;

    /* About what it will be, so that it need not grow on the way. */
    (void)rpc_buffer_reserve(&page->encoded, PQresultMemorySize(result) < page->bytes_max
                                                 ? PQresultMemorySize(result)
                                                 : page->bytes_max);
    rpc_buffer_init(&scratch, RECORD_ENVELOPE_BYTES_MAX);
    while (at < count && page->encoded.len < page->bytes_max &&
           !postgres_is_null(result, at, BODY_COLUMN))
        page_add_row(result, at++, &scratch, page);
    page->at_end = at == count && count < rows_asked(page) && page->encoded.len < page->bytes_max;
    bool good = !page->encoded.failed;
    rpc_buffer_deinit(&scratch);
    return good ? POSTGRES_OK : POSTGRES_NO_MEMORY;
}

/* Whether a body that was not sent has left the page less than half full. */
static bool is_cut_short(size_t row_count, const struct store_page *page)
{
    return page->row_count < row_count &&
           (page->row_count == 0 ||
            (page->encoded.len < page->bytes_max / 2 && page->row_count < rows_asked(page) / 2));
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
    if (postgres_int(result, at, 1) == PUSH_MARKER_ENTERED)
        page->entered[page->entered_count++] = family;
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

/* A tail page brings the device up to its last row or marker, or to the head. The log
 * does not change: its hash is read when the snapshot has ended. */
static enum postgres_code read_tail(struct postgres_conn *conn, const PGresult *markers,
                                    struct store_page *page)
{
    page->place.seq = page->row_count > 0 ? page->rows[page->row_count - 1].seq : page->after_seq;
    take_markers(markers, page);
    if (page->at_end) {
        page->place = page->head;
        return POSTGRES_OK;
    }
    size_t query = postgres_send_place(conn, &page->region_id, page->place.seq);
    enum postgres_code code = postgres_exchange(conn);
    if (code == POSTGRES_OK)
        postgres_take_place(postgres_result(conn, query), page->place.hash);
    return code;
}

static enum postgres_code make_room(struct store_page *page)
{
    if (page->rows_max == 0 || page->rows_max > STORE_PAGE_ROWS_MAX)
        page->rows_max = STORE_PAGE_ROWS_MAX;
    if (page->bytes_max == 0 || page->bytes_max > STORE_PAGE_BYTES_MAX)
        page->bytes_max = STORE_PAGE_BYTES_MAX;
    store_page_deinit(page); /* of an earlier try */
    rpc_buffer_init(&page->encoded, page->bytes_max + RECORD_ENVELOPE_BYTES_MAX);
    rpc_buffer_init(&page->markers, page->rows_max * MARKER_BYTES_MAX);
    page->row_count = 0;
    page->marker_count = 0;
    page->entered_count = 0;
    page->rows = malloc(page->rows_max * sizeof *page->rows);
    if (page->part == STORE_TAIL)
        page->entered = malloc(page->rows_max * sizeof *page->entered);
    return page->rows != NULL && (page->part != STORE_TAIL || page->entered != NULL)
               ? POSTGRES_OK
               : POSTGRES_NO_MEMORY;
}

/* In the snapshot that has been begun, which ends with the same exchange. */
static enum postgres_code read_rows(struct postgres_conn *conn, const struct scope_roles *roles,
                                    struct store_page *page, bool counted, bool *cut_short_out)
{
    bool tail = page->part == STORE_TAIL;
    enum postgres_code code = make_room(page);
    struct store_head head;

    if (code != POSTGRES_OK)
        return code;
    struct postgres_refusals refused = postgres_send_refusals(conn, &page->caller, 1);
    size_t rows = send_rows(conn, roles, page, counted);
    size_t heads = postgres_send_head(conn, &page->region_id);
    size_t markers = tail ? send_markers(conn, page) : 0;
    code = postgres_exec(conn, "COMMIT");
    if (code != POSTGRES_OK)
        return code;
    postgres_take_refusals(conn, refused, &page->caller, 1, &page->refusal);
    if (page->refusal.why != STANDING_ADMITTED)
        return POSTGRES_OK;
    postgres_take_head(postgres_result(conn, heads), &page->region_id, &head);
    page->head = head.last;
    code = take_rows(postgres_result(conn, rows), page);
    *cut_short_out = is_cut_short(postgres_row_count(postgres_result(conn, rows)), page);
    return tail && code == POSTGRES_OK && !*cut_short_out
               ? read_tail(conn, postgres_result(conn, markers), page)
               : code;
}

static enum postgres_code read_page(struct postgres_conn *conn, const struct scope_roles *roles,
                                    struct store_page *page)
{
    bool cut_short = false;
    enum postgres_code code = read_rows(conn, roles, page, false, &cut_short);

    if (code != POSTGRES_OK || !cut_short)
        return code;
    postgres_send(conn, POSTGRES_BEGIN_SNAPSHOT);
    return read_rows(conn, roles, page, true, &cut_short);
}

enum postgres_code postgres_read_page(struct postgres_conn *conn, const struct scope_roles *roles,
                                      struct store_page *page)
{
    struct postgres_locks late = {.count = 0};
    enum postgres_code code = read_page(conn, roles, page);

    if (code != POSTGRES_OK || page->refusal.why != STANDING_ADMITTED ||
        page->head.seq >= page->known_seq)
        return code;
    postgres_locks_add(&late, &page->region_id);
    code = postgres_await_regions(conn, &late);
    return code == POSTGRES_OK ? read_page(conn, roles, page) : code;
}
