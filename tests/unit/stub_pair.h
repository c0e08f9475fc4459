/* SPDX-License-Identifier: Apache-2.0
 *
 * Typed stubs face to face: a client's and a server's connection in one process, the
 * bytes of one given to the other, no sockets. The service is test.v1.Echo.
 */
#ifndef OUTPOST_TESTS_STUB_PAIR_H
#define OUTPOST_TESTS_STUB_PAIR_H

#include "suite.h"
#include "test/v1/service.rpc.h"

static inline int64_t pair_clock_ms(void *context)
{
    return *(const int64_t *)context;
}

struct pair {
    struct test_v1_echo_handlers handlers;
    struct rpc_method methods[TEST_V1_ECHO_METHODS];
    struct rpc_server_options server_options;
    struct rpc_client_options client_options;
    int64_t now_ms;
    rpc_conn *server;
    rpc_conn *client;
};

static inline void pair_open(struct pair *pair, const struct test_v1_echo_handlers *handlers)
{
    pair->now_ms = 1000;
    pair->handlers = *handlers;
    CU_ASSERT_EQUAL(test_v1_echo_methods(&pair->handlers, pair->methods), TEST_V1_ECHO_METHODS);
    rpc_server_options_init_default(&pair->server_options);
    pair->server_options.methods = pair->methods;
    pair->server_options.method_count = TEST_V1_ECHO_METHODS;
    pair->server_options.clock = (struct rpc_clock){pair_clock_ms, &pair->now_ms};
    rpc_client_options_init_default(&pair->client_options);
    pair->client_options.authority = "test:1";
    pair->client_options.clock = pair->server_options.clock;
    pair->server = rpc_server_conn_new(&pair->server_options);
    pair->client = rpc_client_conn_new(&pair->client_options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair->server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair->client);
}

static inline bool pair_carry(rpc_conn *from, rpc_conn *to)
{
    struct rpc_bytes bytes = rpc_conn_pending(from);

    if (bytes.len == 0)
        return false;
    rpc_conn_recv(to, bytes);
    rpc_conn_sent(from, bytes.len);
    return true;
}

/* Until neither has anything to say. */
static inline void pair_run(struct pair *pair)
{
    bool moved = true;

    while (moved) {
        moved = pair_carry(pair->client, pair->server);
        moved = pair_carry(pair->server, pair->client) || moved;
    }
}

static inline void pair_close(struct pair *pair)
{
    rpc_conn_free(pair->client);
    rpc_conn_free(pair->server);
}

#endif
