/* SPDX-License-Identifier: Apache-2.0 */
#include "test_store.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char place[2048];

static const char *database(void)
{
    return getenv("OUTPOST_TEST_POSTGRES");
}

bool test_store_is_sqlite(void)
{
    return database() == NULL;
}

/* VERB store_test_PID TAIL */
static bool change_schema(const char *verb, const char *tail)
{
    char sql[200];
    PGconn *conn = PQconnectdb(database());

    snprintf(sql, sizeof sql, "SET client_min_messages = warning; %s store_test_%d %s", verb,
             (int)getpid(), tail);
    PGresult *result = PQexec(conn, sql);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    if (!good)
        fprintf(stderr, "%s: %s", sql, PQerrorMessage(conn));
    PQclear(result);
    PQfinish(conn);
    return good;
}

struct rpc_status test_store_open(const struct store_options *options, struct store **store_out)
{
    if (test_store_is_sqlite()) {
        snprintf(place, sizeof place, "store_test_%d.db", (int)getpid());
        return store_sqlite_open(place, true, options, store_out);
    }
    if (!change_schema("CREATE SCHEMA", ""))
        return rpc_status_make(RPC_UNAVAILABLE, "no schema for the test");
    snprintf(place, sizeof place, "%s%coptions=-csearch_path%%3Dstore_test_%d", database(),
             strchr(database(), '?') != NULL ? '&' : '?', (int)getpid());
    struct rpc_status status =
        store_postgres_prepare(&(struct store_postgres_setup){.conninfo = place});
    return rpc_ok(&status) ? store_postgres_open(place, options, store_out) : status;
}

const char *test_store_place(void)
{
    return place;
}

void test_store_remove(void)
{
    if (!test_store_is_sqlite()) {
        change_schema("DROP SCHEMA", "CASCADE");
        return;
    }
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char path[sizeof place + 8];
        snprintf(path, sizeof path, "%s%s", place, ends[i]);
        unlink(path);
    }
}
