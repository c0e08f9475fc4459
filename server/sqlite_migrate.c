/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema migrations of the embedded store: the numbered files of sql/sqlite,
 * embedded in the program, each in one transaction, noted with a checksum. A
 * database newer than the program is refused and left untouched.
 */
#include "sql_migrations.h"
#include "store_sqlite.h"

static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS schema_migration("
    "version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL, sha256 BLOB NOT NULL)";

static int read_version(struct sqlite_conn *conn, int *version_out)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(
        conn->db, "SELECT coalesce(max(version), 0) FROM schema_migration", -1, &statement, NULL);

    if (code == SQLITE_OK && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        *version_out = sqlite3_column_int(statement, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code;
}

static int apply(struct sqlite_conn *conn, const struct sql_migration *migration)
{
    struct record_hasher *hasher = record_hasher_new();
    struct rpc_bytes text = rpc_bytes_view(migration->sql, strlen(migration->sql));
    uint8_t hash[RECORD_SHA256_LEN];
    sqlite3_stmt *statement = NULL;

    if (hasher == NULL)
        return SQLITE_NOMEM;
    record_hash(hasher, &text, 1, hash);
    record_hasher_free(hasher);
    int code = sqlite_conn_exec(conn, migration->sql);
    if (code == SQLITE_OK)
        code = sqlite3_prepare_v2(conn->db,
                                  "INSERT INTO schema_migration(version, name, sha256)"
                                  " VALUES (?1, ?2, ?3)",
                                  -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_int(statement, 1, migration->version);
        sqlite3_bind_text(statement, 2, migration->name, -1, SQLITE_STATIC);
        sqlite_bind_bytes(statement, 3, hash, sizeof hash);
        code = sqlite_conn_run(statement);
    }
    sqlite3_finalize(statement);
    return code;
}

struct rpc_status sqlite_migrate(struct sqlite_conn *conn)
{
    int version = 0;
    int code = sqlite_conn_exec(conn, "BEGIN IMMEDIATE");

    if (code == SQLITE_OK)
        code = sqlite_conn_exec(conn, create_table);
    if (code == SQLITE_OK)
        code = read_version(conn, &version);
    bool newer = code == SQLITE_OK && version > (int)sql_migrations_sqlite_count;
    for (size_t i = (size_t)version; i < sql_migrations_sqlite_count && code == SQLITE_OK; i++)
        code = apply(conn, &sql_migrations_sqlite[i]);
    if (code == SQLITE_OK && version > 0 && version < SQL_MIGRATION_TYPE_SUMS)
        code = sqlite_count_types(conn);
    if (code == SQLITE_OK && !newer)
        code = sqlite_conn_exec(conn, "COMMIT");
    struct rpc_status status = sqlite_conn_status(conn, code);
    if (!sqlite3_get_autocommit(conn->db))
        sqlite_conn_exec(conn, "ROLLBACK");
    if (newer)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the store's schema is version %d and this outpostd knows %zu:"
                               " upgrade outpostd",
                               version, sql_migrations_sqlite_count);
    return status;
}
