# SPDX-License-Identifier: Apache-2.0
"""RFC 9113, section 5 and 6.9: streams, their states and flow control, as a server must take them."""

from frames import (CONTINUATION, END_HEADERS, END_STREAM, HEADERS, RST_STREAM, WINDOW_UPDATE, frame,
                    message, request)
from http2_frame_cases import (ALTSVC, BLOCK, ENDED, INITIAL_WINDOW, ORIGIN, PRIORITY_UPDATE,
                               RESERVED, UNKNOWN, WINDOW_MAX, priority, protocol, reset, sizes,
                               window)
from rfc_peer import (FLOW_CONTROL_ERROR, GENERATE, PROTOCOL_ERROR, REFUSED_STREAM, SLEEP,
                      STREAM, STREAM_CLOSED, Case, call, connection_error, data, either, error,
                      headers, must, open_call, serves, settings, stream_error, u32)

CALLS_MAX = 100  # of the server at once
# A stream that the client has ended and the server has not.
HALF_CLOSED = headers(1, request(SLEEP), ENDED)

# ---- 5.1: stream states -------------------------------------------------------


def on_closed(late):
    """Both ends have ended stream 1."""
    def play(peer):
        peer.send(call(1))
        peer.hear(HEADERS, 1, END_STREAM)
        return late
    return play


def on_reset(late):
    """The client has reset stream 1."""
    def play(peer):
        peer.send(open_call() + reset())
        peer.settle()
        return late
    return play


def on_refused(late):
    """The server has reset stream 1, and the client may not know yet."""
    def play(peer):
        peer.send(headers(1, request(STREAM, ("Upper", "x"))))
        peer.hear(RST_STREAM, 1)
        return late
    return play


gone = either(serves(), error(STREAM_CLOSED))  # it may be a frame that was under way

STATES = [
    Case("9113 5.1", "idle: DATA", data(1), protocol),
    Case("9113 5.1", "idle: RST_STREAM", reset(), protocol),
    Case("9113 5.1", "idle: WINDOW_UPDATE", window(1, 1), protocol),
    Case("9113 5.1", "idle: CONTINUATION", frame(CONTINUATION, END_HEADERS, 1, BLOCK), protocol),
    Case("9113 5.1", "idle: PRIORITY", priority(1) + call(1), serves(1)),
    Case("9113 5.1", "half-closed (remote): DATA", HALF_CLOSED + data(1), error(STREAM_CLOSED)),
    Case("9113 5.1", "half-closed (remote): HEADERS", HALF_CLOSED + headers(1, BLOCK, ENDED),
         error(STREAM_CLOSED)),
    Case("9113 5.1", "half-closed (remote): CONTINUATION",
         HALF_CLOSED + frame(CONTINUATION, END_HEADERS, 1, BLOCK),
         connection_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    Case("9113 5.1", "half-closed (remote): WINDOW_UPDATE", HALF_CLOSED + window(1, 1), serves()),
    Case("9113 5.1", "half-closed (remote): PRIORITY", HALF_CLOSED + priority(1), serves()),
    Case("9113 5.1", "half-closed (remote): RST_STREAM", HALF_CLOSED + reset(), serves()),
    Case("9113 5.1", "closed: DATA", on_closed(data(1)), error(STREAM_CLOSED)),
    Case("9113 5.1", "closed: HEADERS", on_closed(headers(1, BLOCK, ENDED)), error(STREAM_CLOSED)),
    Case("9113 5.1", "closed: CONTINUATION", on_closed(frame(CONTINUATION, END_HEADERS, 1, BLOCK)),
         connection_error(STREAM_CLOSED, PROTOCOL_ERROR)),
    Case("9113 5.1", "closed: WINDOW_UPDATE", on_closed(window(1, 1)), serves()),
    Case("9113 5.1", "closed: RST_STREAM", on_closed(reset()), serves()),
    Case("9113 5.1", "closed: PRIORITY", on_closed(priority(1)), serves()),
    Case("9113 5.1", "reset by the client: DATA", on_reset(data(1)), gone),
    Case("9113 5.1", "reset by the client: HEADERS", on_reset(headers(1, BLOCK, ENDED)),
         error(STREAM_CLOSED)),
    Case("9113 5.1", "reset by the client: WINDOW_UPDATE", on_reset(window(1, 1)), gone),
    Case("9113 5.1", "reset by the client: RST_STREAM", on_reset(reset()), gone),
    Case("9113 5.1", "reset by the client: PRIORITY", on_reset(priority(1)), serves()),
    Case("9113 5.1", "reset by the server: DATA under way", on_refused(data(1)),
         stream_error(PROTOCOL_ERROR)),
    Case("9113 5.1", "reset by the server: WINDOW_UPDATE under way", on_refused(window(1, 1)),
         stream_error(PROTOCOL_ERROR)),
    Case("9113 5.1", "reset by the server: RST_STREAM under way", on_refused(reset()),
         stream_error(PROTOCOL_ERROR)),
    Case("9113 5.1", "reset by the server: PRIORITY under way", on_refused(priority(1)),
         stream_error(PROTOCOL_ERROR)),
]

# ---- 5.1.1, 5.1.2, 5.4, 5.5 ---------------------------------------------------

MANY = b"".join(open_call(stream, SLEEP) for stream in range(1, 2 * CALLS_MAX, 2))
ONE_MORE = 2 * CALLS_MAX + 1

STREAMS = [
    Case("9113 5.1.1", "HEADERS on an even stream", call(2), protocol),
    Case("9113 5.1.1", "HEADERS on stream 0", headers(0, BLOCK), protocol),
    Case("9113 5.1.1", "streams left out", call(1) + call(7) + call(1001), serves(1, 7, 1001)),
    Case("9113 5.1.1", "a lower stream than the last", call(5) + call(3), protocol,
         known="nghttp2 passes over it: it cannot tell it from trailers under way"),
    Case("9113 5.1.1", "the highest stream", b"", serves(), probe=WINDOW_MAX),
    Case("9113 5.1.1", "WINDOW_UPDATE on an idle stream of the server's", window(2, 1), protocol),
    Case("9113 5.1.1", "RST_STREAM on an idle stream of the server's", reset(2), protocol),
    Case("9113 5.1.1", "DATA on an idle stream of the server's", data(2), protocol),
    Case("9113 5.1.2", "as many calls as allowed, and one more when one is over",
         MANY + reset(1) + call(ONE_MORE) + reset(3), serves(ONE_MORE)),
    Case("9113 5.1.2", "one call more than allowed", MANY + call(ONE_MORE) + reset(1),
         error(PROTOCOL_ERROR, REFUSED_STREAM, stream=ONE_MORE)),
    Case("9113 5.1.2", "one call more than allowed, before the limit is acknowledged",
         MANY + call(ONE_MORE) + reset(1), error(REFUSED_STREAM, stream=ONE_MORE), polite=False),
    Case("9113 5.4.2", "a stream's error leaves the others alone",
         open_call(1) + open_call(3, STREAM, ("Upper", "x")) + data(1),
         either(stream_error(PROTOCOL_ERROR, stream=3), protocol)),
    Case("9113 5.5", "an unknown frame on stream 0", frame(UNKNOWN, 0xff, 0, b"x"), serves()),
    Case("9113 5.5", "an unknown frame on an open stream",
         open_call() + frame(UNKNOWN, 0xff, 1, b"x") + data(1), serves(1)),
    Case("9113 5.5", "an unknown frame on an idle stream", frame(UNKNOWN, 0, 1, b"x") + call(1),
         serves(1)),
    Case("9113 5.5", "an unknown frame on a closed stream", on_closed(frame(UNKNOWN, 0, 1)),
         serves(1)),
    Case("9113 5.5", "an unknown frame that is empty", frame(UNKNOWN), serves()),
    Case("9113 5.5", "an unknown frame within a header block",
         headers(1, BLOCK[:9], 0) + frame(UNKNOWN, 0, 1) +
         frame(CONTINUATION, END_HEADERS, 1, BLOCK[9:]), protocol),
    Case("9113 5.5", "ALTSVC from a client", frame(ALTSVC, 0, 0, b"\0\0"), serves()),
    Case("9113 5.5", "ORIGIN from a client", frame(ORIGIN), serves()),
    Case("9113 5.5", "PRIORITY_UPDATE", frame(PRIORITY_UPDATE, 0, 0, u32(1) + b"u=1") + call(1),
         serves(1)),
]

# ---- 5.2, 6.9: flow control ---------------------------------------------------

# A GenerateRequest of one message of 1,000 bytes; 1,008 with the prefixes.
GENERATE_ONE = headers(1, request(GENERATE)) + data(1, message(b"\x08\x01\x10\xe8\x07"))
GENERATED = 1008


def sent(peer, count, what):
    while not peer.over and len(peer.bytes_of(1)) < count:
        peer.read_some()
    peer.settle(f"{count:08}".encode())
    must(len(peer.bytes_of(1)) == count, f"{what}: {len(peer.bytes_of(1))} bytes came, not {count}")


def opened_bit_by_bit(peer):
    peer.send(settings((INITIAL_WINDOW, 0)) + GENERATE_ONE)
    sent(peer, 0, "a window of 0")
    peer.send(window(1, 1))
    sent(peer, 1, "a window of 1")
    peer.send(window(1, 99))
    sent(peer, 100, "99 more")
    peer.send(settings((INITIAL_WINDOW, 50)))
    sent(peer, 150, "an initial window that grew")
    return settings((INITIAL_WINDOW, 65535))


def negative(peer):
    peer.send(settings((INITIAL_WINDOW, 100)) + GENERATE_ONE)
    sent(peer, 100, "a window of 100")
    peer.send(settings((INITIAL_WINDOW, 40)))
    peer.send(window(1, 60))
    sent(peer, 100, "a window of -60 + 60")
    peer.send(window(1, 5))
    sent(peer, 105, "5 more")
    return settings((INITIAL_WINDOW, 65535))


def last_of_two(peer):
    peer.send(settings((INITIAL_WINDOW, 500), (INITIAL_WINDOW, 7)) + GENERATE_ONE)
    sent(peer, 7, "two initial windows in one frame")
    return settings((INITIAL_WINDOW, 65535))


def connection_window(peer):
    """65,535 bytes for all calls together, whatever the streams' windows."""
    peer.send(settings((INITIAL_WINDOW, 2 ** 20)) + headers(1, request(GENERATE)) +
              data(1, message(b"\x08\x01\x10\xa0\x8d\x06")))  # one message of 100,000 bytes
    sent(peer, 65535, "the connection's window")
    peer.send(window(0, 1000))
    sent(peer, 66535, "1000 more")
    return window(0, 2 ** 20)


FLOW = [
    Case("9113 5.2", "a stream's window opened bit by bit", opened_bit_by_bit, serves(1)),
    Case("9113 5.2.1", "the connection's window holds for every stream", connection_window,
         serves(1)),
    Case("9113 6.9.2", "a window below zero", negative, serves(1)),
    Case("9113 6.5.3", "the last of two values holds", last_of_two, serves(1)),
    Case("9113 6.9", "an increment of 0 on a stream", open_call() + window(1, 0),
         error(PROTOCOL_ERROR)),
    Case("9113 6.9", "an increment of 0 on the connection", window(0, 0), protocol),
    Case("9113 6.9", "the reserved bit of an increment", window(0, RESERVED | 1), serves()),
    Case("9113 6.9", "an increment of 0 with the reserved bit", window(0, RESERVED), protocol),
    Case("9113 6.9", "WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, b"\0\0\1"), sizes),
    Case("9113 6.9", "WINDOW_UPDATE of 5 bytes", frame(WINDOW_UPDATE, 0, 0, u32(1) + b"\0"), sizes),
    Case("9113 6.9", "an empty WINDOW_UPDATE on a stream", open_call() + frame(WINDOW_UPDATE, 0, 1),
         sizes),
    Case("9113 6.9.1", "a stream's window over the limit", open_call() + window(1, WINDOW_MAX),
         error(FLOW_CONTROL_ERROR)),
    Case("9113 6.9.1", "a stream's window over the limit in steps",
         open_call() + window(1, 2 ** 30) * 2, error(FLOW_CONTROL_ERROR)),
    Case("9113 6.9.1", "the connection's window over the limit", window(0, WINDOW_MAX),
         connection_error(FLOW_CONTROL_ERROR)),
    Case("9113 6.9.1", "the connection's window over the limit in steps", window(0, 2 ** 30) * 2,
         connection_error(FLOW_CONTROL_ERROR)),
    Case("9113 6.9.1", "windows at the limit",
         open_call() + window(1, WINDOW_MAX - 65535) + window(0, WINDOW_MAX - 65535) + data(1),
         serves(1)),
    Case("9113 6.9.2", "SETTINGS that make a stream's window overflow",
         open_call() + window(1, WINDOW_MAX - 65535) + settings((INITIAL_WINDOW, 65536)),
         connection_error(FLOW_CONTROL_ERROR),
         known="nghttp2 resets the stream alone"),
]

CASES = STATES + STREAMS + FLOW
