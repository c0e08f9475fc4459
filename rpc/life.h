/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a connection lives: keepalive both ways, the strikes of a peer that
 * pings too often (gRPC's A8), idle time and age (A9). All limits are options;
 * 0 switches one off.
 */
#ifndef OUTPOST_RPC_LIFE_H
#define OUTPOST_RPC_LIFE_H

#include "outpost/rpc.h"

enum {
    /* PINGs that may come too early before the next one ends the connection. */
    LIFE_PING_STRIKES_MAX = 2,
    /* Between PINGs on a connection without calls: it needs none. */
    LIFE_IDLE_PING_MS = 2 * 3600 * 1000,
    /* Age is spread by a tenth either way, so that the clients of a server that
     * was restarted do not all come back at once for ever. */
    LIFE_AGE_SPREAD = 10,
};

struct life {
    int64_t keepalive_time_ms;
    int64_t keepalive_timeout_ms;
    int64_t ping_interval_min_ms;
    int64_t idle_ms;
    int64_t grace_ms;
    int64_t age_due_ms; /* -1: never */

    int64_t moved_ms;  /* bytes came, or went while nothing was asked */
    int64_t probed_ms; /* a PING of ours is not answered yet; -1: none */
    int64_t pinged_ms; /* a PING came; -1: none, or we have sent something since */
    unsigned strikes;
    int64_t calls_ended_ms; /* the last one; -1: some are open */
    int64_t drained_ms;     /* by age; -1: not yet */
};

void life_init_server(rpc_conn *conn, const struct rpc_server_options *options);
void life_init_client(rpc_conn *conn, const struct rpc_client_options *options);

/* A PING came that is no answer; false: one too many. */
bool life_take_ping(rpc_conn *conn);
/* HEADERS or DATA went: a PING after that measures the link, and is no strike. */
void life_note_sent(rpc_conn *conn);

/* When life_tick is due; -1: never. */
int64_t life_due_ms(const rpc_conn *conn);
void life_tick(rpc_conn *conn);

#endif
