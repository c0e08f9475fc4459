/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's end of a connection: from request headers to a method, from a
 * status to trailers. Whatever a client asks, it gets an answer: a status in
 * trailers if it speaks gRPC, an HTTP status if it does not.
 */
#include "connection.h"

#include <stdio.h>

static const char response_type[] = "application/grpc";

/* ---- Headers of the request ---------------------------------------------- */

static const struct rpc_method *find_method(const rpc_conn *conn, struct rpc_bytes path)
{
    for (size_t i = 0; i < conn->method_count; i++)
        if (bytes_are(path, conn->methods[i].path))
            return &conn->methods[i];
    return NULL;
}

/* At most 8 digits and a unit, rounded up to ms; -1: malformed. */
static int64_t parse_timeout_ms(struct rpc_bytes text)
{
    int64_t value = 0;

    if (text.len < 2 || text.len > 9)
        return -1;
    for (size_t i = 0; i + 1 < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        value = value * 10 + (text.data[i] - '0');
    }
    switch (text.data[text.len - 1]) {
    case 'H':
        return value * 3600 * 1000;
    case 'M':
        return value * 60 * 1000;
    case 'S':
        return value * 1000;
    case 'm':
        return value;
    case 'u':
        return (value + 999) / 1000;
    case 'n':
        return (value + 999999) / 1000000;
    default:
        return -1;
    }
}

static void take_field(rpc_call *call, struct rpc_bytes name, struct rpc_bytes value)
{
    struct call_fields *fields = &call->fields;

    if (call->header_blocks > 0)
        return; /* a client's trailers mean nothing in gRPC */
    if (bytes_are(name, ":method")) {
        fields->post = bytes_are(value, "POST");
    } else if (bytes_are(name, ":path")) {
        fields->method = find_method(call->conn, value);
    } else if (bytes_are(name, "grpc-timeout")) {
        fields->timeout_ms = parse_timeout_ms(value);
        fields->malformed |= fields->timeout_ms < 0;
    } else if (bytes_are(name, "grpc-previous-rpc-attempts")) {
        int64_t attempts = metadata_parse_number(value);
        call->previous_attempts = attempts > 0 ? (unsigned)attempts : 0;
    } else if (!call_take_common_field(call, name, value)) {
        call_take_metadata(call, &call->received, name, value);
    }
}

static void refuse_http(rpc_call *call, const char *http_status)
{
    struct headers headers;

    headers_init(&headers);
    headers_add_literal(&headers, ":status", http_status);
    call->headers_submitted = true;
    nghttp2_submit_response(call->conn->session, call->stream_id, headers.fields, headers.count,
                            NULL);
    headers_deinit(&headers);
    rpc_call_finish(call, rpc_status_make(RPC_UNKNOWN, "HTTP status %s", http_status));
}

static void take_block(rpc_call *call, bool ended)
{
    const struct call_fields *fields = &call->fields;
    struct rpc_status refusal = rpc_status_ok();

    call->remote_ended |= ended;
    call_mark_due(call);
    if (call->header_blocks++ > 0)
        return;
    if (!fields->post || (!fields->content_type_ok && !fields->too_large)) {
        refuse_http(call, fields->post ? "415" : "405");
        return;
    }
    if (fields->too_large)
        refusal = rpc_status_make(RPC_RESOURCE_EXHAUSTED, "headers over %d bytes or %d entries",
                                  RPC_HEADER_BYTES_MAX, RPC_METADATA_MAX);
    else if (fields->malformed)
        refusal = rpc_status_make(RPC_INTERNAL, "malformed metadata or grpc-timeout");
    else if (fields->method == NULL)
        refusal = rpc_status_make(RPC_UNIMPLEMENTED, "unknown service or method");
    else if (!fields->encoding_known)
        refusal =
            rpc_status_make(RPC_UNIMPLEMENTED, "grpc-encoding is none of %s", encoding_accepted);
    if (!rpc_ok(&refusal)) {
        rpc_call_finish(call, refusal);
        return;
    }
    if (fields->timeout_ms >= 0)
        call->deadline_ms = call->conn->now_ms + fields->timeout_ms;
    call->headers_due = true;
}

static void tell_headers(rpc_call *call)
{
    const struct rpc_method *method = call->fields.method;

    method->on_open(method->service, call, &call->events, &call->context);
}

static void tell_end(rpc_call *call)
{
    if (call->half_close_told)
        return;
    call->half_close_told = true;
    if (call->events.on_half_close != NULL)
        call->events.on_half_close(call->context, call);
}

static void take_close(rpc_call *call, uint32_t h2_error)
{
    struct rpc_status status =
        rpc_status_make(RPC_CANCELLED, "the client cancelled (HTTP/2 error %u)", h2_error);

    call_end(call, &status);
}

static struct rpc_status lost_status(const rpc_conn *conn)
{
    return rpc_status_make(RPC_CANCELLED, "the client is gone: %.200s", conn->status.message);
}

/* ---- Headers and trailers of the response -------------------------------- */

static void add_response_fields(rpc_call *call, struct headers *headers)
{
    headers_add_literal(headers, ":status", "200");
    headers_add_literal(headers, "content-type", response_type);
    headers_add_literal(headers, "grpc-accept-encoding", encoding_accepted);
    call->headers_submitted = true;
}

/* What nghttp2 refuses (memory, a stream that is closing) ends in a reset. */
static void check_submitted(rpc_call *call, bool submitted)
{
    if (submitted)
        return;
    struct rpc_status status = rpc_status_make(RPC_INTERNAL, "cannot send headers");
    call_reset(call, NGHTTP2_INTERNAL_ERROR);
    call_end(call, &status);
}

/* The handler's metadata is more than the client takes: the answer is a status. */
static void refuse_own_metadata(rpc_call *call)
{
    struct rpc_status status =
        rpc_status_make(RPC_RESOURCE_EXHAUSTED, "the metadata is more than the client takes");

    metadata_deinit(&call->to_send);
    call->headers_submitted = false;
    if (call->state == CALL_OPEN)
        rpc_call_finish(call, status);
    else
        call->status = status;
}

void server_submit_headers(rpc_call *call)
{
    struct headers headers;
    nghttp2_data_provider provider = session_data_provider();

    headers_init(&headers);
    add_response_fields(call, &headers);
    call->declared = call->encoding;
    if (call->declared != RPC_ENCODING_IDENTITY)
        headers_add_literal(&headers, "grpc-encoding", encoding_name(call->declared));
    bool added = headers_add_metadata(&headers, &call->to_send);
    if (added && !session_peer_takes(call->conn, &headers)) {
        headers_deinit(&headers);
        refuse_own_metadata(call);
        return;
    }
    bool submitted =
        added && nghttp2_submit_response(call->conn->session, call->stream_id, headers.fields,
                                         headers.count, &provider) == 0;
    headers_deinit(&headers);
    check_submitted(call, submitted);
}

/* Values made for one block; they live until it is submitted. */
struct status_texts {
    char number[12];
    uint8_t message[3 * RPC_STATUS_MESSAGE_LEN];
};

static bool add_status(rpc_call *call, struct headers *headers, struct status_texts *texts)
{
    size_t message_len = percent_encode(call->status.message, texts->message);

    if (rpc_ok(&call->status)) {
        headers_add_literal(headers, "grpc-status", "0");
    } else {
        snprintf(texts->number, sizeof texts->number, "%u", (unsigned)call->status.code);
        headers_add_value(headers, "grpc-status",
                          rpc_bytes_view(texts->number, strlen(texts->number)));
    }
    if (message_len > 0)
        headers_add_passing(headers, "grpc-message", rpc_bytes_view(texts->message, message_len));
    return headers_add_metadata(headers, &call->trailers_to_send);
}

/* The status, as trailers after what was sent or as the whole answer. Trailers
 * that the client would not take give way to the status that says so. */
static bool submit_status(rpc_call *call, struct headers *headers, bool whole)
{
    struct status_texts texts;
    nghttp2_session *session = call->conn->session;
    size_t count = headers->count;

    if (!add_status(call, headers, &texts))
        return false;
    if (!session_peer_takes(call->conn, headers)) {
        call->status = rpc_status_make(RPC_RESOURCE_EXHAUSTED,
                                       "the trailing metadata is more than the client takes");
        metadata_deinit(&call->trailers_to_send);
        headers->count = count;
        add_status(call, headers, &texts);
    }
    if (whole)
        return nghttp2_submit_response(session, call->stream_id, headers->fields, headers->count,
                                       NULL) == 0;
    return nghttp2_submit_trailer(session, call->stream_id, headers->fields, headers->count) == 0;
}

void server_submit_answer(rpc_call *call)
{
    struct headers headers;

    if (call->conn->state != CONN_OPEN)
        return;
    if (!call->headers_submitted && call->to_send.count > 0)
        server_submit_headers(call);
    if (call->headers_submitted) {
        session_resume_data(call);
        return;
    }
    headers_init(&headers);
    add_response_fields(call, &headers);
    bool submitted = submit_status(call, &headers, true);
    headers_deinit(&headers);
    check_submitted(call, submitted);
}

static uint32_t end_of_data(rpc_call *call)
{
    struct headers headers;

    if (call->state != CALL_FINISHING)
        return NGHTTP2_DATA_FLAG_NONE;
    headers_init(&headers);
    bool submitted = submit_status(call, &headers, false);
    headers_deinit(&headers);
    check_submitted(call, submitted);
    return NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
}

/* ---- The connection ------------------------------------------------------ */

static const struct conn_role server_role = {
    .server = true,
    .lost_status = lost_status,
    .take_field = take_field,
    .take_block = take_block,
    .take_close = take_close,
    .end_of_data = end_of_data,
    .tell_headers = tell_headers,
    .tell_end = tell_end,
};

void rpc_server_options_init_default(struct rpc_server_options *options)
{
    *options = (struct rpc_server_options){
        .message_bytes_max = RPC_MESSAGE_BYTES_MAX,
        .handshake_timeout_ms = CONN_HANDSHAKE_MS,
        .write_stall_ms = CONN_WRITE_STALL_MS,
        .window_stall_ms = CONN_WINDOW_STALL_MS,
        .keepalive_time_ms = 2 * 3600 * 1000,
        .keepalive_timeout_ms = 20 * 1000,
        .ping_interval_min_ms = 5 * 60 * 1000,
    };
}

rpc_conn *rpc_server_conn_new(const struct rpc_server_options *options)
{
    rpc_conn *conn = conn_new(&server_role, options->clock, options->message_bytes_max);

    if (conn == NULL)
        return NULL;
    life_init_server(conn, options);
    conn->frame_watch.skip = NGHTTP2_CLIENT_MAGIC_LEN;
    conn->handshake_due_ms = conn->now_ms + options->handshake_timeout_ms;
    conn->write_stall_ms = options->write_stall_ms;
    conn->window_stall_ms = options->window_stall_ms;
    conn->methods = options->methods;
    conn->method_count = options->method_count;
    if (!conn_start(conn, options->tls, NULL)) {
        rpc_conn_free(conn);
        return NULL;
    }
    return conn;
}
