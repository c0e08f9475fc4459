# SPDX-License-Identifier: Apache-2.0
"""RFC 9113 and 7541, as a client must take what a server sends: its calls end with the right status,
and it never waits for what will not come."""

from frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, PING,
                    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, field, frame)
from http2_frame_cases import (ALTSVC, EIGHT, ENABLE_PUSH, FRAME_MAX, INITIAL_WINDOW, MAX_FRAME,
                               MAX_STREAMS, ORIGIN, PADDED, RESERVED, TABLE_SIZE, UNKNOWN,
                               WINDOW_MAX, goaway, head, padded, ping, priority, reset, window)
from rfc_client import HEAD, TRAIL, Case, answer
from rfc_peer import (CANCEL, COMPRESSION_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOOD,
                      INTERNAL_ERROR, NO_ERROR, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, data,
                      headers, settings, u32)

ENDED = END_HEADERS | END_STREAM
ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = 11, 12, 13
GOOD_SETTINGS = settings() + frame(SETTINGS, ACK)
BEGUN = headers(1, HEAD)  # an answer that has begun
UP = ("OK", "OK")  # this call, and one after it on the same connection
LOST = ("UNAVAILABLE",)  # with the connection
INTERIM = headers(1, field(":status", "103") + field("link", "x"))


def lost(section, name, reply, code, **options):
    """The connection ends with that code."""
    return Case(section, name, reply, LOST, (code,), **options)


def ended(section, name, reply, status="INTERNAL", codes=(PROTOCOL_ERROR,)):
    """The call ends, the connection serves the next."""
    return Case(section, name, reply, (status, "OK"), codes)


def fine(section, name, reply, greeting=GOOD_SETTINGS, messages=1):
    return Case(section, name, reply, UP, greeting=greeting, messages=messages)


def greeted(section, name, greeting, code):
    return lost(section, name, b"", code, greeting=greeting)


def closed(section, name, last, status="UNAVAILABLE"):
    """The server sends this and closes."""
    def reply(caller):
        caller.send(last)
        caller.socket.shutdown(1)
        return b""
    return Case(section, name, reply, (status,))


def pinged(caller):
    caller.send(ping())
    assert caller.await_frame(PING) == EIGHT
    return answer()


def byte_by_byte(caller):
    for byte in answer():
        caller.send(bytes((byte,)))
    return b""


PREFACES = [
    fine("9113 3.4", "a good answer", answer()),
    fine("9113 3.4", "a good answer in single bytes", byte_by_byte),
    greeted("9113 3.4", "PING before SETTINGS", ping(), PROTOCOL_ERROR),
    greeted("9113 3.4", "an acknowledgement before SETTINGS", frame(SETTINGS, ACK), PROTOCOL_ERROR),
    greeted("9113 3.4", "an HTTP/1.1 answer", b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100),
            PROTOCOL_ERROR),
    closed("9113 3.4", "a server that closes without a word", b""),
]

FRAMES = [
    fine("9113 4.1", "flags that DATA does not have",
         BEGUN + data(1, GOOD, 0xf6) + headers(1, TRAIL, ENDED)),
    fine("9113 4.1", "the reserved bit", headers(1 | RESERVED, HEAD) + data(1 | RESERVED, GOOD, 0) +
         headers(1 | RESERVED, TRAIL, ENDED)),
    lost("9113 4.2", "DATA over the limit", BEGUN + data(1, bytes(FRAME_MAX + 1), 0),
         FRAME_SIZE_ERROR),
    lost("9113 4.2", "HEADERS over the limit", headers(1, bytes(FRAME_MAX + 1)), FRAME_SIZE_ERROR),
    lost("9113 4.2", "SETTINGS over the limit", frame(SETTINGS, 0, 0, bytes(16386)),
         FRAME_SIZE_ERROR),
    lost("9113 4.2", "a DATA frame of 16 MB announced", BEGUN + head(DATA, 2 ** 24 - 1, 0, 1),
         FRAME_SIZE_ERROR),
    closed("9113 4.2", "the connection ends within a frame", BEGUN + data(1)[:-3]),
    closed("9113 4.2", "the connection ends within a frame's head", BEGUN + data(1)[:5]),
    lost("9113 4.3", "a block that does not decode", headers(1, b"\x80"), COMPRESSION_ERROR),
    lost("9113 4.3", "trailers that do not decode", BEGUN + data(1, GOOD, 0) +
         headers(1, HEAD + b"\xff", ENDED), COMPRESSION_ERROR),
]

STREAMS = [
    lost("9113 5.1", "HEADERS on an idle stream", headers(5, HEAD), PROTOCOL_ERROR),
    lost("9113 5.1", "DATA on an idle stream", data(5), PROTOCOL_ERROR),
    lost("9113 5.1", "RST_STREAM on an idle stream", reset(5), PROTOCOL_ERROR),
    lost("9113 5.1", "WINDOW_UPDATE on an idle stream", window(5, 1), PROTOCOL_ERROR),
    lost("9113 5.1.1", "HEADERS on stream 0", headers(0, HEAD), PROTOCOL_ERROR),
    lost("9113 5.1.1", "HEADERS on an even stream", headers(2, HEAD), PROTOCOL_ERROR),
    lost("9113 5.1.1", "DATA on an even stream", data(2), PROTOCOL_ERROR),
    Case("9113 5.1", "DATA after the end", answer() + data(1), ("OK", {"OK", "UNAVAILABLE"})),
    Case("9113 5.1", "HEADERS after the end", answer() + headers(1, TRAIL, ENDED),
         ("OK", {"OK", "UNAVAILABLE"})),
    fine("9113 5.1", "WINDOW_UPDATE after the end", answer() + window(1, 5)),
    fine("9113 5.1", "RST_STREAM after the end", answer() + reset(1, NO_ERROR)),
    fine("9113 5.1", "PRIORITY after the end", answer() + priority(1)),
    fine("9113 5.5", "an unknown frame on stream 0", frame(UNKNOWN, 0xff, 0, b"x") + answer()),
    fine("9113 5.5", "an unknown frame on the stream",
         BEGUN + frame(UNKNOWN, 0xff, 1, b"x") + data(1, GOOD, 0) + headers(1, TRAIL, ENDED)),
    lost("9113 5.5", "an unknown frame within a header block",
         headers(1, HEAD[:5], 0) + frame(UNKNOWN, 0, 1), PROTOCOL_ERROR),
    fine("9113 5.5", "ALTSVC and ORIGIN",
         frame(ALTSVC, 0, 0, b"\0\4host" b"h2") + frame(ORIGIN, 0, 0, b"\0\4host") + answer()),
]

FRAME_KINDS = [
    lost("9113 6.1", "DATA on stream 0", data(0), PROTOCOL_ERROR),
    fine("9113 6.1", "padded DATA",
         BEGUN + data(1, padded(GOOD, 200), PADDED) + headers(1, TRAIL, ENDED)),
    lost("9113 6.1", "padding longer than the payload", BEGUN + data(1, b"\xff" + GOOD, PADDED),
         PROTOCOL_ERROR),
    fine("9113 6.2", "padded HEADERS", headers(1, padded(HEAD, 9), END_HEADERS | PADDED) +
         data(1, GOOD, 0) + headers(1, padded(TRAIL, 0), ENDED | PADDED)),
    lost("9113 6.2", "padding longer than the block",
         headers(1, b"\xff" + HEAD, END_HEADERS | PADDED), PROTOCOL_ERROR),
    lost("9113 6.2", "DATA within a header block", headers(1, HEAD[:5], 0) + data(1),
         PROTOCOL_ERROR),
    lost("9113 6.2", "PING within a header block", headers(1, HEAD[:5], 0) + ping(),
         PROTOCOL_ERROR),
    fine("9113 6.3", "PRIORITY", priority(1) + answer()),
    lost("9113 6.4", "RST_STREAM on stream 0", reset(0), PROTOCOL_ERROR),
    lost("9113 6.4", "RST_STREAM of 3 bytes", frame(RST_STREAM, 0, 1, bytes(3)), FRAME_SIZE_ERROR),
    lost("9113 6.6", "PUSH_PROMISE, which is switched off",
         frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + field(":method", "GET")), PROTOCOL_ERROR),
    lost("9113 6.6", "PUSH_PROMISE on stream 0",
         frame(PUSH_PROMISE, END_HEADERS, 0, u32(2) + field(":method", "GET")), PROTOCOL_ERROR),
    fine("9113 6.7", "PING is answered with its bytes", pinged),
    fine("9113 6.7", "an acknowledgement of no PING", ping(flags=ACK) + answer()),
    lost("9113 6.7", "PING on a stream", ping(stream=1), PROTOCOL_ERROR),
    lost("9113 6.7", "PING of 7 bytes", ping(EIGHT[1:]), FRAME_SIZE_ERROR),
    fine("9113 6.10", "CONTINUATION", headers(1, HEAD[:5], 0) +
         frame(CONTINUATION, END_HEADERS, 1, HEAD[5:]) + data(1, GOOD, 0) +
         headers(1, TRAIL, ENDED)),
    lost("9113 6.10", "CONTINUATION of another stream",
         headers(1, HEAD[:5], 0) + frame(CONTINUATION, END_HEADERS, 3, HEAD[5:]), PROTOCOL_ERROR),
    lost("9113 6.10", "CONTINUATION without HEADERS", frame(CONTINUATION, END_HEADERS, 1, HEAD),
         PROTOCOL_ERROR),
]

SETTINGS_FRAMES = [
    greeted("9113 6.5", "SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    greeted("9113 6.5", "SETTINGS on a stream", frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    greeted("9113 6.5", "an acknowledgement with a payload",
            settings() + frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    greeted("9113 6.5.2", "ENABLE_PUSH of 2", settings((ENABLE_PUSH, 2)), PROTOCOL_ERROR),
    greeted("9113 6.5.2", "ENABLE_PUSH of 1 from a server", settings((ENABLE_PUSH, 1)),
            PROTOCOL_ERROR),
    fine("9113 6.5.2", "ENABLE_PUSH of 0 from a server", answer(),
         settings((ENABLE_PUSH, 0)) + frame(SETTINGS, ACK)),
    greeted("9113 6.5.2", "INITIAL_WINDOW_SIZE over the limit", settings((INITIAL_WINDOW, 2 ** 31)),
            FLOW_CONTROL_ERROR),
    greeted("9113 6.5.2", "MAX_FRAME_SIZE below the least", settings((MAX_FRAME, 16383)),
            PROTOCOL_ERROR),
    greeted("9113 6.5.2", "MAX_FRAME_SIZE over the most", settings((MAX_FRAME, 2 ** 24)),
            PROTOCOL_ERROR),
    fine("9113 6.5.2", "an unknown setting", answer(),
         settings((0xf0f0, 1)) + frame(SETTINGS, ACK)),
    fine("9113 6.5.2", "one call at a time", answer(),
         settings((MAX_STREAMS, 1)) + frame(SETTINGS, ACK)),
    fine("9113 6.5.2", "a table of 0 bytes", answer(),
         settings((TABLE_SIZE, 0)) + frame(SETTINGS, ACK)),
    fine("9113 6.9.2", "a window of one byte, then more", answer(),
         settings((INITIAL_WINDOW, 1)) + frame(SETTINGS, ACK) + settings((INITIAL_WINDOW, 65535))),
    fine("9113 6.5.3", "SETTINGS while the call runs",
         BEGUN + settings((MAX_FRAME, 2 ** 20)) + data(1, GOOD, 0) + headers(1, TRAIL, ENDED)),
]

FLOW = [
    lost("9113 6.9", "an increment of 0 on the connection", window(0, 0), PROTOCOL_ERROR),
    lost("9113 6.9.1", "the connection's window over the limit", window(0, WINDOW_MAX),
         FLOW_CONTROL_ERROR),
    lost("9113 6.9", "WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, bytes(3)),
         FRAME_SIZE_ERROR),
    Case("9113 6.9", "an increment of 0 on the stream", window(1, 0),
         ({"INTERNAL", "UNAVAILABLE"},), (PROTOCOL_ERROR,)),
    ended("9113 6.9.1", "the stream's window over the limit", window(1, WINDOW_MAX), "INTERNAL",
          (FLOW_CONTROL_ERROR,)),
    fine("9113 6.9", "WINDOW_UPDATE", window(0, 1000) + window(1, 1000) + answer()),
]

RESETS = [ended("9113 7", f"RST_STREAM with {code:#x}", BEGUN + reset(1, code), status, ())
          for code, status in [
              (NO_ERROR, "INTERNAL"), (PROTOCOL_ERROR, "INTERNAL"), (INTERNAL_ERROR, "INTERNAL"),
              (FLOW_CONTROL_ERROR, "INTERNAL"), (4, "INTERNAL"), (STREAM_CLOSED, "INTERNAL"),
              (FRAME_SIZE_ERROR, "INTERNAL"), (REFUSED_STREAM, "UNAVAILABLE"),
              (CANCEL, "CANCELLED"), (COMPRESSION_ERROR, "INTERNAL"), (10, "INTERNAL"),
              (ENHANCE_YOUR_CALM, "RESOURCE_EXHAUSTED"), (INADEQUATE_SECURITY, "PERMISSION_DENIED"),
              (HTTP_1_1_REQUIRED, "INTERNAL"), (0xdeadbeef, "INTERNAL")]] + [
    ended("9113 5.4.2", "RST_STREAM before any answer", reset(1, PROTOCOL_ERROR), "INTERNAL", ()),
]

GOAWAYS = [
    Case("9113 6.8", "GOAWAY that leaves the call out", goaway(), LOST),
    Case("9113 6.8", "GOAWAY that leaves the call out, with a code", goaway(ENHANCE_YOUR_CALM), LOST),
    Case("9113 6.8", "GOAWAY, and the call is finished", goaway(last=1) + answer(),
         ("OK", "UNAVAILABLE")),
    Case("9113 6.8", "GOAWAY in two steps",
         goaway(last=WINDOW_MAX) + goaway(last=1) + answer(), ("OK", "UNAVAILABLE")),
    Case("9113 6.8", "GOAWAY with debug data", goaway(last=1, debug=b"why") + answer(),
         ("OK", "UNAVAILABLE")),
    Case("9113 6.8", "GOAWAY after the answer", answer() + goaway(last=1), ("OK", "UNAVAILABLE")),
    lost("9113 6.8", "GOAWAY whose last stream grows", goaway(last=1) + goaway(last=3),
         PROTOCOL_ERROR),
    lost("9113 6.8", "GOAWAY with a last stream of no client's", goaway(last=2), PROTOCOL_ERROR),
    lost("9113 6.8", "GOAWAY on a stream", goaway(stream=1), PROTOCOL_ERROR),
    lost("9113 6.8", "GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), FRAME_SIZE_ERROR),
    closed("9113 6.8", "GOAWAY, and the server closes", BEGUN + goaway(last=1)),
    closed("9113 5.4.1", "the server closes in the middle of an answer", BEGUN),
]

STATUS, TYPE = field(":status", "200"), field("content-type", "application/grpc")


def begins(block):
    return headers(1, block) + data(1, GOOD, 0) + headers(1, TRAIL, ENDED)


MESSAGES = [
    ended("9113 8.1", "the end without trailers", BEGUN + data(1), "UNKNOWN", ()),
    ended("9113 8.1", "trailers without END_STREAM",
          BEGUN + data(1, GOOD, 0) + headers(1, TRAIL)),
    Case("9113 8.1", "DATA before HEADERS", data(1, GOOD, 0) + answer(),
         ({"INTERNAL", "UNAVAILABLE"},), (PROTOCOL_ERROR,)),
    ended("9113 8.1", "a pseudo-header in trailers",
          BEGUN + data(1, GOOD, 0) + headers(1, STATUS + TRAIL, ENDED)),
    ended("9113 8.1.1", "a content-length that is less",
          begins(HEAD + field("content-length", "1"))),
    ended("9113 8.1.1", "a content-length that is more",
          begins(HEAD + field("content-length", "99"))),
    fine("9113 8.1.1", "the right content-length",
         begins(HEAD + field("content-length", str(len(GOOD))))),
    ended("9113 8.1.1", "a content-length that is no number",
          begins(HEAD + field("content-length", "x"))),
    ended("9113 8.2.1", "an upper-case name", begins(HEAD + field("X-Upper", "v"))),
    ended("9113 8.2.1", "a LF in a value", begins(HEAD + field("x-v", "a\nb"))),
    ended("9113 8.2.1", "a NUL in a value", begins(HEAD + field("x-v", "a\0b"))),
    ended("9113 8.2.1", "an empty name", begins(HEAD + field("", "v"))),
    ended("9113 8.2.2", "connection", begins(HEAD + field("connection", "close"))),
    ended("9113 8.2.2", "transfer-encoding", begins(HEAD + field("transfer-encoding", "chunked"))),
    ended("9113 8.3", "an unknown pseudo-header", begins(STATUS + field(":unknown", "x") + TYPE)),
    ended("9113 8.3", "a request's pseudo-header", begins(STATUS + field(":path", "/") + TYPE)),
    ended("9113 8.3", ":status after a field", begins(TYPE + STATUS)),
    ended("9113 8.3", ":status twice", begins(STATUS + HEAD)),
    ended("9113 8.3.2", "no :status", begins(TYPE)),
    ended("9113 8.3.2", "an empty block", begins(b"")),
    ended("9113 8.3.2", ":status of two digits", begins(field(":status", "20") + TYPE)),
    ended("9113 8.3.2", ":status of letters", begins(field(":status", "abc") + TYPE)),
    ended("9113 8.6", "101, which HTTP/2 does not have", begins(field(":status", "101") + TYPE)),
    fine("9110 15.2", "an interim answer", INTERIM + answer()),
    fine("9110 15.2", "three interim answers", INTERIM * 3 + answer()),
    ended("9113 8.1", "an interim answer that ends the stream",
          headers(1, field(":status", "103"), ENDED)),
    ended("9113 8.1", "interim answers alone",
          INTERIM + reset(1, INTERNAL_ERROR), "INTERNAL", ()),
    fine("9113 8.1", "RST_STREAM NO_ERROR after the whole answer", answer() + reset(1, NO_ERROR)),
    ended("9113 8.3.2", "503 without gRPC", headers(1, field(":status", "503"), ENDED),
          "UNAVAILABLE", ()),
    ended("9113 10.5.1", "header fields over the limit", begins(HEAD + field("x", "x" * 9000)),
          "RESOURCE_EXHAUSTED", ()),
]

# ---- HPACK: the examples that are responses, and faults ------------------------

C5 = ["4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54"
      "6e1768747470733a2f2f7777772e6578616d706c652e636f6d", "4803333037c1c0bf"]
C6 = ["488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b"
      "97c8e9ae82ae43d3", "4883640effc1c0bf"]


def redirected(blocks):
    """Each answers a call: 302, then 307."""
    def reply(caller):
        caller.send(headers(1, bytes.fromhex(blocks[0]), ENDED))
        caller.await_request(3)
        caller.send(headers(3, bytes.fromhex(blocks[1]), ENDED))
        return b"" if not caller.await_request(5) else answer(5)
    return reply


HPACK = [
    Case("7541 C.5", "responses", redirected(C5), ("UNKNOWN", "UNKNOWN", "OK")),
    Case("7541 C.6", "responses by Huffman", redirected(C6), ("UNKNOWN", "UNKNOWN", "OK")),
    lost("7541 6.1", "an index beyond both tables", headers(1, HEAD + b"\xbe"), COMPRESSION_ERROR),
    lost("7541 5.2", "the end-of-string symbol",
         headers(1, HEAD + b"\0\1x\x84\xff\xff\xff\xff"), COMPRESSION_ERROR),
    lost("7541 6.3", "a table over the limit", headers(1, b"\x3f\xe2\x1f" + HEAD),
         COMPRESSION_ERROR),
    lost("7541 4.2", "a table's size after a field", headers(1, HEAD + b"\x20"), COMPRESSION_ERROR),
    fine("7541 4.2", "a table's size at the beginning", begins(b"\x20" + HEAD)),
]

CASES = PREFACES + FRAMES + STREAMS + FRAME_KINDS + SETTINGS_FRAMES + FLOW + RESETS + GOAWAYS + \
    MESSAGES + HPACK
