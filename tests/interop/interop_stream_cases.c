/* SPDX-License-Identifier: Apache-2.0
 *
 * The cases that stream.
 */
#include "interop_case_parts.h"

#include <time.h>

enum {
    SLOW_RESPONSES = 2000, /* of slow_consumer */
    SLOW_RESPONSE_BYTES = 1030,
    SLOW_WAIT_MS = 20,
    ASKED_MAX = SLOW_RESPONSES,
};

/* ---- Streams ------------------------------------------------------------------- */

/* A request for responses; sizes is repeated when count is larger than four. */
struct asked {
    Grpc__Testing__StreamingOutputCallRequest request;
    Grpc__Testing__Payload payload;
    Grpc__Testing__ResponseParameters parameters[ASKED_MAX];
    Grpc__Testing__ResponseParameters *pointers[ASKED_MAX];
};

static struct asked asked;

Grpc__Testing__StreamingOutputCallRequest *interop_ask(const int32_t *sizes, size_t count,
                                                       size_t payload_len)
{
    asked.request = (Grpc__Testing__StreamingOutputCallRequest)
        GRPC__TESTING__STREAMING_OUTPUT_CALL_REQUEST__INIT;
    asked.payload = interop_payload(payload_len);
    asked.request.payload = &asked.payload;
    for (size_t i = 0; i < count; i++) {
        asked.parameters[i] =
            (Grpc__Testing__ResponseParameters)GRPC__TESTING__RESPONSE_PARAMETERS__INIT;
        asked.parameters[i].size = sizes[i % 4];
        asked.pointers[i] = &asked.parameters[i];
    }
    asked.request.response_parameters = asked.pointers;
    asked.request.n_response_parameters = count;
    return &asked.request;
}

bool interop_server_compressed_streaming(rpc_channel *channel,
                                         const struct rpc_channel_options *options,
                                         const struct interop_flags *flags)
{
    static const int32_t sizes[4] = {31415, 92653};
    Grpc__Testing__StreamingOutputCallRequest *request = interop_ask(sizes, 2, 0);
    Grpc__Testing__BoolValue wanted[2] = {interop_truth(true), interop_truth(false)};
    struct exchange exchange;
    bool passed = true;

    (void)options, (void)flags;
    for (size_t i = 0; i < 2; i++)
        request->response_parameters[i]->compressed = &wanted[i];
    if (!exchange_output(&exchange, channel, request))
        return interop_check(false, "no call");
    exchange.pausing = true;
    for (unsigned i = 0; i < 2 && exchange_await_responses(&exchange, i + 1); i++) {
        passed &= interop_check(exchange.body_len == (size_t)sizes[i], "another size") &
                  interop_check(exchange.compressed == wanted[i].value,
                                "a response is compressed and should not be, or the reverse");
        rpc_call_resume_reading(exchange.call);
    }
    exchange_finish(&exchange);
    return passed & interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.responses == 2, "not two responses");
}

bool interop_client_streaming(rpc_channel *channel, const struct rpc_channel_options *options,
                              const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (!exchange_input(&exchange, channel))
        return interop_check(false, "no call");
    for (size_t i = 0; i < 4; i++)
        interop_send_input(&exchange, interop_request_sizes[i], false, false);
    rpc_call_half_close(exchange.call);
    exchange_finish(&exchange);
    return interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.aggregated == 74922, "the server counted other bytes");
}

bool interop_server_streaming(rpc_channel *channel, const struct rpc_channel_options *options,
                              const struct interop_flags *flags)
{
    struct exchange exchange;
    bool passed = true;

    (void)options, (void)flags;
    if (!exchange_output(&exchange, channel, interop_ask(interop_response_sizes, 4, 0)))
        return interop_check(false, "no call");
    exchange.pausing = true;
    for (unsigned i = 0; i < 4 && exchange_await_responses(&exchange, i + 1); i++) {
        passed &=
            interop_check(exchange.body_len == (size_t)interop_response_sizes[i], "another size");
        rpc_call_resume_reading(exchange.call);
    }
    exchange_finish(&exchange);
    return passed & interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.responses == 4, "not four responses");
}

/* Every response is waited for before the next request goes. */
bool interop_ping_pong(rpc_channel *channel, const struct rpc_channel_options *options,
                       const struct interop_flags *flags)
{
    struct exchange exchange;
    bool passed = true;

    (void)options, (void)flags;
    if (!exchange_duplex(&exchange, channel, exchange_no_metadata, 0))
        return interop_check(false, "no call");
    for (unsigned i = 0; i < 4 && passed; i++) {
        grpc_testing_test_service_client_full_duplex_call_send(
            exchange.call,
            interop_ask(&interop_response_sizes[i], 1, (size_t)interop_request_sizes[i]));
        passed =
            interop_check(exchange_await_responses(&exchange, i + 1), "no response") &&
            interop_check(exchange.body_len == (size_t)interop_response_sizes[i], "another size");
    }
    if (!exchange.closed)
        rpc_call_half_close(exchange.call);
    exchange_finish(&exchange);
    return passed & interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.responses == 4, "not four responses");
}

bool interop_empty_stream(rpc_channel *channel, const struct rpc_channel_options *options,
                          const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (!exchange_duplex(&exchange, channel, exchange_no_metadata, 0))
        return interop_check(false, "no call");
    rpc_call_half_close(exchange.call);
    exchange_finish(&exchange);
    return interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.responses == 0, "a response");
}

bool interop_slow_consumer(rpc_channel *channel, const struct rpc_channel_options *options,
                           const struct interop_flags *flags)
{
    static const int32_t sizes[4] = {SLOW_RESPONSE_BYTES, SLOW_RESPONSE_BYTES, SLOW_RESPONSE_BYTES,
                                     SLOW_RESPONSE_BYTES};
    const struct timespec wait = {.tv_nsec = SLOW_WAIT_MS * 1000000};
    struct exchange exchange;

    (void)options, (void)flags;
    if (!exchange_output(&exchange, channel, interop_ask(sizes, SLOW_RESPONSES, 0)))
        return interop_check(false, "no call");
    exchange.pausing = true;
    while (exchange_await_responses(&exchange, exchange.responses + 1)) {
        nanosleep(&wait, NULL);
        if (exchange.call != NULL)
            rpc_call_resume_reading(exchange.call);
    }
    return interop_ended_with(&exchange, RPC_OK) &
           interop_check(exchange.responses == SLOW_RESPONSES, "not all responses came");
}

/* ---- Ends that come early ---------------------------------------------------------- */

bool interop_cancel_after_begin(rpc_channel *channel, const struct rpc_channel_options *options,
                                const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (!exchange_input(&exchange, channel))
        return interop_check(false, "no call");
    rpc_call_cancel(exchange.call);
    exchange_finish(&exchange);
    return interop_ended_with(&exchange, RPC_CANCELLED);
}

bool interop_cancel_after_first_response(rpc_channel *channel,
                                         const struct rpc_channel_options *options,
                                         const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (!exchange_duplex(&exchange, channel, exchange_no_metadata, 0))
        return interop_check(false, "no call");
    grpc_testing_test_service_client_full_duplex_call_send(
        exchange.call, interop_ask(interop_response_sizes, 1, (size_t)interop_request_sizes[0]));
    bool passed = interop_check(exchange_await_responses(&exchange, 1), "no response");
    if (!exchange.closed)
        rpc_call_cancel(exchange.call);
    exchange_finish(&exchange);
    return passed & interop_ended_with(&exchange, RPC_CANCELLED);
}

bool interop_timeout_on_sleeping_server(rpc_channel *channel,
                                        const struct rpc_channel_options *options,
                                        const struct interop_flags *flags)
{
    struct exchange exchange;

    (void)options, (void)flags;
    if (!exchange_duplex(&exchange, channel, exchange_no_metadata, 1))
        return interop_check(false, "no call");
    grpc_testing_test_service_client_full_duplex_call_send(
        exchange.call, interop_ask(NULL, 0, (size_t)interop_request_sizes[0]));
    exchange_finish(&exchange);
    return interop_ended_with(&exchange, RPC_DEADLINE_EXCEEDED);
}
