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
 *   any --stream_end: refused, revoked, closed--> ENDED
 *
 * The store may owe several pushes, or one page, or one of the other answers;
 * `owed` counts them, and an ended stream frees itself when it reaches 0 and
 * none of its functions is running.
 */
#include "stream_state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef NDEBUG
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
#endif

void stream_set_state(struct stream *stream, enum state state)
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
    rpc_buffer_init(&stream->cursor_told, CURSOR_BYTES_MAX);
    return stream;
}

void stream_enter(struct stream *stream)
{
    stream->busy++;
}

void stream_leave(struct stream *stream)
{
    stream->busy--;
    if (!stream->closed || stream->owed > 0 || stream->busy > 0)
        return;
    stream_forget_own(stream);
    rpc_buffer_deinit(&stream->message);
    rpc_buffer_deinit(&stream->held_message);
    rpc_buffer_deinit(&stream->cursor_told);
    free(stream);
}

void stream_set_paused(struct stream *stream, bool paused)
{
    if (stream->paused == paused || stream->closed)
        return;
    stream->paused = paused;
    if (paused)
        stream->peer.pause_reading(stream->peer.context);
    else
        stream->peer.resume_reading(stream->peer.context);
}

/* When a device should come again, each at another moment: a thousand of them may
 * hear it at once. */
static void push_back(const struct stream *stream)
{
    const struct stream_service *service = stream->service;
    uint16_t random = 0;
    char ms[16];

    if (stream->peer.add_trailer == NULL || stream->closed)
        return;
    service->random(service->context, (uint8_t *)&random, sizeof random);
    snprintf(ms, sizeof ms, "%d", STREAM_PUSHBACK_MS + random % STREAM_PUSHBACK_MS);
    stream->peer.add_trailer(stream->peer.context, "grpc-retry-pushback-ms", ms);
}

static void note_done(struct store_request *request)
{
    struct stream *stream = request->owner;

    stream_enter(stream);
    stream->owed--;
    stream_leave(stream);
}

void stream_note(struct stream *stream, bool failed)
{
    const struct stream_service *service = stream->service;

    if (!stream->admitted || stream->noted)
        return;
    stream->noted = true;
    stream->note = (struct store_sync_note){
        .device_id = stream->device_id,
        .sync = stream->sync,
        .failed = failed,
        .now_ms = service->time_ms(service->context),
    };
    stream_submit(stream, &stream->note.request, STORE_SYNC_NOTE, note_done);
}

void stream_end(struct stream *stream, struct rpc_status status)
{
    if (stream->state == STATE_ENDED)
        return;
    if (stream->closed || !rpc_ok(&status))
        stream_note(stream, true);
    if (status.code == RPC_UNAVAILABLE || status.code == RPC_RESOURCE_EXHAUSTED)
        push_back(stream);
    stream_set_state(stream, STATE_ENDED);
    stream_set_paused(stream, false);
    if (!stream->closed)
        stream->peer.finish(stream->peer.context, status);
}

void stream_on_close(struct stream *stream)
{
    stream_enter(stream);
    stream->closed = true;
    stream_end(stream, rpc_status_ok());
    stream_leave(stream);
}

bool stream_answered(struct stream *stream, const struct store_request *request)
{
    stream_enter(stream);
    stream->owed--;
    if (stream->state == STATE_ENDED)
        return false;
    if (!rpc_ok(&request->status)) {
        stream_end(stream, request->status);
        return false;
    }
    return true;
}

void stream_submit(struct stream *stream, struct store_request *request, enum store_kind kind,
                   void (*done)(struct store_request *))
{
    request->kind = kind;
    request->done = done;
    request->owner = stream;
    stream->owed++;
    store_submit(stream->service->store, request);
}

/* ---- Sending ------------------------------------------------------------- */

void stream_send(struct stream *stream, uint32_t number, const struct rpc_buffer *const *parts,
                 size_t part_count)
{
    size_t len = 0;
    bool failed = false;

    for (size_t i = 0; i < part_count; i++) {
        len += parts[i]->len;
        failed = failed || parts[i]->failed;
    }
    rpc_buffer_clear(&stream->message);
    wire_put_tag(&stream->message, number, WIRE_LEN);
    wire_put_varint(&stream->message, len);
    for (size_t i = 0; i < part_count; i++)
        rpc_buffer_append_bytes(&stream->message, rpc_buffer_view(parts[i]));
    if (failed || stream->message.failed)
        stream_end(stream,
                   rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later"));
    else if (stream->state != STATE_ENDED)
        stream->peer.send(stream->peer.context, rpc_buffer_view(&stream->message));
}

void stream_put_cursor(struct stream *stream, uint32_t number, struct rpc_buffer *buffer)
{
    struct rpc_buffer cursor;

    rpc_buffer_init(&cursor, CURSOR_BYTES_MAX);
    cursor_encode(&stream->cursor, &cursor);
    if (!rpc_bytes_equal(rpc_buffer_view(&cursor), rpc_buffer_view(&stream->cursor_told))) {
        wire_put_bytes(buffer, number, rpc_buffer_view(&cursor));
        rpc_buffer_clear(&stream->cursor_told);
        rpc_buffer_append_bytes(&stream->cursor_told, rpc_buffer_view(&cursor));
    }
    buffer->failed = buffer->failed || cursor.failed || stream->cursor_told.failed;
    rpc_buffer_deinit(&cursor);
}

void stream_put_id(struct rpc_buffer *buffer, uint32_t number, const struct record_uuid *id)
{
    wire_put_message(buffer, number, rpc_bytes_view(id->bytes, RECORD_UUID_LEN));
}

/* ---- Pushes -------------------------------------------------------------- */

static void note_head(struct stream *stream, const struct record_uuid *region_id,
                      const struct store_place *head)
{
    struct cursor_region *region = cursor_find(&stream->cursor, region_id);

    if (region != NULL && head->seq > region->seen.seq)
        region->seen = *head;
}

static void note_rejected(struct stream *stream, const struct push_batch *batch)
{
    for (size_t i = 0; i < batch->item_count; i++)
        stream->sync.rejected =
            stream->sync.rejected || batch->items[i].outcome.status == PUSH_QUARANTINED;
}

static void push_stored(struct store_request *request)
{
    struct store_push *push = (struct store_push *)request;
    struct stream *stream = request->owner;

    stream->pushes_in_flight--;
    bool wanted = stream_answered(stream, request);
    if (wanted && push->refusal.why != STANDING_ADMITTED) {
        stream_end_refused(stream, &push->refusal);
    } else if (wanted) {
        struct rpc_buffer cursor;
        stream_note_applied(stream, push->batch);
        note_rejected(stream, push->batch);
        note_head(stream, &scope_global_region, &push->head_global);
        note_head(stream, &push->region_id, &push->head_region);
        rpc_buffer_init(&cursor, CURSOR_BYTES_MAX);
        stream_put_cursor(stream, PUSH_RESULT_CURSOR, &cursor);
        const struct rpc_buffer *parts[] = {&push->batch->result, &cursor};
        stream_send(stream, RESPONSE_PUSH_RESULT, parts, 2);
        rpc_buffer_deinit(&cursor);
        stream_set_paused(stream, false);
        stream_pump(stream);
    }
    push_batch_free(push->batch);
    free(push);
    stream_leave(stream);
}

/* R8: a device whose receipt is not known sends its journal again, in front of its new
 * work, as soon as Welcome has told it so. New work that was under way by then waits, or
 * it would be decided before what it follows on. Not for long: the answers bring a
 * receipt that is known. */
static void journal_goes_first(struct stream *stream, struct push_batch *batch)
{
    for (size_t i = 0; i < batch->item_count; i++) {
        struct push_item *item = &batch->items[i];
        bool offered = item->mutation != NULL && item->mutation->recovered_version > 0;
        if (item->acknowledged_version > 0)
            stream->journal_came = true;
        item->waits = !stream->hello.receipt_known && !stream->journal_came && !offered;
    }
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
        journal_goes_first(stream, push->batch);
        push->region_id = stream->device.region;
        stream->pushes_in_flight++;
        if (stream->pushes_in_flight == STREAM_PUSHES_IN_FLIGHT_MAX)
            stream_set_paused(stream, true);
        stream_submit(stream, &push->request, STORE_PUSH, push_stored);
        return;
    }
    free(push);
    stream_end(
        stream,
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
    stream_set_paused(stream, true);
    if (stream->held_message.failed)
        stream_end(stream,
                   rpc_status_make(RPC_UNAVAILABLE, "the server is out of memory; try later"));
}

static void take_request(struct stream *stream, const struct wire_field *request)
{
    bool opened = stream->state != STATE_AWAIT_HELLO;

    if (request->number == REQUEST_HELLO && !opened) {
        stream_take_hello(stream, request->bytes);
    } else if (request->number == REQUEST_PUSH && opened && !stream->push_done) {
        take_push(stream, request->bytes);
    } else if (request->number == REQUEST_PUSH_DONE && opened && !stream->push_done) {
        stream->push_done = true;
        stream_pump(stream);
    } else {
        stream_end(stream,
                   rpc_status_make(RPC_INVALID_ARGUMENT,
                                   "a Sync call is Hello, Push*, PushDone, in this order: request"
                                   " %" PRIu32 " came out of turn",
                                   request->number));
    }
}

void stream_take_message(struct stream *stream, struct rpc_bytes message)
{
    struct wire_reader reader = wire_reader_over(message);
    struct wire_field request;

    if (stream->state == STATE_OPENING)
        hold_message(stream, message);
    else if (wire_read(&reader, &request) != WIRE_FIELD || request.type != WIRE_LEN)
        stream_end(stream, rpc_status_make(RPC_INVALID_ARGUMENT,
                                           "not a SyncRequest: see outpost/v1/sync.proto"));
    else
        take_request(stream, &request);
}

void stream_on_message(struct stream *stream, struct rpc_bytes message)
{
    stream_enter(stream);
    if (stream->state != STATE_ENDED)
        stream_take_message(stream, message);
    stream_leave(stream);
}

void stream_on_half_close(struct stream *stream)
{
    stream_enter(stream);
    stream->half_closed = true;
    stream_pump(stream);
    stream_leave(stream);
}

void stream_on_writable(struct stream *stream)
{
    stream_enter(stream);
    stream_pump(stream);
    stream_leave(stream);
}

/* ---- The next step ------------------------------------------------------- */

void stream_pump(struct stream *stream)
{
    if (stream->state == STATE_PUSHING && stream->pushes_in_flight == 0) {
        if (stream->push_done)
            stream_begin_pull(stream);
        else if (stream->half_closed)
            stream_end(stream, rpc_status_ok());
    }
    if (stream->state == STATE_PULLING)
        stream_pull(stream);
    if (stream->state == STATE_FOLLOWING && stream->half_closed)
        stream_end(stream, rpc_status_ok());
}
