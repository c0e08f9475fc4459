/* SPDX-License-Identifier: Apache-2.0
 *
 * Prepares a PostgreSQL database for serving: the schema, and who may do what.
 *
 * The role that serves holds just the rights listed here. It can add to the change log
 * and cannot change or delete what is in it, nor the tables, nor read the CA's key: who
 * breaks into a serving process cannot rewrite history.
 */
#include "sql_migrations.h"
#include "store_postgres.h"

#include <stdio.h>

enum { NAME_LEN = 2 * 63 + 3 /* of a role or schema, quoted */, SQL_LEN = 512 };

static const struct grant {
    const char *table;
    const char *rights; /* none: NULL */
} grants[] = {
    {"schema_migration", "SELECT"},
    {"sync_region", "SELECT, INSERT, UPDATE"},
    {"record", "SELECT, INSERT, UPDATE, DELETE"}, /* families leave a region */
    {"change_log", "SELECT, INSERT"},
    {"mutation", "SELECT, INSERT, UPDATE"},
    {"quarantine", "SELECT, INSERT, UPDATE, DELETE"}, /* a retried one goes */
    {"conflict", "SELECT, INSERT, UPDATE"},
    {"receipt", "SELECT, INSERT, UPDATE"},
    {"family", "SELECT, INSERT, UPDATE"},
    {"facility_family", "SELECT, INSERT, DELETE"},
    {"marker", "SELECT, INSERT, UPDATE"},
    {"device", "SELECT, INSERT, UPDATE"},
    {"device_region", "SELECT, INSERT, UPDATE"},
    {"setting", "SELECT, INSERT, UPDATE, DELETE"},
    {"rollout", "SELECT, INSERT, UPDATE"},
    {"rollout_switch", "SELECT, INSERT"},
    {"rollout_device", "SELECT, INSERT, DELETE"},
    {"enrolment", "SELECT, INSERT, UPDATE"},
    {"authority", NULL},
};

/* Whom the database takes conninfo's user for, as an SQL name. */
static struct rpc_status read_role(const char *conninfo, char role_out[NAME_LEN])
{
    struct postgres_conn conn;
    struct rpc_status status = postgres_conn_open(&conn, conninfo);

    if (!rpc_ok(&status))
        return status;
    size_t query = postgres_send(&conn, "SELECT quote_ident(current_user)");
    enum postgres_code code = postgres_exchange(&conn);
    if (code == POSTGRES_OK) {
        struct rpc_bytes name = postgres_bytes(postgres_result(&conn, query), 0, 0);
        snprintf(role_out, NAME_LEN, "%.*s", (int)name.len, (const char *)name.data);
    }
    status = postgres_conn_status(&conn, code);
    postgres_conn_close(&conn);
    return status;
}

static enum postgres_code run_grant(struct postgres_conn *owner, const struct grant *grant,
                                    const char *role)
{
    char sql[SQL_LEN];

    snprintf(sql, sizeof sql, "REVOKE ALL ON %s FROM %s", grant->table, role);
    enum postgres_code code = postgres_run_text(owner, sql);
    if (code != POSTGRES_OK || grant->rights == NULL)
        return code;
    snprintf(sql, sizeof sql, "GRANT %s ON %s TO %s", grant->rights, grant->table, role);
    return postgres_run_text(owner, sql);
}

static enum postgres_code run_grants(struct postgres_conn *owner, const char *schema,
                                     const char *role)
{
    char sql[SQL_LEN];

    snprintf(sql, sizeof sql, "BEGIN; GRANT USAGE ON SCHEMA %s TO %s", schema, role);
    enum postgres_code code = postgres_run_text(owner, sql);
    for (size_t i = 0; i < sizeof grants / sizeof grants[0] && code == POSTGRES_OK; i++)
        code = run_grant(owner, &grants[i], role);
    return code == POSTGRES_OK ? postgres_run_text(owner, "COMMIT") : code;
}

static struct rpc_status give_rights(struct postgres_conn *owner, const char *conninfo)
{
    char own[NAME_LEN], schema[NAME_LEN], role[NAME_LEN];
    struct rpc_status status = read_role(conninfo, role);

    if (!rpc_ok(&status))
        return status;
    PGresult *result =
        PQexec(owner->pg, "SELECT quote_ident(current_user), quote_ident(current_schema())");
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK;
    snprintf(own, sizeof own, "%s", good ? PQgetvalue(result, 0, 0) : "");
    snprintf(schema, sizeof schema, "%s", good ? PQgetvalue(result, 0, 1) : "");
    PQclear(result);
    if (!good)
        return postgres_conn_status(owner, POSTGRES_LOST);
    if (strcmp(own, role) == 0)
        return rpc_status_make(RPC_INVALID_ARGUMENT,
                               "--owner and the store's URI name one role, %s: the one that serves"
                               " must be another",
                               role);
    return postgres_conn_status(owner, run_grants(owner, schema, role));
}

static struct rpc_status prepare(struct postgres_conn *owner,
                                 const struct store_postgres_setup *setup)
{
    if (PQexitPipelineMode(owner->pg) != 1 || PQsetnonblocking(owner->pg, 0) != 0)
        return rpc_status_make(RPC_INTERNAL, "the connection is in use");
    struct rpc_status status = postgres_migrate(owner);
    for (size_t i = 0; setup->distributed && rpc_ok(&status) && i < sql_migrations_citus_count; i++)
        status = postgres_conn_status(owner, postgres_run_text(owner, sql_migrations_citus[i].sql));
    return rpc_ok(&status) && setup->owner != NULL ? give_rights(owner, setup->conninfo) : status;
}

struct rpc_status store_postgres_prepare(const struct store_postgres_setup *setup)
{
    struct postgres_conn owner;
    struct rpc_status status =
        postgres_conn_open(&owner, setup->owner != NULL ? setup->owner : setup->conninfo);

    if (!rpc_ok(&status))
        return status;
    status = prepare(&owner, setup);
    postgres_conn_close(&owner);
    return status;
}
