/* SPDX-License-Identifier: Apache-2.0
 *
 * The server driver on libuv: accepting, listening, draining; see
 * uv_connection.c for the bytes.
 */
#include "uv_connection.h"

#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_TURN = 64,
    BACKLOG = 1024,
    /* No descriptor is left: wait for some to be closed. */
    ACCEPT_PAUSE_MS = 100,
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

void uv_listener_close(rpc_uv_listener *listener)
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

/* ---- The turn of the loop ----------------------------------------------- */

static void on_prepare(uv_prepare_t *prepare)
{
    uv_connections_flush(prepare->data);
}

static void on_check(uv_check_t *check)
{
    uv_connections_flush(check->data);
}

/* ---- Accepting ----------------------------------------------------------- */

static void on_accept(uv_poll_t *poll, int status, int events);

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
        if (listener->count >= RPC_UV_CONNECTIONS_MAX || !uv_connection_start(listener, fd))
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
        uv_connection_close(listener->connections);
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
        uv_connection_wake(at);
    }
    if (listener->count == 0)
        uv_listener_close(listener);
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
    uv_listener_close(listener);
}
