/* SPDX-License-Identifier: Apache-2.0
 *
 * The server driver on libuv. Sockets are watched by uv_poll and read and
 * written here, so that a write never copies, never raises SIGPIPE and happens
 * once a turn: connections with something to say put themselves on a list
 * (rpc_conn_set_wake), which is worked off before the loop waits again, whether
 * a socket, a timer or a database's uv_async was the cause.
 *
 * A connection is read also while a write to it waits: what it may make us
 * queue is bounded in the core. Closing is libuv's two steps: the handles are
 * closed, then their memory goes in the last close callback.
 */
#include "outpost/rpc_uv.h"

#include "address.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ROOM_BYTES = 64 * 1024,
    /* Turns that one connection may read or write before the others are
     * served. */
    READS_PER_TURN = 4,
    WRITES_PER_TURN = 4,
    ACCEPTS_PER_TURN = 64,
    BACKLOG = 1024,
    /* No descriptor is left: wait for some to be closed. */
    ACCEPT_PAUSE_MS = 100,
    /* A peer that is gone without a word is found by TCP itself. */
    KEEPALIVE_IDLE_S = 60,
};

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
    uint8_t room[ROOM_BYTES];
};

static int64_t loop_now_ms(void *loop)
{
    return (int64_t)uv_now(loop);
}

/* ---- The listener's end -------------------------------------------------- */

static void on_listener_handle_closed(uv_handle_t *handle)
{
    rpc_uv_listener *listener = handle->data;

    if (--listener->open_handles > 0)
        return;
    if (listener->free_asked)
        free(listener);
    else if (listener->done != NULL)
        listener->done(listener->done_context);
}

static void stop_accepting(rpc_uv_listener *listener)
{
    if (listener->fd < 0)
        return;
    uv_poll_stop(&listener->poll);
    uv_timer_stop(&listener->accept_timer);
    close(listener->fd);
    listener->fd = -1;
}

static void close_listener(rpc_uv_listener *listener)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&listener->poll,        (uv_handle_t *)&listener->prepare,
        (uv_handle_t *)&listener->check,       (uv_handle_t *)&listener->accept_timer,
        (uv_handle_t *)&listener->grace_timer,
    };

    if (listener->closing)
        return;
    listener->closing = true;
    stop_accepting(listener);
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        uv_close(handles[i], on_listener_handle_closed);
}

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

static void close_connection(struct connection *connection)
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
        close_listener(listener);
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
            rpc_conn_eof(connection->conn);
            break;
        }
        if (sent < 0)
            break;
        rpc_conn_sent(connection->conn, (size_t)sent);
        events = UV_READABLE;
    }
    if (rpc_conn_done(connection->conn)) {
        close_connection(connection);
        return;
    }
    watch(connection, events);
    restart_timer(connection);
}

static void on_wake(void *context)
{
    struct connection *connection = context;
    rpc_uv_listener *listener = connection->listener;

    if (connection->dirty || connection->closing)
        return;
    connection->dirty = true;
    connection->dirty_next = listener->dirty;
    listener->dirty = connection;
}

static void flush_dirty(rpc_uv_listener *listener)
{
    while (listener->dirty != NULL) {
        struct connection *connection = listener->dirty;

        listener->dirty = connection->dirty_next;
        connection->dirty = false;
        flush(connection);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    flush_dirty(prepare->data);
}

static void on_check(uv_check_t *check)
{
    flush_dirty(check->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *connection = timer->data;

    connection->timer_due_ms = -1;
    rpc_conn_tick(connection->conn);
    on_wake(connection);
}

static void read_arrived(struct connection *connection)
{
    uint8_t *room = connection->listener->room;

    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t len = recv(connection->fd, room, ROOM_BYTES, 0);

        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len <= 0) {
            rpc_conn_eof(connection->conn);
            return;
        }
        rpc_conn_recv(connection->conn, rpc_bytes_view(room, (size_t)len));
        if (len < ROOM_BYTES)
            return;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;

    if (status < 0)
        rpc_conn_eof(connection->conn);
    else if ((events & UV_READABLE) != 0)
        read_arrived(connection);
    on_wake(connection);
}

/* ---- Accepting ----------------------------------------------------------- */

static void on_accept(uv_poll_t *poll, int status, int events);

static bool start_connection(rpc_uv_listener *listener, int fd)
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
    on_wake(connection);
    return true;
}

static void on_accept_again(uv_timer_t *timer)
{
    rpc_uv_listener *listener = timer->data;

    uv_poll_start(&listener->poll, UV_READABLE, on_accept);
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
    rpc_uv_listener *listener = poll->data;

    (void)status, (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        int fd = accept(listener->fd, NULL, NULL);

        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
            uv_poll_stop(poll);
            uv_timer_start(&listener->accept_timer, on_accept_again, ACCEPT_PAUSE_MS, 0);
        }
        if (fd < 0 && errno == ECONNABORTED)
            continue;
        if (fd < 0)
            return;
        if (listener->count >= RPC_UV_CONNECTIONS_MAX || !start_connection(listener, fd))
            close(fd);
    }
}

/* ---- Listening ----------------------------------------------------------- */

static int bind_one(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    int on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address_prepare_socket(fd) && bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

static struct rpc_status bind_any(const char *text, int *fd_out)
{
    const struct addrinfo hints = {
        .ai_flags = AI_PASSIVE, .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    struct address parsed;
    char reason[96] = "no address";
    int fd = -1;

    if (!address_parse(text, &parsed))
        return rpc_status_make(RPC_INVALID_ARGUMENT, "%.100s: not HOST:PORT", text);
    int failure =
        getaddrinfo(parsed.host[0] != '\0' ? parsed.host : NULL, parsed.port, &hints, &addresses);
    if (failure != 0)
        return rpc_status_make(RPC_INVALID_ARGUMENT, "cannot listen on %.100s: %s", text,
                               gai_strerror(failure));
    for (const struct addrinfo *at = addresses; at != NULL && fd < 0; at = at->ai_next)
        fd = bind_one(at);
    if (fd < 0)
        strerror_r(errno, reason, sizeof reason);
    freeaddrinfo(addresses);
    if (fd < 0)
        return rpc_status_make(RPC_UNAVAILABLE, "cannot listen on %.100s: %s", text, reason);
    *fd_out = fd;
    return rpc_status_ok();
}

static bool bound_address(rpc_uv_listener *listener)
{
    struct sockaddr_storage storage;
    socklen_t len = sizeof storage;

    return getsockname(listener->fd, (struct sockaddr *)&storage, &len) == 0 &&
           address_format((const struct sockaddr *)&storage, len, listener->address);
}

struct rpc_status rpc_uv_listen(uv_loop_t *loop, const char *address,
                                const struct rpc_server_options *options,
                                rpc_uv_listener **listener_out)
{
    rpc_uv_listener *listener = calloc(1, sizeof *listener);

    if (listener == NULL)
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "no memory to listen");
    listener->loop = loop;
    listener->options = *options;
    if (listener->options.clock.now_ms == NULL)
        listener->options.clock = (struct rpc_clock){loop_now_ms, loop};
    struct rpc_status status = bind_any(address, &listener->fd);
    if (rpc_ok(&status) &&
        (!bound_address(listener) || uv_poll_init(loop, &listener->poll, listener->fd) != 0)) {
        close(listener->fd);
        status = rpc_status_make(RPC_INTERNAL, "cannot watch %.100s", address);
    }
    if (!rpc_ok(&status)) {
        free(listener);
        return status;
    }
    uv_prepare_init(loop, &listener->prepare);
    uv_check_init(loop, &listener->check);
    uv_timer_init(loop, &listener->accept_timer);
    uv_timer_init(loop, &listener->grace_timer);
    listener->open_handles = 5;
    listener->poll.data = listener->prepare.data = listener->check.data = listener;
    listener->accept_timer.data = listener->grace_timer.data = listener;
    uv_prepare_start(&listener->prepare, on_prepare);
    uv_check_start(&listener->check, on_check);
    uv_unref((uv_handle_t *)&listener->prepare);
    uv_unref((uv_handle_t *)&listener->check);
    uv_poll_start(&listener->poll, UV_READABLE, on_accept);
    *listener_out = listener;
    return status;
}

const char *rpc_uv_listener_address(const rpc_uv_listener *listener)
{
    return listener->address;
}

void rpc_uv_listener_set_tls(rpc_uv_listener *listener, rpc_tls *tls)
{
    listener->options.tls = tls;
}

/* ---- Draining ------------------------------------------------------------ */

static void close_all(rpc_uv_listener *listener)
{
    while (listener->connections != NULL)
        close_connection(listener->connections);
}

static void on_grace_over(uv_timer_t *timer)
{
    close_all(timer->data);
}

void rpc_uv_listener_drain(rpc_uv_listener *listener, int64_t grace_ms, void (*done)(void *context),
                           void *context)
{
    if (listener->draining)
        return;
    listener->draining = true;
    listener->done = done;
    listener->done_context = context;
    stop_accepting(listener);
    for (struct connection *at = listener->connections; at != NULL; at = at->next) {
        rpc_conn_drain(at->conn);
        on_wake(at);
    }
    if (listener->count == 0)
        close_listener(listener);
    else
        uv_timer_start(&listener->grace_timer, on_grace_over, (uint64_t)grace_ms, 0);
}

void rpc_uv_listener_free(rpc_uv_listener *listener)
{
    if (listener == NULL)
        return;
    if (listener->closing && listener->open_handles == 0) {
        free(listener);
        return;
    }
    listener->free_asked = true;
    close_all(listener);
    close_listener(listener);
}
