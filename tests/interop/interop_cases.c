/* SPDX-License-Identifier: Apache-2.0 */
#include "interop_case_parts.h"

#include <stdio.h>

enum {
    REQUEST_BYTES = 271828, /* of large_unary */
    RESPONSE_BYTES = 314159,
};

const int32_t interop_request_sizes[4] = {27182, 8, 1828, 45904};
const int32_t interop_response_sizes[4] = {31415, 9, 2653, 58979};
static const uint8_t zeros[REQUEST_BYTES];

bool interop_check(bool passed, const char *what)
{
    if (!passed)
        fprintf(stderr, "  %s\n", what);
    return passed;
}

bool interop_ended_with(const struct exchange *exchange, enum rpc_code code)
{
    if (exchange->closed && exchange->status.code == code)
        return true;
    fprintf(stderr, "  expected %s, got %s: %s\n", rpc_code_name(code),
            rpc_code_name(exchange->status.code), exchange->status.message);
    return false;
}

Grpc__Testing__Payload interop_payload(size_t len)
{
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;

    payload.body = (ProtobufCBinaryData){len, (uint8_t *)zeros};
    return payload;
}

Grpc__Testing__BoolValue interop_truth(bool value)
{
    Grpc__Testing__BoolValue truth = GRPC__TESTING__BOOL_VALUE__INIT;

    truth.value = value;
    return truth;
}

/* ---- Unary ------------------------------------------------------------------- */

/* A call like large_unary's, with what is given beside it. */
static void call_large(struct exchange *exchange, rpc_channel *channel,
                       struct rpc_metadata_list metadata,
                       Grpc__Testing__BoolValue *expect_compressed,
                       Grpc__Testing__BoolValue *response_compressed)
{
    Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    Grpc__Testing__Payload payload = interop_payload(REQUEST_BYTES);

    request.payload = &payload;
    request.response_size = RESPONSE_BYTES;
    request.expect_compressed = expect_compressed;
    request.response_compressed = response_compressed;
    if (exchange_unary(exchange, channel, metadata, &request))
        exchange_finish(exchange);
}

static bool large_came(const struct exchange *exchange)
{
    return interop_ended_with(exchange, RPC_OK) &
           interop_check(exchange->body_len == RESPONSE_BYTES, "the response has another size");
}

bool interop_large_unary(rpc_channel *channel)
{
    struct exchange exchange;

    call_large(&exchange, channel, exchange_no_metadata, NULL, NULL);
    return large_came(&exchange);
}

static bool large_unary(rpc_channel *channel, const struct rpc_channel_options *options,
                        const struct interop_flags *flags)
{
    (void)options, (void)flags;
    return interop_large_unary(channel);
}

static bool empty_unary(rpc_channel *channel, const struct rpc_channel_options *options,
                        const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (exchange_empty(&exchange, channel))
        exchange_finish(&exchange);
    return interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.responses == 1, "no response");
}

/* ---- Compression --------------------------------------------------------------- */

/* A request that says falsely that it is compressed must be refused: only a
 * server that looks can pass the other steps. */
static bool client_compressed_unary(rpc_channel *channel, const struct rpc_channel_options *options,
                                    const struct interop_flags *flags)
{
    Grpc__Testing__BoolValue yes = interop_truth(true);
    Grpc__Testing__BoolValue no = interop_truth(false);
    struct exchange exchange;

    (void)options, (void)flags;
    call_large(&exchange, channel, exchange_no_metadata, &yes, NULL);
    bool passed = interop_ended_with(&exchange, RPC_INVALID_ARGUMENT);
    rpc_conn_set_encoding(rpc_channel_conn(channel), RPC_ENCODING_GZIP);
    call_large(&exchange, channel, exchange_no_metadata, &yes, NULL);
    passed &= large_came(&exchange);
    rpc_conn_set_encoding(rpc_channel_conn(channel), RPC_ENCODING_IDENTITY);
    call_large(&exchange, channel, exchange_no_metadata, &no, NULL);
    return passed & large_came(&exchange);
}

void interop_send_input(struct exchange *exchange, int32_t size, bool compressed, bool expected)
{
    Grpc__Testing__StreamingInputCallRequest request =
        GRPC__TESTING__STREAMING_INPUT_CALL_REQUEST__INIT;
    Grpc__Testing__Payload payload = interop_payload((size_t)size);
    Grpc__Testing__BoolValue expect = interop_truth(expected);

    request.payload = &payload;
    request.expect_compressed = &expect;
    rpc_call_set_compressing(exchange->call, compressed);
    grpc_testing_test_service_client_streaming_input_call_send(exchange->call, &request);
}

static bool client_compressed_streaming(rpc_channel *channel,
                                        const struct rpc_channel_options *options,
                                        const struct interop_flags *flags)
{
    struct exchange exchange;
    bool passed = true;

    (void)options, (void)flags;
    rpc_conn_set_encoding(rpc_channel_conn(channel), RPC_ENCODING_GZIP);
    if (exchange_input(&exchange, channel)) {
        interop_send_input(&exchange, interop_request_sizes[0], false, true);
        rpc_call_half_close(exchange.call);
        exchange_finish(&exchange);
    }
    passed &= interop_ended_with(&exchange, RPC_INVALID_ARGUMENT);
    if (exchange_input(&exchange, channel)) {
        interop_send_input(&exchange, interop_request_sizes[0], true, true);
        interop_send_input(&exchange, interop_request_sizes[3], false, false);
        rpc_call_half_close(exchange.call);
        exchange_finish(&exchange);
    }
    return passed & interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.aggregated == interop_request_sizes[0] + interop_request_sizes[3],
                         "the server counted other bytes");
}

static bool server_compressed_unary(rpc_channel *channel, const struct rpc_channel_options *options,
                                    const struct interop_flags *flags)
{
    bool passed = true;

    (void)options, (void)flags;
    for (int i = 1; i >= 0; i--) {
        Grpc__Testing__BoolValue wanted = interop_truth(i == 1);
        struct exchange exchange;

        call_large(&exchange, channel, exchange_no_metadata, NULL, &wanted);
        passed &= large_came(&exchange) &
                  interop_check(exchange.compressed == wanted.value,
                                "the response is compressed and should not be, or the reverse");
    }
    return passed;
}

/* ---- Metadata and statuses ------------------------------------------------------- */

bool interop_echoed(const struct exchange *exchange)
{
    return interop_check(exchange->echoed_initial, "the initial metadata did not come back") &
           interop_check(exchange->echoed_trailing, "the trailing metadata did not come back");
}

static bool custom_metadata(rpc_channel *channel, const struct rpc_channel_options *options,
                            const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    call_large(&exchange, channel, exchange_metadata, NULL, NULL);
    bool passed = large_came(&exchange) & interop_echoed(&exchange);
    if (!exchange_duplex(&exchange, channel, exchange_metadata, 0))
        return interop_check(false, "no call");
    grpc_testing_test_service_client_full_duplex_call_send(
        exchange.call, interop_ask(interop_response_sizes, 1, (size_t)interop_request_sizes[0]));
    rpc_call_half_close(exchange.call);
    exchange_finish(&exchange);
    return passed & interop_ended_with(&exchange, RPC_OK) & interop_echoed(&exchange);
}

bool interop_has_status(const struct exchange *exchange, const Grpc__Testing__EchoStatus *wanted)
{
    return interop_ended_with(exchange, (enum rpc_code)wanted->code) &
           interop_check(strcmp(exchange->status.message, wanted->message) == 0,
                         "another status message");
}

static bool unary_status(rpc_channel *channel, Grpc__Testing__EchoStatus *wanted)
{
    Grpc__Testing__SimpleRequest request = GRPC__TESTING__SIMPLE_REQUEST__INIT;
    struct exchange exchange;

    request.response_status = wanted;
    if (exchange_unary(&exchange, channel, exchange_no_metadata, &request))
        exchange_finish(&exchange);
    return interop_has_status(&exchange, wanted);
}

static bool status_code_and_message(rpc_channel *channel, const struct rpc_channel_options *options,
                                    const struct interop_flags *flags)
{
    Grpc__Testing__EchoStatus wanted = GRPC__TESTING__ECHO_STATUS__INIT;
    struct exchange exchange;

    (void)options, (void)flags;
    wanted.code = RPC_UNKNOWN;
    wanted.message = (char *)"test status message";
    bool passed = unary_status(channel, &wanted);
    if (!exchange_duplex(&exchange, channel, exchange_no_metadata, 0))
        return interop_check(false, "no call");
    Grpc__Testing__StreamingOutputCallRequest *request = interop_ask(NULL, 0, 0);
    request->response_status = &wanted;
    grpc_testing_test_service_client_full_duplex_call_send(exchange.call, request);
    rpc_call_half_close(exchange.call);
    exchange_finish(&exchange);
    return passed & interop_has_status(&exchange, &wanted);
}

static bool special_status_message(rpc_channel *channel, const struct rpc_channel_options *options,
                                   const struct interop_flags *flags)
{
    Grpc__Testing__EchoStatus wanted = GRPC__TESTING__ECHO_STATUS__INIT;

    (void)options, (void)flags;
    wanted.code = RPC_UNKNOWN;
    wanted.message = (char *)"\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP "
                     "\xf0\x9f\x98\x88\t\n";
    return unary_status(channel, &wanted);
}

static bool unimplemented_method(rpc_channel *channel, const struct rpc_channel_options *options,
                                 const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (exchange_unimplemented_method(&exchange, channel))
        exchange_finish(&exchange);
    return interop_ended_with(&exchange, RPC_UNIMPLEMENTED);
}

static bool unimplemented_service(rpc_channel *channel, const struct rpc_channel_options *options,
                                  const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (exchange_unimplemented_service(&exchange, channel))
        exchange_finish(&exchange);
    return interop_ended_with(&exchange, RPC_UNIMPLEMENTED);
}

/* ---- The table ---------------------------------------------------------------------- */

#define CASE(name)         \
    {                      \
#name, false, name \
    }

static const struct interop_case cases[] = {
    CASE(empty_unary),
    CASE(large_unary),
    {"client_streaming", false, interop_client_streaming},
    {"server_streaming", false, interop_server_streaming},
    {"ping_pong", false, interop_ping_pong},
    {"empty_stream", false, interop_empty_stream},
    CASE(client_compressed_unary),
    CASE(client_compressed_streaming),
    CASE(server_compressed_unary),
    {"server_compressed_streaming", false, interop_server_compressed_streaming},
    CASE(custom_metadata),
    CASE(status_code_and_message),
    CASE(special_status_message),
    CASE(unimplemented_method),
    CASE(unimplemented_service),
    {"cancel_after_begin", false, interop_cancel_after_begin},
    {"cancel_after_first_response", false, interop_cancel_after_first_response},
    {"timeout_on_sleeping_server", false, interop_timeout_on_sleeping_server},
    {"slow_consumer", true, interop_slow_consumer},
    {"rpc_soak", true, interop_rpc_soak},
    {"channel_soak", true, interop_channel_soak},
};

enum { CASE_COUNT = sizeof cases / sizeof cases[0] };

const struct interop_case *interop_case_at(size_t index)
{
    return index < CASE_COUNT ? &cases[index] : NULL;
}

const struct interop_case *interop_case_find(const char *name)
{
    for (size_t i = 0; i < CASE_COUNT; i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    return NULL;
}
