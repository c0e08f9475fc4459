# SPDX-License-Identifier: Apache-2.0
"""RFC 9113, section 8: what makes a request malformed, and what must be taken. The fields are sent as
literals, so that nothing but the field itself can be at fault."""

from frames import END_HEADERS, END_STREAM, field, integer, request
from rfc_peer import (GOOD, METADATA, PROTOCOL_ERROR, STREAM, STREAM_CLOSED, UNARY, Case, call, data,
                      echoes, either, error, headers, must, open_call, refused, serves)

ENDED = END_HEADERS | END_STREAM
PSEUDO = {":method": "POST", ":scheme": "http", ":path": UNARY, ":authority": "case"}
REGULAR = [("te", "trailers"), ("content-type", "application/grpc")]
malformed = error(PROTOCOL_ERROR)
INTERNAL = ("grpc-status", "13")


def raw(name, value):
    """A field of bytes that no string holds."""
    return b"\0" + b"".join(integer(len(text), 7) + text for text in (name, value))


def with_field(name, value, path=UNARY):
    return headers(1, request(path) + raw(name, value)) + data(1)


def block(changes=(), regular=None, order=None):
    """A request whose pseudo-headers are changed; None leaves one out."""
    pseudo = {**PSEUDO, **dict(changes)}
    fields = [(name, pseudo[name]) for name in order or pseudo if pseudo[name] is not None]
    return b"".join(field(*one) for one in fields + (REGULAR if regular is None else regular))


def changed(changes=(), **options):
    return headers(1, block(changes, **options)) + data(1)


def trailers(*fields, flags=ENDED):
    return headers(1, b"".join(field(*one) for one in fields), flags)


def length(value, *payloads):
    last = len(payloads) - 1
    return open_call(1, UNARY, *[("content-length", one) for one in value.split("|")]) + b"".join(
        data(1, payload, END_STREAM if i == last else 0) for i, payload in enumerate(payloads))


MESSAGES = [
    Case("9113 8.1", "END_STREAM on HEADERS", headers(1, request(STREAM), ENDED), serves(1)),
    Case("9113 8.1", "trailers", open_call() + data(1, GOOD, 0) + trailers(("x-after", "1")),
         serves(1)),
    Case("9113 8.1", "trailers without DATA", open_call() + trailers(("x-after", "1")), serves(1)),
    Case("9113 8.1", "trailers without END_STREAM",
         open_call() + trailers(("x-after", "1"), flags=END_HEADERS), malformed),
    Case("9113 8.1", "a pseudo-header in trailers", open_call() + trailers((":path", UNARY)),
         malformed),
    Case("9113 8.1", "an upper-case name in trailers", open_call() + trailers(("X-After", "1")),
         malformed),
    Case("9113 8.1", "a connection-specific field in trailers",
         open_call() + trailers(("connection", "close")), malformed),
    Case("9113 8.1", "DATA after trailers",
         headers(1, request(UNARY)) + trailers(("x-after", "1")) + data(1), error(STREAM_CLOSED)),
    Case("9113 8.1", "trailers after trailers",
         open_call(1, "/outpost.interop.v1.Echo/Sleep") + trailers(("x-after", "1")) * 2,
         error(STREAM_CLOSED)),
    Case("9113 8.1", "the answer before the request's end: RST_STREAM NO_ERROR",
         open_call(1, "/no/Method"), refused("grpc-status", "12")),
    Case("9113 8.1.1", "the right content-length", length(str(len(GOOD)), GOOD), serves(1)),
    Case("9113 8.1.1", "the right content-length over three frames",
         length(str(len(GOOD)), GOOD[:1], GOOD[1:6], GOOD[6:]), serves(1)),
    Case("9113 8.1.1", "a content-length that is less", length(str(len(GOOD) - 1), GOOD), malformed),
    Case("9113 8.1.1", "a content-length that is more", length(str(len(GOOD) + 1), GOOD), malformed),
    Case("9113 8.1.1", "a content-length that is less, over two frames",
         length(str(len(GOOD)), GOOD, b"more"), malformed),
    Case("9113 8.1.1", "a content-length and no DATA",
         headers(1, request(UNARY, ("content-length", "5")), ENDED), malformed),
    Case("9113 8.1.1", "a content-length of 0 and no DATA",
         headers(1, request(STREAM, ("content-length", "0")), ENDED), serves(1)),
    Case("9113 8.1.1", "a content-length that is no number", length("five", GOOD), malformed),
    Case("9113 8.1.1", "a content-length below zero", length("-5", GOOD), malformed),
    Case("9113 8.1.1", "two content-lengths that differ", length(f"{len(GOOD)}|3", GOOD), malformed),
    Case("9113 8.1.1", "padding is not counted",
         open_call(1, UNARY, ("content-length", str(len(GOOD)))) +
         data(1, b"\x09" + GOOD + bytes(9), END_STREAM | 8), serves(1)),
    Case("9113 8.1.1", "a content-length and trailers before it is reached",
         open_call(1, UNARY, ("content-length", "50")) + data(1, GOOD, 0) + trailers(("x", "1")),
         malformed),
]

NAMES = [("an upper-case name", b"X-Upper"), ("a space in a name", b"x y"),
         ("a DEL in a name", b"x\x7f"), ("a NUL in a name", b"x\0"), ("a CR in a name", b"x\r"),
         ("a LF in a name", b"x\n"), ("a tab in a name", b"x\t"),
         ("a byte over 0x7f in a name", b"x\xe4"), ("a colon in a name", b"x:y"),
         ("an empty name", b"")]
VALUES = [("a NUL in a value", b"a\0b"), ("a CR in a value", b"a\rb"), ("a LF in a value", b"a\nb"),
          ("CR LF in a value", b"a\r\nx-more: 1"), ("a space before a value", b" a"),
          ("a space after a value", b"a "), ("a tab before a value", b"\ta"),
          ("a tab after a value", b"a\t")]
CONNECTION = [("connection", "close"), ("connection", "keep-alive"), ("keep-alive", "timeout=5"),
              ("proxy-connection", "close"), ("transfer-encoding", "chunked"), ("upgrade", "h2c")]

FIELDS = [Case("9113 8.2.1", what, with_field(name, b"v"), malformed) for what, name in NAMES] + \
    [Case("9113 8.2.1", what, with_field(b"x-v", value), malformed) for what, value in VALUES] + [
    Case("9113 8.2.1", "an empty value", with_field(b"x-v", b"", METADATA), echoes(("x-v", ""))),
    Case("9113 8.2.1", "a space within a value", with_field(b"x-v", b"a b", METADATA),
         echoes(("x-v", "a b"))),
    Case("9113 8.2.1", "a tab within a value", with_field(b"x-v", b"a\tb"),
         either(serves(1), refused(*INTERNAL))),  # gRPC's ASCII-Value has no tab
    Case("9113 8.2.1", "a byte over 0x7f in a value", with_field(b"x-v", b"a\xffb"),
         either(serves(1), refused(*INTERNAL))),
    Case("9113 8.2.1", "every sign that a name may have",
         with_field(b"x-!#$%&'*+.^_`|~09", b"v"), either(serves(1), refused(*INTERNAL))),
] + [Case("9113 8.2.2", f"{name}: {value}", call(1, UNARY, (name, value)), malformed)
     for name, value in CONNECTION] + [
    Case("9113 8.2.2", "te: gzip",
         changed(regular=[("te", "gzip"), ("content-type", "application/grpc")]), malformed),
    Case("9113 8.2.2", "te: trailers, gzip",
         changed(regular=[("te", "trailers, gzip"), ("content-type", "application/grpc")]),
         malformed),
    Case("9113 8.2.2", "te: trailers", changed(), serves(1)),
    Case("9113 8.2.3", "a cookie in crumbs", call(1, UNARY, ("cookie", "a=b"), ("cookie", "c=d")),
         serves(1)),
]

PSEUDO_HEADERS = [
    Case("9113 8.3", "an unknown pseudo-header", changed({":unknown": "x"}), malformed),
    Case("9113 8.3", "a response's pseudo-header", changed({":status": "200"}), malformed),
    Case("9113 8.3", "a pseudo-header after a field",
         headers(1, block({":path": None}) + field(":path", UNARY)) + data(1), malformed),
    Case("9113 8.3", "pseudo-headers in another order",
         changed(order=[":authority", ":path", ":scheme", ":method"]), serves(1)),
    Case("9113 8.3", "a pseudo-header that is only a colon", changed({":": "x"}), malformed),
] + [Case("9113 8.3.1", f"no {name}", changed({name: None}), malformed)
     for name in (":method", ":scheme", ":path")] + \
    [Case("9113 8.3", f"{name} twice",
          headers(1, field(name, PSEUDO[name]) + block()) + data(1), malformed)
     for name in PSEUDO] + [
    Case("9113 8.3.1", "an empty block", headers(1, b"", ENDED), malformed),
    Case("9113 8.3.1", "an empty :path", changed({":path": ""}), malformed),
    Case("9113 8.3.1", ":path without a slash", changed({":path": "service/Method"}), malformed),
    Case("9113 8.3.1", ":path of * with POST", changed({":path": "*"}), malformed),
    Case("9113 8.3.1", ":path of * with OPTIONS", changed({":path": "*", ":method": "OPTIONS"}),
         refused(":status", "405")),
    Case("9113 8.3.1", "a path with a query", changed({":path": UNARY + "?x=1"}),
         refused("grpc-status", "12")),
    Case("9113 8.3.1", "no :authority, but host",
         changed({":authority": None}, regular=REGULAR + [("host", "case")]), serves(1)),
    Case("9113 8.3.1", ":authority and the same host",
         changed(regular=REGULAR + [("host", "case")]), serves(1)),
    Case("9113 8.3.1", "an empty :authority", changed({":authority": ""}),
         either(serves(1), malformed)),
    Case("9113 8.3.1", "an empty :method", changed({":method": ""}), malformed),
    Case("9113 8.3.1", "a space in :method", changed({":method": "PO ST"}), malformed),
    Case("9113 8.3.1", "a space in :path", changed({":path": UNARY + " x"}), malformed),
    Case("9113 8.3.1", "a scheme that begins with a digit", changed({":scheme": "1http"}), malformed),
    Case("9113 8.3.1", "GET", headers(1, block({":method": "GET"}), ENDED),
         refused(":status", "405")),
    Case("9113 8.3.1", "HEAD", headers(1, block({":method": "HEAD"}), ENDED),
         refused(":status", "405")),
    Case("9113 8.3.1", "PUT with a body", changed({":method": "PUT"}), refused(":status", "405")),
    Case("9113 8.5", "CONNECT",
         headers(1, block({":method": "CONNECT", ":scheme": None, ":path": None})),
         refused(":status", "405")),
    Case("9113 8.5", "CONNECT with :path", headers(1, block({":method": "CONNECT", ":scheme": None})),
         malformed),
    Case("9113 8.5", "CONNECT with :scheme", headers(1, block({":method": "CONNECT", ":path": None})),
         malformed),
    Case("9113 8.5", "CONNECT without :authority", headers(1, block(
        {":method": "CONNECT", ":scheme": None, ":path": None, ":authority": None})), malformed),
    Case("8441 4", ":protocol that was not offered",
         headers(1, block({":method": "CONNECT", ":protocol": "websocket"})), malformed),
    Case("9113 8.6", "expect: 100-continue", call(1, UNARY, ("expect", "100-continue")), serves(1)),
    Case("9113 10.5.1", "header fields over the limit", call(1, UNARY, ("x-large", "x" * 9000)),
         refused("grpc-status", "8")),
]


def answers_once(peer, _):
    """The trailers end the stream, and nothing follows them."""
    kinds = [kind for kind, _, stream, _ in peer.frames if stream == 1]
    must(kinds == [1, 0, 1], f"frames on stream 1: {kinds}")


ANSWERS = [
    Case("9113 8.1", "an answer is HEADERS, DATA, HEADERS", call(1), answers_once),
    Case("9113 8.3.2", "an answer has :status", call(1), refused(":status", "200")),
]

CASES = MESSAGES + FIELDS + PSEUDO_HEADERS + ANSWERS
