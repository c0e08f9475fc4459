/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls behind the typed stubs; see stub.h.
 *
 * A function that ends a call (rpc_call_finish, rpc_call_cancel) may close it at
 * once, and on_close frees the call's state: whoever ends a call here returns
 * without touching the state again.
 */
#include "outpost/stub.h"

#include "sound.h"

#include <stdlib.h>

/* ---- Messages -------------------------------------------------------------- */

/* NULL: the bytes are no message of the type, or no memory. */
static ProtobufCMessage *unpack(rpc_call *call, const ProtobufCMessageDescriptor *type,
                                struct rpc_bytes bytes)
{
    if (!sound_check(type, bytes)) {
        rpc_call_blame(call);
        return NULL;
    }
    return protobuf_c_message_unpack(type, NULL, bytes.len, bytes.data);
}

/* The packed message, to be freed. NULL: no memory, or too large to be sent. */
static uint8_t *pack(const ProtobufCMessage *message, struct rpc_bytes *bytes_out)
{
    size_t len = protobuf_c_message_get_packed_size(message);

    if (len > RPC_MESSAGE_BYTES_MAX)
        return NULL;
    uint8_t *data = malloc(len + 1); /* an empty message has 0 bytes, and malloc(0) may be NULL */
    if (data == NULL)
        return NULL;
    *bytes_out = rpc_bytes_view(data, protobuf_c_message_pack(message, data));
    return data;
}

static bool send_packed(rpc_call *call, const ProtobufCMessage *message)
{
    struct rpc_bytes bytes;
    uint8_t *data = pack(message, &bytes);

    if (data == NULL)
        return false;
    rpc_call_send(call, bytes);
    free(data);
    return true;
}

static void finish_unsent(rpc_call *call, const ProtobufCMessage *message)
{
    rpc_call_finish(call, rpc_status_make(RPC_RESOURCE_EXHAUSTED,
                                          "no room for a %s: ask for less, or try again later",
                                          message->descriptor->name));
}

static struct rpc_status undecodable(const ProtobufCMessageDescriptor *type)
{
    return rpc_status_make(RPC_INTERNAL, "a message is no %s: compare the two sides' versions",
                           type->name);
}

static struct rpc_status no_memory(void)
{
    return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "no memory for one more call: try again later");
}

static struct rpc_status unhandled(void)
{
    return rpc_status_make(RPC_UNIMPLEMENTED, "this server does not serve the method");
}

/* ---- Method tables, server ------------------------------------------------- */

size_t stub_methods(const struct rpc_method *methods, size_t count, const void *handlers,
                    struct rpc_method *methods_out)
{
    for (size_t i = 0; i < count; i++) {
        methods_out[i] = methods[i];
        methods_out[i].service = (void *)handlers; /* the stubs only read it */
    }
    return count;
}

/* ---- Unary methods, server ------------------------------------------------- */

struct unary_server {
    const struct stub_unary_method *method;
    const void *handlers;
    ProtobufCMessage *request; /* the one that came; NULL: none yet */
    bool asked;                /* the handler was called */
    bool refused;              /* the stub finished the call */
};

static void unary_server_refuse(struct unary_server *unary, rpc_call *call,
                                struct rpc_status status)
{
    unary->refused = true;
    rpc_call_finish(call, status);
}

static void unary_server_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct unary_server *unary = context;

    if (unary->refused)
        return;
    if (unary->request != NULL) {
        unary_server_refuse(
            unary, call,
            rpc_status_make(RPC_UNIMPLEMENTED, "the method takes one request, and two came"));
        return;
    }
    unary->request = unpack(call, unary->method->request, message);
    if (unary->request == NULL)
        unary_server_refuse(unary, call, undecodable(unary->method->request));
}

static void unary_server_half_close(void *context, rpc_call *call)
{
    struct unary_server *unary = context;
    ProtobufCMessage *request = unary->request;

    if (unary->refused)
        return;
    if (request == NULL) {
        unary_server_refuse(
            unary, call,
            rpc_status_make(RPC_UNIMPLEMENTED, "the method takes one request, and none came"));
        return;
    }
    /* The handler may reply, and the reply may close: the request is not the
     * state's any more. */
    unary->request = NULL;
    unary->asked = true;
    unary->method->on_request(unary->handlers, call, request);
    protobuf_c_message_free_unpacked(request, NULL);
}

static void unary_server_close(void *context, rpc_call *call, const struct rpc_status *status,
                               struct rpc_metadata_list trailers)
{
    struct unary_server *unary = context;

    (void)status;
    (void)trailers;
    if (unary->asked)
        unary->method->on_close(unary->handlers, call);
    protobuf_c_message_free_unpacked(unary->request, NULL);
    free(unary);
}

static void unary_server_writable(void *context, rpc_call *call)
{
    struct unary_server *unary = context;

    if (unary->asked && unary->method->on_writable != NULL)
        unary->method->on_writable(unary->handlers, call);
}

void stub_unary_open(const struct stub_unary_method *method, const void *handlers, rpc_call *call,
                     struct rpc_call_events *events_out, void **context_out)
{
    struct unary_server *unary = method != NULL ? malloc(sizeof *unary) : NULL;

    *events_out = (struct rpc_call_events){0};
    if (unary == NULL) {
        rpc_call_finish(call, method != NULL ? no_memory() : unhandled());
        return;
    }
    *unary = (struct unary_server){.method = method, .handlers = handlers};
    *events_out = (struct rpc_call_events){
        .on_message = unary_server_message,
        .on_half_close = unary_server_half_close,
        .on_writable = unary_server_writable,
        .on_close = unary_server_close,
    };
    *context_out = unary;
}

void stub_unary_reply(rpc_call *call, const ProtobufCMessage *response)
{
    if (send_packed(call, response))
        rpc_call_finish(call, rpc_status_ok());
    else
        finish_unsent(call, response);
}

/* ---- Streams, both sides --------------------------------------------------- */

struct stream {
    struct stub_stream stub;
    /* Client: why the stub cancelled the call; OK: it did not. */
    struct rpc_status failure;
};

/* False: the message did not decode. */
static bool stream_deliver(const struct stub_stream *stub, rpc_call *call, struct rpc_bytes bytes)
{
    if (stub->on_bytes != NULL) {
        stub->on_bytes(stub->context, call, bytes);
        return true;
    }
    if (stub->on_message == NULL)
        return true;
    ProtobufCMessage *message = unpack(call, stub->incoming, bytes);
    if (message == NULL)
        return false;
    stub->on_message(stub->handlers, stub->context, call, message);
    protobuf_c_message_free_unpacked(message, NULL);
    return true;
}

static void stream_server_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    const struct stream *stream = context;
    const ProtobufCMessageDescriptor *incoming = stream->stub.incoming;

    if (!stream_deliver(&stream->stub, call, message))
        rpc_call_finish(call, undecodable(incoming));
}

static void stream_client_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct stream *stream = context;

    if (!rpc_ok(&stream->failure) || stream_deliver(&stream->stub, call, message))
        return;
    stream->failure = undecodable(stream->stub.incoming);
    rpc_call_cancel(call);
}

static void stream_half_close(void *context, rpc_call *call)
{
    const struct stream *stream = context;

    if (stream->stub.on_half_close != NULL)
        stream->stub.on_half_close(stream->stub.context, call);
}

static void stream_writable(void *context, rpc_call *call)
{
    const struct stream *stream = context;

    if (stream->stub.on_writable != NULL)
        stream->stub.on_writable(stream->stub.context, call);
}

static void stream_close(void *context, rpc_call *call, const struct rpc_status *status,
                         struct rpc_metadata_list trailers)
{
    struct stream *stream = context;

    if (!rpc_ok(&stream->failure))
        status = &stream->failure;
    if (stream->stub.on_close != NULL)
        stream->stub.on_close(stream->stub.context, call, status, trailers);
    free(stream);
}

static struct stream *stream_new(const struct stub_stream *stub)
{
    struct stream *stream = malloc(sizeof *stream);

    if (stream != NULL)
        *stream = (struct stream){.stub = *stub, .failure = rpc_status_ok()};
    return stream;
}

void stub_stream_open(const struct stub_stream *stub, rpc_call *call,
                      void (*on_open)(void *service, rpc_call *call, void **context_out),
                      void *service, struct rpc_call_events *events_out, void **context_out)
{
    bool handled = stub->on_message != NULL || stub->on_bytes != NULL;
    struct stream *stream = handled ? stream_new(stub) : NULL;

    *events_out = (struct rpc_call_events){0};
    if (stream == NULL) {
        rpc_call_finish(call, handled ? no_memory() : unhandled());
        return;
    }
    *events_out = (struct rpc_call_events){
        .on_message = stream_server_message,
        .on_half_close = stream_half_close,
        .on_writable = stream_writable,
        .on_close = stream_close,
    };
    *context_out = stream;
    stream->stub.context = service;
    if (on_open != NULL)
        on_open(service, call, &stream->stub.context);
}

void stub_server_send(rpc_call *call, const ProtobufCMessage *message)
{
    if (!send_packed(call, message))
        finish_unsent(call, message);
}

static struct rpc_call_options call_options(const struct stub_request *request)
{
    return (struct rpc_call_options){
        .path = request->path,
        .metadata = request->metadata,
        .timeout_ms = request->timeout_ms,
    };
}

rpc_call *stub_stream_start(rpc_conn *conn, const struct stub_request *request,
                            const struct stub_stream *stub)
{
    struct stream *stream = stream_new(stub);

    if (stream == NULL)
        return NULL;
    struct rpc_call_options options = call_options(request);
    options.events.on_message = stream_client_message;
    options.events.on_writable = stream_writable;
    options.events.on_close = stream_close;
    options.context = stream;

    rpc_call *call = rpc_client_call(conn, &options);
    if (call == NULL)
        free(stream);
    return call;
}

rpc_call *stub_download_start(rpc_conn *conn, const struct stub_request *request,
                              const struct stub_stream *stub, const ProtobufCMessage *message)
{
    struct rpc_bytes bytes;
    uint8_t *data = pack(message, &bytes);
    rpc_call *call = data != NULL ? stub_stream_start(conn, request, stub) : NULL;

    if (call != NULL) {
        rpc_call_send(call, bytes);
        rpc_call_half_close(call);
    }
    free(data);
    return call;
}

void stub_client_send(rpc_call *call, const ProtobufCMessage *message)
{
    if (!send_packed(call, message))
        rpc_call_cancel(call);
}

/* ---- Unary calls, client --------------------------------------------------- */

struct unary_client {
    struct stub_unary stub;
    ProtobufCMessage *response; /* the one that came; NULL: none yet */
    struct rpc_status failure;  /* why the stub cancelled the call; OK: it did not */
};

static void unary_client_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct unary_client *unary = context;

    if (!rpc_ok(&unary->failure))
        return;
    if (unary->response != NULL) {
        unary->failure = rpc_status_make(RPC_INTERNAL, "two responses to one request");
        rpc_call_cancel(call);
        return;
    }
    unary->response = unpack(call, unary->stub.response, message);
    if (unary->response == NULL) {
        unary->failure = undecodable(unary->stub.response);
        rpc_call_cancel(call);
    }
}

static void unary_client_close(void *context, rpc_call *call, const struct rpc_status *status,
                               struct rpc_metadata_list trailers)
{
    struct unary_client *unary = context;

    (void)call;
    (void)trailers;
    if (rpc_ok(status) && rpc_ok(&unary->failure) && unary->response == NULL)
        unary->failure = rpc_status_make(RPC_INTERNAL, "no response came with status OK");
    if (!rpc_ok(&unary->failure))
        status = &unary->failure;
    unary->stub.on_done(unary->stub.callback, unary->stub.context, status,
                        rpc_ok(status) ? unary->response : NULL);
    protobuf_c_message_free_unpacked(unary->response, NULL);
    free(unary);
}

static void unary_client_writable(void *context, rpc_call *call)
{
    struct unary_client *unary = context;

    if (unary->stub.on_writable != NULL)
        unary->stub.on_writable(unary->stub.context, call);
}

rpc_call *stub_upload_start(rpc_conn *conn, const struct stub_request *request,
                            const struct stub_unary *stub)
{
    struct unary_client *unary = malloc(sizeof *unary);
    struct rpc_call_options options = call_options(request);

    if (unary == NULL)
        return NULL;
    *unary = (struct unary_client){.stub = *stub, .failure = rpc_status_ok()};
    options.events.on_message = unary_client_message;
    options.events.on_writable = unary_client_writable;
    options.events.on_close = unary_client_close;
    options.context = unary;
    rpc_call *call = rpc_client_call(conn, &options);
    if (call == NULL)
        free(unary);
    return call;
}

rpc_call *stub_unary_start(rpc_conn *conn, const struct stub_request *request,
                           const struct stub_unary *stub, const ProtobufCMessage *message)
{
    struct rpc_bytes bytes;
    uint8_t *data = pack(message, &bytes);
    rpc_call *call = data != NULL ? stub_upload_start(conn, request, stub) : NULL;

    if (call != NULL) {
        rpc_call_send(call, bytes);
        rpc_call_half_close(call);
    }
    free(data);
    return call;
}
