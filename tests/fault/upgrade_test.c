/* SPDX-License-Identifier: Apache-2.0
 *
 * An upgrade of a device's database that loses power at every operation on the disk
 * (client/schema.h).
 *
 * Method: a device of an older version holds records with fields and of a type that it
 * does not know, some of them edited, some edits sealed. The present version opens the
 * file; in the Nth run the power goes at the Nth write, truncate, sync or delete. What was
 * not synced is kept, dropped or torn by a seed. Then, by the seed, the older version
 * opens it once more, which works, or says that the database is newer and changes
 * nothing; and the present one opens it. In the end every value is in its column, every
 * edit is still pending, what was sealed has its bytes, and the sums are those of the rows.
 *
 * With room that runs out, once or from then on, and with errors, likewise.
 *
 *   upgrade_test [--stride K] [--seeds N]
 */
#include "crash_vfs.h"

#include "device.h"
#include "older_schema.h"
#include "pull.h"

#include "outpost/v1/schema.gen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PATIENTS = 40,
    /* No upgrade of this size makes more; protects from a sweep without end. */
    OPERATIONS_MAX = 100000,
    TRIES_MAX = 4,
    PATIENT = 10,
    FULL_NAME = 1,
    SYSTOLIC = 1,
    PULL_RECORDS = 1,
    BIRTH = 3,
};

static const char path[] = "device.db";

static struct crash_disk disk;
static struct crash_image *base;
static char sealed_before[64]; /* a hash over the sealed bytes */
static char problem[400];

static bool wrong(const char *what)
{
    if (problem[0] == '\0')
        snprintf(problem, sizeof problem, "%s", what);
    return false;
}

static struct outpost_status open_device(outpost **device_out, const struct record_schema *schema,
                                         bool create)
{
    struct outpost_options options;

    outpost_options_init_default(&options);
    options.path = path;
    options.create = create;
    options.schema = schema;
    return outpost_open(&options, device_out);
}

static bool run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    bool done = sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

    sqlite3_close(db);
    return done;
}

static bool read_text(const char *sql, char *text, size_t len)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW;

    snprintf(text, len, "%s", good ? (const char *)sqlite3_column_text(statement, 0) : "");
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return good;
}

static bool is_true(const char *sql)
{
    char text[16];

    return read_text(sql, text, sizeof text) && strcmp(text, "1") == 0;
}

/* ---- The older device -------------------------------------------------------------- */

static void put_text(struct record_body *body, uint32_t number, const char *text)
{
    struct wire_field field = {
        .number = number, .type = WIRE_LEN, .bytes = rpc_bytes_view(text, strlen(text))};

    if (!record_body_set(body, &field))
        abort();
}

static void put_number(struct record_body *body, uint32_t number, uint64_t value)
{
    struct wire_field field = {.number = number, .type = WIRE_VARINT, .value = value};

    if (!record_body_set(body, &field))
        abort();
}

static void add_record(struct rpc_buffer *pull, const struct record_key *key,
                       const struct record_body *body)
{
    struct record_image image = {.key = *key, .version = 1};
    struct rpc_buffer bytes, encoded;

    rpc_buffer_init(&bytes, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&encoded, RECORD_ENVELOPE_BYTES_MAX);
    record_body_encode(body, &bytes);
    image.body = rpc_buffer_view(&bytes);
    record_image_encode(&image, &encoded);
    wire_put_message(pull, PULL_RECORDS, rpc_buffer_view(&encoded));
    rpc_buffer_deinit(&encoded);
    rpc_buffer_deinit(&bytes);
}

/* As a server of the present version sends them: a patient and a reading each. */
static void pull_records(outpost *device)
{
    struct outpost_sync_result result = {0};
    struct rpc_buffer pull;

    rpc_buffer_init(&pull, 1024 * 1024);
    for (unsigned i = 0; i < PATIENTS; i++) {
        struct record_key key = {
            .type = PATIENT, .family = {{1, (uint8_t)i}}, .id = {{1, (uint8_t)i}}};
        struct record_body patient = {0}, reading = {0};
        put_text(&patient, FULL_NAME, "Asha");
        put_text(&patient, BIRTH, "1970-01-01");
        put_text(&patient, OLDER_SCHEMA_LACKS_TEXT, "a zone");
        put_number(&patient, OLDER_SCHEMA_LACKS_NUMBER, 1000 + i);
        add_record(&pull, &key, &patient);
        put_number(&reading, SYSTOLIC, 100 + i);
        key.type = OLDER_SCHEMA_LACKS_TYPE;
        key.id.bytes[0] = 2;
        add_record(&pull, &key, &reading);
    }
    if (!pull_apply(&device->store, rpc_buffer_view(&pull), 1, &result) ||
        result.pulled != 2 * PATIENTS)
        abort();
    rpc_buffer_deinit(&pull);
}

#define SEALED "SELECT group_concat(hex(mutation) || hex(sealed_body)) FROM outpost_outbox"

static void make_base(void)
{
    static const uint8_t facility[OUTPOST_ID_LEN] = {9};
    char sealed[40000];
    outpost *device;

    if (open_device(&device, &older_schema, true).code != OUTPOST_OK ||
        !run_sql("UPDATE outpost_state SET device_id = x'01000000000000000000000000000000',"
                 " facility_id = x'08000000000000000000000000000000', server = 'localhost:1'"))
        abort();
    pull_records(device);
    if (!run_sql("UPDATE patient SET district = 'North' WHERE substr(id, 2, 1) < x'0a'") ||
        outpost_set_facility(device, facility).code != OUTPOST_OK /* seals */ ||
        !run_sql("UPDATE patient SET district = 'South' WHERE substr(id, 2, 1) < x'14'") ||
        !read_text(SEALED, sealed, sizeof sealed))
        abort();
    snprintf(sealed_before, sizeof sealed_before, "%zu %.40s", strlen(sealed), sealed);
    base = crash_disk_save(&disk); /* with the WAL as it is now */
    outpost_close(device);
}

/* ---- Upgrading ------------------------------------------------------------------------ */

static void upgrade(void)
{
    outpost *device;

    if (open_device(&device, &outpost_v1_schema, false).code == OUTPOST_OK)
        outpost_close(device);
}

/* A phone that is put back to the older app: it goes on as it was, or is told. */
static void step_back(void)
{
    char before[200], after[200];
    static const char state[] = "SELECT (SELECT group_concat(name) FROM sqlite_master WHERE type ="
                                " 'trigger') || (SELECT schema_revision FROM outpost_state)";
    outpost *device;

    if (!read_text(state, before, sizeof before)) {
        wrong("the database cannot be read");
        return;
    }
    struct outpost_status status = open_device(&device, &older_schema, false);
    if (status.code == OUTPOST_OK) {
        outpost_close(device);
        if (!is_true("SELECT schema_revision = 0 FROM outpost_state"))
            wrong("the older version opened a newer database");
    } else if (status.code != OUTPOST_BAD_INPUT || strstr(status.message, "newer") == NULL) {
        wrong(status.message);
    } else if (!read_text(state, after, sizeof after) || strcmp(before, after) != 0) {
        wrong("the refusal changed the database");
    }
}

static bool check_content(void)
{
    char sealed[40000], now[64];

    read_text(SEALED, sealed, sizeof sealed);
    snprintf(now, sizeof now, "%zu %.40s", strlen(sealed), sealed);
    return (is_true("SELECT count(*) = 40 AND sum(zone = 'a zone') = 40 AND"
                    " sum(recorded_at_ms) = 40780 AND sum(length(outpost_unknown)) = 0"
                    " FROM patient") ||
            wrong("values are not in their columns")) &&
           (is_true(
                "SELECT count(*) = 20 AND sum(zone = 'a zone') = 20 FROM outpost_base_patient") ||
            wrong("base images are not what they were")) &&
           (is_true("SELECT count(*) = 40 AND sum(systolic_mmhg) = 4780 FROM blood_pressure") ||
            wrong("records of the new type are not in their table")) &&
           (is_true("SELECT count(*) = 0 FROM outpost_unknown_record") ||
            wrong("records are unknown still")) &&
           (is_true("SELECT count(*) = 20 FROM outpost_pending") ||
            wrong("edits are not pending any more")) &&
           (is_true("SELECT sum(district = 'North') = 0 AND sum(district = 'South') = 20"
                    " FROM patient") ||
            wrong("edits are lost")) &&
           (strcmp(now, sealed_before) == 0 || wrong("what was sealed has other bytes")) &&
           (is_true("SELECT integrity_check = 'ok' FROM pragma_integrity_check(1)") ||
            wrong("the database is corrupt"));
}

/* Stamps and sums are those of the rows; nothing was compared with a server yet. */
static bool check_sums(void)
{
    struct outpost_verify_result result;
    outpost *device;

    if (open_device(&device, &outpost_v1_schema, false).code != OUTPOST_OK)
        return wrong("the upgraded database does not open");
    struct outpost_status status = outpost_verify(device, &result);
    outpost_close(device);
    return (status.code == OUTPOST_OK && result.damaged == 0 && result.records == 2 * PATIENTS) ||
           wrong("stamps or sums are not those of the rows");
}

/* ---- The sweep ------------------------------------------------------------------------------ */

static void power_on(uint64_t seed)
{
    crash_disk_plan(&disk, CRASH_NOTHING, 0);
    if (crash_vfs_is_down(&disk))
        crash_disk_power_on(&disk, seed);
}

/* False: the upgrade was over before the fault came. */
static bool run_point(enum crash_fault fault, uint64_t at, uint64_t seed, bool *good_out)
{
    uint64_t luck = seed * UINT64_C(1000003) + at;

    problem[0] = '\0';
    crash_disk_restore(&disk, base);
    crash_disk_plan(&disk, fault, at);
    upgrade();
    bool came = disk.fault_came;
    power_on(luck);
    if (crash_random_below(&luck, 2) == 0)
        step_back();
    if (came && fault == CRASH_POWER && crash_random_below(&luck, 2) == 0) {
        crash_disk_plan(&disk, CRASH_POWER, 1 + crash_random_below(&luck, at));
        upgrade();
        power_on(luck);
    }
    for (int tries = 0; tries < TRIES_MAX; tries++)
        upgrade();
    *good_out = check_content() && check_sums() && problem[0] == '\0';
    return came;
}

static bool sweep(enum crash_fault fault, const char *what, uint64_t seed, uint64_t stride)
{
    uint64_t bad = 0, points = 0, at = 1;
    bool good, came = true;

    for (; came && at < OPERATIONS_MAX; at += stride) {
        came = run_point(fault, at, seed, &good);
        points += came;
        if (!good && bad++ == 0)
            printf("upgrade: seed %" PRIu64 ": %s at operation %" PRIu64 ": %s\n", seed, what, at,
                   problem);
    }
    printf("upgrade: seed %" PRIu64 ": %s: %" PRIu64 " points, %" PRIu64 " bad\n", seed, what,
           points, bad);
    fflush(stdout);
    return bad == 0 && points > 0;
}

int main(int argc, char **argv)
{
    uint64_t stride = 1, seeds = 1;
    bool good = true;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--stride") == 0)
            stride = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0)
            seeds = strtoull(argv[i + 1], NULL, 10);
    }
    crash_disk_init(&disk, "device");
    crash_vfs_install(&disk, 1);
    older_schema_make();
    make_base();
    for (uint64_t seed = 1; seed <= seeds; seed++)
        good = sweep(CRASH_POWER, "power loss", seed, stride) &&
               sweep(CRASH_FULL_ONCE, "no room once", seed, stride) &&
               sweep(CRASH_FULL, "no room for a while", seed, stride) &&
               sweep(CRASH_ERROR_ONCE, "an error once", seed, stride) && good;
    crash_vfs_uninstall();
    crash_image_free(base);
    crash_disk_deinit(&disk);
    printf("upgrade: %s\n", good ? "ok" : "FAILED");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
