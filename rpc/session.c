/* SPDX-License-Identifier: Apache-2.0
 *
 * The nghttp2 session: settings, and what nghttp2 tells us. Everything here
 * runs inside nghttp2, in mem_recv or mem_send, so it only takes notes (see
 * connection.h) and never sends, receives or calls a call's owner.
 *
 * nghttp2 checks the protocol, and stops floods of resets, CONTINUATIONs and
 * unread answers; what it leaves to us is done here: headers too large and
 * frames that carry nothing are counted, frames that it lets pass refused.
 */
#include "connection.h"

#include <string.h>

enum {
    /* nghttp2's own limit of resets, which counts those of calls that are over
     * too: behind BUDGET_RESETS, at once and per second. */
    RESET_BURST = 4000,
    RESET_RATE = 400,
    /* CONTINUATION frames of one block (CVE-2024-28182). */
    CONTINUATIONS_MAX = 8,
    /* Of a frame's payload, as long as we announce no other. */
    FRAME_BYTES_MAX = 16384,
    /* Entries of one SETTINGS frame. */
    SETTINGS_ENTRIES_MAX = 32,
    /* nghttp2's own limit of answers to PING and SETTINGS that the peer has not
     * read: behind BUDGET_IDLE_FRAMES. */
    OUTBOUND_ACKS_MAX = 3000,
    /* Of our HPACK encoder, whatever the peer offers: memory. */
    HPACK_TABLE_BYTES_MAX = 4096,
};

static const uint8_t drain_ping[8] = {'d', 'r', 'a', 'i', 'n', 0, 0, 0};

static rpc_call *stream_call(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

/* ---- Frames that begin ---------------------------------------------------- */

bool session_stream_ended(const rpc_conn *conn, int32_t stream_id)
{
    return stream_id != 0 && nghttp2_session_find_stream(conn->session, stream_id) == NULL &&
           ended_streams_has(&conn->ended_streams, stream_id);
}

/* The HTTP/2 error for a frame that nghttp2 would take or pass over; 0: none. */
static uint32_t violation_of(const rpc_conn *conn, const nghttp2_frame_hd *head)
{
    if (head->type == NGHTTP2_CONTINUATION && head->length > FRAME_BYTES_MAX)
        return NGHTTP2_FRAME_SIZE_ERROR;
    if (head->type == NGHTTP2_PRIORITY && head->stream_id == 0)
        return NGHTTP2_PROTOCOL_ERROR;
    if (head->type == NGHTTP2_HEADERS && session_stream_ended(conn, head->stream_id))
        return NGHTTP2_STREAM_CLOSED;
    return NGHTTP2_NO_ERROR;
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *head, void *context)
{
    rpc_conn *conn = context;

    (void)session;
    conn->violation = violation_of(conn, head);
    return conn->violation == NGHTTP2_NO_ERROR ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

/* ---- Header blocks ------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    rpc_conn *conn = context;
    rpc_call *call = stream_call(session, frame->hd.stream_id);

    if (conn->role->server && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        call = call_new(conn);
        if (call == NULL)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        call->stream_id = frame->hd.stream_id;
        call->stream_open = true;
        nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call);
    }
    if (call != NULL)
        call->fields.bytes = 0;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *context)
{
    rpc_conn *conn = context;
    rpc_call *call = stream_call(session, frame->hd.stream_id);

    (void)flags;
    if (call == NULL)
        return 0;
    call->fields.bytes += name_len + value_len + FIELD_OVERHEAD_BYTES;
    if (call->fields.bytes > CONN_HEADER_BYTES_HARD_MAX)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (call->fields.bytes > RPC_HEADER_BYTES_MAX)
        call->fields.too_large = true;
    else
        conn->role->take_field(call, rpc_bytes_view(name, name_len),
                               rpc_bytes_view(value, value_len));
    return 0;
}

/* ---- Frames that came ---------------------------------------------------- */

static void take_ping(rpc_conn *conn, const nghttp2_ping *ping)
{
    if ((ping->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        if (conn->role->server && !life_take_ping(conn) && conn->offence == NULL)
            conn->offence = "too_many_pings"; /* these very words, by A8 */
        return;
    }
    /* What the client sent before it read our notice is here by now. */
    if (conn->draining && memcmp(ping->opaque_data, drain_ping, sizeof drain_ping) == 0)
        nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                              nghttp2_session_get_last_proc_stream_id(conn->session),
                              NGHTTP2_NO_ERROR, NULL, 0);
}

static void take_data_end(rpc_conn *conn, rpc_call *call, const nghttp2_frame *frame)
{
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        if (frame->hd.length > 0 && frame->hd.length == frame->data.padlen)
            conn_spend(conn, BUDGET_IDLE_FRAMES);
    } else if (call != NULL) {
        call->remote_ended = true;
        call_mark_due(call);
    }
}

static bool ends_stream(const nghttp2_frame_hd *head)
{
    return head->type == NGHTTP2_RST_STREAM ||
           ((head->type == NGHTTP2_HEADERS || head->type == NGHTTP2_DATA) &&
            (head->flags & NGHTTP2_FLAG_END_STREAM) != 0);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    rpc_conn *conn = context;
    rpc_call *call = stream_call(session, frame->hd.stream_id);

    if (conn->role->server && ends_stream(&frame->hd))
        ended_streams_add(&conn->ended_streams, frame->hd.stream_id);
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        budget_restore(&conn->budgets, BUDGET_IDLE_FRAMES);
        if (call != NULL)
            conn->role->take_block(call, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
        break;
    case NGHTTP2_DATA:
        take_data_end(conn, call, frame);
        break;
    case NGHTTP2_SETTINGS:
        conn->handshake_due_ms = -1;
        break;
    case NGHTTP2_RST_STREAM:
        if (call != NULL && conn->role->server)
            conn_spend(conn, BUDGET_RESETS);
        break;
    case NGHTTP2_PING:
        take_ping(conn, &frame->ping);
        break;
    case NGHTTP2_GOAWAY:
        conn->goaway_received = true;
        break;
    default:
        break;
    }
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                         const uint8_t *data, size_t len, void *context)
{
    rpc_conn *conn = context;
    rpc_call *call = stream_call(session, stream_id);

    (void)flags;
    budget_restore(&conn->budgets, BUDGET_IDLE_FRAMES);
    if (call != NULL)
        call_receive(call, rpc_bytes_view(data, len));
    else
        nghttp2_session_consume(session, stream_id, len);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code,
                           void *context)
{
    rpc_conn *conn = context;
    rpc_call *call = stream_call(session, stream_id);

    if (call == NULL)
        return 0;
    call->stream_open = false;
    conn->role->take_close(call, error_code);
    return 0;
}

/* ---- Frames that went ---------------------------------------------------- */

/* A server's answer is complete. A client that still sends is told to stop: RFC
 * 9113 8.1, after the trailers, so that it has the status. */
static void end_answered(rpc_call *call)
{
    if (!call->remote_ended)
        call_reset(call, NGHTTP2_NO_ERROR);
    call_end(call, &call->status);
}

/* Resets for which the peer is to blame. */
static bool is_provoked(uint32_t h2_error)
{
    return h2_error != NGHTTP2_NO_ERROR && h2_error != NGHTTP2_CANCEL;
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *context)
{
    rpc_conn *conn = context;

    if (frame->hd.type == NGHTTP2_RST_STREAM && is_provoked(frame->rst_stream.error_code))
        conn_spend(conn, BUDGET_PROVOKED_RESETS);
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    budget_restore(&conn->budgets, BUDGET_IDLE_FRAMES);
    life_note_sent(conn);
    rpc_call *call = stream_call(session, frame->hd.stream_id);
    if (call == NULL)
        return 0;
    call->headers_sent = true;
    if (conn->role->server && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
        end_answered(call);
    return 0;
}

/* A request that nghttp2 held back (too many streams at once) and may no
 * longer send, because the server goes away. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *context)
{
    rpc_conn *conn = context;

    (void)session;
    if (conn->role->server || frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    for (rpc_call *call = conn->calls; call != NULL; call = call->next) {
        if (call->stream_id != frame->hd.stream_id || call->state == CALL_ENDED)
            continue;
        struct rpc_status status =
            rpc_status_make(RPC_UNAVAILABLE, "call not started: %s", nghttp2_strerror(error));
        call_end(call, &status);
        break;
    }
    return 0;
}

static ssize_t read_data(nghttp2_session *session, int32_t stream_id, uint8_t *room, size_t len,
                         uint32_t *data_flags, nghttp2_data_source *source, void *context)
{
    rpc_conn *conn = context;
    rpc_call *call = stream_call(session, stream_id);

    (void)source;
    if (call == NULL)
        return NGHTTP2_ERR_DEFERRED; /* a reset is on its way */
    if (len < CONN_SMALL_WINDOW_BYTES && len < queue_len(&call->outbox))
        conn_spend(conn, BUDGET_SMALL_WINDOWS);
    size_t taken = call_take_queued(call, room, len);
    if (queue_len(&call->outbox) == 0)
        *data_flags |= conn->role->end_of_data(call);
    if (taken == 0 && *data_flags == 0) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)taken;
}

nghttp2_data_provider session_data_provider(void)
{
    nghttp2_data_provider provider = {.read_callback = read_data};

    return provider;
}

void session_resume_data(rpc_call *call)
{
    if (!call->deferred)
        return;
    call->deferred = false;
    nghttp2_session_resume_data(call->conn->session, call->stream_id);
}

bool session_peer_takes(const rpc_conn *conn, const struct headers *headers)
{
    uint32_t limit =
        nghttp2_session_get_remote_settings(conn->session, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);

    return headers_list_size(headers) <= limit;
}

/* ---- The session --------------------------------------------------------- */

static nghttp2_session_callbacks *callbacks_new(void)
{
    nghttp2_session_callbacks *callbacks;

    if (nghttp2_session_callbacks_new(&callbacks) != 0)
        return NULL;
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
    return callbacks;
}

static nghttp2_option *option_new(void)
{
    nghttp2_option *option;

    if (nghttp2_option_new(&option) != 0)
        return NULL;
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_option_set_max_outbound_ack(option, OUTBOUND_ACKS_MAX);
    nghttp2_option_set_max_settings(option, SETTINGS_ENTRIES_MAX);
    nghttp2_option_set_max_deflate_dynamic_table_size(option, HPACK_TABLE_BYTES_MAX);
#ifdef RPC_HAVE_RESET_RATE_LIMIT
    nghttp2_option_set_stream_reset_rate_limit(option, RESET_BURST, RESET_RATE);
#endif
#ifdef RPC_HAVE_MAX_CONTINUATIONS
    nghttp2_option_set_max_continuations(option, CONTINUATIONS_MAX);
#endif
    return option;
}

static bool submit_settings(rpc_conn *conn)
{
    /* The first is the role's own. */
    const nghttp2_settings_entry entries[] = {
        conn->role->server
            ? (nghttp2_settings_entry){NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, RPC_CALLS_MAX}
            : (nghttp2_settings_entry){NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, CONN_STREAM_WINDOW_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, RPC_HEADER_BYTES_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };

    return nghttp2_submit_settings(conn->session, NGHTTP2_FLAG_NONE, entries,
                                   sizeof entries / sizeof entries[0]) == 0 &&
           nghttp2_session_set_local_window_size(conn->session, NGHTTP2_FLAG_NONE, 0,
                                                 CONN_WINDOW_BYTES) == 0;
}

bool session_new(rpc_conn *conn)
{
    nghttp2_session_callbacks *callbacks = callbacks_new();
    nghttp2_option *option = option_new();
    int result = NGHTTP2_ERR_NOMEM;

    if (callbacks != NULL && option != NULL)
        result = conn->role->server
                     ? nghttp2_session_server_new2(&conn->session, callbacks, conn, option)
                     : nghttp2_session_client_new2(&conn->session, callbacks, conn, option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_option_del(option);
    return result == 0 && submit_settings(conn);
}

void session_submit_drain(rpc_conn *conn)
{
    nghttp2_submit_shutdown_notice(conn->session);
    nghttp2_submit_ping(conn->session, NGHTTP2_FLAG_NONE, drain_ping);
}
