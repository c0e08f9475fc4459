/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's driver: one connection of rpc.h on a blocking-style socket.
 *
 * For a library inside somebody's app: no thread, no event loop, no signal, no
 * process-wide setting. The caller runs rpc_channel_run in its own thread until
 * its call is over.
 */
#ifndef OUTPOST_RPC_CHANNEL_H
#define OUTPOST_RPC_CHANNEL_H

#include "outpost/rpc.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rpc_channel rpc_channel;

struct rpc_channel_options {
    const char *address;        /* "HOST:PORT" or "[IPv6]:PORT" */
    const char *authority;      /* whom the server must prove to be; NULL: the address */
    rpc_tls *tls;               /* NULL: plain */
    int64_t connect_timeout_ms; /* TCP and TLS together; default 20,000 */
    int64_t stall_timeout_ms;   /* nothing moves while something is awaited; default 60,000 */
    const char *user_agent;
    /* Asked at least every 250 ms; true: stop. May be NULL. */
    bool (*cancelled)(void *context);
    void *context;
};

void rpc_channel_options_init_default(struct rpc_channel_options *options);

/* Connects and shakes hands. UNAVAILABLE: no such host, nothing listens, not
 * TLS, not h2; UNAUTHENTICATED: the server's certificate is not of our CA or
 * not for this host. */
struct rpc_status rpc_channel_open(const struct rpc_channel_options *options,
                                   rpc_channel **channel_out);

rpc_conn *rpc_channel_conn(rpc_channel *channel);

/* Moves bytes until done(context) is true. Not OK: cancelled, stalled, or the
 * connection is lost (then its calls have been closed). */
struct rpc_status rpc_channel_run(rpc_channel *channel, bool (*done)(void *context), void *context);

/* Writes what there is to write, without waiting. Also from inside a call's events: what
 * an event that takes long has sent leaves at once, not when all that had arrived with it
 * is through, so that the server has work meanwhile. */
void rpc_channel_flush(rpc_channel *channel);

/* Takes what has arrived, without waiting: so that a connection which the server
 * closed meanwhile is known to be. */
void rpc_channel_poll(rpc_channel *channel);

void rpc_channel_close(rpc_channel *channel);

#ifdef __cplusplus
}
#endif

#endif
