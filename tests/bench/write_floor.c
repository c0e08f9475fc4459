/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast SQLite itself takes what a sync has written: all rows of a database are read
 * into memory, and then written from there into the same tables of a new file, with the
 * same indexes and without triggers, by one prepared INSERT a table, in key order. No
 * network, no decoding, no merge, and nothing is looked up: what remains is the floor.
 *
 *     write_floor SOURCE TARGET [ROWS]     rows a transaction; 2,000, a page of a pull, when not
 * said
 *
 * Prints {"rows": N, "wall_s": S, "cpu_s": S} of the writing alone.
 */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TABLES_MAX = 200, ROWS_DEFAULT = 2000, SQL_BYTES = 16384 };

struct cell {
    int type; /* SQLITE_INTEGER ... SQLITE_NULL */
    union {
        int64_t integer;
        double real;
        struct {
            uint8_t *data;
            int len;
        } bytes;
    } as;
};

struct table {
    char *name;
    int columns;
    size_t rows, capacity;
    struct cell *cells; /* row by row */
};

static struct table tables[TABLES_MAX];
static size_t table_count;

static void end_with(const char *what, sqlite3 *db)
{
    fprintf(stderr, "write_floor: %s%s%s\n", what, db != NULL ? ": " : "",
            db != NULL ? sqlite3_errmsg(db) : "");
    exit(EXIT_FAILURE);
}

static void *must(void *allocated)
{
    if (allocated == NULL)
        end_with("out of memory", NULL);
    return allocated;
}

static sqlite3 *open_file(const char *path, int flags)
{
    sqlite3 *db = NULL;

    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK)
        end_with(path, db);
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;

    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        end_with(sql, db);
    return stmt;
}

static void run(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        end_with(sql, db);
}

/* ---- Into memory ---------------------------------------------------------------- */

static struct cell cell_of(sqlite3_stmt *stmt, int column)
{
    struct cell cell = {.type = sqlite3_column_type(stmt, column)};

    switch (cell.type) {
    case SQLITE_INTEGER:
        cell.as.integer = sqlite3_column_int64(stmt, column);
        break;
    case SQLITE_FLOAT:
        cell.as.real = sqlite3_column_double(stmt, column);
        break;
    case SQLITE_NULL:
        break;
    default:
        cell.as.bytes.len = sqlite3_column_bytes(stmt, column);
        cell.as.bytes.data = must(malloc((size_t)cell.as.bytes.len + 1));
        if (cell.as.bytes.len > 0)
            memcpy(cell.as.bytes.data, sqlite3_column_blob(stmt, column),
                   (size_t)cell.as.bytes.len);
    }
    return cell;
}

static void read_table(sqlite3 *source, struct table *table)
{
    char sql[SQL_BYTES];

    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\"", table->name);
    sqlite3_stmt *stmt = prepare(source, sql);
    table->columns = sqlite3_column_count(stmt);
    while (sqlite3_step(stmt) == SQLITE_ROW) {
        if (table->rows == table->capacity) {
            table->capacity = table->capacity > 0 ? table->capacity * 2 : 64;
            table->cells = must(realloc(table->cells, table->capacity * (size_t)table->columns *
                                                          sizeof *table->cells));
        }
        struct cell *row = table->cells + table->rows++ * (size_t)table->columns;
        for (int i = 0; i < table->columns; i++)
            row[i] = cell_of(stmt, i);
    }
    if (sqlite3_finalize(stmt) != SQLITE_OK)
        end_with(table->name, source);
}

/* The tables, made anew in the target and read; then the indexes. */
static void read_source(sqlite3 *source, sqlite3 *target)
{
    sqlite3_stmt *stmt =
        prepare(source, "SELECT name, sql, type FROM sqlite_schema WHERE type IN ('table', 'index')"
                        " AND sql IS NOT NULL AND name NOT LIKE 'sqlite%'"
                        " ORDER BY type DESC, name");

    while (sqlite3_step(stmt) == SQLITE_ROW) {
        run(target, (const char *)sqlite3_column_text(stmt, 1));
        if (strcmp((const char *)sqlite3_column_text(stmt, 2), "table") != 0)
            continue;
        if (table_count == TABLES_MAX)
            end_with("more tables than this was made for", NULL);
        struct table *table = &tables[table_count++];
        table->name = must(strdup((const char *)sqlite3_column_text(stmt, 0)));
        read_table(source, table);
    }
    if (sqlite3_finalize(stmt) != SQLITE_OK)
        end_with("sqlite_schema", source);
}

/* ---- Out of it -------------------------------------------------------------------- */

static void bind(sqlite3_stmt *stmt, int at, const struct cell *cell)
{
    switch (cell->type) {
    case SQLITE_INTEGER:
        sqlite3_bind_int64(stmt, at, cell->as.integer);
        break;
    case SQLITE_FLOAT:
        sqlite3_bind_double(stmt, at, cell->as.real);
        break;
    case SQLITE_TEXT:
        sqlite3_bind_text(stmt, at, (const char *)cell->as.bytes.data, cell->as.bytes.len,
                          SQLITE_STATIC);
        break;
    case SQLITE_BLOB:
        sqlite3_bind_blob(stmt, at, cell->as.bytes.data, cell->as.bytes.len, SQLITE_STATIC);
        break;
    default:
        sqlite3_bind_null(stmt, at);
    }
}

static sqlite3_stmt *prepare_insert(sqlite3 *target, const struct table *table)
{
    char sql[SQL_BYTES];
    int len = snprintf(sql, sizeof sql, "INSERT INTO \"%s\" VALUES (?", table->name);

    for (int i = 1; i < table->columns; i++)
        len += snprintf(sql + len, sizeof sql - (size_t)len, ", ?");
    snprintf(sql + len, sizeof sql - (size_t)len, ")");
    return prepare(target, sql);
}

static size_t write_all(sqlite3 *target, size_t rows_per_transaction)
{
    size_t written = 0;

    run(target, "BEGIN");
    for (size_t t = 0; t < table_count; t++) {
        struct table *table = &tables[t];
        sqlite3_stmt *stmt = prepare_insert(target, table);
        for (size_t r = 0; r < table->rows; r++) {
            for (int i = 0; i < table->columns; i++)
                bind(stmt, i + 1, &table->cells[r * (size_t)table->columns + (size_t)i]);
            if (sqlite3_step(stmt) != SQLITE_DONE)
                end_with(table->name, target);
            sqlite3_reset(stmt);
            if (++written % rows_per_transaction == 0)
                run(target, "COMMIT; BEGIN");
        }
        sqlite3_finalize(stmt);
    }
    run(target, "COMMIT");
    return written;
}

static double seconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    size_t rows = argc > 3 ? strtoul(argv[3], NULL, 10) : ROWS_DEFAULT;

    if (argc < 3 || rows == 0) {
        fprintf(stderr, "usage: write_floor SOURCE TARGET [ROWS]\n");
        return 64;
    }
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0); /* as our programs do */
    sqlite3 *source = open_file(argv[1], SQLITE_OPEN_READWRITE);
    sqlite3 *target = open_file(argv[2], SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    run(target, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    read_source(source, target);

    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    size_t written = write_all(target, rows);
    wall = seconds(CLOCK_MONOTONIC) - wall;
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    printf("{\"rows\": %zu, \"wall_s\": %.6f, \"cpu_s\": %.6f}\n", written, wall, cpu);
    sqlite3_close(source);
    sqlite3_close(target);
    return EXIT_SUCCESS;
}
