# SPDX-License-Identifier: Apache-2.0
"""RFC 7541 (HPACK), as a server must take it. What was decoded is seen in what Metadata gives back;
what the server encodes is decoded by python3-hpack, which is strict."""

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman import HuffmanEncoder

from frames import (ACK, CONTINUATION, END_HEADERS, END_STREAM, HEADERS, SETTINGS, field, frame,
                    integer, request)
from rfc_peer import (COMPRESSION_ERROR, METADATA, PROTOCOL_ERROR, STREAM, Case,
                      connection_error, data, echoes, either, error, headers, must, refused, serves,
                      settings)

TABLE_SIZE = 1
ENDED = END_HEADERS | END_STREAM
BASE = request(METADATA)
METHOD = field(":method", "POST")  # the first of BASE
broken = connection_error(COMPRESSION_ERROR)
ECHO = echoes(("x-k", "v"))


def huffman(text):
    return HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text.encode())


def string(text, coded=False):
    if coded:
        packed = huffman(text)
        return integer(len(packed), 7, 0x80) + packed
    return integer(len(text), 7) + text.encode()


def indexed(index):
    return integer(index, 7, 0x80)


def resize(size):
    return integer(size, 5, 0x20)


def asked(*blocks):
    """A call of Metadata for each, on streams 1, 3, 5 ..."""
    return b"".join(headers(2 * i + 1, block) + data(2 * i + 1) for i, block in enumerate(blocks))


def extra(part):
    """Added to a good request."""
    return asked(BASE + part)


ADDED = field("x-k", "v", indexed=True)

INTEGERS = [
    Case("7541 5.1", "an integer beyond 64 bits", extra(b"\xff" + b"\xff" * 10 + b"\x7f"), broken),
    Case("7541 5.1", "an integer beyond 32 bits", extra(b"\xff" + b"\xff" * 4 + b"\x7f"), broken),
    Case("7541 5.1", "an integer that does not end", extra(b"\xff\x80\x80"), broken),
    Case("7541 5.1", "a prefix and nothing after it", extra(b"\xff"), broken),
    Case("7541 5.1", "a length beyond 64 bits", extra(b"\0\x7f" + b"\xff" * 10 + b"\x7f"), broken),
    Case("7541 5.1", "a length of 127, the least that takes two bytes",
         extra(b"\0" + string("x-k") + b"\x7f\0" + b"v" * 127), echoes(("x-k", "v" * 127))),
    Case("7541 5.1", "an integer with zeros that it does not need",
         extra(b"\0" + string("x-k") + b"\x7f\x80\x80\0" + b"v" * 127),
         either(echoes(("x-k", "v" * 127)), broken)),
    Case("7541 C.1.1", "10 in five bits", asked(resize(10) + BASE), serves(1)),
    Case("7541 C.1.2", "1337 in five bits", asked(b"\x3f\x9a\x0a" + BASE), serves(1)),
]

EOS = b"\xff\xff\xff\xff"  # the end-of-string symbol, 30 bits, and two of padding
ZERO_BITS = bytes((huffman("a")[0] & 0xf8,))  # "a" has five bits; its padding must be ones

STRINGS = [
    Case("7541 5.2", "a name that is longer than the block", extra(b"\0\x20x-k"), broken),
    Case("7541 5.2", "a value that is longer than the block",
         extra(b"\0" + string("x-k") + b"\5v"), broken),
    Case("7541 5.2", "no value", extra(b"\0" + string("x-k")), broken),
    Case("7541 5.2", "no name", extra(b"\0"), broken),
    Case("7541 5.2", "name and value by Huffman",
         extra(b"\0" + string("x-k", True) + string("v, 19:00 & more", True)),
         echoes(("x-k", "v, 19:00 & more"))),
    Case("7541 5.2", "name by Huffman, value plain",
         extra(b"\0" + string("x-k", True) + string("v")), ECHO),
    Case("7541 5.2", "every printable sign by Huffman",
         extra(b"\0" + string("x-k", True) + string("".join(map(chr, range(0x21, 0x7f))), True)),
         echoes(("x-k", "".join(map(chr, range(0x21, 0x7f)))))),
    Case("7541 5.2", "an empty string by Huffman", extra(b"\0" + string("x-k") + b"\x80"),
         echoes(("x-k", ""))),
    Case("7541 5.2", "the end-of-string symbol",
         extra(b"\0" + string("x-k") + b"\x84" + EOS), broken),
    Case("7541 5.2", "the end-of-string symbol after a letter",
         extra(b"\0" + string("x-k") + b"\x85\x1f" + EOS), broken),
    Case("7541 5.2", "padding of eight bits",
         extra(b"\0" + string("x-k") + b"\x82" + huffman("a") + b"\xff"), broken),
    Case("7541 5.2", "padding of zeros", extra(b"\0" + string("x-k") + b"\x81" + ZERO_BITS), broken),
    Case("7541 5.2", "padding alone", extra(b"\0" + string("x-k") + b"\x81\xff"), broken),
    Case("7541 5.2", "a code that is cut", extra(b"\0" + string("x-k") + b"\x81\xfe"), broken),
    Case("7541 5.2", "a broken name by Huffman", extra(b"\0\x84" + EOS + string("v")),
         broken),
]

REPRESENTATIONS = [
    Case("7541 6.1", "fields of the static table",
         asked(indexed(3) + indexed(6) + integer(4, 4) + string(METADATA) +
               integer(1, 4) + string("case") + integer(31, 4) + string("application/grpc") +
               field("te", "trailers") + field("x-k", "v")), ECHO),
    Case("7541 6.1", "the last field of the static table", extra(indexed(61) + field("x-k", "v")),
         ECHO),
    Case("7541 6.1", "index 0", extra(indexed(0)), broken),
    Case("7541 6.1", "an index beyond both tables", extra(indexed(62)), broken),
    Case("7541 6.1", "an index far beyond both tables", extra(indexed(2 ** 31)), broken),
    Case("7541 6.1", "a field of the dynamic table", asked(BASE + ADDED, BASE + indexed(62)),
         echoes(("x-k", "v"), stream=3)),
    Case("7541 6.1", "a field of the dynamic table, in the same block",
         extra(field("x-a", "v", True) + indexed(62)), echoes(("x-a", "v"))),
    Case("7541 6.1", "a field after the dynamic table's last",
         asked(BASE + ADDED, BASE + indexed(63)), broken),
    Case("7541 6.2.1", "a new name, with indexing", extra(ADDED), ECHO),
    Case("7541 6.2.1", "an indexed name, with indexing",
         asked(BASE + ADDED, BASE + integer(62, 6, 0x40) + string("w"), BASE + indexed(62)),
         echoes(("x-k", "w"), stream=5)),
    Case("7541 6.2.1", "a static name, with indexing",
         asked(BASE[:-len(field("content-type", "application/grpc"))] + integer(31, 6, 0x40) +
               string("application/grpc") + ADDED), ECHO),
    Case("7541 6.2.1", "a name's index beyond both tables",
         extra(integer(62, 6, 0x40) + string("v")), broken),
    Case("7541 6.2.2", "a new name, without indexing", extra(b"\0" + string("x-k") + string("v")),
         ECHO),
    Case("7541 6.2.2", "an indexed name, without indexing",
         asked(BASE + ADDED, BASE + integer(62, 4) + string("w")), echoes(("x-k", "w"), stream=3)),
    Case("7541 6.2.2", "leaves the table as it is",
         asked(BASE + field("x-k", "v"), BASE + indexed(62)), broken),
    Case("7541 6.2.2", "a name's index beyond both tables", extra(integer(62, 4) + string("v")),
         broken),
    Case("7541 6.2.3", "a new name, never indexed",
         extra(b"\x10" + string("x-k") + string("v")), ECHO),
    Case("7541 6.2.3", "an indexed name, never indexed",
         asked(BASE + ADDED, BASE + integer(62, 4, 0x10) + string("w")),
         echoes(("x-k", "w"), stream=3)),
    Case("7541 6.2.3", "leaves the table as it is",
         asked(BASE + b"\x10" + string("x-k") + string("v"), BASE + indexed(62)), broken),
    Case("7541 6.2.3", "a name's index beyond both tables",
         extra(integer(62, 4, 0x10) + string("v")), broken),
]

SIZES = [
    Case("7541 6.3", "a size of 0 at the beginning", asked(resize(0) + BASE), serves(1)),
    Case("7541 6.3", "the largest size", asked(resize(4096) + BASE + field("x-k", "v")), ECHO),
    Case("7541 6.3", "one byte over the limit", asked(resize(4097) + BASE), broken),
    Case("7541 6.3", "far over the limit", asked(resize(2 ** 31) + BASE), broken),
    Case("7541 4.2", "two sizes at the beginning", asked(resize(0) + resize(4096) + BASE + ADDED),
         ECHO),
    Case("7541 4.2", "a size after a field",
         asked(BASE + resize(100) + field("x-k", "v")), broken),
    Case("7541 4.2", "a size at the end of a block", asked(BASE + resize(4096)), broken),
    Case("7541 4.2", "a size at the beginning of a CONTINUATION",
         headers(1, BASE, 0) + frame(CONTINUATION, END_HEADERS, 1, resize(0) + field("x-k", "v")) +
         data(1), broken),
    Case("7541 4.2", "a size at the beginning of the first CONTINUATION that has any byte",
         headers(1, b"", 0) + frame(CONTINUATION, END_HEADERS, 1, resize(0) + BASE) + data(1),
         serves(1)),
    Case("7541 4.3", "a size of 0 empties the table",
         asked(BASE + ADDED, resize(0) + BASE + indexed(62)), broken),
    Case("7541 4.3", "to 0 and back empties the table",
         asked(BASE + ADDED, resize(0) + resize(4096) + BASE + indexed(62)), broken),
    Case("7541 4.3", "a smaller size keeps what fits",
         asked(BASE + ADDED, resize(36) + BASE + indexed(62)), echoes(("x-k", "v"), stream=3)),
    Case("7541 4.3", "a smaller size drops what does not",
         asked(BASE + ADDED, resize(35) + BASE + indexed(62)), broken),
    Case("7541 4.3", "a table of 0 bytes takes nothing",
         asked(resize(0) + BASE + ADDED, BASE + indexed(62)), broken),
]


def wide(letter, length=1900):
    return field(f"x-{letter}", letter * length, indexed=True)


EVICTION = [
    Case("7541 4.4", "a third field drives the first out",
         asked(BASE + wide("a") + wide("b"), BASE + wide("c") + indexed(63)),
         echoes(("x-b", "b" * 1900), ("x-c", "c" * 1900), stream=3)),
    Case("7541 4.4", "what was driven out is gone",
         asked(BASE + wide("a") + wide("b"), BASE + wide("c") + indexed(64)), broken),
    Case("7541 4.4", "a field larger than the table empties it",
         asked(BASE + ADDED, BASE + wide("l", 5000), BASE + indexed(62)), broken),
    Case("7541 4.4", "a field larger than the table is taken",
         extra(wide("l", 5000)), echoes(("x-l", "l" * 5000))),
    Case("7541 4.4", "a name from the field that is driven out",
         asked(BASE + wide("a", 3000), BASE + integer(62, 6, 0x40) + string("v" * 3000),
               BASE + indexed(62)), echoes(("x-a", "v" * 3000), stream=5)),
    Case("7541 4.1", "a field that fills the table to the byte",
         asked(BASE + wide("f", 4096 - 32 - 3), BASE + indexed(62)),
         echoes(("x-f", "f" * 4061), stream=3)),
    Case("7541 4.1", "a field one byte larger",
         asked(BASE + wide("f", 4096 - 32 - 2), BASE + indexed(62)), broken),
    Case("7541 2.3.2", "the same field twice in the table",
         asked(BASE + ADDED + ADDED, BASE + indexed(62), BASE + indexed(63)),
         echoes(("x-k", "v"), stream=5)),
]

# ---- The context is the connection's, whatever becomes of a stream ------------

MALFORMED = request(METADATA) + field("Upper", "x") + ADDED

CONTEXT = [
    Case("9113 4.3", "a malformed request's fields enter the table",
         headers(1, MALFORMED) + headers(3, BASE + indexed(62)) + data(3),
         either(lambda peer, _: must(("x-k", "v") in peer.fields(3), f"{peer.fields(3)}"),
                connection_error(PROTOCOL_ERROR))),
    Case("9113 4.3", "a refused request's fields enter the table",
         headers(1, request("/no/Method") + ADDED, ENDED) + headers(3, BASE + indexed(62)) + data(3),
         echoes(("x-k", "v"), stream=3)),
    Case("9113 4.3", "fields after what is over the limit enter the table",
         headers(1, BASE + field("x-l", "l" * 9000) + ADDED, ENDED) +
         headers(3, BASE + indexed(62)) + data(3), echoes(("x-k", "v"), stream=3)),
    Case("9113 4.3", "trailers' fields enter the table",
         headers(1, request(STREAM)) + headers(1, ADDED, ENDED) +
         headers(3, BASE + indexed(62)) + data(3), echoes(("x-k", "v"), stream=3)),
    Case("9113 4.3", "a block that is broken in a stream of its own", headers(1, b"\x80"), broken),
    Case("9113 4.3", "a block that is broken in trailers",
         headers(1, request(STREAM)) + headers(1, b"\x80", ENDED), broken),
    Case("9113 4.3", "a field cut by the frame's end",
         headers(1, BASE[:12], 0) + frame(CONTINUATION, END_HEADERS, 1, BASE[12:]) + data(1),
         serves(1)),
]

# ---- Appendix C: requests of no gRPC, refused as such; the tables stay in step ----

PLAIN = ["828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865",
         "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565"]
CODED = ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf",
         "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"]


def examples(blocks):
    return b"".join(headers(2 * i + 1, bytes.fromhex(block), ENDED) for i, block in enumerate(blocks))


def literal(block):
    return extra(bytes.fromhex(block))


EXAMPLES = [
    Case("7541 C.2.1", "literal with indexing",
         literal("400a637573746f6d2d6b65790d637573746f6d2d686561646572"), serves(1)),
    Case("7541 C.2.2", "literal without indexing: :path after :path",
         literal("040c2f73616d706c652f70617468"), error(PROTOCOL_ERROR)),
    Case("7541 C.2.3", "literal never indexed", literal("100870617373776f726406736563726574"),
         serves(1)),
    Case("7541 C.2.4", "indexed", headers(1, bytes.fromhex("82") + BASE[len(METHOD):]) +
         data(1), refused(":status", "405")),
    Case("7541 C.3", "three requests", examples(PLAIN), refused(":status", "405", stream=5)),
    Case("7541 C.3", "the table after them",
         examples(PLAIN) + headers(7, BASE + indexed(62) + indexed(63) + field("x-k", "v")) + data(7),
         echoes(("x-k", "v"), stream=7)),
    Case("7541 C.3", "and nothing behind it", examples(PLAIN) + headers(7, BASE + indexed(65)),
         broken),
    Case("7541 C.4", "three requests by Huffman", examples(CODED),
         refused(":status", "405", stream=5)),
    Case("7541 C.4", "the table after them",
         examples(CODED) + headers(7, BASE + indexed(62) + indexed(63) + field("x-k", "v")) + data(7),
         echoes(("x-k", "v"), stream=7)),
    Case("7541 C.4", "and nothing behind it", examples(CODED) + headers(7, BASE + indexed(65)),
         broken),
]

# ---- What the server encodes --------------------------------------------------


def limited(size):
    """The decoder refuses a block that does not begin with a size that obeys."""
    def play(peer):
        peer.send(asked(BASE + field("x-k", "v")))
        peer.hear(HEADERS, 1, END_STREAM)
        peer.send(settings((TABLE_SIZE, size)))
        while len(peer.find(SETTINGS, 0, ACK)) < 2 and peer.read_some():
            pass
        peer.decode()
        peer.decoder.max_allowed_table_size = size
        return headers(3, BASE + field("x-k", "v")) + data(3)
    return play


ENCODER = [
    Case("7541 4.2", f"the server's table follows SETTINGS of {size}", limited(size),
         echoes(("x-k", "v"), stream=3)) for size in (0, 100, 4095)
] + [
    Case("7541 4.2", "a table that the server need not use", settings((TABLE_SIZE, 65536)) +
         asked(*[BASE + field("x-k", "v")] * 3), echoes(("x-k", "v"), stream=5)),
    Case("7541 2.2", "what the server encodes over thirty calls decodes",
         b"".join(headers(s, BASE + field(f"x-{s}", f"value {s}")) + data(s)
                  for s in range(1, 61, 2)), echoes(("x-59", "value 59"), stream=59)),
]

CASES = INTEGERS + STRINGS + REPRESENTATIONS + SIZES + EVICTION + CONTEXT + EXAMPLES + ENCODER
