/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls the Echo service of echo.proto by this runtime's blocking client and
 * says for each case whether the server answered as gRPC demands:
 *
 *     rpc-echo-client --address HOST:PORT [--ca FILE]
 *         [--certificate FILE --key FILE] [--saw none|own|foreign] [--no-zstd]
 *
 * --saw: which certificate the server must say it saw. --no-zstd: the server
 * must not claim to know zstd. Exit code 0: all cases pass, 77: the server's
 * certificate is refused.
 */
#include "echo.pb-c.h"
#include "outpost/rpc_channel.h"
#include "pem.h"

#include <getopt.h>

#define SERVICE "/outpost.interop.v1.Echo/"

struct command {
    const char *address;
    const char *saw;
    bool zstd;
    struct rpc_tls_options tls;
};

/* One call, and what came of it. */
struct call {
    rpc_channel *channel;
    rpc_call *rpc;
    unsigned sent;
    unsigned to_send;
    unsigned in_order; /* messages whose sequence was the next */
    unsigned messages;
    struct rpc_buffer last;
    struct rpc_buffer metadata; /* name, value, name, value ... */
    struct rpc_buffer trailers;
    bool closed;
    bool accepts_zstd;
    struct rpc_status status;
};

/* ---- A call -------------------------------------------------------------- */

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

static void keep_metadata(struct rpc_buffer *buffer, struct rpc_metadata_list list)
{
    for (size_t i = 0; i < list.count; i++) {
        rpc_buffer_append_bytes(buffer, list.entries[i].name);
        rpc_buffer_append(buffer, "=", 1);
        rpc_buffer_append_bytes(buffer, list.entries[i].value);
        rpc_buffer_append(buffer, ";", 1);
    }
}

static void on_metadata(void *context, rpc_call *rpc, struct rpc_metadata_list metadata)
{
    struct call *call = context;

    call->accepts_zstd = rpc_call_peer_accepts(rpc, RPC_ENCODING_ZSTD);
    keep_metadata(&call->metadata, metadata);
}

static void on_message(void *context, rpc_call *rpc, struct rpc_bytes message)
{
    struct call *call = context;
    Outpost__Interop__V1__EchoResponse *response =
        outpost__interop__v1__echo_response__unpack(NULL, message.len, message.data);

    (void)rpc;
    if (response != NULL) {
        call->in_order += response->sequence == call->messages;
        outpost__interop__v1__echo_response__free_unpacked(response, NULL);
    }
    call->messages++;
    rpc_buffer_clear(&call->last);
    rpc_buffer_append_bytes(&call->last, message);
}

static void send_more(void *context, rpc_call *rpc)
{
    struct call *call = context;
    Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
    uint8_t payload[150] = {0};

    request.payload.data = payload;
    request.payload.len = sizeof payload;
    while (call->sent < call->to_send && rpc_call_writable(rpc)) {
        request.sequence = call->sent++;
        send_packed(rpc, &request.base);
    }
    if (call->sent == call->to_send)
        rpc_call_half_close(rpc);
}

static void on_close(void *context, rpc_call *rpc, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    struct call *call = context;

    (void)rpc;
    call->closed = true;
    call->status = *status;
    keep_metadata(&call->trailers, trailers);
}

static void call_init(struct call *call, rpc_channel *channel, const char *path,
                      struct rpc_metadata_list metadata, int64_t timeout_ms)
{
    struct rpc_call_options options = {
        .path = path,
        .metadata = metadata,
        .timeout_ms = timeout_ms,
        .events = {.on_metadata = on_metadata,
                   .on_message = on_message,
                   .on_writable = send_more,
                   .on_close = on_close},
        .context = call,
    };

    *call = (struct call){.channel = channel};
    rpc_buffer_init(&call->last, RPC_MESSAGE_BYTES_MAX);
    rpc_buffer_init(&call->metadata, RPC_HEADER_BYTES_MAX);
    rpc_buffer_init(&call->trailers, RPC_HEADER_BYTES_MAX);
    call->rpc = rpc_client_call(rpc_channel_conn(channel), &options);
    if (call->rpc == NULL)
        abort();
}

static void call_deinit(struct call *call)
{
    rpc_buffer_deinit(&call->last);
    rpc_buffer_deinit(&call->metadata);
    rpc_buffer_deinit(&call->trailers);
}

static bool is_closed(void *call)
{
    return ((struct call *)call)->closed;
}

/* Sends one request, and waits for the call's end. */
static void call_unary(struct call *call, const ProtobufCMessage *request)
{
    send_packed(call->rpc, request);
    rpc_call_half_close(call->rpc);
    struct rpc_status status = rpc_channel_run(call->channel, is_closed, call);
    if (!rpc_ok(&status))
        fprintf(stderr, "  channel: %s\n", status.message);
}

static const struct rpc_metadata_list no_metadata = {0};

static bool contains(const struct rpc_buffer *buffer, struct rpc_bytes part)
{
    if (part.len == 0)
        return true;
    for (size_t i = 0; i + part.len <= buffer->len; i++)
        if (memcmp(buffer->data + i, part.data, part.len) == 0)
            return true;
    return false;
}

static struct rpc_bytes text(const char *literal)
{
    return rpc_bytes_view(literal, strlen(literal));
}

/* ---- Cases: each returns whether it passed ------------------------------- */

static bool echo_case(rpc_channel *channel, size_t payload_len, enum rpc_encoding encoding,
                      const char *response_encoding, bool *accepts_zstd_out)
{
    Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
    uint8_t *payload = malloc(payload_len + 1);
    struct call call;

    if (payload == NULL)
        abort();
    for (size_t i = 0; i < payload_len; i++)
        payload[i] = (uint8_t)(i / 100);
    request.payload.data = payload;
    request.payload.len = payload_len;
    request.response_encoding = (char *)response_encoding;
    call_init(&call, channel, SERVICE "Unary", no_metadata, 0);
    rpc_call_set_encoding(call.rpc, encoding);
    call_unary(&call, &request.base);
    bool passed = rpc_ok(&call.status) && call.messages == 1 &&
                  contains(&call.last, rpc_bytes_view(payload, payload_len));
    *accepts_zstd_out = call.accepts_zstd;
    call_deinit(&call);
    free(payload);
    return passed;
}

static bool plain_case(rpc_channel *channel, size_t payload_len)
{
    bool accepts_zstd;

    return echo_case(channel, payload_len, RPC_ENCODING_IDENTITY, "", &accepts_zstd);
}

static bool unary(rpc_channel *channel, const struct command *command)
{
    (void)command;
    return plain_case(channel, 100);
}

static bool empty(rpc_channel *channel, const struct command *command)
{
    (void)command;
    return plain_case(channel, 0);
}

static bool large(rpc_channel *channel, const struct command *command)
{
    (void)command;
    return plain_case(channel, 3900000);
}

static bool gzip(rpc_channel *channel, const struct command *command)
{
    uint64_t before = rpc_conn_bytes(rpc_channel_conn(channel)).received;
    bool accepts_zstd;
    bool passed = echo_case(channel, 100000, RPC_ENCODING_GZIP, "gzip", &accepts_zstd);

    return passed && accepts_zstd == command->zstd &&
           rpc_conn_bytes(rpc_channel_conn(channel)).received - before < 20000;
}

/* Only to a server that has said that it takes it: grpc 1.51 hands such a
 * message to its method as it is. */
static bool zstd(rpc_channel *channel, const struct command *command)
{
    bool accepts_zstd;

    return !command->zstd || echo_case(channel, 100000, RPC_ENCODING_ZSTD, "zstd", &accepts_zstd);
}

static bool statuses(rpc_channel *channel, const struct command *command)
{
    static const char message[] = "100% \xc3\xa4\xe2\x82\xac\xf0\x9f\x90\x8c \t\r\n end";
    bool passed = true;

    (void)command;
    for (unsigned i = 0; i < 2 * 17; i++) {
        Outpost__Interop__V1__FailRequest request = OUTPOST__INTEROP__V1__FAIL_REQUEST__INIT;
        struct call call;

        request.code = i / 2;
        request.message = (char *)message;
        request.after_message = i % 2 == 1;
        call_init(&call, channel, SERVICE "Fail", no_metadata, 0);
        call_unary(&call, &request.base);
        if ((unsigned)call.status.code != i / 2 || strcmp(call.status.message, message) != 0) {
            fprintf(stderr, "  code %u: got %s, \"%s\"\n", i / 2, rpc_code_name(call.status.code),
                    call.status.message);
            passed = false;
        }
        call_deinit(&call);
    }
    return passed;
}

static bool metadata(rpc_channel *channel, const struct command *command)
{
    const struct rpc_metadata entries[] = {
        {text("x-text"), text("printable, with commas")},
        {text("x-twice"), text("1")},
        {text("x-twice"), text("2")},
        {text("x-any-bin"), rpc_bytes_view("\0\xff,;=", 5)},
        {text("x-one-bin"), rpc_bytes_view("\x80", 1)},
    };
    struct rpc_metadata_list list = {entries, sizeof entries / sizeof entries[0]};
    Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
    struct call call;

    (void)command;
    call_init(&call, channel, SERVICE "Metadata", list, 0);
    call_unary(&call, &request.base);
    bool passed = rpc_ok(&call.status);
    for (size_t i = 0; i < list.count; i++) {
        struct rpc_buffer pair;

        rpc_buffer_init(&pair, 1000);
        rpc_buffer_append_bytes(&pair, entries[i].name);
        rpc_buffer_append(&pair, "=", 1);
        rpc_buffer_append_bytes(&pair, entries[i].value);
        rpc_buffer_append(&pair, ";", 1);
        passed &= contains(&call.metadata, rpc_buffer_view(&pair));
        passed &= contains(&call.trailers, rpc_buffer_view(&pair));
        rpc_buffer_deinit(&pair);
    }
    passed &= contains(&call.trailers, text("trailer-x-text="));
    call_deinit(&call);
    return passed;
}

typedef Outpost__Interop__V1__SleepersResponse sleepers_response;

/* Asks until the server has said so; the test's own time limit ends it. */
static void await_sleepers(rpc_channel *channel, bool (*seen)(const sleepers_response *response))
{
    bool done = false;

    while (!done) {
        Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
        struct call call;

        call_init(&call, channel, SERVICE "Sleepers", no_metadata, 0);
        call_unary(&call, &request.base);
        sleepers_response *response =
            outpost__interop__v1__sleepers_response__unpack(NULL, call.last.len, call.last.data);
        done = !rpc_ok(&call.status) || (response != NULL && seen(response));
        if (response != NULL)
            outpost__interop__v1__sleepers_response__free_unpacked(response, NULL);
        call_deinit(&call);
    }
}

static bool none_sleeps(const sleepers_response *response)
{
    return response->begun == response->cancelled + response->expired;
}

static bool one_sleeps(const sleepers_response *response)
{
    return !none_sleeps(response);
}

static bool one_was_cancelled(const sleepers_response *response)
{
    return response->cancelled > 0 && none_sleeps(response);
}

static bool deadline(rpc_channel *channel, const struct command *command)
{
    Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
    struct call call;

    (void)command;
    call_init(&call, channel, SERVICE "Sleep", no_metadata, 100);
    call_unary(&call, &request.base);
    bool passed = call.status.code == RPC_DEADLINE_EXCEEDED;
    await_sleepers(channel, none_sleeps);
    call_deinit(&call);
    return passed;
}

static bool cancel(rpc_channel *channel, const struct command *command)
{
    Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
    struct call call;

    (void)command;
    call_init(&call, channel, SERVICE "Sleep", no_metadata, 0);
    send_packed(call.rpc, &request.base);
    rpc_call_half_close(call.rpc);
    await_sleepers(channel, one_sleeps);
    rpc_call_cancel(call.rpc);
    rpc_channel_run(channel, is_closed, &call);
    await_sleepers(channel, one_was_cancelled);
    bool passed = call.status.code == RPC_CANCELLED;
    call_deinit(&call);
    return passed;
}

static bool stream(rpc_channel *channel, const struct command *command)
{
    struct call call;

    (void)command;
    call_init(&call, channel, SERVICE "Stream", no_metadata, 0);
    call.to_send = 10000;
    send_more(&call, call.rpc);
    rpc_channel_run(channel, is_closed, &call);
    bool passed = rpc_ok(&call.status) && call.messages == 10000 && call.in_order == 10000;
    call_deinit(&call);
    return passed;
}

static bool generated(rpc_channel *channel, unsigned count, unsigned bytes, enum rpc_code code)
{
    Outpost__Interop__V1__GenerateRequest request = OUTPOST__INTEROP__V1__GENERATE_REQUEST__INIT;
    struct call call;

    request.count = count;
    request.bytes = bytes;
    call_init(&call, channel, SERVICE "Generate", no_metadata, 0);
    call_unary(&call, &request.base);
    bool passed = call.status.code == code && (code != RPC_OK || call.in_order == count);
    if (!passed)
        fprintf(stderr, "  %u messages, %s, \"%s\"\n", call.messages,
                rpc_code_name(call.status.code), call.status.message);
    call_deinit(&call);
    return passed;
}

static bool generate(rpc_channel *channel, const struct command *command)
{
    (void)command;
    return generated(channel, 10000, 150, RPC_OK);
}

/* Over the limit whichever side refuses it. */
static bool oversize(rpc_channel *channel, const struct command *command)
{
    (void)command;
    return generated(channel, 1, 5000000, RPC_RESOURCE_EXHAUSTED);
}

static bool unknown_method(rpc_channel *channel, const struct command *command)
{
    Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
    struct call call;

    (void)command;
    call_init(&call, channel, SERVICE "Nothing", no_metadata, 0);
    call_unary(&call, &request.base);
    bool passed = call.status.code == RPC_UNIMPLEMENTED;
    call_deinit(&call);
    return passed;
}

static bool who_am_i(rpc_channel *channel, const struct command *command)
{
    Outpost__Interop__V1__EchoRequest request = OUTPOST__INTEROP__V1__ECHO_REQUEST__INIT;
    struct call call;
    bool passed = false;

    call_init(&call, channel, SERVICE "WhoAmI", no_metadata, 0);
    call_unary(&call, &request.base);
    Outpost__Interop__V1__WhoAmIResponse *response =
        outpost__interop__v1__who_am_iresponse__unpack(NULL, call.last.len, call.last.data);
    if (response != NULL) {
        passed = response->foreign == (strcmp(command->saw, "foreign") == 0) &&
                 (response->certificate_der.len > 0) == (strcmp(command->saw, "own") == 0);
        outpost__interop__v1__who_am_iresponse__free_unpacked(response, NULL);
    }
    call_deinit(&call);
    return passed;
}

static const struct {
    const char *name;
    bool (*run)(rpc_channel *channel, const struct command *command);
} cases[] = {
    {"unary", unary},       {"empty", empty},
    {"large", large},       {"gzip", gzip},
    {"zstd", zstd},         {"statuses", statuses},
    {"metadata", metadata}, {"deadline", deadline},
    {"cancel", cancel},     {"stream", stream},
    {"generate", generate}, {"oversize", oversize},
    {"who_am_i", who_am_i}, {"unknown_method", unknown_method},
};

/* ---- The program --------------------------------------------------------- */

static struct command parse_command(int argc, char **argv)
{
    static const struct option options[] = {
        {"address", required_argument, NULL, 'h'},
        {"ca", required_argument, NULL, 'a'},
        {"certificate", required_argument, NULL, 'c'},
        {"key", required_argument, NULL, 'k'},
        {"saw", required_argument, NULL, 's'},
        {"no-zstd", no_argument, NULL, 'z'},
        {0},
    };
    struct command command = {.saw = "none", .zstd = true};
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'h':
            command.address = optarg;
            break;
        case 'a':
            command.tls.ca_pem = pem_read(optarg);
            break;
        case 'c':
            command.tls.certificate_pem = pem_read(optarg);
            break;
        case 'k':
            command.tls.key_pem = pem_read(optarg);
            break;
        case 's':
            command.saw = optarg;
            break;
        case 'z':
            command.zstd = false;
            break;
        default:
            exit(64);
        }
    }
    if (command.address == NULL) {
        fprintf(stderr, "rpc-echo-client: --address HOST:PORT is needed\n");
        exit(64);
    }
    return command;
}

static void must(struct rpc_status status)
{
    if (rpc_ok(&status))
        return;
    fprintf(stderr, "rpc-echo-client: %s: %s\n", rpc_code_name(status.code), status.message);
    exit(status.code == RPC_UNAUTHENTICATED ? 77 : EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct command command = parse_command(argc, argv);
    struct rpc_channel_options options;
    rpc_channel *channel = NULL;
    unsigned failures = 0;

    rpc_channel_options_init_default(&options);
    setvbuf(stdout, NULL, _IOLBF, 0);
    options.address = command.address;
    if (command.tls.ca_pem.len > 0)
        must(rpc_tls_client_new(&command.tls, &options.tls));
    must(rpc_channel_open(&options, &channel));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool passed = cases[i].run(channel, &command);
        printf("%s %s\n", passed ? "ok    " : "FAILED", cases[i].name);
        failures += !passed;
    }
    rpc_channel_close(channel);
    rpc_tls_free(options.tls);
    pem_free(&command.tls);
    return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
