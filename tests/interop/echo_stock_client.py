# SPDX-License-Identifier: Apache-2.0
"""What the stock Python gRPC asks of rpc-echo-server; every case asserts."""

import echo_pb2
import grpc

SERVICE = "/outpost.interop.v1.Echo/"
LONG_S = 120  # only ends a test that hangs


class Stub:
    def __init__(self, channel):
        def method(kind, name, response_type):
            return kind(SERVICE + name,
                        request_serializer=lambda message: message.SerializeToString(),
                        response_deserializer=response_type.FromString)

        response = echo_pb2.EchoResponse
        self.unary = method(channel.unary_unary, "Unary", response)
        self.stream = method(channel.stream_stream, "Stream", response)
        self.fail = method(channel.unary_unary, "Fail", response)
        self.metadata = method(channel.unary_unary, "Metadata", response)
        self.sleep = method(channel.unary_unary, "Sleep", response)
        self.sleepers = method(channel.unary_unary, "Sleepers", echo_pb2.SleepersResponse)
        self.generate = method(channel.unary_stream, "Generate", response)
        self.who_am_i = method(channel.unary_unary, "WhoAmI", echo_pb2.WhoAmIResponse)
        self.nothing = method(channel.unary_unary, "Nothing", response)


def refused(call, *arguments, **options):
    """The error of a call that must fail."""
    try:
        call(*arguments, timeout=LONG_S, **options)
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def unary(stub):
    for size in (0, 1, 100, 3_900_000):
        payload = bytes(i % 251 for i in range(size))
        answer = stub.unary(echo_pb2.EchoRequest(payload=payload, sequence=7), timeout=LONG_S)
        assert answer.payload == payload and answer.sequence == 7, size


def oversize(stub):
    request = echo_pb2.EchoRequest(payload=bytes(5_000_000))
    assert refused(stub.unary, request).code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    compressible = refused(stub.unary, request, compression=grpc.Compression.Gzip)
    assert compressible.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    asked = echo_pb2.GenerateRequest(count=1, bytes=5_000_000)
    assert refused(lambda *a, **o: list(stub.generate(*a, **o)), asked).code() == \
        grpc.StatusCode.RESOURCE_EXHAUSTED


def statuses(stub):
    message = "100% \u00e4\u20ac\U0001f40c \t\r\n end"
    for code in grpc.StatusCode:
        for after_message in (False, True):
            request = echo_pb2.FailRequest(code=code.value[0], message=message,
                                           after_message=after_message)
            if code is grpc.StatusCode.OK:
                stub.fail(request, timeout=LONG_S)
                continue
            error = refused(stub.fail, request)
            assert (error.code(), error.details()) == (code, message), (code, error.code())


def metadata(stub):
    sent = (("x-text", "printable, with commas"), ("x-twice", "1"), ("x-twice", "2"),
            ("x-any-bin", b"\x00\xff,;="), ("x-one-bin", b"\x80"), ("x-none-bin", b""))
    _, call = stub.metadata.with_call(echo_pb2.EchoRequest(), metadata=sent, timeout=LONG_S)
    initial = [(m.key, m.value) for m in call.initial_metadata()]
    trailing = [(m.key, m.value) for m in call.trailing_metadata()]
    for name, value in sent:
        assert (name, value) in initial, (name, initial)
        assert ("trailer-" + name, value) in trailing, (name, trailing)


def too_much_metadata(stub):
    error = refused(stub.metadata, echo_pb2.EchoRequest(), metadata=(("x-big", "a" * 8100),))
    assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, error


def gzip(stub):
    for size in (10, 100_000, 3_900_000):
        request = echo_pb2.EchoRequest(payload=bytes(size), response_encoding="gzip")
        answer = stub.unary(request, compression=grpc.Compression.Gzip, timeout=LONG_S)
        assert answer.payload == request.payload


def unknown_encoding(stub):
    error = refused(stub.unary, echo_pb2.EchoRequest(payload=bytes(1000)),
                    compression=grpc.Compression.Deflate)
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def deadline(stub):
    before = stub.sleepers(echo_pb2.EchoRequest(), timeout=LONG_S)
    try:
        stub.sleep(echo_pb2.EchoRequest(), timeout=0.1)
        raise AssertionError("Sleep answered")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    while True:  # the handler hears of it, one way or the other
        now = stub.sleepers(echo_pb2.EchoRequest(), timeout=LONG_S)
        if now.begun == before.begun or \
                now.expired + now.cancelled > before.expired + before.cancelled:
            return


def cancel(stub):
    before = stub.sleepers(echo_pb2.EchoRequest(), timeout=LONG_S)
    call = stub.sleep.future(echo_pb2.EchoRequest(), timeout=LONG_S)
    while stub.sleepers(echo_pb2.EchoRequest(), timeout=LONG_S).begun == before.begun:
        pass
    call.cancel()
    while stub.sleepers(echo_pb2.EchoRequest(), timeout=LONG_S).cancelled == before.cancelled:
        pass


def stream(stub):
    requests = (echo_pb2.EchoRequest(payload=bytes(150), sequence=i) for i in range(10_000))
    answers = stub.stream(requests, timeout=LONG_S)
    assert [answer.sequence for answer in answers] == list(range(10_000))


def ping_pong(stub):
    """Each request waits for the answer before it."""
    import queue
    requests = queue.Queue()
    answers = stub.stream(iter(requests.get, None), timeout=LONG_S)
    for i in range(200):
        requests.put(echo_pb2.EchoRequest(sequence=i))
        assert next(answers).sequence == i
    requests.put(None)
    assert list(answers) == []


def generate(stub):
    answers = stub.generate(echo_pb2.GenerateRequest(count=10_000, bytes=150), timeout=LONG_S)
    assert [answer.sequence for answer in answers] == list(range(10_000))


def slow_reader(stub):
    """50 MB for a client that reads the first message late: the server waits."""
    answers = stub.generate(echo_pb2.GenerateRequest(count=500, bytes=100_000), timeout=LONG_S)
    unary(stub)
    assert sum(len(answer.payload) for answer in answers) == 50_000_000


def unknown_method(stub):
    error = refused(stub.nothing, echo_pb2.EchoRequest())
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


CASES = (unary, oversize, statuses, metadata, too_much_metadata, gzip, unknown_encoding, deadline,
         cancel, stream, ping_pong, generate, slow_reader, unknown_method)


def run(channel, saw):
    """All cases; saw is the certificate that the server must say it saw."""
    stub = Stub(channel)
    seen = stub.who_am_i(echo_pb2.EchoRequest(), timeout=LONG_S)
    assert seen.foreign == (saw == "foreign"), seen
    assert (len(seen.certificate_der) > 0) == (saw == "own"), seen
    for case in CASES:
        case(stub)
        print(f"ok     {case.__name__}", flush=True)
