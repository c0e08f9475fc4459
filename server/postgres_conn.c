/* SPDX-License-Identifier: Apache-2.0
 *
 * Every connection to PostgreSQL is opened here, so that timeouts are set and
 * durability is checked everywhere (I1).
 */
#include "postgres_conn.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- Opening ------------------------------------------------------------------- */

/* Before the user's conninfo, which may say otherwise; then what it may not. */
static PGconn *connect_to(const char *conninfo)
{
    static const char *const names[] = {
        "connect_timeout",
        "tcp_user_timeout",
        "keepalives_idle",
        "application_name",
        "dbname",
        "target_session_attrs",
        NULL,
    };
    const char *const values[] = {
        "5", "10000", "10", "outpostd", conninfo, "read-write", NULL,
    };

    return PQconnectdbParams(names, values, 1);
}

/* Key look-ups are all that the engine asks for: from arrays into an index, row by row,
 * in the index's order. A planner without statistics, on a new database, would rather
 * read a region once for each batch (measured: 700 mutations a second instead of
 * 50,000); so every other way is off, and plans are made once, without looking at the
 * parameters. Off is a high cost, which must not start the JIT. lock_timeout is above what a
 * transaction takes, statement_timeout above that. */
static const char session[] = "SET lock_timeout = '5s';"
                              "SET statement_timeout = '30s';"
                              "SET idle_in_transaction_session_timeout = '60s';"
                              "SET enable_seqscan = off;"
                              "SET enable_hashjoin = off;"
                              "SET enable_mergejoin = off;"
                              "SET enable_bitmapscan = off;"
                              "SET enable_material = off;"
                              "SET enable_memoize = off;"
                              "SET enable_sort = off;"
                              "SET plan_cache_mode = force_generic_plan;"
                              "SET jit = off;"
                              "SET client_min_messages = warning";

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context, (void)result; /* they may quote values (I10) */
}

static bool setting_is_off(struct postgres_conn *conn, const char *show)
{
    PGresult *result = PQexec(conn->pg, show);
    bool off = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
               strcmp(PQgetvalue(result, 0, 0), "off") == 0;

    PQclear(result);
    return off;
}

static struct rpc_status prepare_session(struct postgres_conn *conn)
{
    PQsetNoticeReceiver(conn->pg, ignore_notice, NULL);
    if (setting_is_off(conn, "SHOW fsync") || setting_is_off(conn, "SHOW synchronous_commit"))
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the database runs with fsync or synchronous_commit off and would"
                               " lose acknowledged work: switch both on");
    PGresult *result = PQexec(conn->pg, session);
    bool good = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    if (good && PQenterPipelineMode(conn->pg) == 1 && PQsetnonblocking(conn->pg, 1) == 0)
        return rpc_status_ok();
    return rpc_status_make(RPC_UNAVAILABLE, "the database does not take the session's settings");
}

struct rpc_status postgres_conn_open(struct postgres_conn *conn, const char *conninfo)
{
    struct rpc_status status;

    memset(conn, 0, sizeof *conn);
    rpc_buffer_init(&conn->params, POSTGRES_PARAM_BYTES_MAX);
    conn->pg = connect_to(conninfo);
    if (conn->pg == NULL || PQstatus(conn->pg) != CONNECTION_OK) {
        const char *problem = conn->pg != NULL ? PQerrorMessage(conn->pg) : "out of memory";
        status = rpc_status_make(RPC_UNAVAILABLE, "connect to the database: %.*s",
                                 (int)strcspn(problem, "\n"), problem);
    } else {
        status = prepare_session(conn);
    }
    if (!rpc_ok(&status))
        postgres_conn_close(conn);
    return status;
}

static void drop_results(struct postgres_conn *conn)
{
    for (size_t i = 0; i < conn->sent_count; i++) {
        PQclear(conn->sent[i].result);
        conn->sent[i].result = NULL;
    }
    conn->sent_count = 0;
    conn->exchanged = false;
    conn->failed = POSTGRES_OK;
}

void postgres_conn_close(struct postgres_conn *conn)
{
    drop_results(conn);
    PQfinish(conn->pg);
    conn->pg = NULL;
    conn->statement_count = 0;
    rpc_buffer_deinit(&conn->params);
}

/* ---- Errors ---------------------------------------------------------------------- */

struct rpc_status postgres_conn_status(const struct postgres_conn *conn, enum postgres_code code)
{
    switch (code) {
    case POSTGRES_OK:
        return rpc_status_ok();
    case POSTGRES_AGAIN:
    case POSTGRES_BUSY:
        return rpc_status_make(RPC_UNAVAILABLE, "the server's database is busy; try later");
    case POSTGRES_LOST:
        return rpc_status_make(RPC_UNAVAILABLE, "the server's database is away; try later");
    case POSTGRES_FULL:
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "the server's disk is full; try later");
    case POSTGRES_NO_MEMORY:
        return rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later");
    case POSTGRES_ABSENT:
    case POSTGRES_FAILED:
        break;
    }
    return rpc_status_make(RPC_INTERNAL, "the server's database failed: %s", conn->problem);
}

static enum postgres_code set_problem(struct postgres_conn *conn, enum postgres_code code,
                                      const char *problem)
{
    snprintf(conn->problem, sizeof conn->problem, "%.*s", (int)strcspn(problem, "\n"), problem);
    return code;
}

/* The set that is worth another try; everything else would fail again. */
static enum postgres_code code_of_sqlstate(const char *state)
{
    static const struct {
        const char *state; /* or how it begins */
        enum postgres_code code;
    } codes[] = {
        {"40001", POSTGRES_AGAIN}, {"40P01", POSTGRES_AGAIN}, {"55P03", POSTGRES_BUSY},
        {"57P01", POSTGRES_LOST},  {"57P02", POSTGRES_LOST},  {"57P03", POSTGRES_LOST},
        {"25006", POSTGRES_LOST}, /* demoted: another one is the leader now */
        {"08", POSTGRES_LOST},     {"53100", POSTGRES_FULL},  {"53", POSTGRES_BUSY},
        {"57014", POSTGRES_BUSY}, /* statement_timeout */
    };

    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (strncmp(state, codes[i].state, strlen(codes[i].state)) == 0)
            return codes[i].code;
    return POSTGRES_FAILED;
}

/* The primary message only: details may quote values (I10). */
static enum postgres_code code_of_result(struct postgres_conn *conn, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

    if (state == NULL)
        return set_problem(conn, POSTGRES_LOST, PQerrorMessage(conn->pg));
    if (strcmp(state, "23505") == 0 && !conn->collided) {
        conn->collided = true;
        return set_problem(conn, POSTGRES_AGAIN, "a row was there already");
    }
    return set_problem(conn, code_of_sqlstate(state), message != NULL ? message : state);
}

/* ---- Putting a query together ------------------------------------------------------ */

void postgres_query(struct postgres_conn *conn, const char *sql)
{
    if (conn->exchanged)
        drop_results(conn);
    conn->sql = sql;
    conn->param_count = 0;
    rpc_buffer_clear(&conn->params);
}

static void put(struct postgres_conn *conn, const void *data, int len)
{
    if (conn->param_count == POSTGRES_PARAMS_MAX)
        abort(); /* a query of this program has too many */
    conn->param_offsets[conn->param_count] = conn->params.len;
    conn->param_lens[conn->param_count++] = len;
    if (len > 0)
        rpc_buffer_append(&conn->params, data, (size_t)len);
}

void postgres_put_id16(struct postgres_conn *conn, const uint8_t bytes[16])
{
    put(conn, bytes, 16);
}

void postgres_put_uuid(struct postgres_conn *conn, const struct record_uuid *id)
{
    postgres_put_id16(conn, id->bytes);
}

void postgres_put_bytes(struct postgres_conn *conn, const void *data, size_t len)
{
    put(conn, data, (int)len);
}

void postgres_put_text(struct postgres_conn *conn, const char *text, size_t len)
{
    put(conn, text, (int)len);
}

void postgres_put_u64(struct postgres_conn *conn, uint64_t value)
{
    uint8_t bytes[8];

    postgres_big_endian(value, sizeof bytes, bytes);
    put(conn, bytes, sizeof bytes);
}

void postgres_put_int(struct postgres_conn *conn, int32_t value)
{
    uint8_t bytes[4];

    postgres_big_endian((uint32_t)value, sizeof bytes, bytes);
    put(conn, bytes, sizeof bytes);
}

void postgres_put_bool(struct postgres_conn *conn, bool value)
{
    uint8_t byte = value;

    put(conn, &byte, 1);
}

void postgres_put_null(struct postgres_conn *conn)
{
    put(conn, NULL, -1);
}

/* ---- Sending --------------------------------------------------------------------------- */

static size_t statement_of(struct postgres_conn *conn, const char *sql)
{
    for (size_t i = 0; i < conn->statement_count; i++)
        if (conn->statements[i].sql == sql)
            return i;
    if (conn->statement_count == POSTGRES_STATEMENTS_MAX)
        abort(); /* the program has more statements than the table */
    conn->statements[conn->statement_count] = (struct postgres_statement){.sql = sql};
    return conn->statement_count++;
}

static bool note_sent(struct postgres_conn *conn, size_t statement, bool prepares)
{
    if (conn->sent_count == 2 * POSTGRES_QUERIES_MAX) {
        conn->failed = POSTGRES_NO_MEMORY;
        return false;
    }
    conn->sent[conn->sent_count++] =
        (struct postgres_sent){.statement = statement, .prepares = prepares};
    return true;
}

static bool is_prepared(const struct postgres_conn *conn, size_t statement)
{
    if (conn->statements[statement].prepared)
        return true;
    for (size_t i = 0; i < conn->sent_count; i++)
        if (conn->sent[i].prepares && conn->sent[i].statement == statement)
            return true;
    return false;
}

size_t postgres_end_query(struct postgres_conn *conn)
{
    const char *values[POSTGRES_PARAMS_MAX];
    int formats[POSTGRES_PARAMS_MAX];
    char name[16];

    if (conn->params.failed)
        conn->failed = POSTGRES_NO_MEMORY;
    if (conn->pg == NULL)
        conn->failed = POSTGRES_LOST;
    if (conn->failed != POSTGRES_OK)
        return 0;
    size_t statement = statement_of(conn, conn->sql);
    snprintf(name, sizeof name, "s%zu", statement);
    for (int i = 0; i < conn->param_count; i++) {
        values[i] = conn->param_lens[i] < 0 ? NULL
                    : conn->params.data != NULL
                        ? (const char *)conn->params.data + conn->param_offsets[i]
                        : "";
        formats[i] = 1;
    }
    if (!is_prepared(conn, statement) &&
        (!note_sent(conn, statement, true) ||
         PQsendPrepare(conn->pg, name, conn->sql, conn->param_count, NULL) != 1))
        conn->failed = conn->failed != POSTGRES_OK ? conn->failed : POSTGRES_LOST;
    if (conn->failed == POSTGRES_OK && note_sent(conn, statement, false) &&
        PQsendQueryPrepared(conn->pg, name, conn->param_count, values, conn->param_lens, formats,
                            1) != 1)
        conn->failed = POSTGRES_LOST;
    return conn->sent_count - 1;
}

size_t postgres_send(struct postgres_conn *conn, const char *sql)
{
    postgres_query(conn, sql);
    return postgres_end_query(conn);
}

/* ---- Receiving --------------------------------------------------------------------------- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until a result can be taken without waiting. Writes what is left to write
 * meanwhile: the database may not read before somebody reads from it. */
static bool await_result(struct postgres_conn *conn, int64_t deadline_ms)
{
    for (;;) {
        int unsent = PQflush(conn->pg);
        if (unsent < 0)
            return false;
        if (unsent == 0 && PQisBusy(conn->pg) == 0)
            return true;
        struct pollfd socket = {.fd = PQsocket(conn->pg),
                                .events = (short)(POLLIN | (unsent > 0 ? POLLOUT : 0))};
        int64_t left = deadline_ms - now_ms();
        int ready = left > 0 ? poll(&socket, 1, (int)left) : 0;
        if (ready == 0 || (ready < 0 && errno != EINTR))
            return false;
        if ((socket.revents & ~POLLOUT) != 0 && PQconsumeInput(conn->pg) != 1)
            return false;
    }
}

static PGresult *next_result(struct postgres_conn *conn, int64_t deadline_ms, bool *lost)
{
    *lost = *lost || !await_result(conn, deadline_ms);
    return *lost ? NULL : PQgetResult(conn->pg);
}

static enum postgres_code take_results(struct postgres_conn *conn)
{
    enum postgres_code code = POSTGRES_OK;
    int64_t deadline_ms = now_ms() + POSTGRES_EXCHANGE_MS;
    bool lost = false;

    for (size_t i = 0; i < conn->sent_count && !lost; i++) {
        struct postgres_sent *sent = &conn->sent[i];
        sent->result = next_result(conn, deadline_ms, &lost);
        ExecStatusType status = PQresultStatus(sent->result);
        bool good = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        if (good && sent->prepares)
            conn->statements[sent->statement].prepared = true;
        if (!good && code == POSTGRES_OK && !lost)
            code = code_of_result(conn, sent->result);
        PQclear(next_result(conn, deadline_ms, &lost)); /* the NULL that ends it */
    }
    PGresult *end = next_result(conn, deadline_ms, &lost);
    if (!lost && PQresultStatus(end) != PGRES_PIPELINE_SYNC)
        lost = true;
    PQclear(end);
    if (lost)
        code = set_problem(conn, POSTGRES_LOST, "no answer");
    return code;
}

enum postgres_code postgres_exchange(struct postgres_conn *conn)
{
    enum postgres_code code = conn->failed;

    conn->exchanged = true;
    if (conn->pg == NULL || (code == POSTGRES_OK && PQpipelineSync(conn->pg) != 1))
        code = POSTGRES_LOST;
    if (code == POSTGRES_OK)
        code = take_results(conn);
    else if (code == POSTGRES_NO_MEMORY)
        /* Half an exchange is in the pipeline, and no way to take it back. */
        code = conn->sent_count > 0 ? POSTGRES_LOST : POSTGRES_NO_MEMORY;
    return code;
}

enum postgres_code postgres_exec(struct postgres_conn *conn, const char *sql)
{
    postgres_send(conn, sql);
    return postgres_exchange(conn);
}

bool postgres_in_transaction(const struct postgres_conn *conn)
{
    return (!conn->exchanged && conn->sent_count > 0) ||
           PQtransactionStatus(conn->pg) != PQTRANS_IDLE;
}

void postgres_rollback(struct postgres_conn *conn)
{
    if (conn->pg == NULL)
        return;
    if (!conn->exchanged && conn->sent_count > 0)
        (void)postgres_exchange(conn);
    PGTransactionStatusType state = PQtransactionStatus(conn->pg);
    if (state == PQTRANS_INTRANS || state == PQTRANS_INERROR)
        (void)postgres_exec(conn, "ROLLBACK");
}

const PGresult *postgres_result(const struct postgres_conn *conn, size_t query)
{
    return conn->sent[query].result;
}
