/* SPDX-License-Identifier: Apache-2.0
 *
 * A virtual device's connection to the server: rpc.h's client over a libuv loop, through
 * a link of the device's own (link.h). Thousands live in one loop; a dialer is what they
 * share. One thread.
 */
#ifndef OUTPOST_LOAD_CONNECTION_H
#define OUTPOST_LOAD_CONNECTION_H

#include "link.h"

#include "outpost/rpc.h"

#include <netinet/in.h>
#include <uv.h>

struct connection;

enum { DIALER_ROOM_BYTES = 64 * 1024 };

struct dialer {
    uv_loop_t *loop;
    char authority[300]; /* "host:port" */
    struct sockaddr_storage address;
    socklen_t address_len;
    uv_prepare_t prepare;
    struct connection *dirty; /* to be flushed before the loop waits */
    size_t open;
    /* On the sockets, of all connections; handshakes of those that are closed. */
    struct rpc_conn_bytes bytes;
    uint8_t room[DIALER_ROOM_BYTES];
};

/* Resolves HOST:PORT, once. */
struct rpc_status dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *server);
/* After the last connection was closed. */
void dialer_deinit(struct dialer *dialer);

struct connection_options {
    rpc_tls *tls;
    const struct link_quality *quality; /* lives as long as the connection */
    uint64_t cut_after;                 /* bytes both ways, then it breaks; 0: it does not */
    /* The network or the server ended it; every call was told before. Nothing more
     * comes, and the handle is gone. */
    void (*on_gone)(void *context);
    void *context;
};

/* Never fails at once: what goes wrong ends the calls with UNAVAILABLE. NULL: no memory or
 * descriptors. */
struct connection *connection_open(struct dialer *dialer, const struct connection_options *options);

rpc_conn *connection_rpc(struct connection *connection);

/* Closes it before the loop waits again; the handle is the caller's no more, and
 * on_gone is not called. Any calls on it must be over. */
void connection_close(struct connection *connection);

#endif
