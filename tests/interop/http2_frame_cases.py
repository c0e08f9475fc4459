# SPDX-License-Identifier: Apache-2.0
"""RFC 9113, sections 3, 4, 6 and 7: the preface and each kind of frame, as a server must take them."""

import struct

from frames import (ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, PING, PREFACE,
                    PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, message,
                    request)
from rfc_peer import (CANCEL, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOOD, NO_ERROR, PROTOCOL_ERROR,
                      STREAM, UNARY, Case, answers, call, closed, connection_error, data, either,
                      error, headers, must, open_call, serves, settings, u32)

PADDED, PRIORITY_FLAG = 0x8, 0x20
TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_LIST, CONNECT_PROTOCOL = \
    1, 2, 3, 4, 5, 6, 8
ALTSVC, ORIGIN, PRIORITY_UPDATE, UNKNOWN = 0xa, 0xc, 0x10, 0xbe
EIGHT = b"12345678"
WINDOW_MAX = 2 ** 31 - 1
RESERVED = 2 ** 31  # the reserved bit
FRAME_MAX = 16384
BLOCK = request(UNARY)
ENDED = END_HEADERS | END_STREAM
sizes = connection_error(FRAME_SIZE_ERROR)
protocol = connection_error(PROTOCOL_ERROR)


def head(kind, length, flags=0, stream=0):
    """Of a frame whose payload never comes."""
    return struct.pack(">I", length)[1:] + \
        bytes((kind, flags)) + u32(stream)


def window(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, u32(increment))


def ping(opaque=EIGHT, flags=0, stream=0):
    return frame(PING, flags, stream, opaque)


def reset(stream=1, code=CANCEL):
    return frame(RST_STREAM, 0, stream, u32(code))


def priority(stream, depends_on=0, weight=15):
    return frame(PRIORITY, 0, stream, struct.pack(">IB", depends_on, weight))


def goaway(code=NO_ERROR, debug=b"", stream=0, last=0):
    return frame(GOAWAY, 0, stream, struct.pack(">II", last, code) + debug)


def padded(payload, pad, filler=b"\0"):
    return bytes((pad,)) + payload + filler * pad


# ---- 3.4: the preface ---------------------------------------------------------


def byte_by_byte(peer):
    for byte in PREFACE + settings():
        peer.send(bytes((byte,)))
    return b""


PREFACES = [
    Case("9113 3.4", "preface and SETTINGS", PREFACE + settings((INITIAL_WINDOW, 70000)), serves(),
         greet=False),
    Case("9113 3.4", "preface in single bytes", byte_by_byte, serves(), greet=False),
    Case("9113 3.4", "calls before the server's SETTINGS", PREFACE + settings() + call(1), serves(1),
         greet=False),
    Case("9113 3.4", "another preface", b"X" + PREFACE[1:] + settings(), closed, greet=False),
    Case("9113 3.4", "a preface whose last byte is wrong", PREFACE[:-1] + b"\r" + settings(), closed,
         greet=False),
    Case("9113 3.4", "an HTTP/1.1 request", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", closed,
         greet=False),
    Case("9113 3.4", "PING before SETTINGS", PREFACE + ping(), protocol, greet=False),
    Case("9113 3.4", "HEADERS before SETTINGS", PREFACE + call(1), protocol, greet=False),
    Case("9113 3.4", "an acknowledgement before SETTINGS", PREFACE + frame(SETTINGS, ACK), protocol,
         greet=False),
    Case("9113 3.4", "an unknown frame before SETTINGS", PREFACE + frame(UNKNOWN), protocol,
         greet=False),
]

# ---- 4: frames ----------------------------------------------------------------

FRAMES = [
    Case("9113 4.1", "flags that PING does not have", ping(flags=0xfe), answers(PING, EIGHT, ACK)),
    Case("9113 4.1", "flags that DATA does not have",
         open_call() + data(1, GOOD, END_STREAM | 0xf6), serves(1)),
    Case("9113 4.1", "flags that HEADERS does not have", headers(1, request(STREAM), 0xd2 | ENDED),
         serves(1)),
    Case("9113 4.1", "flags that SETTINGS does not have", frame(SETTINGS, 0xfe),
         answers(SETTINGS, b"", ACK, count=2)),
    Case("9113 4.1", "flags that WINDOW_UPDATE does not have",
         frame(WINDOW_UPDATE, 0xff, 0, u32(1)), serves()),
    Case("9113 4.1", "flags that RST_STREAM does not have",
         open_call() + frame(RST_STREAM, 0xff, 1, u32(CANCEL)), serves()),
    Case("9113 4.1", "flags that PRIORITY does not have",
         frame(PRIORITY, 0xff, 1, struct.pack(">IB", 0, 1)), serves()),
    Case("9113 4.1", "the reserved bit on HEADERS",
         headers(1 | RESERVED, request(UNARY)) + data(1), serves(1)),
    Case("9113 4.1", "the reserved bit on DATA", open_call() + data(1 | RESERVED), serves(1)),
    Case("9113 4.1", "the reserved bit on PING", ping(stream=RESERVED), answers(PING, EIGHT, ACK)),
    Case("9113 4.1", "the reserved bit on SETTINGS", frame(SETTINGS, 0, RESERVED),
         answers(SETTINGS, b"", ACK, count=2)),
    Case("9113 4.2", "DATA as large as allowed",
         open_call() + data(1, message(b"\x0a\xf8\x7f" + bytes(FRAME_MAX - 8))), serves(1)),
    Case("9113 4.2", "DATA one byte larger", open_call() + data(1, bytes(FRAME_MAX + 1)),
         error(FRAME_SIZE_ERROR)),
    Case("9113 4.2", "HEADERS one byte larger", headers(1, bytes(FRAME_MAX + 1)), sizes),
    Case("9113 4.2", "CONTINUATION one byte larger",
         headers(1, BLOCK, 0) + frame(CONTINUATION, END_HEADERS, 1, bytes(FRAME_MAX + 1)), sizes),
    Case("9113 4.2", "SETTINGS larger than allowed", frame(SETTINGS, 0, 0, bytes(16386)), sizes),
    Case("9113 4.2", "PING larger than allowed", ping(bytes(FRAME_MAX + 1)), sizes),
    Case("9113 4.2", "GOAWAY larger than allowed", goaway(debug=bytes(FRAME_MAX)), sizes),
    Case("9113 4.2", "an unknown frame larger than allowed",
         frame(UNKNOWN, 0, 0, bytes(FRAME_MAX + 1)), sizes),
    Case("9113 4.2", "a DATA frame of 16 MB announced", open_call() + head(DATA, 2 ** 24 - 1, 0, 1),
         error(FRAME_SIZE_ERROR)),
    Case("9113 4.2", "an unknown frame as large as allowed", frame(UNKNOWN, 0, 0, bytes(FRAME_MAX)),
         serves()),
]

# ---- 6: each kind of frame ----------------------------------------------------

DATA_FRAMES = [
    Case("9113 6.1", "DATA on stream 0", data(0), protocol),
    Case("9113 6.1", "padded DATA", open_call() + data(1, padded(GOOD, 100), END_STREAM | PADDED),
         serves(1)),
    Case("9113 6.1", "padding of no byte", open_call() + data(1, padded(GOOD, 0),
                                                              END_STREAM | PADDED), serves(1)),
    Case("9113 6.1", "padding that is not zero",
         open_call() + data(1, padded(GOOD, 9, b"x"), END_STREAM | PADDED),
         either(serves(1), error(PROTOCOL_ERROR))),
    Case("9113 6.1", "padding alone", open_call() + data(1, GOOD, 0) +
         data(1, padded(b"", 255), END_STREAM | PADDED), serves(1)),
    Case("9113 6.1", "padding as long as the payload",
         open_call() + data(1, b"\x05" + b"four", END_STREAM | PADDED), protocol),
    Case("9113 6.1", "padding longer than the payload",
         open_call() + data(1, b"\xff" + GOOD, END_STREAM | PADDED), protocol),
    Case("9113 6.1", "padded, with no room for the length",
         open_call() + data(1, b"", END_STREAM | PADDED),
         connection_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("9113 6.1", "an empty DATA frame that ends the stream",
         open_call() + data(1, GOOD, 0) + data(1, b""), serves(1)),
    Case("9113 6.1", "a message cut into DATA frames of one byte",
         open_call() + b"".join(data(1, GOOD[i:i + 1], 0) for i in range(len(GOOD))) + data(1, b""),
         serves(1)),
]

PRIORITISED = struct.pack(">IB", 0, 15)

HEADER_FRAMES = [
    Case("9113 6.2", "padded HEADERS",
         headers(1, padded(BLOCK, 50), END_HEADERS | PADDED) + data(1), serves(1)),
    Case("9113 6.2", "HEADERS with a priority",
         headers(1, PRIORITISED + BLOCK, END_HEADERS | PRIORITY_FLAG) + data(1), serves(1)),
    Case("9113 6.2", "padded HEADERS with a priority",
         headers(1, padded(PRIORITISED + BLOCK, 7), END_HEADERS | PRIORITY_FLAG | PADDED) + data(1),
         serves(1)),
    Case("9113 6.2", "padding longer than the block",
         headers(1, bytes((len(BLOCK) + 1,)) + BLOCK, END_HEADERS | PADDED), protocol),
    Case("9113 6.2", "padding that eats the priority",
         headers(1, b"\x05" + PRIORITISED, END_HEADERS | PADDED | PRIORITY_FLAG),
         connection_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("9113 6.2", "padded, with no room for the length", headers(1, b"", END_HEADERS | PADDED),
         connection_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("9113 6.2", "a priority with no room for it",
         headers(1, PRIORITISED[:4], END_HEADERS | PRIORITY_FLAG),
         connection_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("9113 6.2", "HEADERS of another stream within a block",
         headers(1, BLOCK[:9], 0) + headers(3, BLOCK), protocol),
    Case("9113 6.2", "the same stream's HEADERS within a block",
         headers(1, BLOCK[:9], 0) + headers(1, BLOCK[9:]), protocol),
    Case("9113 6.2", "DATA within a block", headers(1, BLOCK[:9], 0) + data(1), protocol),
    Case("9113 6.2", "PING within a block", headers(1, BLOCK[:9], 0) + ping(), protocol),
    Case("9113 6.2", "SETTINGS within a block", headers(1, BLOCK[:9], 0) + settings(), protocol),
    Case("9113 6.2", "WINDOW_UPDATE within a block", headers(1, BLOCK[:9], 0) + window(0, 1),
         protocol),
    Case("9113 6.2", "RST_STREAM within a block", headers(1, BLOCK[:9], 0) + reset(), protocol),
    Case("9113 6.2", "PRIORITY within a block", headers(1, BLOCK[:9], 0) + priority(1), protocol),
    Case("9113 6.2", "GOAWAY within a block", headers(1, BLOCK[:9], 0) + goaway(), protocol),
    Case("9113 5.3.1", "HEADERS that depend on their own stream",
         headers(1, struct.pack(">IB", 1, 15) + BLOCK, END_HEADERS | PRIORITY_FLAG) + data(1),
         either(serves(1), error(PROTOCOL_ERROR))),
    Case("9113 5.3.1", "PRIORITY that depends on its own stream", priority(1, 1) + call(1),
         either(serves(1), error(PROTOCOL_ERROR))),
    Case("9113 5.3.1", "exclusive dependency on a stream that is not",
         priority(1, RESERVED | 99, 255) + call(1), serves(1)),
    Case("9113 6.3", "PRIORITY on stream 0", priority(0), protocol),
    Case("9113 6.3", "PRIORITY of 4 bytes", open_call() + frame(PRIORITY, 0, 1, bytes(4)),
         error(FRAME_SIZE_ERROR)),
    Case("9113 6.3", "PRIORITY of 6 bytes", open_call() + frame(PRIORITY, 0, 1, bytes(6)),
         error(FRAME_SIZE_ERROR)),
    Case("9113 6.3", "PRIORITY on a stream far ahead", priority(99) + call(1), serves(1)),
    Case("9113 6.4", "RST_STREAM on stream 0", reset(0), protocol),
    Case("9113 6.4", "RST_STREAM of 3 bytes", open_call() + frame(RST_STREAM, 0, 1, bytes(3)), sizes),
    Case("9113 6.4", "RST_STREAM of 5 bytes", open_call() + frame(RST_STREAM, 0, 1, bytes(5)), sizes),
    Case("9113 6.4", "RST_STREAM", open_call() + reset(), serves()),
    Case("9113 7", "RST_STREAM with an unknown code", open_call() + reset(1, 0xdeadbeef), serves()),
]


def settled(*entries):
    return settings(*entries) + call(1)


SETTINGS_FRAMES = [
    Case("9113 6.5", "SETTINGS are acknowledged, each", settings() * 3,
         answers(SETTINGS, b"", ACK, count=4)),
    Case("9113 6.5", "an acknowledgement with a payload", frame(SETTINGS, ACK, 0, bytes(6)), sizes),
    Case("9113 6.5", "SETTINGS on a stream", open_call() + frame(SETTINGS, 0, 1), protocol),
    Case("9113 6.5", "SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, bytes(5)), sizes),
    Case("9113 6.5", "SETTINGS of 7 bytes", frame(SETTINGS, 0, 0, bytes(7)), sizes),
    Case("9113 6.5.3", "an acknowledgement of nothing", frame(SETTINGS, ACK),
         either(serves(), protocol)),
    Case("9113 6.5.2", "HEADER_TABLE_SIZE of 0", settled((TABLE_SIZE, 0)), serves(1)),
    Case("9113 6.5.2", "HEADER_TABLE_SIZE of 2^32 - 1", settled((TABLE_SIZE, 2 ** 32 - 1)),
         serves(1)),
    Case("9113 6.5.2", "ENABLE_PUSH of 0", settled((ENABLE_PUSH, 0)), serves(1)),
    Case("9113 6.5.2", "ENABLE_PUSH of 1", settled((ENABLE_PUSH, 1)), serves(1)),
    Case("9113 6.5.2", "ENABLE_PUSH of 2", settings((ENABLE_PUSH, 2)), protocol),
    Case("9113 6.5.2", "MAX_CONCURRENT_STREAMS of 0", settled((MAX_STREAMS, 0)), serves(1)),
    Case("9113 6.5.2", "INITIAL_WINDOW_SIZE at the limit", settled((INITIAL_WINDOW, WINDOW_MAX)),
         serves(1)),
    Case("9113 6.5.2", "INITIAL_WINDOW_SIZE over the limit", settings((INITIAL_WINDOW, 2 ** 31)),
         connection_error(FLOW_CONTROL_ERROR)),
    Case("9113 6.5.2", "INITIAL_WINDOW_SIZE of 2^32 - 1", settings((INITIAL_WINDOW, 2 ** 32 - 1)),
         connection_error(FLOW_CONTROL_ERROR)),
    Case("9113 6.5.2", "MAX_FRAME_SIZE of 16,384", settled((MAX_FRAME, FRAME_MAX)), serves(1)),
    Case("9113 6.5.2", "MAX_FRAME_SIZE of 2^24 - 1", settled((MAX_FRAME, 2 ** 24 - 1)), serves(1)),
    Case("9113 6.5.2", "MAX_FRAME_SIZE below the least", settings((MAX_FRAME, FRAME_MAX - 1)),
         protocol),
    Case("9113 6.5.2", "MAX_FRAME_SIZE over the most", settings((MAX_FRAME, 2 ** 24)), protocol),
    Case("9113 6.5.2", "MAX_HEADER_LIST_SIZE of 2^32 - 1", settled((MAX_LIST, 2 ** 32 - 1)),
         serves(1)),
    Case("9113 6.5.2", "an unknown setting", settled((0xf0f0, 1)), serves(1)),
    Case("9113 6.5.2", "a wrong value among right ones",
         settings((INITIAL_WINDOW, 70000), (MAX_FRAME, 1), (TABLE_SIZE, 100)), protocol),
    Case("8441 3", "ENABLE_CONNECT_PROTOCOL from a client", settled((CONNECT_PROTOCOL, 1)),
         serves(1)),
]

OTHER_FRAMES = [
    Case("9113 6.6", "PUSH_PROMISE from a client",
         open_call() + frame(PUSH_PROMISE, END_HEADERS, 1, u32(2) + BLOCK), protocol),
    Case("9113 6.6", "PUSH_PROMISE on stream 0",
         frame(PUSH_PROMISE, END_HEADERS, 0, u32(2) + BLOCK), protocol),
    Case("9113 6.6", "an empty PUSH_PROMISE", open_call() + frame(PUSH_PROMISE, END_HEADERS, 1),
         connection_error(FRAME_SIZE_ERROR, PROTOCOL_ERROR)),
    Case("9113 6.7", "PING is answered with its bytes", ping(), answers(PING, EIGHT, ACK)),
    Case("9113 6.7", "each PING is answered", ping() * 5, answers(PING, EIGHT, ACK, count=5)),
    Case("9113 6.7", "PING while calls are open", open_call() + ping() + data(1),
         answers(PING, EIGHT, ACK)),
    Case("9113 6.7", "an acknowledgement is not answered", ping(flags=ACK),
         answers(PING, EIGHT, ACK, count=0)),
    Case("9113 6.7", "PING on a stream", open_call() + ping(stream=1), protocol),
    Case("9113 6.7", "an empty PING", ping(b""), sizes),
    Case("9113 6.7", "PING of 7 bytes", ping(EIGHT[1:]), sizes),
    Case("9113 6.7", "PING of 9 bytes", ping(EIGHT + b"9"), sizes),
    Case("9113 6.7", "an acknowledgement of 7 bytes", ping(EIGHT[1:], ACK), sizes),
    Case("9113 6.8", "GOAWAY on a stream", open_call() + goaway(stream=1), protocol),
    Case("9113 6.8", "GOAWAY of 7 bytes", frame(GOAWAY, 0, 0, bytes(7)), sizes),
    Case("9113 6.8", "GOAWAY: what is open is finished", open_call() + goaway() + data(1),
         lambda peer, probe: must(("grpc-status", "0") in peer.fields(1), "the call got no status")),
    Case("9113 6.8", "GOAWAY with debug data", open_call() + goaway(debug=b"why") + data(1),
         lambda peer, probe: must(("grpc-status", "0") in peer.fields(1), "the call got no status")),
    Case("9113 7", "GOAWAY with an unknown code", open_call() + goaway(0xdeadbeef) + data(1),
         lambda peer, probe: must(peer.over or ("grpc-status", "0") in peer.fields(1),
                                  "neither closed nor served")),
    Case("9113 6.10", "CONTINUATION", headers(1, BLOCK[:9], 0) +
         frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]) + data(1), serves(1)),
    Case("9113 6.10", "three CONTINUATIONs", headers(1, BLOCK[:9], 0) +
         frame(CONTINUATION, 0, 1, BLOCK[9:30]) + frame(CONTINUATION, 0, 1, BLOCK[30:31]) +
         frame(CONTINUATION, END_HEADERS, 1, BLOCK[31:]) + data(1), serves(1)),
    Case("9113 6.10", "empty HEADERS and an empty CONTINUATION", headers(1, b"", 0) +
         frame(CONTINUATION, 0, 1) + frame(CONTINUATION, END_HEADERS, 1, BLOCK) + data(1),
         serves(1)),
    Case("9113 6.10", "END_STREAM on HEADERS, END_HEADERS on CONTINUATION",
         headers(1, request(STREAM)[:9], END_STREAM) +
         frame(CONTINUATION, END_HEADERS, 1, request(STREAM)[9:]), serves(1)),
    Case("9113 6.10", "CONTINUATION on stream 0", headers(1, BLOCK[:9], 0) +
         frame(CONTINUATION, END_HEADERS, 0, BLOCK[9:]), protocol),
    Case("9113 6.10", "CONTINUATION on another stream", headers(1, BLOCK[:9], 0) +
         frame(CONTINUATION, END_HEADERS, 3, BLOCK[9:]), protocol),
    Case("9113 6.10", "CONTINUATION after END_HEADERS",
         open_call() + frame(CONTINUATION, END_HEADERS, 1, BLOCK), protocol),
    Case("9113 6.10", "CONTINUATION after CONTINUATION with END_HEADERS",
         headers(1, BLOCK[:9], 0) + frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]) +
         frame(CONTINUATION, END_HEADERS, 1, BLOCK), protocol),
    Case("9113 6.10", "CONTINUATION after DATA",
         open_call() + data(1, GOOD, 0) + frame(CONTINUATION, END_HEADERS, 1, BLOCK), protocol),
]

CASES = PREFACES + FRAMES + DATA_FRAMES + HEADER_FRAMES + SETTINGS_FRAMES + OTHER_FRAMES
