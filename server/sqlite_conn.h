/* SPDX-License-Identifier: Apache-2.0
 *
 * One SQLite connection of the embedded store with its prepared statements.
 * Inside of store_sqlite*.c. A connection belongs to one thread.
 */
#ifndef OUTPOST_SERVER_SQLITE_CONN_H
#define OUTPOST_SERVER_SQLITE_CONN_H

#include "store.h"

#include <sqlite3.h>

/* Statements are kept by the address of their text, so each text must be a
 * literal (or static) and is prepared once per connection. */
enum { SQLITE_CONN_STATEMENTS_MAX = 128 };

struct sqlite_rows;

struct sqlite_conn {
    sqlite3 *db;
    struct sqlite_rows *rows; /* what sqlite_rows shows while a statement runs (sqlite_rows.h) */
    int failure; /* of a statement that could not be prepared; the transaction is lost */
    size_t statement_count;
    struct {
        const char *sql;
        sqlite3_stmt *statement;
    } statements[SQLITE_CONN_STATEMENTS_MAX];
};

struct rpc_status sqlite_conn_open(struct sqlite_conn *conn, const char *file, bool create);
void sqlite_conn_close(struct sqlite_conn *conn);

/* What a result code means for a request. */
struct rpc_status sqlite_conn_status(struct sqlite_conn *conn, int code);

/* Executes statements without parameters or results. */
int sqlite_conn_exec(struct sqlite_conn *conn, const char *sql);

/* Transactions of a connection that goes on after a failure. Ending one needs no
 * memory; should it fail all the same, the next begin makes up for it. */
int sqlite_conn_begin(struct sqlite_conn *conn, bool writes);
int sqlite_conn_commit(struct sqlite_conn *conn);
/* If one is open. */
void sqlite_conn_rollback(struct sqlite_conn *conn);

/* The prepared statement, reset and without bindings; NULL: sqlite_conn_failure tells why,
 * whatever was prepared after it, and the transaction cannot be committed. */
sqlite3_stmt *sqlite_conn_statement(struct sqlite_conn *conn, const char *sql);
/* SQLITE_OK: everything could be prepared since the transaction began. */
int sqlite_conn_failure(const struct sqlite_conn *conn);

/* Runs a statement that gives no row. SQLITE_DONE is turned into SQLITE_OK. */
int sqlite_conn_run(sqlite3_stmt *statement);

/* Bindings, 1-based; the bytes must live until the statement has run. */
void sqlite_bind_bytes(sqlite3_stmt *statement, int index, const void *data, size_t len);
void sqlite_bind_uuid(sqlite3_stmt *statement, int index, const struct record_uuid *id);
void sqlite_bind_u64(sqlite3_stmt *statement, int index, uint64_t value);

/* Columns, 0-based; bytes live until the next step. An id of a wrong length is
 * zeros: the caller's checks of content find it. */
struct rpc_bytes sqlite_column_view(sqlite3_stmt *statement, int index);
struct record_uuid sqlite_column_uuid(sqlite3_stmt *statement, int index);
uint64_t sqlite_column_u64(sqlite3_stmt *statement, int index);
/* Copies exactly len bytes, or zeros when the column has another length. */
void sqlite_column_copy(sqlite3_stmt *statement, int index, uint8_t *bytes_out, size_t len);

#endif
