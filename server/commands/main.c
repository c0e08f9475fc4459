/* SPDX-License-Identifier: Apache-2.0
 *
 * outpostd: the command line.
 */
#include "command.h"

#include "engine.h"
#include "enrolled.h"
#include "serve.h"

#include "outpost/v1/schema.gen.h"

#include <getopt.h>
#include <openssl/rand.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <time.h>

static const struct entry {
    const char *name;
    struct rpc_status (*run)(struct command *command);
    bool needs_store;
    size_t words_max; /* after the name */
    const char *usage;
    const char *help;
} entries[] = {
    {"init", command_init, false, 0,
     "init --data DIR [--store sqlite|postgresql://...] [--owner URI] [--host NAME]...",
     "Sets up DIR: outpostd.ini, the CA (ca.pem), the server's certificate for localhost and\n"
     "each NAME, and the store: outpost.db in DIR, or tables in a PostgreSQL database that is\n"
     "there; a second server on the same database takes its CA. Overwrites nothing. With\n"
     "--owner the tables belong to that role, which is used here alone, and --store's role\n"
     "can add to history and never change it."},
    {"serve", command_serve, false, 0, "serve --data DIR [--listen ADDR:PORT]",
     "Serves devices until SIGTERM. Prints `listening on ADDR:PORT` when ready; port 0 picks\n"
     "a free one."},
    {"import", command_import, true, 2, "import synthea CSVDIR --data DIR [--regions state|city]",
     "Imports organizations.csv of a Synthea export as facilities, with a sync region for\n"
     "each state (default) or each city. Importing twice changes nothing."},
    {"enrol", command_enrol, true, 0,
     "enrol --data DIR --facility ID [--region R]... [--admin] [--count N]",
     "Prints a one-time code, alone, with which a device enrols at that facility within 15\n"
     "minutes; with --count so many, a line each. It may work in that facility's region, and in "
     "each region R. With --admin it\n"
     "may work everywhere, and write facilities and regions."},
    {"device", command_device, true, COMMAND_WORDS_MAX,
     "device list | show ID | revoke ID [--with-copies] | allow ID --region R |"
     " disallow ID --region R | wipe ID [--cancel] | set ID|--region R|--all NAME=VALUE..."
     "   --data DIR",
     "Lists the enrolled devices or shows one, with the settings that hold for it. revoke\n"
     "refuses one from now on, in an open stream too, and tells which copies of its database\n"
     "are devices of their own and still active; --with-copies refuses those too. allow lets one\n"
     "work at the facilities of one more region; disallow takes that back, and still accepts\n"
     "what it has pending from there. wipe orders a lost one to destroy its data when it calls\n"
     "next, revoked or not, and --cancel takes that back while it has not; list tells when it\n"
     "has. set tells how one syncs: push_batch, pull_batch (records in a message), batch_bytes,\n"
     "sync_interval_s, pause=yes|no, compression=best|off|gzip|zstd. What is set for a device\n"
     "goes before its region's, that before --all, that before outpostd.ini. NAME= takes a\n"
     "setting back. A device learns it when it syncs next."},
    {"region", command_region, true, COMMAND_WORDS_MAX,
     "region list | add FIELD=VALUE... [--id ID]   --data DIR",
     "Lists the sync regions, or adds one (region add name=\"North block\")."},
    {"facility", command_facility, true, COMMAND_WORDS_MAX,
     "facility list | add FIELD=VALUE... [--id ID] | close ID   --data DIR",
     "Lists the facilities, adds one (facility add name=... sync_region_id=ID), or closes\n"
     "one: it stays, with its patients and devices, and no new device enrols there."},
    {"history", command_history, true, 2, "history TYPE ID --data DIR",
     "Every accepted change of one record, oldest first: TYPE is a table's name, such as\n"
     "patient."},
    {"conflict", command_conflict, true, 2,
     "conflict list [--all] | show ID | resolve ID [--take arriving|stored]   --data DIR",
     "Edits that met on one field, until someone resolves them; with --all the resolved ones\n"
     "too. ID is a mutation id, or the beginning of one. list tells which side won; show tells\n"
     "both values; resolve --take sets the other side's value back, by an edit of the server's\n"
     "own that travels like any."},
    {"quarantine", command_quarantine, true, 2,
     "quarantine list [--all] | show ID | retry ID | discard ID [--purge]   --data DIR",
     "What could not be accepted, and why; with --all what was discarded too. ID is a mutation\n"
     "id, or the beginning of one. Only show tells values. retry applies the edit as it is, as\n"
     "its author's; discard strikes it from the list and keeps it, with --purge only its trace."},
    {"rollout", command_rollout, true, 2,
     "rollout set REVISION [--percent P] [--region R] [--device ID] [--minimum N]"
     " [--halt-above P] [--hold TABLE[.FIELD]]... [--resume] | status | halt REVISION [--region R] "
     "|"
     " back REVISION [--region R] [--device ID]   --data DIR",
     "Which devices a schema revision goes out to. set gives it to P percent of them, a hash of\n"
     "the device's id saying to which, and they stay in while P grows; with --region to so many\n"
     "of those enrolled there; with --device to that one besides. They are told that the revision\n"
     "is there, and with --minimum that they cannot pull below N; what they push is always taken.\n"
     "--hold keeps a record type, or a field of one, from all other devices. When more than\n"
     "--halt-above percent of the cohort's syncs fail or are refused, the rollout halts by "
     "itself;\n"
     "halt does so by hand, and set --resume lets it grow again. back takes the last step back, "
     "or\n"
     "a device that was given by --device. status tells devices by revision and errors by cohort."},
    {"status", command_status, true, 0, "status --data DIR",
     "The store, its regions with their digests, and what waits for a person."},
    {"migrate", command_migrate, false, 0, "migrate --data DIR [--owner URI] [--distributed citus]",
     "Brings the store's schema up to date; refuses one that is newer than this outpostd.\n"
     "--owner as for init. With --distributed the database is a Citus cluster, and tables\n"
     "that are not spread over it yet become so: by region."},
    {"copy", command_copy, false, 0,
     "copy --from sqlite:DIR|postgresql://... --to postgresql://...|sqlite:DIR [--owner URI]",
     "Copies a whole store into an empty one of the other engine, in one transaction, and\n"
     "verifies it; with outpostd serve stopped. DIR is a data folder, or its outpost.db. Then\n"
     "`store` in DIR/outpostd.ini can name the other one, and devices go on where they were.\n"
     "The database takes DIR's CA. --owner as for init."},
    {"verify", command_verify, true, 0, "verify --data DIR",
     "Walks every region's log and records: the hash chain, the stamps, the digests. Exit\n"
     "code 65 when anything does not agree."},
};

enum { ENTRY_COUNT = sizeof entries / sizeof entries[0] };

/* ---- Pieces --------------------------------------------------------------- */

/* Usage errors travel as OUT_OF_RANGE, which nothing else here gives. */
struct rpc_status command_usage(const char *format, ...)
{
    struct rpc_status status = {.code = RPC_OUT_OF_RANGE};
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(status.message, sizeof status.message, format, arguments);
    va_end(arguments);
    return status;
}

const char *command_word(const struct command *command, size_t index)
{
    return index < command->line->word_count ? command->line->words[index] : NULL;
}

struct rpc_status command_parse_id(const char *what, const char *text, struct record_uuid *id_out)
{
    if (text == NULL)
        return command_usage("%s is missing", what);
    if (!record_uuid_parse(text, id_out))
        return command_usage("%s must be a UUID such as 6f757470-6f73-5470-8000-6f7574706f73",
                             what);
    return rpc_status_ok();
}

struct rpc_status command_not_known(const char *what, const struct record_uuid *id)
{
    char text[RECORD_UUID_TEXT_LEN + 1];

    record_uuid_format(id, text);
    return rpc_status_make(RPC_NOT_FOUND, "%s %s is not known: see outpostd %s list", what, text,
                           what);
}

json_t *command_id_json(const struct record_uuid *id)
{
    char text[RECORD_UUID_TEXT_LEN + 1];

    record_uuid_format(id, text);
    return json_string(text);
}

json_t *command_digest_json(uint64_t digest)
{
    return json_sprintf("%016llx", (unsigned long long)digest);
}

struct rpc_status command_run(struct command *command, struct store_request *request,
                              enum store_kind kind)
{
    request->kind = kind;
    return store_run(command->store, request);
}

int64_t command_time_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void command_random(uint8_t *bytes, size_t len)
{
    if (RAND_bytes(bytes, (int)len) != 1)
        abort();
}

struct rpc_status command_serve(struct command *command)
{
    return serve(&command->config, command->line->listen);
}

/* ---- Output --------------------------------------------------------------- */

static void print_scalar(const json_t *value)
{
    if (json_is_string(value))
        printf("%s", json_string_value(value));
    else if (json_is_integer(value))
        printf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        printf("%g", json_real_value(value));
    else if (json_is_boolean(value))
        printf("%s", json_is_true(value) ? "yes" : "no");
    else if (json_is_object(value)) /* the changes of a history */
        json_dumpf(value, stdout, JSON_COMPACT);
}

/* An object in one place of a text: NAME=VALUE,NAME=VALUE; a list: VALUE,VALUE. */
static void print_value(const json_t *value)
{
    const char *name, *comma = "";
    json_t *member;
    size_t index;

    json_array_foreach(value, index, member)
    {
        printf("%s", index > 0 ? "," : "");
        print_scalar(member);
    }
    if (!json_is_object(value)) {
        print_scalar(value);
        return;
    }
    json_object_foreach((json_t *)value, name, member)
    {
        printf("%s%s=", comma, name);
        print_scalar(member);
        comma = ",";
    }
}

/* A list of objects: a line of names, then a line each, tabs between. */
static void print_table(const json_t *rows)
{
    size_t index;
    json_t *row, *value;
    const char *name;

    json_array_foreach(rows, index, row)
    {
        const char *tab = "";
        if (index == 0) {
            json_object_foreach(row, name, value)
            {
                printf("%s%s", tab, name);
                tab = "\t";
            }
            printf("\n");
        }
        tab = "";
        json_object_foreach(row, name, value)
        {
            printf("%s", tab);
            print_value(value);
            tab = "\t";
        }
        printf("\n");
    }
}

/* A value alone, or each of a list on a line. */
static void print_plain(const json_t *plain)
{
    size_t index;
    json_t *value;

    json_array_foreach(plain, index, value)
    {
        print_scalar(value);
        printf("\n");
    }
    if (!json_is_array(plain)) {
        print_scalar(plain);
        printf("\n");
    }
}

static void print_text(const struct command *command)
{
    const char *name;
    json_t *value;

    if (command->plain != NULL) {
        print_plain(json_object_get(command->result, command->plain));
        return;
    }
    json_object_foreach(command->result, name, value)
    {
        if (json_is_array(value)) {
            print_table(value);
        } else if (!json_is_null(value)) {
            printf("%s: ", name);
            print_value(value);
            printf("\n");
        }
    }
}

static int exit_code(enum rpc_code code)
{
    switch (code) {
    case RPC_OK:
        return EX_OK;
    case RPC_OUT_OF_RANGE:
        return EX_USAGE;
    case RPC_INVALID_ARGUMENT:
    case RPC_NOT_FOUND:
    case RPC_ALREADY_EXISTS:
    case RPC_FAILED_PRECONDITION:
        return EX_DATAERR;
    case RPC_RESOURCE_EXHAUSTED:
    case RPC_DATA_LOSS:
        return EX_IOERR;
    case RPC_UNAVAILABLE:
        return EX_TEMPFAIL;
    case RPC_PERMISSION_DENIED:
    case RPC_UNAUTHENTICATED:
        return EX_NOPERM;
    default:
        return EX_SOFTWARE;
    }
}

static int report(struct command *command, const struct rpc_status *status)
{
    bool ok = rpc_ok(status);

    if (command->line->json && command->result != NULL) {
        json_object_set_new(
            command->result, "error",
            ok ? json_null()
               : json_pack("{s:s,s:s}", "code",
                           status->code == RPC_OUT_OF_RANGE ? "USAGE" : rpc_code_name(status->code),
                           "message", status->message));
        json_dumpf(command->result, stdout, JSON_INDENT(2));
        printf("\n");
    } else if (ok && command->result != NULL) {
        print_text(command);
    }
    if (!ok)
        fprintf(stderr, "outpostd: %s\n", status->message);
    if (fflush(stdout) != 0 && ok)
        return EX_IOERR;
    return exit_code(status->code);
}

static void print_help(FILE *file)
{
    fprintf(file, "outpostd: the server of Outpost, offline-native sync of health records.\n\n");
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        fprintf(file, "  outpostd %s\n", entries[i].usage);
    fprintf(file, "\nEach takes --json (one object on standard output) and --help.\n"
                  "Exit codes: 0 done, 64 usage, 65 bad input or verify failed, 70 bug,\n"
                  "74 disk full or I/O, 75 try later, 77 denied.\n");
}

/* ---- The line ------------------------------------------------------------- */

enum line_option {
    OPTION_HELP = 256,
    OPTION_DATA,
    OPTION_STORE,
    OPTION_OWNER,
    OPTION_DISTRIBUTED,
    OPTION_FROM,
    OPTION_TO,
    OPTION_LISTEN,
    OPTION_FACILITY,
    OPTION_COUNT,
    OPTION_REGIONS,
    OPTION_ID,
    OPTION_REGION,
    OPTION_TAKE,
    OPTION_PERCENT,
    OPTION_DEVICE,
    OPTION_MINIMUM,
    OPTION_HALT_ABOVE,
    OPTION_HOLD,
    OPTION_RESUME,
    OPTION_ALL,
    OPTION_PURGE,
    OPTION_WITH_COPIES,
    OPTION_CANCEL,
    OPTION_HOST,
    OPTION_ADMIN,
    OPTION_JSON,
};

static const struct option options[] = {
    {"help", no_argument, NULL, OPTION_HELP},
    {"data", required_argument, NULL, OPTION_DATA},
    {"store", required_argument, NULL, OPTION_STORE},
    {"owner", required_argument, NULL, OPTION_OWNER},
    {"distributed", required_argument, NULL, OPTION_DISTRIBUTED},
    {"from", required_argument, NULL, OPTION_FROM},
    {"to", required_argument, NULL, OPTION_TO},
    {"listen", required_argument, NULL, OPTION_LISTEN},
    {"facility", required_argument, NULL, OPTION_FACILITY},
    {"count", required_argument, NULL, OPTION_COUNT},
    {"regions", required_argument, NULL, OPTION_REGIONS},
    {"id", required_argument, NULL, OPTION_ID},
    {"region", required_argument, NULL, OPTION_REGION},
    {"take", required_argument, NULL, OPTION_TAKE},
    {"percent", required_argument, NULL, OPTION_PERCENT},
    {"device", required_argument, NULL, OPTION_DEVICE},
    {"minimum", required_argument, NULL, OPTION_MINIMUM},
    {"halt-above", required_argument, NULL, OPTION_HALT_ABOVE},
    {"hold", required_argument, NULL, OPTION_HOLD},
    {"resume", no_argument, NULL, OPTION_RESUME},
    {"all", no_argument, NULL, OPTION_ALL},
    {"purge", no_argument, NULL, OPTION_PURGE},
    {"with-copies", no_argument, NULL, OPTION_WITH_COPIES},
    {"cancel", no_argument, NULL, OPTION_CANCEL},
    {"host", required_argument, NULL, OPTION_HOST},
    {"admin", no_argument, NULL, OPTION_ADMIN},
    {"json", no_argument, NULL, OPTION_JSON},
    {NULL, 0, NULL, 0},
};

/* False: not an option of ours, one without its argument, or one too many. */
static bool take_option(int option, struct command_line *line, bool *help_out)
{
    switch (option) {
    case OPTION_HELP:
        *help_out = true;
        return true;
    case OPTION_DATA:
        line->data = optarg;
        return true;
    case OPTION_STORE:
        line->store_uri = optarg;
        return true;
    case OPTION_OWNER:
        line->owner = optarg;
        return true;
    case OPTION_DISTRIBUTED:
        line->distributed = optarg;
        return true;
    case OPTION_FROM:
        line->from = optarg;
        return true;
    case OPTION_TO:
        line->to = optarg;
        return true;
    case OPTION_LISTEN:
        line->listen = optarg;
        return true;
    case OPTION_FACILITY:
        line->facility = optarg;
        return true;
    case OPTION_COUNT:
        line->count = optarg;
        return true;
    case OPTION_REGIONS:
        line->regions = optarg;
        return true;
    case OPTION_ID:
        line->id = optarg;
        return true;
    case OPTION_REGION:
        if (line->region_count == COMMAND_REGIONS_MAX)
            return false;
        line->every_region[line->region_count++] = line->region = optarg;
        return true;
    case OPTION_TAKE:
        line->take = optarg;
        return true;
    case OPTION_PERCENT:
        line->percent = optarg;
        return true;
    case OPTION_DEVICE:
        line->device = optarg;
        return true;
    case OPTION_MINIMUM:
        line->minimum = optarg;
        return true;
    case OPTION_HALT_ABOVE:
        line->halt_above = optarg;
        return true;
    case OPTION_HOLD:
        if (line->hold_count == COMMAND_HOLDS_MAX)
            return false;
        line->holds[line->hold_count++] = optarg;
        return true;
    case OPTION_RESUME:
        line->resume = true;
        return true;
    case OPTION_ALL:
        line->all = true;
        return true;
    case OPTION_PURGE:
        line->purge = true;
        return true;
    case OPTION_WITH_COPIES:
        line->with_copies = true;
        return true;
    case OPTION_CANCEL:
        line->cancel = true;
        return true;
    case OPTION_HOST:
        if (line->host_count == COMMAND_HOSTS_MAX)
            return false;
        line->hosts[line->host_count++] = optarg;
        return true;
    case OPTION_ADMIN:
        line->admin = true;
        return true;
    case OPTION_JSON:
        line->json = true;
        return true;
    default:
        return false;
    }
}

/* Takes the whole line, so that --json after a wrong option is still heard; the
 * status tells of the first fault. */
static struct rpc_status take_line(int argc, char **argv, const struct entry *entry,
                                   struct command_line *line, bool *help_out)
{
    struct rpc_status status = rpc_status_ok();
    int option;

    while ((option = getopt_long(argc, argv, ":", options, NULL)) != -1)
        if (!take_option(option, line, help_out) && rpc_ok(&status))
            status = command_usage("%s %s: usage: outpostd %s", argv[optind - 1],
                                   option == ':'   ? "needs a value"
                                   : option == '?' ? "is not an option of outpostd"
                                                   : "is one too many",
                                   entry->usage);
    for (int i = optind; i < argc && rpc_ok(&status); i++) {
        if (line->word_count == entry->words_max)
            status = command_usage("\"%s\" is one word too many: usage: outpostd %s", argv[i],
                                   entry->usage);
        else
            line->words[line->word_count++] = argv[i];
    }
    return status;
}

static struct rpc_status run(struct command *command, const struct entry *entry)
{
    struct store_options store_options = {0};
    struct rpc_status status;

    if (command->line->data == NULL && entry->run != command_copy)
        return command_usage("--data DIR is missing: outpostd %s", entry->usage);
    command->hasher = record_hasher_new();
    if (command->hasher == NULL || !scope_roles_find(&outpost_v1_schema, &command->roles))
        return rpc_status_make(RPC_UNAVAILABLE, "out of memory");
    if (entry->run != command_init && entry->run != command_copy) {
        status = config_load(command->line->data, &command->config);
        if (!rpc_ok(&status))
            return status;
    }
    if (entry->needs_store) {
        store_options.roles = command->roles;
        store_options.note = enrolled_note;
        store_options.note_context = &command->config;
        status = engine_open(&command->config, &store_options, &command->store);
        if (!rpc_ok(&status))
            return status;
    }
    return entry->run(command);
}

static const struct entry *find_entry(const char *name)
{
    for (size_t i = 0; i < ENTRY_COUNT; i++)
        if (strcmp(name, entries[i].name) == 0)
            return &entries[i];
    return NULL;
}

/* A line that names no command: only --json is looked for in it. */
static struct rpc_status no_command(int argc, char **argv, struct command_line *line)
{
    for (int i = 2; i < argc; i++)
        line->json = line->json || strcmp(argv[i], "--json") == 0;
    return command_usage("there is no command \"%s\": see outpostd --help", argv[1]);
}

int main(int argc, char **argv)
{
    struct command_line line = {0};
    struct command command = {.line = &line};
    bool help = false;

    /* Its own count of memory takes a lock at each allocation, and nobody asks for it. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        print_help(argc < 2 ? stderr : stdout);
        return argc < 2 ? EX_USAGE : EX_OK;
    }
    const struct entry *entry = find_entry(argv[1]);
    struct rpc_status status = entry != NULL ? take_line(argc - 1, argv + 1, entry, &line, &help)
                                             : no_command(argc, argv, &line);
    if (help && rpc_ok(&status)) {
        printf("usage: outpostd %s\n\n%s\n", entry->usage, entry->help);
        return EX_OK;
    }
    command.result = json_object();
    if (command.result == NULL)
        status = rpc_status_make(RPC_UNAVAILABLE, "out of memory");
    else if (rpc_ok(&status))
        status = run(&command, entry);
    bool quiet = rpc_ok(&status) && entry->run == command_serve;
    int code = quiet ? EX_OK : report(&command, &status);
    store_close(command.store);
    record_hasher_free(command.hasher);
    json_decref(command.result);
    return code;
}
