/* SPDX-License-Identifier: Apache-2.0
 *
 * Every connection of the embedded store is opened here, so that journal mode
 * and synchronous are right everywhere: WAL with synchronous=FULL (I1).
 */
#include "sqlite_conn.h"

#include "sqlite_rows.h"

#include <stdlib.h>

enum {
    /* Another process (an administrator's command) may hold the write lock for
     * a moment; its transactions are short. */
    BUSY_TIMEOUT_MS = 10000,
};

struct rpc_status sqlite_conn_open(struct sqlite_conn *conn, const char *file, bool create)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);

    *conn = (struct sqlite_conn){0};
    int code = sqlite3_open_v2(file, &conn->db, flags, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(conn->db, BUSY_TIMEOUT_MS);
        /* The size of a page is a new file's; another one keeps its own. */
        code = sqlite_conn_exec(conn, "PRAGMA page_size = 8192;"
                                      "PRAGMA journal_mode = WAL;"
                                      "PRAGMA synchronous = FULL;"
                                      "PRAGMA temp_store = MEMORY;"
                                      "PRAGMA cache_size = -16000;"
                                      "PRAGMA wal_autocheckpoint = 4000;");
    }
    if (code == SQLITE_OK)
        code = sqlite_rows_register(conn);
    if (code == SQLITE_OK)
        return rpc_status_ok();
    struct rpc_status status = sqlite_conn_status(conn, code);
    if (code == SQLITE_CANTOPEN)
        status =
            rpc_status_make(RPC_NOT_FOUND, "open the store %s: %s", file, sqlite3_errstr(code));
    sqlite_conn_close(conn);
    return status;
}

void sqlite_conn_close(struct sqlite_conn *conn)
{
    for (size_t i = 0; i < conn->statement_count; i++)
        sqlite3_finalize(conn->statements[i].statement);
    sqlite3_close(conn->db);
    *conn = (struct sqlite_conn){0};
}

struct rpc_status sqlite_conn_status(struct sqlite_conn *conn, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return rpc_status_ok();
    case SQLITE_FULL:
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "the server's disk is full; try later");
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return rpc_status_make(RPC_UNAVAILABLE, "the server's store is busy; try later");
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return rpc_status_make(RPC_UNAVAILABLE, "the server's store cannot be written: %s",
                               sqlite3_errstr(code));
    case SQLITE_NOMEM:
        return rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return rpc_status_make(RPC_DATA_LOSS,
                               "the server's store is damaged; restore it from a backup");
    default:
        return rpc_status_make(RPC_INTERNAL, "the server's store failed: %s (SQLite %d)",
                               sqlite3_errstr(code),
                               conn->db != NULL ? sqlite3_extended_errcode(conn->db) : code);
    }
}

int sqlite_conn_exec(struct sqlite_conn *conn, const char *sql)
{
    return sqlite3_exec(conn->db, sql, NULL, NULL, NULL);
}

sqlite3_stmt *sqlite_conn_statement(struct sqlite_conn *conn, const char *sql)
{
    for (size_t i = 0; i < conn->statement_count; i++) {
        if (conn->statements[i].sql == sql) {
            sqlite3_reset(conn->statements[i].statement);
            sqlite3_clear_bindings(conn->statements[i].statement);
            return conn->statements[i].statement;
        }
    }
    if (conn->statement_count == SQLITE_CONN_STATEMENTS_MAX)
        abort(); /* the program has more statements than the table */
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v3(conn->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL);
    if (code != SQLITE_OK) {
        conn->failure = code;
        return NULL;
    }
    conn->statements[conn->statement_count].sql = sql;
    conn->statements[conn->statement_count].statement = statement;
    conn->statement_count++;
    return statement;
}

int sqlite_conn_failure(const struct sqlite_conn *conn)
{
    return conn->failure;
}

static const char commit_sql[] = "COMMIT", rollback_sql[] = "ROLLBACK";

static int run_prepared(struct sqlite_conn *conn, const char *sql)
{
    sqlite3_stmt *statement = sqlite_conn_statement(conn, sql);

    return statement != NULL ? sqlite_conn_run(statement) : sqlite_conn_failure(conn);
}

int sqlite_conn_begin(struct sqlite_conn *conn, bool writes)
{
    conn->failure = SQLITE_OK;
    if (sqlite_conn_statement(conn, commit_sql) == NULL ||
        sqlite_conn_statement(conn, rollback_sql) == NULL)
        return sqlite_conn_failure(conn);
    sqlite_conn_rollback(conn);
    return run_prepared(conn, writes ? "BEGIN IMMEDIATE" : "BEGIN");
}

int sqlite_conn_commit(struct sqlite_conn *conn)
{
    return conn->failure == SQLITE_OK ? run_prepared(conn, commit_sql) : conn->failure;
}

/* A statement that was left before its last row would hold its snapshot beyond. */
void sqlite_conn_rollback(struct sqlite_conn *conn)
{
    for (size_t i = 0; i < conn->statement_count; i++)
        sqlite3_reset(conn->statements[i].statement);
    if (!sqlite3_get_autocommit(conn->db))
        run_prepared(conn, rollback_sql);
}

int sqlite_conn_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);

    sqlite3_reset(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

void sqlite_bind_bytes(sqlite3_stmt *statement, int index, const void *data, size_t len)
{
    /* A NULL pointer would bind SQL NULL; an empty value is not NULL here. */
    sqlite3_bind_blob64(statement, index, len > 0 ? data : "", len, SQLITE_STATIC);
}

void sqlite_bind_uuid(sqlite3_stmt *statement, int index, const struct record_uuid *id)
{
    sqlite_bind_bytes(statement, index, id->bytes, RECORD_UUID_LEN);
}

void sqlite_bind_u64(sqlite3_stmt *statement, int index, uint64_t value)
{
    sqlite3_bind_int64(statement, index, (sqlite3_int64)value);
}

struct rpc_bytes sqlite_column_view(sqlite3_stmt *statement, int index)
{
    const void *data = sqlite3_column_blob(statement, index);

    return rpc_bytes_view(data, (size_t)sqlite3_column_bytes(statement, index));
}

struct record_uuid sqlite_column_uuid(sqlite3_stmt *statement, int index)
{
    struct record_uuid id = {{0}};

    record_uuid_from_bytes(sqlite_column_view(statement, index), &id);
    return id;
}

uint64_t sqlite_column_u64(sqlite3_stmt *statement, int index)
{
    return (uint64_t)sqlite3_column_int64(statement, index);
}

void sqlite_column_copy(sqlite3_stmt *statement, int index, uint8_t *bytes_out, size_t len)
{
    struct rpc_bytes bytes = sqlite_column_view(statement, index);

    if (bytes.len == len)
        memcpy(bytes_out, bytes.data, len);
    else
        memset(bytes_out, 0, len);
}
