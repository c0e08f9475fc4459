/* SPDX-License-Identifier: Apache-2.0
 *
 *     write_bench SOURCE TARGET
 *
 * How fast this process writes a device's records from memory: reads all of SOURCE, a
 * device's database, makes TARGET with the same tables, and inserts the same rows in key
 * order, one prepared INSERT each, in transactions as large as a Pull. Nothing is received,
 * parsed, hashed or counted: it is what a first sync is measured against.
 */
#include "schema.h"

#include "outpost/v1/schema.gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TRANSACTION_ROWS = 2000, COLUMNS_MAX = RECORD_FIELDS_MAX + 5 };

/* The values of one row, as TABLE_INSERT binds them. */
struct row {
    struct store_table *table; /* of the target */
    int count;
    sqlite3_value **values;
};

struct rows {
    struct row *rows;
    size_t count, capacity;
};

static void fail(struct store *store)
{
    fprintf(stderr, "write_bench: %s\n", store->status.message);
    exit(EXIT_FAILURE);
}

static void *checked(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "write_bench: no memory\n");
        exit(EXIT_FAILURE);
    }
    return memory;
}

/* TABLE_ALL gives the fields, stamp, version and unknown fields first, then the key. */
static void keep_row(struct rows *rows, struct store_table *table, sqlite3_stmt *all)
{
    int fields = (int)table->type->field_count + 3;
    int keys = table->type->family == RECORD_FAMILY_MEMBER ? 2 : 1;
    struct row row = {.table = table, .count = keys + fields};

    row.values = checked(calloc((size_t)row.count, sizeof *row.values));
    for (int i = 0; i < row.count; i++) {
        int column = i < keys ? fields + 2 - keys + i : i - keys;
        row.values[i] = checked(sqlite3_value_dup(sqlite3_column_value(all, column)));
    }
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity > 0 ? 2 * rows->capacity : 1024;
        rows->rows = checked(realloc(rows->rows, rows->capacity * sizeof *rows->rows));
    }
    rows->rows[rows->count++] = row;
}

static void read_all(struct store *source, struct store *target, struct rows *rows)
{
    for (size_t i = 0; i < source->schema->type_count; i++) {
        sqlite3_stmt *all = schema_statement(source, &source->tables[i], TABLE_ALL);
        while (store_step(source, all) == STORE_ROW)
            keep_row(rows, &target->tables[i], all);
    }
    if (!store_ok(source))
        fail(source);
}

static bool write_row(struct store *target, const struct row *row)
{
    sqlite3_stmt *insert = schema_statement(target, row->table, TABLE_INSERT);

    for (int i = 0; insert != NULL && i < row->count; i++)
        sqlite3_bind_value(insert, i + 1, row->values[i]);
    return store_run(target, insert);
}

static void write_all(struct store *target, const struct rows *rows)
{
    bool good = store_begin(target, STORE_NORMAL);

    for (size_t i = 0; good && i < rows->count; i++) {
        if (i > 0 && i % TRANSACTION_ROWS == 0)
            good = store_commit(target) && store_begin(target, STORE_NORMAL);
        good = good && write_row(target, &rows->rows[i]);
    }
    if (!good || !store_commit(target))
        fail(target);
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    struct store source, target;
    struct rows rows = {0};

    if (argc != 3) {
        fprintf(stderr, "usage: write_bench SOURCE TARGET\n");
        return EXIT_FAILURE;
    }
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* as the outpost command has it */
    if (!store_open(&source, argv[1], false, &outpost_v1_schema) || !schema_ensure(&source))
        fail(&source);
    if (!store_open(&target, argv[2], true, &outpost_v1_schema) || !schema_ensure(&target))
        fail(&target);
    read_all(&source, &target, &rows);

    double began = seconds(CLOCK_MONOTONIC), cpu_began = seconds(CLOCK_PROCESS_CPUTIME_ID);
    write_all(&target, &rows);
    store_close(&target); /* with the checkpoint that a sync ends with, too */
    double wall = seconds(CLOCK_MONOTONIC) - began;
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_began;
    printf("{\"records\": %zu, \"records_per_s\": %.0f, \"cpu_us_per_record\": %.3f}\n", rows.count,
           (double)rows.count / wall, cpu * 1e6 / (double)rows.count);

    for (size_t i = 0; i < rows.count; i++) {
        for (int j = 0; j < rows.rows[i].count; j++)
            sqlite3_value_free(rows.rows[i].values[j]);
        free(rows.rows[i].values);
    }
    free(rows.rows);
    store_close(&source);
    return EXIT_SUCCESS;
}
