/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection: bytes in, bytes out, time. It promises one write per turn, as
 * large as there is something to say, up to about 64 KB; that no queue in it
 * grows without a named end; and that the owner of every call hears its end
 * exactly once, whatever happens to the network. It never reads a clock of its
 * own, opens nothing and never blocks.
 */
#include "connection.h"

#include <stdlib.h>

enum {
    /* One TLS record's plaintext. */
    RECORD_BYTES = 16 * 1024,
    /* A longer certificate counts as none. */
    PEER_CERTIFICATE_BYTES_MAX = 16 * 1024,
};

/* ---- Birth and death ----------------------------------------------------- */

rpc_conn *conn_new(const struct conn_role *role, struct rpc_clock clock, size_t message_bytes_max)
{
    rpc_conn *conn = calloc(1, sizeof *conn);

    assert(clock.now_ms != NULL);
    assert(message_bytes_max <= RPC_MESSAGE_BYTES_MAX);
    if (conn == NULL)
        return NULL;
    conn->role = role;
    conn->clock = clock;
    conn->message_bytes_max = message_bytes_max;
    rpc_buffer_init(&conn->plain, CONN_PLAIN_BYTES_MAX);
    rpc_buffer_init(&conn->inflated, message_bytes_max);
    rpc_buffer_init(&conn->peer_certificate, PEER_CERTIFICATE_BYTES_MAX);
    queue_init(&conn->out, CONN_OUT_BYTES_MAX);
    conn->now_ms = clock.now_ms(clock.context);
    conn->handshake_due_ms = conn->now_ms + CONN_HANDSHAKE_MS;
    conn->write_stall_ms = CONN_WRITE_STALL_MS;
    conn->window_stall_ms = CONN_WINDOW_STALL_MS;
    conn->write_moved_ms = conn->window_moved_ms = conn->now_ms;
    return conn;
}

bool conn_start(rpc_conn *conn, rpc_tls *tls, const char *host)
{
    struct rpc_status status;

    if (!session_new(conn))
        return false;
    if (tls == NULL) {
        conn->state = CONN_OPEN;
        return true;
    }
    conn->tls = tls_conn_new(tls, host, &conn->out);
    if (conn->tls == NULL)
        return false;
    if (!conn->role->server && tls_conn_handshake(conn->tls, &status) == TLS_FAILED)
        conn_end(conn, status);
    return true;
}

void rpc_conn_free(rpc_conn *conn)
{
    if (conn == NULL)
        return;
    assert(!conn->running_due);
    conn->wake = NULL;
    conn_end(conn, rpc_status_make(RPC_UNAVAILABLE, "connection closed on this side"));
    conn_run_due(conn);
    assert(conn->calls == NULL);
    nghttp2_session_del(conn->session);
    tls_conn_free(conn->tls);
    rpc_buffer_deinit(&conn->peer_certificate);
    rpc_buffer_deinit(&conn->plain);
    rpc_buffer_deinit(&conn->inflated);
    queue_clear(&conn->out);
    compressor_release(&conn->compressor);
    free(conn->authority);
    free(conn->user_agent);
    free(conn);
}

/* Gives back what only a busy connection needs. */
static void release_idle(rpc_conn *conn)
{
    if (conn->plain.capacity > QUEUE_KEEP_BYTES)
        rpc_buffer_deinit(&conn->plain);
    if (conn->inflated.capacity > QUEUE_KEEP_BYTES)
        rpc_buffer_deinit(&conn->inflated);
    compressor_release(&conn->compressor);
}

/* ---- The end ------------------------------------------------------------- */

void conn_end(rpc_conn *conn, struct rpc_status status)
{
    if (conn->state == CONN_OVER)
        return;
    conn->state = CONN_OVER;
    conn->status = status;
    struct rpc_status lost = conn->role->lost_status(conn);
    for (rpc_call *call = conn->calls; call != NULL; call = call->next)
        call_end(call, &lost);
    conn_wake(conn);
}

void conn_end_with_goaway(rpc_conn *conn, uint32_t h2_error, const char *reason,
                          struct rpc_status status)
{
    if (conn->state != CONN_OPEN)
        return;
    nghttp2_submit_goaway(conn->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(conn->session), h2_error,
                          (const uint8_t *)reason, strlen(reason));
    conn->farewell = true;
    conn_end(conn, status);
}

void conn_spend(rpc_conn *conn, enum budget_kind kind)
{
    if (!budget_spend(&conn->budgets, kind, conn->now_ms) && conn->offence == NULL)
        conn->offence = budget_text(kind);
}

static void end_if_offended(rpc_conn *conn)
{
    if (conn->offence != NULL)
        conn_end_with_goaway(
            conn, NGHTTP2_ENHANCE_YOUR_CALM, conn->offence,
            rpc_status_make(RPC_UNAVAILABLE, "the peer was cut off: %s", conn->offence));
}

void conn_drop_out(rpc_conn *conn)
{
    conn->farewell = false;
    queue_clear(&conn->out);
}

void rpc_conn_eof(rpc_conn *conn)
{
    conn->now_ms = conn->clock.now_ms(conn->clock.context);
    conn_end(conn, rpc_status_make(RPC_UNAVAILABLE, "connection closed by the peer"));
    conn_drop_out(conn);
    conn_run_due(conn);
}

bool rpc_conn_done(const rpc_conn *conn)
{
    return conn->state == CONN_OVER && !conn->farewell && queue_len(&conn->out) == 0 &&
           conn->due_first == NULL;
}

void rpc_conn_drain(rpc_conn *conn)
{
    if (conn->draining || conn->state == CONN_OVER)
        return;
    conn->draining = true;
    if (conn->state == CONN_HANDSHAKE)
        conn_end(conn, rpc_status_make(RPC_UNAVAILABLE, "drained before the handshake"));
    else
        session_submit_drain(conn);
    conn_wake(conn);
}

/* ---- The driver is to look, the owners are to hear ------------------------ */

void rpc_conn_set_wake(rpc_conn *conn, void (*wake)(void *context), void *context)
{
    conn->wake = wake;
    conn->wake_context = context;
}

void conn_wake(rpc_conn *conn)
{
    if (conn->awake)
        return;
    conn->awake = true;
    if (conn->wake != NULL)
        conn->wake(conn->wake_context);
}

void conn_run_due(rpc_conn *conn)
{
    if (conn->running_due)
        return;
    conn->running_due = true;
    while (conn->due_first != NULL) {
        rpc_call *call = conn->due_first;
        conn->due_first = call->due_next;
        if (conn->due_first == NULL)
            conn->due_last = NULL;
        call->due = false;
        call->due_next = NULL;
        call_dispatch(call);
    }
    conn->running_due = false;
}

/* ---- Bytes in ------------------------------------------------------------ */

/* Too much of what is not forbidden in itself. */
static bool is_flood(ssize_t error)
{
#ifdef RPC_HAVE_MAX_CONTINUATIONS
    if (error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS)
        return true;
#endif
    return error == NGHTTP2_ERR_FLOODED || error == NGHTTP2_ERR_TOO_MANY_SETTINGS;
}

/* Of the GOAWAY, once the session has failed. */
static uint32_t h2_error_of(const rpc_conn *conn, ssize_t error)
{
    if (conn->violation != NGHTTP2_NO_ERROR)
        return conn->violation;
    return is_flood(error) ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_PROTOCOL_ERROR;
}

/* Counts what nghttp2 may drop; whether there is DATA that comes too late. */
static bool watch_frames(rpc_conn *conn, struct rpc_bytes plain)
{
    struct frame_head head;
    bool late = false;

    while (frame_watch_next(&conn->frame_watch, &plain, &head)) {
        if (frame_is_idle(&head))
            conn_spend(conn, BUDGET_IDLE_FRAMES);
        late |= head.type == NGHTTP2_DATA && session_stream_ended(conn, head.stream_id);
    }
    return late;
}

static void take_plain(rpc_conn *conn, struct rpc_bytes plain)
{
    bool late = watch_frames(conn, plain);
    ssize_t taken = nghttp2_session_mem_recv(conn->session, plain.data, plain.len);

    end_if_offended(conn);
    if (taken >= 0 && late) {
        conn->violation = NGHTTP2_STREAM_CLOSED;
        taken = NGHTTP2_ERR_STREAM_CLOSED;
    }
    if (taken < 0) {
        uint32_t h2_error = h2_error_of(conn, taken);
        const char *reason = conn->violation != NGHTTP2_NO_ERROR ? nghttp2_http2_strerror(h2_error)
                                                                 : nghttp2_strerror((int)taken);
        conn_end_with_goaway(conn, h2_error, reason,
                             rpc_status_make(RPC_UNAVAILABLE, "HTTP/2: %s", reason));
    } else if (nghttp2_session_get_outbound_queue_size(conn->session) > CONN_CONTROL_FRAMES_MAX) {
        conn->offence = "answers_not_read";
        end_if_offended(conn);
    }
    conn_run_due(conn);
}

static void become_open(rpc_conn *conn)
{
    conn->state = CONN_OPEN;
    conn->bytes.handshake_received = tls_conn_handshake_received(conn->tls);
    conn->bytes.handshake_sent = conn->bytes.sent + queue_len(&conn->out);
    tls_conn_peer_certificate(conn->tls, &conn->peer_certificate, &conn->peer_foreign);
}

static void take_ciphertext(rpc_conn *conn, struct rpc_bytes bytes)
{
    uint8_t record[RECORD_BYTES];
    struct rpc_status status;

    tls_conn_feed(conn->tls, bytes);
    if (conn->state == CONN_HANDSHAKE) {
        enum tls_result result = tls_conn_handshake(conn->tls, &status);
        if (result == TLS_DONE)
            become_open(conn);
        else if (result == TLS_FAILED)
            conn_end(conn, status);
        else if (result == TLS_CLOSED)
            rpc_conn_eof(conn);
    }
    while (conn->state == CONN_OPEN) {
        size_t len = 0;
        enum tls_result result = tls_conn_read(conn->tls, record, sizeof record, &len, &status);
        if (result == TLS_WANT_MORE)
            break;
        if (result == TLS_DONE)
            take_plain(conn, rpc_bytes_view(record, len));
        else if (result == TLS_FAILED)
            conn_end(conn, status);
        else
            rpc_conn_eof(conn);
    }
}

/* In steps as small as TLS records, so that an offender is stopped soon. */
static void take_slices(rpc_conn *conn, struct rpc_bytes bytes)
{
    while (bytes.len > 0 && conn->state == CONN_OPEN) {
        size_t len = bytes.len < RECORD_BYTES ? bytes.len : RECORD_BYTES;

        take_plain(conn, rpc_bytes_view(bytes.data, len));
        bytes.data += len;
        bytes.len -= len;
    }
}

struct rpc_status rpc_conn_recv(rpc_conn *conn, struct rpc_bytes bytes)
{
    if (conn->state == CONN_OVER)
        return conn->status;
    conn->now_ms = conn->clock.now_ms(conn->clock.context);
    conn->bytes.received += bytes.len;
    conn->life.moved_ms = conn->now_ms;
    conn->life.probed_ms = -1;
    if (conn->tls != NULL)
        take_ciphertext(conn, bytes);
    else
        take_slices(conn, bytes);
    conn_run_due(conn);
    conn_wake(conn);
    return conn->state == CONN_OVER ? conn->status : rpc_status_ok();
}

/* ---- Bytes out ----------------------------------------------------------- */

/* Lets nghttp2 fill plain. */
static void collect_frames(rpc_conn *conn)
{
    while (conn->plain.len < CONN_WRITE_BYTES) {
        const uint8_t *data = NULL;
        ssize_t len = nghttp2_session_mem_send(conn->session, &data);
        if (len > 0)
            rpc_buffer_append(&conn->plain, data, (size_t)len);
        if (len < 0 || conn->plain.failed) {
            conn_end(conn, rpc_status_make(RPC_UNAVAILABLE, "no memory to send"));
            break;
        }
        if (len == 0)
            break;
    }
    if (conn->blocked_count > 0)
        for (rpc_call *call = conn->calls; call != NULL; call = call->next)
            call_note_drained(call);
}

static void collect(rpc_conn *conn)
{
    do {
        conn_run_due(conn);
        if (conn->state == CONN_OPEN || conn->farewell) {
            conn->farewell = false;
            collect_frames(conn);
        }
        end_if_offended(conn);
    } while ((conn->farewell || (conn->due_first != NULL && !conn->running_due)) &&
             conn->plain.len < CONN_WRITE_BYTES);
    conn_run_due(conn);
}

static void encrypt(rpc_conn *conn)
{
    struct rpc_bytes plain = rpc_buffer_view(&conn->plain);
    bool done =
        conn->tls != NULL ? tls_conn_write(conn->tls, plain) : queue_append(&conn->out, plain);

    rpc_buffer_clear(&conn->plain);
    if (!done)
        conn_end(conn, rpc_status_make(RPC_UNAVAILABLE, "cannot encrypt for the peer"));
}

/* nghttp2 has nothing to say and wants to hear nothing: a GOAWAY went or came,
 * and the last call is over. */
static bool session_over(const rpc_conn *conn)
{
    return nghttp2_session_want_read(conn->session) == 0 &&
           nghttp2_session_want_write(conn->session) == 0;
}

struct rpc_bytes rpc_conn_pending(rpc_conn *conn)
{
    conn_run_due(conn);
    if (queue_len(&conn->out) == 0) {
        collect(conn);
        if (conn->plain.len > 0)
            encrypt(conn);
        if (conn->state == CONN_OPEN && session_over(conn))
            conn_end(conn, rpc_status_make(RPC_UNAVAILABLE, "the connection is drained"));
        conn_run_due(conn);
        if (queue_len(&conn->out) > 0) {
            conn->write_moved_ms = conn->clock.now_ms(conn->clock.context);
        } else {
            conn->awake = false;
            if (!conn->running_due) /* an owner who flushes looks at his message still */
                release_idle(conn);
        }
    }
    return queue_view(&conn->out);
}

void rpc_conn_sent(rpc_conn *conn, size_t len)
{
    conn->bytes.sent += len;
    conn->write_moved += len;
    queue_drop(&conn->out, len);
    if (conn->write_moved >= CONN_PROGRESS_BYTES || queue_len(&conn->out) == 0) {
        conn->write_moved_ms = conn->clock.now_ms(conn->clock.context);
        conn->write_moved = 0;
        /* A long upload over a slow link is alive, though nothing comes back. */
        if (conn->life.probed_ms < 0)
            conn->life.moved_ms = conn->write_moved_ms;
    }
}

/* ---- Time ---------------------------------------------------------------- */

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    if (a_ms < 0 || b_ms < 0)
        return a_ms < 0 ? b_ms : a_ms;
    return a_ms < b_ms ? a_ms : b_ms;
}

int64_t rpc_conn_due_ms(const rpc_conn *conn)
{
    int64_t due_ms = -1;

    if (conn->state == CONN_OVER && queue_len(&conn->out) == 0)
        return -1;
    if (conn->state != CONN_OVER)
        due_ms = conn->handshake_due_ms;
    if (queue_len(&conn->out) > 0)
        due_ms = earlier(due_ms, conn->write_moved_ms + conn->write_stall_ms);
    if (conn->outbox_bytes > 0)
        due_ms = earlier(due_ms, conn->window_moved_ms + conn->window_stall_ms);
    due_ms = earlier(due_ms, life_due_ms(conn));
    for (const rpc_call *call = conn->calls; call != NULL; call = call->next)
        if (call->state != CALL_ENDED)
            due_ms = earlier(due_ms, call->deadline_ms);
    return due_ms;
}

static void end_if_stalled(rpc_conn *conn)
{
    bool writing = queue_len(&conn->out) > 0;

    if (conn->state != CONN_OVER && conn->handshake_due_ms >= 0 &&
        conn->now_ms >= conn->handshake_due_ms)
        conn_end(conn,
                 rpc_status_make(RPC_UNAVAILABLE, "no HTTP/2 settings from the peer in time"));
    if (conn->outbox_bytes > 0 && conn->now_ms >= conn->window_moved_ms + conn->window_stall_ms)
        conn_end_with_goaway(conn, NGHTTP2_ENHANCE_YOUR_CALM, "no_window",
                             rpc_status_make(RPC_UNAVAILABLE, "the peer opened no window in %d s",
                                             (int)(conn->window_stall_ms / 1000)));
    if (writing && conn->now_ms >= conn->write_moved_ms + conn->write_stall_ms) {
        conn_end(conn, rpc_status_make(RPC_UNAVAILABLE, "the peer read nothing in %d s",
                                       (int)(conn->write_stall_ms / 1000)));
        conn_drop_out(conn);
    }
}

void rpc_conn_tick(rpc_conn *conn)
{
    conn->now_ms = conn->clock.now_ms(conn->clock.context);
    for (rpc_call *call = conn->calls; call != NULL; call = call->next)
        if (call->state != CALL_ENDED && call->deadline_ms >= 0 &&
            conn->now_ms >= call->deadline_ms)
            call_expire(call);
    end_if_stalled(conn);
    life_tick(conn);
    conn_run_due(conn);
    conn_wake(conn);
}

/* ---- Facts --------------------------------------------------------------- */

struct rpc_conn_bytes rpc_conn_bytes(const rpc_conn *conn)
{
    struct rpc_conn_bytes bytes = conn->bytes;

    if (conn->tls != NULL && bytes.handshake_received == 0) {
        bytes.handshake_sent = bytes.sent;
        bytes.handshake_received = bytes.received;
    }
    return bytes;
}
