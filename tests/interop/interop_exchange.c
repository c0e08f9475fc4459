/* SPDX-License-Identifier: Apache-2.0 */
#include "interop_exchange.h"

#include <stdio.h>

static const char initial_name[] = "x-grpc-test-echo-initial";
static const char initial_value[] = "test_initial_metadata_value";
static const char trailing_name[] = "x-grpc-test-echo-trailing-bin";
static const uint8_t trailing_value[] = {0xab, 0xab, 0xab};

static const struct rpc_metadata entries[] = {
    {{(const uint8_t *)initial_name, sizeof initial_name - 1},
     {(const uint8_t *)initial_value, sizeof initial_value - 1}},
    {{(const uint8_t *)trailing_name, sizeof trailing_name - 1},
     {trailing_value, sizeof trailing_value}},
};

const struct rpc_metadata_list exchange_metadata = {entries, 2};
const struct rpc_metadata_list exchange_no_metadata = {NULL, 0};

/* ---- What comes -------------------------------------------------------------- */

static void note_close(struct exchange *exchange, const struct rpc_status *status)
{
    struct rpc_metadata_list initial = rpc_call_metadata(exchange->call);
    struct rpc_metadata_list trailing = rpc_call_trailers(exchange->call);
    const struct rpc_metadata *entry = rpc_metadata_find(initial, initial_name);

    exchange->echoed_initial = entry != NULL && rpc_bytes_equal(entry->value, entries[0].value);
    entry = rpc_metadata_find(trailing, trailing_name);
    exchange->echoed_trailing = entry != NULL && rpc_bytes_equal(entry->value, entries[1].value);
    exchange->status = *status;
    exchange->closed = true;
    exchange->call = NULL;
}

static void note_response(struct exchange *exchange, const Grpc__Testing__Payload *payload)
{
    exchange->responses++;
    exchange->compressed = rpc_call_message_compressed(exchange->call);
    exchange->body_len = payload != NULL ? payload->body.len : 0;
    for (size_t i = 0; payload != NULL && i < payload->body.len; i++)
        if (payload->body.data[i] != 0)
            exchange->body_len = SIZE_MAX;
    if (exchange->pausing)
        rpc_call_pause_reading(exchange->call);
}

static void on_empty(void *context, const struct rpc_status *status,
                     const Grpc__Testing__Empty *response)
{
    struct exchange *exchange = context;

    exchange->responses += response != NULL;
    note_close(exchange, status);
}

static void on_simple(void *context, const struct rpc_status *status,
                      const Grpc__Testing__SimpleResponse *response)
{
    if (response != NULL)
        note_response(context, response->payload);
    note_close(context, status);
}

static void on_aggregated(void *context, const struct rpc_status *status,
                          const Grpc__Testing__StreamingInputCallResponse *response)
{
    struct exchange *exchange = context;

    if (response != NULL)
        exchange->aggregated = response->aggregated_payload_size;
    note_close(exchange, status);
}

static void on_output(void *context, rpc_call *call,
                      const Grpc__Testing__StreamingOutputCallResponse *response)
{
    (void)call;
    note_response(context, response->payload);
}

static void on_close(void *context, rpc_call *call, const struct rpc_status *status,
                     struct rpc_metadata_list trailers)
{
    (void)call, (void)trailers;
    note_close(context, status);
}

/* ---- Starting ---------------------------------------------------------------- */

static bool begun(struct exchange *exchange, rpc_call *call)
{
    exchange->call = call;
    return call != NULL;
}

static void reset(struct exchange *exchange, rpc_channel *channel)
{
    *exchange = (struct exchange){.channel = channel};
}

bool exchange_empty(struct exchange *exchange, rpc_channel *channel)
{
    const Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;

    reset(exchange, channel);
    return begun(exchange, grpc_testing_test_service_client_empty_call(
                               rpc_channel_conn(channel), exchange_no_metadata, 0, &request,
                               on_empty, exchange));
}

bool exchange_unary(struct exchange *exchange, rpc_channel *channel,
                    struct rpc_metadata_list metadata, const Grpc__Testing__SimpleRequest *request)
{
    reset(exchange, channel);
    return begun(exchange,
                 grpc_testing_test_service_client_unary_call(rpc_channel_conn(channel), metadata, 0,
                                                             request, on_simple, exchange));
}

bool exchange_input(struct exchange *exchange, rpc_channel *channel)
{
    static const struct grpc_testing_test_service_client_streaming_input_call_events events = {
        .on_done = on_aggregated};

    reset(exchange, channel);
    return begun(exchange,
                 grpc_testing_test_service_client_streaming_input_call(
                     rpc_channel_conn(channel), exchange_no_metadata, 0, &events, exchange));
}

bool exchange_output(struct exchange *exchange, rpc_channel *channel,
                     const Grpc__Testing__StreamingOutputCallRequest *request)
{
    static const struct grpc_testing_test_service_client_streaming_output_call_events events = {
        .on_response = on_output, .on_close = on_close};

    reset(exchange, channel);
    return begun(exchange, grpc_testing_test_service_client_streaming_output_call(
                               rpc_channel_conn(channel), exchange_no_metadata, 0, request, &events,
                               exchange));
}

bool exchange_duplex(struct exchange *exchange, rpc_channel *channel,
                     struct rpc_metadata_list metadata, int64_t timeout_ms)
{
    static const struct grpc_testing_test_service_client_full_duplex_call_events events = {
        .on_response = on_output, .on_close = on_close};

    reset(exchange, channel);
    return begun(exchange, grpc_testing_test_service_client_full_duplex_call(
                               rpc_channel_conn(channel), metadata, timeout_ms, &events, exchange));
}

bool exchange_unimplemented_method(struct exchange *exchange, rpc_channel *channel)
{
    const Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;

    reset(exchange, channel);
    return begun(exchange, grpc_testing_test_service_client_unimplemented_call(
                               rpc_channel_conn(channel), exchange_no_metadata, 0, &request,
                               on_empty, exchange));
}

bool exchange_unimplemented_service(struct exchange *exchange, rpc_channel *channel)
{
    const Grpc__Testing__Empty request = GRPC__TESTING__EMPTY__INIT;

    reset(exchange, channel);
    return begun(exchange, grpc_testing_unimplemented_service_client_unimplemented_call(
                               rpc_channel_conn(channel), exchange_no_metadata, 0, &request,
                               on_empty, exchange));
}

/* ---- Waiting ----------------------------------------------------------------- */

static bool is_closed(void *context)
{
    return ((const struct exchange *)context)->closed;
}

static bool is_answered(void *context)
{
    const struct exchange *exchange = context;

    return exchange->closed || exchange->responses >= exchange->awaited;
}

static void run(struct exchange *exchange, bool (*done)(void *context))
{
    struct rpc_status status = rpc_channel_run(exchange->channel, done, exchange);

    if (!rpc_ok(&status))
        fprintf(stderr, "  channel: %s\n", status.message);
}

void exchange_finish(struct exchange *exchange)
{
    run(exchange, is_closed);
}

bool exchange_await_responses(struct exchange *exchange, unsigned count)
{
    exchange->awaited = count;
    run(exchange, is_answered);
    return exchange->responses >= count;
}
