/* SPDX-License-Identifier: Apache-2.0
 *
 * See device_fixture.h.
 */
#include "device_fixture.h"

#include "schema.h"
#include "suite.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

const struct cut whole = {-1, -1};

/* ---- The device ------------------------------------------------------------------------- */

static void open_both(struct device *device, const struct record_schema *schema, bool create)
{
    bool good =
        store_open(&device->store, device->path, create, schema) && schema_ensure(&device->store);

    if (!good)
        fprintf(stderr, "open: %s\n", device->store.status.message);
    CU_ASSERT_FATAL(good);
    device->schema = schema;
    CU_ASSERT_FATAL(sqlite3_open(device->path, &device->app) == SQLITE_OK);
    sqlite3_busy_timeout(device->app, 1000);
}

void device_open(struct device *device, int number, const struct record_schema *schema)
{
    char folder[] = "/tmp/outpost-device-XXXXXX";

    *device = (struct device){.number = number};
    CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
    snprintf(device->path, sizeof device->path, "%s/device.db", folder);
    open_both(device, schema, true);
    app(device,
        "UPDATE outpost_state SET device_id = zeroblob(15) || x'%02x',"
        " facility_id = x'fafafafafafafafafafafafafafafafa'",
        number);
    app(device, "UPDATE outpost_state SET device_id = CAST(device_id AS BLOB)");
}

void device_reopen(struct device *device, const struct record_schema *schema)
{
    sqlite3_close(device->app);
    store_close(&device->store);
    open_both(device, schema, false);
}

void device_close(struct device *device)
{
    char *slash;
    char name[300];

    sqlite3_close(device->app);
    store_close(&device->store);
    unlink(device->path);
    snprintf(name, sizeof name, "%s-wal", device->path);
    unlink(name);
    snprintf(name, sizeof name, "%s-shm", device->path);
    unlink(name);
    slash = strrchr(device->path, '/');
    *slash = '\0';
    rmdir(device->path);
}

/* ---- The app ------------------------------------------------------------------------------- */

int app_try(struct device *device, const char *sql)
{
    return sqlite3_exec(device->app, sql, NULL, NULL, NULL);
}

void app(struct device *device, const char *format, ...)
{
    char sql[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    int result = app_try(device, sql);
    if (result != SQLITE_OK)
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(device->app));
    CU_ASSERT_EQUAL(result, SQLITE_OK);
}

static const char *first_column(struct device *device, const char *sql)
{
    static char text[512];
    sqlite3_stmt *statement = NULL;

    text[0] = '\0';
    if (sqlite3_prepare_v2(device->app, sql, -1, &statement, NULL) != SQLITE_OK) {
        fprintf(stderr, "%s: %s\n", sql, sqlite3_errmsg(device->app));
        CU_FAIL("SQL");
    } else if (sqlite3_step(statement) == SQLITE_ROW)
        snprintf(text, sizeof text, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
    return text;
}

const char *app_text(struct device *device, const char *format, ...)
{
    char sql[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    return first_column(device, sql);
}

int64_t app_number(struct device *device, const char *format, ...)
{
    char sql[4096];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sql, sizeof sql, format, arguments);
    va_end(arguments);
    return strtoll(first_column(device, sql), NULL, 10);
}

/* ---- Syncing --------------------------------------------------------------------------------- */

/* Sends until the session waits; counts down the cut. False: failed or cut. */
static bool send_all(struct sync_session *session, struct mini_stream *stream, struct cut *cut)
{
    enum session_step step;
    struct rpc_bytes message;

    for (;;) {
        if (!sync_session_next(session, &step, &message))
            return false;
        if (step == SESSION_WAIT)
            return true;
        if (step == SESSION_HALF_CLOSE) {
            stream->half_closed = true;
            continue;
        }
        if (cut->after_sent-- == 0)
            return false;
        mini_stream_receive(stream, message);
    }
}

static bool run(struct device *device, struct sync_session *session, struct mini_stream *stream,
                struct cut cut, void (*during)(struct device *device))
{
    struct rpc_buffer response;

    while (send_all(session, stream, &cut)) {
        if (during != NULL) {
            during(device);
            during = NULL;
        }
        if (!mini_stream_next(stream, &response))
            return sync_session_caught_up(session);
        bool lost = cut.after_received-- == 0;
        bool good = !lost && sync_session_receive(session, rpc_buffer_view(&response));
        rpc_buffer_deinit(&response);
        if (!good)
            return false;
    }
    return false;
}

bool device_sync_with(struct device *device, struct mini_server *server, struct cut cut,
                      void (*during)(struct device *device))
{
    struct sync_session_options options = {.now_ms = INT64_C(1800000000000)};
    struct mini_stream *stream = mini_stream_new(server, device->number);
    struct sync_session *session = NULL;
    bool caught_up = false;

    device->result = (struct outpost_sync_result){0};
    if (sync_session_new(&device->store, &options, &session)) {
        caught_up = run(device, session, stream, cut, during);
        device->result = *sync_session_result(session);
        sync_session_free(session);
    }
    device->status = store_rollback(&device->store);
    mini_stream_free(stream);
    return caught_up;
}

bool device_sync(struct device *device, struct mini_server *server, struct cut cut)
{
    return device_sync_with(device, server, cut, NULL);
}

/* ---- Expectations
 * -------------------------------------------------------------------------------- */

static void expect_record(struct device *device, const struct mini_record *record)
{
    struct image held;

    image_init(&held);
    CU_ASSERT_FATAL(image_read_held(&device->store, &record->key, &held));
    CU_ASSERT_EQUAL(image_living(&held), !record->deleted);
    if (!record->deleted) {
        CU_ASSERT_EQUAL(held.version, record->version);
        CU_ASSERT(rpc_bytes_equal(rpc_buffer_view(&held.body), rpc_buffer_view(&record->body)));
    }
    image_deinit(&held);
}

void expect_rejected(struct device *device, int64_t rejected)
{
    CU_ASSERT_EQUAL(app_number(device, "SELECT count(*) FROM outpost_rejected"), rejected);
    CU_ASSERT_EQUAL(app_number(device, "SELECT count(*) FROM outpost_pending"), rejected);
    CU_ASSERT_EQUAL(app_number(device, "SELECT count(*) FROM outpost_outbox"), 0);
}

void expect_same(struct device *device, struct mini_server *server)
{
    int64_t held = app_number(device, "SELECT count(*) FROM outpost_unknown_record");
    int64_t living = 0;

    CU_ASSERT_EQUAL(device->status.code, OUTPOST_OK);
    CU_ASSERT_FALSE(device->result.digest_mismatch);
    expect_rejected(device, 0);
    CU_ASSERT_EQUAL(app_number(device, "SELECT count(*) FROM outpost_held"), 0);
    CU_ASSERT_EQUAL(app_number(device, "SELECT count(*) FROM outpost_unconfirmed"), 0);
    for (size_t i = 0; i < server->record_count; i++) {
        expect_record(device, &server->records[i]);
        living += !server->records[i].deleted;
    }
    for (size_t i = 0; i < device->schema->type_count; i++) {
        const char *table = device->schema->types[i].table;
        held += app_number(device, "SELECT count(*) FROM \"%s\"", table);
        CU_ASSERT_EQUAL(app_number(device, "SELECT count(*) FROM \"outpost_base_%s\"", table), 0);
    }
    CU_ASSERT_EQUAL(held, living);
}

/* ---- Records
 * ----------------------------------------------------------------------------------------- */

struct record_uuid id_of(uint8_t byte)
{
    struct record_uuid id;

    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

struct record_key patient_key(uint8_t patient)
{
    return (struct record_key){id_of(patient), 10, id_of(patient)};
}

struct record_key pressure_key(uint8_t patient, uint8_t id)
{
    return (struct record_key){id_of(patient), 13, id_of(id)};
}

static void put_field(struct mini_server *server, const struct record_key *key,
                      struct wire_field field)
{
    struct rpc_buffer body;

    rpc_buffer_init(&body, RECORD_BODY_BYTES_MAX);
    wire_put_field(&body, &field);
    mini_server_put(server, key, rpc_buffer_view(&body), false);
    rpc_buffer_deinit(&body);
}

void server_text(struct mini_server *server, const struct record_key *key, uint32_t number,
                 const char *text)
{
    put_field(server, key,
              (struct wire_field){
                  .number = number, .type = WIRE_LEN, .bytes = rpc_bytes_view(text, strlen(text))});
}

void server_uint(struct mini_server *server, const struct record_key *key, uint32_t number,
                 uint64_t value)
{
    put_field(server, key,
              (struct wire_field){.number = number, .type = WIRE_VARINT, .value = value});
}

void server_patient(struct mini_server *server, uint8_t patient, const char *name)
{
    struct record_key key = patient_key(patient);
    struct rpc_buffer body;

    rpc_buffer_init(&body, RECORD_BODY_BYTES_MAX);
    wire_put_bytes(&body, 1, rpc_bytes_view(name, strlen(name)));
    wire_put_bytes(&body, 3, rpc_bytes_view("1970-05-06", 10));
    wire_put_bytes(&body, 15, rpc_bytes_view(server->facility.bytes, RECORD_UUID_LEN));
    mini_server_put(server, &key, rpc_buffer_view(&body), false);
    rpc_buffer_deinit(&body);
}

void server_pressure(struct mini_server *server, uint8_t patient, uint8_t id, uint64_t systolic,
                     uint64_t diastolic)
{
    struct record_key key = pressure_key(patient, id);
    struct rpc_buffer body;

    rpc_buffer_init(&body, RECORD_BODY_BYTES_MAX);
    wire_put_uint(&body, 1, systolic);
    wire_put_uint(&body, 2, diastolic);
    mini_server_put(server, &key, rpc_buffer_view(&body), false);
    rpc_buffer_deinit(&body);
}

const char *server_field(struct mini_server *server, const struct record_key *key, uint32_t number)
{
    static char text[512];
    struct mini_record *record = mini_server_find(server, key);
    struct record_body body;
    const struct wire_field *field = NULL;

    text[0] = '\0';
    if (record != NULL && record_body_parse(rpc_buffer_view(&record->body), &body))
        field = record_body_find(&body, number);
    if (field != NULL && field->type == WIRE_LEN)
        snprintf(text, sizeof text, "%.*s", (int)field->bytes.len, (const char *)field->bytes.data);
    else if (field != NULL)
        snprintf(text, sizeof text, "%" PRIu64, field->value);
    return text;
}
