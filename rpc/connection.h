/* SPDX-License-Identifier: Apache-2.0
 *
 * A connection and its calls, as the files of this folder share them:
 * connection.c (bytes in and out, timers), session.c (what nghttp2 tells),
 * call.c and call_send.c (what a call's owner asks and hears), server.c and
 * client.c (the two roles).
 *
 * The rule that keeps this simple: nghttp2's callbacks only take notes. They
 * put bytes into a call's inbox, set flags and mark the call due; the owners of
 * calls are called from one place, conn_run_due, when nghttp2 is not on the
 * stack. rpc_call_ functions likewise only take notes and wake the driver.
 */
#ifndef OUTPOST_RPC_CONNECTION_H
#define OUTPOST_RPC_CONNECTION_H

#include "budget.h"
#include "compress.h"
#include "ended_streams.h"
#include "frame_watch.h"
#include "life.h"
#include "metadata.h"
#include "outpost/rpc.h"
#include "queue.h"
#include "tls.h"

#include <assert.h>
#include <nghttp2/nghttp2.h>

/* ---- Limits (I12) -------------------------------------------------------- */

enum {
    /* Plaintext collected for one write. */
    CONN_WRITE_BYTES = 64 * 1024,
    /* Bytes of it at most: the last frame may pass CONN_WRITE_BYTES. */
    CONN_PLAIN_BYTES_MAX = CONN_WRITE_BYTES + 128 * 1024,
    /* The same as TLS records, and answers of TLS itself while a write waits:
     * a peer that asks for key updates and reads nothing. */
    CONN_OUT_BYTES_MAX = CONN_PLAIN_BYTES_MAX + 64 * 1024,

    /* What a peer may send before it must wait for us. A paused call holds at
     * most its stream's window, all paused calls together the connection's. */
    CONN_STREAM_WINDOW_BYTES = 1024 * 1024,
    CONN_WINDOW_BYTES = 4 * 1024 * 1024,
    /* Bytes of messages that are not whole yet, over all calls: a peer that
     * begins a large message in each of its calls. */
    CONN_INBOX_BYTES_MAX = 16 * 1024 * 1024,

    /* Bytes queued for sending, over all calls: their fair share lowers
     * RPC_SEND_QUEUE_BYTES when there are more than four. */
    CONN_QUEUE_BYTES = 4 * RPC_SEND_QUEUE_BYTES,
    /* Bytes one call can queue when its owner never asks rpc_call_writable. */
    CALL_QUEUE_BYTES_MAX = 16 * 1024 * 1024,

    /* Frames queued other than DATA: a peer that provokes answers and reads
     * none of them. */
    CONN_CONTROL_FRAMES_MAX = 2000,
    /* Header blocks are dropped over RPC_HEADER_BYTES_MAX, and no longer looked
     * at over this: references into the HPACK table are cheap to send. */
    CONN_HEADER_BYTES_HARD_MAX = 8 * RPC_HEADER_BYTES_MAX,

    /* Times, where no option says otherwise. From the first byte to the peer's
     * SETTINGS: slots held by nobody. */
    CONN_HANDSHAKE_MS = 20 * 1000,
    /* A write that makes no progress: a peer that does not read. */
    CONN_WRITE_STALL_MS = 60 * 1000,
    /* Bytes that count as progress: a peer that reads one now and then. */
    CONN_PROGRESS_BYTES = 1024,
    /* A DATA frame cut below this by the peer's window, see BUDGET_SMALL_WINDOWS. */
    CONN_SMALL_WINDOW_BYTES = 256,
    /* Messages queued and the peer opens no window: the same, one layer up. */
    CONN_WINDOW_STALL_MS = 300 * 1000,
};

/* ---- The connection ------------------------------------------------------ */

/*              become_open()          conn_end()
 * HANDSHAKE -----------------> OPEN ------------> OVER
 *     |                                             ^
 *     +---------------------------------------------+
 *                        conn_end()
 */
enum conn_state {
    CONN_HANDSHAKE, /* TLS is not done; without TLS never */
    CONN_OPEN,
    CONN_OVER, /* calls are closed; only what is in out may still go */
};

/* What differs between the two ends of a connection. */
struct conn_role {
    bool server;
    /* The status of the calls that are open when the connection ends. */
    struct rpc_status (*lost_status)(const rpc_conn *conn);
    /* A header field of a call's block. */
    void (*take_field)(rpc_call *call, struct rpc_bytes name, struct rpc_bytes value);
    /* The block is whole; ended: END_STREAM was on it. */
    void (*take_block)(rpc_call *call, bool ended);
    /* The stream is closed, by either side. */
    void (*take_close)(rpc_call *call, uint32_t h2_error);
    /* All that is queued has been read for sending and no more will come: what
     * ends the stream. Returns the data flags for nghttp2. */
    uint32_t (*end_of_data)(rpc_call *call);
    /* The owner's first callback: the headers are here. */
    void (*tell_headers)(rpc_call *call);
    /* END_STREAM came and every message before it was delivered. */
    void (*tell_end)(rpc_call *call);
};

struct rpc_conn {
    const struct conn_role *role;
    enum conn_state state;
    struct rpc_status status; /* once OVER: why */
    struct rpc_clock clock;
    int64_t now_ms; /* of the last entry */
    size_t message_bytes_max;
    void (*wake)(void *context);
    void *wake_context;
    bool awake; /* the driver knows that it must ask rpc_conn_pending */

    nghttp2_session *session;
    struct tls_conn *tls; /* or NULL */
    struct rpc_buffer peer_certificate;
    bool peer_foreign;

    struct rpc_buffer plain; /* collected for one write; empty without TLS */
    struct queue out;        /* for the socket */
    bool farewell;           /* OVER, and a GOAWAY is still to be collected */
    struct rpc_conn_bytes bytes;

    struct compressor compressor;
    struct rpc_buffer inflated;
    enum rpc_encoding encoding; /* of new calls; client */

    rpc_call *calls; /* all of them, newest first */
    size_t call_count;
    size_t blocked_count; /* calls that wait for on_writable */
    size_t inbox_bytes;   /* over all calls */
    size_t outbox_bytes;
    rpc_call *due_first; /* calls whose owner is to be told something */
    rpc_call *due_last;
    bool running_due;

    int64_t write_stall_ms;
    int64_t window_stall_ms;
    int64_t handshake_due_ms; /* -1: the peer's SETTINGS are here */
    int64_t write_moved_ms;   /* out got its first byte, or the driver sent some */
    size_t write_moved;       /* bytes of progress since */
    int64_t window_moved_ms;  /* the same for the calls' outboxes */
    size_t window_moved;
    struct frame_watch frame_watch;
    struct ended_streams ended_streams; /* server */
    struct budgets budgets;
    uint32_t violation;  /* what nghttp2 lets pass and the RFC does not: an HTTP/2 error, or 0 */
    const char *offence; /* what the peer did; the connection ends for it */
    struct life life;
    bool draining;
    bool goaway_received;

    const struct rpc_method *methods; /* server */
    size_t method_count;
    char *authority; /* client */
    char *user_agent;
};

/* nghttp2's session with this runtime's settings; false: no memory. */
bool session_new(rpc_conn *conn);
/* The stream is over, and the client had ended it: it has nothing under way. */
bool session_stream_ended(const rpc_conn *conn, int32_t stream_id);
/* No new calls: a notice first, the last stream's number a round trip later. */
void session_submit_drain(rpc_conn *conn);

rpc_conn *conn_new(const struct conn_role *role, struct rpc_clock clock, size_t message_bytes_max);
/* TLS (host NULL: as a server) or none, session and SETTINGS; false: no memory. */
bool conn_start(rpc_conn *conn, rpc_tls *tls, const char *host);

/* Ends it: the calls are closed, the status is kept. */
void conn_end(rpc_conn *conn, struct rpc_status status);
/* The same with a GOAWAY; reason is its debug data, for whoever looks into it. */
void conn_end_with_goaway(rpc_conn *conn, uint32_t h2_error, const char *reason,
                          struct rpc_status status);
/* Nobody will read what is still to be sent. */
void conn_drop_out(rpc_conn *conn);
/* Notes that the peer did something that is counted. */
void conn_spend(rpc_conn *conn, enum budget_kind kind);

/* Something may have come to send. */
void conn_wake(rpc_conn *conn);
void conn_run_due(rpc_conn *conn);

/* ---- A call -------------------------------------------------------------- */

/*           server: rpc_call_finish   trailers sent
 *   OPEN ----------------------> FINISHING ------> ENDED
 *     |                              |               ^
 *     +------------------------------+---------------+
 *       call_end(): cancelled, reset, lost; client: all is received
 *
 * All changes by set_state() in call.c. An ENDED call whose owner was told is
 * freed.
 */
enum call_state {
    CALL_OPEN,
    CALL_FINISHING,
    CALL_ENDED,
};

/* Fields of the header blocks that the protocol itself reads. */
struct call_fields {
    size_t bytes;   /* of the block being received, with 32 for each field */
    bool too_large; /* the block is over a limit */
    bool malformed; /* a field is not what gRPC allows */
    bool content_type_ok;
    bool encoding_known;
    struct rpc_status status; /* client: grpc-status and grpc-message */
    bool status_seen;
    int http_status; /* client; 0: not seen */
    bool post;       /* server */
    const struct rpc_method *method;
    int64_t timeout_ms; /* server; -1: none */
};

struct rpc_call {
    rpc_conn *conn;
    enum call_state state;
    int32_t stream_id; /* 0: the request is not submitted yet */
    bool stream_open;  /* nghttp2 has a stream that points here */
    rpc_call *next;
    rpc_call *previous;

    struct rpc_call_events events;
    void *context;
    bool due; /* in the connection's due list, by due_next */
    rpc_call *due_next;
    bool headers_due; /* tell_headers is to be called */
    bool half_close_told;
    bool writable_due;
    bool close_due;
    bool told; /* on_close was called */

    struct call_fields fields; /* of what the peer says */
    size_t header_blocks;      /* received; interim (1xx) ones not counted */
    struct metadata received;
    struct metadata received_trailers;
    enum rpc_encoding peer_encoding;
    unsigned peer_accepts; /* bits 1 << encoding */

    struct queue inbox;
    size_t unconsumed; /* bytes of it for which the window is not reopened */
    bool paused;
    bool message_compressed; /* the one delivered last */
    bool remote_ended;       /* END_STREAM came */

    struct queue outbox;
    enum rpc_encoding encoding; /* of the messages to send */
    enum rpc_encoding declared; /* said in the headers that were submitted */
    bool uncompressing;         /* not of the messages from now on */
    bool headers_submitted;
    bool headers_sent; /* client: the server may have seen the call */
    bool unprocessed;  /* client: it has not */
    bool deferred;     /* nghttp2 waits for session_resume_data */
    bool half_closed;  /* client */
    bool blocked;      /* on_writable is owed */
    struct metadata to_send;
    struct metadata trailers_to_send;

    struct rpc_status status;   /* FINISHING, ENDED */
    int64_t deadline_ms;        /* -1: none */
    char *path;                 /* client, until submitted */
    unsigned previous_attempts; /* a client's own; of a server's peer */
};

rpc_call *call_new(rpc_conn *conn);

/* Its owner is to be told something at the next conn_run_due. */
void call_mark_due(rpc_call *call);
/* Tells the owner all there is to tell; frees a call that is over and told. */
void call_dispatch(rpc_call *call);
/* To ENDED, with on_close to come; nghttp2 forgets the call. */
void call_end(rpc_call *call, const struct rpc_status *status);
/* Resets the stream, if it is open. */
void call_reset(rpc_call *call, uint32_t h2_error);
/* Ends what cannot go on: a server answers with the status, a client resets. */
void call_fail(rpc_call *call, const struct rpc_status *status);

/* DATA that came; drops it when nobody wants it. */
void call_receive(rpc_call *call, struct rpc_bytes bytes);
/* The initial headers, unless they went already. */
void call_submit_headers(rpc_call *call);
/* Moves queued bytes into a DATA frame. */
size_t call_take_queued(rpc_call *call, uint8_t *room, size_t len);
/* on_writable is owed and due, if enough has drained. */
void call_note_drained(rpc_call *call);
/* The deadline has passed. */
void call_expire(rpc_call *call);

/* A field that both roles read alike; false: it is metadata. */
bool call_take_common_field(rpc_call *call, struct rpc_bytes name, struct rpc_bytes value);
void call_take_metadata(rpc_call *call, struct metadata *metadata, struct rpc_bytes name,
                        struct rpc_bytes value);

/* server.c */
void server_submit_headers(rpc_call *call);
void server_submit_answer(rpc_call *call); /* trailers-only when nothing was sent */
/* client.c */
void client_submit_request(rpc_call *call);
/* session.c: the data provider of both. */
nghttp2_data_provider session_data_provider(void);
/* Within the header list that the peer said it takes. */
bool session_peer_takes(const rpc_conn *conn, const struct headers *headers);
/* There is something to read again after it said DEFERRED. */
void session_resume_data(rpc_call *call);

static inline bool bytes_are(struct rpc_bytes bytes, const char *text)
{
    return rpc_bytes_equal(bytes, rpc_bytes_view(text, strlen(text)));
}

#endif
