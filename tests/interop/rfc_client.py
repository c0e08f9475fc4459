# SPDX-License-Identifier: Apache-2.0
"""A server for the RFCs' cases against a client: what it answers, and how the client's calls end.

The server greets, waits for the first request and sends the reply, which are bytes or a function
that takes the conversation. Then it answers every further call well, until the client leaves.
"""

import dataclasses
import socket
import subprocess
import typing

from frames import (ACK, DATA, END_HEADERS, END_STREAM, PREFACE, RST_STREAM,
                    SETTINGS, Conversation, field, frame)
from rfc_peer import GOOD, data, headers

PATIENCE_S = 60  # only ends a test that hangs; the client gives up before
HEAD = field(":status", "200") + field("content-type", "application/grpc")
TRAIL = field("grpc-status", "0")


def answer(stream=1, head=HEAD, body=GOOD, trail=TRAIL):
    return headers(stream, head) + data(stream, body, 0) + \
        headers(stream, trail, END_HEADERS | END_STREAM)


@dataclasses.dataclass
class Case:
    section: str
    name: str
    reply: typing.Any
    statuses: tuple  # of the calls, one after the other; a set leaves the choice
    codes: tuple = ()  # one of these is what the client must say in GOAWAY or RST_STREAM
    greeting: bytes = frame(SETTINGS) + frame(SETTINGS, ACK)
    messages: typing.Any = None  # of the first call
    known: str = ""


class Caller(Conversation):
    """Our client's connection, from the server's side."""

    def __init__(self, connected):
        super().__init__(connected)
        self.socket.settimeout(PATIENCE_S)
        while len(self.received) < len(PREFACE):
            self.received += self.socket.recv(len(PREFACE) - len(self.received))
        assert self.received == PREFACE, self.received
        self.received = b""

    def await_request(self, stream):
        """False: the client left instead."""
        while not any(kind == DATA and its_stream == stream and flags & END_STREAM
                      for kind, flags, its_stream, _ in self.frames):
            if not self.read_some():
                return False
        return True

    def codes(self):
        return [code for code, _ in self.goaways] + \
            [int.from_bytes(payload, "big") for kind, _, _, payload in self.frames
             if kind == RST_STREAM]


class Client:
    """rpc-call-client, one process for all cases."""

    def __init__(self, folder):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(PATIENCE_S)
        self.process = subprocess.Popen(
            [folder / "rpc-call-client", "--address",
             f"127.0.0.1:{self.listener.getsockname()[1]}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def run(self, case):
        """None, or what is wrong."""
        self.process.stdin.write(f"{len(case.statuses)}\n")
        caller = Caller(self.listener.accept()[0])
        caller.send(case.greeting)
        if caller.await_request(1):
            last = case.reply(caller) if callable(case.reply) else case.reply
            caller.send(last)
        stream = 3
        while not caller.over and caller.await_request(stream):
            caller.send(answer(stream))
            stream += 2
        caller.close()
        outcomes = [self.process.stdout.readline().rstrip("\n").split(" ", 2)
                    for _ in case.statuses]
        for i, (expected, (status, messages, text)) in enumerate(zip(case.statuses, outcomes)):
            if status not in ({expected} if isinstance(expected, str) else expected):
                return f"call {i + 1} ended {status}: {text}"
            if i == 0 and case.messages is not None and int(messages) != case.messages:
                return f"{messages} messages came, not {case.messages}"
        if case.codes and not set(case.codes) & set(caller.codes()):
            return f"the client said {caller.codes()} in GOAWAY and RST_STREAM"
        return None

    def stop(self):
        self.process.stdin.close()
        code = self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()
        self.listener.close()
        return code
