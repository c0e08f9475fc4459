/* SPDX-License-Identifier: Apache-2.0
 *
 * Every allocation of the runtime fails, once and from then on, through a unary and a
 * streaming call, on both sides at once: each call still comes to an end, with a status
 * that says so, exactly once, and nothing is leaked (the sanitizers' build looks). What
 * the libraries beneath allocate by themselves is not among them.
 */
#include "failing_memory.h"
#include "outpost/rpc.h"
#include "suite.h"

#include <stdio.h>

enum {
    MESSAGES = 3,          /* of the streaming call */
    MESSAGE_BYTES = 20000, /* more than what buffers begin with */
    FOREVER = 1000000,
    TURNS_MAX = 10000,
};

struct exchange {
    rpc_conn *client, *server;
    unsigned answered, closes;
    struct rpc_status status;
};

static int64_t no_time(void *context)
{
    (void)context;
    return 1;
}

/* ---- The server's end: an echo ------------------------------------------------ */

static void echo(void *context, rpc_call *call, struct rpc_bytes message)
{
    (void)context;
    rpc_call_send(call, message);
}

static void end_well(void *context, rpc_call *call)
{
    (void)context;
    rpc_call_finish(call, rpc_status_ok());
}

static void open_echo(void *service, rpc_call *call, struct rpc_call_events *events_out,
                      void **context_out)
{
    static const struct rpc_call_events events = {.on_message = echo, .on_half_close = end_well};

    (void)call;
    *events_out = events;
    *context_out = service;
}

/* ---- The client's end ----------------------------------------------------------- */

static void count_answer(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct exchange *exchange = context;

    (void)call;
    exchange->answered += message.len == MESSAGE_BYTES;
}

static void note_end(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    struct exchange *exchange = context;

    (void)call, (void)trailers;
    exchange->closes++;
    exchange->status = *status;
}

/* ---- One exchange ------------------------------------------------------------------ */

static bool carry(rpc_conn *from, rpc_conn *to)
{
    struct rpc_bytes pending = rpc_conn_pending(from);

    if (pending.len == 0)
        return false;
    struct rpc_status status = rpc_conn_recv(to, pending);
    (void)status; /* shows in the call */
    rpc_conn_sent(from, pending.len);
    return true;
}

/* Until nothing moves; an end that is done closes its socket. */
static void settle(struct exchange *exchange)
{
    bool server_closed = false, client_closed = false;

    for (int i = 0; i < TURNS_MAX; i++) {
        bool moved = carry(exchange->client, exchange->server);
        moved = carry(exchange->server, exchange->client) || moved;
        if (!moved && !server_closed && rpc_conn_done(exchange->server)) {
            rpc_conn_eof(exchange->client);
            server_closed = moved = true;
        }
        if (!moved && !client_closed && rpc_conn_done(exchange->client)) {
            rpc_conn_eof(exchange->server);
            client_closed = moved = true;
        }
        if (!moved)
            return;
    }
    CU_FAIL("the connection does not come to rest");
}

static rpc_call *begin(struct exchange *exchange, struct rpc_method *method)
{
    static const struct rpc_call_events events = {.on_message = count_answer, .on_close = note_end};
    struct rpc_client_options client;
    struct rpc_server_options server;

    rpc_client_options_init_default(&client);
    rpc_server_options_init_default(&server);
    client.authority = "server.example:443";
    client.clock = server.clock = (struct rpc_clock){no_time, NULL};
    *method = (struct rpc_method){"/t/Echo", open_echo, exchange};
    server.methods = method;
    server.method_count = 1;
    exchange->client = rpc_client_conn_new(&client);
    exchange->server = rpc_server_conn_new(&server);
    if (exchange->client == NULL || exchange->server == NULL)
        return NULL;
    struct rpc_call_options options = {.path = "/t/Echo", .events = events, .context = exchange};
    return rpc_client_call(exchange->client, &options);
}

/* False: no allocation failed, so there are no more to try. */
static bool run(unsigned messages, bool compressed, uint64_t nth, uint64_t count)
{
    struct exchange exchange = {0};
    struct rpc_method method;

    static const uint8_t message[MESSAGE_BYTES];

    failing_memory_plan(nth, count);
    failing_memory_enter();
    rpc_call *call = begin(&exchange, &method);
    if (call != NULL && compressed)
        rpc_call_set_encoding(call, RPC_ENCODING_GZIP);
    for (unsigned i = 0; call != NULL && exchange.closes == 0 && i < messages; i++)
        rpc_call_send(call, rpc_bytes_view(message, sizeof message));
    if (call != NULL && exchange.closes == 0)
        rpc_call_half_close(call);
    if (call != NULL)
        settle(&exchange);
    failing_memory_leave();
    bool failed = failing_memory_failed() > 0;
    failing_memory_plan(0, 0);

    if (call != NULL && exchange.closes != 1)
        printf("allocation %u, %u in a row: %u ends\n", (unsigned)nth, (unsigned)count,
               exchange.closes);
    CU_ASSERT_EQUAL(exchange.closes, call != NULL);
    if (call != NULL && rpc_ok(&exchange.status))
        CU_ASSERT_EQUAL(exchange.answered, messages);
    if (!failed)
        CU_ASSERT(call != NULL && rpc_ok(&exchange.status));
    if (call != NULL && !rpc_ok(&exchange.status))
        CU_ASSERT(exchange.status.message[0] != '\0');
    if (exchange.client != NULL)
        rpc_conn_free(exchange.client);
    if (exchange.server != NULL)
        rpc_conn_free(exchange.server);
    return failed;
}

static void try_all(unsigned messages, bool compressed)
{
    uint64_t tried = 0;

    for (uint64_t nth = 1; run(messages, compressed, nth, 1); nth++)
        tried++;
    for (uint64_t nth = 1; run(messages, compressed, nth, FOREVER); nth++)
        continue;
    printf("%u messages%s: %u allocations\n", messages, compressed ? ", compressed" : "",
           (unsigned)tried);
    CU_ASSERT(tried > 10);
}

static void test_a_unary_call_without_memory(void)
{
    try_all(1, false);
    try_all(1, true);
}

static void test_a_streaming_call_without_memory(void)
{
    try_all(MESSAGES, false);
    try_all(MESSAGES, true);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_a_unary_call_without_memory),
        SUITE_TEST(test_a_streaming_call_without_memory),
    };

    return suite_run("rpc_memory", tests, sizeof tests / sizeof tests[0]);
}
