/* SPDX-License-Identifier: Apache-2.0
 *
 * A call's outbox: from a message to framed, perhaps compressed bytes, and from
 * there into DATA frames. How much may wait is shared among the calls of a
 * connection; an owner that asks rpc_call_writable never has too much.
 */
#include "connection.h"

#include "framing.h"

enum {
    /* Shorter messages are not worth a compressor. */
    COMPRESS_BYTES_MIN = 128,
};

static size_t queue_share(const rpc_conn *conn)
{
    size_t share = CONN_QUEUE_BYTES / (conn->call_count > 0 ? conn->call_count : 1);

    return share < RPC_SEND_QUEUE_BYTES ? share : RPC_SEND_QUEUE_BYTES;
}

/* Frames the message at room; its length with the prefix. Compression that
 * does not make it shorter is not used. */
static size_t frame_message(rpc_call *call, struct rpc_bytes message, uint8_t *room)
{
    bool compress = call->encoding != RPC_ENCODING_IDENTITY && call->encoding == call->declared &&
                    !call->uncompressing && message.len >= COMPRESS_BYTES_MIN;
    size_t len = compress ? compressor_shrink(&call->conn->compressor, call->encoding, message,
                                              room + FRAMING_PREFIX_LEN, message.len - 1)
                          : 0;

    framing_put_prefix(room, len > 0, len > 0 ? len : message.len);
    if (len == 0 && message.len > 0)
        memcpy(room + FRAMING_PREFIX_LEN, message.data, message.len);
    return FRAMING_PREFIX_LEN + (len > 0 ? len : message.len);
}

void call_submit_headers(rpc_call *call)
{
    if (call->headers_submitted)
        return;
    if (call->conn->role->server)
        server_submit_headers(call);
    else
        client_submit_request(call);
}

void rpc_call_send(rpc_call *call, struct rpc_bytes message)
{
    rpc_conn *conn = call->conn;
    struct rpc_status status;

    if (call->state != CALL_OPEN || call->half_closed)
        return;
    if (message.len > RPC_MESSAGE_BYTES_MAX) {
        status = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "a message to send is over %d bytes",
                                 RPC_MESSAGE_BYTES_MAX);
        call_fail(call, &status);
        return;
    }
    call_submit_headers(call);
    if (call->state != CALL_OPEN)
        return;
    uint8_t *room = queue_reserve(&call->outbox, FRAMING_PREFIX_LEN + message.len);
    if (room == NULL) {
        status = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "the send queue is full: wait until "
                                                         "the call is writable");
        call_fail(call, &status);
        return;
    }
    size_t len = frame_message(call, message, room);
    if (conn->outbox_bytes == 0)
        conn->window_moved_ms = conn->clock.now_ms(conn->clock.context);
    call->outbox.buffer.len += len;
    conn->outbox_bytes += len;
    if (!call->blocked && queue_len(&call->outbox) > queue_share(conn)) {
        call->blocked = true;
        conn->blocked_count++;
    }
    session_resume_data(call);
    conn_wake(conn);
}

bool rpc_call_writable(const rpc_call *call)
{
    return !call->blocked && call->state == CALL_OPEN;
}

size_t call_take_queued(rpc_call *call, uint8_t *room, size_t len)
{
    struct rpc_bytes queued = queue_view(&call->outbox);
    rpc_conn *conn = call->conn;

    if (len > queued.len)
        len = queued.len;
    if (len == 0)
        return 0;
    memcpy(room, queued.data, len);
    queue_drop(&call->outbox, len);
    conn->outbox_bytes -= len;
    conn->window_moved += len;
    if (conn->window_moved >= CONN_PROGRESS_BYTES || conn->outbox_bytes == 0) {
        conn->window_moved_ms = conn->clock.now_ms(conn->clock.context);
        conn->window_moved = 0;
    }
    return len;
}

void call_note_drained(rpc_call *call)
{
    if (!call->blocked || queue_len(&call->outbox) > queue_share(call->conn) / 2)
        return;
    call->blocked = false;
    call->conn->blocked_count--;
    call->writable_due = true;
    call_mark_due(call);
}

void rpc_call_set_encoding(rpc_call *call, enum rpc_encoding encoding)
{
    if (call->conn->role->server) {
        if (encoding == RPC_ENCODING_ZSTD && !rpc_call_peer_accepts(call, encoding))
            encoding = RPC_ENCODING_GZIP;
        if (encoding == RPC_ENCODING_GZIP && !rpc_call_peer_accepts(call, encoding))
            encoding = RPC_ENCODING_IDENTITY;
    }
    call->encoding = encoding;
}

bool rpc_call_peer_accepts(const rpc_call *call, enum rpc_encoding encoding)
{
    return (call->peer_accepts & 1u << encoding) != 0;
}

void rpc_call_set_compressing(rpc_call *call, bool compressing)
{
    call->uncompressing = !compressing;
}

bool rpc_call_message_compressed(const rpc_call *call)
{
    return call->message_compressed;
}
