/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's end of a connection: from a call to a request, from whatever
 * comes back to one status. A server that is none of gRPC's (a captive portal,
 * a proxy) is told apart by its HTTP status and content type.
 */
#include "connection.h"

#include "status.h"

#include <stdio.h>
#include <stdlib.h>

static const char default_user_agent[] = "grpc-c-outpost/0.1 nghttp2/" NGHTTP2_VERSION;

/* ---- The request --------------------------------------------------------- */

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);

    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

/* The time that is left, in the finest unit of at most 8 digits. */
static size_t format_timeout(int64_t left_ms, char text[12])
{
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'m', 1}, {'S', 1000}, {'M', 60 * 1000}, {'H', 3600 * 1000}};
    const int64_t value_max = 99999999;
    size_t i = 0;

    if (left_ms < 0)
        left_ms = 0;
    while (i < 3 && left_ms / units[i].ms > value_max)
        i++;
    int64_t value = (left_ms + units[i].ms - 1) / units[i].ms;
    return (size_t)snprintf(text, 12, "%lld%c", (long long)(value < value_max ? value : value_max),
                            units[i].unit);
}

/* Values made for one block; they live until it is submitted. */
struct request_texts {
    char timeout[12];
    char attempts[12];
};

static void add_request_fields(rpc_call *call, struct headers *headers, struct request_texts *texts)
{
    rpc_conn *conn = call->conn;

    headers_add_literal(headers, ":method", "POST");
    headers_add_literal(headers, ":scheme", conn->tls != NULL ? "https" : "http");
    headers_add_value(headers, ":path", rpc_bytes_view(call->path, strlen(call->path)));
    headers_add_value(headers, ":authority",
                      rpc_bytes_view(conn->authority, strlen(conn->authority)));
    headers_add_literal(headers, "te", "trailers");
    headers_add_literal(headers, "content-type", "application/grpc");
    headers_add_value(headers, "user-agent",
                      rpc_bytes_view(conn->user_agent, strlen(conn->user_agent)));
    headers_add_literal(headers, "grpc-accept-encoding", encoding_accepted);
    if (call->declared != RPC_ENCODING_IDENTITY)
        headers_add_literal(headers, "grpc-encoding", encoding_name(call->declared));
    if (call->previous_attempts > 0)
        headers_add_passing(headers, "grpc-previous-rpc-attempts",
                            rpc_bytes_view(texts->attempts,
                                           (size_t)snprintf(texts->attempts, sizeof texts->attempts,
                                                            "%u", call->previous_attempts)));
    if (call->deadline_ms >= 0) {
        int64_t left_ms = call->deadline_ms - conn->clock.now_ms(conn->clock.context);
        headers_add_passing(
            headers, "grpc-timeout",
            rpc_bytes_view(texts->timeout, format_timeout(left_ms, texts->timeout)));
    }
}

static void end_not_started(rpc_call *call, enum rpc_code code, const char *reason)
{
    struct rpc_status status = rpc_status_make(code, "call not started: %s", reason);

    call->headers_submitted = false;
    call_end(call, &status);
}

/* Late, so that the owner can choose the encoding after it has the call. */
void client_submit_request(rpc_call *call)
{
    struct headers headers;
    struct request_texts texts;
    nghttp2_data_provider provider = session_data_provider();
    int32_t stream_id = NGHTTP2_ERR_NOMEM;

    call->headers_submitted = true;
    call->declared = call->encoding;
    headers_init(&headers);
    add_request_fields(call, &headers, &texts);
    bool made = headers_add_metadata(&headers, &call->to_send);
    bool fits = session_peer_takes(call->conn, &headers);
    if (made && fits)
        stream_id = nghttp2_submit_request(call->conn->session, NULL, headers.fields, headers.count,
                                           &provider, call);
    headers_deinit(&headers);
    if (made && !fits) {
        end_not_started(call, RPC_RESOURCE_EXHAUSTED, "its metadata is more than the server takes");
    } else if (stream_id < 0) {
        end_not_started(call, RPC_UNAVAILABLE, nghttp2_strerror(stream_id));
    } else {
        call->stream_id = stream_id;
        call->stream_open = true;
    }
}

bool rpc_conn_takes_calls(const rpc_conn *conn)
{
    return conn->state != CONN_OVER && !conn->goaway_received && !conn->draining;
}

rpc_call *rpc_client_call(rpc_conn *conn, const struct rpc_call_options *options)
{
    bool added = true;

    assert(!conn->role->server);
    if (!rpc_conn_takes_calls(conn))
        return NULL;
    rpc_call *call = call_new(conn);
    if (call == NULL)
        return NULL;
    call->path = copy_text(options->path);
    for (size_t i = 0; added && i < options->metadata.count; i++)
        added = metadata_add(&call->to_send, options->metadata.entries[i].name,
                             options->metadata.entries[i].value) == METADATA_ADDED;
    call_mark_due(call);
    if (call->path == NULL || !added) {
        struct rpc_status status = rpc_status_make(RPC_CANCELLED, "call not started");
        call_end(call, &status);
        return NULL;
    }
    call->events = options->events;
    call->context = options->context;
    call->encoding = conn->encoding;
    call->previous_attempts = options->previous_attempts;
    if (options->timeout_ms > 0)
        call->deadline_ms = conn->clock.now_ms(conn->clock.context) + options->timeout_ms;
    return call;
}

void rpc_conn_set_encoding(rpc_conn *conn, enum rpc_encoding encoding)
{
    conn->encoding = encoding;
}

/* ---- The response -------------------------------------------------------- */

static void take_grpc_message(struct rpc_status *status, struct rpc_bytes value)
{
    percent_decode(value, status->message, sizeof status->message);
    size_t len = strlen(status->message);
    if (len == sizeof status->message - 1)
        status_drop_partial_character(status->message, len);
}

static void take_field(rpc_call *call, struct rpc_bytes name, struct rpc_bytes value)
{
    struct call_fields *fields = &call->fields;
    struct metadata *metadata =
        call->header_blocks == 0 ? &call->received : &call->received_trailers;

    if (bytes_are(name, ":status")) {
        fields->http_status = 0;
        for (size_t i = 0; i < value.len; i++)
            fields->http_status = fields->http_status * 10 + (value.data[i] - '0');
    } else if (bytes_are(name, "grpc-status")) {
        fields->status.code = status_code_of_text(value);
        fields->status_seen = true;
    } else if (bytes_are(name, "grpc-message")) {
        take_grpc_message(&fields->status, value);
    } else if (!call_take_common_field(call, name, value)) {
        call_take_metadata(call, metadata, name, value);
    }
}

/* Once the stream has ended: the status that came, or what its absence means. */
static void settle_status(rpc_call *call)
{
    struct call_fields *fields = &call->fields;

    if (fields->status_seen)
        return;
    if (fields->http_status != 200)
        fields->status = rpc_status_make(status_code_of_http(fields->http_status),
                                         "the server answered HTTP status %d", fields->http_status);
    else
        fields->status = rpc_status_make(RPC_UNKNOWN, "the server ended without grpc-status");
}

static void take_first_block(rpc_call *call, bool ended)
{
    struct call_fields *fields = &call->fields;

    if (ended) { /* trailers-only */
        call->received_trailers = call->received;
        call->received = (struct metadata){0};
        return;
    }
    call->headers_due = true;
    fields->status_seen = false; /* only trailers have the status */
    if (fields->http_status == 200 && fields->content_type_ok && fields->encoding_known)
        return;
    if (fields->http_status != 200)
        settle_status(call);
    else if (!fields->content_type_ok)
        fields->status = rpc_status_make(RPC_UNKNOWN, "the server's answer is not gRPC");
    else
        fields->status = rpc_status_make(RPC_INTERNAL, "the server's grpc-encoding is none of %s",
                                         encoding_accepted);
    call_fail(call, &fields->status);
}

static void take_block(rpc_call *call, bool ended)
{
    struct call_fields *fields = &call->fields;

    if (fields->too_large || fields->malformed) {
        struct rpc_status status =
            fields->too_large
                ? rpc_status_make(RPC_RESOURCE_EXHAUSTED,
                                  "the server's headers are over %d bytes or %d entries",
                                  RPC_HEADER_BYTES_MAX, RPC_METADATA_MAX)
                : rpc_status_make(RPC_INTERNAL, "the server's metadata is malformed");
        call_fail(call, &status);
        return;
    }
    if (call->header_blocks == 0 && fields->http_status >= 100 && fields->http_status < 200) {
        metadata_deinit(&call->received); /* an interim answer */
        return;
    }
    if (call->header_blocks++ == 0)
        take_first_block(call, ended);
    if (ended) {
        call->remote_ended = true;
        settle_status(call);
    }
    call_mark_due(call);
}

static void tell_headers(rpc_call *call)
{
    if (call->events.on_metadata != NULL)
        call->events.on_metadata(call->context, call, metadata_view(&call->received));
}

/* All is received: whatever we still wanted to send is of no use. */
static void tell_end(rpc_call *call)
{
    settle_status(call);
    if (call->stream_open)
        call_reset(call, NGHTTP2_NO_ERROR);
    call_end(call, &call->fields.status);
}

static void take_close(rpc_call *call, uint32_t h2_error)
{
    const rpc_conn *conn = call->conn;
    bool expired = call->deadline_ms >= 0 && conn->now_ms >= call->deadline_ms;

    if (call->remote_ended)
        return; /* what came is still to be delivered, and the status is known */
    call->unprocessed = h2_error == NGHTTP2_REFUSED_STREAM;
    struct rpc_status status =
        rpc_status_make(expired ? RPC_DEADLINE_EXCEEDED : status_code_of_reset(h2_error),
                        "the server reset the call (HTTP/2 error %u: %s)", h2_error,
                        nghttp2_http2_strerror(h2_error));
    call_end(call, &status);
}

static struct rpc_status lost_status(const rpc_conn *conn)
{
    return conn->status;
}

static uint32_t end_of_data(rpc_call *call)
{
    return call->half_closed ? NGHTTP2_DATA_FLAG_EOF : NGHTTP2_DATA_FLAG_NONE;
}

/* ---- The connection ------------------------------------------------------ */

static const struct conn_role client_role = {
    .server = false,
    .lost_status = lost_status,
    .take_field = take_field,
    .take_block = take_block,
    .take_close = take_close,
    .end_of_data = end_of_data,
    .tell_headers = tell_headers,
    .tell_end = tell_end,
};

void rpc_client_options_init_default(struct rpc_client_options *options)
{
    *options = (struct rpc_client_options){
        .message_bytes_max = RPC_MESSAGE_BYTES_MAX,
        .keepalive_timeout_ms = 20 * 1000,
    };
}

/* The host of "host:port" or "[IPv6]:port". */
static char *authority_host(const char *authority)
{
    bool bracketed = authority[0] == '[';
    char *host = copy_text(bracketed ? authority + 1 : authority);
    char *end = host != NULL ? strrchr(host, bracketed ? ']' : ':') : NULL;

    if (end != NULL)
        *end = '\0';
    return host;
}

rpc_conn *rpc_client_conn_new(const struct rpc_client_options *options)
{
    rpc_conn *conn = conn_new(&client_role, options->clock, options->message_bytes_max);

    if (conn == NULL)
        return NULL;
    life_init_client(conn, options);
    char *host = authority_host(options->authority);
    conn->authority = copy_text(options->authority);
    conn->user_agent =
        copy_text(options->user_agent != NULL ? options->user_agent : default_user_agent);
    bool started = host != NULL && conn->authority != NULL && conn->user_agent != NULL &&
                   conn_start(conn, options->tls, host);
    free(host);
    if (!started) {
        rpc_conn_free(conn);
        return NULL;
    }
    return conn;
}
