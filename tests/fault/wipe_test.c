/* SPDX-License-Identifier: Apache-2.0
 *
 * A wipe that loses power at every operation on the disk (client/wipe.h).
 *
 * Method: a device with synced, pending and deleted records and a WAL takes a good
 * order from a session; in the Nth run the power goes at the Nth write, truncate, sync
 * or delete. What was not synced is kept, dropped or torn by a seed; the database is
 * opened again, as any command does, and for half of the seeds the power goes once
 * more while it recovers. Then either nothing has happened, and the same order is taken
 * again, or it is wiped. In the end no file of the disk holds a name of a patient or
 * the key, the report is there and its signature is good, and the app's own table
 * has what it had.
 *
 * With room that runs out, once or from then on, and with errors, likewise.
 *
 *   wipe_test [--stride K] [--seeds N]
 */
#include "crash_vfs.h"

#include "device.h"
#include "session.h"
#include "wipe.h"

#include "outpost/v1/schema.gen.h"
#include "outpost/v1/sync.pb-c.h"
#include "outpost/wipe.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PATIENTS = 60,
    RECOVERY_OPERATIONS = 60,
    /* No wipe of this size makes more; protects from a sweep without end. */
    OPERATIONS_MAX = 100000,
    TRIES_MAX = 4,
};

static const char path[] = "device.db";
static const char name[] = "Canary Wachtelschlag";
static const struct record_uuid device_id = {{1}}, facility_id = {{8}};
static const int64_t ordered_at_ms = INT64_C(1700000000000);

static struct crash_disk disk;
static struct crash_image *base;
static EVP_PKEY *ca_key, *device_key;
static char *ca_pem, *key_pem;
static struct rpc_buffer order; /* a SyncResponse */
static char problem[400];

static bool wrong(const char *what)
{
    if (problem[0] == '\0')
        snprintf(problem, sizeof problem, "%s", what);
    return false;
}

/* ---- Keys and the order --------------------------------------------------------------- */

static char *text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    char *text = malloc((size_t)len + 1);

    if (text == NULL)
        abort();
    memcpy(text, data, (size_t)len);
    text[len] = '\0';
    BIO_free(bio);
    return text;
}

static void make_keys(void)
{
    BIO *certificate_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_mem());
    X509 *certificate = X509_new();

    ca_key = EVP_EC_gen("P-256");
    device_key = EVP_EC_gen("P-256");
    if (certificate == NULL || ca_key == NULL || device_key == NULL ||
        X509_set_pubkey(certificate, ca_key) != 1 ||
        X509_gmtime_adj(X509_getm_notBefore(certificate), 0) == NULL ||
        X509_gmtime_adj(X509_getm_notAfter(certificate), 86400) == NULL ||
        X509_sign(certificate, ca_key, EVP_sha256()) == 0 ||
        PEM_write_bio_X509(certificate_bio, certificate) != 1 ||
        PEM_write_bio_PrivateKey(key_bio, device_key, NULL, NULL, 0, NULL, NULL) != 1)
        abort();
    X509_free(certificate);
    ca_pem = text_of(certificate_bio);
    key_pem = text_of(key_bio);
}

static void make_order(void)
{
    struct wipe_signed what;
    struct wipe_signature signature;
    struct rpc_buffer message;

    if (!wipe_order_signed(&device_id, ordered_at_ms, rpc_bytes_view(NULL, 0), &what) ||
        !wipe_sign(ca_key, &what, &signature))
        abort();
    rpc_buffer_init(&message, 4096);
    rpc_buffer_init(&order, 4096);
    wire_put_bytes(&message, 1, rpc_bytes_view(device_id.bytes, RECORD_UUID_LEN));
    wire_put_uint(&message, 2, (uint64_t)ordered_at_ms);
    wire_put_bytes(&message, 4, rpc_bytes_view(signature.bytes, signature.len));
    wire_put_message(&order, 5, rpc_buffer_view(&message));
    rpc_buffer_deinit(&message);
}

/* ---- The device ------------------------------------------------------------------------ */

static bool open_device(outpost **device_out, bool create)
{
    struct outpost_options options;

    outpost_options_init_default(&options);
    options.path = path;
    options.create = create;
    struct outpost_status status = outpost_open(&options, device_out);
    return status.code == OUTPOST_OK;
}

/* As an app whose SQLite does not overwrite what it deletes. */
static bool run_sql(const char *sql)
{
    sqlite3 *db = NULL;
    bool done = sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_exec(db, "PRAGMA secure_delete = OFF", NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;

    sqlite3_close(db);
    return done;
}

/* Records in every table that holds them, and a WAL that holds what is deleted since. */
static void make_base(void)
{
    outpost *device;
    char sql[4096];

    if (!open_device(&device, true))
        abort();
    snprintf(sql, sizeof sql,
             "UPDATE outpost_state SET device_id = x'01000000000000000000000000000000',"
             " facility_id = x'08000000000000000000000000000000', server = 'localhost:1';"
             "INSERT INTO outpost_identity(one, key_pem, certificate_pem, ca_pem, tls_session)"
             " VALUES (1, '%s', 'a certificate', '%s', x'0102');"
             "CREATE TABLE app_notes(text); INSERT INTO app_notes VALUES ('the app''s own')",
             key_pem, ca_pem);
    if (!run_sql(sql))
        abort();
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT %d)"
             " INSERT INTO patient(full_name, age_years, age_recorded_at_ms)"
             " SELECT '%s ' || i, 50, 1 FROM n; DELETE FROM patient WHERE full_name LIKE '%%7'",
             (int)PATIENTS, name);
    if (!run_sql(sql))
        abort();
    struct outpost_status status = outpost_set_facility(device, facility_id.bytes); /* seals */
    if (status.code != OUTPOST_OK ||
        !run_sql("DELETE FROM patient WHERE full_name LIKE '%3';"
                 "CREATE TABLE app_copies AS SELECT a.full_name FROM patient a, patient b;"
                 "DROP TABLE app_copies")) /* its pages are free, and hold what they held */
        abort();
    base = crash_disk_save(&disk); /* with the WAL as it is now */
    outpost_close(device);
}

/* A call in which the order comes; the rest of a sync's end. */
static void sync_with_order(outpost *device)
{
    struct sync_session_options options = {.now_ms = ordered_at_ms};
    struct sync_session *session = NULL;
    enum session_step step = SESSION_WAIT;
    struct rpc_bytes message;

    if (sync_session_new(&device->store, &options, &session)) {
        while (sync_session_next(session, &step, &message) && step != SESSION_WAIT)
            ;
        if (step == SESSION_WAIT && sync_session_receive(session, rpc_buffer_view(&order)))
            wrong("a session went on after the order");
        sync_session_free(session);
    }
    store_rollback(&device->store);
    struct wipe wipe;
    if (wipe_load(&device->store, &wipe) && wipe.ordered && !wipe.done)
        (void)!wipe_finish(&device->store);
    store_rollback(&device->store);
}

/* ---- What must hold ---------------------------------------------------------------------- */

static bool contains(const struct crash_bytes *bytes, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i + len <= bytes->len; i++)
        if (bytes->data[i] == (uint8_t)text[0] && memcmp(bytes->data + i, text, len) == 0)
            return true;
    return false;
}

/* The key by its second line: the first is the same for all keys. */
static bool nothing_left(void)
{
    char secret[65];
    const char *line = strchr(key_pem, '\n') + 1;

    snprintf(secret, sizeof secret, "%s", strchr(line, '\n') + 1);
    secret[strcspn(secret, "\n")] = '\0';
    for (const struct crash_file *file = disk.files; file != NULL; file = file->next) {
        bool named = false;
        for (size_t i = 0; i < disk.name_count; i++)
            named = named || disk.names[i].versions[disk.names[i].version_count - 1] == file;
        if (named && (contains(&file->seen, name) || contains(&file->seen, secret) ||
                      contains(&file->seen, "a certificate")))
            return wrong("a name or the key is still in a file");
    }
    return true;
}

static bool one_row(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool good = sqlite3_open(path, &db) == SQLITE_OK &&
                sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
                sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_int(statement, 0) == 1;

    sqlite3_finalize(statement);
    sqlite3_close(db);
    return good;
}

/* What any command does. Beside an app that has the file open and so keeps SQLite from
 * removing the WAL. */
static void try_to_wipe(void)
{
    sqlite3 *app = NULL;
    outpost *device;
    struct wipe wipe;
    bool app_reads = sqlite3_open(path, &app) == SQLITE_OK &&
                     sqlite3_exec(app, "SELECT * FROM app_notes", NULL, NULL, NULL) == SQLITE_OK;

    if (open_device(&device, false)) {
        struct outpost_status status = outpost_check_wiped(device);
        if (status.code == OUTPOST_OK)
            sync_with_order(device);
        if (app_reads && wipe_load(&device->store, &wipe) && wipe.done)
            nothing_left();
        outpost_close(device);
    }
    sqlite3_close(app);
}

static bool report_is_good(void)
{
    struct wipe_signed what = wipe_report_signed(&device_id, ordered_at_ms);
    struct wipe_report report;
    struct wipe wipe;
    outpost *device;
    bool good;

    if (!open_device(&device, false))
        return wrong("the wiped database does not open");
    good = wipe_load(&device->store, &wipe) && wipe.ordered && wipe.done;
    if (good) {
        good = wipe_load_report(&device->store, &report) &&
               wipe_verify(device_key, &what, rpc_buffer_view(&report.signature));
        wipe_report_deinit(&report);
    }
    outpost_close(device);
    return good || wrong("it is not wiped, or its report is not good");
}

static bool check(void)
{
    return report_is_good() &&
           (one_row("SELECT count(*) = 1 FROM app_notes WHERE text = 'the app''s own'") ||
            wrong("the app's own table is not what it was")) &&
           (one_row("SELECT count(*) = 2 FROM sqlite_master WHERE type = 'table'"
                    " AND name NOT LIKE 'sqlite_%'") ||
            wrong("tables of ours are left")) &&
           (one_row("SELECT integrity_check = 'ok' FROM pragma_integrity_check(1)") ||
            wrong("the database is corrupt")) &&
           nothing_left();
}

/* ---- The sweep ------------------------------------------------------------------------------ */

/* The key goes with the order, or neither has happened. */
static bool key_is_gone_if_ordered(void)
{
    return one_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'outpost_wipe')") ||
           one_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name ="
                   " 'outpost_identity')") ||
           one_row("SELECT count(*) = 0 FROM outpost_identity") ||
           wrong("the order is noted and the key is still there");
}

static void power_on(uint64_t seed)
{
    if (crash_vfs_is_down(&disk))
        crash_disk_power_on(&disk, seed);
    key_is_gone_if_ordered();
}

/* False: the wipe was over before the fault came. */
static bool run_point(enum crash_fault fault, uint64_t at, uint64_t seed, bool *good_out)
{
    uint64_t luck = seed * UINT64_C(1000003) + at;

    problem[0] = '\0';
    crash_disk_restore(&disk, base);
    crash_disk_plan(&disk, fault, at);
    try_to_wipe();
    bool came = disk.fault_came;
    crash_disk_plan(&disk, CRASH_NOTHING, 0);
    power_on(luck);
    if (came && fault == CRASH_POWER && crash_random_below(&luck, 2) == 0) {
        crash_disk_plan(&disk, CRASH_POWER, 1 + crash_random_below(&luck, RECOVERY_OPERATIONS));
        try_to_wipe();
        crash_disk_plan(&disk, CRASH_NOTHING, 0);
        power_on(luck);
    }
    for (int tries = 0; tries < TRIES_MAX; tries++)
        try_to_wipe();
    *good_out = check() && problem[0] == '\0';
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
            printf("wipe: seed %" PRIu64 ": %s at operation %" PRIu64 ": %s\n", seed, what, at,
                   problem);
    }
    printf("wipe: seed %" PRIu64 ": %s: %" PRIu64 " points, %" PRIu64 " bad\n", seed, what, points,
           bad);
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
    make_keys();
    make_order();
    make_base();
    for (uint64_t seed = 1; seed <= seeds; seed++)
        good = sweep(CRASH_POWER, "power loss", seed, stride) &&
               sweep(CRASH_FULL_ONCE, "no room once", seed, stride) &&
               sweep(CRASH_FULL, "no room for a while", seed, stride) &&
               sweep(CRASH_ERROR_ONCE, "an error once", seed, stride) && good;
    crash_vfs_uninstall();
    crash_image_free(base);
    crash_disk_deinit(&disk);
    rpc_buffer_deinit(&order);
    EVP_PKEY_free(ca_key);
    EVP_PKEY_free(device_key);
    free(ca_pem);
    free(key_pem);
    printf("wipe: %s\n", good ? "ok" : "FAILED");
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
