/* SPDX-License-Identifier: Apache-2.0
 *
 * A phone with a newer app, as far as the server sees it: mutations with fields and
 * types that nobody else here knows, on records as the server has them.
 */
#include "sim.h"

#include "values.h"

#include <stdio.h>

enum {
    REQUEST_HELLO = 1,
    REQUEST_PUSH = 2,
    REQUEST_PUSH_DONE = 3,
    HELLO_FACILITY_ID = 4,
    NEW_FIELD = 40,
    STEPS_MAX = 1000,
};

static const struct record_uuid device_id = {{0xd0, 0xff}};

/* ---- The stream's other end ---------------------------------------------------------------- */

struct peer {
    struct sim *sim;
    struct ledger_stream *stream;
    bool finished;
};

static void on_send(void *context, struct rpc_bytes message)
{
    struct peer *peer = context;

    ledger_response(&peer->sim->ledger, peer->stream, message);
}

static bool writable(void *context)
{
    (void)context;
    return true;
}

static void nothing(void *context)
{
    (void)context;
}

static void finish(void *context, struct rpc_status status)
{
    struct peer *peer = context;

    (void)status;
    peer->finished = true;
}

static void send(struct sim *sim, struct ledger_stream *pushes, struct stream *stream,
                 uint32_t number, struct rpc_bytes bytes)
{
    struct rpc_buffer request;

    rpc_buffer_init(&request, RPC_MESSAGE_BYTES_MAX);
    wire_put_message(&request, number, bytes);
    ledger_request(&sim->ledger, pushes, rpc_buffer_view(&request));
    stream_on_message(stream, rpc_buffer_view(&request));
    rpc_buffer_deinit(&request);
    while (sim_chance(sim, 50) && server_end_step(&sim->server))
        ;
}

static void push(struct sim *sim, unsigned facility, struct rpc_bytes mutation)
{
    static struct ledger_stream pushes;
    struct record_uuid region = sim_region(facility / 2), at = sim_facility(facility);
    struct peer peer = {sim, &pushes, false};
    struct stream_peer other_end = {
        .send = on_send,
        .writable = writable,
        .pause_reading = nothing,
        .resume_reading = nothing,
        .finish = finish,
        .context = &peer,
    };
    struct record_uuid id = device_id;
    struct store_device device = {
        .enrolment_region = region, .facility_id = at, .enrolled_at_ms = 1};
    struct rpc_buffer bytes, item;

    id.bytes[2] = (uint8_t)facility;
    pushes = (struct ledger_stream){0};
    memcpy(pushes.region, region.bytes, sizeof region.bytes);
    device.device_id = id;
    if (!server_end_add_device(&sim->server, &device))
        return;
    struct stream *stream = stream_new(&sim->server.service, &other_end, &id);
    if (stream == NULL)
        return;
    rpc_buffer_init(&bytes, RPC_MESSAGE_BYTES_MAX);
    rpc_buffer_init(&item, RPC_MESSAGE_BYTES_MAX);
    wire_put_message(&bytes, HELLO_FACILITY_ID, rpc_bytes_view(at.bytes, RECORD_UUID_LEN));
    send(sim, &pushes, stream, REQUEST_HELLO, rpc_buffer_view(&bytes));
    wire_put_message(&item, 1, mutation);
    rpc_buffer_clear(&bytes);
    wire_put_message(&bytes, 1, rpc_buffer_view(&item));
    /* A message that comes while Hello is looked up is held; a second one is not. */
    for (int i = 0; i < STEPS_MAX && server_end_step(&sim->server); i++)
        ;
    send(sim, &pushes, stream, REQUEST_PUSH, rpc_buffer_view(&bytes));
    stream_on_half_close(stream);
    for (int i = 0; i < STEPS_MAX && !peer.finished && server_end_step(&sim->server); i++)
        ;
    stream_on_close(stream);
    rpc_buffer_deinit(&item);
    rpc_buffer_deinit(&bytes);
}

/* ---- Mutations ---------------------------------------------------------------------------------
 */

struct base {
    struct record_key key;
    unsigned facility;
    uint64_t version, stamp;
    uint32_t seen;
};

/* A living record of the server's, by luck. */
static bool pick(struct sim *sim, uint32_t type, struct base *base_out)
{
    const struct value_group *group = value_group_find(type, NEW_FIELD);
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    bool found = false;

    if (sqlite3_open(sim->server.path, &db) == SQLITE_OK &&
        sqlite3_prepare_v2(
            db,
            "SELECT family_id, id, version, stamp, body, region_id FROM record"
            " WHERE type = ?1 AND deleted = 0 ORDER BY region_id, id LIMIT 1 OFFSET"
            " ?2 % max(1, (SELECT count(*) FROM record WHERE type = ?1 AND deleted = 0))",
            -1, &statement, NULL) == SQLITE_OK) {
        sqlite3_bind_int(statement, 1, (int)type);
        sqlite3_bind_int64(statement, 2, (sqlite3_int64)sim_below(sim, 1000000));
        if (sqlite3_step(statement) == SQLITE_ROW) {
            *base_out = (struct base){
                .key = {.type = type},
                .version = (uint64_t)sqlite3_column_int64(statement, 2),
                .stamp = (uint64_t)sqlite3_column_int64(statement, 3),
                .seen = value_in_body(group, sqlite3_column_blob(statement, 4),
                                      (size_t)sqlite3_column_bytes(statement, 4)),
            };
            memcpy(base_out->key.family.bytes, sqlite3_column_blob(statement, 0), RECORD_UUID_LEN);
            memcpy(base_out->key.id.bytes, sqlite3_column_blob(statement, 1), RECORD_UUID_LEN);
            const uint8_t *region = sqlite3_column_blob(statement, 5);
            base_out->facility = (unsigned)(region[1] * 2);
            found = true;
        }
    }
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return found;
}

void newer_app_act(struct sim *sim)
{
    static const uint32_t types[] = {TYPE_PATIENT, TYPE_PATIENT, TYPE_PRESSURE, TYPE_UNKNOWN};
    uint32_t type = types[sim_below(sim, 4)], number = NEW_FIELD;
    char text[16], name[48];
    struct base base;

    if (sim->server.store == NULL || !pick(sim, type == TYPE_UNKNOWN ? TYPE_PATIENT : type, &base))
        return;
    if (type == TYPE_UNKNOWN) {
        base.key.type = type;
        base.key.id = sim_new_id(sim, type);
        base.version = base.stamp = base.seen = 0;
        number = 1;
    }
    uint32_t n = ledger_value(&sim->ledger);
    struct rpc_buffer body, bytes;
    value_text(n, text);
    rpc_buffer_init(&body, RECORD_BODY_BYTES_MAX);
    rpc_buffer_init(&bytes, RECORD_ENVELOPE_BYTES_MAX);
    wire_put_message(&body, number, rpc_bytes_view(text, strlen(text)));
    struct record_mutation mutation = {.key = base.key,
                                       .base_version = base.version,
                                       .base_stamp = base.stamp,
                                       .field_count = 1,
                                       .fields = {number},
                                       .body = rpc_buffer_view(&body)};
    record_mutation_encode(&mutation, &bytes);
    ledger_wrote(&sim->ledger, n, -1, &base.key, number, base.seen);
    ledger_over(&sim->ledger, n); /* nobody sends it again when it is not answered */
    sim_say(sim, "  a newer app edits %s: field %u = %u", sim_name(&base.key, name), number, n);
    push(sim, base.facility, rpc_buffer_view(&bytes));
    rpc_buffer_deinit(&bytes);
    rpc_buffer_deinit(&body);
}
