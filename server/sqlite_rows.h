/* SPDX-License-Identifier: Apache-2.0
 *
 * Many rows by one statement: a table sqlite_rows with columns c0, c1, ... that shows what
 * is in memory, for INSERT .. SELECT. That costs half of what as many INSERTs do. Inside
 * of store_sqlite*.c.
 *
 * Such an INSERT says OR FAIL: then SQLite keeps no journal to undo the statement alone,
 * which nobody needs where a failure undoes the transaction.
 */
#ifndef OUTPOST_SERVER_SQLITE_ROWS_H
#define OUTPOST_SERVER_SQLITE_ROWS_H

#include "sqlite_conn.h"

/* A list in memory; what is shown must live until the statement has run. */
struct sqlite_rows {
    const void *row; /* the first; NULL: there is none */
    const void *(*next)(const void *row);
    void (*give)(sqlite3_context *context, const void *row, int column);
};

/* For a connection that was just opened. SQLITE_OK, or why not. */
int sqlite_rows_register(struct sqlite_conn *conn);

/* Runs a statement that reads sqlite_rows; with no row it is not run. */
int sqlite_rows_run(struct sqlite_conn *conn, const char *sql, struct sqlite_rows *rows);

void sqlite_give_bytes(sqlite3_context *context, const void *data, size_t len);
void sqlite_give_uuid(sqlite3_context *context, const struct record_uuid *id);
void sqlite_give_u64(sqlite3_context *context, uint64_t value);

#endif
