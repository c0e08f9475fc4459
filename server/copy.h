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
#ifndef OUTPOST_SERVER_COPY_H
#define OUTPOST_SERVER_COPY_H

#include "outpost/record.h"
#include "outpost/rpc_status.h"

enum {
    /* Of a schema: far above ours; a limit on what a wrong database is asked. */
    COPY_TABLES_MAX = 64,
    COPY_COLUMNS_MAX = 32,
    COPY_NAME_LEN = 64,
};

enum copy_type { COPY_UUID, COPY_BYTES, COPY_TEXT, COPY_BIGINT, COPY_INT, COPY_BOOL };

struct copy_table {
    char name[COPY_NAME_LEN];
    size_t column_count;
    struct copy_column {
        char name[COPY_NAME_LEN];
        enum copy_type type;
    } columns[COPY_COLUMNS_MAX];
    uint64_t rows; /* copied */
};

struct copy_row {
    struct rpc_bytes cells[COPY_COLUMNS_MAX]; /* live until the next row */
};

/* One side of a copy: copy_sqlite.c, copy_postgres.c. Everything is within one
 * transaction, which open begins; close without commit takes it back. */
struct copy_side {
    const struct copy_engine {
        struct rpc_status (*commit)(struct copy_side *side);
        void (*close)(struct copy_side *side);
        /* The source. *more_out: there was another row. */
        struct rpc_status (*read_begin)(struct copy_side *side, const struct copy_table *table);
        struct rpc_status (*read_row)(struct copy_side *side, struct copy_row *row_out,
                                      bool *more_out);
        /* The target; nothing is in its tables. */
        struct rpc_status (*check_empty)(struct copy_side *side, const struct copy_table *table);
        struct rpc_status (*write_begin)(struct copy_side *side, const struct copy_table *table);
        struct rpc_status (*write_row)(struct copy_side *side, const struct copy_row *row);
        struct rpc_status (*write_end)(struct copy_side *side);
    } * engine;
};

struct rpc_status copy_sqlite_open(const char *file, struct copy_side **side_out);
struct rpc_status copy_postgres_open(const char *conninfo, struct copy_side **side_out);

/* The tables of a PostgreSQL side, but for those that are about it alone. */
struct rpc_status copy_postgres_tables(struct copy_side *side, struct copy_table *tables,
                                       size_t *count_out);

/* "a, b, c" of a table's columns. */
void copy_column_list(const struct copy_table *table, char *text_out, size_t len);

/* Copies all of the tables. FAILED_PRECONDITION: the target is not empty. */
struct rpc_status copy_all(struct copy_side *from, struct copy_side *to, struct copy_table *tables,
                           size_t count);

#endif
