/* SPDX-License-Identifier: Apache-2.0
 *
 * The SQLite side of a copy. The write lock is held from the start: a server on the
 * file cannot go on while it is copied.
 */
#include "sqlite_conn.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>

enum { SQL_LEN = 4096 };

struct sqlite_side {
    struct transfer_side base;
    struct sqlite_conn conn;
    sqlite3_stmt *statement; /* of the table that is under way */
    const struct transfer_table *table;
    uint8_t numbers[TRANSFER_COLUMNS_MAX][8]; /* of the row that was read */
};

static struct rpc_status failed(struct sqlite_side *side, const char *what)
{
    struct rpc_status status =
        sqlite_conn_status(&side->conn, sqlite3_extended_errcode(side->conn.db));

    if (status.code == RPC_OK || status.code == RPC_INTERNAL)
        return rpc_status_make(RPC_INTERNAL, "%s %s: %s", what,
                               side->table != NULL ? side->table->name : "the store",
                               sqlite3_errmsg(side->conn.db));
    return status;
}

static struct rpc_status prepare(struct sqlite_side *side, const char *sql)
{
    sqlite3_finalize(side->statement);
    side->statement = NULL;
    if (sqlite3_prepare_v2(side->conn.db, sql, -1, &side->statement, NULL) == SQLITE_OK)
        return rpc_status_ok();
    return failed(side, "prepare the copy of");
}

/* ---- Reading ------------------------------------------------------------------- */

static struct rpc_status read_begin(struct transfer_side *base, const struct transfer_table *table)
{
    struct sqlite_side *side = (struct sqlite_side *)base;
    char columns[SQL_LEN], sql[SQL_LEN + 100];

    side->table = table;
    transfer_column_list(table, columns, sizeof columns);
    snprintf(sql, sizeof sql, "SELECT %s FROM %s", columns, table->name);
    return prepare(side, sql);
}

static size_t number_len(enum transfer_type type)
{
    return type == TRANSFER_BIGINT ? 8 : type == TRANSFER_INT ? 4 : 1;
}

static struct rpc_bytes read_cell(struct sqlite_side *side, int column)
{
    enum transfer_type type = side->table->columns[column].type;

    if (type == TRANSFER_UUID || type == TRANSFER_BYTES || type == TRANSFER_TEXT)
        return sqlite_column_view(side->statement, column);
    uint64_t value = sqlite_column_u64(side->statement, column);
    size_t len = number_len(type);
    for (size_t i = 0; i < len; i++)
        side->numbers[column][i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    return rpc_bytes_view(side->numbers[column], len);
}

static struct rpc_status read_row(struct transfer_side *base, struct transfer_row *row_out,
                                  bool *more_out)
{
    struct sqlite_side *side = (struct sqlite_side *)base;
    int code = sqlite3_step(side->statement);

    *more_out = code == SQLITE_ROW;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        return failed(side, "read");
    for (size_t i = 0; *more_out && i < side->table->column_count; i++)
        row_out->cells[i] = read_cell(side, (int)i);
    return rpc_status_ok();
}

/* ---- Writing ------------------------------------------------------------------- */

static struct rpc_status check_empty(struct transfer_side *base, const struct transfer_table *table)
{
    struct sqlite_side *side = (struct sqlite_side *)base;
    char sql[SQL_LEN];

    side->table = table;
    /* The counter that a new schema has goes: the source has one. */
    if (strcmp(table->name, "sync_region") == 0 &&
        sqlite_conn_exec(&side->conn, "DELETE FROM sync_region WHERE last_seq = 0") != SQLITE_OK)
        return failed(side, "empty");
    snprintf(sql, sizeof sql, "SELECT 1 FROM %s LIMIT 1", table->name);
    struct rpc_status status = prepare(side, sql);
    if (rpc_ok(&status) && sqlite3_step(side->statement) == SQLITE_ROW)
        status =
            rpc_status_make(RPC_FAILED_PRECONDITION,
                            "the target has rows in %s: copy into an empty store", table->name);
    return status;
}

static struct rpc_status write_begin(struct transfer_side *base, const struct transfer_table *table)
{
    struct sqlite_side *side = (struct sqlite_side *)base;
    char columns[SQL_LEN], sql[2 * SQL_LEN];

    side->table = table;
    transfer_column_list(table, columns, sizeof columns);
    int len = snprintf(sql, sizeof sql, "INSERT INTO %s(%s) VALUES (?", table->name, columns);
    for (size_t i = 1; i < table->column_count; i++)
        len += snprintf(sql + len, sizeof sql - (size_t)len, ", ?");
    snprintf(sql + len, sizeof sql - (size_t)len, ")");
    return prepare(side, sql);
}

static void write_cell(struct sqlite_side *side, int column, struct rpc_bytes cell)
{
    enum transfer_type type = side->table->columns[column].type;
    int at = column + 1;
    /* Sign-extended from its width. */
    uint64_t value = cell.len > 0 && cell.data[0] >= 0x80 ? UINT64_MAX : 0;

    if (type == TRANSFER_UUID || type == TRANSFER_BYTES) {
        sqlite_bind_bytes(side->statement, at, cell.data, cell.len);
        return;
    }
    if (type == TRANSFER_TEXT) {
        sqlite3_bind_text(side->statement, at, (const char *)cell.data, (int)cell.len,
                          SQLITE_STATIC);
        return;
    }
    for (size_t i = 0; i < cell.len; i++)
        value = value << 8 | cell.data[i];
    sqlite_bind_u64(side->statement, at, value);
}

static struct rpc_status write_row(struct transfer_side *base, const struct transfer_row *row)
{
    struct sqlite_side *side = (struct sqlite_side *)base;

    for (size_t i = 0; i < side->table->column_count; i++)
        write_cell(side, (int)i, row->cells[i]);
    int code = sqlite_conn_run(side->statement);
    sqlite3_reset(side->statement);
    return code == SQLITE_OK ? rpc_status_ok() : failed(side, "write");
}

static struct rpc_status write_end(struct transfer_side *base)
{
    (void)base;
    return rpc_status_ok();
}

/* ---- The transaction ----------------------------------------------------------- */

static struct rpc_status commit(struct transfer_side *base)
{
    struct sqlite_side *side = (struct sqlite_side *)base;

    sqlite3_finalize(side->statement);
    side->statement = NULL;
    int code = sqlite_conn_exec(&side->conn, "COMMIT");
    return code == SQLITE_OK ? rpc_status_ok() : failed(side, "commit");
}

static void close_side(struct transfer_side *base)
{
    struct sqlite_side *side = (struct sqlite_side *)base;

    sqlite3_finalize(side->statement);
    sqlite_conn_close(&side->conn); /* takes back what is not committed */
    free(side);
}

static const struct transfer_engine engine = {
    .commit = commit,
    .close = close_side,
    .read_begin = read_begin,
    .read_row = read_row,
    .check_empty = check_empty,
    .write_begin = write_begin,
    .write_row = write_row,
    .write_end = write_end,
};

struct rpc_status transfer_sqlite_open(const char *file, struct transfer_side **side_out)
{
    struct sqlite_side *side = calloc(1, sizeof *side);

    if (side == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "out of memory");
    side->base.engine = &engine;
    struct rpc_status status = sqlite_conn_open(&side->conn, file, false);
    if (!rpc_ok(&status)) {
        free(side);
        return status;
    }
    if (sqlite_conn_exec(&side->conn, "BEGIN IMMEDIATE") != SQLITE_OK) {
        status = failed(side, "lock");
        close_side(&side->base);
        return status;
    }
    *side_out = &side->base;
    return rpc_status_ok();
}
