/* SPDX-License-Identifier: Apache-2.0
 *
 * A client and a server connection face to face in memory, with a clock that
 * the test moves. Bytes cross in pieces of random size, each in memory of its
 * own, so that a sanitizer sees any look beyond a piece.
 */
#ifndef OUTPOST_TESTS_RPC_PAIR_H
#define OUTPOST_TESTS_RPC_PAIR_H

#include "outpost/rpc.h"

#include <CUnit/CUnit.h>
#include <stdio.h>
#include <stdlib.h>

/* What one end of a call was told, and what it does by itself. */
struct side {
    rpc_call *call;
    bool echo;          /* sends every message back, and reads on when there is room */
    bool finish_at_end; /* a server's: OK when the client has half-closed */
    bool pause;         /* pauses after every message */
    unsigned opened;
    unsigned metadata_seen;
    unsigned messages;
    size_t bytes;
    struct rpc_buffer last;
    unsigned half_closes;
    unsigned writables;
    unsigned closes;
    struct rpc_status status;
    size_t trailer_count;
};

struct pair {
    rpc_conn *client;
    rpc_conn *server;
    int64_t now_ms;
    uint64_t random;
    size_t piece_max;   /* 0: whole writes */
    uint64_t carried;   /* bytes that crossed, both ways */
    uint64_t damage_at; /* the one of them that is changed; 0: none */
    struct side server_side;
    struct side client_side;
};

static inline uint64_t pair_random(struct pair *pair)
{
    pair->random ^= pair->random << 13;
    pair->random ^= pair->random >> 7;
    pair->random ^= pair->random << 17;
    return pair->random;
}

static inline int64_t pair_now_ms(void *context)
{
    return ((struct pair *)context)->now_ms;
}

/* ---- Sides --------------------------------------------------------------- */

static inline void side_on_metadata(void *context, rpc_call *call, struct rpc_metadata_list list)
{
    struct side *side = context;

    (void)call, (void)list;
    side->metadata_seen++;
}

static inline void side_on_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct side *side = context;

    side->messages++;
    side->bytes += message.len;
    side->last.len_max = 2 * RPC_MESSAGE_BYTES_MAX;
    rpc_buffer_clear(&side->last);
    rpc_buffer_append_bytes(&side->last, message);
    if (side->echo)
        rpc_call_send(call, message);
    if (side->pause || (side->echo && !rpc_call_writable(call)))
        rpc_call_pause_reading(call);
}

static inline void side_on_half_close(void *context, rpc_call *call)
{
    struct side *side = context;

    side->half_closes++;
    if (side->finish_at_end)
        rpc_call_finish(call, rpc_status_ok());
}

static inline void side_on_writable(void *context, rpc_call *call)
{
    struct side *side = context;

    side->writables++;
    if (side->echo)
        rpc_call_resume_reading(call);
}

static inline void side_on_close(void *context, rpc_call *call, const struct rpc_status *status,
                                 struct rpc_metadata_list trailers)
{
    struct side *side = context;

    (void)call;
    side->closes++;
    side->status = *status;
    side->trailer_count = trailers.count;
    side->call = NULL;
}

static const struct rpc_call_events side_events = {
    .on_metadata = side_on_metadata,
    .on_message = side_on_message,
    .on_half_close = side_on_half_close,
    .on_writable = side_on_writable,
    .on_close = side_on_close,
};

/* The one method of the test's server; its service is the pair. */
static inline void pair_on_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                                void **context_out)
{
    struct pair *pair = service;

    pair->server_side.opened++;
    pair->server_side.call = call;
    *events_out = side_events;
    *context_out = &pair->server_side;
}

/* ---- The pair ------------------------------------------------------------ */

struct pair_options {
    rpc_tls *client_tls;
    rpc_tls *server_tls;
    const char *authority;
    uint64_t seed;
    size_t piece_max;
    size_t message_bytes_max;
    struct rpc_method method; /* path NULL: pair_on_open at /t/Echo */
    /* Sets whatever else; may be NULL. */
    void (*adjust)(struct rpc_server_options *server, struct rpc_client_options *client);
};

static inline void pair_init(struct pair *pair, struct rpc_method *method,
                             const struct pair_options *options)
{
    struct rpc_client_options client;
    struct rpc_server_options server;

    *pair =
        (struct pair){.now_ms = 1000, .random = options->seed + 1, .piece_max = options->piece_max};
    *method = options->method;
    if (method->path == NULL)
        *method = (struct rpc_method){"/t/Echo", pair_on_open, pair};
    rpc_client_options_init_default(&client);
    client.authority = options->authority != NULL ? options->authority : "sync.example:443";
    client.tls = options->client_tls;
    client.clock = (struct rpc_clock){pair_now_ms, pair};
    rpc_server_options_init_default(&server);
    server.methods = method;
    server.method_count = 1;
    server.tls = options->server_tls;
    server.clock = client.clock;
    if (options->message_bytes_max > 0)
        server.message_bytes_max = client.message_bytes_max = options->message_bytes_max;
    if (options->adjust != NULL)
        options->adjust(&server, &client);
    pair->client = rpc_client_conn_new(&client);
    pair->server = rpc_server_conn_new(&server);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair->client);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair->server);
}

static inline void pair_deinit(struct pair *pair)
{
    rpc_conn_free(pair->client);
    rpc_conn_free(pair->server);
    rpc_buffer_deinit(&pair->client_side.last);
    rpc_buffer_deinit(&pair->server_side.last);
}

/* One write of one end reaches the other; false: there was none. */
static inline bool pair_carry(struct pair *pair, rpc_conn *from, rpc_conn *to)
{
    struct rpc_bytes pending = rpc_conn_pending(from);
    size_t len = pending.len;

    if (len == 0)
        return false;
    if (pair->piece_max > 0 && len > pair->piece_max)
        len = 1 + pair_random(pair) % pair->piece_max;
    uint8_t *piece = malloc(len);
    if (piece == NULL)
        abort();
    memcpy(piece, pending.data, len);
    if (pair->damage_at > pair->carried && pair->damage_at <= pair->carried + len)
        piece[pair->damage_at - pair->carried - 1] ^= (uint8_t)(1 + pair_random(pair) % 255);
    pair->carried += len;
    rpc_conn_sent(from, len);
    struct rpc_status status = rpc_conn_recv(to, rpc_bytes_view(piece, len));
    (void)status;
    free(piece);
    return true;
}

/* Bytes cross until neither end has any. */
static inline void pair_settle(struct pair *pair)
{
    bool moved = true;

    while (moved) {
        moved = pair_carry(pair, pair->client, pair->server);
        moved |= pair_carry(pair, pair->server, pair->client);
    }
}

static inline void pair_advance(struct pair *pair, int64_t ms)
{
    pair->now_ms += ms;
    rpc_conn_tick(pair->client);
    rpc_conn_tick(pair->server);
    pair_settle(pair);
}

static inline rpc_call *pair_call(struct pair *pair, int64_t timeout_ms)
{
    struct rpc_call_options options = {
        .path = "/t/Echo",
        .timeout_ms = timeout_ms,
        .events = side_events,
        .context = &pair->client_side,
    };

    pair->client_side.call = rpc_client_call(pair->client, &options);
    CU_ASSERT_PTR_NOT_NULL_FATAL(pair->client_side.call);
    return pair->client_side.call;
}

#endif
