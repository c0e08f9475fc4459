/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: whatever a server sends, a call ends with the status that gRPC
 * prescribes: proxies without gRPC, resets, trailers that are missing or wrong,
 * a server that goes away. Method: a client connection without TLS is fed
 * frames made by hand.
 */
#include "rpc_frames.h"
#include "rpc_pair.h"
#include "suite.h"

struct reply {
    rpc_conn *client;
    struct side side;
    struct rpc_buffer out;
    int64_t now_ms;
};

static int64_t reply_now_ms(void *context)
{
    return ((struct reply *)context)->now_ms;
}

static void start_call(struct reply *reply, int64_t timeout_ms)
{
    struct rpc_call_options options = {.path = "/t/Call",
                                       .timeout_ms = timeout_ms,
                                       .events = side_events,
                                       .context = &reply->side};

    reply->side.call = rpc_client_call(reply->client, &options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(reply->side.call);
    rpc_call_send(reply->side.call, rpc_bytes_view("request", 7));
    rpc_call_half_close(reply->side.call);
    rpc_conn_sent(reply->client, rpc_conn_pending(reply->client).len);
}

static void reply_init(struct reply *reply)
{
    struct rpc_client_options options;

    *reply = (struct reply){.now_ms = 1};
    rpc_buffer_init(&reply->out, 100000);
    rpc_client_options_init_default(&options);
    options.authority = "raw:1";
    options.clock = (struct rpc_clock){reply_now_ms, reply};
    reply->client = rpc_client_conn_new(&options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(reply->client);
    put_frame(&reply->out, SETTINGS, 0, 0, NULL, 0);
    start_call(reply, 0);
}

/* Feeds what was put, and lets the client say what it has to. */
static void reply_feed(struct reply *reply)
{
    struct rpc_bytes pending;

    (void)rpc_conn_recv(reply->client, rpc_buffer_view(&reply->out));
    rpc_buffer_clear(&reply->out);
    while ((pending = rpc_conn_pending(reply->client)).len > 0)
        rpc_conn_sent(reply->client, pending.len);
}

static void reply_deinit(struct reply *reply)
{
    rpc_conn_free(reply->client);
    rpc_buffer_deinit(&reply->out);
    rpc_buffer_deinit(&reply->side.last);
    CU_ASSERT(reply->side.closes >= 1);
}

static void put_block(struct reply *reply, int flags, const struct field *fields)
{
    struct rpc_buffer block;

    rpc_buffer_init(&block, 20000);
    for (; fields->name != NULL; fields++)
        put_field(&block, fields->name, fields->value);
    put_frame(&reply->out, HEADERS, flags | END_HEADERS, 1, block.data, block.len);
    rpc_buffer_deinit(&block);
}

static void put_reply_message(struct reply *reply, int flags, int compressed, const char *body)
{
    uint8_t framed[100] = {(uint8_t)compressed, 0, 0, 0, (uint8_t)strlen(body)};

    memcpy(framed + 5, body, strlen(body));
    put_frame(&reply->out, DATA, flags, 1, framed, 5 + strlen(body));
}

static const struct field good_headers[] = {
    {":status", "200"}, {"content-type", "application/grpc+proto"}, {NULL, NULL}};

/* ---- One block is the whole answer ---------------------------------------- */

static void test_single_blocks(void)
{
    static const struct {
        struct field fields[4];
        enum rpc_code code;
    } cases[] = {
        {{{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "5"}},
         RPC_NOT_FOUND},
        {{{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "0"}}, RPC_OK},
        {{{":status", "200"}, {"content-type", "application/grpc"}, {"grpc-status", "77"}},
         RPC_UNKNOWN},
        {{{":status", "200"}, {"content-type", "application/grpc"}}, RPC_UNKNOWN},
        {{{":status", "400"}}, RPC_INTERNAL},
        {{{":status", "401"}}, RPC_UNAUTHENTICATED},
        {{{":status", "403"}}, RPC_PERMISSION_DENIED},
        {{{":status", "404"}}, RPC_UNIMPLEMENTED},
        {{{":status", "429"}}, RPC_UNAVAILABLE},
        {{{":status", "502"}, {"content-type", "text/html"}}, RPC_UNAVAILABLE},
        {{{":status", "503"}, {"grpc-status", "7"}}, RPC_PERMISSION_DENIED},
        {{{":status", "500"}}, RPC_UNKNOWN},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reply reply;

        reply_init(&reply);
        put_block(&reply, END_STREAM, cases[i].fields);
        reply_feed(&reply);
        CU_ASSERT_EQUAL(reply.side.closes, 1);
        CU_ASSERT_EQUAL(reply.side.status.code, cases[i].code);
        CU_ASSERT_EQUAL(reply.side.metadata_seen, 0);
        reply_deinit(&reply);
    }
}

/* A captive portal's page: refused at its headers, whatever follows. */
static void test_not_grpc(void)
{
    static const struct field portal[] = {
        {":status", "200"}, {"content-type", "text/html"}, {NULL, NULL}};
    static const struct field proxy[] = {{":status", "503"}, {NULL, NULL}};
    struct reply reply;

    reply_init(&reply);
    put_block(&reply, 0, portal);
    put_frame(&reply.out, DATA, END_STREAM, 1, "<html>", 6);
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_UNKNOWN);
    CU_ASSERT_EQUAL(reply.side.messages, 0);
    reply_deinit(&reply);
    reply_init(&reply);
    put_block(&reply, 0, proxy);
    put_frame(&reply.out, DATA, END_STREAM, 1, "busy", 4);
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_UNAVAILABLE);
    reply_deinit(&reply);
}

/* ---- Streams that end wrongly --------------------------------------------- */

static void test_interim_answer(void)
{
    static const struct field interim[] = {{":status", "103"}, {"x-early", "1"}, {NULL, NULL}};
    static const struct field trailers[] = {{"grpc-status", "0"}, {NULL, NULL}};
    struct reply reply;

    reply_init(&reply);
    put_block(&reply, 0, interim);
    put_block(&reply, 0, good_headers);
    put_reply_message(&reply, 0, 0, "answer");
    put_block(&reply, END_STREAM, trailers);
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.metadata_seen, 1);
    CU_ASSERT_EQUAL(reply.side.messages, 1);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_OK);
    reply_deinit(&reply);
}

/* No trailers, a status only in the first headers, a message cut off, an
 * encoding nobody asked for: never OK. */
static void test_never_ok(void)
{
    static const struct field status_too_early[] = {{":status", "200"},
                                                    {"content-type", "application/grpc"},
                                                    {"grpc-status", "0"},
                                                    {NULL, NULL}};
    static const struct field unasked[] = {{":status", "200"},
                                           {"content-type", "application/grpc"},
                                           {"grpc-encoding", "br"},
                                           {NULL, NULL}};
    static const struct field trailers[] = {{"grpc-status", "0"}, {NULL, NULL}};
    struct reply reply;

    reply_init(&reply);
    put_block(&reply, 0, good_headers);
    put_reply_message(&reply, END_STREAM, 0, "answer");
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.messages, 1);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_UNKNOWN);
    reply_deinit(&reply);
    reply_init(&reply);
    put_block(&reply, 0, status_too_early);
    put_reply_message(&reply, END_STREAM, 0, "answer");
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_UNKNOWN);
    reply_deinit(&reply);
    reply_init(&reply);
    put_block(&reply, 0, good_headers);
    put_frame(&reply.out, DATA, 0, 1, "\0\0\0\0\11cut", 8);
    put_block(&reply, END_STREAM, trailers);
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_INTERNAL);
    reply_deinit(&reply);
    reply_init(&reply);
    put_block(&reply, 0, unasked);
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_INTERNAL);
    reply_deinit(&reply);
    reply_init(&reply);
    put_block(&reply, 0, good_headers);
    put_reply_message(&reply, 0, 1, "flagged, not compressed");
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_INTERNAL);
    reply_deinit(&reply);
}

static void test_resets(void)
{
    static const struct {
        uint8_t error;
        enum rpc_code code;
    } cases[] = {{0, RPC_INTERNAL},
                 {1, RPC_INTERNAL},
                 {7, RPC_UNAVAILABLE},
                 {8, RPC_CANCELLED},
                 {11, RPC_RESOURCE_EXHAUSTED},
                 {12, RPC_PERMISSION_DENIED}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint8_t payload[4] = {0, 0, 0, cases[i].error};
        struct reply reply;

        reply_init(&reply);
        put_block(&reply, 0, good_headers);
        put_frame(&reply.out, RST_STREAM, 0, 1, payload, sizeof payload);
        reply_feed(&reply);
        CU_ASSERT_EQUAL(reply.side.closes, 1);
        CU_ASSERT_EQUAL(reply.side.status.code, cases[i].code);
        reply_deinit(&reply);
    }
}

/* Reset by a server whose deadline passed first: still the deadline. */
static void test_reset_at_the_deadline(void)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    struct reply reply;

    reply_init(&reply);
    start_call(&reply, 50);
    reply.now_ms += 50;
    put_frame(&reply.out, RST_STREAM, 0, 3, cancel, sizeof cancel);
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_DEADLINE_EXCEEDED);
    reply_deinit(&reply);
}

/* The server goes away: calls it never saw may be tried elsewhere, no new one
 * starts, and the connection is over. */
static void test_goaway(void)
{
    static const uint8_t saw_none[8] = {0};
    struct reply reply;

    reply_init(&reply);
    put_frame(&reply.out, GOAWAY, 0, 0, saw_none, sizeof saw_none);
    reply_feed(&reply);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_UNAVAILABLE);
    CU_ASSERT_PTR_NULL(
        rpc_client_call(reply.client, &(struct rpc_call_options){.path = "/t/Call"}));
    CU_ASSERT(rpc_conn_done(reply.client));
    reply_deinit(&reply);
}

/* Bytes that are no HTTP/2 at all. */
static void test_garbage(void)
{
    struct reply reply;

    reply_init(&reply);
    rpc_buffer_clear(&reply.out);
    rpc_buffer_append(&reply.out, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    reply_feed(&reply);
    rpc_conn_eof(reply.client);
    CU_ASSERT_EQUAL(reply.side.status.code, RPC_UNAVAILABLE);
    CU_ASSERT(rpc_conn_done(reply.client));
    reply_deinit(&reply);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_single_blocks),  SUITE_TEST(test_not_grpc),
        SUITE_TEST(test_interim_answer), SUITE_TEST(test_never_ok),
        SUITE_TEST(test_resets),         SUITE_TEST(test_reset_at_the_deadline),
        SUITE_TEST(test_goaway),         SUITE_TEST(test_garbage),
    };

    return suite_run("rpc_replies", tests, sizeof tests / sizeof tests[0]);
}
