/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: health says SERVING exactly as long as the store answers in time. Method:
 * a store that answers when the test says so, a clock that the test moves, and a
 * Check call over connections in memory.
 */
#include "health.h"

#include "grpc/health/v1/health.rpc.h"
#include "rpc_pair.h"
#include "suite.h"

/* A store that keeps the one request that it was given. */
struct silent_store {
    struct store store;
    struct store_request *request;
    unsigned submitted;
};

static void keep(struct store *store, struct store_request *request)
{
    struct silent_store *silent = (struct silent_store *)store;

    CU_ASSERT_PTR_NULL_FATAL(silent->request);
    silent->request = request;
    silent->submitted++;
}

static const struct store_engine silent_engine = {.submit = keep};

static void answer(struct silent_store *silent, struct rpc_status status)
{
    struct store_request *request = silent->request;

    CU_ASSERT_PTR_NOT_NULL_FATAL(request);
    silent->request = NULL;
    request->status = status;
    request->done(request);
}

struct bench {
    struct silent_store silent;
    grpc_health *health;
    struct health_service service;
    struct pair pair;
    struct rpc_method method, methods[GRPC_HEALTH_METHODS];
};

static void bench_init(struct bench *bench)
{
    *bench = (struct bench){.silent.store.engine = &silent_engine};
    bench->health = grpc_health_new();
    CU_ASSERT_PTR_NOT_NULL_FATAL(bench->health);
    grpc_health_methods(bench->health, bench->methods);
    health_init(&bench->service, &bench->silent.store, bench->health);
    pair_init(&bench->pair, &bench->method, &(struct pair_options){.method = bench->methods[0]});
}

static void bench_deinit(struct bench *bench)
{
    pair_deinit(&bench->pair);
    grpc_health_free(bench->health);
}

static void on_checked(void *context, const struct rpc_status *status,
                       const Grpc__Health__V1__HealthCheckResponse *response)
{
    CU_ASSERT_FATAL(rpc_ok(status));
    *(int *)context = (int)response->status;
}

static int check(struct bench *bench, const char *service)
{
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    int status = -1;

    request.service = (char *)service;
    grpc_health_v1_health_client_check(bench->pair.client, (struct rpc_metadata_list){0}, 0,
                                       &request, on_checked, &status);
    pair_settle(&bench->pair);
    return status;
}

enum { SERVING = 1, NOT_SERVING = 2 };

static void test_a_store_that_answers(void)
{
    struct bench bench;

    bench_init(&bench);
    CU_ASSERT_EQUAL(check(&bench, ""), SERVING);
    health_poll(&bench.service, 0);
    CU_ASSERT_EQUAL(bench.silent.submitted, 1);
    answer(&bench.silent, rpc_status_ok());
    health_poll(&bench.service, HEALTH_ASK_MS - 1);
    CU_ASSERT_EQUAL(bench.silent.submitted, 1);
    health_poll(&bench.service, HEALTH_ASK_MS);
    CU_ASSERT_EQUAL(bench.silent.submitted, 2);
    answer(&bench.silent, rpc_status_ok());
    CU_ASSERT_EQUAL(check(&bench, ""), SERVING);
    bench_deinit(&bench);
}

static void test_a_store_that_is_away_and_comes_back(void)
{
    struct bench bench;

    bench_init(&bench);
    health_poll(&bench.service, 0);
    health_poll(&bench.service, HEALTH_ANSWER_MS - 1);
    CU_ASSERT_EQUAL(check(&bench, ""), SERVING);
    health_poll(&bench.service, HEALTH_ANSWER_MS);
    CU_ASSERT_EQUAL(check(&bench, ""), NOT_SERVING);
    CU_ASSERT_EQUAL(check(&bench, "outpost.v1.SyncService"), NOT_SERVING);
    CU_ASSERT_EQUAL(check(&bench, "outpost.v1.EnrolmentService"), NOT_SERVING);
    CU_ASSERT_EQUAL(bench.silent.submitted, 1);
    answer(&bench.silent, rpc_status_ok());
    CU_ASSERT_EQUAL(check(&bench, ""), SERVING);
    health_poll(&bench.service, 2 * HEALTH_ANSWER_MS);
    answer(&bench.silent, rpc_status_make(RPC_UNAVAILABLE, "the disk is gone"));
    CU_ASSERT_EQUAL(check(&bench, "outpost.v1.SyncService"), NOT_SERVING);
    bench_deinit(&bench);
}

/* An answer that comes while the server drains does not call clients back. */
static void test_a_server_that_drains(void)
{
    struct bench bench;

    bench_init(&bench);
    health_poll(&bench.service, 0);
    grpc_health_shut_down(bench.health);
    CU_ASSERT_EQUAL(check(&bench, ""), NOT_SERVING);
    answer(&bench.silent, rpc_status_ok());
    CU_ASSERT_EQUAL(check(&bench, ""), NOT_SERVING);
    bench_deinit(&bench);
}

int main(void)
{
    static const struct suite_test tests[] = {
        SUITE_TEST(test_a_store_that_answers),
        SUITE_TEST(test_a_store_that_is_away_and_comes_back),
        SUITE_TEST(test_a_server_that_drains),
    };

    return suite_run("server_health", tests, sizeof tests / sizeof tests[0]);
}
