/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz_conn.h"

enum { CONVERSATIONS = 8 };

static int64_t moving_ms(void *context)
{
    return (*(int64_t *)context)++;
}

struct rpc_clock fuzz_clock(void)
{
    static int64_t now_ms;

    return (struct rpc_clock){moving_ms, &now_ms};
}

/* ---- Both ends -------------------------------------------------------------------- */

struct counts {
    unsigned *opened;
    unsigned *closed;
};

static struct counts server_counts;

static void on_echo(void *context, rpc_call *call, struct rpc_bytes message)
{
    (void)context;
    rpc_call_send(call, message);
}

static void on_echo_end(void *context, rpc_call *call)
{
    (void)context;
    rpc_call_add_trailer(call, "x-bin", rpc_bytes_view("\0\xff", 2));
    rpc_call_finish(call, rpc_status_make(RPC_NOT_FOUND, "50 %% \xe2\x82\xac"));
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    (void)call, (void)status, (void)trailers;
    ++*(unsigned *)context;
}

static void on_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                    void **context_out)
{
    struct counts *counts = service;

    ++*counts->opened;
    rpc_call_set_encoding(call, RPC_ENCODING_GZIP);
    rpc_call_add_metadata(call, "x-text", rpc_bytes_view("hello", 5));
    *events_out = (struct rpc_call_events){
        .on_message = on_echo, .on_half_close = on_echo_end, .on_close = on_close};
    *context_out = counts->closed;
}

rpc_conn *fuzz_server(unsigned *opened, unsigned *closed)
{
    static const struct rpc_method method = {"/t/Echo", on_open, &server_counts};
    struct rpc_server_options options;

    server_counts = (struct counts){opened, closed};
    rpc_server_options_init_default(&options);
    options.methods = &method;
    options.method_count = 1;
    options.clock = fuzz_clock();
    rpc_conn *server = rpc_server_conn_new(&options);
    fuzz_must(server != NULL, "memory for a server");
    return server;
}

rpc_conn *fuzz_client(unsigned *closed)
{
    struct rpc_client_options options;

    rpc_client_options_init_default(&options);
    options.authority = "fuzz:1";
    options.clock = fuzz_clock();
    rpc_conn *client = rpc_client_conn_new(&options);
    fuzz_must(client != NULL, "memory for a client");
    fuzz_call(client, 0, closed);
    return client;
}

rpc_call *fuzz_call(rpc_conn *client, unsigned index, unsigned *closed)
{
    static const uint8_t long_message[3000];
    const struct rpc_metadata metadata[] = {
        {rpc_bytes_view("x-text", 6), rpc_bytes_view("some, text", 10)},
        {rpc_bytes_view("x-bin", 5), rpc_bytes_view("\0\1\2\xff", 4)},
    };
    struct rpc_call_options options = {
        .path = index == 1 ? "/t/Nothing" : "/t/Echo",
        .metadata = {metadata, index % 3},
        .timeout_ms = index % 2 == 0 ? 0 : 100000,
        .events = {.on_close = on_close},
        .context = closed,
    };
    rpc_call *call = rpc_client_call(client, &options);

    if (call == NULL)
        return NULL;
    rpc_call_set_encoding(call, (enum rpc_encoding)(index % 3));
    rpc_call_send(call, rpc_bytes_view("short", 5));
    rpc_call_send(call, rpc_bytes_view(long_message, sizeof long_message));
    return call;
}

/* ---- Conversations ------------------------------------------------------------------ */

static bool carry(rpc_conn *from, rpc_conn *to, struct rpc_buffer *noted)
{
    struct rpc_bytes pending = rpc_conn_pending(from);
    uint8_t *copy = malloc(pending.len + 1);
    size_t len = pending.len;

    if (copy == NULL)
        abort();
    memcpy(copy, pending.data != NULL ? pending.data : copy, len);
    if (noted != NULL)
        rpc_buffer_append(noted, copy, len);
    rpc_conn_sent(from, len);
    struct rpc_status status = rpc_conn_recv(to, rpc_bytes_view(copy, len));
    (void)status;
    free(copy);
    return len > 0;
}

bool fuzz_conversation(unsigned index, bool of_server, struct rpc_buffer *out)
{
    unsigned opened = 0, closed_here = 0, closed_there = 0;

    if (index >= CONVERSATIONS)
        return false;
    rpc_conn *server = fuzz_server(&opened, &closed_there);
    rpc_conn *client = fuzz_client(&closed_here);
    for (unsigned i = 0; i <= index; i++) {
        rpc_call *call = fuzz_call(client, i, &closed_here);
        if (call != NULL && i % 4 != 3)
            rpc_call_half_close(call);
        for (bool moved = true; moved;) {
            moved = carry(client, server, of_server ? NULL : out);
            moved |= carry(server, client, of_server ? out : NULL);
        }
    }
    if (index % 2 == 1)
        rpc_conn_drain(server);
    carry(server, client, of_server ? out : NULL);
    carry(client, server, of_server ? NULL : out);
    carry(server, client, of_server ? out : NULL);
    rpc_conn_free(client);
    rpc_conn_free(server);
    return true;
}

/* ---- Feeding --------------------------------------------------------------------------- */

void fuzz_feed(rpc_conn *conn, struct rpc_bytes input)
{
    struct rpc_bytes pending;
    size_t piece = 1 + input.len % 977;

    while (input.len > 0) {
        size_t len = piece < input.len ? piece : input.len;
        struct rpc_status status = rpc_conn_recv(conn, rpc_bytes_view(input.data, len));

        (void)status;
        input.data += len;
        input.len -= len;
        piece = piece * 7 % 4001 + 1;
        while ((pending = rpc_conn_pending(conn)).len > 0)
            rpc_conn_sent(conn, pending.len);
        rpc_conn_tick(conn);
    }
    rpc_conn_eof(conn);
    fuzz_must(rpc_conn_done(conn), "a connection is done at the peer's end");
}
