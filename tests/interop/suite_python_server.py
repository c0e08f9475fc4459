# SPDX-License-Identifier: Apache-2.0
"""grpc.testing.TestService on the stock Python gRPC."""

import concurrent.futures
import time

import grpc
from suite_messages import message

# It cannot see whether a request came compressed.
CASES = ("empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong",
         "empty_stream", "server_compressed_unary", "server_compressed_streaming",
         "custom_metadata", "status_code_and_message", "special_status_message",
         "unimplemented_method", "unimplemented_service", "cancel_after_begin",
         "cancel_after_first_response", "timeout_on_sleeping_server")
CODES = {code.value[0]: code for code in grpc.StatusCode}


def payload(size):
    return message("Payload")(body=bytes(size))


def echo_metadata(context):
    metadata = dict(context.invocation_metadata())
    initial, trailing = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
    if initial in metadata:
        context.send_initial_metadata(((initial, metadata[initial]),))
    if trailing in metadata:
        context.set_trailing_metadata(((trailing, metadata[trailing]),))


def end_as_wanted(request, context):
    status = request.response_status
    if status.code != 0:
        context.abort(CODES[status.code], status.message)


def empty_call(_request, _context):
    return message("Empty")()


def unary_call(request, context):
    if request.response_compressed.value:
        context.set_compression(grpc.Compression.Gzip)
    echo_metadata(context)
    end_as_wanted(request, context)
    return message("SimpleResponse")(payload=payload(request.response_size))


def responses(request, context):
    for wanted in request.response_parameters:
        time.sleep(wanted.interval_us / 1e6)
        if not wanted.compressed.value:
            context.disable_next_message_compression()
        yield message("StreamingOutputCallResponse")(payload=payload(wanted.size))


def streaming_output_call(request, context):
    if any(wanted.compressed.value for wanted in request.response_parameters):
        context.set_compression(grpc.Compression.Gzip)
    yield from responses(request, context)


def streaming_input_call(requests, _context):
    return message("StreamingInputCallResponse")(
        aggregated_payload_size=sum(len(request.payload.body) for request in requests))


def full_duplex_call(requests, context):
    echo_metadata(context)
    for request in requests:
        end_as_wanted(request, context)
        yield from responses(request, context)


def handlers():
    def entry(kind, method, request):
        return kind(method, request_deserializer=message(request).FromString,
                    response_serializer=lambda response: response.SerializeToString())

    return grpc.method_handlers_generic_handler("grpc.testing.TestService", {
        "EmptyCall": entry(grpc.unary_unary_rpc_method_handler, empty_call, "Empty"),
        "UnaryCall": entry(grpc.unary_unary_rpc_method_handler, unary_call, "SimpleRequest"),
        "StreamingOutputCall": entry(grpc.unary_stream_rpc_method_handler, streaming_output_call,
                                     "StreamingOutputCallRequest"),
        "StreamingInputCall": entry(grpc.stream_unary_rpc_method_handler, streaming_input_call,
                                    "StreamingInputCallRequest"),
        "FullDuplexCall": entry(grpc.stream_stream_rpc_method_handler, full_duplex_call,
                                "StreamingOutputCallRequest"),
    })


def serve(credentials):
    """A started server and its port; credentials None: plain."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((handlers(),))
    port = server.add_insecure_port("localhost:0") if credentials is None else \
        server.add_secure_port("localhost:0", credentials)
    server.start()
    return server, port
