/* SPDX-License-Identifier: Apache-2.0
 *
 * Copies a store from one engine to the other, table by table, row by row, in one
 * transaction on each side: the target has all of it or nothing.
 *
 * The tables have the same names and columns in both engines, and what they are is
 * asked of the databases: a table that a migration adds is copied too. Cells travel in
 * PostgreSQL's binary form. The one difference is the family directory, which has a row
 * for each region of a family in SQLite and an array in PostgreSQL: it travels as rows.
 */
#ifndef OUTPOST_SERVER_TRANSFER_H
#define OUTPOST_SERVER_TRANSFER_H

#include "outpost/record.h"
#include "outpost/rpc_status.h"

enum {
    /* Of a schema: far above ours; a limit on what a wrong database is asked. */
    TRANSFER_TABLES_MAX = 64,
    TRANSFER_COLUMNS_MAX = 32,
    TRANSFER_NAME_LEN = 64,
};

enum transfer_type {
    TRANSFER_UUID,
    TRANSFER_BYTES,
    TRANSFER_TEXT,
    TRANSFER_BIGINT,
    TRANSFER_INT,
    TRANSFER_BOOL
};

struct transfer_table {
    char name[TRANSFER_NAME_LEN];
    size_t column_count;
    struct transfer_column {
        char name[TRANSFER_NAME_LEN];
        enum transfer_type type;
    } columns[TRANSFER_COLUMNS_MAX];
    uint64_t rows; /* copied */
};

struct transfer_row {
    struct rpc_bytes cells[TRANSFER_COLUMNS_MAX]; /* live until the next row */
};

/* One side of a copy: transfer_sqlite.c, transfer_postgres.c. Everything is within one
 * transaction, which open begins; close without commit takes it back. */
struct transfer_side {
    const struct transfer_engine {
        struct rpc_status (*commit)(struct transfer_side *side);
        void (*close)(struct transfer_side *side);
        /* The source. *more_out: there was another row. */
        struct rpc_status (*read_begin)(struct transfer_side *side,
                                        const struct transfer_table *table);
        struct rpc_status (*read_row)(struct transfer_side *side, struct transfer_row *row_out,
                                      bool *more_out);
        /* The target; nothing is in its tables. */
        struct rpc_status (*check_empty)(struct transfer_side *side,
                                         const struct transfer_table *table);
        struct rpc_status (*write_begin)(struct transfer_side *side,
                                         const struct transfer_table *table);
        struct rpc_status (*write_row)(struct transfer_side *side, const struct transfer_row *row);
        struct rpc_status (*write_end)(struct transfer_side *side);
    } * engine;
};

struct rpc_status transfer_sqlite_open(const char *file, struct transfer_side **side_out);
struct rpc_status transfer_postgres_open(const char *conninfo, struct transfer_side **side_out);

/* The tables of a PostgreSQL side, but for those that are about it alone. */
struct rpc_status transfer_postgres_tables(struct transfer_side *side,
                                           struct transfer_table *tables, size_t *count_out);

/* "a, b, c" of a table's columns. */
void transfer_column_list(const struct transfer_table *table, char *text_out, size_t len);

/* Copies all of the tables. FAILED_PRECONDITION: the target is not empty. */
struct rpc_status transfer_all(struct transfer_side *from, struct transfer_side *to,
                               struct transfer_table *tables, size_t count);

#endif
