/* SPDX-License-Identifier: Apache-2.0 */
#include "sqlite_rows.h"

struct rows_table {
    sqlite3_vtab base;
    struct sqlite_conn *conn;
};

struct rows_cursor {
    sqlite3_vtab_cursor base;
    sqlite3_int64 number;
};

static int table_connect(sqlite3 *db, void *context, int argc, const char *const *argv,
                         sqlite3_vtab **table_out, char **error_out)
{
    struct rows_table *table;
    int code = sqlite3_declare_vtab(
        db, "CREATE TABLE x(c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12)");

    (void)argc, (void)argv, (void)error_out;
    if (code != SQLITE_OK)
        return code;
    table = sqlite3_malloc(sizeof *table);
    if (table == NULL)
        return SQLITE_NOMEM;
    *table = (struct rows_table){.conn = context};
    *table_out = &table->base;
    return SQLITE_OK;
}

static int table_disconnect(sqlite3_vtab *table)
{
    sqlite3_free(table);
    return SQLITE_OK;
}

static int table_best_index(sqlite3_vtab *table, sqlite3_index_info *info)
{
    (void)table, (void)info;
    return SQLITE_OK;
}

static int cursor_open(sqlite3_vtab *table, sqlite3_vtab_cursor **cursor_out)
{
    struct rows_cursor *cursor = sqlite3_malloc(sizeof *cursor);

    (void)table;
    if (cursor == NULL)
        return SQLITE_NOMEM;
    *cursor = (struct rows_cursor){.number = 0};
    *cursor_out = &cursor->base;
    return SQLITE_OK;
}

static int cursor_close(sqlite3_vtab_cursor *cursor)
{
    sqlite3_free(cursor);
    return SQLITE_OK;
}

/* NULL outside of sqlite_rows_run. */
static struct sqlite_rows *rows_of(sqlite3_vtab_cursor *cursor)
{
    return ((struct rows_table *)cursor->pVtab)->conn->rows;
}

static int cursor_filter(sqlite3_vtab_cursor *cursor, int index, const char *name, int argc,
                         sqlite3_value **argv)
{
    (void)cursor, (void)index, (void)name, (void)argc, (void)argv;
    return SQLITE_OK;
}

static int cursor_next(sqlite3_vtab_cursor *cursor)
{
    struct sqlite_rows *rows = rows_of(cursor);

    rows->row = rows->next(rows->row);
    ((struct rows_cursor *)cursor)->number++;
    return SQLITE_OK;
}

static int cursor_eof(sqlite3_vtab_cursor *cursor)
{
    return rows_of(cursor) == NULL || rows_of(cursor)->row == NULL;
}

static int cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *context, int column)
{
    const struct sqlite_rows *rows = rows_of(cursor);

    rows->give(context, rows->row, column);
    return SQLITE_OK;
}

static int cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *rowid_out)
{
    *rowid_out = ((struct rows_cursor *)cursor)->number;
    return SQLITE_OK;
}

/* Without xCreate it is there by its name, and in no schema. */
static const sqlite3_module rows_module = {
    .xConnect = table_connect,
    .xDisconnect = table_disconnect,
    .xBestIndex = table_best_index,
    .xOpen = cursor_open,
    .xClose = cursor_close,
    .xFilter = cursor_filter,
    .xNext = cursor_next,
    .xEof = cursor_eof,
    .xColumn = cursor_column,
    .xRowid = cursor_rowid,
};

int sqlite_rows_register(struct sqlite_conn *conn)
{
    return sqlite3_create_module(conn->db, "sqlite_rows", &rows_module, conn);
}

int sqlite_rows_run(struct sqlite_conn *conn, const char *sql, struct sqlite_rows *rows)
{
    sqlite3_stmt *statement;
    int code;

    if (rows->row == NULL)
        return SQLITE_OK;
    statement = sqlite_conn_statement(conn, sql);
    if (statement == NULL)
        return sqlite_conn_failure(conn);
    conn->rows = rows;
    code = sqlite_conn_run(statement);
    conn->rows = NULL;
    return code;
}

void sqlite_give_bytes(sqlite3_context *context, const void *data, size_t len)
{
    sqlite3_result_blob64(context, len > 0 ? data : "", len, SQLITE_STATIC);
}

void sqlite_give_uuid(sqlite3_context *context, const struct record_uuid *id)
{
    sqlite_give_bytes(context, id->bytes, RECORD_UUID_LEN);
}

void sqlite_give_u64(sqlite3_context *context, uint64_t value)
{
    sqlite3_result_int64(context, (sqlite3_int64)value);
}
