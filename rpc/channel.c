/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocking client driver: one socket and poll(). It belongs to a library
 * inside somebody's app, so it starts no thread, installs no signal handler
 * (MSG_NOSIGNAL does) and sets nothing for the process. What it never does is
 * wait longer than 250 ms without asking whether it was cancelled, except in
 * getaddrinfo.
 *
 * A link that is dead looks like one that is silent. After half the stall
 * timeout without a byte the connection therefore sends a PING, which any live
 * peer answers at once; so a call that stays open for hours is kept, and a dead
 * one is noticed.
 */
#include "outpost/rpc_channel.h"

#include "address.h"
#include "connection.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    CANCEL_POLL_MS = 250,
    ROOM_BYTES = 32 * 1024,
    /* Writes before reading again, so that an upload does not starve what
     * comes the other way. */
    WRITES_PER_TURN = 8,
};

struct rpc_channel {
    struct rpc_channel_options options;
    rpc_conn *conn;
    int fd;
    uint8_t room[ROOM_BYTES];
};

static int64_t now_ms(void *context)
{
    struct timespec now;

    (void)context;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool cancelled(const struct rpc_channel_options *options)
{
    return options->cancelled != NULL && options->cancelled(options->context);
}

static struct rpc_status cancelled_status(void)
{
    return rpc_status_make(RPC_CANCELLED, "cancelled on this side");
}

/* ---- Connecting ---------------------------------------------------------- */

/* Waits until the socket is connected or until_ms; an errno, 0 for connected. */
static int await_connected(const struct rpc_channel_options *options, int fd, int64_t until_ms)
{
    for (;;) {
        int64_t left_ms = until_ms - now_ms(NULL);
        struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};

        if (cancelled(options))
            return ECANCELED;
        if (left_ms <= 0)
            return ETIMEDOUT;
        if (poll(&poll_fd, 1, left_ms < CANCEL_POLL_MS ? (int)left_ms : CANCEL_POLL_MS) <= 0)
            continue;
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
        return error;
    }
}

static int connect_one(const struct rpc_channel_options *options, const struct addrinfo *address,
                       int64_t until_ms, int *fd_out)
{
    int fd = socket(address->ai_family, address->ai_socktype, address->ai_protocol);
    int error = 0;

    if (fd < 0)
        return errno;
    if (!address_prepare_socket(fd) || connect(fd, address->ai_addr, address->ai_addrlen) != 0)
        error = errno;
    if (error == EINPROGRESS)
        error = await_connected(options, fd, until_ms);
    if (error != 0)
        close(fd);
    else
        *fd_out = fd;
    return error;
}

/* Tries the host's addresses in turn; each gets its share of the time left. */
static struct rpc_status connect_any(const struct rpc_channel_options *options, int64_t until_ms,
                                     int *fd_out)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *addresses = NULL;
    struct address parsed;
    char reason[96] = "no address";

    if (!address_parse(options->address, &parsed))
        return rpc_status_make(RPC_INVALID_ARGUMENT, "%.100s: not HOST:PORT", options->address);
    int failure = getaddrinfo(parsed.host, parsed.port, &hints, &addresses);
    if (failure != 0)
        return rpc_status_make(RPC_UNAVAILABLE, "%.100s: %s", options->address,
                               gai_strerror(failure));
    int count = 0;
    int error = EHOSTUNREACH;
    for (const struct addrinfo *at = addresses; at != NULL; at = at->ai_next)
        count++;
    for (const struct addrinfo *at = addresses; at != NULL && error != 0 && error != ECANCELED;
         at = at->ai_next) {
        int64_t now = now_ms(NULL);
        error = connect_one(options, at, now + (until_ms - now) / count--, fd_out);
    }
    freeaddrinfo(addresses);
    if (error == 0)
        return rpc_status_ok();
    if (error == ECANCELED)
        return cancelled_status();
    strerror_r(error, reason, sizeof reason);
    return rpc_status_make(RPC_UNAVAILABLE, "cannot connect to %.100s: %s", options->address,
                           reason);
}

/* ---- Moving bytes -------------------------------------------------------- */

/* True: there is more to write when the socket allows it. */
static bool write_pending(rpc_channel *channel)
{
    for (int i = 0; i < WRITES_PER_TURN; i++) {
        struct rpc_bytes pending = rpc_conn_pending(channel->conn);

        if (pending.len == 0)
            return false;
        ssize_t sent = send(channel->fd, pending.data, pending.len, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            return true;
        if (sent < 0) {
            rpc_conn_eof(channel->conn);
            return false;
        }
        rpc_conn_sent(channel->conn, (size_t)sent);
    }
    return true;
}

static void read_arrived(rpc_channel *channel)
{
    ssize_t len = recv(channel->fd, channel->room, sizeof channel->room, 0);

    if (len > 0) {
        rpc_conn_recv(channel->conn, rpc_bytes_view(channel->room, (size_t)len));
    } else if (len == 0 || (errno != EAGAIN && errno != EINTR)) {
        rpc_conn_eof(channel->conn);
    }
}

/* Waits for the socket or a timer; until_ms is the latest. */
static void await_socket(rpc_channel *channel, bool writing, int64_t until_ms)
{
    struct pollfd poll_fd = {.fd = channel->fd, .events = POLLIN};
    int64_t now = now_ms(NULL);
    int64_t due_ms = rpc_conn_due_ms(channel->conn);
    int64_t wait_ms = channel->options.cancelled != NULL ? CANCEL_POLL_MS : INT32_MAX;

    if (writing)
        poll_fd.events |= POLLOUT;
    if (due_ms >= 0 && due_ms - now < wait_ms)
        wait_ms = due_ms - now;
    if (until_ms < now + wait_ms)
        wait_ms = until_ms > now ? until_ms - now : 0;
    int ready = poll(&poll_fd, 1, wait_ms > 0 ? (int)wait_ms : 0);
    if (ready > 0 && (poll_fd.revents & ~POLLOUT) != 0)
        read_arrived(channel);
    if (due_ms >= 0 && now_ms(NULL) >= due_ms)
        rpc_conn_tick(channel->conn);
}

struct rpc_status rpc_channel_run(rpc_channel *channel, bool (*done)(void *context), void *context)
{
    while (!done(context)) {
        bool writing = write_pending(channel);

        if (done(context))
            break;
        if (rpc_conn_done(channel->conn))
            return channel->conn->status;
        if (cancelled(&channel->options))
            return cancelled_status();
        await_socket(channel, writing || channel->conn->awake, INT64_MAX);
    }
    return rpc_status_ok();
}

void rpc_channel_flush(rpc_channel *channel)
{
    (void)!write_pending(channel);
}

void rpc_channel_poll(rpc_channel *channel)
{
    await_socket(channel, false, INT64_MIN);
}

/* ---- Opening and closing ------------------------------------------------- */

void rpc_channel_options_init_default(struct rpc_channel_options *options)
{
    *options = (struct rpc_channel_options){
        .connect_timeout_ms = 20 * 1000,
        .stall_timeout_ms = 60 * 1000,
    };
}

/* The handshake, without sending its last flight: that goes along with the
 * first request. */
static struct rpc_status shake_hands(rpc_channel *channel, int64_t until_ms)
{
    while (channel->conn->state == CONN_HANDSHAKE) {
        bool writing = write_pending(channel);

        if (cancelled(&channel->options))
            return cancelled_status();
        if (now_ms(NULL) >= until_ms)
            return rpc_status_make(RPC_UNAVAILABLE, "no TLS handshake with %.100s in %lld ms",
                                   channel->options.address,
                                   (long long)channel->options.connect_timeout_ms);
        if (channel->conn->state == CONN_HANDSHAKE)
            await_socket(channel, writing, until_ms);
    }
    return channel->conn->state == CONN_OPEN ? rpc_status_ok() : channel->conn->status;
}

struct rpc_status rpc_channel_open(const struct rpc_channel_options *options,
                                   rpc_channel **channel_out)
{
    int64_t until_ms = now_ms(NULL) + options->connect_timeout_ms;
    const struct rpc_client_options client = {
        .keepalive_time_ms = options->stall_timeout_ms / 2,
        .keepalive_timeout_ms = options->stall_timeout_ms - options->stall_timeout_ms / 2,
        .authority = options->authority != NULL ? options->authority : options->address,
        .tls = options->tls,
        .clock = {now_ms, NULL},
        .message_bytes_max = RPC_MESSAGE_BYTES_MAX,
        .user_agent = options->user_agent,
    };
    rpc_channel *channel = calloc(1, sizeof *channel);

    if (channel == NULL)
        return rpc_status_make(RPC_RESOURCE_EXHAUSTED, "no memory to connect");
    channel->options = *options;
    channel->fd = -1;
    struct rpc_status status = connect_any(options, until_ms, &channel->fd);
    if (rpc_ok(&status)) {
        channel->conn = rpc_client_conn_new(&client);
        status = channel->conn != NULL
                     ? shake_hands(channel, until_ms)
                     : rpc_status_make(RPC_RESOURCE_EXHAUSTED, "no memory to connect");
    }
    if (!rpc_ok(&status)) {
        rpc_channel_close(channel);
        return status;
    }
    *channel_out = channel;
    return status;
}

rpc_conn *rpc_channel_conn(rpc_channel *channel)
{
    return channel->conn;
}

void rpc_channel_close(rpc_channel *channel)
{
    if (channel == NULL)
        return;
    if (channel->conn != NULL)
        write_pending(channel); /* a cancellation that was not sent yet */
    rpc_conn_free(channel->conn);
    if (channel->fd >= 0)
        close(channel->fd);
    free(channel);
}
