/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes between rpc_conn, the link's two pipes and the socket:
 *
 *     rpc_conn --pending--> up pipe --arrived--> send          (without shaping: no pipe)
 *     rpc_conn <--recv--- down pipe <--put------ recv
 *
 * All writing happens in flush, once per turn of the loop for those that were woken.
 */
#include "connection.h"

#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TURNS_MAX = 8 };

struct connection {
    struct dialer *dialer;
    struct connection_options options;
    struct connection *dirty_next;
    rpc_conn *conn;
    int fd;
    uv_poll_t poll;
    uv_timer_t timer;
    int64_t timer_due_us;
    int events;
    int open_handles;
    struct pipe up, down;
    uint64_t passed; /* bytes, both ways */
    bool connected, dirty, closing;
    bool broken; /* the network is gone; the calls are not told yet */
    bool ended;  /* they are */
    bool close_asked;
};

static int64_t now_us(void)
{
    return (int64_t)(uv_hrtime() / 1000);
}

static int64_t now_ms(void *context)
{
    (void)context;
    return (int64_t)(uv_hrtime() / 1000000);
}

/* ---- The dialer ------------------------------------------------------------------------- */

static void on_prepare(uv_prepare_t *prepare);

struct rpc_status dialer_init(struct dialer *dialer, uv_loop_t *loop, const char *server)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    struct address parsed;

    *dialer = (struct dialer){.loop = loop};
    if (!address_parse(server, &parsed))
        return rpc_status_make(RPC_INVALID_ARGUMENT, "%.100s: not HOST:PORT", server);
    int failure = getaddrinfo(parsed.host, parsed.port, &hints, &addresses);
    if (failure != 0)
        return rpc_status_make(RPC_UNAVAILABLE, "%.100s: %s", server, gai_strerror(failure));
    memcpy(dialer->authority, server, strnlen(server, sizeof dialer->authority - 1));
    memcpy(&dialer->address, addresses->ai_addr, addresses->ai_addrlen);
    dialer->address_len = addresses->ai_addrlen;
    freeaddrinfo(addresses);
    uv_prepare_init(loop, &dialer->prepare);
    dialer->prepare.data = dialer;
    uv_prepare_start(&dialer->prepare, on_prepare);
    return rpc_status_ok();
}

void dialer_deinit(struct dialer *dialer)
{
    if (dialer->loop != NULL)
        uv_close((uv_handle_t *)&dialer->prepare, NULL);
}

/* ---- The end ------------------------------------------------------------------------------ */

static void on_handle_closed(uv_handle_t *handle)
{
    struct connection *connection = handle->data;

    if (--connection->open_handles == 0)
        free(connection);
}

static void count_handshake(struct connection *connection)
{
    struct rpc_conn_bytes bytes = rpc_conn_bytes(connection->conn);

    connection->dialer->bytes.handshake_sent += bytes.handshake_sent;
    connection->dialer->bytes.handshake_received += bytes.handshake_received;
}

static void destroy(struct connection *connection)
{
    if (connection->closing)
        return;
    connection->closing = true;
    count_handshake(connection);
    rpc_conn_free(connection->conn);
    pipe_deinit(&connection->up);
    pipe_deinit(&connection->down);
    connection->dialer->open--;
    uv_poll_stop(&connection->poll);
    uv_close((uv_handle_t *)&connection->poll, on_handle_closed);
    uv_close((uv_handle_t *)&connection->timer, on_handle_closed);
    close(connection->fd);
    if (!connection->close_asked)
        connection->options.on_gone(connection->options.context);
}

/* ---- Bytes ---------------------------------------------------------------------------------- */

static void wake(void *context)
{
    struct connection *connection = context;

    if (connection->dirty || connection->closing)
        return;
    connection->dirty = true;
    connection->dirty_next = connection->dialer->dirty;
    connection->dialer->dirty = connection;
}

/* The network is gone: every call hears of it, from inside. */
static void lose(struct connection *connection)
{
    if (connection->ended)
        return;
    connection->ended = true;
    rpc_conn_eof(connection->conn);
}

static void pass(struct connection *connection, size_t len)
{
    connection->passed += len;
    if (connection->options.cut_after > 0 && connection->passed >= connection->options.cut_after)
        connection->broken = true;
}

/* False: the socket takes no more now, or the network is gone. */
static bool write_some(struct connection *connection, struct rpc_bytes bytes, size_t *sent_out)
{
    ssize_t sent = send(connection->fd, bytes.data, bytes.len, MSG_NOSIGNAL);

    *sent_out = sent > 0 ? (size_t)sent : 0;
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        connection->broken = true;
    connection->dialer->bytes.sent += *sent_out;
    pass(connection, *sent_out);
    return *sent_out == bytes.len && !connection->broken;
}

/* True: more is to be written when the socket allows. */
static bool write_plain(struct connection *connection)
{
    for (int i = 0; i < TURNS_MAX; i++) {
        struct rpc_bytes pending = rpc_conn_pending(connection->conn);
        size_t sent;
        if (pending.len == 0)
            return false;
        bool all = write_some(connection, pending, &sent);
        rpc_conn_sent(connection->conn, sent);
        if (!all)
            break;
    }
    return !connection->broken;
}

static bool write_shaped(struct connection *connection)
{
    struct rpc_bytes bytes;
    size_t sent;

    while (!pipe_full(&connection->up) && (bytes = rpc_conn_pending(connection->conn)).len > 0) {
        pipe_put(&connection->up, connection->options.quality, bytes, now_us());
        rpc_conn_sent(connection->conn, bytes.len);
    }
    while ((bytes = pipe_arrived(&connection->up, now_us())).len > 0) {
        bool all = write_some(connection, bytes, &sent);
        pipe_took(&connection->up, sent);
        if (!all)
            return !connection->broken;
    }
    return false;
}

static void deliver(struct connection *connection)
{
    struct rpc_bytes bytes;

    while (!connection->broken && (bytes = pipe_arrived(&connection->down, now_us())).len > 0) {
        rpc_conn_recv(connection->conn, bytes);
        pipe_took(&connection->down, bytes.len);
    }
}

static void on_poll(uv_poll_t *poll, int status, int events);
static void on_timer(uv_timer_t *timer);

static void watch(struct connection *connection, int events)
{
    if (connection->events == events)
        return;
    connection->events = events;
    if (events == 0)
        uv_poll_stop(&connection->poll);
    else
        uv_poll_start(&connection->poll, events, on_poll);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void restart_timer(struct connection *connection)
{
    int64_t due_ms = rpc_conn_due_ms(connection->conn);
    int64_t due_us = sooner(due_ms < 0 ? -1 : due_ms * 1000, pipe_due_us(&connection->down));

    if ((connection->events & UV_WRITABLE) == 0)
        due_us = sooner(due_us, pipe_due_us(&connection->up));
    if (due_us == connection->timer_due_us)
        return;
    connection->timer_due_us = due_us;
    if (due_us < 0) {
        uv_timer_stop(&connection->timer);
        return;
    }
    int64_t left_us = due_us - now_us();
    uv_timer_start(&connection->timer, on_timer, left_us > 0 ? (uint64_t)(left_us + 999) / 1000 : 0,
                   0);
}

static void flush(struct connection *connection)
{
    bool shaped = link_is_shaped(connection->options.quality);
    bool writing = !connection->connected;

    if (connection->close_asked) {
        destroy(connection);
        return;
    }
    if (connection->connected && !connection->broken)
        writing = shaped ? write_shaped(connection) : write_plain(connection);
    if (connection->broken)
        lose(connection);
    if (connection->ended || rpc_conn_done(connection->conn)) {
        (void)rpc_conn_pending(connection->conn); /* calls are told from here, too */
        destroy(connection);
        return;
    }
    watch(connection,
          (writing ? UV_WRITABLE : 0) | (shaped && pipe_full(&connection->down) ? 0 : UV_READABLE));
    restart_timer(connection);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct dialer *dialer = prepare->data;

    while (dialer->dirty != NULL) {
        struct connection *connection = dialer->dirty;
        dialer->dirty = connection->dirty_next;
        connection->dirty = false;
        flush(connection);
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct connection *connection = timer->data;

    connection->timer_due_us = -1;
    deliver(connection);
    int64_t due_ms = rpc_conn_due_ms(connection->conn);
    if (due_ms >= 0 && due_ms <= now_ms(NULL))
        rpc_conn_tick(connection->conn);
    wake(connection);
}

static void read_some(struct connection *connection)
{
    struct dialer *dialer = connection->dialer;

    for (int i = 0; i < TURNS_MAX && !connection->broken && !pipe_full(&connection->down); i++) {
        ssize_t len = recv(connection->fd, dialer->room, sizeof dialer->room, 0);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len <= 0) {
            deliver(connection);
            connection->broken = true;
            return;
        }
        struct rpc_bytes bytes = rpc_bytes_view(dialer->room, (size_t)len);
        if (link_is_shaped(connection->options.quality))
            pipe_put(&connection->down, connection->options.quality, bytes, now_us());
        else
            rpc_conn_recv(connection->conn, bytes);
        dialer->bytes.received += (size_t)len;
        pass(connection, (size_t)len);
        if ((size_t)len < sizeof dialer->room)
            return;
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct connection *connection = poll->data;
    int error = 0;
    socklen_t len = sizeof error;

    if (!connection->connected) {
        getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        connection->connected = true;
        /* The handshake of TCP: a round trip before the first byte. */
        connection->up.free_us = now_us() + connection->options.quality->round_trip_us;
    }
    if (status < 0 || error != 0)
        connection->broken = true;
    else if ((events & UV_READABLE) != 0)
        read_some(connection);
    wake(connection);
}

/* ---- The beginning -----------------------------------------------------------------------------
 */

static int connect_socket(const struct dialer *dialer)
{
    const struct sockaddr *address = (const struct sockaddr *)&dialer->address;
    int fd = socket(address->sa_family, SOCK_STREAM, 0);

    if (fd < 0)
        return -1;
    if (address_prepare_socket(fd) &&
        (connect(fd, address, dialer->address_len) == 0 || errno == EINPROGRESS))
        return fd;
    close(fd);
    return -1;
}

static rpc_conn *new_rpc(const struct dialer *dialer, rpc_tls *tls)
{
    struct rpc_client_options options;

    rpc_client_options_init_default(&options);
    options.authority = dialer->authority;
    options.tls = tls;
    options.clock = (struct rpc_clock){.now_ms = now_ms};
    options.user_agent = "outpost-load/0.1";
    return rpc_client_conn_new(&options);
}

struct connection *connection_open(struct dialer *dialer, const struct connection_options *options)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (connection == NULL)
        return NULL;
    connection->dialer = dialer;
    connection->options = *options;
    connection->timer_due_us = -1;
    connection->fd = connect_socket(dialer);
    connection->conn = connection->fd >= 0 ? new_rpc(dialer, options->tls) : NULL;
    if (connection->conn == NULL ||
        uv_poll_init(dialer->loop, &connection->poll, connection->fd) != 0) {
        rpc_conn_free(connection->conn);
        if (connection->fd >= 0)
            close(connection->fd);
        free(connection);
        return NULL;
    }
    uv_timer_init(dialer->loop, &connection->timer);
    connection->open_handles = 2;
    connection->poll.data = connection->timer.data = connection;
    dialer->open++;
    rpc_conn_set_wake(connection->conn, wake, connection);
    wake(connection);
    return connection;
}

rpc_conn *connection_rpc(struct connection *connection)
{
    return connection->conn;
}

void connection_close(struct connection *connection)
{
    connection->close_asked = true;
    wake(connection);
}
