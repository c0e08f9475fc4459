# SPDX-License-Identifier: Apache-2.0
"""The Echo service of echo.proto on the stock Python gRPC."""

import concurrent.futures
import threading

import echo_pb2
import grpc

LONG_S = 1_000_000
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Echo:
    """One method each; wired up by name in serve()."""

    def __init__(self):
        self.lock = threading.Lock()
        self.begun = self.cancelled = self.expired = 0

    def echo(self, request, context):
        if request.response_encoding == "gzip":
            context.set_compression(grpc.Compression.Gzip)
        return echo_pb2.EchoResponse(payload=request.payload, sequence=request.sequence)

    def unary(self, request, context):
        return self.echo(request, context)

    def stream(self, requests, context):
        for request in requests:
            yield self.echo(request, context)

    def fail(self, request, context):
        """Streaming on the wire's server side, so that a message can precede the status."""
        if request.after_message or request.code == 0:
            yield echo_pb2.EchoResponse()
        context.set_code(CODES[request.code])
        context.set_details(request.message)

    def metadata(self, request, context):
        shown = [(name, value) for name, value in context.invocation_metadata()
                 if name.startswith("x-")]
        context.send_initial_metadata(shown)
        context.set_trailing_metadata([("trailer-" + name, value) for name, value in shown])
        return self.echo(request, context)

    def sleep(self, request, context):
        ended = threading.Event()
        with self.lock:
            self.begun += 1
        expires = context.time_remaining() < LONG_S  # without a deadline: infinite
        if not context.add_callback(ended.set):
            ended.set()
        ended.wait()
        with self.lock:
            if expires:
                self.expired += 1
            else:
                self.cancelled += 1
        return echo_pb2.EchoResponse()

    def sleepers(self, request, context):
        with self.lock:
            return echo_pb2.SleepersResponse(begun=self.begun, cancelled=self.cancelled,
                                             expired=self.expired)

    def generate(self, request, context):
        for sequence in range(request.count):
            yield echo_pb2.EchoResponse(payload=bytes(request.bytes), sequence=sequence)

    def who_am_i(self, request, context):
        shown = context.auth_context().get("x509_pem_cert", [b""])[0]
        return echo_pb2.WhoAmIResponse(certificate_der=shown)


def handlers(echo):
    def entry(kind, method, request_type):
        return kind(method, request_deserializer=request_type.FromString,
                    response_serializer=lambda message: message.SerializeToString())

    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    request = echo_pb2.EchoRequest
    return grpc.method_handlers_generic_handler("outpost.interop.v1.Echo", {
        "Unary": entry(unary, echo.unary, request),
        "Stream": entry(grpc.stream_stream_rpc_method_handler, echo.stream, request),
        "Fail": entry(stream, echo.fail, echo_pb2.FailRequest),
        "Metadata": entry(unary, echo.metadata, request),
        "Sleep": entry(unary, echo.sleep, request),
        "Sleepers": entry(unary, echo.sleepers, request),
        "Generate": entry(stream, echo.generate, echo_pb2.GenerateRequest),
        "WhoAmI": entry(unary, echo.who_am_i, request),
    })


def serve(credentials):
    """A started server and its address; credentials None: plain."""
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((handlers(Echo()),))
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    return server, f"127.0.0.1:{port}"
