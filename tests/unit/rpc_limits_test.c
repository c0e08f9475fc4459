/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a hostile or broken peer gets an answer or the door, and never memory
 * or a crash. Method: a server connection without TLS is fed frames made by
 * hand, as no client library would send them, and what comes back is read frame
 * by frame. Header fields are plain HPACK literals.
 */
#include "rpc_frames.h"
#include "rpc_pair.h"
#include "suite.h"

#include <nghttp2/nghttp2.h>

struct raw {
    rpc_conn *server;
    int64_t now_ms;
    struct side side;
    struct rpc_method method;
    struct rpc_buffer out;  /* frames to feed */
    struct rpc_buffer seen; /* what the server sent */
    uint32_t goaway_error;
    unsigned goaways;
    unsigned resets;
    uint32_t reset_error;
    unsigned data_frames;
    nghttp2_hd_inflater *inflater;
    int http_status; /* of the first answer that has one; 0: none */
    int grpc_status; /* likewise; -1: none */
};

static void raw_on_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                        void **context_out)
{
    struct raw *raw = service;

    raw->side.opened++;
    raw->side.call = call;
    *events_out = side_events;
    *context_out = &raw->side;
}

static int64_t raw_now_ms(void *context)
{
    return ((struct raw *)context)->now_ms;
}

/* ---- Frames -------------------------------------------------------------- */

/* A request whose fields replace or add to the usual ones. */
static void put_request(struct raw *raw, uint32_t stream, int flags, const struct field *fields,
                        size_t count)
{
    static const struct field usual[] = {
        {":method", "POST"},   {":scheme", "http"}, {":path", "/t/Raw"},
        {":authority", "raw"}, {"te", "trailers"},  {"content-type", "application/grpc"},
    };
    struct rpc_buffer block;

    rpc_buffer_init(&block, 200000);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        const char *value = usual[i].value;
        for (size_t j = 0; j < count; j++)
            if (strcmp(fields[j].name, usual[i].name) == 0)
                value = fields[j].value;
        put_field(&block, usual[i].name, value);
    }
    for (size_t j = 0; j < count; j++) {
        bool is_usual = false;
        for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
            is_usual |= strcmp(fields[j].name, usual[i].name) == 0;
        if (!is_usual)
            put_field(&block, fields[j].name, fields[j].value);
    }
    put_frame(&raw->out, HEADERS, flags | END_HEADERS, stream, block.data, block.len);
    rpc_buffer_deinit(&block);
}

static void put_message(struct raw *raw, uint32_t stream, int flags, int compressed,
                        const char *text)
{
    uint8_t framed[300] = {(uint8_t)compressed, 0, 0, 0, (uint8_t)strlen(text)};

    memcpy(framed + 5, text, strlen(text));
    put_frame(&raw->out, DATA, flags, stream, framed, 5 + strlen(text));
}

/* ---- The exchange -------------------------------------------------------- */

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void note_field(struct raw *raw, const nghttp2_nv *field)
{
    int value = atoi((const char *)field->value);

    if (field->namelen == 7 && memcmp(field->name, ":status", 7) == 0 && raw->http_status == 0)
        raw->http_status = value;
    if (field->namelen == 11 && memcmp(field->name, "grpc-status", 11) == 0 && raw->grpc_status < 0)
        raw->grpc_status = value;
}

static void note_headers(struct raw *raw, const uint8_t *block, size_t len)
{
    int flags = 0;

    while ((flags & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv field;
        ssize_t used = nghttp2_hd_inflate_hd2(raw->inflater, &field, &flags, block, len, 1);
        CU_ASSERT_FATAL(used >= 0);
        block += used;
        len -= (size_t)used;
        if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0)
            note_field(raw, &field);
    }
    nghttp2_hd_inflate_end_headers(raw->inflater);
}

static void note_frame(struct raw *raw, const uint8_t *head, const uint8_t *payload, size_t len)
{
    switch (head[3]) {
    case HEADERS:
        note_headers(raw, payload, len);
        break;
    case GOAWAY:
        raw->goaways++;
        raw->goaway_error = number(payload + 4);
        break;
    case RST_STREAM:
        raw->resets++;
        raw->reset_error = number(payload);
        break;
    case DATA:
        raw->data_frames++;
        break;
    default:
        break;
    }
}

static void raw_read(struct raw *raw)
{
    struct rpc_bytes pending;
    size_t at = 0;

    while ((pending = rpc_conn_pending(raw->server)).len > 0) {
        rpc_buffer_append_bytes(&raw->seen, pending);
        rpc_conn_sent(raw->server, pending.len);
    }
    while (at + 9 <= raw->seen.len) {
        const uint8_t *head = raw->seen.data + at;
        size_t len = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];
        note_frame(raw, head, head + 9, len);
        at += 9 + len;
    }
    CU_ASSERT_EQUAL(at, raw->seen.len);
    rpc_buffer_clear(&raw->seen);
}

/* Feeds what was put; the answers wait until raw_read. */
static struct rpc_status raw_feed(struct raw *raw)
{
    struct rpc_status status = rpc_conn_recv(raw->server, rpc_buffer_view(&raw->out));

    rpc_buffer_clear(&raw->out);
    return status;
}

static void raw_init(struct raw *raw)
{
    struct rpc_server_options options;

    *raw = (struct raw){.now_ms = 1, .grpc_status = -1};
    CU_ASSERT_FATAL(nghttp2_hd_inflate_new(&raw->inflater) == 0);
    raw->method = (struct rpc_method){"/t/Raw", raw_on_open, raw};
    rpc_buffer_init(&raw->out, 40 * 1024 * 1024);
    rpc_buffer_init(&raw->seen, 40 * 1024 * 1024);
    rpc_server_options_init_default(&options);
    options.methods = &raw->method;
    options.method_count = 1;
    options.clock = (struct rpc_clock){raw_now_ms, raw};
    raw->server = rpc_server_conn_new(&options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(raw->server);
    rpc_buffer_append(&raw->out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    put_frame(&raw->out, SETTINGS, 0, 0, NULL, 0);
}

static void raw_deinit(struct raw *raw)
{
    rpc_conn_free(raw->server);
    nghttp2_hd_inflate_del(raw->inflater);
    rpc_buffer_deinit(&raw->out);
    rpc_buffer_deinit(&raw->seen);
    rpc_buffer_deinit(&raw->side.last);
}

/* ---- Requests that break gRPC's rules ------------------------------------- */

struct refusal {
    struct field field;
    int flag; /* of the message's prefix */
    int http_status;
    int grpc_status; /* -1: the answer is not gRPC */
    unsigned opened; /* whether a handler heard of it */
};

/* Each gets its answer and leaves no call and no connection damaged. */
static void test_refusals(void)
{
    static const struct refusal refusals[] = {
        {{":method", "GET"}, 0, 405, -1, 0},
        {{"content-type", "text/html"}, 0, 415, -1, 0},
        {{"content-type", "application/grpcx"}, 0, 415, -1, 0},
        {{":path", "/t/Other"}, 0, 200, RPC_UNIMPLEMENTED, 0},
        {{":path", "/t/raw"}, 0, 200, RPC_UNIMPLEMENTED, 0},
        {{"grpc-encoding", "br"}, 0, 200, RPC_UNIMPLEMENTED, 0},
        {{"grpc-timeout", "5"}, 0, 200, RPC_INTERNAL, 0},
        {{"grpc-timeout", "123456789S"}, 0, 200, RPC_INTERNAL, 0},
        {{"x-bin", "***"}, 0, 200, RPC_INTERNAL, 0},
        {{"grpc-encoding", "identity"}, 1, 200, RPC_INTERNAL, 1},
        {{"grpc-encoding", "gzip"}, 1, 200, RPC_INTERNAL, 1},
        {{"grpc-encoding", "zstd"}, 1, 200, RPC_INTERNAL, 1},
        {{"content-type", "application/grpc+proto"}, 2, 200, RPC_INTERNAL, 1},
        {{"content-type", "application/grpc;v=1"}, 0, 0, -1, 1}, /* this one is fine */
    };

    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        const struct refusal *refusal = &refusals[i];
        struct raw raw;

        raw_init(&raw);
        put_request(&raw, 1, 0, &refusal->field, 1);
        put_message(&raw, 1, END_STREAM, refusal->flag, "hello");
        raw_feed(&raw);
        raw_read(&raw);
        CU_ASSERT_EQUAL(raw.http_status, refusal->http_status);
        CU_ASSERT_EQUAL(raw.grpc_status, refusal->grpc_status);
        CU_ASSERT_EQUAL(raw.side.opened, refusal->opened);
        CU_ASSERT_EQUAL(raw.side.closes, refusal->grpc_status >= 0 ? refusal->opened : 0);
        CU_ASSERT_EQUAL(raw.goaways, 0);
        raw_deinit(&raw);
    }
}

/* Refused by the prefix, before a byte of it has come. */
static void test_oversize_by_prefix(void)
{
    static const uint8_t prefix[5] = {0, 0xff, 0xff, 0xff, 0xff};
    struct raw raw;

    raw_init(&raw);
    put_request(&raw, 1, 0, NULL, 0);
    put_frame(&raw.out, DATA, 0, 1, prefix, sizeof prefix);
    raw_feed(&raw);
    raw_read(&raw);
    CU_ASSERT_EQUAL(raw.side.status.code, RPC_RESOURCE_EXHAUSTED);
    CU_ASSERT_EQUAL(raw.side.messages, 0);
    CU_ASSERT_EQUAL(raw.resets, 1); /* NO_ERROR: stop sending, the status is there */
    CU_ASSERT_EQUAL(raw.reset_error, 0);
    raw_deinit(&raw);
}

static void test_cut_off_message(void)
{
    static const uint8_t part[7] = {0, 0, 0, 0, 9, 1, 2};
    struct raw raw;

    raw_init(&raw);
    put_request(&raw, 1, 0, NULL, 0);
    put_frame(&raw.out, DATA, END_STREAM, 1, part, sizeof part);
    raw_feed(&raw);
    raw_read(&raw);
    CU_ASSERT_EQUAL(raw.side.status.code, RPC_INTERNAL);
    CU_ASSERT_EQUAL(raw.side.half_closes, 0);
    raw_deinit(&raw);
}

/* ---- Headers ------------------------------------------------------------- */

/* Over the limit: an answer; far over it: the stream is reset. Either way the
 * connection lives. */
static void test_large_headers(void)
{
    static char value[9000];
    static const struct field big = {"x-big", value};
    struct raw raw;

    memset(value, 'a', sizeof value - 1);
    raw_init(&raw);
    put_request(&raw, 1, END_STREAM, &big, 1);
    put_request(&raw, 3, END_STREAM, NULL, 0);
    struct rpc_status status = raw_feed(&raw);
    raw_read(&raw);
    CU_ASSERT(rpc_ok(&status));
    CU_ASSERT_EQUAL(raw.side.opened, 1);
    CU_ASSERT_EQUAL(raw.goaways, 0);
    CU_ASSERT_EQUAL(raw.grpc_status, RPC_RESOURCE_EXHAUSTED);
    raw_deinit(&raw);
}

static void test_continuation_flood(void)
{
    struct raw raw;

    raw_init(&raw);
    put_frame(&raw.out, HEADERS, 0, 1, NULL, 0);
    for (int i = 0; i < 100; i++)
        put_frame(&raw.out, CONTINUATION, 0, 1, NULL, 0);
    struct rpc_status status = raw_feed(&raw);
    raw_read(&raw);
    CU_ASSERT_FALSE(rpc_ok(&status));
    CU_ASSERT_EQUAL(raw.goaways, 1);
    CU_ASSERT(rpc_conn_done(raw.server));
    raw_deinit(&raw);
}

/* ---- Floods -------------------------------------------------------------- */

/* The door: GOAWAY, and the connection is over once it is sent. */
static void assert_shown_the_door(struct raw *raw)
{
    raw_feed(raw);
    raw_read(raw);
    CU_ASSERT_EQUAL(raw->goaways, 1);
    CU_ASSERT(rpc_conn_done(raw->server));
    CU_ASSERT_EQUAL(raw->side.opened, raw->side.closes);
    raw_deinit(raw);
}

static void test_ping_flood_unread(void)
{
    struct raw raw;

    raw_init(&raw);
    for (int i = 0; i < 5000; i++)
        put_frame(&raw.out, PING, 0, 0, "12345678", 8);
    assert_shown_the_door(&raw);
}

/* Also when each answer is read. */
static void test_ping_flood_read(void)
{
    struct raw raw;

    raw_init(&raw);
    for (int i = 0; i < 5000 && !rpc_conn_done(raw.server); i++) {
        put_frame(&raw.out, PING, 0, 0, "12345678", 8);
        raw_feed(&raw);
        struct rpc_bytes pending = rpc_conn_pending(raw.server);
        rpc_conn_sent(raw.server, pending.len);
        (void)rpc_conn_pending(raw.server);
    }
    CU_ASSERT(rpc_conn_done(raw.server));
    raw_deinit(&raw);
}

static void test_settings_flood(void)
{
    struct raw raw;

    raw_init(&raw);
    for (int i = 0; i < 5000; i++)
        put_frame(&raw.out, SETTINGS, 0, 0, NULL, 0);
    assert_shown_the_door(&raw);
}

static void test_empty_data_flood(void)
{
    struct raw raw;

    raw_init(&raw);
    put_request(&raw, 1, 0, NULL, 0);
    for (int i = 0; i < 5000; i++)
        put_frame(&raw.out, DATA, 0, 1, NULL, 0);
    assert_shown_the_door(&raw);
}

static void test_rapid_reset(void)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    struct raw raw;

    raw_init(&raw);
    for (uint32_t stream = 1; stream < 2 * 5000; stream += 2) {
        put_request(&raw, stream, 0, NULL, 0);
        put_frame(&raw.out, RST_STREAM, 0, stream, cancel, sizeof cancel);
    }
    assert_shown_the_door(&raw);
}

static void put_300_requests(struct raw *raw)
{
    for (uint32_t stream = 1; stream < 2 * 300; stream += 2)
        put_request(raw, stream, 0, NULL, 0);
}

/* More streams than allowed, of a client that may not know our limit yet:
 * refused one by one. */
static void test_stream_flood_before_settings(void)
{
    struct raw raw;

    raw_init(&raw);
    put_300_requests(&raw);
    raw_feed(&raw);
    raw_read(&raw);
    CU_ASSERT_EQUAL(raw.side.opened, RPC_CALLS_MAX);
    CU_ASSERT_EQUAL(raw.side.closes, 0);
    CU_ASSERT_EQUAL(raw.resets, 300 - RPC_CALLS_MAX);
    CU_ASSERT_EQUAL(raw.reset_error, 7); /* REFUSED_STREAM: may be tried again */
    CU_ASSERT_EQUAL(raw.goaways, 0);
    raw_deinit(&raw);
}

/* Of one that has said that it knows. */
static void test_stream_flood(void)
{
    struct raw raw;

    raw_init(&raw);
    raw_feed(&raw);
    raw_read(&raw);
    put_frame(&raw.out, SETTINGS, 1, 0, NULL, 0);
    put_300_requests(&raw);
    assert_shown_the_door(&raw);
    CU_ASSERT_EQUAL(raw.side.opened, RPC_CALLS_MAX);
}

/* Every call begins a message of 4 MiB and none ends one: what is kept over
 * all of them has a limit, and those over it are refused. */
static void test_begun_messages(void)
{
    static const uint8_t prefix[5] = {0, 0, 0x40, 0, 0};
    static const uint8_t body[16000];
    struct raw raw;
    size_t fed = 0;

    raw_init(&raw);
    for (uint32_t stream = 1; stream < 2 * RPC_CALLS_MAX; stream += 2) {
        put_request(&raw, stream, 0, NULL, 0);
        put_frame(&raw.out, DATA, 0, stream, prefix, sizeof prefix);
    }
    raw_feed(&raw);
    for (int round = 0; round < 60 && raw.side.closes == 0; round++) {
        for (uint32_t stream = 1; stream < 2 * RPC_CALLS_MAX; stream += 2) {
            put_frame(&raw.out, DATA, 0, stream, body, sizeof body);
            raw_feed(&raw);
            fed += sizeof body;
            raw_read(&raw);
        }
    }
    CU_ASSERT(raw.side.closes > 0);
    CU_ASSERT_EQUAL(raw.side.status.code, RPC_RESOURCE_EXHAUSTED);
    CU_ASSERT(fed < 20 * 1000 * 1000);
    raw_deinit(&raw);
}

static void test_garbage(void)
{
    struct raw raw;

    raw_init(&raw);
    rpc_buffer_clear(&raw.out);
    rpc_buffer_append(&raw.out, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    struct rpc_status status = raw_feed(&raw);
    CU_ASSERT_EQUAL(status.code, RPC_UNAVAILABLE);
    raw_read(&raw);
    CU_ASSERT(rpc_conn_done(raw.server));
    raw_deinit(&raw);
}

/* ---- Time ---------------------------------------------------------------- */

static void test_handshake_timer(void)
{
    struct raw raw;

    raw_init(&raw);
    (void)rpc_conn_pending(raw.server);
    int64_t due_ms = rpc_conn_due_ms(raw.server);
    CU_ASSERT(due_ms > raw.now_ms && due_ms <= raw.now_ms + 20 * 1000);
    raw.now_ms = due_ms;
    rpc_conn_tick(raw.server);
    raw_read(&raw);
    CU_ASSERT(rpc_conn_done(raw.server));
    raw_deinit(&raw);
}

/* A peer that stops reading: the write makes no progress for a minute. */
static void test_write_stall(void)
{
    struct raw raw;

    raw_init(&raw);
    put_request(&raw, 1, 0, NULL, 0);
    raw_feed(&raw);
    CU_ASSERT(rpc_conn_pending(raw.server).len > 0);
    rpc_conn_sent(raw.server, 1);
    raw.now_ms += 59 * 1000;
    rpc_conn_tick(raw.server);
    CU_ASSERT_EQUAL(raw.side.closes, 0);
    raw.now_ms += 1000;
    CU_ASSERT_EQUAL(rpc_conn_due_ms(raw.server), raw.now_ms);
    rpc_conn_tick(raw.server);
    CU_ASSERT_EQUAL(raw.side.closes, 1);
    CU_ASSERT_EQUAL(raw.side.status.code, RPC_CANCELLED);
    CU_ASSERT(rpc_conn_done(raw.server));
    raw_deinit(&raw);
}

/* A peer that reads but never opens its window. */
static void test_window_stall(void)
{
    static const uint8_t message[100000];
    struct raw raw;

    raw_init(&raw);
    put_request(&raw, 1, 0, NULL, 0);
    raw_feed(&raw);
    rpc_call_send(raw.side.call, rpc_bytes_view(message, sizeof message));
    raw_read(&raw);
    CU_ASSERT(raw.data_frames > 0);
    int64_t due_ms = rpc_conn_due_ms(raw.server);
    CU_ASSERT(due_ms > raw.now_ms && due_ms <= raw.now_ms + 300 * 1000);
    raw.now_ms = due_ms;
    rpc_conn_tick(raw.server);
    CU_ASSERT_EQUAL(raw.side.status.code, RPC_CANCELLED);
    raw_read(&raw);
    CU_ASSERT(rpc_conn_done(raw.server));
    raw_deinit(&raw);
}

/* A producer that never asks whether it may send. */
static void test_deaf_producer(void)
{
    static const uint8_t message[1000000];
    struct raw raw;
    unsigned sent = 0;

    raw_init(&raw);
    put_request(&raw, 1, 0, NULL, 0);
    raw_feed(&raw);
    rpc_call *call = raw.side.call;
    for (; sent < 100; sent++)
        rpc_call_send(call, rpc_bytes_view(message, sizeof message));
    CU_ASSERT_FALSE(rpc_call_writable(call));
    CU_ASSERT_EQUAL(raw.side.closes, 0);
    rpc_conn_free(raw.server);
    raw.server = NULL;
    CU_ASSERT_EQUAL(raw.side.closes, 1);
    raw_deinit(&raw);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_refusals),
        SUITE_TEST(test_oversize_by_prefix),
        SUITE_TEST(test_cut_off_message),
        SUITE_TEST(test_large_headers),
        SUITE_TEST(test_continuation_flood),
        SUITE_TEST(test_ping_flood_unread),
        SUITE_TEST(test_ping_flood_read),
        SUITE_TEST(test_settings_flood),
        SUITE_TEST(test_empty_data_flood),
        SUITE_TEST(test_rapid_reset),
        SUITE_TEST(test_stream_flood_before_settings),
        SUITE_TEST(test_stream_flood),
        SUITE_TEST(test_begun_messages),
        SUITE_TEST(test_garbage),
        SUITE_TEST(test_handshake_timer),
        SUITE_TEST(test_write_stall),
        SUITE_TEST(test_window_stall),
        SUITE_TEST(test_deaf_producer),
    };

    return suite_run("rpc_limits", tests, sizeof tests / sizeof tests[0]);
}
