/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls whatever answers at an address, and says what came of it, for servers
 * that break the protocol on purpose:
 *
 *     rpc-call-client --address HOST:PORT
 *
 * Each line of the input is a number of calls, made one after the other on a
 * connection of their own. Each call sends one message and has one line of
 * output: the status, how many messages came, the status's message. A call that
 * nobody ended is a DEADLINE_EXCEEDED.
 */
#include "outpost/rpc_channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Only ends what hangs. */
enum { PATIENCE_MS = 20 * 1000 };

struct outcome {
    unsigned messages;
    bool closed;
    struct rpc_status status;
};

static void on_message(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct outcome *outcome = context;

    (void)call, (void)message;
    outcome->messages++;
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    struct outcome *outcome = context;

    (void)call, (void)trailers;
    outcome->closed = true;
    outcome->status = *status;
}

static bool is_closed(void *outcome)
{
    return ((struct outcome *)outcome)->closed;
}

static struct outcome make_call(rpc_channel *channel)
{
    struct outcome outcome = {0};
    rpc_call *call = rpc_client_call(rpc_channel_conn(channel),
                                     &(struct rpc_call_options){
                                         .path = "/outpost.interop.v1.Echo/Unary",
                                         .timeout_ms = PATIENCE_MS,
                                         .events = {.on_message = on_message, .on_close = on_close},
                                         .context = &outcome,
                                     });

    if (call == NULL) {
        outcome.status = rpc_status_make(RPC_UNAVAILABLE, "the connection takes no calls");
        return outcome;
    }
    rpc_call_send(call, rpc_bytes_view("\x0a\x04good", 6));
    rpc_call_half_close(call);
    struct rpc_status status = rpc_channel_run(channel, is_closed, &outcome);
    if (!outcome.closed)
        outcome.status = rpc_status_make(RPC_INTERNAL, "left open: %.200s", status.message);
    return outcome;
}

static void make_calls(const char *address, unsigned count)
{
    struct rpc_channel_options options;
    rpc_channel *channel = NULL;

    rpc_channel_options_init_default(&options);
    options.address = address;
    struct rpc_status opened = rpc_channel_open(&options, &channel);
    for (unsigned i = 0; i < count; i++) {
        struct outcome outcome =
            rpc_ok(&opened) ? make_call(channel) : (struct outcome){.status = opened};
        printf("%s %u %s\n", rpc_code_name(outcome.status.code), outcome.messages,
               outcome.status.message);
    }
    if (rpc_ok(&opened))
        rpc_channel_close(channel);
}

int main(int argc, char **argv)
{
    char line[32];

    if (argc != 3 || strcmp(argv[1], "--address") != 0) {
        fprintf(stderr, "usage: rpc-call-client --address HOST:PORT\n");
        return 64;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin) != NULL)
        make_calls(argv[2], (unsigned)strtoul(line, NULL, 10));
    return EXIT_SUCCESS;
}
