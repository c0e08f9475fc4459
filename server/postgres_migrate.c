/* SPDX-License-Identifier: Apache-2.0
 *
 * Schema migrations of the PostgreSQL store: the numbered files of sql/postgresql,
 * embedded in the program, each in one transaction, noted with a checksum. Two
 * programs that migrate at once wait for each other on a row of schema_migration.
 */
#include "sql_migrations.h"
#include "store_postgres.h"

#include <stdio.h>
#include <stdlib.h>

enum postgres_code postgres_run_text(struct postgres_conn *conn, const char *sql)
{
    static const char no_right[] = "42501";
    PGresult *result = PQexec(conn->pg, sql);
    ExecStatusType status = PQresultStatus(result);
    bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;

    if (!good) {
        const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        snprintf(conn->problem, sizeof conn->problem, "%s%s",
                 message != NULL ? message : "the connection is lost",
                 state != NULL && strcmp(state, no_right) == 0
                     ? ": name the role that owns the tables by --owner"
                     : "");
    }
    PQclear(result);
    return good ? POSTGRES_OK : POSTGRES_FAILED;
}

static bool hash_of(const char *sql, uint8_t hash[RECORD_SHA256_LEN])
{
    struct record_hasher *hasher = record_hasher_new();
    struct rpc_bytes text = rpc_bytes_view(sql, strlen(sql));

    if (hasher == NULL)
        return false;
    record_hash(hasher, &text, 1, hash);
    record_hasher_free(hasher);
    return true;
}

/* Version 0 is the row that everybody locks. */
static const char create_table[] =
    "CREATE TABLE IF NOT EXISTS schema_migration("
    "version integer NOT NULL PRIMARY KEY, name text NOT NULL, sha256 bytea NOT NULL);"
    "INSERT INTO schema_migration VALUES (0, 'lock', '') ON CONFLICT (version) DO NOTHING";

/* How far the schema is; -1: there is none, or another table of that name. */
static int read_version(struct postgres_conn *conn)
{
    PGresult *result = PQexec(conn->pg, "SELECT max(version) FROM schema_migration");
    int version = PQresultStatus(result) == PGRES_TUPLES_OK ? atoi(PQgetvalue(result, 0, 0)) : -1;

    PQclear(result);
    return version;
}

/* The number of the first migration whose text is not what was applied; 0: none. */
static int changed_migration(struct postgres_conn *conn)
{
    PGresult *result =
        PQexec(conn->pg, "SELECT version, encode(sha256, 'hex') FROM schema_migration"
                         " WHERE version > 0 ORDER BY version");
    char hex[2 * RECORD_SHA256_LEN + 1];
    uint8_t hash[RECORD_SHA256_LEN];
    int changed = 0;

    for (int row = 0; row < PQntuples(result) && changed == 0; row++) {
        int version = atoi(PQgetvalue(result, row, 0));
        if (version > (int)sql_migrations_postgresql_count ||
            !hash_of(sql_migrations_postgresql[version - 1].sql, hash))
            continue;
        for (size_t i = 0; i < sizeof hash; i++)
            snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        if (strcmp(hex, PQgetvalue(result, row, 1)) != 0)
            changed = version;
    }
    PQclear(result);
    return changed;
}

static enum postgres_code apply(struct postgres_conn *conn, const struct sql_migration *migration)
{
    static const char insert[] = "INSERT INTO schema_migration VALUES ($1, $2, $3)";
    uint8_t hash[RECORD_SHA256_LEN];
    char version[16];

    enum postgres_code code = postgres_run_text(conn, migration->sql);
    if (code != POSTGRES_OK)
        return code;
    if (!hash_of(migration->sql, hash))
        return POSTGRES_NO_MEMORY;
    snprintf(version, sizeof version, "%d", migration->version);
    const char *values[] = {version, migration->name, (const char *)hash};
    const int lens[] = {0, 0, sizeof hash};
    const int formats[] = {0, 0, 1};
    PGresult *result = PQexecParams(conn->pg, insert, 3, NULL, values, lens, formats, 0);
    code = PQresultStatus(result) == PGRES_COMMAND_OK ? POSTGRES_OK : POSTGRES_FAILED;
    PQclear(result);
    return code;
}

static struct rpc_status refusal(struct postgres_conn *conn, int version)
{
    int changed = changed_migration(conn);

    if (version > (int)sql_migrations_postgresql_count)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the store's schema is version %d and this outpostd knows %zu:"
                               " upgrade outpostd",
                               version, sql_migrations_postgresql_count);
    if (changed > 0)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "migration %d of the store's schema is not the one of this outpostd:"
                               " was it made by another build?",
                               changed);
    return rpc_status_ok();
}

/* One migration, if there is one to do; the version afterwards. */
static enum postgres_code migrate_one(struct postgres_conn *conn, int *version,
                                      struct rpc_status *refused)
{
    enum postgres_code code = postgres_run_text(
        conn, "BEGIN; SELECT 1 FROM schema_migration WHERE version = 0 FOR UPDATE");

    *version = read_version(conn);
    *refused = refusal(conn, *version);
    if (code == POSTGRES_OK && rpc_ok(refused) && *version < (int)sql_migrations_postgresql_count) {
        code = apply(conn, &sql_migrations_postgresql[*version]);
        if (code == POSTGRES_OK && *version + 1 == SQL_MIGRATION_TYPE_SUMS)
            code = postgres_count_types(conn);
        *version += code == POSTGRES_OK;
    }
    return postgres_run_text(conn, code == POSTGRES_OK ? "COMMIT" : "ROLLBACK") == POSTGRES_OK
               ? code
               : POSTGRES_FAILED;
}

struct rpc_status postgres_migrate(struct postgres_conn *conn)
{
    struct rpc_status refused = rpc_status_ok();
    int version = 0;

    enum postgres_code code = postgres_run_text(conn, create_table);
    do {
        if (code == POSTGRES_OK)
            code = migrate_one(conn, &version, &refused);
    } while (code == POSTGRES_OK && rpc_ok(&refused) &&
             version < (int)sql_migrations_postgresql_count);
    return code == POSTGRES_OK ? refused : postgres_conn_status(conn, code);
}

struct rpc_status postgres_check_schema(struct postgres_conn *conn)
{
    if (PQexitPipelineMode(conn->pg) != 1)
        return rpc_status_make(RPC_INTERNAL, "the connection is in use");
    int version = read_version(conn);
    struct rpc_status status =
        version < (int)sql_migrations_postgresql_count
            ? rpc_status_make(RPC_FAILED_PRECONDITION,
                              "the store's schema is version %d and this outpostd needs %zu: run"
                              " outpostd migrate",
                              version > 0 ? version : 0, sql_migrations_postgresql_count)
            : refusal(conn, version);
    PQenterPipelineMode(conn->pg);
    return status;
}
