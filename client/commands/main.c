/* SPDX-License-Identifier: Apache-2.0
 *
 * outpost: the command-line device, for demos, tests, scripts and field
 * debugging. This file is the frame: the line, the output, the exit code.
 */
#include "command.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct entry {
    const char *name;
    const char *usage;
    const char *help;
    struct outpost_status (*run)(struct command *command);
} entries[] = {
    {"init", "init --db FILE --server HOST:PORT --ca FILE --code CODE",
     "makes the database FILE and enrols it with a one-time code of the administrator",
     command_init},
    {"import", "import synthea CSVDIR --db FILE",
     "patients.csv, encounters.csv and observations.csv of a Synthea export become rows",
     command_import},
    {"sync", "sync --db FILE [--follow]",
     "sends what is pending, then takes what is new; --follow stays, unless told to pause",
     command_sync},
    {"facility", "facility ID --db FILE",
     "works at another facility from the next sync on; the server has the last word",
     command_facility},
    {"status", "status --db FILE", "what is here, and what waits", command_status},
    {"verify", "verify --db FILE", "recomputes every stamp and digest; needs no network",
     command_verify},
    {"sql", "sql --db FILE \"...\"", "runs SQL as an app would; rows are tab separated",
     command_sql},
};

enum { ENTRY_COUNT = sizeof entries / sizeof entries[0] };

/* ---- Pieces --------------------------------------------------------------------- */

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

bool command_cancelled(void *context)
{
    (void)context;
    return stop != 0;
}

struct outpost_status command_ok(void)
{
    return (struct outpost_status){.code = OUTPOST_OK};
}

struct outpost_status command_fail(enum outpost_code code, const char *format, ...)
{
    struct outpost_status status = {.code = code};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(status.message, sizeof status.message, format, arguments);
    va_end(arguments);
    return status;
}

struct outpost_status command_open(struct command *command, outpost **outpost_out)
{
    struct outpost_status status = command_open_any(command, outpost_out);

    if (status.code == OUTPOST_OK) {
        status = outpost_check_wiped(*outpost_out);
        if (status.code != OUTPOST_OK)
            outpost_close(*outpost_out);
    }
    return status;
}

struct outpost_status command_open_any(struct command *command, outpost **outpost_out)
{
    struct outpost_options options;

    if (access(command->db, F_OK) != 0)
        return command_fail(OUTPOST_BAD_INPUT, "%s: %s; outpost init makes a database", command->db,
                            strerror(errno));
    outpost_options_init_default(&options);
    options.path = command->db;
    options.app_version = "outpost 0.1";
    return outpost_open(&options, outpost_out);
}

struct outpost_status command_open_app(struct command *command, sqlite3 **app_out)
{
    struct outpost_status status = command_ok();
    sqlite3 *app = NULL;

    if (sqlite3_open_v2(command->db, &app, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_busy_timeout(app, 10000) != SQLITE_OK ||
        sqlite3_exec(app, "PRAGMA synchronous = FULL", NULL, NULL, NULL) != SQLITE_OK) {
        status = command_fail(OUTPOST_IO, "cannot open %s: %s", command->db,
                              sqlite3_errstr(sqlite3_errcode(app)));
        sqlite3_close(app);
        return status;
    }
    *app_out = app;
    return status;
}

json_t *command_id_json(const uint8_t id[OUTPOST_ID_LEN])
{
    struct record_uuid uuid;
    char text[RECORD_UUID_TEXT_LEN + 1];

    memcpy(uuid.bytes, id, sizeof uuid.bytes);
    record_uuid_format(&uuid, text);
    return json_string(text);
}

json_t *command_digest_json(uint64_t digest)
{
    return json_sprintf("%016llx", (unsigned long long)digest);
}

void command_put(struct command *command, const char *name, json_t *value)
{
    if (value != NULL)
        json_object_set_new(command->result, name, value);
}

void command_put_count(struct command *command, const char *name, uint64_t count)
{
    command_put(command, name, json_integer((json_int_t)count));
}

void command_print_line(struct command *command)
{
    json_dumpf(command->result, stdout, JSON_COMPACT);
    printf("\n");
    fflush(stdout);
}

/* ---- Output ----------------------------------------------------------------------- */

static void print_value(const char *name, const json_t *value)
{
    if (json_is_string(value))
        printf("%s: %s\n", name, json_string_value(value));
    else if (json_is_integer(value))
        printf("%s: %lld\n", name, (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        printf("%s: %s\n", name, json_is_true(value) ? "yes" : "no");
}

/* Text: a line for each member; those of an object or a list are indented. */
static void print_text(const json_t *result)
{
    const char *name, *inner_name;
    const json_t *value, *inner, *item;
    size_t index;
    char indented[128];

    json_object_foreach((json_t *)result, name, value)
    {
        print_value(name, value);
        if (json_is_object(value) || json_is_array(value))
            printf("%s:\n", name);
        json_object_foreach((json_t *)value, inner_name, inner)
        {
            snprintf(indented, sizeof indented, "  %s", inner_name);
            print_value(indented, inner);
        }
        json_array_foreach((json_t *)value, index, item)
        {
            json_object_foreach((json_t *)item, inner_name, inner)
            {
                snprintf(indented, sizeof indented, "  %s", inner_name);
                print_value(indented, inner);
            }
        }
    }
}

static int report(struct command *command, const struct outpost_status *status)
{
    bool ok = status->code == OUTPOST_OK;

    if (command->json) {
        command_put(command, "error",
                    ok ? json_null()
                       : json_pack("{s:s,s:s}", "code", outpost_code_name(status->code), "message",
                                   status->message));
        if (command->follow)
            command_print_line(command);
        else {
            json_dumpf(command->result, stdout, JSON_INDENT(2));
            printf("\n");
        }
    } else if (!command->printed)
        print_text(command->result);
    if (!ok)
        fprintf(stderr, "outpost: %s\n", status->message);
    if (fflush(stdout) != 0 && ok)
        return outpost_code_exit(OUTPOST_IO);
    return outpost_code_exit(status->code);
}

static void print_help(FILE *file)
{
    fprintf(file, "outpost: a device of Outpost, offline-native sync of health records.\n\n");
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        fprintf(file, "  outpost %s\n      %s\n", entries[i].usage, entries[i].help);
    fprintf(file, "\nEach takes --json (one object on standard output) and --help.\n"
                  "Exit codes: 0 done, 64 usage, 65 bad input or verify failed, 70 bug,\n"
                  "74 disk full or I/O, 75 try later, 77 denied.\n");
}

/* ---- The line ------------------------------------------------------------------------ */

enum line_option {
    OPTION_HELP = 256,
    OPTION_DB,
    OPTION_SERVER,
    OPTION_CA,
    OPTION_CODE,
    OPTION_FOLLOW,
    OPTION_JSON,
};

static const struct option options[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"db", required_argument, NULL, OPTION_DB},
    {"server", required_argument, NULL, OPTION_SERVER},
    {"ca", required_argument, NULL, OPTION_CA},
    {"code", required_argument, NULL, OPTION_CODE},
    {"follow", no_argument, NULL, OPTION_FOLLOW},
    {"json", no_argument, NULL, OPTION_JSON},
    {NULL, 0, NULL, 0},
};

/* False: not an option of ours, or one without its argument. */
static bool take_option(struct command *command, int option, bool *help_out)
{
    switch (option) {
    case OPTION_HELP:
        *help_out = true;
        return true;
    case OPTION_DB:
        command->db = optarg;
        return true;
    case OPTION_SERVER:
        command->server = optarg;
        return true;
    case OPTION_CA:
        command->ca = optarg;
        return true;
    case OPTION_CODE:
        command->code = optarg;
        return true;
    case OPTION_FOLLOW:
        command->follow = true;
        return true;
    case OPTION_JSON:
        command->json = true;
        return true;
    default:
        return false;
    }
}

static const struct entry *find_entry(const char *name)
{
    for (size_t i = 0; name != NULL && i < ENTRY_COUNT; i++)
        if (strcmp(entries[i].name, name) == 0)
            return &entries[i];
    return NULL;
}

/* Takes every option, so that --json after a wrong one is still heard; the
 * status tells of the first wrong one. */
static struct outpost_status take_options(struct command *command, int argc, char **argv,
                                          bool *help_out)
{
    struct outpost_status status = command_ok();
    int option;

    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
        if (!take_option(command, option, help_out) && status.code == OUTPOST_OK)
            status = command_fail(OUTPOST_USAGE, "%s %s; outpost --help lists what there is",
                                  argv[optind - 1],
                                  option == ':' ? "needs a value" : "is not an option of outpost");
    return status;
}

static struct outpost_status take_words(struct command *command, const struct entry *entry,
                                        char **words)
{
    for (; *words != NULL; words++) {
        if (command->word_count == COMMAND_WORDS_MAX)
            return command_fail(OUTPOST_USAGE, "too many words; usage: outpost %s", entry->usage);
        command->words[command->word_count++] = *words;
    }
    if (command->db == NULL)
        return command_fail(OUTPOST_USAGE, "--db FILE is missing; usage: outpost %s", entry->usage);
    return command_ok();
}

static struct outpost_status run_entry(struct command *command, const struct entry *entry,
                                       char **words)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct outpost_status status = take_words(command, entry, words);

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return status.code == OUTPOST_OK ? entry->run(command) : status;
}

int main(int argc, char **argv)
{
    struct command command = {.result = json_object()};
    bool help = false;

    /* This process is ours alone: SQLite's own count of memory takes a lock at each
     * allocation, and nobody asks for it. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (command.result == NULL) {
        fprintf(stderr, "outpost: no memory\n");
        return outpost_code_exit(OUTPOST_IO);
    }
    struct outpost_status status = take_options(&command, argc, argv, &help);
    const char *name = argv[optind];
    const struct entry *entry = find_entry(name);
    int exit_code = EXIT_SUCCESS;
    if (status.code == OUTPOST_OK && help && entry != NULL) {
        printf("usage: outpost %s [--json]\n\n%s\n", entry->usage, entry->help);
    } else if (status.code == OUTPOST_OK && (help || argc == 1)) {
        print_help(help ? stdout : stderr);
        exit_code = help ? EXIT_SUCCESS : outpost_code_exit(OUTPOST_USAGE);
    } else {
        if (status.code == OUTPOST_OK)
            status = entry != NULL ? run_entry(&command, entry, argv + optind + 1)
                                   : command_fail(OUTPOST_USAGE,
                                                  "%s is not a command; outpost --help lists them",
                                                  name != NULL ? name : "(nothing)");
        exit_code = report(&command, &status);
    }
    json_decref(command.result);
    return exit_code;
}
