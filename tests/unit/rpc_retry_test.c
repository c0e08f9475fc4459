/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a call is made again exactly when gRPC's A6 says so, with what was sent
 * before, and its owner sees one call. Method: a server in memory that answers
 * each attempt as the test's script says, and a clock that the test moves.
 */
#include "outpost/rpc_retry.h"
#include "rpc_pair.h"
#include "suite.h"

/* What the server does with one attempt. */
struct answer {
    enum rpc_code code;
    const char *pushback; /* NULL: none */
    bool message;         /* one first: then the call is committed */
};

struct script {
    const struct answer *answers;
    unsigned attempts;
    unsigned previous; /* what the last attempt said of those before it */
    size_t bytes;      /* that came with the last attempt */
};

static void on_script_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    (void)call;
    ((struct script *)context)->bytes += message.len;
}

static void on_script_end(void *context, rpc_call *call)
{
    const struct script *script = context;
    const struct answer *answer = &script->answers[script->attempts - 1];

    if (answer->message)
        rpc_call_send(call, rpc_bytes_view("answer", 6));
    if (answer->pushback != NULL)
        rpc_call_add_trailer(call, "grpc-retry-pushback-ms",
                             rpc_bytes_view(answer->pushback, strlen(answer->pushback)));
    rpc_call_finish(call, (struct rpc_status){.code = answer->code});
}

static void on_script_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                           void **context_out)
{
    struct script *script = service;

    script->attempts++;
    script->bytes = 0;
    script->previous = rpc_call_previous_attempts(call);
    *events_out =
        (struct rpc_call_events){.on_message = on_script_message, .on_half_close = on_script_end};
    *context_out = script;
}

struct bench {
    struct script script;
    struct pair pair;
    struct rpc_method method;
    rpc_retry *retry;
};

static void bench_init(struct bench *bench, const struct answer *answers,
                       struct rpc_retry_throttle *throttle, int64_t timeout_ms)
{
    *bench = (struct bench){.script = {.answers = answers}};
    pair_init(&bench->pair, &bench->method,
              &(struct pair_options){.method = {"/t/Echo", on_script_open, &bench->script}});
    bench->retry = rpc_retry_new(&(struct rpc_retry_options){
        .call = {.path = "/t/Echo",
                 .timeout_ms = timeout_ms,
                 .events = side_events,
                 .context = &bench->pair.client_side},
        .policy = {.attempts_max = 4,
                   .codes = 1u << RPC_UNAVAILABLE | 1u << RPC_RESOURCE_EXHAUSTED,
                   .backoff = {.initial_ms = 100, .max_ms = 300, .growth_percent = 200}},
        .throttle = throttle,
        .clock = {pair_now_ms, &bench->pair},
    });
    CU_ASSERT_PTR_NOT_NULL_FATAL(bench->retry);
    rpc_retry_send(bench->retry, rpc_bytes_view("hello", 5));
    rpc_retry_send(bench->retry, rpc_bytes_view("", 0));
    rpc_retry_half_close(bench->retry);
}

static void bench_deinit(struct bench *bench)
{
    CU_ASSERT(rpc_retry_over(bench->retry));
    CU_ASSERT_EQUAL(bench->pair.client_side.closes, 1);
    rpc_retry_free(bench->retry);
    pair_deinit(&bench->pair);
}

/* Makes every attempt when it is due; returns the time that all waits took. */
static int64_t run(struct bench *bench)
{
    int64_t begun_ms = bench->pair.now_ms;
    int64_t due_ms;

    while ((due_ms = rpc_retry_due_ms(bench->retry)) >= 0) {
        bench->pair.now_ms = due_ms;
        rpc_retry_attempt(bench->retry, bench->pair.client);
        pair_settle(&bench->pair);
    }
    return bench->pair.now_ms - begun_ms;
}

/* ---- By the policy --------------------------------------------------------------- */

static void test_again_until_it_works(void)
{
    static const struct answer answers[] = {
        {.code = RPC_UNAVAILABLE}, {.code = RPC_UNAVAILABLE}, {.code = RPC_OK, .message = true}};
    struct bench bench;

    bench_init(&bench, answers, NULL, 0);
    CU_ASSERT_EQUAL(run(&bench), 100 + 200);
    CU_ASSERT_EQUAL(bench.script.attempts, 3);
    CU_ASSERT_EQUAL(bench.script.previous, 2);
    CU_ASSERT_EQUAL(bench.script.bytes, 5);
    CU_ASSERT_EQUAL(bench.pair.client_side.status.code, RPC_OK);
    CU_ASSERT_EQUAL(bench.pair.client_side.messages, 1);
    CU_ASSERT_EQUAL(bench.pair.client_side.metadata_seen, 1);
    bench_deinit(&bench);
}

static void test_as_often_as_the_policy_says(void)
{
    static const struct answer answers[4] = {{.code = RPC_UNAVAILABLE},
                                             {.code = RPC_RESOURCE_EXHAUSTED},
                                             {.code = RPC_UNAVAILABLE},
                                             {.code = RPC_UNAVAILABLE}};
    struct bench bench;

    bench_init(&bench, answers, NULL, 0);
    CU_ASSERT_EQUAL(run(&bench), 100 + 200 + 300);
    CU_ASSERT_EQUAL(bench.script.attempts, 4);
    CU_ASSERT_EQUAL(bench.pair.client_side.status.code, RPC_UNAVAILABLE);
    bench_deinit(&bench);
}

static void test_other_codes_are_final(void)
{
    static const struct answer answers[] = {{.code = RPC_UNAVAILABLE}, {.code = RPC_ABORTED}};
    struct bench bench;

    bench_init(&bench, answers, NULL, 0);
    run(&bench);
    CU_ASSERT_EQUAL(bench.script.attempts, 2);
    CU_ASSERT_EQUAL(bench.pair.client_side.status.code, RPC_ABORTED);
    bench_deinit(&bench);
}

/* Once the server has begun to answer, its end is the end. */
static void test_an_answer_commits(void)
{
    static const struct answer answers[] = {{.code = RPC_UNAVAILABLE, .message = true}};
    struct bench bench;

    bench_init(&bench, answers, NULL, 0);
    run(&bench);
    CU_ASSERT_EQUAL(bench.script.attempts, 1);
    CU_ASSERT_EQUAL(bench.pair.client_side.status.code, RPC_UNAVAILABLE);
    bench_deinit(&bench);
}

static void test_pushback(void)
{
    static const struct answer waits[] = {{.code = RPC_UNAVAILABLE},
                                          {RPC_UNAVAILABLE, "5000", false},
                                          {.code = RPC_UNAVAILABLE},
                                          {.code = RPC_OK, .message = true}};
    static const struct answer stops[] = {{RPC_UNAVAILABLE, "-1", false}};
    struct bench bench;

    bench_init(&bench, waits, NULL, 0);
    CU_ASSERT_EQUAL(run(&bench), 100 + 5000 + 100); /* the back-off begins anew */
    CU_ASSERT_EQUAL(bench.script.attempts, 4);
    bench_deinit(&bench);
    bench_init(&bench, stops, NULL, 0);
    run(&bench);
    CU_ASSERT_EQUAL(bench.script.attempts, 1);
    bench_deinit(&bench);
}

static void test_throttle(void)
{
    static const struct answer bad[4] = {{.code = RPC_UNAVAILABLE},
                                         {.code = RPC_UNAVAILABLE},
                                         {.code = RPC_UNAVAILABLE},
                                         {.code = RPC_UNAVAILABLE}};
    static const struct answer good[] = {{.code = RPC_OK, .message = true}};
    struct rpc_retry_throttle throttle = {4000, 100, 4000};
    struct bench bench;

    bench_init(&bench, bad, &throttle, 0);
    run(&bench);
    CU_ASSERT_EQUAL(bench.script.attempts, 2); /* the second failure leaves half */
    bench_deinit(&bench);
    CU_ASSERT_EQUAL(throttle.tokens, 2000);
    bench_init(&bench, bad, &throttle, 0);
    run(&bench);
    CU_ASSERT_EQUAL(bench.script.attempts, 1);
    bench_deinit(&bench);
    for (int i = 0; i < 50; i++) {
        bench_init(&bench, good, &throttle, 0);
        run(&bench);
        bench_deinit(&bench);
    }
    CU_ASSERT_EQUAL(throttle.tokens, 4000);
}

/* All attempts together have one deadline; a wait that would pass it is not begun. */
static void test_deadline(void)
{
    static const struct answer answers[4] = {{.code = RPC_UNAVAILABLE},
                                             {.code = RPC_UNAVAILABLE},
                                             {.code = RPC_UNAVAILABLE},
                                             {.code = RPC_UNAVAILABLE}};
    struct bench bench;

    bench_init(&bench, answers, NULL, 250);
    CU_ASSERT_EQUAL(run(&bench), 100);
    CU_ASSERT_EQUAL(bench.script.attempts, 2);
    CU_ASSERT_EQUAL(bench.pair.client_side.status.code, RPC_UNAVAILABLE);
    bench_deinit(&bench);
}

static void test_more_than_is_kept(void)
{
    static const struct answer answers[] = {{.code = RPC_UNAVAILABLE}};
    static const uint8_t large[RPC_RETRY_BYTES_MAX];
    struct bench bench;

    bench_init(&bench, answers, NULL, 0);
    rpc_retry_cancel(bench.retry);
    bench_deinit(&bench);
    bench_init(&bench, answers, NULL, 0);
    rpc_retry *retry = rpc_retry_new(&(struct rpc_retry_options){
        .call = {.path = "/t/Echo", .events = side_events, .context = &bench.pair.server_side},
        .policy = {.attempts_max = 4, .codes = 1u << RPC_UNAVAILABLE},
        .clock = {pair_now_ms, &bench.pair}});
    rpc_retry_attempt(retry, bench.pair.client);
    rpc_retry_send(retry, rpc_bytes_view(large, sizeof large));
    rpc_retry_half_close(retry);
    pair_settle(&bench.pair);
    CU_ASSERT(rpc_retry_over(retry));
    CU_ASSERT_EQUAL(bench.pair.server_side.status.code, RPC_UNAVAILABLE);
    CU_ASSERT_EQUAL(bench.script.attempts, 1);
    rpc_retry_free(retry);
    rpc_retry_cancel(bench.retry);
    bench_deinit(&bench);
}

/* ---- Transparently ------------------------------------------------------------------ */

/* A connection that goes away before the call leaves is no attempt. */
static void test_a_call_that_did_not_leave(void)
{
    static const struct answer answers[] = {{.code = RPC_OK, .message = true}};
    struct bench bench;

    bench_init(&bench, answers, NULL, 0);
    rpc_conn *lost = rpc_client_conn_new(
        &(struct rpc_client_options){.authority = "lost:1", .clock = {pair_now_ms, &bench.pair}});
    rpc_retry_attempt(bench.retry, lost);
    CU_ASSERT_EQUAL(rpc_retry_due_ms(bench.retry), -1);
    rpc_conn_eof(lost);
    CU_ASSERT_EQUAL(rpc_retry_due_ms(bench.retry), bench.pair.now_ms);
    CU_ASSERT_EQUAL(bench.pair.client_side.closes, 0);
    CU_ASSERT_EQUAL(run(&bench), 0);
    CU_ASSERT_EQUAL(bench.script.previous, 0);
    CU_ASSERT_EQUAL(bench.pair.client_side.status.code, RPC_OK);
    rpc_conn_free(lost);
    bench_deinit(&bench);
}

/* ---- Without a connection -------------------------------------------------------------- */

static void test_fail_fast(void)
{
    struct rpc_status down = rpc_status_make(RPC_UNAVAILABLE, "nobody listens");
    struct bench bench;

    bench_init(&bench, NULL, NULL, 0);
    for (int i = 0; i < 4; i++) {
        CU_ASSERT_FALSE(rpc_retry_over(bench.retry));
        bench.pair.now_ms = rpc_retry_due_ms(bench.retry);
        rpc_retry_no_connection(bench.retry, &down, bench.pair.now_ms);
    }
    CU_ASSERT_STRING_EQUAL(bench.pair.client_side.status.message, "nobody listens");
    bench_deinit(&bench);
}

static void test_wait_for_ready(void)
{
    static const struct answer answers[] = {{.code = RPC_OK, .message = true}};
    struct rpc_status down = rpc_status_make(RPC_UNAVAILABLE, "nobody listens");
    struct bench bench;

    bench_init(&bench, answers, NULL, 0);
    rpc_retry_cancel(bench.retry);
    bench_deinit(&bench);
    bench_init(&bench, answers, NULL, 0);
    rpc_retry *patient =
        rpc_retry_new(&(struct rpc_retry_options){.call = {.path = "/t/Echo",
                                                           .timeout_ms = 10000,
                                                           .events = side_events,
                                                           .context = &bench.pair.server_side},
                                                  .clock = {pair_now_ms, &bench.pair},
                                                  .wait_for_ready = true});
    rpc_retry_half_close(patient);
    for (int i = 0; i < 9; i++) {
        bench.pair.now_ms = rpc_retry_due_ms(patient);
        rpc_retry_no_connection(patient, &down, bench.pair.now_ms + 1000);
        CU_ASSERT_FALSE(rpc_retry_over(patient));
    }
    rpc_retry_no_connection(patient, &down, bench.pair.now_ms + 100000);
    bench.pair.now_ms = rpc_retry_due_ms(patient); /* the deadline */
    rpc_retry_no_connection(patient, &down, bench.pair.now_ms + 1000);
    CU_ASSERT(rpc_retry_over(patient));
    CU_ASSERT_EQUAL(bench.pair.server_side.status.code, RPC_DEADLINE_EXCEEDED);
    rpc_retry_free(patient);
    rpc_retry_cancel(bench.retry);
    bench_deinit(&bench);
}

/* ---- Back-off ------------------------------------------------------------------------------ */

static uint64_t counting(void *context)
{
    return (*(uint64_t *)context)++ * 0x9e3779b97f4a7c15u;
}

static void test_backoff(void)
{
    uint64_t count = 1;
    struct rpc_backoff backoff;

    rpc_backoff_init_default(&backoff, (struct rpc_random){0});
    CU_ASSERT_EQUAL(rpc_backoff_next_ms(&backoff), 1000);
    CU_ASSERT_EQUAL(rpc_backoff_next_ms(&backoff), 1600);
    CU_ASSERT_EQUAL(rpc_backoff_next_ms(&backoff), 2560);
    for (int i = 0; i < 20; i++)
        rpc_backoff_next_ms(&backoff);
    CU_ASSERT_EQUAL(rpc_backoff_next_ms(&backoff), 120000);
    rpc_backoff_reset(&backoff);
    CU_ASSERT_EQUAL(rpc_backoff_next_ms(&backoff), 1000);
    rpc_backoff_init_default(&backoff, (struct rpc_random){counting, &count});
    int64_t least_ms = INT64_MAX, most_ms = 0;
    for (int i = 0; i < 1000; i++) {
        rpc_backoff_reset(&backoff);
        int64_t wait_ms = rpc_backoff_next_ms(&backoff);
        least_ms = wait_ms < least_ms ? wait_ms : least_ms;
        most_ms = wait_ms > most_ms ? wait_ms : most_ms;
    }
    CU_ASSERT(least_ms >= 800 && least_ms < 820);
    CU_ASSERT(most_ms <= 1200 && most_ms > 1180);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_again_until_it_works),
        SUITE_TEST(test_as_often_as_the_policy_says),
        SUITE_TEST(test_other_codes_are_final),
        SUITE_TEST(test_an_answer_commits),
        SUITE_TEST(test_pushback),
        SUITE_TEST(test_throttle),
        SUITE_TEST(test_deadline),
        SUITE_TEST(test_more_than_is_kept),
        SUITE_TEST(test_a_call_that_did_not_leave),
        SUITE_TEST(test_fail_fast),
        SUITE_TEST(test_wait_for_ready),
        SUITE_TEST(test_backoff),
    };

    return suite_run("rpc_retry", tests, sizeof tests / sizeof tests[0]);
}
