/* SPDX-License-Identifier: Apache-2.0
 *
 * The two halves of the server's driver: uv_listener.c accepts, listens and
 * drains, uv_connection.c moves one connection's bytes.
 */
#ifndef OUTPOST_RPC_UV_CONNECTION_H
#define OUTPOST_RPC_UV_CONNECTION_H

#include "address.h"
#include "outpost/rpc_uv.h"

enum { UV_ROOM_BYTES = 64 * 1024 };

struct connection {
    rpc_uv_listener *listener;
    struct connection *next;
    struct connection *previous;
    struct connection *dirty_next;
    rpc_conn *conn;
    int fd;
    uv_poll_t poll;
    uv_timer_t timer;
    int64_t timer_due_ms;
    int events;
    int open_handles;
    bool dirty;
    bool gone;      /* the peer is */
    bool lingering; /* all is said; see linger */
    size_t dropped; /* bytes read since */
    bool closing;
};

struct rpc_uv_listener {
    uv_loop_t *loop;
    struct rpc_server_options options;
    char address[ADDRESS_TEXT_SIZE];
    int fd;
    uv_poll_t poll;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_timer_t accept_timer;
    uv_timer_t grace_timer;
    int open_handles;
    struct connection *connections;
    size_t count;
    struct connection *dirty;
    bool draining;
    bool closing;
    bool free_asked;
    void (*done)(void *context);
    void *done_context;
    uint8_t room[UV_ROOM_BYTES];
};

/* Takes the accepted socket over; false: it is still the caller's. */
bool uv_connection_start(rpc_uv_listener *listener, int fd);
/* It has something to say, or may have. */
void uv_connection_wake(struct connection *connection);
/* At once, as a lost network does. */
void uv_connection_close(struct connection *connection);
/* Writes what the connections that were woken have to say. */
void uv_connections_flush(rpc_uv_listener *listener);

/* The last connection of a listener that drains is gone. */
void uv_listener_close(rpc_uv_listener *listener);

#endif
