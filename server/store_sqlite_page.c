/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite engine's pages: of the tail by seq, of a snapshot by key, the families of
 * the device's facility first (R21). Bodies pass through as they are stored.
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
    /* Rows of a family that are passed over one by one: a seek costs about as much. */
    WALK_STEPS = 10,
};

static void bind_after(sqlite3_stmt *statement, const struct record_key *after)
{
    sqlite_bind_uuid(statement, 2, &after->family);
    sqlite3_bind_int64(statement, 3, after->type);
    sqlite_bind_uuid(statement, 4, &after->id);
}

#define PAGE_COLUMNS "SELECT family_id, type, id, version, deleted, stamp, seq, body FROM record"

static const char tail_rows[] = PAGE_COLUMNS " WHERE region_id = ?1 AND seq > ?2 ORDER BY seq"
                                             " LIMIT ?5";

#define KEY_ROWS \
    PAGE_COLUMNS " WHERE region_id = ?1 AND (family_id, type, id) > (?2, ?3, ?4) AND deleted = 0"

static const char key_rows[] = KEY_ROWS " ORDER BY family_id, type, id";

/* A type that is left over is 0, which no record has. */
static const char fill_rows[] =
    KEY_ROWS " AND type IN (?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,"
             " ?20) ORDER BY family_id, type, id";

static const char *rows_of(enum store_part part)
{
    return part == STORE_TAIL ? tail_rows : part == STORE_FILL ? fill_rows : key_rows;
}

static sqlite3_stmt *page_statement(struct sqlite_conn *conn, const struct store_page *page)
{
    sqlite3_stmt *statement = sqlite_conn_statement(conn, rows_of(page->part));

    if (statement == NULL)
        return NULL;
    _Static_assert(ROLLOUT_TYPES_MAX == 16, "as the statement has it");
    sqlite_bind_uuid(statement, 1, &page->region_id);
    if (page->part == STORE_TAIL) {
        sqlite_bind_u64(statement, 2, page->after_seq);
        /* Rows that are passed over do not count. */
        sqlite3_bind_int64(statement, 5, page->type_count > 0 ? -1 : (sqlite3_int64)page->rows_max);
    } else {
        bind_after(statement, &page->after);
    }
    for (size_t i = 0; page->part == STORE_FILL && i < ROLLOUT_TYPES_MAX; i++)
        sqlite3_bind_int64(statement, 5 + (int)i, i < page->type_count ? page->types[i] : 0);
    return statement;
}

static bool is_withheld(const struct store_page *page, sqlite3_stmt *rows)
{
    return page->part != STORE_FILL && page->type_count > 0 &&
           rollout_withholds(page->types, page->type_count,
                             (uint32_t)sqlite3_column_int64(rows, 1));
}

/* The facility's families, walked beside a snapshot's rows, both by key: the first
 * part takes these alone, the rest passes over those that the first part has sent. One
 * whose root was changed since the snapshot began may have come to the facility when
 * the first part had passed it, and is not passed over (R21). */
struct family_walk {
    const struct store_page *page;
    uint32_t root_type;
    sqlite3_stmt *statement; /* NULL: there are none */
    sqlite3_stmt *root;      /* REST: the seq of a family's root */
    struct record_uuid next;
    bool more;
    struct record_uuid decided; /* the last listed family that was asked about */
    bool decided_sent;
    unsigned passed;        /* rows of it that were passed over */
    struct record_key seek; /* bound to the rows */
};

static int walk_step(struct family_walk *walk)
{
    int code = sqlite3_step(walk->statement);

    walk->more = code == SQLITE_ROW;
    if (walk->more)
        walk->next = sqlite_column_uuid(walk->statement, 0);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int walk_begin(struct sqlite_conn *conn, const struct scope_roles *roles,
                      const struct store_page *page, struct family_walk *walk)
{
    *walk = (struct family_walk){.page = page, .root_type = roles->root->number};
    if (page->part == STORE_TAIL || page->part == STORE_FILL ||
        record_uuid_is_zero(&page->facility))
        return SQLITE_OK;
    walk->statement =
        sqlite_conn_statement(conn, "SELECT family_id FROM facility_family WHERE region_id = ?1"
                                    " AND facility_id = ?3 AND family_id >= ?2 ORDER BY family_id");
    walk->root = sqlite_conn_statement(conn, "SELECT seq FROM record WHERE region_id = ?1"
                                             " AND family_id = ?2 AND type = ?3 AND id = ?2");
    if (walk->statement == NULL || walk->root == NULL)
        return sqlite_conn_failure(conn);
    sqlite_bind_uuid(walk->statement, 1, &page->region_id);
    sqlite_bind_uuid(walk->statement, 2, &page->after.family);
    sqlite_bind_uuid(walk->statement, 3, &page->facility);
    sqlite_bind_uuid(walk->root, 1, &page->region_id);
    sqlite3_bind_int64(walk->root, 3, walk->root_type);
    return walk_step(walk);
}

/* Whether the first part has sent the listed family that the rows stand in. Its root
 * is its first row nearly always, and need not be looked up. */
static int walk_was_sent(struct family_walk *walk, sqlite3_stmt *rows, bool *sent_out)
{
    int code = SQLITE_ROW;
    uint64_t seq = UINT64_MAX;

    if (record_uuid_compare(&walk->decided, &walk->next) != 0) {
        if (sqlite3_column_int64(rows, 1) == walk->root_type) {
            seq = sqlite_column_u64(rows, 6);
        } else {
            sqlite3_reset(walk->root);
            sqlite_bind_uuid(walk->root, 2, &walk->next);
            code = sqlite3_step(walk->root);
            if (code == SQLITE_ROW)
                seq = sqlite_column_u64(walk->root, 0);
        }
        walk->decided = walk->next;
        walk->decided_sent = seq <= walk->page->high_water;
        walk->passed = 0;
    }
    *sent_out = walk->decided_sent;
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The rows go on at the beginning of a family, or behind its end. */
static void walk_seek(struct family_walk *walk, sqlite3_stmt *rows,
                      const struct record_uuid *family, bool behind)
{
    walk->seek = (struct record_key){.family = *family, .type = behind ? UINT32_MAX : 0};
    memset(walk->seek.id.bytes, behind ? 0xff : 0, sizeof walk->seek.id.bytes);
    sqlite3_reset(rows);
    bind_after(rows, &walk->seek);
}

/* Whether the row that the rows stand on is of this part; if not, go on with the next.
 * SQLITE_DONE: no row is, from here on. */
static int walk_accepts(struct family_walk *walk, sqlite3_stmt *rows, bool *accepted_out)
{
    bool own = walk->page->part == STORE_OWN;
    struct record_uuid family = sqlite_column_uuid(rows, 0);
    int order = -1, code = SQLITE_OK;
    bool sent = false;

    while (walk->more && code == SQLITE_OK &&
           (order = record_uuid_compare(&walk->next, &family)) < 0)
        code = walk_step(walk);
    bool listed = walk->more && order == 0;
    if (code == SQLITE_OK && listed && !own)
        code = walk_was_sent(walk, rows, &sent);
    *accepted_out = own ? listed : !sent;
    if (code != SQLITE_OK || *accepted_out)
        return code;
    if (own && !walk->more)
        return SQLITE_DONE;
    if (own || ++walk->passed == WALK_STEPS)
        walk_seek(walk, rows, own ? &walk->next : &family, !own);
    return SQLITE_OK;
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
    wire_put_buffer(&page->encoded, PULL_RECORDS, scratch);
    row->len = page->encoded.len - row->offset;
}

/* Rows until the page is full (SQLITE_ROW) or there are no more (SQLITE_DONE). */
static int add_rows(sqlite3_stmt *rows, struct family_walk *walk, struct rpc_buffer *scratch,
                    struct store_page *page)
{
    bool accepted = true;

    while (page->encoded.len < page->bytes_max && page->row_count < page->rows_max) {
        int code = sqlite3_step(rows);
        if (code == SQLITE_ROW && walk->statement != NULL)
            code = walk_accepts(walk, rows, &accepted);
        if (code != SQLITE_ROW && code != SQLITE_OK)
            return code;
        if (accepted && !is_withheld(page, rows))
            page_add_row(rows, scratch, page);
    }
    return SQLITE_ROW;
}

static int read_rows(struct sqlite_conn *conn, const struct scope_roles *roles,
                     struct store_page *page)
{
    sqlite3_stmt *rows = page_statement(conn, page);
    struct family_walk walk;
    struct rpc_buffer scratch;
    int code = walk_begin(conn, roles, page, &walk);

    if (rows == NULL || code != SQLITE_OK)
        return code != SQLITE_OK ? code : sqlite_conn_failure(conn);
    rpc_buffer_init(&scratch, RECORD_ENVELOPE_BYTES_MAX);
    code =
        page->part == STORE_OWN && !walk.more ? SQLITE_DONE : add_rows(rows, &walk, &scratch, page);
    page->at_end = code == SQLITE_DONE;
    bool no_memory = page->encoded.failed;
    rpc_buffer_deinit(&scratch);
    sqlite3_reset(rows);
    sqlite3_reset(walk.statement);
    sqlite3_reset(walk.root);
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
        return sqlite_conn_failure(conn);
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
    return sqlite_read_place_hash(conn, &page->region_id, &page->place);
}

int sqlite_read_page(struct sqlite_conn *conn, const struct scope_roles *roles,
                     struct store_page *page)
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
    code = read_rows(conn, roles, page);
    if (code == SQLITE_OK)
        code = sqlite_read_head(conn, &page->region_id, &head);
    if (code != SQLITE_OK)
        return code;
    page->head = head.last;
    return page->part == STORE_TAIL ? read_tail(conn, page) : SQLITE_OK;
}
