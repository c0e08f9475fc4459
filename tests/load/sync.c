/* SPDX-License-Identifier: Apache-2.0
 *
 * A device small enough that thousands fit a process, and complete enough to be believed: it
 * computes stamps and digests by itself and holds the server to them. What a restored or a
 * copying server asks of a device (offers, new identities) it does not do: a load test's
 * server does neither, and if it says so the run fails.
 */
#include "sync.h"

#include "ledger.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    REQUEST_HELLO = 1,
    REQUEST_PUSH_DONE = 3,
    HELLO_SCHEMA_REVISION = 1,
    HELLO_CURSOR = 2,
    HELLO_RECEIPT = 3,
    HELLO_FACILITY_ID = 4,
    HELLO_TOKEN = 5,
    HELLO_ABILITIES = 6,
    HELLO_APP_VERSION = 7,
    ABILITY_UNKNOWN_TYPES = 1,

    RESPONSE_WELCOME = 1,
    RESPONSE_PUSH_RESULT = 2,
    RESPONSE_PULL = 3,
    RESPONSE_CAUGHT_UP = 4,

    WELCOME_SETTINGS = 1,
    WELCOME_REGIONS = 2,
    WELCOME_ACCEPTS_ZSTD = 6,
    WELCOME_RESEND_ACKNOWLEDGED = 7,
    SETTINGS_PUSH_BATCH = 1,
    TOTAL_RESET = 4,

    RESULT_ANSWERS = 1,
    RESULT_RECEIPT = 2,
    RESULT_CURSOR = 3,
    ANSWER_STATUS = 1,
    ANSWER_RECORD = 4,

    PULL_RECORDS = 1,
    PULL_MARKERS = 2,
    PULL_CURSOR = 3,
    PULL_SNAPSHOT_COMPLETE = 4,
    PULL_SNAPSHOT_BEGIN = 5,
    MARKER_FAMILY_ID = 1,

    CAUGHT_UP_CURSOR = 1,
    CAUGHT_UP_REGIONS = 2,
    CAUGHT_UP_NEXT_TOKEN = 3,
    STATE_REGION_ID = 1,
    STATE_RECORDS = 3,
    STATE_DIGEST = 4,

    PUSH_ITEMS_MAX = 5000,
    HELLO_BYTES_MAX = 16 * 1024,
};

/* ---- Out ---------------------------------------------------------------------------------- */

static struct rpc_bytes token_view(const struct device *device)
{
    return rpc_bytes_view(device->token, device->token_len);
}

static void send_hello(struct device *device)
{
    struct fleet *fleet = device->fleet;
    const struct app_version *version = &fleet->versions[device->version];
    const uint8_t abilities = ABILITY_UNKNOWN_TYPES;
    struct rpc_buffer hello;

    rpc_buffer_init(&hello, HELLO_BYTES_MAX);
    wire_put_uint(&hello, HELLO_SCHEMA_REVISION, version->revision);
    wire_put_bytes(&hello, HELLO_CURSOR, rpc_buffer_view(&device->cursor));
    wire_put_bytes(&hello, HELLO_RECEIPT, rpc_buffer_view(&device->receipt));
    wire_put_bytes(&hello, HELLO_FACILITY_ID,
                   rpc_bytes_view(device->facility.bytes, RECORD_UUID_LEN));
    wire_put_bytes(&hello, HELLO_TOKEN, token_view(device));
    wire_put_bytes(&hello, HELLO_ABILITIES, rpc_bytes_view(&abilities, 1));
    wire_put_bytes(&hello, HELLO_APP_VERSION, rpc_bytes_view(version->name, strlen(version->name)));
    rpc_buffer_clear(&fleet->message);
    wire_put_message(&fleet->message, REQUEST_HELLO, rpc_buffer_view(&hello));
    rpc_call_send(device->call, rpc_buffer_view(&fleet->message));
    rpc_buffer_deinit(&hello);
}

static uint64_t held_stamp(void *context, const struct pool_entity *entity)
{
    const struct device *device = context;
    const struct pool_version *held = replica_find(&device->replica, entity);

    return held != NULL ? held->stamp : 0;
}

/* Pushes while there are some and the window is open; then PushDone, once. */
static void send_pushes(struct device *device)
{
    struct rpc_buffer *message = &device->fleet->message;

    if (device->pushes_done)
        return;
    while (rpc_call_writable(device->call)) {
        rpc_buffer_clear(message);
        if (!outbox_next_push(&device->outbox, device->push_items, held_stamp, device, message))
            break;
        rpc_call_send(device->call, rpc_buffer_view(message));
    }
    if (device->outbox.unsent != NULL)
        return;
    device->pushes_done = true;
    rpc_buffer_clear(message);
    wire_put_message(message, REQUEST_PUSH_DONE, rpc_bytes_view(NULL, 0));
    rpc_call_send(device->call, rpc_buffer_view(message));
}

/* ---- In: records ----------------------------------------------------------------------------- */

static void keep(struct rpc_buffer *kept, struct rpc_bytes bytes)
{
    rpc_buffer_clear(kept);
    rpc_buffer_append_bytes(kept, bytes);
}

/* What came along with a family that moved here was written long ago, and is no news. */
static bool has_entered(const struct device *device, const struct record_uuid *family)
{
    if (device->entered_count > DEVICE_ENTERED_MAX)
        return true;
    for (unsigned i = 0; i < device->entered_count; i++)
        if (record_uuid_compare(&device->entered[i], family) == 0)
            return true;
    return false;
}

/* Somebody else's edit can be read here now. */
static void note_freshness(struct device *device, struct pool_version *version)
{
    struct measure *measure = device->fleet->measure;
    bool follows = device->state == DEVICE_FOLLOWING;

    if (version->written_us < 0 || version->author == device->number || device->first_sync ||
        device->snapshot_due || !measure->running ||
        has_entered(device, &version->entity->key.family))
        return;
    uint64_t us = (uint64_t)(fleet_now_us() - version->written_us);
    measure_freshness(measure, follows, us);
    if (follows && version->awaited > 0 && --version->awaited == 0)
        histogram_record(&measure->reach, us);
}

/* The record as it now is on the server. False: malformed. */
static bool take_record(struct device *device, struct rpc_bytes bytes)
{
    struct pool *pool = &device->fleet->pool;
    struct record_image image;

    if (!record_image_parse(bytes, &image) || image.version == 0)
        return false;
    struct pool_entity *entity = pool_entity(pool, &image.key);
    struct pool_version *version =
        pool_hold(pool, entity, image.version, image.deleted, image.body);
    if (replica_put(&device->replica, pool, version))
        note_freshness(device, version);
    return true;
}

static void take_marker(struct device *device, struct rpc_bytes bytes)
{
    struct wire_field field;
    struct record_uuid family;

    if (wire_find(bytes, MARKER_FAMILY_ID, &field) != WIRE_FIELD ||
        !record_uuid_from_bytes(field.bytes, &family))
        return;
    /* Entered or left: either way what is held of it goes; what entered follows whole. */
    replica_drop_family(&device->replica, &device->fleet->pool, &family);
    if (device->entered_count < DEVICE_ENTERED_MAX)
        device->entered[device->entered_count] = family;
    device->entered_count++;
}

static enum replica_class class_of_region(struct rpc_bytes id)
{
    struct record_uuid region = {{0}};

    return record_uuid_from_bytes(id, &region) ? replica_class_of(&region) : REPLICA_FAMILIES;
}

/* Markers and a snapshot's beginning go before the records, whatever their order. */
static bool take_pull(struct device *device, struct rpc_bytes pull)
{
    struct wire_reader reader = wire_reader_over(pull);
    struct measure *measure = device->fleet->measure;
    struct wire_field field;

    while (wire_read(&reader, &field) == WIRE_FIELD)
        if (field.number == PULL_SNAPSHOT_BEGIN)
            replica_begin_snapshot(&device->replica, class_of_region(field.bytes));
        else if (field.number == PULL_MARKERS)
            take_marker(device, field.bytes);
    reader = wire_reader_over(pull);
    while (wire_read(&reader, &field) == WIRE_FIELD)
        if (field.number == PULL_RECORDS) {
            if (!take_record(device, field.bytes))
                return false;
            measure->pulled += measure->running;
            measure->now.records += measure->running;
        } else if (field.number == PULL_CURSOR) {
            keep(&device->cursor, field.bytes);
        }
    if (wire_find(pull, PULL_SNAPSHOT_COMPLETE, &field) == WIRE_FIELD) {
        enum replica_class class = class_of_region(field.bytes);
        replica_end_snapshot(&device->replica, &device->fleet->pool, class);
        device->snapshot_due = device->snapshot_due && class == REPLICA_GLOBAL;
    }
    return true;
}

/* ---- In: answers ------------------------------------------------------------------------------
 */

static bool take_answer(struct device *device, struct rpc_bytes bytes)
{
    struct fleet *fleet = device->fleet;
    struct mutation *mutation = outbox_answered(&device->outbox);
    struct wire_field field;
    uint64_t status = wire_find(bytes, ANSWER_STATUS, &field) == WIRE_FIELD ? field.value : 0;
    struct pool_version *now = NULL;

    if (mutation == NULL || status > LEDGER_RETRY)
        return false;
    if (status == LEDGER_APPLIED) {
        now = outbox_applied(&fleet->pool, mutation,
                             replica_find(&device->replica, mutation->entity));
        replica_put(&device->replica, &fleet->pool, now);
    } else if (wire_find(bytes, ANSWER_RECORD, &field) == WIRE_FIELD) {
        if (!take_record(device, field.bytes))
            return false;
        now = replica_find(&device->replica, mutation->entity);
    }
    if (status == LEDGER_MERGED && now != NULL && now->written_us < 0) {
        now->written_us = mutation->written_us;
        now->author = device->number;
    }
    if (device->snapshot_due)
        replica_note_answered(&device->replica, mutation->entity);
    fleet->measure->answers[status] += fleet->measure->running;
    ledger_note(mutation, (enum ledger_answer)status, now);
    if (status == LEDGER_RETRY)
        outbox_keep(&device->outbox);
    else
        outbox_done(&device->outbox, &fleet->pool);
    return true;
}

static bool take_push_result(struct device *device, struct rpc_bytes result)
{
    struct wire_reader reader = wire_reader_over(result);
    struct wire_field field;

    while (wire_read(&reader, &field) == WIRE_FIELD)
        if (field.number == RESULT_ANSWERS && !take_answer(device, field.bytes))
            return false;
        else if (field.number == RESULT_RECEIPT)
            keep(&device->receipt, field.bytes);
        else if (field.number == RESULT_CURSOR)
            keep(&device->cursor, field.bytes);
    send_pushes(device);
    return true;
}

/* ---- In: Welcome and CaughtUp
 * -------------------------------------------------------------------- */

static void take_welcome(struct device *device, struct rpc_bytes welcome)
{
    struct wire_reader reader = wire_reader_over(welcome);
    struct measure *measure = device->fleet->measure;
    struct wire_field field, part;

    while (wire_read(&reader, &field) == WIRE_FIELD)
        if (field.number == WELCOME_ACCEPTS_ZSTD)
            device->accepts_zstd = field.value != 0;
        else if (field.number == WELCOME_RESEND_ACKNOWLEDGED)
            measure->resets += field.value != 0;
        else if (field.number == WELCOME_REGIONS &&
                 wire_find(field.bytes, TOTAL_RESET, &part) == WIRE_FIELD)
            measure->resets += part.value != 0;
        else if (field.number == WELCOME_SETTINGS &&
                 wire_find(field.bytes, SETTINGS_PUSH_BATCH, &part) == WIRE_FIELD)
            device->push_items =
                part.value < PUSH_ITEMS_MAX ? (uint32_t)part.value : PUSH_ITEMS_MAX;
}

static uint64_t number_in(struct rpc_bytes message, uint32_t number)
{
    struct wire_field field;

    return wire_find(message, number, &field) == WIRE_FIELD ? field.value : 0;
}

/* I13. */
static bool agrees(struct device *device, struct rpc_bytes state)
{
    struct measure *measure = device->fleet->measure;
    uint64_t records = number_in(state, STATE_RECORDS), digest = number_in(state, STATE_DIGEST);
    struct wire_field region;

    if (wire_find(state, STATE_REGION_ID, &region) != WIRE_FIELD)
        return false;
    enum replica_class class = class_of_region(region.bytes);
    const struct replica_sum *sum = &device->replica.sums[class];
    measure->digests_compared++;
    if (sum->records == records && sum->digest == digest)
        return true;
    if (measure->digests_differ++ == 0)
        snprintf(measure->first_difference, sizeof measure->first_difference,
                 "device %u, %s: %llu records and digest %016llx here, %llu and %016llx there",
                 device->number, class == REPLICA_GLOBAL ? "global records" : "its region",
                 (unsigned long long)sum->records, (unsigned long long)sum->digest,
                 (unsigned long long)records, (unsigned long long)digest);
    return false;
}

static bool take_caught_up(struct device *device, struct rpc_bytes caught_up)
{
    struct wire_reader reader = wire_reader_over(caught_up);
    struct wire_field field;

    device->agreed = true;
    device->entered_count = 0;
    while (wire_read(&reader, &field) == WIRE_FIELD)
        if (field.number == CAUGHT_UP_CURSOR) {
            keep(&device->cursor, field.bytes);
        } else if (field.number == CAUGHT_UP_REGIONS) {
            device->agreed = agrees(device, field.bytes) && device->agreed;
        } else if (field.number == CAUGHT_UP_NEXT_TOKEN) {
            if (field.bytes.len > DEVICE_TOKEN_BYTES_MAX)
                return false;
            memcpy(device->token, field.bytes.data, field.bytes.len);
            device->token_len = (uint8_t)field.bytes.len;
        }
    device_caught_up(device);
    return true;
}

/* ---- The call
 * -------------------------------------------------------------------------------------- */

static void on_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct device *device = context;
    struct wire_reader reader = wire_reader_over(message);
    struct wire_field field;
    bool good = wire_read(&reader, &field) == WIRE_FIELD;

    if (good && field.number == RESPONSE_WELCOME)
        take_welcome(device, field.bytes);
    else if (good && field.number == RESPONSE_PUSH_RESULT)
        good = take_push_result(device, field.bytes);
    else if (good && field.number == RESPONSE_PULL)
        good = take_pull(device, field.bytes);
    else if (good && field.number == RESPONSE_CAUGHT_UP)
        good = take_caught_up(device, field.bytes);
    if (!good || device->cursor.failed || device->receipt.failed)
        rpc_call_cancel(call); /* counted as CANCELLED: a server that talks nonsense */
}

static void on_writable(void *context, rpc_call *call)
{
    (void)call;
    send_pushes(context);
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    (void)call;
    (void)trailers;
    device_call_over(context, status);
}

bool sync_start(struct device *device)
{
    const struct rpc_call_options options = {
        .path = "/outpost.v1.SyncService/Sync",
        .events = {.on_message = on_message, .on_writable = on_writable, .on_close = on_close},
        .context = device,
    };

    device->call = rpc_client_call(connection_rpc(device->connection), &options);
    if (device->call == NULL)
        return false;
    rpc_call_set_encoding(device->call,
                          device->accepts_zstd ? RPC_ENCODING_ZSTD : RPC_ENCODING_GZIP);
    device->pushes_done = false;
    outbox_rewind(&device->outbox);
    send_hello(device);
    send_pushes(device);
    return true;
}
