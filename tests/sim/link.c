/* SPDX-License-Identifier: Apache-2.0 */
#include "link.h"

#include "failing_memory.h"
#include "peek.h"

#include <stdlib.h>

static int64_t no_time(void *context)
{
    (void)context; /* timers are the unit tests' subject; here cuts come as steps */
    return 1;
}

/* ---- The device's end --------------------------------------------------------------- */

enum { REQUEST_PUSH_DONE = 3 };

static bool is_push_done(struct rpc_bytes message)
{
    struct peek_field done;

    return peek_find(message.data, message.len, REQUEST_PUSH_DONE, &done);
}

/* Sends until the session waits for the server. */
static void pump(struct link *link)
{
    struct rpc_bytes message;

    while (link->call != NULL) {
        if (link->sent == link->stop.sent) {
            link->stopped = true;
            return;
        }
        switch (device_half_next(link->device, &message)) {
        case DEVICE_HALF_SEND:
            if (link->stop.pushed && is_push_done(message)) {
                link->stopped = true;
                return;
            }
            link->sent++;
            rpc_call_send(link->call, message);
            break;
        case DEVICE_HALF_HALF_CLOSE:
            rpc_call_half_close(link->call);
            break;
        case DEVICE_HALF_WAIT:
            return;
        case DEVICE_HALF_FAILED:
            rpc_call_cancel(link->call);
            return;
        }
    }
}

static void device_on_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct link *link = context;

    if (link->received == link->stop.received || link->stopped) {
        link->stopped = true;
        return;
    }
    link->received++;
    if (device_half_receive(link->device, message))
        pump(link);
    else
        rpc_call_cancel(call);
}

static void device_on_close(void *context, rpc_call *call, const struct rpc_status *status,
                            struct rpc_metadata_list trailers)
{
    struct link *link = context;

    (void)call, (void)trailers;
    link->call = NULL;
    link->over = true;
    link->ended = *status;
}

static const struct rpc_call_events device_events = {
    .on_message = device_on_message,
    .on_close = device_on_close,
};

/* ---- The server's end ----------------------------------------------------------------- */

static void peer_send(void *context, struct rpc_bytes message)
{
    struct link *link = context;

    failing_memory_pause();
    ledger_response(link->ledger, &link->stream_ledger, message);
    watch_response(&link->server->watch, &link->region_id, link->asked_at, message);
    failing_memory_resume();
    rpc_call_send(link->served, message);
}

static bool peer_writable(void *context)
{
    const struct link *link = context;

    return link->served != NULL && rpc_call_writable(link->served);
}

static void peer_pause_reading(void *context)
{
    rpc_call_pause_reading(((struct link *)context)->served);
}

static void peer_resume_reading(void *context)
{
    rpc_call_resume_reading(((struct link *)context)->served);
}

static void peer_finish(void *context, struct rpc_status status)
{
    rpc_call_finish(((struct link *)context)->served, status);
}

static void server_on_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct link *link = context;

    (void)call;
    link->taken++;
    failing_memory_pause();
    ledger_request(link->ledger, &link->stream_ledger, message);
    if (link->server->watch.db != NULL && link->stream_ledger.count <= 1)
        link->asked_at = server_end_head(link->server, &link->region_id);
    failing_memory_resume();
    stream_on_message(link->stream, message);
}

static void server_on_half_close(void *context, rpc_call *call)
{
    (void)call;
    stream_on_half_close(((struct link *)context)->stream);
}

static void server_on_writable(void *context, rpc_call *call)
{
    (void)call;
    stream_on_writable(((struct link *)context)->stream);
}

static void server_on_close(void *context, rpc_call *call, const struct rpc_status *status,
                            struct rpc_metadata_list trailers)
{
    struct link *link = context;
    struct stream *stream = link->stream;

    (void)call, (void)status, (void)trailers;
    link->stream = NULL;
    link->served = NULL;
    stream_on_close(stream);
}

static void server_on_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                           void **context_out)
{
    static const struct rpc_call_events events = {
        .on_message = server_on_message,
        .on_half_close = server_on_half_close,
        .on_writable = server_on_writable,
        .on_close = server_on_close,
    };
    struct link *link = service;
    struct stream_peer peer = {
        .send = peer_send,
        .writable = peer_writable,
        .pause_reading = peer_pause_reading,
        .resume_reading = peer_resume_reading,
        .finish = peer_finish,
        .context = link,
    };

    struct stream *stream = stream_new(&link->server->service, &peer, &link->device_id);
    if (stream == NULL) {
        rpc_call_finish(call, rpc_status_make(RPC_UNAVAILABLE, "no memory"));
        return;
    }
    link->served = call;
    link->stream = stream;
    *events_out = events;
    *context_out = link;
}

/* ---- Bytes ------------------------------------------------------------------------------ */

static void take_pending(rpc_conn *conn, struct rpc_buffer *line)
{
    struct rpc_bytes pending;

    failing_memory_enter();
    while (conn != NULL && (pending = rpc_conn_pending(conn)).len > 0) {
        failing_memory_pause();
        rpc_buffer_append_bytes(line, pending);
        failing_memory_resume();
        rpc_conn_sent(conn, pending.len);
    }
    failing_memory_leave();
}

void link_collect(struct link *link)
{
    take_pending(link->host, &link->down);
    take_pending(link->client, &link->up);
    if (link->host != NULL && link->down.len == 0 && rpc_conn_done(link->host))
        link_server_gone(link); /* it closes the socket */
}

static bool carry(struct link *link, struct rpc_buffer *line, rpc_conn *to, size_t len)
{
    len = len < line->len ? len : line->len;
    if (len == 0)
        return false;
    if (to != NULL) {
        failing_memory_enter();
        struct rpc_status status = rpc_conn_recv(to, rpc_bytes_view(line->data, len));
        failing_memory_leave();
        (void)status; /* a broken connection shows in its calls */
    }
    rpc_buffer_drop(line, len);
    link_collect(link);
    return true;
}

bool link_carry_up(struct link *link, size_t len)
{
    return carry(link, &link->up, link->host, len);
}

bool link_carry_down(struct link *link, size_t len)
{
    return carry(link, &link->down, link->client, len);
}

/* ---- Life --------------------------------------------------------------------------------- */

struct link *link_new(struct device_half *device, struct server_end *server, struct ledger *ledger,
                      const struct record_uuid *device_id, const struct link_regions *regions,
                      const struct link_stop *stop)
{
    struct link *link = calloc(1, sizeof *link);
    struct rpc_client_options client;
    struct rpc_server_options host;

    if (link == NULL)
        return NULL;
    link->device = device;
    link->server = server;
    link->ledger = ledger;
    link->device_id = *device_id;
    link->region_id = regions->work;
    memcpy(link->stream_ledger.region, regions->enrolment.bytes, RECORD_UUID_LEN);
    link->stop = *stop;
    link->method = (struct rpc_method){"/outpost.v1.SyncService/Sync", server_on_open, link};
    rpc_buffer_init(&link->up, LINK_BYTES_MAX);
    rpc_buffer_init(&link->down, LINK_BYTES_MAX);
    rpc_client_options_init_default(&client);
    client.authority = "server.example:443";
    client.clock = (struct rpc_clock){no_time, NULL};
    rpc_server_options_init_default(&host);
    host.methods = &link->method;
    host.method_count = 1;
    host.clock = client.clock;
    link->client = rpc_client_conn_new(&client);
    link->host = rpc_server_conn_new(&host);
    struct rpc_call_options call = {
        .path = link->method.path, .events = device_events, .context = link};
    if (link->client != NULL && link->host != NULL)
        link->call = rpc_client_call(link->client, &call);
    if (link->call == NULL) {
        link_free(link);
        return NULL;
    }
    failing_memory_enter();
    pump(link);
    failing_memory_leave();
    link_collect(link);
    return link;
}

void link_cut(struct link *link)
{
    if (link->client != NULL)
        rpc_conn_free(link->client);
    link->client = NULL;
    link->device = NULL;
    rpc_buffer_clear(&link->down);
}

void link_server_gone(struct link *link)
{
    if (link->host != NULL)
        rpc_conn_free(link->host);
    link->host = NULL;
    rpc_buffer_clear(&link->up);
    if (link->client != NULL)
        rpc_conn_eof(link->client);
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    link_server_gone(link);
    link_cut(link);
    rpc_buffer_deinit(&link->up);
    rpc_buffer_deinit(&link->down);
    free(link);
}
