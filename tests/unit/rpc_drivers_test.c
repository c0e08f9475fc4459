/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: the two drivers move bytes over real sockets: the blocking channel and
 * the libuv listener, also when the answer comes from another thread. Method: a
 * listener on a loop in a thread of its own, port picked by the system; the
 * test is the client. Nothing here races a clock: timeouts are only waited for.
 */
#include "outpost/rpc_channel.h"
#include "outpost/rpc_target.h"
#include "outpost/rpc_uv.h"
#include "suite.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- The server ---------------------------------------------------------- */

enum { QUEUE_MAX = 1000 };

static struct {
    pthread_t thread;
    uv_loop_t loop;
    rpc_uv_listener *listener;
    char address[64];
    uv_async_t stop;
    /* Calls whose answer is made by another thread, like a database's. */
    uv_async_t completed;
    pthread_mutex_t lock;
    rpc_call *completions[QUEUE_MAX];
    size_t completion_count;
    unsigned closes;
    atomic_uint opens;
} server;

static void on_message_now(void *context, rpc_call *call, struct rpc_bytes message)
{
    (void)context;
    rpc_call_send(call, message);
    rpc_call_finish(call, rpc_status_ok());
}

static void *complete_elsewhere(void *call)
{
    pthread_mutex_lock(&server.lock);
    server.completions[server.completion_count++] = call;
    pthread_mutex_unlock(&server.lock);
    uv_async_send(&server.completed);
    return NULL;
}

static void on_message_later(void *context, rpc_call *call, struct rpc_bytes message)
{
    pthread_t thread;

    (void)context, (void)message;
    if (pthread_create(&thread, NULL, complete_elsewhere, call) != 0)
        abort();
    pthread_detach(thread);
}

static void on_completed(uv_async_t *async)
{
    (void)async;
    pthread_mutex_lock(&server.lock);
    while (server.completion_count > 0) {
        rpc_call *call = server.completions[--server.completion_count];
        rpc_call_send(call, rpc_bytes_view("later", 5));
        rpc_call_finish(call, rpc_status_ok());
    }
    pthread_mutex_unlock(&server.lock);
}

static void on_server_close(void *context, rpc_call *call, const struct rpc_status *status,
                            struct rpc_metadata_list trailers)
{
    (void)context, (void)call, (void)status, (void)trailers;
    server.closes++;
}

static void on_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                    void **context_out)
{
    (void)call, (void)context_out;
    atomic_fetch_add(&server.opens, 1);
    *events_out = (struct rpc_call_events){
        .on_message = *(void (**)(void *, rpc_call *, struct rpc_bytes))service,
        .on_close = on_server_close,
    };
}

static void on_drained(void *context)
{
    (void)context;
    uv_close((uv_handle_t *)&server.stop, NULL);
    uv_close((uv_handle_t *)&server.completed, NULL);
}

static void on_stop(uv_async_t *async)
{
    (void)async;
    rpc_uv_listener_drain(server.listener, 100, on_drained, NULL);
}

static void *run_loop(void *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    return NULL;
}

static void start_server_at(const char *address)
{
    static void (*now)(void *, rpc_call *, struct rpc_bytes) = on_message_now;
    static void (*later)(void *, rpc_call *, struct rpc_bytes) = on_message_later;
    static void (*never)(void *, rpc_call *, struct rpc_bytes) = NULL;
    static struct rpc_method methods[3];
    struct rpc_server_options options;

    methods[0] = (struct rpc_method){"/t/Now", on_open, &now};
    methods[1] = (struct rpc_method){"/t/Later", on_open, &later};
    methods[2] = (struct rpc_method){"/t/Never", on_open, &never};
    rpc_server_options_init_default(&options);
    options.methods = methods;
    options.method_count = 3;
    uv_loop_init(&server.loop);
    uv_async_init(&server.loop, &server.stop, on_stop);
    uv_async_init(&server.loop, &server.completed, on_completed);
    pthread_mutex_init(&server.lock, NULL);
    server.closes = 0;
    atomic_store(&server.opens, 0);
    struct rpc_status status = rpc_uv_listen(&server.loop, address, &options, &server.listener);
    CU_ASSERT_FATAL(rpc_ok(&status));
    snprintf(server.address, sizeof server.address, "%s", rpc_uv_listener_address(server.listener));
    CU_ASSERT_FATAL(pthread_create(&server.thread, NULL, run_loop, &server.loop) == 0);
}

static void start_server(void)
{
    start_server_at("127.0.0.1:0");
}

/* Drains; the thread ends when every connection has. */
static void stop_server(void)
{
    uv_async_send(&server.stop);
    pthread_join(server.thread, NULL);
    rpc_uv_listener_free(server.listener);
    CU_ASSERT_EQUAL(uv_loop_close(&server.loop), 0);
    pthread_mutex_destroy(&server.lock);
}

/* ---- The client ---------------------------------------------------------- */

struct tally {
    unsigned closes;
    unsigned expected;
    unsigned good;
    bool cancel;
    enum rpc_code last;
};

static void on_client_close(void *context, rpc_call *call, const struct rpc_status *status,
                            struct rpc_metadata_list trailers)
{
    struct tally *tally = context;

    (void)call, (void)trailers;
    tally->closes++;
    tally->good += rpc_ok(status);
    tally->last = status->code;
}

static bool all_closed(void *context)
{
    struct tally *tally = context;

    return tally->closes == tally->expected;
}

static bool is_cancelled(void *context)
{
    return ((struct tally *)context)->cancel;
}

static rpc_channel *open_channel(struct tally *tally, int64_t stall_timeout_ms)
{
    struct rpc_channel_options options;
    rpc_channel *channel = NULL;

    rpc_channel_options_init_default(&options);
    options.address = server.address;
    options.cancelled = is_cancelled;
    options.context = tally;
    if (stall_timeout_ms > 0)
        options.stall_timeout_ms = stall_timeout_ms;
    struct rpc_status status = rpc_channel_open(&options, &channel);
    CU_ASSERT_FATAL(rpc_ok(&status));
    return channel;
}

static rpc_call *start_call(rpc_channel *channel, const char *path, struct tally *tally)
{
    struct rpc_call_options options = {
        .path = path, .events = {.on_close = on_client_close}, .context = tally};
    rpc_call *call = rpc_client_call(rpc_channel_conn(channel), &options);

    CU_ASSERT_PTR_NOT_NULL_FATAL(call);
    rpc_call_send(call, rpc_bytes_view("hello", 5));
    rpc_call_half_close(call);
    tally->expected++;
    return call;
}

/* ---- Tests --------------------------------------------------------------- */

static void test_many_connections(void)
{
    enum { CHANNELS = 50 };
    rpc_channel *channels[CHANNELS];
    struct tally tally = {0};

    start_server();
    for (int i = 0; i < CHANNELS; i++)
        channels[i] = open_channel(&tally, 0);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < CHANNELS; i++) {
            start_call(channels[i], round % 2 == 0 ? "/t/Now" : "/t/Later", &tally);
            struct rpc_status status = rpc_channel_run(channels[i], all_closed, &tally);
            CU_ASSERT(rpc_ok(&status));
        }
    }
    CU_ASSERT_EQUAL(tally.good, 20 * CHANNELS);
    for (int i = 0; i < CHANNELS; i++)
        rpc_channel_close(channels[i]);
    stop_server();
    CU_ASSERT_EQUAL(server.closes, 20 * CHANNELS);
}

/* Answers that other threads complete go out at the end of the loop's turn. */
static void test_completions_from_another_thread(void)
{
    struct tally tally = {0};

    start_server();
    rpc_channel *channel = open_channel(&tally, 0);
    for (int i = 0; i < 300; i++)
        start_call(channel, "/t/Later", &tally);
    struct rpc_status status = rpc_channel_run(channel, all_closed, &tally);
    CU_ASSERT(rpc_ok(&status));
    CU_ASSERT_EQUAL(tally.good, 300);
    rpc_channel_close(channel);
    stop_server();
}

/* Who asks once more when told of an end. */
static struct {
    rpc_channel *channel;
    unsigned left, arrived;
} asking;

static bool await_opens(unsigned count)
{
    static const struct timespec step = {.tv_nsec = 1000000};

    for (int i = 0; i < 10000 && atomic_load(&server.opens) < count; i++)
        nanosleep(&step, NULL);
    return atomic_load(&server.opens) >= count;
}

static void on_close_and_ask(void *context, rpc_call *call, const struct rpc_status *status,
                             struct rpc_metadata_list trailers)
{
    on_client_close(context, call, status, trailers);
    if (asking.left == 0)
        return;
    asking.left--;
    unsigned before = atomic_load(&server.opens);
    start_call(asking.channel, "/t/Now", context);
    rpc_channel_flush(asking.channel);
    asking.arrived += await_opens(before + 1);
}

/* What an event sends and flushes is at the server before the event is over, though other
 * events wait for their turn. */
static void test_flush_inside_an_event(void)
{
    enum { CALLS = 100, ASKED_AGAIN = 5 };
    struct tally tally = {.expected = CALLS};
    struct rpc_call_options options = {
        .path = "/t/Now", .events = {.on_close = on_close_and_ask}, .context = &tally};

    start_server();
    asking.channel = open_channel(&tally, 0);
    asking.left = ASKED_AGAIN;
    for (int i = 0; i < CALLS; i++) {
        rpc_call *call = rpc_client_call(rpc_channel_conn(asking.channel), &options);
        CU_ASSERT_PTR_NOT_NULL_FATAL(call);
        rpc_call_send(call, rpc_bytes_view("hello", 5));
        rpc_call_half_close(call);
    }
    rpc_channel_flush(asking.channel);
    CU_ASSERT(await_opens(CALLS)); /* so that all ends come in one read */
    struct rpc_status status = rpc_channel_run(asking.channel, all_closed, &tally);
    CU_ASSERT(rpc_ok(&status));
    CU_ASSERT_EQUAL(tally.good, CALLS + ASKED_AGAIN);
    CU_ASSERT_EQUAL(asking.arrived, ASKED_AGAIN);
    rpc_channel_close(asking.channel);
    stop_server();
}

/* The grace of the drain ends a call that nothing else would. */
static void test_drain_ends_what_hangs(void)
{
    struct tally tally = {0};

    start_server();
    rpc_channel *channel = open_channel(&tally, 0);
    start_call(channel, "/t/Now", &tally);
    rpc_channel_run(channel, all_closed, &tally);
    start_call(channel, "/t/Never", &tally);
    uv_async_send(&server.stop);
    rpc_channel_run(channel, all_closed, &tally);
    CU_ASSERT_EQUAL(tally.last, RPC_UNAVAILABLE);
    rpc_channel_close(channel);
    pthread_join(server.thread, NULL);
    rpc_uv_listener_free(server.listener);
    CU_ASSERT_EQUAL(uv_loop_close(&server.loop), 0);
    pthread_mutex_destroy(&server.lock);
}

static void test_cancelled_while_waiting(void)
{
    struct tally tally = {0};

    start_server();
    rpc_channel *channel = open_channel(&tally, 0);
    start_call(channel, "/t/Never", &tally);
    tally.cancel = true;
    struct rpc_status status = rpc_channel_run(channel, all_closed, &tally);
    CU_ASSERT_EQUAL(status.code, RPC_CANCELLED);
    CU_ASSERT_EQUAL(tally.closes, 0);
    rpc_channel_close(channel);
    CU_ASSERT_EQUAL(tally.closes, 1);
    stop_server();
}

/* A port of our own, whose address is server.address. */
static int bind_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CU_ASSERT_FATAL(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    getsockname(fd, (struct sockaddr *)&address, &len);
    snprintf(server.address, sizeof server.address, "127.0.0.1:%u", ntohs(address.sin_port));
    return fd;
}

/* A peer that accepts and says nothing is given up. */
static void test_stall(void)
{
    int fd = bind_port();
    struct tally tally = {0};

    CU_ASSERT_FATAL(listen(fd, 1) == 0);
    rpc_channel *channel = open_channel(&tally, 100);
    start_call(channel, "/t/Now", &tally);
    rpc_channel_run(channel, all_closed, &tally);
    CU_ASSERT_EQUAL(tally.last, RPC_UNAVAILABLE);
    rpc_channel_close(channel);
    close(fd);
}

/* A silent call of a live peer is kept, past the stall timeout: PINGs ask. The
 * peer has two seconds to answer one. */
static void test_kept_alive(void)
{
    struct rpc_call_options options = {
        .path = "/t/Never", .timeout_ms = 4500, .events = {.on_close = on_client_close}};
    struct tally tally = {.expected = 1};

    start_server();
    rpc_channel *channel = open_channel(&tally, 4000);
    options.context = &tally;
    rpc_call_send(rpc_client_call(rpc_channel_conn(channel), &options), rpc_bytes_view("", 0));
    struct rpc_status status = rpc_channel_run(channel, all_closed, &tally);
    CU_ASSERT(rpc_ok(&status));
    CU_ASSERT_EQUAL(tally.last, RPC_DEADLINE_EXCEEDED);
    rpc_channel_close(channel);
    stop_server();
}

static void test_cannot_connect(void)
{
    struct rpc_channel_options options;
    rpc_channel *channel = NULL;
    int fd = bind_port();

    rpc_channel_options_init_default(&options);
    options.address = server.address; /* taken, and nobody listens */
    CU_ASSERT_EQUAL(rpc_channel_open(&options, &channel).code, RPC_UNAVAILABLE);
    options.address = "no-such-host.invalid:1";
    CU_ASSERT_EQUAL(rpc_channel_open(&options, &channel).code, RPC_UNAVAILABLE);
    options.address = "no port";
    CU_ASSERT_EQUAL(rpc_channel_open(&options, &channel).code, RPC_INVALID_ARGUMENT);
    CU_ASSERT_PTR_NULL(channel);
    close(fd);
}

/* Freed before anything came, and refused addresses. */
static void test_listener_alone(void)
{
    struct rpc_server_options options;
    rpc_uv_listener *listener = NULL;
    rpc_uv_listener *second = NULL;
    uv_loop_t loop;

    rpc_server_options_init_default(&options);
    uv_loop_init(&loop);
    struct rpc_status status = rpc_uv_listen(&loop, "[::1]:0", &options, &listener);
    if (!rpc_ok(&status)) /* a machine without IPv6 */
        status = rpc_uv_listen(&loop, "127.0.0.1:0", &options, &listener);
    CU_ASSERT_FATAL(rpc_ok(&status));
    status = rpc_uv_listen(&loop, rpc_uv_listener_address(listener), &options, &second);
    CU_ASSERT_EQUAL(status.code, RPC_UNAVAILABLE);
    status = rpc_uv_listen(&loop, "nonsense", &options, &second);
    CU_ASSERT_EQUAL(status.code, RPC_INVALID_ARGUMENT);
    CU_ASSERT_PTR_NULL(second);
    rpc_uv_listener_free(listener);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

/* ---- A target --------------------------------------------------------------- */

/* Asked while the target waits: the third time the server is there. */
static bool start_at_last(void *context)
{
    unsigned *asked = context;
    char address[64];

    if (++*asked == 3) {
        snprintf(address, sizeof address, "%s", server.address);
        start_server_at(address);
    }
    return false;
}

static void call_target(rpc_target *target, struct tally *tally, bool wait_for_ready)
{
    rpc_retry *retry = rpc_retry_new(&(struct rpc_retry_options){
        .call = {.path = "/t/Now", .events = {.on_close = on_client_close}, .context = tally},
        .clock = rpc_target_clock(),
        .wait_for_ready = wait_for_ready,
    });

    CU_ASSERT_PTR_NOT_NULL_FATAL(retry);
    rpc_retry_send(retry, rpc_bytes_view("x", 1));
    rpc_retry_half_close(retry);
    rpc_target_run(target, retry);
    rpc_retry_free(retry);
}

/* Fails fast without a server, waits for one when asked to, and goes on by itself
 * after the server was restarted. */
static void test_target(void)
{
    struct rpc_channel_options options;
    struct rpc_backoff backoff;
    struct tally tally = {0};
    unsigned asked = 0;

    close(bind_port()); /* a port that was free a moment ago */
    rpc_channel_options_init_default(&options);
    options.address = server.address;
    options.cancelled = start_at_last;
    options.context = &asked;
    rpc_backoff_init_default(&backoff, (struct rpc_random){0});
    backoff.initial_ms = 300;
    backoff.max_ms = 300;
    rpc_target *target = rpc_target_new(&options, backoff);
    call_target(target, &tally, false);
    CU_ASSERT_EQUAL(tally.last, RPC_UNAVAILABLE);
    call_target(target, &tally, true);
    CU_ASSERT_EQUAL(tally.last, RPC_OK);
    CU_ASSERT(asked >= 3);
    char address[64];
    snprintf(address, sizeof address, "%s", server.address);
    stop_server();
    start_server_at(address);
    call_target(target, &tally, false);
    CU_ASSERT_EQUAL(tally.last, RPC_OK);
    rpc_target_free(target);
    stop_server();
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_many_connections),
        SUITE_TEST(test_completions_from_another_thread),
        SUITE_TEST(test_flush_inside_an_event),
        SUITE_TEST(test_drain_ends_what_hangs),
        SUITE_TEST(test_cancelled_while_waiting),
        SUITE_TEST(test_cannot_connect),
        SUITE_TEST(test_stall),
        SUITE_TEST(test_kept_alive),
        SUITE_TEST(test_listener_alone),
        SUITE_TEST(test_target),
    };

    return suite_run("rpc_drivers", tests, sizeof tests / sizeof tests[0]);
}
