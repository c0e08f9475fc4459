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

/* ---- What the server has ------------------------------------------------------------------ */

static void print_name(struct script *script, const void *bytes)
{
    for (size_t i = 0; i < script->name_count; i++)
        if (memcmp(script->names[i].id.bytes, bytes, RECORD_UUID_LEN) == 0) {
            printf("%s", script->names[i].name);
            return;
        }
    for (size_t i = 0; i < RECORD_UUID_LEN; i++)
        printf("%02x", ((const uint8_t *)bytes)[i]);
}

/* One line for each record of a family and region, and for each conflict. */
static void dump(struct script *script)
{
    static const char sql[] =
        "SELECT 'record', region_id, type, id, version, deleted, hex(body) FROM record WHERE"
        " family_id <> zeroblob(16) UNION ALL"
        " SELECT 'conflict', region_id, type, id, version, 0, hex(clashes) FROM conflict UNION ALL"
        " SELECT 'quarantined', region_id, 0, mutation_id, reason, field, hex(mutation) FROM"
        " quarantine ORDER BY 1, 2, 3, 4, 5";
    sqlite3 *db = NULL;
    sqlite3_stmt *rows = NULL;

    if (sqlite3_open(script->sim->server.path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(db, sql, -1, &rows, NULL) == SQLITE_OK)
        while (sqlite3_step(rows) == SQLITE_ROW) {
            const uint8_t *region = sqlite3_column_blob(rows, 1);
            printf("%s region %u type %d ", sqlite3_column_text(rows, 0), region[1],
                   sqlite3_column_int(rows, 2));
            print_name(script, sqlite3_column_blob(rows, 3));
            printf(" version %d deleted %d %s\n", sqlite3_column_int(rows, 4),
                   sqlite3_column_int(rows, 5), sqlite3_column_text(rows, 6));
        }
    sqlite3_finalize(rows);
    sqlite3_close(db);
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

/* ---- Commands ------------------------------------------------------------------------------- */

static bool sync_until(struct script *script, struct phone *phone, const char *how, unsigned n)
{
    struct link_stop stop = {LINK_NEVER, LINK_NEVER};

    if (strcmp(how, "sent") == 0)
        stop.sent = n;
    else if (strcmp(how, "received") == 0)
        stop.received = n;
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
    else
        return false;
    return true;
}

static bool run_for_world(struct script *script, const char *command, const char *rest)
{
    struct sim *sim = script->sim;
    unsigned facility = 0;
    char admin[WORD_LEN] = "";

    if (strcmp(command, "phone") == 0 && sim->phone_count < SIM_PHONES_MAX &&
        sscanf(rest, "%u %31s", &facility, admin) >= 1) {
        sim_add_phone(sim, facility, strcmp(admin, "admin") == 0, false);
    } else if (strcmp(command, "batches") == 0)
        return sscanf(rest, "%u %u", &sim->server.service.settings.push_batch,
                      &sim->server.service.settings.pull_batch) == 2;
    else if (strcmp(command, "copy") == 0)
        sim_copy(sim);
    else if (strcmp(command, "old") == 0)
        sim_old(sim);
    else if (strcmp(command, "backup") == 0)
        sim_backup(sim);
    else if (strcmp(command, "restore") == 0)
        sim_restore(sim);
    else if (strcmp(command, "dump") == 0)
        dump(script);
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
    static const char *const of_phones[] = {"sql", "sync", "switch", "kill", "save", "lose"};
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

    sim_begin(sim, &script.options);
    while (good && fgets(line, sizeof line, file) != NULL) {
        script.line++;
        good = run_line(&script, line);
    }
    if (!good)
        fprintf(stderr, "sim: line %zu of the script cannot be done: see tests/sim/README.md\n",
                script.line);
    for (size_t i = 0; i < sim->failure_count; i++)
        printf("failure: %s\n", sim->failures[i]);
    free(script.names);
    return !good ? 65 : sim->failure_count > 0 ? 1 : 0;
}
