/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of outpost: what they share.
 *
 * A command takes its options and words, does its work through the library's
 * public header and ordinary SQL, as an app would, and gives one JSON object.
 * The frame (main.c) prints that as JSON or as text, so that both always say the
 * same, and turns a status into the exit code and one line on standard error.
 */
#ifndef OUTPOST_CLIENT_COMMAND_H
#define OUTPOST_CLIENT_COMMAND_H

#include "outpost/outpost.h"
#include "outpost/record.h"

#include <jansson.h>
#include <sqlite3.h>

enum { COMMAND_WORDS_MAX = 8 };

struct command {
    const char *words[COMMAND_WORDS_MAX]; /* after the command's name */
    size_t word_count;
    const char *db, *server, *ca, *code;
    bool follow, json;
    json_t *result; /* an object */
    bool printed;   /* the command has printed its result itself */
};

/* The commands; main.c has their table. */
struct outpost_status command_init(struct command *command);
struct outpost_status command_import(struct command *command);
struct outpost_status command_sync(struct command *command);
struct outpost_status command_facility(struct command *command);
struct outpost_status command_status(struct command *command);
struct outpost_status command_verify(struct command *command);
struct outpost_status command_sql(struct command *command);

/* ---- Pieces --------------------------------------------------------------------- */

struct outpost_status command_ok(void);
struct outpost_status command_fail(enum outpost_code code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* True once the user asked to stop (Ctrl-C, SIGTERM). Fits the library's hooks. */
bool command_cancelled(void *context);

/* Opens --db, which must be there already, and not be wiped. */
struct outpost_status command_open(struct command *command, outpost **outpost_out);

/* The same, also when it is wiped. */
struct outpost_status command_open_any(struct command *command, outpost **outpost_out);

/* A connection as an app has it: triggers on, synchronous FULL. The library has
 * opened the file before, so its tables are there. */
struct outpost_status command_open_app(struct command *command, sqlite3 **app_out);

json_t *command_id_json(const uint8_t id[OUTPOST_ID_LEN]);
json_t *command_digest_json(uint64_t digest); /* 16 hexadecimal digits */

/* Adds a member; a null json (no memory) is left out. */
void command_put(struct command *command, const char *name, json_t *value);
void command_put_count(struct command *command, const char *name, uint64_t count);

/* Prints the result with its error member as one line, for --follow. */
void command_print_line(struct command *command);

#endif
