/* SPDX-License-Identifier: Apache-2.0
 *
 * The Echo service of echo.proto on this runtime, for stock gRPC clients:
 *
 *     rpc-echo-server [--listen ADDR:PORT] [--ca FILE]
 *                     [--certificate FILE --key FILE]
 *                     [--handshake-ms N] [--stall-ms N] [--ping-interval-ms N]
 *
 * Says `listening on ADDR:PORT` when ready; SIGTERM drains it.
 */
#include "echo.pb-c.h"
#include "outpost/rpc_uv.h"
#include "pem.h"

#include <getopt.h>
#include <signal.h>

/* One call, and what Generate and Sleep remember of it. */
struct echo_call {
    bool asleep;
    Outpost__Interop__V1__GenerateRequest generate;
    uint32_t generated;
};

/* Calls of Sleep. */
static struct sleepers {
    uint32_t begun;
    uint32_t cancelled;
    uint32_t expired;
} sleepers;

static void send_packed(rpc_call *call, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(len > 0 ? len : 1);

    if (packed == NULL)
        abort();
    protobuf_c_message_pack(message, packed);
    rpc_call_send(call, rpc_bytes_view(packed, len));
    free(packed);
}

static void finish_ok(rpc_call *call)
{
    rpc_call_finish(call, rpc_status_ok());
}

static void finish_malformed(rpc_call *call)
{
    rpc_call_finish(call, rpc_status_make(RPC_INVALID_ARGUMENT, "the message is malformed"));
}

static void choose_encoding(rpc_call *call, const char *name)
{
    if (strcmp(name, "gzip") == 0)
        rpc_call_set_encoding(call, RPC_ENCODING_GZIP);
    else if (strcmp(name, "zstd") == 0)
        rpc_call_set_encoding(call, RPC_ENCODING_ZSTD);
}

static bool echo(rpc_call *call, struct rpc_bytes message)
{
    Outpost__Interop__V1__EchoRequest *request =
        outpost__interop__v1__echo_request__unpack(NULL, message.len, message.data);
    Outpost__Interop__V1__EchoResponse response = OUTPOST__INTEROP__V1__ECHO_RESPONSE__INIT;

    if (request == NULL) {
        finish_malformed(call);
        return false;
    }
    choose_encoding(call, request->response_encoding);
    response.payload = request->payload;
    response.sequence = request->sequence;
    send_packed(call, &response.base);
    outpost__interop__v1__echo_request__free_unpacked(request, NULL);
    return true;
}

/* ---- Methods ------------------------------------------------------------- */

static void on_unary(void *context, rpc_call *call, struct rpc_bytes message)
{
    (void)context;
    if (echo(call, message))
        finish_ok(call);
}

static void on_stream(void *context, rpc_call *call, struct rpc_bytes message)
{
    (void)context;
    if (echo(call, message) && !rpc_call_writable(call))
        rpc_call_pause_reading(call);
}

static void on_stream_writable(void *context, rpc_call *call)
{
    (void)context;
    rpc_call_resume_reading(call);
}

static void on_stream_half_close(void *context, rpc_call *call)
{
    (void)context;
    finish_ok(call);
}

static void on_fail(void *context, rpc_call *call, struct rpc_bytes message)
{
    Outpost__Interop__V1__FailRequest *request =
        outpost__interop__v1__fail_request__unpack(NULL, message.len, message.data);
    Outpost__Interop__V1__EchoResponse response = OUTPOST__INTEROP__V1__ECHO_RESPONSE__INIT;

    (void)context;
    if (request == NULL) {
        finish_malformed(call);
        return;
    }
    if (request->after_message || request->code == RPC_OK)
        send_packed(call, &response.base);
    rpc_call_finish(call, rpc_status_make((enum rpc_code)request->code, "%s", request->message));
    outpost__interop__v1__fail_request__free_unpacked(request, NULL);
}

static void on_metadata(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct rpc_metadata_list metadata = rpc_call_metadata(call);
    char name[128];

    (void)context;
    for (size_t i = 0; i < metadata.count; i++) {
        const struct rpc_metadata *entry = &metadata.entries[i];
        if (entry->name.len < 2 || memcmp(entry->name.data, "x-", 2) != 0)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)entry->name.len, (const char *)entry->name.data);
        rpc_call_add_metadata(call, name, entry->value);
        snprintf(name, sizeof name, "trailer-%.*s", (int)entry->name.len,
                 (const char *)entry->name.data);
        rpc_call_add_trailer(call, name, entry->value);
    }
    if (echo(call, message))
        finish_ok(call);
}

static void on_sleep(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct echo_call *state = context;

    (void)call, (void)message;
    state->asleep = true;
    sleepers.begun++;
}

static void on_sleep_close(void *context, rpc_call *call, const struct rpc_status *status,
                           struct rpc_metadata_list trailers)
{
    struct echo_call *state = context;

    (void)call, (void)trailers;
    sleepers.cancelled += state->asleep && status->code == RPC_CANCELLED;
    sleepers.expired += state->asleep && status->code == RPC_DEADLINE_EXCEEDED;
    free(state);
}

static void on_sleepers(void *context, rpc_call *call, struct rpc_bytes message)
{
    Outpost__Interop__V1__SleepersResponse response = OUTPOST__INTEROP__V1__SLEEPERS_RESPONSE__INIT;

    (void)context, (void)message;
    response.begun = sleepers.begun;
    response.cancelled = sleepers.cancelled;
    response.expired = sleepers.expired;
    send_packed(call, &response.base);
    finish_ok(call);
}

/* As many messages as the call takes; the rest when it is writable again. */
static void generate(void *context, rpc_call *call)
{
    struct echo_call *state = context;
    Outpost__Interop__V1__EchoResponse response = OUTPOST__INTEROP__V1__ECHO_RESPONSE__INIT;

    response.payload.len = state->generate.bytes;
    response.payload.data = calloc(1, response.payload.len + 1);
    if (response.payload.data == NULL)
        abort();
    while (state->generated < state->generate.count && rpc_call_writable(call)) {
        response.sequence = state->generated++;
        send_packed(call, &response.base);
    }
    free(response.payload.data);
    if (state->generated == state->generate.count)
        finish_ok(call);
}

static void on_generate(void *context, rpc_call *call, struct rpc_bytes message)
{
    struct echo_call *state = context;
    Outpost__Interop__V1__GenerateRequest *request =
        outpost__interop__v1__generate_request__unpack(NULL, message.len, message.data);

    if (request == NULL) {
        finish_malformed(call);
        return;
    }
    state->generate = *request;
    outpost__interop__v1__generate_request__free_unpacked(request, NULL);
    generate(state, call);
}

static void on_who_am_i(void *context, rpc_call *call, struct rpc_bytes message)
{
    Outpost__Interop__V1__WhoAmIResponse response = OUTPOST__INTEROP__V1__WHO_AM_IRESPONSE__INIT;
    struct rpc_bytes certificate = rpc_call_peer_certificate(call);

    (void)context, (void)message;
    response.certificate_der.data = (uint8_t *)certificate.data;
    response.certificate_der.len = certificate.len;
    response.foreign = rpc_call_peer_certificate_foreign(call);
    send_packed(call, &response.base);
    finish_ok(call);
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    (void)call, (void)status, (void)trailers;
    free(context);
}

/* ---- The service --------------------------------------------------------- */

static struct rpc_call_events method_events[] = {
    {.on_message = on_unary, .on_close = on_close},
    {.on_message = on_stream,
     .on_writable = on_stream_writable,
     .on_half_close = on_stream_half_close,
     .on_close = on_close},
    {.on_message = on_fail, .on_close = on_close},
    {.on_message = on_metadata, .on_close = on_close},
    {.on_message = on_sleep, .on_close = on_sleep_close},
    {.on_message = on_sleepers, .on_close = on_close},
    {.on_message = on_generate, .on_writable = generate, .on_close = on_close},
    {.on_message = on_who_am_i, .on_close = on_close},
};

/* A method's service pointer is its row of the table above. */
static void on_open(void *service, rpc_call *call, struct rpc_call_events *events_out,
                    void **context_out)
{
    struct echo_call *state = calloc(1, sizeof *state);

    if (state == NULL) {
        rpc_call_finish(call, rpc_status_make(RPC_RESOURCE_EXHAUSTED, "no memory"));
        return;
    }
    *events_out = *(const struct rpc_call_events *)service;
    *context_out = state;
}

static const struct rpc_method methods[] = {
    {"/outpost.interop.v1.Echo/Unary", on_open, &method_events[0]},
    {"/outpost.interop.v1.Echo/Stream", on_open, &method_events[1]},
    {"/outpost.interop.v1.Echo/Fail", on_open, &method_events[2]},
    {"/outpost.interop.v1.Echo/Metadata", on_open, &method_events[3]},
    {"/outpost.interop.v1.Echo/Sleep", on_open, &method_events[4]},
    {"/outpost.interop.v1.Echo/Sleepers", on_open, &method_events[5]},
    {"/outpost.interop.v1.Echo/Generate", on_open, &method_events[6]},
    {"/outpost.interop.v1.Echo/WhoAmI", on_open, &method_events[7]},
};

/* ---- The program --------------------------------------------------------- */

struct command {
    const char *listen;
    struct rpc_tls_options tls;
    struct rpc_server_options options;
};

static struct command parse_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"ca", required_argument, NULL, 'a'},
        {"certificate", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"handshake-ms", required_argument, NULL, 'h'},
        {"stall-ms", required_argument, NULL, 's'},
        {"ping-interval-ms", required_argument, NULL, 'p'},
        {0},
    };
    struct command command = {.listen = "127.0.0.1:0"};
    int option;

    rpc_server_options_init_default(&command.options);

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l') {
            command.listen = optarg;
        } else if (option == 'a') {
            command.tls.ca_pem = pem_read(optarg);
        } else if (option == 'c') {
            command.tls.certificate_pem = pem_read(optarg);
        } else if (option == 'k') {
            command.tls.key_pem = pem_read(optarg);
        } else if (option == 'h') {
            command.options.handshake_timeout_ms = atoi(optarg);
        } else if (option == 's') {
            command.options.write_stall_ms = command.options.window_stall_ms = atoi(optarg);
        } else if (option == 'p') {
            command.options.ping_interval_min_ms = atoi(optarg);
        } else {
            fprintf(stderr, "usage: rpc-echo-server [--listen ADDR:PORT] [--ca FILE] "
                            "[--certificate FILE --key FILE] [--handshake-ms N] [--stall-ms N] "
                            "[--ping-interval-ms N]\n");
            exit(64);
        }
    }
    return command;
}

static void on_drained(void *listener)
{
    rpc_uv_listener_free(listener);
}

static void on_terminate(uv_signal_t *handle, int number)
{
    (void)number;
    uv_close((uv_handle_t *)handle, NULL);
    rpc_uv_listener_drain(handle->data, 1000, on_drained, handle->data);
}

static void must(struct rpc_status status)
{
    if (rpc_ok(&status))
        return;
    fprintf(stderr, "rpc-echo-server: %s\n", status.message);
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct command command = parse_command(argc, argv);
    struct rpc_server_options *options = &command.options;
    rpc_uv_listener *listener = NULL;
    uv_signal_t terminate;
    uv_loop_t loop;

    uv_loop_init(&loop);
    options->methods = methods;
    options->method_count = sizeof methods / sizeof methods[0];
    if (command.tls.certificate_pem.len > 0)
        must(rpc_tls_server_new(&command.tls, &options->tls));
    must(rpc_uv_listen(&loop, command.listen, options, &listener));
    uv_signal_init(&loop, &terminate);
    terminate.data = listener;
    uv_signal_start(&terminate, on_terminate, SIGTERM);
    printf("listening on %s\n", rpc_uv_listener_address(listener));
    fflush(stdout);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
    rpc_tls_free(options->tls);
    pem_free(&command.tls);
    return EXIT_SUCCESS;
}
