/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a connection lives as long as its options say: dead links are noticed by
 * both ends, clients that ping too often are cut off and others are not, idle and
 * old connections are drained, and calls that a server did not look at are known.
 * Method: two connections in memory and a clock that the test moves; where a
 * client must misbehave, frames made by hand.
 */
#include "rpc_frames.h"
#include "rpc_pair.h"
#include "suite.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND };

/* ---- Keepalive --------------------------------------------------------------- */

static void keepalive_both(struct rpc_server_options *server, struct rpc_client_options *client)
{
    server->keepalive_time_ms = 10 * MINUTE;
    server->keepalive_timeout_ms = 20 * SECOND;
    client->keepalive_time_ms = MINUTE;
    client->keepalive_timeout_ms = 20 * SECOND;
    server->ping_interval_min_ms = 30 * SECOND;
}

static void test_a_silent_call_is_kept(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = keepalive_both});
    pair_call(&pair, 0);
    pair_settle(&pair);
    for (int i = 0; i < 120; i++)
        pair_advance(&pair, MINUTE);
    CU_ASSERT_EQUAL(pair.client_side.closes, 0);
    CU_ASSERT_EQUAL(pair.server_side.closes, 0);
    pair_deinit(&pair);
}

static void test_a_dead_server_is_noticed(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = keepalive_both});
    pair_call(&pair, 0);
    pair_settle(&pair);
    CU_ASSERT_EQUAL(rpc_conn_due_ms(pair.client), pair.now_ms + MINUTE);
    pair.now_ms += MINUTE;
    rpc_conn_tick(pair.client);
    CU_ASSERT(rpc_conn_pending(pair.client).len > 0);
    rpc_conn_sent(pair.client, rpc_conn_pending(pair.client).len);
    CU_ASSERT_EQUAL(rpc_conn_due_ms(pair.client), pair.now_ms + 20 * SECOND);
    pair.now_ms += 20 * SECOND;
    rpc_conn_tick(pair.client);
    CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_UNAVAILABLE);
    CU_ASSERT(rpc_conn_done(pair.client));
    pair_deinit(&pair);
}

/* Without a call a client does not ask: it awaits nothing. */
static void test_an_idle_client_is_silent(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = keepalive_both});
    pair_settle(&pair);
    CU_ASSERT_EQUAL(rpc_conn_due_ms(pair.client), -1);
    pair_deinit(&pair);
}

static void test_a_dead_client_is_noticed(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = keepalive_both});
    pair_call(&pair, 0);
    pair_settle(&pair);
    pair.now_ms += 10 * MINUTE;
    rpc_conn_tick(pair.server);
    rpc_conn_sent(pair.server, rpc_conn_pending(pair.server).len);
    pair.now_ms += 20 * SECOND - 1;
    rpc_conn_tick(pair.server);
    CU_ASSERT_EQUAL(pair.server_side.closes, 0);
    pair.now_ms += 1;
    rpc_conn_tick(pair.server);
    CU_ASSERT_EQUAL(pair.server_side.status.code, RPC_CANCELLED);
    CU_ASSERT(rpc_conn_done(pair.server));
    pair_deinit(&pair);
}

/* ---- PINGs of the peer ----------------------------------------------------------- */

static void eager_client(struct rpc_server_options *server, struct rpc_client_options *client)
{
    client->keepalive_time_ms = SECOND;
    client->keepalive_timeout_ms = SECOND;
    server->ping_interval_min_ms = 5 * MINUTE;
}

static void test_too_many_pings(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = eager_client});
    pair_call(&pair, 0);
    pair_settle(&pair);
    for (int i = 0; i < 3; i++) {
        pair_advance(&pair, SECOND);
        CU_ASSERT_EQUAL(pair.server_side.closes, 0);
    }
    pair_advance(&pair, SECOND);
    CU_ASSERT_EQUAL(pair.server_side.closes, 1);
    CU_ASSERT(rpc_conn_done(pair.server));
    CU_ASSERT_FALSE(rpc_conn_takes_calls(pair.client));
    rpc_conn_eof(pair.client);
    CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_UNAVAILABLE);
    pair_deinit(&pair);
}

/* A server that sends something in between has no reason to complain. */
static void test_pings_between_messages(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = eager_client});
    pair_call(&pair, 0);
    pair_settle(&pair);
    for (int i = 0; i < 20; i++) {
        pair_advance(&pair, SECOND);
        rpc_call_send(pair.server_side.call, rpc_bytes_view("x", 1));
        pair_settle(&pair);
    }
    CU_ASSERT_EQUAL(pair.server_side.closes, 0);
    CU_ASSERT_EQUAL(pair.client_side.messages, 20);
    pair_deinit(&pair);
}

/* ---- Idle time and age ------------------------------------------------------------- */

static void idle_a_minute(struct rpc_server_options *server, struct rpc_client_options *client)
{
    (void)client;
    server->connection_idle_ms = MINUTE;
}

static void test_idle_connections_are_drained(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = idle_a_minute});
    pair.server_side.finish_at_end = true;
    pair_settle(&pair);
    pair_call(&pair, 0);
    pair_settle(&pair);
    pair_advance(&pair, 10 * MINUTE);
    CU_ASSERT_FALSE(rpc_conn_done(pair.server)); /* a call is open */
    rpc_call_half_close(pair.client_side.call);
    pair_settle(&pair);
    CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_OK);
    pair_advance(&pair, MINUTE - 1);
    CU_ASSERT(rpc_conn_takes_calls(pair.client));
    pair_advance(&pair, 1);
    CU_ASSERT_FALSE(rpc_conn_takes_calls(pair.client));
    CU_ASSERT(rpc_conn_done(pair.server));
    CU_ASSERT(rpc_conn_done(pair.client));
    pair_deinit(&pair);
}

static uint64_t middle(void *context)
{
    (void)context;
    return 6 * SECOND; /* of a spread of 12 s: none */
}

static void age_a_minute(struct rpc_server_options *server, struct rpc_client_options *client)
{
    (void)client;
    server->connection_age_ms = MINUTE;
    server->connection_age_grace_ms = 10 * SECOND;
    server->random = (struct rpc_random){.next = middle};
}

/* Drained at its age, with calls going on; closed when the grace is over. */
static void test_old_connections_are_drained_then_closed(void)
{
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){.adjust = age_a_minute});
    pair.server_side.echo = true;
    rpc_call *call = pair_call(&pair, 0);
    pair_settle(&pair);
    pair_advance(&pair, MINUTE - 1);
    CU_ASSERT(rpc_conn_takes_calls(pair.client));
    pair_advance(&pair, 1);
    CU_ASSERT_FALSE(rpc_conn_takes_calls(pair.client));
    rpc_call_send(call, rpc_bytes_view("still", 5));
    pair_settle(&pair);
    CU_ASSERT_EQUAL(pair.client_side.messages, 1);
    pair_advance(&pair, 10 * SECOND - 1);
    CU_ASSERT_EQUAL(pair.client_side.closes, 0);
    pair_advance(&pair, 1);
    CU_ASSERT(rpc_conn_done(pair.server));
    CU_ASSERT_EQUAL(pair.server_side.status.code, RPC_CANCELLED);
    rpc_conn_eof(pair.client); /* what the driver sees */
    CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_UNAVAILABLE);
    pair_deinit(&pair);
}

/* ---- Calls that nobody looked at ------------------------------------------------------ */

static void note_unprocessed(void *context, rpc_call *call, const struct rpc_status *status,
                             struct rpc_metadata_list trailers)
{
    (void)trailers;
    *(int *)context = rpc_ok(status) ? -1 : rpc_call_unprocessed(call);
}

static rpc_call *call_noting(rpc_conn *conn, int *unprocessed)
{
    *unprocessed = -2;
    rpc_call *call =
        rpc_client_call(conn, &(struct rpc_call_options){.path = "/t/Echo",
                                                         .events = {.on_close = note_unprocessed},
                                                         .context = unprocessed});
    CU_ASSERT_PTR_NOT_NULL_FATAL(call);
    rpc_call_half_close(call);
    return call;
}

static void test_what_a_server_did_not_look_at(void)
{
    static const struct {
        enum frame_type type;
        uint32_t stream;
        uint8_t payload[8];
        size_t len;
        int unprocessed;
    } cases[] = {
        {RST_STREAM, 1, {0, 0, 0, 7}, 4, true},          /* REFUSED_STREAM */
        {RST_STREAM, 1, {0, 0, 0, 2}, 4, false},         /* INTERNAL_ERROR */
        {GOAWAY, 0, {0}, 8, true},                       /* up to none */
        {GOAWAY, 0, {0, 0, 0, 1, 0, 0, 0, 0}, 8, false}, /* up to this one */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rpc_buffer out;
        struct pair pair;
        struct rpc_method method;
        int unprocessed;

        pair_init(&pair, &method, &(struct pair_options){0});
        rpc_buffer_init(&out, 1000);
        put_frame(&out, SETTINGS, 0, 0, NULL, 0);
        put_frame(&out, cases[i].type, 0, cases[i].stream, cases[i].payload, cases[i].len);
        call_noting(pair.client, &unprocessed);
        rpc_conn_sent(pair.client, rpc_conn_pending(pair.client).len);
        (void)rpc_conn_recv(pair.client, rpc_buffer_view(&out));
        rpc_conn_eof(pair.client);
        CU_ASSERT_EQUAL(unprocessed, cases[i].unprocessed);
        rpc_buffer_deinit(&out);
        pair_deinit(&pair);
    }
}

/* The server admits one call: the second waits here, and never left. */
static void test_calls_that_wait_for_their_turn(void)
{
    static const uint8_t one_call[6] = {0, 3, 0, 0, 0, 1};
    struct rpc_buffer out;
    struct pair pair;
    struct rpc_method method;
    int first, second;

    pair_init(&pair, &method, &(struct pair_options){0});
    rpc_buffer_init(&out, 1000);
    put_frame(&out, SETTINGS, 0, 0, one_call, sizeof one_call);
    (void)rpc_conn_recv(pair.client, rpc_buffer_view(&out));
    call_noting(pair.client, &first);
    call_noting(pair.client, &second);
    rpc_conn_sent(pair.client, rpc_conn_pending(pair.client).len);
    CU_ASSERT_EQUAL(second, -2);
    rpc_conn_eof(pair.client);
    CU_ASSERT_EQUAL(first, false);
    CU_ASSERT_EQUAL(second, true);
    rpc_buffer_deinit(&out);
    pair_deinit(&pair);
}

/* ---- Header lists --------------------------------------------------------------------- */

/* More than the peer said it takes is not sent at all. */
static void test_metadata_that_the_server_would_not_take(void)
{
    static const uint8_t small_list[6] = {0, 6, 0, 0, 1, 0}; /* 256 bytes */
    struct rpc_buffer out;
    struct pair pair;
    struct rpc_method method;

    pair_init(&pair, &method, &(struct pair_options){0});
    rpc_buffer_init(&out, 1000);
    put_frame(&out, SETTINGS, 0, 0, small_list, sizeof small_list);
    (void)rpc_conn_recv(pair.client, rpc_buffer_view(&out));
    pair_call(&pair, 0);
    (void)rpc_conn_pending(pair.client);
    CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_RESOURCE_EXHAUSTED);
    rpc_buffer_deinit(&out);
    pair_deinit(&pair);
}

static void send_much_metadata(void *service, rpc_call *call, struct rpc_call_events *events_out,
                               void **context_out)
{
    static const uint8_t value[RPC_HEADER_BYTES_MAX - 100];
    const bool *trailing = service;

    (void)context_out;
    *events_out = (struct rpc_call_events){0};
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "a-bin" : "b-bin";
        struct rpc_bytes half = rpc_bytes_view(value, sizeof value / 2);
        if (*trailing)
            rpc_call_add_trailer(call, name, half);
        else
            rpc_call_add_metadata(call, name, half);
    }
    rpc_call_finish(call, rpc_status_ok());
}

/* base64 makes it too large for the client: it gets the status without it. */
static void test_metadata_that_the_client_would_not_take(void)
{
    for (int i = 0; i < 2; i++) {
        bool trailing = i == 1;
        struct pair pair;
        struct rpc_method method;

        pair_init(&pair, &method,
                  &(struct pair_options){.method = {"/t/Echo", send_much_metadata, &trailing}});
        pair_settle(&pair); /* the client's SETTINGS first */
        rpc_call_half_close(pair_call(&pair, 0));
        pair_settle(&pair);
        CU_ASSERT_EQUAL(pair.client_side.closes, 1);
        CU_ASSERT_EQUAL(pair.client_side.status.code, RPC_RESOURCE_EXHAUSTED);
        CU_ASSERT_PTR_NOT_NULL(strstr(pair.client_side.status.message, "than the client takes"));
        pair_deinit(&pair);
    }
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_a_silent_call_is_kept),
        SUITE_TEST(test_a_dead_server_is_noticed),
        SUITE_TEST(test_an_idle_client_is_silent),
        SUITE_TEST(test_a_dead_client_is_noticed),
        SUITE_TEST(test_too_many_pings),
        SUITE_TEST(test_pings_between_messages),
        SUITE_TEST(test_idle_connections_are_drained),
        SUITE_TEST(test_old_connections_are_drained_then_closed),
        SUITE_TEST(test_what_a_server_did_not_look_at),
        SUITE_TEST(test_calls_that_wait_for_their_turn),
        SUITE_TEST(test_metadata_that_the_server_would_not_take),
        SUITE_TEST(test_metadata_that_the_client_would_not_take),
    };

    return suite_run("rpc_life", tests, sizeof tests / sizeof tests[0]);
}
