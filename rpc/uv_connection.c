/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection of the server's driver. Its socket is watched by uv_poll and
 * read and written here, so that a write never copies, never raises SIGPIPE and
 * happens once a turn: a connection with something to say puts itself on a list
 * (rpc_conn_set_wake), which is worked off before the loop waits again, whether
 * a socket, a timer or a database's uv_async was the cause.
 *
 * A connection is read also while a write to it waits: what it may make us
 * queue is bounded in the core. Closing is libuv's two steps: the handles are
 * closed, then their memory goes in the last close callback.
 */
#include "uv_connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    /* Turns that one connection may read or write before the others are
     * served. */
    READS_PER_TURN = 4,
    WRITES_PER_TURN = 4,
    /* A peer that is gone without a word is found by TCP itself. */
    KEEPALIVE_IDLE_S = 60,
    /* A socket closed with bytes unread is reset, and the peer loses what was said
     * last, which is why it was cut off. So for a moment we read on. */
    LINGER_MS = 1000,
    LINGER_BYTES_MAX = 4 * 1024 * 1024,
};

/* ---- A connection's end -------------------------------------------------- */

static void on_connection_handle_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;

    if (--connection->open_handles == 0)
        free(connection);
}

static void unlink_connection(struct connection *connection)
{
    rpc_uv_listener *listener = connection->listener;

    if (connection->next != NULL)
        connection->next->previous = connection->previous;
    if (connection->previous != NULL)
        connection->previous->next = connection->next;
    else
        listener->connections = connection->next;
    listener->count--;
}

static void remove_dirty(struct connection *connection)
{
    struct connection **at = &connection->listener->dirty;

    if (!connection->dirty)
        return;
    while (*at != connection)
        at = &(*at)->dirty_next;
    *at = connection->dirty_next;
    connection->dirty = false;
}

void uv_connection_close(struct connection *connection)
{
    rpc_uv_listener *listener = connection->listener;

    if (connection->closing)
        return;
    connection->closing = true;
    rpc_conn_free(connection->conn);
    connection->conn = NULL;
    remove_dirty(connection);
    unlink_connection(connection);
    uv_poll_stop(&connection->poll);
    uv_close((uv_handle_t *)&connection->poll, on_connection_handle_closed);
    uv_close((uv_handle_t *)&connection->timer, on_connection_handle_closed);
    close(connection->fd);
    if (listener->draining && listener->count == 0)
        uv_listener_close(listener);
}

/* ---- Bytes --------------------------------------------------------------- */

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void watch(struct connection *connection, int events)
{
    if (connection->events == events)
        return;
    connection->events = events;
    uv_poll_start(&connection->poll, events, on_poll);
}

static void restart_timer(struct connection *connection)
{
    const struct rpc_clock *clock = &connection->listener->options.clock;
    int64_t due_ms = rpc_conn_due_ms(connection->conn);

    if (due_ms == connection->timer_due_ms)
        return;
    connection->timer_due_ms = due_ms;
    if (due_ms < 0) {
        uv_timer_stop(&connection->timer);
        return;
    }
    int64_t left_ms = due_ms - clock->now_ms(clock->context);
    uv_timer_start(&connection->timer, on_timer, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
}

/* Says that no more comes, and drops what the peer still sends until it closes
 * too, LINGER_MS at most. */
static void linger(struct connection *connection)
{
    if (connection->lingering)
        return;
    connection->lingering = true;
    if (connection->gone || shutdown(connection->fd, SHUT_WR) != 0) {
        uv_connection_close(connection);
        return;
    }
    watch(connection, UV_READABLE);
    uv_timer_start(&connection->timer, on_timer, LINGER_MS, 0);
}

static void lose(struct connection *connection)
{
    connection->gone = true;
    rpc_conn_eof(connection->conn);
}

/* Writes what there is. Once is the rule; more often only when there is more
 * than one write holds. */
static void flush(struct connection *connection)
{
    int events = UV_READABLE;

    for (int i = 0; i <= WRITES_PER_TURN; i++) {
        struct rpc_bytes pending = rpc_conn_pending(connection->conn);

        if (pending.len == 0)
            break;
        events = UV_READABLE | UV_WRITABLE;
        if (i == WRITES_PER_TURN)
            break;
        ssize_t sent = send(connection->fd, pending.data, pending.len, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            lose(connection);
            break;
        }
        if (sent < 0)
            break;
        rpc_conn_sent(connection->conn, (size_t)sent);
        events = UV_READABLE;
    }
    if (rpc_conn_done(connection->conn)) {
        linger(connection);
        return;
    }
    watch(connection, events);
    restart_timer(connection);
}

void uv_connection_wake(struct connection *connection)
{
    rpc_uv_listener *listener = connection->listener;

    if (connection->dirty || connection->closing)
        return;
    connection->dirty = true;
    connection->dirty_next = listener->dirty;
    listener->dirty = connection;
}

void uv_connections_flush(rpc_uv_listener *listener)
{
    while (listener->dirty != NULL) {
        struct connection *connection = listener->dirty;

        listener->dirty = connection->dirty_next;
        connection->dirty = false;
        flush(connection);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *connection = timer->data;

    if (connection->lingering) {
        uv_connection_close(connection);
        return;
    }
    connection->timer_due_ms = -1;
    rpc_conn_tick(connection->conn);
    uv_connection_wake(connection);
}

static void drop_arrived(struct connection *connection)
{
    uint8_t *room = connection->listener->room;
    ssize_t len = recv(connection->fd, room, UV_ROOM_BYTES, 0);

    if (len < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    connection->dropped += len > 0 ? (size_t)len : 0;
    if (len <= 0 || connection->dropped > LINGER_BYTES_MAX)
        uv_connection_close(connection);
}

static void read_arrived(struct connection *connection)
{
    uint8_t *room = connection->listener->room;

    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t len = recv(connection->fd, room, UV_ROOM_BYTES, 0);

        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len <= 0) {
            lose(connection);
            return;
        }
        rpc_conn_recv(connection->conn, rpc_bytes_view(room, (size_t)len));
        if (len < UV_ROOM_BYTES)
            return;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;

    if (connection->lingering) {
        drop_arrived(connection);
        return;
    }
    if (status < 0)
        lose(connection);
    else if ((events & UV_READABLE) != 0)
        read_arrived(connection);
    uv_connection_wake(connection);
}

/* ---- Birth ---------------------------------------------------------------- */

static void on_wake(void *context)
{
    uv_connection_wake(context);
}

bool uv_connection_start(rpc_uv_listener *listener, int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    int on = 1;
    int idle_s = KEEPALIVE_IDLE_S;

    if (connection == NULL)
        return false;
    connection->listener = listener;
    connection->fd = fd;
    connection->timer_due_ms = -1;
    connection->conn = rpc_server_conn_new(&listener->options);
    if (connection->conn == NULL || !address_prepare_socket(fd) ||
        uv_poll_init(listener->loop, &connection->poll, fd) != 0) {
        rpc_conn_free(connection->conn);
        free(connection);
        return false;
    }
    uv_timer_init(listener->loop, &connection->timer);
    connection->open_handles = 2;
    connection->poll.data = connection->timer.data = connection;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    rpc_conn_set_wake(connection->conn, on_wake, connection);
    connection->next = listener->connections;
    if (connection->next != NULL)
        connection->next->previous = connection;
    listener->connections = connection;
    listener->count++;
    watch(connection, UV_READABLE);
    uv_connection_wake(connection);
    return true;
}
