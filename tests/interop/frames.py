# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as no library would send it: frames made by hand on a plain socket."""

import socket
import struct

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ENHANCE_YOUR_CALM = 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE_S = 60  # only ends a test that hangs


def frame(kind, flags=0, stream=0, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + \
        struct.pack(">I", stream) + payload


def integer(value, prefix_bits, first=0):
    """HPACK's, RFC 7541 5.1."""
    limit = 2 ** prefix_bits - 1
    if value < limit:
        return bytes((first | value,))
    out, value = bytes((first | limit,)), value - limit
    while value >= 128:
        out, value = out + bytes((value & 127 | 128,)), value >> 7
    return out + bytes((value,))


def field(name, value, indexed=False):
    """A literal, with or without a place in the peer's table."""
    return (b"\x40" if indexed else b"\x00") + \
        b"".join(integer(len(text), 7) + text for text in (name.encode(), value.encode()))


def request(path, *more):
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "attack"),
              ("te", "trailers"), ("content-type", "application/grpc"), *more]
    return b"".join(field(name, value) for name, value in fields)


def message(payload, compressed=False):
    return struct.pack(">BI", compressed, len(payload)) + payload


class Conversation:
    """Says what it is told to, and keeps what the peer said."""

    def __init__(self, connected, polite=False):
        self.polite = polite  # acknowledges the peer's SETTINGS, which then bind it
        self.socket = connected
        self.socket.settimeout(PATIENCE_S)
        self.received = b""
        self.frames = []
        self.over = False

    def close(self):
        self.socket.close()

    def send(self, data):
        """False: the peer has closed."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            self.over = True
            return False

    def read_some(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.over = self.over or not data
        self.received += data
        while len(self.received) >= 9:
            length = int.from_bytes(self.received[:3], "big")
            if len(self.received) < 9 + length:
                break
            head, payload = self.received[:9], self.received[9:9 + length]
            self.frames.append((head[3], head[4], int.from_bytes(head[5:9], "big"), payload))
            if self.polite and head[3] == SETTINGS and not head[4] & ACK:
                self.send(frame(SETTINGS, ACK))
            self.received = self.received[9 + length:]
        return bool(data)

    def read_waiting(self):
        """What has come already."""
        self.socket.setblocking(False)
        try:
            while self.read_some():
                pass
        except BlockingIOError:
            pass
        self.socket.settimeout(PATIENCE_S)

    def read_to_end(self):
        while self.read_some():
            pass

    def await_frame(self, kind, stream=None):
        """The next frame of that kind, or None at the end; it is taken out."""
        while True:
            for i, (its_kind, _, its_stream, payload) in enumerate(self.frames):
                if its_kind == kind and stream in (None, its_stream):
                    del self.frames[i]
                    return payload
            if not self.read_some():
                return None

    @property
    def goaways(self):
        return [(int.from_bytes(payload[4:8], "big"), payload[8:].decode())
                for kind, _, _, payload in self.frames if kind == GOAWAY]


class Connection(Conversation):
    """A client's."""

    def __init__(self, port, settings=b"", greet=True, receive_bytes=None, polite=False):
        connected = socket.socket()
        if receive_bytes is not None:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connected.connect(("127.0.0.1", port))
        super().__init__(connected, polite)
        if greet:
            self.send(PREFACE + frame(SETTINGS, payload=settings))

    def call_often(self, calls):
        """Makes one call after the other until the server has had enough; its last word."""
        for call in calls:
            if not self.send(call) or self.await_frame(HEADERS) is None:
                break
        self.read_to_end()
        return self.goaways[-1] if self.goaways else None

    def flood(self, frames, batch=50):
        """Sends until the server has had enough; its last word, or None."""
        waiting = []
        for one in frames:
            waiting.append(one)
            if len(waiting) < batch:
                continue
            if not self.send(b"".join(waiting)):
                break
            waiting.clear()
            self.read_waiting()
            if self.over or self.goaways:
                break
        else:
            if not self.send(b"".join(waiting)):
                self.over = True
        self.read_to_end()
        return self.goaways[-1] if self.goaways else None
