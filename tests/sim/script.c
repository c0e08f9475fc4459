/* SPDX-License-Identifier: Apache-2.0
 *
 * Scripts: a world without luck in what happens, for histories that are to be the
 * same elsewhere. One command a line; README.md tells them.
 */
#include "sim.h"

#include "values.h"

#include <stdlib.h>

enum { LINE_LEN = 1000, SQL_LEN = 4000, WORD_LEN = 32, NAMES_MAX = 1000 };

struct script {
    struct sim *sim;
    struct sim_options options;
    size_t line;
    bool failed; /* a world did */
    size_t name_count;
    struct {
        char name[WORD_LEN];
        struct record_uuid id;
    } * names;
};

/* ---- Names ------------------------------------------------------------------------------ */

/* The id of a name, made at its first use: its place among the names, so that ids
 * sort as names were first used. */
static const struct record_uuid *id_of(struct script *script, const char *name)
{
    for (size_t i = 0; i < script->name_count; i++)
        if (strcmp(script->names[i].name, name) == 0)
            return &script->names[i].id;
    if (script->name_count == NAMES_MAX)
        return NULL;
    size_t n = ++script->name_count;
    snprintf(script->names[n - 1].name, WORD_LEN, "%s", name);
    script->names[n - 1].id = (struct record_uuid){
        {0x01, (uint8_t)(n >> 8), (uint8_t)n, [14] = (uint8_t)(n >> 8), [15] = (uint8_t)n}};
    return &script->names[n - 1].id;
}

/* {name} becomes the id, {facility N} and {region N} theirs. False: too long. */
static bool expand(struct script *script, const char *text, char sql_out[SQL_LEN])
{
    size_t at = 0;

    while (*text != '\0' && at + PHONE_BLOB_LEN < SQL_LEN) {
        const char *end = *text == '{' ? strchr(text, '}') : NULL;
        char name[WORD_LEN], blob[PHONE_BLOB_LEN];
        struct record_uuid id;
        unsigned n;
        if (end == NULL || end - text > WORD_LEN) {
            sql_out[at++] = *text++;
            continue;
        }
        snprintf(name, sizeof name, "%.*s", (int)(end - text - 1), text + 1);
        if (sscanf(name, "facility %u", &n) == 1) {
            id = sim_facility(n);
        } else if (sscanf(name, "region %u", &n) == 1) {
            id = sim_region(n);
        } else {
            const struct record_uuid *known = id_of(script, name);
            if (known == NULL)
                return false;
            id = *known;
        }
        at += (size_t)snprintf(sql_out + at, SQL_LEN - at, "%s", phone_blob(&id, blob));
        text = end + 1;
    }
    sql_out[at] = '\0';
    return *text == '\0';
}

/* ---- What is there ------------------------------------------------------------------------ */

static void print_name(const struct script *script, const void *bytes, size_t len)
{
    for (size_t i = 0; i < script->name_count && len == RECORD_UUID_LEN; i++)
        if (memcmp(script->names[i].id.bytes, bytes, RECORD_UUID_LEN) == 0) {
            printf("%s", script->names[i].name);
            return;
        }
    for (size_t i = 0; i < len; i++)
        printf("%02x", ((const uint8_t *)bytes)[i]);
}

/* One line for each row: words, names where an id has one. */
static bool ask(struct script *script, const char *path, const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    char sql[SQL_LEN];
    bool asked = expand(script, text, sql) && sqlite3_open(path, &db) == SQLITE_OK &&
                 sqlite3_prepare_v2(db, sql, -1, &rows, NULL) == SQLITE_OK;

    while (asked && sqlite3_step(rows) == SQLITE_ROW)
        for (int i = 0, count = sqlite3_column_count(rows); i < count; i++) {
            if (sqlite3_column_type(rows, i) == SQLITE_BLOB)
                print_name(script, sqlite3_column_blob(rows, i),
                           (size_t)sqlite3_column_bytes(rows, i));
            else if (sqlite3_column_type(rows, i) == SQLITE_NULL)
                printf("-");
            else
                printf("%s", sqlite3_column_text(rows, i));
            printf("%s", i + 1 < count ? " " : "\n");
        }
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return asked;
}

static void print_answer(void *context, const struct record_key *key, unsigned status,
                         unsigned reason)
{
    const struct script *script = context;

    printf("answer type %u ", key->type);
    print_name(script, key->id.bytes, RECORD_UUID_LEN);
    printf(" status %u reason %u\n", status, reason);
}

/* "N SELECT ...": that the server's database gives this number. */
static bool expect(struct script *script, const char *rest)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;
    char sql[SQL_LEN], *text;
    long wanted = strtol(rest, &text, 10);
    bool asked = expand(script, text, sql) &&
                 sqlite3_open(script->sim->server.path, &db) == SQLITE_OK &&
                 sqlite3_prepare_v2(db, sql, -1, &rows, NULL) == SQLITE_OK &&
                 sqlite3_step(rows) == SQLITE_ROW;

    if (asked && sqlite3_column_int64(rows, 0) != wanted)
        sim_fail(script->sim, "line %zu: %lld and not %ld", script->line,
                 (long long)sqlite3_column_int64(rows, 0), wanted);
    sqlite3_finalize(rows);
    sqlite3_close(db);
    return asked;
}

static void print_failures(struct script *script)
{
    for (size_t i = 0; i < script->sim->failure_count; i++)
        printf("failure: %s\n", script->sim->failures[i]);
    script->failed = script->failed || script->sim->failure_count > 0;
    script->sim->failure_count = 0;
}

/* ---- Commands ------------------------------------------------------------------------------- */

static bool sync_until(struct script *script, struct phone *phone, const char *how, unsigned n)
{
    struct link_stop stop = {LINK_NEVER, LINK_NEVER, false};

    if (strcmp(how, "sent") == 0)
        stop.sent = n;
    else if (strcmp(how, "received") == 0)
        stop.received = n;
    else if (strcmp(how, "pushed") == 0)
        stop.pushed = true;
    else if (how[0] != '\0')
        return false;
    if (sim_sync_begin_until(script->sim, phone, &stop))
        sim_sync_whole(script->sim, phone);
    return true;
}

/* Commands about one phone. */
static bool run_for_phone(struct script *script, struct phone *phone, const char *command,
                          const char *rest)
{
    struct sim *sim = script->sim;
    char how[WORD_LEN] = "", sql[SQL_LEN];
    struct record_uuid facility;
    unsigned n = 0;

    sscanf(rest, "%31s %u", how, &n);
    if (strcmp(command, "sql") == 0)
        return expand(script, rest, sql) && phone_sql(phone, sql);
    if (strcmp(command, "sync") == 0)
        return sync_until(script, phone, how, n);
    if (strcmp(command, "switch") == 0) {
        facility = sim_facility((unsigned)strtoul(rest, NULL, 10));
        return device_half_set_facility(phone->half, &facility);
    }
    if (strcmp(command, "kill") == 0)
        sim_phone_restart(sim, phone);
    else if (strcmp(command, "save") == 0)
        sim_save(sim, phone);
    else if (strcmp(command, "lose") == 0)
        sim_lose(sim, phone);
    else if (strcmp(command, "late") == 0)
        sim_sync_late(sim, phone);
    else if (strcmp(command, "ask") == 0)
        return ask(script, phone->path, rest);
    else
        return false;
    return true;
}

/* "FACILITY [admin | REGION...]" */
static bool add_phone(struct sim *sim, const char *rest)
{
    struct sim_enrolment enrolment = {0};
    char *more;

    enrolment.facility = (unsigned)strtoul(rest, &more, 10);
    enrolment.admin = strstr(more, "admin") != NULL;
    for (; !enrolment.admin && *more != '\0'; more += *more == ' ')
        enrolment.regions |= 1u << strtoul(more, &more, 10) % SIM_REGIONS;
    if (sim->phone_count == SIM_PHONES_MAX)
        return false;
    sim_add_phone(sim, &enrolment);
    return true;
}

/* A new world, for several in one script. */
static void begin(struct script *script)
{
    print_failures(script);
    sim_begin(script->sim, &script->options);
    script->name_count = 0;
}

static bool run_for_world(struct script *script, const char *command, const char *rest)
{
    struct sim *sim = script->sim;
    size_t n = strtoul(rest, NULL, 10);

    if (strcmp(command, "world") == 0)
        begin(script);
    else if (strcmp(command, "phone") == 0)
        return add_phone(sim, rest);
    else if (strcmp(command, "batches") == 0)
        return sscanf(rest, "%u %u", &sim->server.service.settings.push_batch,
                      &sim->server.service.settings.pull_batch) == 2;
    else if (strcmp(command, "copy") == 0)
        sim_copy(sim, n);
    else if (strcmp(command, "old") == 0)
        sim_old(sim, n);
    else if (strcmp(command, "backup") == 0)
        sim_backup(sim);
    else if (strcmp(command, "restore") == 0)
        sim_restore(sim);
    else if (strcmp(command, "deliver") == 0)
        sim_ghost_whole(sim, n % SIM_GHOSTS_MAX);
    else if (strcmp(command, "answers") == 0) {
        sim->ledger.answered = print_answer;
        sim->ledger.context = script;
    } else if (strcmp(command, "ask-server") == 0)
        return ask(script, sim->server.path, rest);
    else if (strcmp(command, "say") == 0)
        printf("%s\n", rest), fflush(stdout);
    else if (strcmp(command, "expect") == 0)
        return expect(script, rest);
    else if (strcmp(command, "rest") == 0)
        sim_finish(sim);
    else
        return false;
    return true;
}

static bool run_line(struct script *script, char *line)
{
    static const char *const of_phones[] = {"sql",  "sync", "switch", "kill",
                                            "save", "lose", "late",   "ask"};
    char command[WORD_LEN];
    unsigned who;
    int at = 0;

    line[strcspn(line, "\n")] = '\0';
    if (line[0] == '#' || sscanf(line, "%31s %n", command, &at) < 1)
        return true;
    script->sim->now_ms += 1000;
    for (size_t i = 0; i < sizeof of_phones / sizeof of_phones[0]; i++) {
        int more = 0;
        if (strcmp(command, of_phones[i]) != 0)
            continue;
        return sscanf(line + at, "%u %n", &who, &more) >= 1 && who < script->sim->phone_count &&
               script->sim->phones[who].half != NULL &&
               run_for_phone(script, &script->sim->phones[who], command, line + at + more);
    }
    return run_for_world(script, command, line + at);
}

int script_run(struct sim *sim, FILE *file)
{
    struct script script = {.sim = sim,
                            .options = {.seed = 1, .verbose = sim->options.verbose, .empty = true},
                            .names = calloc(NAMES_MAX, sizeof *script.names)};
    char line[LINE_LEN];
    bool good = script.names != NULL;

    begin(&script);
    while (good && fgets(line, sizeof line, file) != NULL) {
        script.line++;
        good = run_line(&script, line);
    }
    if (!good)
        fprintf(stderr, "sim: line %zu of the script cannot be done: see tests/sim/README.md\n",
                script.line);
    print_failures(&script);
    free(script.names);
    return !good ? 65 : script.failed ? 1 : 0;
}
