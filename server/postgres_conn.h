/* SPDX-License-Identifier: Apache-2.0
 *
 * One PostgreSQL connection of the store: prepared statements, binary parameters
 * and results, pipelines with a deadline. Inside of store_postgres*.c. A connection
 * belongs to one thread, which it may block; the loop's thread never touches one.
 *
 * An exchange is one round trip: any number of queries are put together and sent,
 * then all results are there. The first error ends the exchange; what it means for
 * the transaction is in enum postgres_code.
 *
 *     postgres_query(conn, "SELECT body FROM record WHERE region_id = $1");
 *     postgres_put_uuid(conn, &region_id);
 *     size_t records = postgres_end_query(conn);
 *     code = postgres_exchange(conn);
 *     const PGresult *result = postgres_result(conn, records);
 */
#ifndef OUTPOST_SERVER_POSTGRES_CONN_H
#define OUTPOST_SERVER_POSTGRES_CONN_H

#include "store.h"

#include <libpq-fe.h>

enum {
    /* Queries of one exchange: what a push of many regions needs, with room. */
    POSTGRES_QUERIES_MAX = 1024,
    /* Statements that a connection keeps prepared: all that the engine has. */
    POSTGRES_STATEMENTS_MAX = 128,
    POSTGRES_PARAMS_MAX = 16,
    /* Bytes of one query's parameters: a transaction of the largest batches. */
    POSTGRES_PARAM_BYTES_MAX = 256 * 1024 * 1024,
    /* Until the answer to an exchange: above statement_timeout, so that the database
     * speaks first. */
    POSTGRES_EXCHANGE_MS = 40000,
    POSTGRES_PROBLEM_LEN = 200,
};

enum postgres_code {
    POSTGRES_OK,
    POSTGRES_AGAIN,     /* a conflict with another transaction: run it again */
    POSTGRES_BUSY,      /* it took too long, or a lock was not to be had: later */
    POSTGRES_LOST,      /* the connection is gone, or its server does not write any more */
    POSTGRES_FULL,      /* no room on the database's disk */
    POSTGRES_NO_MEMORY, /* here */
    POSTGRES_ABSENT,    /* not an error of the database: what was asked for is not there */
    POSTGRES_FAILED,    /* anything else; see problem */
};

struct postgres_conn {
    PGconn *pg; /* NULL: not connected */
    size_t statement_count;
    struct postgres_statement {
        const char *sql; /* its address is its name */
        bool prepared;
    } statements[POSTGRES_STATEMENTS_MAX];
    /* The query that is put together. */
    const char *sql;
    int param_count;
    size_t param_offsets[POSTGRES_PARAMS_MAX];
    int param_lens[POSTGRES_PARAMS_MAX]; /* -1: NULL */
    struct rpc_buffer params;
    /* The exchange that is put together, or is over. */
    size_t sent_count;
    struct postgres_sent {
        size_t statement;
        bool prepares; /* its result is that of a PREPARE */
        PGresult *result;
    } sent[2 * POSTGRES_QUERIES_MAX];
    bool exchanged;
    enum postgres_code failed; /* while putting together */
    /* A row that was inserted as new was there. That is said to be worth another try, once;
     * whoever makes that writes otherwise, and makes it false when it is through. */
    bool collided;
    char problem[POSTGRES_PROBLEM_LEN];
};

/* Connects, waiting; conninfo is anything that libpq takes, several hosts too. The
 * first one that takes writes is used. FAILED_PRECONDITION: its settings would lose
 * acknowledged work (fsync or synchronous_commit off). */
struct rpc_status postgres_conn_open(struct postgres_conn *conn, const char *conninfo);
void postgres_conn_close(struct postgres_conn *conn);

/* What a code means for a request. */
struct rpc_status postgres_conn_status(const struct postgres_conn *conn, enum postgres_code code);

/* Executes statements without parameters or results, each by itself. */
enum postgres_code postgres_exec(struct postgres_conn *conn, const char *sql);

/* ---- An exchange ------------------------------------------------------------- */

/* Begins a query; sql must be a literal (or static). After a finished exchange it
 * drops that one's results. */
void postgres_query(struct postgres_conn *conn, const char *sql);
/* Its parameters, $1 first. */
void postgres_put_uuid(struct postgres_conn *conn, const struct record_uuid *id);
void postgres_put_id16(struct postgres_conn *conn, const uint8_t bytes[16]); /* as uuid */
void postgres_put_bytes(struct postgres_conn *conn, const void *data, size_t len);
void postgres_put_text(struct postgres_conn *conn, const char *text, size_t len);
void postgres_put_u64(struct postgres_conn *conn, uint64_t value); /* as bigint */
void postgres_put_int(struct postgres_conn *conn, int32_t value);
void postgres_put_bool(struct postgres_conn *conn, bool value);
void postgres_put_null(struct postgres_conn *conn);
/* Sends it; the number is for postgres_result. */
size_t postgres_end_query(struct postgres_conn *conn);
/* A query without parameters. */
size_t postgres_send(struct postgres_conn *conn, const char *sql);

/* Waits for all. Not OK: no result is good. */
enum postgres_code postgres_exchange(struct postgres_conn *conn);

/* Whether one is open, or something is put together: some end theirs with an exchange. */
bool postgres_in_transaction(const struct postgres_conn *conn);

/* Drops what was put together and not exchanged, if anything, and ends the open
 * transaction, if any. */
void postgres_rollback(struct postgres_conn *conn);

/* ---- Cells: postgres_cells.c ------------------------------------------------------ */

void postgres_big_endian(uint64_t value, size_t len, uint8_t *bytes_out);

/* ---- Arrays as parameters -------------------------------------------------------- */

enum postgres_type {
    POSTGRES_UUID = 2950,
    POSTGRES_BYTEA = 17,
    POSTGRES_BIGINT = 20,
    POSTGRES_INT = 23,
    POSTGRES_BOOL = 16,
};

struct postgres_array {
    struct rpc_buffer bytes;
    uint32_t count;
};

void postgres_array_init(struct postgres_array *array, enum postgres_type type);
void postgres_array_deinit(struct postgres_array *array);
void postgres_array_add_uuid(struct postgres_array *array, const struct record_uuid *id);
void postgres_array_add_id16(struct postgres_array *array, const uint8_t bytes[16]);
void postgres_array_add_bytes(struct postgres_array *array, struct rpc_bytes bytes);
void postgres_array_add_u64(struct postgres_array *array, uint64_t value);
void postgres_array_add_int(struct postgres_array *array, int32_t value);
void postgres_array_add_bool(struct postgres_array *array, bool value);
void postgres_put_array(struct postgres_conn *conn, struct postgres_array *array);

/* ---- Results ---------------------------------------------------------------------- */

/* Lives until the next exchange is begun; in postgres_conn.c. */
const PGresult *postgres_result(const struct postgres_conn *conn, size_t query);

/* Rows that the query gave, or changed. */
size_t postgres_row_count(const PGresult *result);
uint64_t postgres_changed(const PGresult *result);

/* Columns, 0-based. An id of a wrong length is zeros: checks of content find it. */
bool postgres_is_null(const PGresult *result, size_t row, int column);
struct rpc_bytes postgres_bytes(const PGresult *result, size_t row, int column);
struct record_uuid postgres_uuid(const PGresult *result, size_t row, int column);
uint64_t postgres_u64(const PGresult *result, size_t row, int column);
int32_t postgres_int(const PGresult *result, size_t row, int column);
bool postgres_bool(const PGresult *result, size_t row, int column);
/* Copies exactly len bytes, or zeros when the column has another length. */
void postgres_copy(const PGresult *result, size_t row, int column, uint8_t *bytes_out, size_t len);

#endif
