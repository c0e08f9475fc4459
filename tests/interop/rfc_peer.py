# SPDX-License-Identifier: Apache-2.0
"""A client for the RFCs' cases against a server: what one case sends, and what must come of it.

A case is a section, a name, what is sent on a fresh connection, and a judge. What is sent are
bytes, or a function that takes the connection (to wait in between) and gives the last bytes. A good
call, the probe, always follows in the same write: it shows whether the connection still serves.
"""

import dataclasses
import socket
import struct
import typing

import hpack

from frames import (ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS,
                    CONTINUATION, Connection, frame, message, request)

NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(10)
SERVICE = "/outpost.interop.v1.Echo/"
UNARY, STREAM, SLEEP, METADATA, GENERATE = (
    SERVICE + name for name in ("Unary", "Stream", "Sleep", "Metadata", "Generate"))
GOOD = message(b"\x0a\x04good")  # both an EchoRequest and the EchoResponse to it
PROBE = 100001
PATIENCE_S = 20  # only ends a case that hangs


class Wrong(Exception):
    """What came is not what the section demands."""


@dataclasses.dataclass
class Case:
    section: str
    name: str
    play: typing.Any
    judge: typing.Callable
    probe: int = PROBE
    greet: bool = True
    polite: bool = True
    known: str = ""  # why it is known to fail


def headers(stream, block, flags=END_HEADERS):
    return frame(HEADERS, flags, stream, block)


def data(stream, payload=GOOD, flags=END_STREAM):
    return frame(DATA, flags, stream, payload)


def open_call(stream=1, path=STREAM, *more):
    """A call that stays open until its client ends it."""
    return headers(stream, request(path, *more))


def call(stream=1, path=UNARY, *more):
    return open_call(stream, path, *more) + data(stream)


def settings(*entries):
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *entry) for entry in entries))


def u32(value):
    return struct.pack(">I", value)


class Peer(Connection):
    """Keeps every frame that came, and the blocks decoded."""

    def __init__(self, port, greet, polite):
        super().__init__(port, greet=greet, polite=polite)
        self.socket.settimeout(PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.decoder = hpack.Decoder()
        self.decoded = 0  # frames looked at
        self.block = b""
        self.blocks = []  # (stream, fields)
        if greet:
            self.hear(SETTINGS, flags=ACK)

    def decode(self):
        for kind, flags, stream, payload in self.frames[self.decoded:]:
            self.decoded += 1
            if kind in (HEADERS, CONTINUATION):
                self.block += payload
                if flags & END_HEADERS:
                    self.blocks.append((stream, self.decoder.decode(self.block)))
                    self.block = b""

    def find(self, kind, stream=0, flags=0):
        return [payload for its_kind, its_flags, its_stream, payload in self.frames
                if (its_kind, its_stream) == (kind, stream) and its_flags & flags == flags]

    def hear(self, kind, stream=0, flags=0):
        """Waits until such a frame is here, or the end."""
        while not self.over and not self.find(kind, stream, flags):
            self.read_some()
        self.decode()
        return self.find(kind, stream, flags)

    def settle(self, opaque=b"settled."):
        """Waits until the server has taken all that was sent."""
        self.send(frame(PING, 0, 0, opaque))
        while not self.over and opaque not in self.find(PING, 0, ACK):
            self.read_some()
        self.decode()

    def fields(self, stream):
        """Of all blocks of the stream."""
        return [field for its_stream, fields in self.blocks if its_stream == stream
                for field in fields]

    def bytes_of(self, stream):
        return b"".join(self.find(DATA, stream))

    @property
    def codes(self):
        return [code for code, _ in self.goaways]

    def resets(self, stream):
        return [int.from_bytes(payload, "big") for payload in self.find(RST_STREAM, stream)]


# ---- Judges -------------------------------------------------------------------
# Each gives a function of the connection and the probe's stream; it raises Wrong.


def must(condition, what):
    if not condition:
        raise Wrong(what)


def served(peer, probe):
    must(not peer.over and not peer.goaways, f"the connection ended, GOAWAY {peer.goaways}")
    must(("grpc-status", "0") in peer.fields(probe), f"the probe got {peer.fields(probe)}")
    must(peer.bytes_of(probe) == GOOD, "the probe's message is not the one sent")


def serves(*streams):
    """Nothing is amiss; the calls of these streams end well too."""
    def judge(peer, probe):
        served(peer, probe)
        resets = [stream for kind, _, stream, payload in peer.frames
                  if kind == RST_STREAM and int.from_bytes(payload, "big") != NO_ERROR]
        must(not resets, f"reset: streams {resets}")
        for stream in streams:
            must(("grpc-status", "0") in peer.fields(stream),
                 f"stream {stream} got {peer.fields(stream)}")
    return judge


def connection_error(*codes):
    def judge(peer, _):
        must(peer.over, "the connection goes on")
        must(peer.codes and peer.codes[-1] in codes, f"GOAWAY {peer.goaways}")
    return judge


def closed(peer, _):
    """As for what is not HTTP/2 at all: a GOAWAY may be left out (RFC 9113 3.4)."""
    must(peer.over, "the connection goes on")
    must(peer.codes in ([], [PROTOCOL_ERROR]), f"GOAWAY {peer.goaways}")


def stream_error(*codes, stream=1):
    def judge(peer, probe):
        served(peer, probe)
        must([code for code in peer.resets(stream) if code in codes],
             f"RST_STREAM {peer.resets(stream)}, headers {peer.fields(stream)}")
    return judge


def refused(name, value, stream=1):
    """An answer that says no."""
    def judge(peer, probe):
        served(peer, probe)
        must((name, value) in peer.fields(stream),
             f"headers {peer.fields(stream)}, RST_STREAM {peer.resets(stream)}")
    return judge


def echoes(*fields, stream=1):
    """The server has decoded these: Metadata gives them back."""
    def judge(peer, probe):
        serves(stream)(peer, probe)
        for field in fields:
            must(field in peer.fields(stream), f"{field} not in {peer.fields(stream)}")
    return judge


def answers(kind, payload, flags=0, count=1):
    def judge(peer, probe):
        serves()(peer, probe)
        heard = peer.find(kind, 0, flags)
        must(heard.count(payload) == count, f"heard {heard}")
    return judge


def either(*judges):
    """Where the RFC leaves the choice."""
    def judge(peer, probe):
        problems = []
        for one in judges:
            try:
                return one(peer, probe)
            except Wrong as wrong:
                problems.append(str(wrong))
        raise Wrong("; nor: ".join(problems))
    return judge


def error(*codes, stream=1):
    """Of the stream, or of the connection as 5.4.1 allows."""
    return either(stream_error(*codes, stream=stream), connection_error(*codes))


# ---- The run ------------------------------------------------------------------


def run(case, port):
    """None, or what is wrong."""
    peer = Peer(port, case.greet, case.polite)
    try:
        last = case.play(peer) if callable(case.play) else case.play
        peer.send(last + call(case.probe))
        while not peer.over and not peer.find(HEADERS, case.probe, END_STREAM) and \
                not peer.find(RST_STREAM, case.probe):
            peer.read_some()
        peer.decode()
        case.judge(peer, case.probe)
        return None
    except Wrong as wrong:
        return str(wrong)
    except TimeoutError:
        return f"nothing more comes; GOAWAY {peer.goaways}"
    except hpack.HPACKError as broken:
        return f"the server's own header block: {broken!r}"
    finally:
        peer.close()
