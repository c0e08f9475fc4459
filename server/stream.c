/* SPDX-License-Identifier: Apache-2.0
 *
 * See stream.h. The states, and the function that makes each transition:
 *
 *   AWAIT_HELLO --take_hello--> OPENING --hello_done--> PUSHING
 *   PUSHING --begin_pull--> PULLING --settle--> SETTLING
 *   SETTLING --caught_up_done--> PULLING     (there was more)
 *                            --> FOLLOWING   (the client stays)
 *                            --> ENDED       (it has half-closed)
 *   FOLLOWING --stream_wake--> PULLING
 *   any --refuse / stream_on_close--> ENDED
 *
 * The store may owe several pushes, or one page, or one of the other answers;
 * `owed` counts them, and an ended stream frees itself when it reaches 0.
 */
#include "stream.h"

#include "cursor.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

/* Field numbers of sync.proto, for the messages that are put together here so
 * that stored bytes pass through as they are. */
enum {
    REQUEST_HELLO = 1,
    REQUEST_PUSH = 2,
    REQUEST_PUSH_DONE = 3,
    RESPONSE_WELCOME = 1,
    RESPONSE_PUSH_RESULT = 2,
    RESPONSE_PULL = 3,
    RESPONSE_CAUGHT_UP = 4,
    HELLO_CURSOR = 2,
    HELLO_FACILITY_ID = 4,
    HELLO_TOKEN = 5,
    WELCOME_SETTINGS = 1,
    WELCOME_REGIONS = 2,
    WELCOME_FACILITY_ID = 3,
    WELCOME_SERVER_TIME_MS = 4,
    WELCOME_SCHEMA_REVISION = 5,
    WELCOME_ACCEPTS_ZSTD = 6,
    SETTINGS_PUSH_BATCH = 1,
    SETTINGS_PULL_BATCH = 2,
    SETTINGS_BATCH_BYTES = 3,
    SETTINGS_SYNC_INTERVAL_S = 4,
    TOTAL_REGION_ID = 1,
    TOTAL_RECORDS = 2,
    TOTAL_REMAINING = 3,
    TOTAL_RESET = 4,
    PUSH_RESULT_CURSOR = 3,
    PULL_CURSOR = 3,
    PULL_SNAPSHOT_COMPLETE = 4,
    PULL_SNAPSHOT_BEGIN = 5,
    CAUGHT_UP_CURSOR = 1,
    CAUGHT_UP_REGIONS = 2,
    CAUGHT_UP_NEXT_TOKEN = 3,
    STATE_REGION_ID = 1,
    STATE_SEQ = 2,
    STATE_RECORDS = 3,
    STATE_DIGEST = 4,
    MESSAGE_BYTES_MAX = 4 * 1024 * 1024,
};

enum state {
    STATE_AWAIT_HELLO,
    STATE_OPENING,   /* the store is asked who this is and where it stands */
    STATE_PUSHING,   /* Welcome is sent; pushes are taken */
    STATE_PULLING,   /* pages are sent, region by region */
    STATE_SETTLING,  /* heads and digests are asked for */
    STATE_FOLLOWING, /* caught up; waiting for changes */
    STATE_ENDED,
};

/* A record that need not be sent back in this stream (R19). */
struct suppressed {
    struct record_key key;
    uint64_t stamp;
    UT_hash_handle hh;
};

struct stream {
    const struct stream_service *service;
    struct stream_peer peer;
    enum state state;
    struct record_uuid device_id;
    struct scope_device device;
    unsigned owed; /* requests that the store has not answered */
    bool closed;   /* the call is gone */
    bool half_closed;
    bool push_done;
    bool paused;
    unsigned pushes_in_flight;
    bool has_held_message;
    struct rpc_buffer held_message; /* came while OPENING */
    struct cursor cursor;           /* exactly the regions in scope, global first */
    uint8_t presented_token[STORE_TOKEN_LEN];
    bool token_given;
    size_t pulling; /* index of the region being pulled */
    bool page_owed;
    bool behind[2];
    struct suppressed *suppressed;
    struct store_hello hello;
    struct store_page page;
    struct store_caught_up caught_up;
    struct rpc_buffer message;
};

static void pump(struct stream *stream);

void stream_settings_init_default(struct stream_settings *settings)
{
    *settings = (struct stream_settings){
        .push_batch = 500,
        .pull_batch = 2000,
        .batch_bytes = 1024 * 1024,
        .sync_interval_s = 900,
    };
}

static bool edge_is_legal(enum state from, enum state to)
{
    static const unsigned allowed[] = {
        [STATE_AWAIT_HELLO] = 1u << STATE_OPENING,
        [STATE_OPENING] = 1u << STATE_PUSHING,
        [STATE_PUSHING] = 1u << STATE_PULLING,
        [STATE_PULLING] = 1u << STATE_SETTLING,
        [STATE_SETTLING] = 1u << STATE_PULLING | 1u << STATE_FOLLOWING,
        [STATE_FOLLOWING] = 1u << STATE_PULLING,
        [STATE_ENDED] = 0,
    };

    return (to == STATE_ENDED && from != STATE_ENDED) || (allowed[from] & 1u << to) != 0;
}

static void set_state(struct stream *stream, enum state state)
{
    assert(edge_is_legal(stream->state, state));
    stream->state = state;
}

/* ---- Life ---------------------------------------------------------------- */

struct stream *stream_new(const struct stream_service *service, const struct stream_peer *peer,
                          const struct record_uuid *device_id)
{
    struct stream *stream = calloc(1, sizeof *stream);

    if (stream == NULL)
        return NULL;
    stream->service = service;
    stream->peer = *peer;
    stream->device_id = *device_id;
    rpc_buffer_init(&stream->message, MESSAGE_BYTES_MAX);
    rpc_buffer_init(&stream->held_message, MESSAGE_BYTES_MAX);
    return stream;
}

static void forget_suppressed(struct stream *stream)
{
    struct suppressed *entry, *next;

    HASH_ITER(hh, stream->suppressed, entry, next)
    {
        HASH_DEL(stream->suppressed, entry);
        free(entry);
    }
}

static void free_if_over(struct stream *stream)
{
    if (!stream->closed || stream->owed > 0)
        return;
    forget_suppressed(stream);
    rpc_buffer_deinit(&stream->message);
    rpc_buffer_deinit(&stream->held_message);
    free(stream);
}

static void set_paused(struct stream *stream, bool paused)
{
    if (stream->paused == paused || stream->closed)
        return;
    stream->paused = paused;
    if (paused)
        stream->peer.pause_reading(stream->peer.context);
    else
        stream->peer.resume_reading(stream->peer.context);
}

/* Also a refusal: what is in flight is then read and dropped (R18). */
static void end(struct stream *stream, struct rpc_status status)
{
    if (stream->state == STATE_ENDED)
        return;
    set_state(stream, STATE_ENDED);
    set_paused(stream, false);
    if (!stream->closed)
        stream->peer.finish(stream->peer.context, status);
}

void stream_on_close(struct stream *stream)
{
    stream->closed = true;
    end(stream, rpc_status_ok());
    free_if_over(stream);
}

/* Each answer of the store comes through here first. False: nobody waits. */
static bool store_answered(struct stream *stream, const struct store_request *request)
{
    stream->owed--;
    if (stream->state == STATE_ENDED)
        return false;
    if (!rpc_ok(&request->status)) {
        end(stream, request->status);
        return false;
    }
    return true;
}

static void submit(struct stream *stream, struct store_request *request, enum store_kind kind,
                   void (*done)(struct store_request *))
{
    request->kind = kind;
    request->done = done;
    request->owner = stream;
    stream->owed++;
    store_submit(stream->service->store, request);
}

/* ---- Sending ------------------------------------------------------------- */

/* Sends SyncResponse{number: parts}: the parts, one after the other, are the
 * inner message. */
static void send_response(struct stream *stream, uint32_t number, const struct rpc_bytes *parts,
                          size_t part_count)
{
    size_t len = 0;

    for (size_t i = 0; i < part_count; i++)
        len += parts[i].len;
    rpc_buffer_clear(&stream->message);
    wire_put_tag(&stream->message, number, WIRE_LEN);
    wire_put_varint(&stream->message, len);
    for (size_t i = 0; i < part_count; i++)
        rpc_buffer_append_bytes(&stream->message, parts[i]);
    if (stream->message.failed)
        end(stream, rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later"));
    else
        stream->peer.send(stream->peer.context, rpc_buffer_view(&stream->message));
}

static void put_cursor(const struct stream *stream, uint32_t number, struct rpc_buffer *buffer)
{
    struct rpc_buffer cursor;

    rpc_buffer_init(&cursor, CURSOR_BYTES_MAX);
    cursor_encode(&stream->cursor, &cursor);
    wire_put_bytes(buffer, number, rpc_buffer_view(&cursor));
    buffer->failed = buffer->failed || cursor.failed;
    rpc_buffer_deinit(&cursor);
}

static void put_id(struct rpc_buffer *buffer, uint32_t number, const struct record_uuid *id)
{
    wire_put_message(buffer, number, rpc_bytes_view(id->bytes, RECORD_UUID_LEN));
}

/* ---- Hello --------------------------------------------------------------- */

static void hello_done(struct store_request *request);

static void add_place(struct store_hello *hello, const struct record_uuid *region_id,
                      const struct store_place *place)
{
    if (place->seq == 0 || hello->place_count == STORE_REGIONS_PER_DEVICE_MAX)
        return;
    hello->places[hello->place_count++] =
        (struct store_hello_place){.region_id = *region_id, .place = *place};
}

static void take_hello(struct stream *stream, struct rpc_bytes bytes)
{
    struct store_hello *hello = &stream->hello;
    struct wire_reader reader = wire_reader_over(bytes);
    struct wire_field field;
    enum wire_status status;
    bool good = true;

    while (good && (status = wire_read(&reader, &field)) == WIRE_FIELD) {
        if (field.number == HELLO_CURSOR)
            good = cursor_parse(field.bytes, &stream->cursor);
        else if (field.number == HELLO_FACILITY_ID && field.bytes.len > 0)
            good = record_uuid_from_bytes(field.bytes, &hello->facility_id);
        else if (field.number == HELLO_TOKEN && field.bytes.len == STORE_TOKEN_LEN)
            memcpy(stream->presented_token, field.bytes.data, STORE_TOKEN_LEN);
    }
    if (!good || status != WIRE_END) {
        end(stream,
            rpc_status_make(RPC_INVALID_ARGUMENT, "Hello is malformed: see outpost/v1/sync.proto"));
        return;
    }
    hello->device_id = stream->device_id;
    for (size_t i = 0; i < stream->cursor.region_count; i++) {
        const struct cursor_region *region = &stream->cursor.regions[i];
        add_place(hello, &region->region_id, &region->at);
        add_place(hello, &region->region_id, &region->seen);
        if (region->in_snapshot)
            add_place(hello, &region->region_id, &region->high_water);
    }
    set_state(stream, STATE_OPENING);
    submit(stream, &hello->request, STORE_HELLO, hello_done);
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* R23: the present or the previous token is good. */
static bool token_is_good(const struct stream *stream)
{
    const struct store_hello *hello = &stream->hello;

    return memcmp(stream->presented_token, hello->token, STORE_TOKEN_LEN) == 0 ||
           memcmp(stream->presented_token, hello->token_previous, STORE_TOKEN_LEN) == 0 ||
           is_zero(hello->token, STORE_TOKEN_LEN);
}

/* R18: identity, revocation, copies, facility and scope, before any push. */
static struct rpc_status admission(const struct stream *stream)
{
    const struct store_hello *hello = &stream->hello;
    char facility[RECORD_UUID_TEXT_LEN + 1];

    if (!hello->device_known)
        return rpc_status_make(RPC_UNAUTHENTICATED,
                               "this server does not know the device: enrol it again");
    if (hello->revoked)
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the device is revoked: ask the administrator");
    if (!token_is_good(stream))
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "another copy of this device's database has synced: keep this one"
                               " as it is and ask the administrator to enrol it anew");
    record_uuid_format(&hello->device.facility, facility);
    if (!hello->facility_known)
        return rpc_status_make(RPC_PERMISSION_DENIED, "facility %s is not known: choose another",
                               facility);
    if (!scope_may_work_in(&hello->device, &hello->device.region))
        return rpc_status_make(RPC_PERMISSION_DENIED,
                               "the device's enrolment does not allow facility %s: ask the"
                               " administrator",
                               facility);
    return rpc_status_ok();
}

static bool history_is_known(const struct store_hello *hello, const struct record_uuid *region_id)
{
    for (size_t i = 0; i < hello->place_count; i++)
        if (record_uuid_compare(&hello->places[i].region_id, region_id) == 0 &&
            !hello->places[i].known)
            return false;
    return true;
}

/* Makes the cursor hold exactly the regions in scope. A region that is new to
 * the device, or whose place the log does not know (R22), starts a snapshot up
 * to the head of this moment. */
static void cursor_adopt(struct stream *stream, bool resets_out[2])
{
    struct cursor adopted = {.region_count = stream->hello.head_count};

    for (size_t i = 0; i < adopted.region_count; i++) {
        const struct store_head *head = &stream->hello.heads[i];
        const struct cursor_region *held = cursor_find(&stream->cursor, &head->region_id);
        resets_out[i] = held != NULL && !history_is_known(&stream->hello, &head->region_id);
        if (held != NULL && !resets_out[i])
            adopted.regions[i] = *held;
        else
            adopted.regions[i] = (struct cursor_region){
                .region_id = head->region_id, .in_snapshot = true, .high_water = head->last};
    }
    stream->cursor = adopted;
}

static uint64_t remaining(const struct cursor_region *region, const struct store_head *head)
{
    uint64_t from = region->in_snapshot ? region->sent : region->at.seq;
    uint64_t to = region->in_snapshot ? head->records : head->last.seq;

    return to > from ? to - from : 0;
}

static void send_welcome(struct stream *stream, const bool resets[2])
{
    const struct stream_settings *settings = &stream->service->settings;
    struct rpc_buffer welcome, part;

    rpc_buffer_init(&welcome, CURSOR_BYTES_MAX);
    rpc_buffer_init(&part, CURSOR_BYTES_MAX);
    wire_put_uint(&part, SETTINGS_PUSH_BATCH, settings->push_batch);
    wire_put_uint(&part, SETTINGS_PULL_BATCH, settings->pull_batch);
    wire_put_uint(&part, SETTINGS_BATCH_BYTES, settings->batch_bytes);
    wire_put_uint(&part, SETTINGS_SYNC_INTERVAL_S, settings->sync_interval_s);
    wire_put_message(&welcome, WELCOME_SETTINGS, rpc_buffer_view(&part));
    for (size_t i = 0; i < stream->hello.head_count; i++) {
        const struct store_head *head = &stream->hello.heads[i];
        rpc_buffer_clear(&part);
        put_id(&part, TOTAL_REGION_ID, &head->region_id);
        wire_put_uint(&part, TOTAL_RECORDS, head->records);
        wire_put_uint(&part, TOTAL_REMAINING, remaining(&stream->cursor.regions[i], head));
        wire_put_uint(&part, TOTAL_RESET, resets[i]);
        wire_put_message(&welcome, WELCOME_REGIONS, rpc_buffer_view(&part));
    }
    put_id(&welcome, WELCOME_FACILITY_ID, &stream->device.facility);
    wire_put_uint(&welcome, WELCOME_SERVER_TIME_MS,
                  (uint64_t)stream->service->time_ms(stream->service->context));
    wire_put_uint(&welcome, WELCOME_SCHEMA_REVISION, stream->service->roles.schema->revision);
    wire_put_uint(&welcome, WELCOME_ACCEPTS_ZSTD, 1);
    struct rpc_bytes bytes = rpc_buffer_view(&welcome);
    send_response(stream, RESPONSE_WELCOME, &bytes, 1);
    rpc_buffer_deinit(&part);
    rpc_buffer_deinit(&welcome);
}

static void hello_done(struct store_request *request)
{
    struct stream *stream = request->owner;
    bool resets[2] = {false, false};

    if (store_answered(stream, request)) {
        struct rpc_status status = admission(stream);
        if (rpc_ok(&status)) {
            stream->device = stream->hello.device;
            cursor_adopt(stream, resets);
            set_state(stream, STATE_PUSHING);
            send_welcome(stream, resets);
        } else {
            end(stream, status);
        }
    }
    if (stream->state == STATE_PUSHING) {
        if (stream->has_held_message) {
            stream->has_held_message = false;
            stream_on_message(stream, rpc_buffer_view(&stream->held_message));
        }
        if (stream->pushes_in_flight < STREAM_PUSHES_IN_FLIGHT_MAX)
            set_paused(stream, false);
        pump(stream);
    }
    free_if_over(stream);
}

/* ---- Pushes -------------------------------------------------------------- */

static void note_head(struct stream *stream, const struct record_uuid *region_id,
                      const struct store_place *head)
{
    struct cursor_region *region = cursor_find(&stream->cursor, region_id);

    if (region != NULL && head->seq > region->seen.seq)
        region->seen = *head;
}

static void note_applied(struct stream *stream, const struct push_batch *batch)
{
    for (size_t i = 0; i < batch->applied_count; i++) {
        struct suppressed *entry;
        HASH_FIND(hh, stream->suppressed, &batch->applied[i].key, sizeof entry->key, entry);
        if (entry == NULL && HASH_COUNT(stream->suppressed) < STREAM_SUPPRESSED_MAX) {
            entry = calloc(1, sizeof *entry);
            if (entry == NULL)
                return;
            entry->key = batch->applied[i].key;
            HASH_ADD(hh, stream->suppressed, key, sizeof entry->key, entry);
        }
        if (entry != NULL)
            entry->stamp = batch->applied[i].stamp;
    }
}

static void push_stored(struct store_request *request)
{
    struct store_push *push = (struct store_push *)request;
    struct stream *stream = request->owner;

    stream->pushes_in_flight--;
    if (store_answered(stream, request)) {
        struct rpc_buffer cursor;
        note_applied(stream, push->batch);
        note_head(stream, &scope_global_region, &push->head_global);
        note_head(stream, &push->region_id, &push->head_region);
        rpc_buffer_init(&cursor, CURSOR_BYTES_MAX);
        put_cursor(stream, PUSH_RESULT_CURSOR, &cursor);
        struct rpc_bytes parts[] = {rpc_buffer_view(&push->batch->result),
                                    rpc_buffer_view(&cursor)};
        send_response(stream, RESPONSE_PUSH_RESULT, parts, 2);
        rpc_buffer_deinit(&cursor);
        set_paused(stream, false);
        pump(stream);
    }
    push_batch_free(push->batch);
    free(push);
    free_if_over(stream);
}

static void take_push(struct stream *stream, struct rpc_bytes bytes)
{
    const struct stream_service *service = stream->service;
    struct store_push *push = calloc(1, sizeof *push);
    enum push_prepare_status status =
        push == NULL ? PUSH_NO_MEMORY
                     : push_prepare(bytes, &stream->device, service->time_ms(service->context),
                                    service->hasher, &push->batch);

    if (status == PUSH_PREPARED) {
        push->region_id = stream->device.region;
        stream->pushes_in_flight++;
        if (stream->pushes_in_flight == STREAM_PUSHES_IN_FLIGHT_MAX)
            set_paused(stream, true);
        submit(stream, &push->request, STORE_PUSH, push_stored);
        return;
    }
    free(push);
    end(stream,
        status == PUSH_NOT_A_PUSH
            ? rpc_status_make(RPC_INVALID_ARGUMENT, "Push is malformed: see outpost/v1/sync.proto")
        : status == PUSH_TOO_MANY
            ? rpc_status_make(RPC_RESOURCE_EXHAUSTED,
                              "a Push holds at most %d items: send smaller ones", PUSH_ITEMS_MAX)
            : rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later"));
}

/* ---- Messages ------------------------------------------------------------ */

static void hold_message(struct stream *stream, struct rpc_bytes message)
{
    rpc_buffer_clear(&stream->held_message);
    rpc_buffer_append_bytes(&stream->held_message, message);
    stream->has_held_message = true;
    set_paused(stream, true);
    if (stream->held_message.failed)
        end(stream, rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later"));
}

static void take_request(struct stream *stream, const struct wire_field *request)
{
    bool opened = stream->state != STATE_AWAIT_HELLO;

    if (request->number == REQUEST_HELLO && !opened) {
        take_hello(stream, request->bytes);
    } else if (request->number == REQUEST_PUSH && opened && !stream->push_done) {
        take_push(stream, request->bytes);
    } else if (request->number == REQUEST_PUSH_DONE && opened && !stream->push_done) {
        stream->push_done = true;
        pump(stream);
    } else {
        end(stream, rpc_status_make(RPC_INVALID_ARGUMENT,
                                    "a Sync call is Hello, Push*, PushDone, in this order: request"
                                    " %" PRIu32 " came out of turn",
                                    request->number));
    }
}

void stream_on_message(struct stream *stream, struct rpc_bytes message)
{
    struct wire_reader reader = wire_reader_over(message);
    struct wire_field request;

    if (stream->state == STATE_ENDED)
        return;
    if (stream->state == STATE_OPENING) {
        hold_message(stream, message);
        return;
    }
    if (wire_read(&reader, &request) != WIRE_FIELD || request.type != WIRE_LEN) {
        end(stream,
            rpc_status_make(RPC_INVALID_ARGUMENT, "not a SyncRequest: see outpost/v1/sync.proto"));
        return;
    }
    take_request(stream, &request);
}

void stream_on_half_close(struct stream *stream)
{
    stream->half_closed = true;
    pump(stream);
}

void stream_on_writable(struct stream *stream)
{
    pump(stream);
}

/* ---- Pulling ------------------------------------------------------------- */

static void page_done(struct store_request *request);

static void request_page(struct stream *stream, const struct cursor_region *region)
{
    struct store_page *page = &stream->page;

    *page = (struct store_page){
        .region_id = region->region_id,
        .snapshot = region->in_snapshot,
        .after = region->position,
        .after_seq = region->at.seq,
        .rows_max = stream->service->settings.pull_batch,
        .bytes_max = stream->service->settings.batch_bytes,
    };
    stream->page_owed = true;
    submit(stream, &page->request, STORE_PAGE, page_done);
}

/* R19: only a row whose present stamp was answered `applied` in this stream. */
static bool is_suppressed(const struct stream *stream, const struct store_row *row)
{
    struct suppressed *entry;

    if (stream->suppressed == NULL)
        return false;
    HASH_FIND(hh, stream->suppressed, &row->key, sizeof row->key, entry);
    return entry != NULL && entry->stamp == row->stamp;
}

/* Closes the gaps that suppressed rows leave in the encoded page. */
static size_t page_squeeze(const struct stream *stream, struct store_page *page)
{
    size_t kept = 0;
    size_t len = 0;

    if (stream->suppressed == NULL)
        return page->row_count;
    for (size_t i = 0; i < page->row_count; i++) {
        const struct store_row *row = &page->rows[i];
        if (is_suppressed(stream, row))
            continue;
        memmove(page->encoded.data + len, page->encoded.data + row->offset, row->len);
        len += row->len;
        kept++;
    }
    page->encoded.len = len;
    return kept;
}

/* Moves the cursor past the page. */
static void cursor_advance(struct cursor_region *region, const struct store_page *page)
{
    if (!region->in_snapshot) {
        region->at = page->place;
    } else if (page->at_end) {
        region->at = region->high_water;
        region->in_snapshot = false;
        region->position = (struct record_key){.type = 0};
        region->sent = 0;
    } else {
        region->position = page->rows[page->row_count - 1].key;
        region->sent += page->row_count;
    }
}

static void send_page(struct stream *stream, struct cursor_region *region, struct store_page *page)
{
    bool begins = region->in_snapshot && region->sent == 0;
    bool completes = region->in_snapshot && page->at_end;
    size_t rows = page_squeeze(stream, page);
    struct rpc_buffer rest;

    cursor_advance(region, page);
    if (page->head.seq > region->seen.seq)
        region->seen = page->head;
    if (rows == 0 && !begins && !completes)
        return;
    rpc_buffer_init(&rest, 2 * CURSOR_BYTES_MAX);
    put_cursor(stream, PULL_CURSOR, &rest);
    if (completes)
        put_id(&rest, PULL_SNAPSHOT_COMPLETE, &region->region_id);
    if (begins)
        put_id(&rest, PULL_SNAPSHOT_BEGIN, &region->region_id);
    struct rpc_bytes parts[] = {rpc_buffer_view(&page->encoded), rpc_buffer_view(&rest)};
    send_response(stream, RESPONSE_PULL, parts, 2);
    rpc_buffer_deinit(&rest);
}

static void page_done(struct store_request *request)
{
    struct stream *stream = request->owner;

    stream->page_owed = false;
    if (store_answered(stream, request)) {
        struct cursor_region *region = &stream->cursor.regions[stream->pulling];
        bool was_snapshot = region->in_snapshot;
        send_page(stream, region, &stream->page);
        if (stream->page.at_end && !was_snapshot) {
            stream->behind[stream->pulling] = false;
            stream->pulling++;
        } else if (stream->page.at_end) {
            /* What was committed since the snapshot began is the tail. */
            stream->behind[stream->pulling] = stream->page.head.seq > region->at.seq;
        }
    }
    store_page_deinit(&stream->page);
    if (stream->state == STATE_PULLING)
        pump(stream);
    free_if_over(stream);
}

/* ---- Caught up ----------------------------------------------------------- */

static void caught_up_done(struct store_request *request);

static void settle(struct stream *stream)
{
    struct store_caught_up *caught_up = &stream->caught_up;
    const struct stream_service *service = stream->service;

    *caught_up = (struct store_caught_up){
        .device_id = stream->device_id,
        .region_count = stream->cursor.region_count,
        .renew_token = !stream->token_given,
        .now_ms = service->time_ms(service->context),
    };
    for (size_t i = 0; i < caught_up->region_count; i++) {
        caught_up->regions[i] = stream->cursor.regions[i].region_id;
        caught_up->places[i] = stream->cursor.regions[i].at;
    }
    memcpy(caught_up->presented_token, stream->presented_token, STORE_TOKEN_LEN);
    if (caught_up->renew_token)
        service->random(service->context, caught_up->next_token, STORE_TOKEN_LEN);
    set_state(stream, STATE_SETTLING);
    submit(stream, &caught_up->request, STORE_CAUGHT_UP, caught_up_done);
}

static void send_caught_up(struct stream *stream)
{
    const struct store_caught_up *caught_up = &stream->caught_up;
    struct rpc_buffer message, part;

    rpc_buffer_init(&message, 2 * CURSOR_BYTES_MAX);
    rpc_buffer_init(&part, CURSOR_BYTES_MAX);
    put_cursor(stream, CAUGHT_UP_CURSOR, &message);
    for (size_t i = 0; i < caught_up->region_count; i++) {
        const struct store_head *head = &caught_up->heads[i];
        rpc_buffer_clear(&part);
        put_id(&part, STATE_REGION_ID, &head->region_id);
        wire_put_uint(&part, STATE_SEQ, head->last.seq);
        wire_put_uint(&part, STATE_RECORDS, head->records);
        wire_put_fixed64(&part, STATE_DIGEST, head->digest);
        wire_put_message(&message, CAUGHT_UP_REGIONS, rpc_buffer_view(&part));
    }
    if (caught_up->renew_token)
        wire_put_bytes(&message, CAUGHT_UP_NEXT_TOKEN,
                       rpc_bytes_view(caught_up->next_token, STORE_TOKEN_LEN));
    struct rpc_bytes bytes = rpc_buffer_view(&message);
    send_response(stream, RESPONSE_CAUGHT_UP, &bytes, 1);
    rpc_buffer_deinit(&part);
    rpc_buffer_deinit(&message);
}

static void caught_up_done(struct store_request *request)
{
    struct stream *stream = request->owner;

    if (store_answered(stream, request)) {
        bool more = false;
        for (size_t i = 0; i < stream->caught_up.region_count; i++) {
            stream->behind[i] = stream->caught_up.behind[i];
            more = more || stream->behind[i];
        }
        if (more) {
            stream->pulling = 0;
            set_state(stream, STATE_PULLING);
        } else {
            stream->token_given = true;
            forget_suppressed(stream);
            send_caught_up(stream);
            if (stream->state == STATE_SETTLING)
                set_state(stream, STATE_FOLLOWING);
        }
        pump(stream);
    }
    free_if_over(stream);
}

/* ---- Following ----------------------------------------------------------- */

bool stream_is_following(const struct stream *stream, struct record_uuid regions_out[2])
{
    if (stream->state != STATE_FOLLOWING)
        return false;
    for (size_t i = 0; i < stream->cursor.region_count; i++)
        regions_out[i] = stream->cursor.regions[i].region_id;
    return true;
}

void stream_wake(struct stream *stream, const struct record_uuid *region_id, uint64_t seq)
{
    const struct cursor_region *region = cursor_find(&stream->cursor, region_id);

    if (stream->state != STATE_FOLLOWING || region == NULL || seq <= region->at.seq)
        return;
    stream->behind[region - stream->cursor.regions] = true;
    stream->pulling = 0;
    set_state(stream, STATE_PULLING);
    pump(stream);
}

/* ---- The next step ------------------------------------------------------- */

static void begin_pull(struct stream *stream)
{
    for (size_t i = 0; i < stream->cursor.region_count; i++)
        stream->behind[i] = true;
    for (size_t i = 0; i < stream->cursor.region_count; i++) {
        const struct cursor_region *region = &stream->cursor.regions[i];
        /* Nothing to read where the device stands at the head; what is
         * committed meanwhile is found when settling. */
        if (!region->in_snapshot && region->at.seq >= region->seen.seq &&
            region->at.seq >= stream->hello.heads[i].last.seq)
            stream->behind[i] = false;
    }
    stream->pulling = 0;
    set_state(stream, STATE_PULLING);
}

/* Does whatever can be done next, and stops where the stream has to wait: for
 * the store, for the client, or for room to write. */
static void pump(struct stream *stream)
{
    if (stream->state == STATE_PUSHING && stream->pushes_in_flight == 0) {
        if (stream->push_done)
            begin_pull(stream);
        else if (stream->half_closed)
            end(stream, rpc_status_ok());
    }
    if (stream->state == STATE_PULLING && !stream->page_owed &&
        stream->peer.writable(stream->peer.context)) {
        while (stream->pulling < stream->cursor.region_count && !stream->behind[stream->pulling])
            stream->pulling++;
        if (stream->pulling < stream->cursor.region_count)
            request_page(stream, &stream->cursor.regions[stream->pulling]);
        else
            settle(stream);
    }
    if (stream->state == STATE_FOLLOWING && stream->half_closed)
        end(stream, rpc_status_ok());
}
