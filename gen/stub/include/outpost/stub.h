/* SPDX-License-Identifier: Apache-2.0
 *
 * What all typed gRPC stubs have in common: a call's state, the decoding of what
 * comes and the encoding of what goes. The generated FILE.rpc.c adds the types
 * and nothing else; use that, not this.
 *
 * A stub holds one small block of memory for each open call and frees it when
 * the call closes. Messages are unpacked by protobuf-c, after a look at whether
 * that is safe: their depth, their size when unpacked, their text.
 */
#ifndef OUTPOST_STUB_H
#define OUTPOST_STUB_H

#include "outpost/rpc.h"

#include <protobuf-c/protobuf-c.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Method tables, server ------------------------------------------------ */

/* Copies a service's methods and binds them to its handlers; returns count. */
size_t stub_methods(const struct rpc_method *methods, size_t count, const void *handlers,
                    struct rpc_method *methods_out);

/* ---- Methods with one request, server ------------------------------------------------ */

/* handlers is the generated struct of the service's handlers. */
struct stub_unary_method {
    const ProtobufCMessageDescriptor *request;
    /* One request has come and the client has half-closed. */
    void (*on_request)(const void *handlers, rpc_call *call, const ProtobufCMessage *request);
    /* For a method with many responses; may be NULL. After on_request only. */
    void (*on_writable)(const void *handlers, rpc_call *call);
    /* The call for which on_request was called is over. */
    void (*on_close)(const void *handlers, rpc_call *call);
};

/* Opens a call (rpc_method.on_open). The client must send exactly one request,
 * else it gets UNIMPLEMENTED, and one that decodes, else it gets INTERNAL.
 * Without a method (NULL) it is UNIMPLEMENTED too: nobody handles it. */
void stub_unary_open(const struct stub_unary_method *method, const void *handlers, rpc_call *call,
                     struct rpc_call_events *events_out, void **context_out);

/* Sends the response and finishes the call with OK. */
void stub_unary_reply(rpc_call *call, const ProtobufCMessage *response);

/* ---- Streams, both sides -------------------------------------------------- */

/* One call; each function but on_message may be NULL. */
struct stub_stream {
    const ProtobufCMessageDescriptor *incoming;
    const void *handlers; /* for on_message: the generated struct with the typed function */
    void *context;        /* for all functions */
    void (*on_message)(const void *handlers, void *context, rpc_call *call,
                       const ProtobufCMessage *message);
    /* When set, it is called instead of on_message. */
    void (*on_bytes)(void *context, rpc_call *call, struct rpc_bytes message);
    void (*on_half_close)(void *context, rpc_call *call);
    void (*on_writable)(void *context, rpc_call *call);
    void (*on_close)(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers);
};

/* Server: opens a call (rpc_method.on_open). The stream is copied; its context
 * is set by on_open, or is the service where on_open is NULL. What does not
 * decode ends the call with INTERNAL. A stream that has neither on_message nor
 * on_bytes is UNIMPLEMENTED: nobody handles it. */
void stub_stream_open(const struct stub_stream *stream, rpc_call *call,
                      void (*on_open)(void *service, rpc_call *call, void **context_out),
                      void *service, struct rpc_call_events *events_out, void **context_out);

/* Server: sends a message; without memory it finishes the call. */
void stub_server_send(rpc_call *call, const ProtobufCMessage *message);

/* ---- Client ---------------------------------------------------------------- */

struct stub_request {
    const char *path;
    struct rpc_metadata_list metadata;
    int64_t timeout_ms; /* from now; 0: no deadline */
};

/* Starts a stream. What does not decode cancels the call, and its status is
 * INTERNAL. NULL as from rpc_client_call; then nothing is called. */
rpc_call *stub_stream_start(rpc_conn *conn, const struct stub_request *request,
                            const struct stub_stream *stream);

/* Starts a call with one request and many responses: sends the message and
 * half-closes. NULL also when the message is larger than RPC_MESSAGE_BYTES_MAX. */
rpc_call *stub_download_start(rpc_conn *conn, const struct stub_request *request,
                              const struct stub_stream *stream, const ProtobufCMessage *message);

/* Client: sends a message; without memory it cancels the call. */
void stub_client_send(rpc_call *call, const ProtobufCMessage *message);

/* The type of a callback before it is cast back to its own. */
typedef void (*stub_callback)(void);

struct stub_unary {
    const ProtobufCMessageDescriptor *response;
    /* Calls callback, once, with the response only if the status is OK. */
    void (*on_done)(stub_callback callback, void *context, const struct rpc_status *status,
                    const ProtobufCMessage *response);
    stub_callback callback;
    /* For a call with many requests; may be NULL. */
    void (*on_writable)(void *context, rpc_call *call);
    void *context;
};

/* Starts a call with many requests, sent by stub_client_send until
 * rpc_call_half_close, and one response: an OK without exactly one is INTERNAL.
 * NULL as from rpc_client_call; then nothing is called. */
rpc_call *stub_upload_start(rpc_conn *conn, const struct stub_request *request,
                            const struct stub_unary *unary);

/* Starts a unary call, sends the message and half-closes. An OK without exactly
 * one response is INTERNAL. NULL as from rpc_client_call, or when the message is
 * larger than RPC_MESSAGE_BYTES_MAX; then nothing is called. */
rpc_call *stub_unary_start(rpc_conn *conn, const struct stub_request *request,
                           const struct stub_unary *unary, const ProtobufCMessage *message);

#ifdef __cplusplus
}
#endif

#endif
