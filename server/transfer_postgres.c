/* SPDX-License-Identifier: Apache-2.0
 *
 * The PostgreSQL side of a copy: COPY in its binary form, both ways.
 */
#include "store_postgres.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>

enum { SQL_LEN = 4096, HEADER_LEN = 19, END_MARK = 0xffff };

struct postgres_side {
    struct transfer_side base;
    struct postgres_conn conn;
    const struct transfer_table *table; /* that is under way */
    bool header_read;
    char *received;            /* by libpq: what the row's cells are views of */
    struct rpc_buffer encoded; /* the row that is sent */
};

static const char family[] = "family";

static struct rpc_status failed(struct postgres_side *side, const char *what)
{
    const char *problem = PQerrorMessage(side->conn.pg);

    /* The first line only: the others may quote rows (I10). */
    return rpc_status_make(RPC_INTERNAL, "%s %s: %.*s", what,
                           side->table != NULL ? side->table->name : "the store",
                           (int)strcspn(problem, "\n"), problem);
}

static struct rpc_status run(struct postgres_side *side, const char *sql)
{
    return postgres_conn_status(&side->conn, postgres_run_text(&side->conn, sql));
}

/* ---- Tables -------------------------------------------------------------------- */

static bool type_of(const char *name, enum transfer_type *type_out)
{
    static const struct {
        const char *name;
        enum transfer_type type;
    } types[] = {
        {"uuid", TRANSFER_UUID},     {"bytea", TRANSFER_BYTES}, {"text", TRANSFER_TEXT},
        {"bigint", TRANSFER_BIGINT}, {"integer", TRANSFER_INT}, {"boolean", TRANSFER_BOOL},
    };

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0) {
            *type_out = types[i].type;
            return true;
        }
    return false;
}

static bool add_column(struct transfer_table *table, const char *name, const char *type)
{
    if (table->column_count == TRANSFER_COLUMNS_MAX)
        return false;
    struct transfer_column *column = &table->columns[table->column_count++];
    snprintf(column->name, sizeof column->name, "%s", name);
    return type_of(type, &column->type);
}

/* A row of the catalogue, tables together. */
static bool add_from_row(PGresult *result, int row, struct transfer_table *tables, size_t *count)
{
    const char *name = PQgetvalue(result, row, 0), *column = PQgetvalue(result, row, 1);
    bool again = *count > 0 && strcmp(tables[*count - 1].name, name) == 0;

    if (!again) {
        if (*count == TRANSFER_TABLES_MAX)
            return false;
        tables[*count] = (struct transfer_table){0};
        snprintf(tables[*count].name, sizeof tables[*count].name, "%s", name);
        ++*count;
    }
    struct transfer_table *table = &tables[*count - 1];
    if (strcmp(name, family) == 0 && strcmp(column, "region_ids") == 0)
        return add_column(table, "region_id", "uuid");
    return add_column(table, column, PQgetvalue(result, row, 2));
}

struct rpc_status transfer_postgres_tables(struct transfer_side *base,
                                           struct transfer_table *tables, size_t *count_out)
{
    struct postgres_side *side = (struct postgres_side *)base;
    size_t count = 0;
    bool good = true;
    PGresult *result =
        PQexec(side->conn.pg,
               "SELECT c.relname, a.attname, format_type(a.atttypid, NULL) FROM pg_class c"
               " JOIN pg_attribute a ON a.attrelid = c.oid WHERE c.relkind IN ('r', 'p')"
               " AND c.relnamespace = current_schema()::regnamespace AND a.attnum > 0"
               " AND NOT a.attisdropped AND c.relname NOT IN ('schema_migration', 'authority')"
               " ORDER BY c.relname, a.attnum");

    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        PQclear(result);
        return failed(side, "list the tables of");
    }
    for (int row = 0; row < PQntuples(result) && good; row++)
        good = add_from_row(result, row, tables, &count);
    PQclear(result);
    if (!good)
        return rpc_status_make(RPC_FAILED_PRECONDITION,
                               "the database's schema has other tables than Outpost's: give it a"
                               " schema of its own");
    *count_out = count;
    return rpc_status_ok();
}

/* ---- COPY ---------------------------------------------------------------------- */

static struct rpc_status begin_copy(struct postgres_side *side, const char *sql,
                                    ExecStatusType expected)
{
    PGresult *result = PQexec(side->conn.pg, sql);
    bool good = PQresultStatus(result) == expected;

    PQclear(result);
    return good ? rpc_status_ok() : failed(side, "copy");
}

/* The result that ends a COPY. */
static struct rpc_status end_copy(struct postgres_side *side)
{
    PGresult *result;
    bool good = true;

    while ((result = PQgetResult(side->conn.pg)) != NULL) {
        good = good && PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
    }
    return good ? rpc_status_ok() : failed(side, "copy");
}

static struct rpc_status read_begin(struct transfer_side *base, const struct transfer_table *table)
{
    struct postgres_side *side = (struct postgres_side *)base;
    char columns[SQL_LEN], sql[SQL_LEN + 100];

    side->table = table;
    side->header_read = false;
    transfer_column_list(table, columns, sizeof columns);
    snprintf(sql, sizeof sql,
             strcmp(table->name, family) == 0
                 ? "COPY (SELECT %s FROM %s, unnest(region_ids) r(region_id)) TO STDOUT"
                   " (FORMAT binary)"
                 : "COPY (SELECT %s FROM %s) TO STDOUT (FORMAT binary)",
             columns, table->name);
    return begin_copy(side, sql, PGRES_COPY_OUT);
}

static uint32_t take_number(const uint8_t *bytes, size_t len)
{
    uint32_t value = 0;

    for (size_t i = 0; i < len; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* False: the bytes are not a row of the table. */
static bool parse_row(const struct transfer_table *table, struct rpc_bytes bytes,
                      struct transfer_row *row)
{
    size_t at = 2;

    for (size_t i = 0; i < table->column_count; i++) {
        if (bytes.len - at < 4)
            return false;
        uint32_t len = take_number(bytes.data + at, 4);
        at += 4;
        if (len > bytes.len - at) /* a NULL too: no column of ours may have one */
            return false;
        row->cells[i] = rpc_bytes_view(bytes.data + at, len);
        at += len;
    }
    return at == bytes.len;
}

static struct rpc_status read_row(struct transfer_side *base, struct transfer_row *row_out,
                                  bool *more_out)
{
    struct postgres_side *side = (struct postgres_side *)base;

    PQfreemem(side->received);
    side->received = NULL;
    int len = PQgetCopyData(side->conn.pg, &side->received, 0);
    *more_out = len > 0;
    if (len == -1)
        return end_copy(side);
    if (len < 0)
        return failed(side, "read");
    struct rpc_bytes bytes = rpc_bytes_view(side->received, (size_t)len);
    if (!side->header_read) { /* in front of the first row, or of the end */
        side->header_read = true;
        bytes = rpc_bytes_view(bytes.data + HEADER_LEN,
                               bytes.len > HEADER_LEN ? bytes.len - HEADER_LEN : 0);
        if (bytes.len == 0)
            return read_row(base, row_out, more_out);
    }
    uint32_t cells = bytes.len >= 2 ? take_number(bytes.data, 2) : 0;
    if (cells == END_MARK) {
        *more_out = false;
        PQfreemem(side->received);
        return PQgetCopyData(side->conn.pg, &side->received, 0) == -1 ? end_copy(side)
                                                                      : failed(side, "read");
    }
    if (cells != side->table->column_count || !parse_row(side->table, bytes, row_out))
        return rpc_status_make(RPC_DATA_LOSS, "a row of %s is not as its columns say",
                               side->table->name);
    return rpc_status_ok();
}

/* ---- Writing ------------------------------------------------------------------- */

static struct rpc_status check_empty(struct transfer_side *base, const struct transfer_table *table)
{
    struct postgres_side *side = (struct postgres_side *)base;
    char sql[SQL_LEN];

    side->table = table;
    if (strcmp(table->name, "sync_region") == 0) {
        /* The counter that a new schema has goes: the source has one. */
        struct rpc_status status = run(side, "DELETE FROM sync_region WHERE last_seq = 0");
        if (!rpc_ok(&status))
            return status;
    }
    snprintf(sql, sizeof sql, "SELECT 1 FROM %s LIMIT 1", table->name);
    PGresult *result = PQexec(side->conn.pg, sql);
    bool good = PQresultStatus(result) == PGRES_TUPLES_OK, empty = PQntuples(result) == 0;
    PQclear(result);
    if (good && empty)
        return rpc_status_ok();
    return good
               ? rpc_status_make(RPC_FAILED_PRECONDITION,
                                 "the target has rows in %s: copy into an empty store", table->name)
               : failed(side, "look into");
}

static struct rpc_status write_begin(struct transfer_side *base, const struct transfer_table *table)
{
    static const uint8_t header[HEADER_LEN] = "PGCOPY\n\377\r\n";
    struct postgres_side *side = (struct postgres_side *)base;
    bool rows = strcmp(table->name, family) == 0;
    char columns[SQL_LEN], sql[SQL_LEN + 100];
    struct rpc_status status = rpc_status_ok();

    side->table = table;
    transfer_column_list(table, columns, sizeof columns);
    if (rows)
        status = run(side, "CREATE TEMPORARY TABLE copied_family(family_id uuid, region_id uuid)"
                           " ON COMMIT DROP");
    snprintf(sql, sizeof sql, "COPY %s(%s) FROM STDIN (FORMAT binary)",
             rows ? "copied_family" : table->name, columns);
    if (rpc_ok(&status))
        status = begin_copy(side, sql, PGRES_COPY_IN);
    if (rpc_ok(&status) && PQputCopyData(side->conn.pg, (const char *)header, sizeof header) != 1)
        status = failed(side, "write");
    return status;
}

static void put_number(struct rpc_buffer *buffer, uint32_t value, size_t len)
{
    uint8_t bytes[4];

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    rpc_buffer_append(buffer, bytes, len);
}

static struct rpc_status write_row(struct transfer_side *base, const struct transfer_row *row)
{
    struct postgres_side *side = (struct postgres_side *)base;

    rpc_buffer_clear(&side->encoded);
    put_number(&side->encoded, (uint32_t)side->table->column_count, 2);
    for (size_t i = 0; i < side->table->column_count; i++) {
        put_number(&side->encoded, (uint32_t)row->cells[i].len, 4);
        rpc_buffer_append_bytes(&side->encoded, row->cells[i]);
    }
    if (side->encoded.failed)
        return rpc_status_make(RPC_UNAVAILABLE, "a row of %s is too large", side->table->name);
    return PQputCopyData(side->conn.pg, (const char *)side->encoded.data, (int)side->encoded.len) ==
                   1
               ? rpc_status_ok()
               : failed(side, "write");
}

static struct rpc_status write_end(struct transfer_side *base)
{
    struct postgres_side *side = (struct postgres_side *)base;

    if (PQputCopyData(side->conn.pg, "\377\377", 2) != 1 || PQputCopyEnd(side->conn.pg, NULL) != 1)
        return failed(side, "write");
    struct rpc_status status = end_copy(side);
    if (rpc_ok(&status) && strcmp(side->table->name, family) == 0)
        status = run(side, "INSERT INTO family(family_id, region_ids) SELECT family_id,"
                           " array_agg(region_id ORDER BY region_id) FROM copied_family"
                           " GROUP BY family_id");
    return status;
}

/* ---- The transaction ----------------------------------------------------------- */

static struct rpc_status commit(struct transfer_side *base)
{
    struct postgres_side *side = (struct postgres_side *)base;

    side->table = NULL;
    return run(side, "COMMIT");
}

static void close_side(struct transfer_side *base)
{
    struct postgres_side *side = (struct postgres_side *)base;

    PQfreemem(side->received);
    rpc_buffer_deinit(&side->encoded);
    postgres_conn_close(&side->conn);
    free(side);
}

static const struct transfer_engine engine = {
    .commit = commit,
    .close = close_side,
    .read_begin = read_begin,
    .read_row = read_row,
    .check_empty = check_empty,
    .write_begin = write_begin,
    .write_row = write_row,
    .write_end = write_end,
};

/* One snapshot of everything, however long it takes. */
static struct rpc_status begin(struct postgres_side *side)
{
    if (PQexitPipelineMode(side->conn.pg) != 1 || PQsetnonblocking(side->conn.pg, 0) != 0)
        return rpc_status_make(RPC_INTERNAL, "the connection is in use");
    return run(side, "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;"
                     "BEGIN ISOLATION LEVEL REPEATABLE READ");
}

struct rpc_status transfer_postgres_open(const char *conninfo, struct transfer_side **side_out)
{
    struct postgres_side *side = calloc(1, sizeof *side);

    if (side == NULL)
        return rpc_status_make(RPC_UNAVAILABLE, "out of memory");
    side->base.engine = &engine;
    rpc_buffer_init(&side->encoded, POSTGRES_PARAM_BYTES_MAX);
    struct rpc_status status = postgres_conn_open(&side->conn, conninfo);
    if (rpc_ok(&status))
        status = begin(side);
    if (!rpc_ok(&status)) {
        close_side(&side->base);
        return status;
    }
    *side_out = &side->base;
    return status;
}
