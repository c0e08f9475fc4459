/* SPDX-License-Identifier: Apache-2.0 */
#include "store_reference.h"

#include "outpost/rpc_bytes.h"

#include <libpq-fe.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void end_with(PGconn *conn, const char *what)
{
    fprintf(stderr, "store_bench: %s: %s", what, PQerrorMessage(conn));
    exit(EXIT_FAILURE);
}

static PGconn *connect_to(const char *conninfo)
{
    PGconn *conn = PQconnectdb(conninfo);

    if (PQstatus(conn) != CONNECTION_OK)
        end_with(conn, "connect");
    return conn;
}

static void run(PGconn *conn, const char *sql, ExecStatusType expected)
{
    PGresult *result = PQexec(conn, sql);

    if (PQresultStatus(result) != expected)
        end_with(conn, sql);
    PQclear(result);
}

static void end_copy(PGconn *conn)
{
    PGresult *result;

    while ((result = PQgetResult(conn)) != NULL) {
        if (PQresultStatus(result) != PGRES_COMMAND_OK)
            end_with(conn, "COPY");
        PQclear(result);
    }
}

/* ---- In ------------------------------------------------------------------------ */

static const char *const tables[] = {"record", "change_log", "mutation"};

enum { TABLES = sizeof tables / sizeof tables[0], CHUNK_LEN = 65536 };

static void take_out(PGconn *conn, const char *table, struct rpc_buffer *rows)
{
    char sql[100], *bytes;
    int len;

    snprintf(sql, sizeof sql, "COPY %s TO STDOUT (FORMAT binary)", table);
    run(conn, sql, PGRES_COPY_OUT);
    while ((len = PQgetCopyData(conn, &bytes, 0)) > 0) {
        rpc_buffer_append(rows, bytes, (size_t)len);
        PQfreemem(bytes);
    }
    end_copy(conn);
    if (rows->failed)
        end_with(conn, "out of memory");
}

static void put_back(PGconn *conn, const char *table, const struct rpc_buffer *rows)
{
    char sql[100];

    snprintf(sql, sizeof sql, "COPY %s FROM STDIN (FORMAT binary)", table);
    run(conn, sql, PGRES_COPY_IN);
    for (size_t at = 0; at < rows->len; at += CHUNK_LEN) {
        size_t len = rows->len - at < CHUNK_LEN ? rows->len - at : CHUNK_LEN;
        if (PQputCopyData(conn, (const char *)rows->data + at, (int)len) != 1)
            end_with(conn, sql);
    }
    if (PQputCopyEnd(conn, NULL) != 1)
        end_with(conn, sql);
    end_copy(conn);
}

double store_reference_copy_in(const char *conninfo)
{
    PGconn *conn = connect_to(conninfo);
    struct rpc_buffer rows[TABLES];

    for (size_t i = 0; i < TABLES; i++) {
        rpc_buffer_init(&rows[i], (size_t)1 << 30);
        take_out(conn, tables[i], &rows[i]);
    }
    run(conn, "TRUNCATE record, change_log, mutation", PGRES_COMMAND_OK);
    double started = now_s();
    run(conn, "BEGIN", PGRES_COMMAND_OK);
    for (size_t i = 0; i < TABLES; i++)
        put_back(conn, tables[i], &rows[i]);
    run(conn, "COMMIT", PGRES_COMMAND_OK);
    double took = now_s() - started;
    for (size_t i = 0; i < TABLES; i++)
        rpc_buffer_deinit(&rows[i]);
    PQfinish(conn);
    return took;
}

/* The best plan: in the order of the key's index. */
static const char plans[] = "SET enable_seqscan = off; SET enable_bitmapscan = off;"
                            "SET enable_sort = off; SET jit = off";

/* ---- Out ----------------------------------------------------------------------- */

double store_reference_copy_out(const char *conninfo, const char *region)
{
    PGconn *conn = connect_to(conninfo);
    char sql[300], *bytes;

    run(conn, plans, PGRES_COMMAND_OK);
    snprintf(sql, sizeof sql,
             "COPY (SELECT family_id, type, id, version, deleted, stamp, seq, body FROM record"
             " WHERE region_id = '%s' AND NOT deleted ORDER BY family_id, type, id)"
             " TO STDOUT (FORMAT binary)",
             region);
    double started = now_s();
    run(conn, sql, PGRES_COPY_OUT);
    while (PQgetCopyData(conn, &bytes, 0) > 0)
        PQfreemem(bytes);
    end_copy(conn);
    double took = now_s() - started;
    PQfinish(conn);
    return took;
}

double store_reference_keyset(const char *conninfo, const char *region, unsigned page_rows)
{
    static const int lens[] = {16, 4, 16}, formats[] = {1, 1, 1};
    PGconn *conn = connect_to(conninfo);
    char key[3][16] = {{0}}, sql[400];
    const char *values[] = {key[0], key[1], key[2]};
    int count;

    run(conn, plans, PGRES_COMMAND_OK);
    snprintf(sql, sizeof sql,
             "SELECT family_id, type, id, version, deleted, stamp, seq, body FROM record"
             " WHERE region_id = '%s' AND (family_id, type, id) > ($1::uuid, $2::integer, $3::uuid)"
             " AND NOT deleted ORDER BY family_id, type, id LIMIT %u",
             region, page_rows);
    PQclear(PQprepare(conn, "page", sql, 0, NULL));
    double started = now_s();
    do {
        PGresult *page = PQexecPrepared(conn, "page", 3, values, lens, formats, 1);
        if (PQresultStatus(page) != PGRES_TUPLES_OK)
            end_with(conn, "page");
        count = PQntuples(page);
        for (int i = 0; i < 3 && count > 0; i++)
            memcpy(key[i], PQgetvalue(page, count - 1, i), (size_t)lens[i]);
        PQclear(page);
    } while (count > 0);
    double took = now_s() - started;
    PQfinish(conn);
    return took;
}
