/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC over HTTP/2 over TLS, both sides, without I/O.
 *
 * A connection (rpc_conn) takes the bytes that came from the peer, gives the
 * bytes that must go to the peer, and is told the time; sockets, loops and
 * threads belong to a driver (rpc_uv.h for a server on libuv, rpc_channel.h
 * for a blocking client). So the same code runs under a simulator, a fault
 * test and a fuzzer. It knows nothing of what the messages mean.
 *
 * Memory and threads: a connection and its calls belong to one thread. Handles
 * are opaque. Callbacks run inside the rpc_conn_ functions recv, pending, tick,
 * eof and free, never inside an rpc_call_ function and never from another
 * thread; from any callback it is allowed to send, to finish, to cancel and to
 * start calls, and never to free the connection.
 */
#ifndef OUTPOST_RPC_H
#define OUTPOST_RPC_H

#include "outpost/rpc_bytes.h"
#include "outpost/rpc_status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Limits (I12) ------------------------------------------------------ */

enum {
    /* Bytes of one message, before compression and after inflating: protects
     * both ends from a message that does not fit their memory. */
    RPC_MESSAGE_BYTES_MAX = 4 * 1024 * 1024,
    /* Bytes of the headers of one block (name + value + 32 each): header bombs. */
    RPC_HEADER_BYTES_MAX = 8 * 1024,
    /* Calls open at once on one connection that a server admits: stream floods. */
    RPC_CALLS_MAX = 100,
    /* Bytes queued for sending in one call before rpc_call_writable turns
     * false: a slow reader must stall the producer, not fill the memory. */
    RPC_SEND_QUEUE_BYTES = 512 * 1024,
    /* Metadata entries of one block. */
    RPC_METADATA_MAX = 64,
};

/* ---- What comes in from outside ----------------------------------------- */

/* A clock that never goes back, ms since any moment. */
struct rpc_clock {
    int64_t (*now_ms)(void *context);
    void *context;
};

/* Random numbers, to spread what many would else do at the same moment. Left
 * empty, nothing is spread. */
struct rpc_random {
    uint64_t (*next)(void *context);
    void *context;
};

/* One metadata entry. A name that ends in "-bin" has a value of any bytes, and
 * the runtime does the base64; any other value is printable ASCII. */
struct rpc_metadata {
    struct rpc_bytes name; /* lower case */
    struct rpc_bytes value;
};

struct rpc_metadata_list {
    const struct rpc_metadata *entries;
    size_t count;
};

/* NULL: no entry of that name. The first one otherwise. */
const struct rpc_metadata *rpc_metadata_find(struct rpc_metadata_list list, const char *name);

/* ---- TLS ---------------------------------------------------------------- */

/* A TLS context, shared by the connections that are made with it; it may be
 * freed while they live. Always TLS 1.3, ALPN "h2". A server's may be shared by
 * threads; a client's belongs to one. */
typedef struct rpc_tls rpc_tls;

struct rpc_tls_options {
    /* PEM texts. A server needs certificate and key; a client needs ca, and
     * certificate and key when it shows who it is. A server with ca requests a
     * client certificate and admits a connection without one, or with a foreign
     * one: who may call what is for the handlers (rpc_call_peer_certificate). */
    struct rpc_bytes ca_pem;
    struct rpc_bytes certificate_pem; /* leaf first, then the chain */
    struct rpc_bytes key_pem;
    /* A client whose clock may be wrong by years: when the server's certificate is
     * valid is then not looked at, all else of it is. */
    bool clock_unreliable;
};

struct rpc_status rpc_tls_server_new(const struct rpc_tls_options *options, rpc_tls **tls_out);
struct rpc_status rpc_tls_client_new(const struct rpc_tls_options *options, rpc_tls **tls_out);
void rpc_tls_free(rpc_tls *tls);

/* A client's session for resumption, as bytes to keep: the last ticket that
 * came. Empty: none yet. The view lives until the next call with this tls. */
struct rpc_bytes rpc_tls_session_view(rpc_tls *tls);
/* Offers a kept session with the next connection; a bad one is ignored. */
void rpc_tls_session_offer(rpc_tls *tls, struct rpc_bytes session);

/* ---- Calls, both sides --------------------------------------------------- */

typedef struct rpc_conn rpc_conn;
typedef struct rpc_call rpc_call;

/* What a call tells its owner. Any member may be NULL. After on_close nothing
 * more is called and the rpc_call is gone; on_close comes exactly once. */
struct rpc_call_events {
    /* Client: the server's initial metadata. */
    void (*on_metadata)(void *context, rpc_call *call, struct rpc_metadata_list metadata);
    /* One whole message, inflated. The bytes live until the return. */
    void (*on_message)(void *context, rpc_call *call, struct rpc_bytes message);
    /* Server: the client has sent all it will send. */
    void (*on_half_close)(void *context, rpc_call *call);
    /* rpc_call_writable turned from false to true. */
    void (*on_writable)(void *context, rpc_call *call);
    /* Client: the call's end, with its status and trailing metadata. Server: the
     * call is over: after rpc_call_finish was sent, or earlier with CANCELLED
     * (the client cancelled or is gone) or DEADLINE_EXCEEDED. */
    void (*on_close)(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers);
};

/* Per-message compression. */
enum rpc_encoding {
    RPC_ENCODING_IDENTITY,
    RPC_ENCODING_GZIP,
    RPC_ENCODING_ZSTD,
};

/* Queues one message; the bytes are copied. Never fails for want of window:
 * ask rpc_call_writable before producing more. A message over the limit ends
 * the call with RESOURCE_EXHAUSTED. */
void rpc_call_send(rpc_call *call, struct rpc_bytes message);

/* False: more than RPC_SEND_QUEUE_BYTES are queued; on_writable follows. */
bool rpc_call_writable(const rpc_call *call);

/* How this call's messages are compressed from now on. What is chosen before
 * the first message is named in the headers; later only that and IDENTITY have
 * an effect. A server's choice is narrowed to what the client accepts: zstd
 * becomes gzip, gzip identity. */
void rpc_call_set_encoding(rpc_call *call, enum rpc_encoding encoding);
/* Whether the peer said that it takes messages so compressed; a client knows
 * it from on_metadata on. */
bool rpc_call_peer_accepts(const rpc_call *call, enum rpc_encoding encoding);
/* Whether messages sent from now on are compressed; they are at first. The
 * encoding stays announced, so that it may change from message to message. */
void rpc_call_set_compressing(rpc_call *call, bool compressing);
/* Whether the message delivered last came compressed. */
bool rpc_call_message_compressed(const rpc_call *call);

/* Stops and restarts the delivery of messages. While paused, windows are not
 * reopened, so that the peer stalls. */
void rpc_call_pause_reading(rpc_call *call);
void rpc_call_resume_reading(rpc_call *call);

/* Client: nothing more will be sent. */
void rpc_call_half_close(rpc_call *call);
/* Client: ends the call with CANCELLED, at both ends. */
void rpc_call_cancel(rpc_call *call);

/* Server: adds to the initial metadata; before the first message. Names are
 * lower case, not the protocol's own ("grpc-", but grpc-retry-pushback-ms is a
 * handler's to say, in a trailer); values as in rpc_metadata. */
void rpc_call_add_metadata(rpc_call *call, const char *name, struct rpc_bytes value);
/* Server: adds to the trailing metadata; before finish. */
void rpc_call_add_trailer(rpc_call *call, const char *name, struct rpc_bytes value);
/* Server: ends the call after what is queued. Later sends are ignored. What
 * the client still sends is read and dropped. */
void rpc_call_finish(rpc_call *call, struct rpc_status status);

/* The peer's initial metadata: a request's, or what on_metadata brought; lives
 * as long as the call. */
struct rpc_metadata_list rpc_call_metadata(const rpc_call *call);
/* Client: the trailing metadata, known in on_close. */
struct rpc_metadata_list rpc_call_trailers(const rpc_call *call);
/* Client, in on_close: the server provably did not look at the call, so it may be
 * made again whatever it does. */
bool rpc_call_unprocessed(const rpc_call *call);
/* Server: how often the client has tried this before. */
unsigned rpc_call_previous_attempts(const rpc_call *call);
/* What came in this call was made by no honest peer; the connection of one that
 * sends many such messages is ended. */
void rpc_call_blame(rpc_call *call);
/* Server: the peer's verified certificate as DER, or empty: none was shown, or
 * it is not one of our CA's (see rpc_call_peer_certificate_foreign). */
struct rpc_bytes rpc_call_peer_certificate(const rpc_call *call);
bool rpc_call_peer_certificate_foreign(const rpc_call *call);
/* Clock time at which the deadline passes, or -1. */
int64_t rpc_call_deadline_ms(const rpc_call *call);

/* ---- Server -------------------------------------------------------------- */

/* One method of a service, for a method table. on_open is called when the
 * request's headers are there; it sets the call's events and context. */
struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    void (*on_open)(void *service, rpc_call *call, struct rpc_call_events *events_out,
                    void **context_out);
    void *service;
};

struct rpc_server_options {
    const struct rpc_method *methods; /* live as long as any connection */
    size_t method_count;
    rpc_tls *tls; /* NULL: plain HTTP/2 with prior knowledge */
    struct rpc_clock clock;
    struct rpc_random random;
    size_t message_bytes_max; /* of a received message; at most RPC_MESSAGE_BYTES_MAX */
    /* From the first byte to the client's SETTINGS. */
    int64_t handshake_timeout_ms;
    /* A client that reads nothing of what is written, or opens no window for what
     * is queued, is given up then. */
    int64_t write_stall_ms;
    int64_t window_stall_ms;
    /* After so long without a byte a PING asks whether the client lives, and must
     * be answered in time. 0: never. */
    int64_t keepalive_time_ms;
    int64_t keepalive_timeout_ms;
    /* A client that pings more often while nothing is sent to it is told
     * "too_many_pings" and cut off. 0: as often as it likes. */
    int64_t ping_interval_min_ms;
    /* Without a call for so long, a connection is drained. 0: never. */
    int64_t connection_idle_ms;
    /* At this age, give or take a tenth, a connection is drained, and closed when
     * the grace is over too. 0: never. */
    int64_t connection_age_ms;
    int64_t connection_age_grace_ms;
};

/* gRPC's own: handshake 20 s, stalls 1 and 5 min, keepalive 2 h and 20 s, PINGs 5 min apart, no
 * limit of idle time or age. */
void rpc_server_options_init_default(struct rpc_server_options *options);

/* A connection that a client opened. NULL: no memory. */
rpc_conn *rpc_server_conn_new(const struct rpc_server_options *options);

/* ---- Client -------------------------------------------------------------- */

struct rpc_client_options {
    const char *authority; /* "host:port", for :authority, SNI and the certificate's name */
    rpc_tls *tls;          /* NULL: plain HTTP/2 with prior knowledge */
    struct rpc_clock clock;
    size_t message_bytes_max; /* of a received message; at most RPC_MESSAGE_BYTES_MAX */
    const char *user_agent;   /* NULL: this runtime's own */
    /* While calls are open: after so long without a byte a PING asks whether the
     * server lives, and must be answered in time. 0: never. A stock server allows
     * one in 5 minutes. */
    int64_t keepalive_time_ms;
    int64_t keepalive_timeout_ms;
};

void rpc_client_options_init_default(struct rpc_client_options *options);

rpc_conn *rpc_client_conn_new(const struct rpc_client_options *options);

struct rpc_call_options {
    const char *path;
    struct rpc_metadata_list metadata;
    int64_t timeout_ms; /* from now; 0: no deadline */
    struct rpc_call_events events;
    void *context;
    unsigned previous_attempts; /* told to the server when it is not the first */
};

/* Starts a call; it may be sent to at once, and waits while the server admits no
 * more calls. NULL: no memory, metadata that gRPC does not allow, or the
 * connection is closed or drained. */
rpc_call *rpc_client_call(rpc_conn *conn, const struct rpc_call_options *options);

/* False: a new call would not start; the server goes away, or is gone. */
bool rpc_conn_takes_calls(const rpc_conn *conn);

/* How calls that are started from now on compress their messages, until
 * rpc_call_set_encoding says otherwise; at first not at all. */
void rpc_conn_set_encoding(rpc_conn *conn, enum rpc_encoding encoding);

/* ---- A connection and its driver ---------------------------------------- */

/* Takes bytes from the peer. Not OK: the connection is over (its calls are
 * closed with UNAVAILABLE, or CANCELLED on a server); send what is still there,
 * then close. */
struct rpc_status rpc_conn_recv(rpc_conn *conn, struct rpc_bytes bytes);

/* The peer closed its end, or the network did. */
void rpc_conn_eof(rpc_conn *conn);

/* Bytes for the peer, up to about 64 KB, as many frames and messages as fit
 * (one write per turn of the loop). Empty: nothing to send now. They live until
 * the next call on this connection; tell with rpc_conn_sent how many went. */
struct rpc_bytes rpc_conn_pending(rpc_conn *conn);
void rpc_conn_sent(rpc_conn *conn, size_t len);

/* wake(context) is called when there may be something for rpc_conn_pending,
 * and not again until that has returned empty: so a driver of thousands of
 * connections looks only at those. */
void rpc_conn_set_wake(rpc_conn *conn, void (*wake)(void *context), void *context);

/* When rpc_conn_tick is due, on the connection's clock; -1: no timer. */
int64_t rpc_conn_due_ms(const rpc_conn *conn);
void rpc_conn_tick(rpc_conn *conn);

/* Everything is sent and nothing more will come: close the socket. */
bool rpc_conn_done(const rpc_conn *conn);

/* Server: takes no new calls (GOAWAY), lets the open ones end. */
void rpc_conn_drain(rpc_conn *conn);

/* Closes what is open as a lost network does, then frees. */
void rpc_conn_free(rpc_conn *conn);

/* Bytes that passed, with TLS; handshake alone: until the handshake was done. */
struct rpc_conn_bytes {
    uint64_t sent, received;
    uint64_t handshake_sent, handshake_received;
};
struct rpc_conn_bytes rpc_conn_bytes(const rpc_conn *conn);

#ifdef __cplusplus
}
#endif

#endif
