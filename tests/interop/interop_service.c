/* SPDX-License-Identifier: Apache-2.0
 *
 * A call with many responses is an output: the list of responses that its
 * present request asked for, each after its interval, and none while the call
 * is not writable. Requests of a full-duplex call are read one by one.
 */
#include "interop_service.h"

#include <stdlib.h>

struct interop_output {
    struct interop_service *service;
    struct interop_output *next;
    rpc_call *call;
    bool duplex; /* else the call ends after its one request's responses */
    struct wanted {
        size_t size;
        uint64_t interval_ms;
        bool compressed;
    } * wanted;
    size_t wanted_count;
    size_t sent;
    bool waited; /* the next response's interval has passed */
    uv_timer_t timer;
};

static const uint8_t zeros[RPC_MESSAGE_BYTES_MAX];

static ProtobufCBinaryData zero_body(size_t size)
{
    return (ProtobufCBinaryData){size, (uint8_t *)zeros};
}

static bool size_served(int32_t size)
{
    return size >= 0 && (size_t)size <= sizeof zeros;
}

static void finish(rpc_call *call, enum rpc_code code, const char *message)
{
    rpc_call_finish(call, rpc_status_make(code, "%s", message));
}

/* ---- What all methods have in common --------------------------------------- */

static void echo_metadata(rpc_call *call)
{
    static const char initial[] = "x-grpc-test-echo-initial";
    static const char trailing[] = "x-grpc-test-echo-trailing-bin";
    struct rpc_metadata_list metadata = rpc_call_metadata(call);
    const struct rpc_metadata *entry = rpc_metadata_find(metadata, initial);

    if (entry != NULL)
        rpc_call_add_metadata(call, initial, entry->value);
    entry = rpc_metadata_find(metadata, trailing);
    if (entry != NULL)
        rpc_call_add_trailer(call, trailing, entry->value);
}

/* False: the call is finished, because it came otherwise than its sender says. */
static bool came_as_expected(rpc_call *call, const Grpc__Testing__BoolValue *expect_compressed)
{
    bool expected = expect_compressed != NULL && expect_compressed->value;

    if (expect_compressed == NULL || expected == rpc_call_message_compressed(call))
        return true;
    finish(call, RPC_INVALID_ARGUMENT,
           expected ? "the message should have come compressed"
                    : "the message should not have come compressed");
    return false;
}

/* False: the call is finished with the status that its request asks for. */
static bool status_wanted_ok(rpc_call *call, const Grpc__Testing__EchoStatus *wanted)
{
    if (wanted == NULL || wanted->code == RPC_OK)
        return true;
    finish(call, (enum rpc_code)wanted->code, wanted->message);
    return false;
}

/* ---- One response ------------------------------------------------------------ */

static void on_empty(void *service, rpc_call *call, const Grpc__Testing__Empty *request)
{
    (void)service;
    echo_metadata(call);
    grpc_testing_test_service_empty_call_reply(call, request);
}

static void on_unary(void *service, rpc_call *call, const Grpc__Testing__SimpleRequest *request)
{
    Grpc__Testing__SimpleResponse response = GRPC__TESTING__SIMPLE_RESPONSE__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;

    (void)service;
    echo_metadata(call);
    if (!came_as_expected(call, request->expect_compressed) ||
        !status_wanted_ok(call, request->response_status))
        return;
    if (!size_served(request->response_size)) {
        finish(call, RPC_INVALID_ARGUMENT, "no response has such a size");
        return;
    }
    payload.body = zero_body((size_t)request->response_size);
    response.payload = request->response_size > 0 ? &payload : NULL;
    if (request->response_compressed != NULL && request->response_compressed->value)
        rpc_call_set_encoding(call, RPC_ENCODING_GZIP);
    grpc_testing_test_service_unary_call_reply(call, &response);
}

struct input {
    int32_t bytes;
};

static void on_input_open(void *service, rpc_call *call, void **context_out)
{
    (void)service;
    *context_out = calloc(1, sizeof(struct input));
    if (*context_out == NULL)
        finish(call, RPC_RESOURCE_EXHAUSTED, "no memory");
}

static void on_input(void *context, rpc_call *call,
                     const Grpc__Testing__StreamingInputCallRequest *request)
{
    struct input *input = context;

    if (came_as_expected(call, request->expect_compressed) && request->payload != NULL)
        input->bytes += (int32_t)request->payload->body.len;
}

static void on_input_end(void *context, rpc_call *call)
{
    const struct input *input = context;
    Grpc__Testing__StreamingInputCallResponse response =
        GRPC__TESTING__STREAMING_INPUT_CALL_RESPONSE__INIT;

    response.aggregated_payload_size = input->bytes;
    grpc_testing_test_service_streaming_input_call_reply(call, &response);
}

static void on_input_close(void *context, rpc_call *call, const struct rpc_status *status,
                           struct rpc_metadata_list trailers)
{
    (void)call, (void)status, (void)trailers;
    free(context);
}

/* ---- Many responses ------------------------------------------------------------ */

static void produce(struct interop_output *output);

static void on_interval_over(uv_timer_t *timer)
{
    struct interop_output *output = timer->data;

    output->waited = true;
    produce(output);
}

static void send_one(struct interop_output *output, const struct wanted *wanted)
{
    Grpc__Testing__StreamingOutputCallResponse response =
        GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
    Grpc__Testing__Payload payload = GRPC__TESTING__PAYLOAD__INIT;

    payload.body = zero_body(wanted->size);
    response.payload = &payload;
    rpc_call_set_compressing(output->call, wanted->compressed);
    if (output->duplex)
        grpc_testing_test_service_full_duplex_call_send(output->call, &response);
    else
        grpc_testing_test_service_streaming_output_call_send(output->call, &response);
}

/* Sends what may be sent now, and arranges for the rest. */
static void produce(struct interop_output *output)
{
    while (output->sent < output->wanted_count && rpc_call_writable(output->call)) {
        const struct wanted *wanted = &output->wanted[output->sent];

        if (wanted->interval_ms > 0 && !output->waited) {
            uv_timer_start(&output->timer, on_interval_over, wanted->interval_ms, 0);
            return;
        }
        output->waited = false;
        output->sent++;
        send_one(output, wanted);
    }
    if (output->sent < output->wanted_count)
        return;
    if (output->duplex)
        rpc_call_resume_reading(output->call);
    else
        rpc_call_finish(output->call, rpc_status_ok());
}

static struct interop_output *output_find(struct interop_service *service, const rpc_call *call)
{
    struct interop_output *at = service->outputs;

    while (at != NULL && at->call != call)
        at = at->next;
    return at;
}

static struct interop_output *output_open(struct interop_service *service, rpc_call *call,
                                          bool duplex)
{
    struct interop_output *output = calloc(1, sizeof *output);

    if (output == NULL) {
        finish(call, RPC_RESOURCE_EXHAUSTED, "no memory");
        return NULL;
    }
    *output = (struct interop_output){
        .service = service, .next = service->outputs, .call = call, .duplex = duplex};
    service->outputs = output;
    uv_timer_init(service->loop, &output->timer);
    output->timer.data = output;
    return output;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct interop_output *output = handle->data;

    free(output->wanted);
    free(output);
}

static void output_close(struct interop_output *output)
{
    struct interop_output **at = &output->service->outputs;

    while (*at != output)
        at = &(*at)->next;
    *at = output->next;
    uv_close((uv_handle_t *)&output->timer, on_timer_closed);
}

/* Takes over what a request asks for; false: the call is finished. */
static bool output_take(struct interop_output *output,
                        const Grpc__Testing__StreamingOutputCallRequest *request)
{
    size_t count = request->n_response_parameters;

    if (!status_wanted_ok(output->call, request->response_status))
        return false;
    free(output->wanted);
    output->sent = output->wanted_count = 0;
    output->wanted = calloc(count + 1, sizeof *output->wanted);
    if (output->wanted == NULL) {
        finish(output->call, RPC_RESOURCE_EXHAUSTED, "no memory");
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        const Grpc__Testing__ResponseParameters *asked = request->response_parameters[i];
        if (!size_served(asked->size) || asked->interval_us < 0) {
            finish(output->call, RPC_INVALID_ARGUMENT, "no response has such a size or interval");
            return false;
        }
        output->wanted[i] = (struct wanted){
            .size = (size_t)asked->size,
            .interval_ms = ((uint64_t)asked->interval_us + 999) / 1000,
            .compressed = asked->compressed != NULL && asked->compressed->value,
        };
        if (output->wanted[i].compressed)
            rpc_call_set_encoding(output->call, RPC_ENCODING_GZIP);
    }
    output->wanted_count = count;
    return true;
}

static void on_output(void *service, rpc_call *call,
                      const Grpc__Testing__StreamingOutputCallRequest *request)
{
    struct interop_output *output = output_open(service, call, false);

    echo_metadata(call);
    if (output != NULL && output_take(output, request))
        produce(output);
}

static void on_output_writable(void *service, rpc_call *call)
{
    struct interop_output *output = output_find(service, call);

    if (output != NULL)
        produce(output);
}

static void on_output_closed(void *service, rpc_call *call)
{
    struct interop_output *output = output_find(service, call);

    if (output != NULL)
        output_close(output);
}

static void on_duplex_open(void *service, rpc_call *call, void **context_out)
{
    echo_metadata(call);
    *context_out = output_open(service, call, true);
}

static void on_duplex(void *context, rpc_call *call,
                      const Grpc__Testing__StreamingOutputCallRequest *request)
{
    struct interop_output *output = context;

    rpc_call_pause_reading(call);
    if (output_take(output, request))
        produce(output);
}

static void on_duplex_end(void *context, rpc_call *call)
{
    (void)context;
    rpc_call_finish(call, rpc_status_ok());
}

static void on_duplex_writable(void *context, rpc_call *call)
{
    (void)call;
    produce(context);
}

static void on_duplex_close(void *context, rpc_call *call, const struct rpc_status *status,
                            struct rpc_metadata_list trailers)
{
    (void)call, (void)status, (void)trailers;
    if (context != NULL)
        output_close(context);
}

void interop_service_init(struct interop_service *service, uv_loop_t *loop)
{
    *service = (struct interop_service){
        .loop = loop,
        .handlers =
            {
                .service = service,
                .empty_call = on_empty,
                .unary_call = on_unary,
                .streaming_output_call = on_output,
                .streaming_output_call_writable = on_output_writable,
                .streaming_output_call_closed = on_output_closed,
                .streaming_input_call = {.on_open = on_input_open,
                                         .on_request = on_input,
                                         .on_half_close = on_input_end,
                                         .on_close = on_input_close},
                .full_duplex_call = {.on_open = on_duplex_open,
                                     .on_request = on_duplex,
                                     .on_half_close = on_duplex_end,
                                     .on_writable = on_duplex_writable,
                                     .on_close = on_duplex_close},
            },
    };
}
