/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost sql: statements on the record tables, run as an app runs them, so that
 * the triggers mark what is edited.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

struct running {
    struct command *command;
    sqlite3 *app;
    json_t *rows; /* with --json: a list of lists */
};

/* A blob as text: an id as a UUID, anything else in hexadecimal; sqlite3_free. */
static char *blob_text(sqlite3_stmt *statement, int column)
{
    const uint8_t *bytes = sqlite3_column_blob(statement, column);
    int len = sqlite3_column_bytes(statement, column);
    struct record_uuid id;
    char text[RECORD_UUID_TEXT_LEN + 1];

    if (record_uuid_from_bytes(rpc_bytes_view(bytes, (size_t)len), &id)) {
        record_uuid_format(&id, text);
        return sqlite3_mprintf("%s", text);
    }
    char *hex = sqlite3_malloc64((sqlite3_uint64)len * 2 + 1);
    for (int i = 0; hex != NULL && i < len; i++)
        sqlite3_snprintf(3, hex + 2 * i, "%02x", bytes[i]);
    if (hex != NULL)
        hex[2 * len] = '\0';
    return hex;
}

static json_t *column_json(sqlite3_stmt *statement, int column)
{
    json_t *value;
    char *text;

    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        return json_integer(sqlite3_column_int64(statement, column));
    case SQLITE_FLOAT:
        return json_real(sqlite3_column_double(statement, column));
    case SQLITE_NULL:
        return json_null();
    case SQLITE_BLOB:
        text = blob_text(statement, column);
        value = json_string(text != NULL ? text : "");
        sqlite3_free(text);
        return value;
    default:
        value = json_string((const char *)sqlite3_column_text(statement, column));
        return value != NULL ? value : json_null(); /* text that is not UTF-8 */
    }
}

static void print_row(sqlite3_stmt *statement)
{
    for (int i = 0; i < sqlite3_column_count(statement); i++) {
        if (i > 0)
            putchar('\t');
        if (sqlite3_column_type(statement, i) == SQLITE_BLOB) {
            char *text = blob_text(statement, i);
            fputs(text != NULL ? text : "", stdout);
            sqlite3_free(text);
        } else if (sqlite3_column_type(statement, i) != SQLITE_NULL)
            fputs((const char *)sqlite3_column_text(statement, i), stdout);
    }
    putchar('\n');
}

static void take_row(struct running *running, sqlite3_stmt *statement)
{
    if (!running->command->json) {
        print_row(statement);
        return;
    }
    json_t *row = json_array();
    for (int i = 0; i < sqlite3_column_count(statement); i++)
        json_array_append_new(row, column_json(statement, i));
    json_array_append_new(running->rows, row);
}

/* SQLite's own message speaks of the statement, and is for whoever wrote it; of a
 * damaged file it would show pieces. */
static struct outpost_status failure(struct running *running, int result)
{
    switch (result & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return command_fail(OUTPOST_TRY_LATER, "the database is busy; try again later");
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return command_fail(OUTPOST_IO, "%s: %s", running->command->db, sqlite3_errstr(result));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return command_fail(OUTPOST_BAD_INPUT, "%s: %s", running->command->db,
                            sqlite3_errstr(result));
    default:
        return command_fail(OUTPOST_BAD_INPUT, "%s", sqlite3_errmsg(running->app));
    }
}

static struct outpost_status run_all(struct running *running, const char *sql)
{
    int result = SQLITE_OK;

    while (result == SQLITE_OK && *sql != '\0') {
        sqlite3_stmt *statement = NULL;
        result = sqlite3_prepare_v2(running->app, sql, -1, &statement, &sql);
        if (result == SQLITE_OK && statement == NULL)
            continue; /* white space or a comment */
        while (result == SQLITE_OK && sqlite3_step(statement) == SQLITE_ROW)
            take_row(running, statement);
        if (statement != NULL)
            result = sqlite3_finalize(statement);
    }
    return result == SQLITE_OK ? command_ok() : failure(running, result);
}

struct outpost_status command_sql(struct command *command)
{
    struct running running = {.command = command};
    struct outpost_status status;
    outpost *device;

    if (command->word_count != 1)
        return command_fail(OUTPOST_USAGE, "usage: outpost sql --db FILE \"...\"");
    status = command_open(command, &device);
    if (status.code != OUTPOST_OK)
        return status;
    status = command_open_app(command, &running.app);
    if (status.code == OUTPOST_OK) {
        running.rows = json_array();
        status = run_all(&running, command->words[0]);
        sqlite3_close(running.app);
        command_put(command, "rows", running.rows);
    }
    command->printed = true;
    outpost_close(device);
    return status;
}
