/* SPDX-License-Identifier: Apache-2.0
 *
 * A call, as both ends see it: states, receiving, and an end that is told once;
 * call_send.c is the way out. The functions of rpc.h that an owner calls only take notes; its
 * callbacks all come from call_dispatch, so that an owner may call anything
 * from anywhere and is never called from inside its own call.
 */
#include "connection.h"

#include "framing.h"

#include <stdlib.h>

enum {
    INBOX_BYTES_MAX = FRAMING_PREFIX_LEN + RPC_MESSAGE_BYTES_MAX + CONN_STREAM_WINDOW_BYTES,
};

/* ---- States -------------------------------------------------------------- */

static void set_state(rpc_call *call, enum call_state state)
{
    assert(state > call->state);
    call->state = state;
}

rpc_call *call_new(rpc_conn *conn)
{
    rpc_call *call = calloc(1, sizeof *call);

    if (call == NULL)
        return NULL;
    call->conn = conn;
    call->deadline_ms = -1;
    call->fields.timeout_ms = -1;
    call->fields.encoding_known = true;
    call->peer_accepts = 1u << RPC_ENCODING_IDENTITY;
    queue_init(&call->inbox, INBOX_BYTES_MAX);
    queue_init(&call->outbox, CALL_QUEUE_BYTES_MAX);
    call->next = conn->calls;
    if (conn->calls != NULL)
        conn->calls->previous = call;
    conn->calls = call;
    conn->call_count++;
    return call;
}

static void call_free(rpc_call *call)
{
    rpc_conn *conn = call->conn;

    if (call->next != NULL)
        call->next->previous = call->previous;
    if (call->previous != NULL)
        call->previous->next = call->next;
    else
        conn->calls = call->next;
    conn->call_count--;
    conn->life.calls_ended_ms = conn->now_ms;
    conn->inbox_bytes -= queue_len(&call->inbox);
    queue_clear(&call->inbox);
    metadata_deinit(&call->received);
    metadata_deinit(&call->received_trailers);
    metadata_deinit(&call->to_send);
    metadata_deinit(&call->trailers_to_send);
    free(call->path);
    free(call);
}

void call_mark_due(rpc_call *call)
{
    rpc_conn *conn = call->conn;

    if (call->due)
        return;
    call->due = true;
    if (conn->due_last != NULL)
        conn->due_last->due_next = call;
    else
        conn->due_first = call;
    conn->due_last = call;
    conn_wake(conn);
}

/* Reopens the windows for len bytes that are out of the inbox. */
static void consume(rpc_call *call, size_t len)
{
    call->unconsumed -= len;
    if (len > 0 && call->conn->state == CONN_OPEN)
        nghttp2_session_consume(call->conn->session, call->stream_id, len);
}

static void clear_outbox(rpc_call *call)
{
    call->conn->outbox_bytes -= queue_len(&call->outbox);
    queue_clear(&call->outbox);
    if (call->blocked)
        call->conn->blocked_count--;
    call->blocked = false;
}

void call_reset(rpc_call *call, uint32_t h2_error)
{
    rpc_conn *conn = call->conn;
    bool submitted = call->stream_open || (!conn->role->server && call->headers_submitted);

    if (conn->state != CONN_OVER && submitted && call->state != CALL_ENDED) {
        nghttp2_submit_rst_stream(conn->session, NGHTTP2_FLAG_NONE, call->stream_id, h2_error);
        conn_wake(conn);
    }
}

/* The inbox stays until the call is freed: the owner may be looking at a
 * message in it. */
void call_end(rpc_call *call, const struct rpc_status *status)
{
    if (call->state == CALL_ENDED)
        return;
    set_state(call, CALL_ENDED);
    call->unprocessed |= !call->headers_sent;
    if (status != &call->status)
        call->status = *status;
    consume(call, call->unconsumed);
    clear_outbox(call);
    nghttp2_session_set_stream_user_data(call->conn->session, call->stream_id, NULL);
    call->stream_open = false;
    call->close_due = true;
    call_mark_due(call);
}

void call_fail(rpc_call *call, const struct rpc_status *status)
{
    if (call->conn->role->server && call->state == CALL_OPEN) {
        rpc_call_finish(call, *status);
    } else {
        call_reset(call, NGHTTP2_CANCEL);
        call_end(call, status);
    }
}

void call_expire(rpc_call *call)
{
    struct rpc_status status =
        rpc_status_make(RPC_DEADLINE_EXCEEDED, "the call's deadline has passed");
    bool can_answer = call->state == CALL_OPEN && queue_len(&call->outbox) == 0;

    call->deadline_ms = -1;
    if (!call->conn->role->server || !can_answer) {
        call_reset(call, NGHTTP2_CANCEL);
        call_end(call, &status);
        return;
    }
    /* The owner hears it now, the client as soon as it reads. */
    rpc_call_finish(call, status);
    call->close_due = true;
    call_mark_due(call);
}

/* ---- Receiving ----------------------------------------------------------- */

void call_receive(rpc_call *call, struct rpc_bytes bytes)
{
    rpc_conn *conn = call->conn;
    bool fits = conn->inbox_bytes + bytes.len <= CONN_INBOX_BYTES_MAX;

    call->unconsumed += bytes.len;
    if (call->state != CALL_OPEN) {
        consume(call, bytes.len);
        return;
    }
    if (!fits || !queue_append(&call->inbox, bytes)) {
        struct rpc_status status = rpc_status_make(
            RPC_RESOURCE_EXHAUSTED, "too much is being received at once on this connection");
        consume(call, bytes.len);
        call_fail(call, &status);
        return;
    }
    conn->inbox_bytes += bytes.len;
    call_mark_due(call);
}

static bool inflate_message(rpc_call *call, struct rpc_bytes *message, struct rpc_status *status)
{
    rpc_conn *conn = call->conn;

    if (call->peer_encoding == RPC_ENCODING_IDENTITY) {
        *status = rpc_status_make(RPC_INTERNAL, "a compressed message without grpc-encoding");
        return false;
    }
    rpc_buffer_clear(&conn->inflated);
    switch (compressor_inflate(&conn->compressor, call->peer_encoding, *message, &conn->inflated)) {
    case INFLATE_DONE:
        *message = rpc_buffer_view(&conn->inflated);
        return true;
    case INFLATE_TOO_LARGE:
        *status = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "a message inflates to over %zu bytes",
                                  conn->message_bytes_max);
        return false;
    case INFLATE_CORRUPT:
        *status = rpc_status_make(RPC_INTERNAL, "a compressed message is corrupt");
        return false;
    case INFLATE_NO_MEMORY:
        break;
    }
    *status = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "no memory to inflate a message");
    return false;
}

/* Hands over the first message of the inbox; false: none is whole, or the call
 * came to an end over it. */
static bool deliver_one(rpc_call *call)
{
    size_t limit = call->conn->message_bytes_max;
    struct framing_message message;
    struct rpc_status status = rpc_status_ok();

    switch (framing_next(queue_view(&call->inbox), limit, &message)) {
    case FRAMING_MORE:
        return false;
    case FRAMING_TOO_LARGE:
        status = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "a message is over %zu bytes", limit);
        break;
    case FRAMING_BAD_FLAG:
        rpc_call_blame(call);
        status = rpc_status_make(RPC_INTERNAL, "a message begins with an unknown flag");
        break;
    case FRAMING_MESSAGE:
        if (message.compressed && !inflate_message(call, &message.bytes, &status)) {
            rpc_call_blame(call);
            break;
        }
        call->message_compressed = message.compressed;
        if (call->events.on_message != NULL)
            call->events.on_message(call->context, call, message.bytes);
        queue_drop(&call->inbox, message.framed_len);
        call->conn->inbox_bytes -= message.framed_len;
        return true;
    }
    call_fail(call, &status);
    return false;
}

static void deliver(rpc_call *call)
{
    while (call->state == CALL_OPEN && !call->paused && deliver_one(call))
        continue;
    if (call->state == CALL_FINISHING) {
        call->conn->inbox_bytes -= queue_len(&call->inbox);
        queue_clear(&call->inbox);
    }
    /* The part of a message that is here is kept whatever the window is. */
    size_t kept = call->paused ? queue_len(&call->inbox) : 0;
    if (call->state != CALL_ENDED && call->unconsumed > kept)
        consume(call, call->unconsumed - kept);
}

static void finish_receiving(rpc_call *call)
{
    if (!call->remote_ended || call->paused || call->state != CALL_OPEN)
        return;
    if (queue_len(&call->inbox) > 0 && rpc_ok(&call->fields.status)) {
        struct rpc_status status = rpc_status_make(RPC_INTERNAL, "the last message is cut off");
        call_fail(call, &status);
        return;
    }
    call->conn->role->tell_end(call);
}

void call_dispatch(rpc_call *call)
{
    if (!call->conn->role->server && !call->headers_submitted && call->state == CALL_OPEN)
        client_submit_request(call);
    if (call->headers_due && call->state == CALL_OPEN) {
        call->headers_due = false;
        call->conn->role->tell_headers(call);
    }
    /* First, for its owner may read on then, and what waits comes before the end. */
    bool writable = call->writable_due && call->state == CALL_OPEN;
    call->writable_due = false;
    if (writable && call->events.on_writable != NULL)
        call->events.on_writable(call->context, call);
    deliver(call);
    finish_receiving(call);
    if (call->close_due && !call->told) {
        struct rpc_call_events events = call->events;
        call->told = true;
        call->events = (struct rpc_call_events){0};
        if (events.on_close != NULL)
            events.on_close(call->context, call, &call->status,
                            metadata_view(&call->received_trailers));
    }
    if (call->told && call->state == CALL_ENDED && !call->due)
        call_free(call);
}

void rpc_call_blame(rpc_call *call)
{
    if (call->conn->role->server)
        conn_spend(call->conn, BUDGET_BAD_MESSAGES);
    conn_wake(call->conn);
}

void rpc_call_pause_reading(rpc_call *call)
{
    call->paused = true;
}

void rpc_call_resume_reading(rpc_call *call)
{
    if (!call->paused)
        return;
    call->paused = false;
    call_mark_due(call);
}

/* ---- Ending -------------------------------------------------------------- */

void rpc_call_half_close(rpc_call *call)
{
    if (call->state != CALL_OPEN || call->half_closed)
        return;
    call_submit_headers(call);
    call->half_closed = true;
    session_resume_data(call);
    conn_wake(call->conn);
}

void rpc_call_cancel(rpc_call *call)
{
    struct rpc_status status = rpc_status_make(RPC_CANCELLED, "cancelled on this side");

    call_reset(call, NGHTTP2_CANCEL);
    call_end(call, &status);
}

void rpc_call_finish(rpc_call *call, struct rpc_status status)
{
    if (call->state != CALL_OPEN)
        return;
    set_state(call, CALL_FINISHING);
    call->status = status;
    server_submit_answer(call);
    call_mark_due(call);
}

/* ---- Metadata ------------------------------------------------------------ */

void rpc_call_add_metadata(rpc_call *call, const char *name, struct rpc_bytes value)
{
    enum metadata_result result =
        metadata_add(&call->to_send, rpc_bytes_view(name, strlen(name)), value);

    assert(result != METADATA_INVALID);
    (void)result;
}

void rpc_call_add_trailer(rpc_call *call, const char *name, struct rpc_bytes value)
{
    enum metadata_result result =
        metadata_add(&call->trailers_to_send, rpc_bytes_view(name, strlen(name)), value);

    assert(result != METADATA_INVALID);
    (void)result;
}

bool call_take_common_field(rpc_call *call, struct rpc_bytes name, struct rpc_bytes value)
{
    static const char grpc_type[] = "application/grpc";
    size_t type_len = sizeof grpc_type - 1;

    if (bytes_are(name, "grpc-encoding")) {
        call->fields.encoding_known = encoding_parse(value, &call->peer_encoding);
        return true;
    }
    if (bytes_are(name, "grpc-accept-encoding")) {
        call->peer_accepts |= encoding_parse_accepted(value);
        return true;
    }
    if (bytes_are(name, "content-type")) {
        call->fields.content_type_ok =
            value.len >= type_len && memcmp(value.data, grpc_type, type_len) == 0 &&
            (value.len == type_len || value.data[type_len] == '+' || value.data[type_len] == ';');
        return true;
    }
    return metadata_name_reserved(name);
}

void call_take_metadata(rpc_call *call, struct metadata *metadata, struct rpc_bytes name,
                        struct rpc_bytes value)
{
    switch (metadata_add_field(metadata, name, value)) {
    case METADATA_ADDED:
        break;
    case METADATA_INVALID:
        call->fields.malformed = true;
        break;
    case METADATA_TOO_LARGE:
        call->fields.too_large = true;
        break;
    }
}

/* ---- Facts --------------------------------------------------------------- */

struct rpc_metadata_list rpc_call_metadata(const rpc_call *call)
{
    return metadata_view(&call->received);
}

struct rpc_metadata_list rpc_call_trailers(const rpc_call *call)
{
    return metadata_view(&call->received_trailers);
}

unsigned rpc_call_previous_attempts(const rpc_call *call)
{
    return call->previous_attempts;
}

bool rpc_call_unprocessed(const rpc_call *call)
{
    return call->unprocessed;
}

struct rpc_bytes rpc_call_peer_certificate(const rpc_call *call)
{
    return rpc_buffer_view(&call->conn->peer_certificate);
}

bool rpc_call_peer_certificate_foreign(const rpc_call *call)
{
    return call->conn->peer_foreign;
}

int64_t rpc_call_deadline_ms(const rpc_call *call)
{
    return call->deadline_ms;
}
