/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's driver: connections of rpc.h on libuv sockets.
 *
 * One listener, one loop, one thread. It accepts, moves bytes, runs timers and
 * writes once per turn of the loop. Work that finishes elsewhere (a database)
 * comes back to the loop by its owner's uv_async; after it the owner calls
 * nothing here: what was sent from then goes out at the end of the turn.
 */
#ifndef OUTPOST_RPC_UV_H
#define OUTPOST_RPC_UV_H

#include "outpost/rpc.h"

#include <uv.h>

typedef struct rpc_uv_listener rpc_uv_listener;

enum {
    /* Connections at once; more are accepted and closed: descriptor floods. */
    RPC_UV_CONNECTIONS_MAX = 20000,
};

/* Listens. address is "HOST:PORT" or "[IPv6]:PORT"; port 0 picks one. A clock
 * left empty in options is the loop's. */
struct rpc_status rpc_uv_listen(uv_loop_t *loop, const char *address,
                                const struct rpc_server_options *options,
                                rpc_uv_listener **listener_out);

/* "ADDR:PORT" as bound. */
const char *rpc_uv_listener_address(const rpc_uv_listener *listener);

/* The TLS context of connections that are accepted from now on (a renewed
 * certificate); open ones keep theirs. It may be freed once it is replaced. */
void rpc_uv_listener_set_tls(rpc_uv_listener *listener, rpc_tls *tls);

/* Accepts no more, drains every connection, closes those still open after
 * grace_ms, then calls done(context). */
void rpc_uv_listener_drain(rpc_uv_listener *listener, int64_t grace_ms, void (*done)(void *context),
                           void *context);

/* After done was called; earlier it closes everything at once, and the memory
 * goes when the loop has run the close callbacks. */
void rpc_uv_listener_free(rpc_uv_listener *listener);

#endif
