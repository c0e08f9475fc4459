# SPDX-License-Identifier: Apache-2.0
"""gRPC's interoperability cases as the stock Python gRPC calls them; each asserts.

It cannot see whether a response came compressed, and leaves out those cases.
"""

import queue

import grpc
from suite_messages import message

LONG_S = 120  # only ends a test that hangs
REQUEST_SIZES = (27182, 8, 1828, 45904)
RESPONSE_SIZES = (31415, 9, 2653, 58979)
INITIAL = ("x-grpc-test-echo-initial", "test_initial_metadata_value")
TRAILING = ("x-grpc-test-echo-trailing-bin", b"\xab\xab\xab")


class Stub:
    def __init__(self, channel):
        def method(kind, name, response, service="TestService"):
            return kind(f"/grpc.testing.{service}/{name}",
                        request_serializer=lambda request: request.SerializeToString(),
                        response_deserializer=message(response).FromString)

        output = "StreamingOutputCallResponse"
        self.empty = method(channel.unary_unary, "EmptyCall", "Empty")
        self.unary = method(channel.unary_unary, "UnaryCall", "SimpleResponse")
        self.output = method(channel.unary_stream, "StreamingOutputCall", output)
        self.input = method(channel.stream_unary, "StreamingInputCall",
                            "StreamingInputCallResponse")
        self.duplex = method(channel.stream_stream, "FullDuplexCall", output)
        self.no_method = method(channel.unary_unary, "UnimplementedCall", "Empty")
        self.no_service = method(channel.unary_unary, "UnimplementedCall", "Empty",
                                 "UnimplementedService")


def refused(code, call, *arguments, **options):
    try:
        call(*arguments, timeout=LONG_S, **options)
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error
    raise AssertionError("the call succeeded")


def payload(size):
    return message("Payload")(body=bytes(size))


def large():
    return message("SimpleRequest")(response_size=314159, payload=payload(271828))


def ask(sizes, payload_size=0):
    request = message("StreamingOutputCallRequest")(payload=payload(payload_size))
    for size in sizes:
        request.response_parameters.add(size=size)
    return request


def empty_unary(stub):
    assert stub.empty(message("Empty")(), timeout=LONG_S) == message("Empty")()


def large_unary(stub):
    assert stub.unary(large(), timeout=LONG_S).payload.body == bytes(314159)


def client_compressed_unary(stub):
    request = large()
    request.expect_compressed.value = True
    refused(grpc.StatusCode.INVALID_ARGUMENT, stub.unary, request)
    answer = stub.unary(request, timeout=LONG_S, compression=grpc.Compression.Gzip)
    assert len(answer.payload.body) == 314159
    request.expect_compressed.value = False
    assert len(stub.unary(request, timeout=LONG_S).payload.body) == 314159


def client_streaming(stub):
    requests = (message("StreamingInputCallRequest")(payload=payload(size))
                for size in REQUEST_SIZES)
    assert stub.input(requests, timeout=LONG_S).aggregated_payload_size == 74922


def server_streaming(stub):
    answers = stub.output(ask(RESPONSE_SIZES), timeout=LONG_S)
    assert [len(answer.payload.body) for answer in answers] == list(RESPONSE_SIZES)


def ping_pong(stub):
    requests = queue.Queue()
    answers = stub.duplex(iter(requests.get, None), timeout=LONG_S)
    for request_size, response_size in zip(REQUEST_SIZES, RESPONSE_SIZES):
        requests.put(ask([response_size], request_size))
        assert len(next(answers).payload.body) == response_size
    requests.put(None)
    assert list(answers) == []


def empty_stream(stub):
    assert list(stub.duplex(iter(()), timeout=LONG_S)) == []


def custom_metadata(stub):
    _, call = stub.unary.with_call(large(), timeout=LONG_S, metadata=(INITIAL, TRAILING))
    assert INITIAL in call.initial_metadata() and TRAILING in call.trailing_metadata()
    call = stub.duplex(iter([ask(RESPONSE_SIZES[:1])]), timeout=LONG_S,
                       metadata=(INITIAL, TRAILING))
    assert len(list(call)) == 1
    assert INITIAL in call.initial_metadata() and TRAILING in call.trailing_metadata()


def statuses(stub):
    for text in ("test status message",
                 "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"):
        request = message("SimpleRequest")()
        request.response_status.code, request.response_status.message = 2, text
        assert refused(grpc.StatusCode.UNKNOWN, stub.unary, request).details() == text
        request = ask([])
        request.response_status.code, request.response_status.message = 2, text
        error = refused(grpc.StatusCode.UNKNOWN,
                        lambda *a, **o: list(stub.duplex(*a, **o)), iter([request]))
        assert error.details() == text


def unimplemented(stub):
    refused(grpc.StatusCode.UNIMPLEMENTED, stub.no_method, message("Empty")())
    refused(grpc.StatusCode.UNIMPLEMENTED, stub.no_service, message("Empty")())


def cancel_after_begin(stub):
    requests = queue.Queue()
    call = stub.input.future(iter(requests.get, None), timeout=LONG_S)
    call.cancel()
    assert call.cancelled()
    requests.put(None)


def cancel_after_first_response(stub):
    requests = queue.Queue()
    call = stub.duplex(iter(requests.get, None), timeout=LONG_S)
    requests.put(ask(RESPONSE_SIZES[:1], REQUEST_SIZES[0]))
    assert len(next(call).payload.body) == RESPONSE_SIZES[0]
    call.cancel()
    assert call.code() == grpc.StatusCode.CANCELLED
    requests.put(None)


def timeout_on_sleeping_server(stub):
    requests = queue.Queue()
    requests.put(ask([], REQUEST_SIZES[0]))
    try:
        list(stub.duplex(iter(requests.get, None), timeout=0.001))
        raise AssertionError("the call succeeded")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    requests.put(None)


def run(channel):
    stub = Stub(channel)
    for case in (empty_unary, large_unary, client_compressed_unary, client_streaming,
                 server_streaming, ping_pong, empty_stream, custom_metadata, statuses,
                 unimplemented, cancel_after_begin, cancel_after_first_response,
                 timeout_on_sleeping_server):
        case(stub)
        print(f"ok     {case.__name__}", flush=True)
