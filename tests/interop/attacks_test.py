#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Every known way to wear an HTTP/2 or gRPC server out, against a real one. The offender is told
ENHANCE_YOUR_CALM and is gone, the server's memory stays, and an honest stock client beside it
notices nothing.

    OUTPOST_BIN=build-dev/bin tests/interop/attacks_test.py [Class.test]
"""

import gzip
import itertools
import os
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from frames import (CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY,
                    HEADERS, PATIENCE_S, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
                    WINDOW_UPDATE, Connection, field, frame, integer, message, request)

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("OUTPOST_BIN", HERE.parents[1] / "build-dev" / "bin"))
SANITIZED = "asan" in str(BIN)  # its allocator gives nothing back
ENOUGH = 20000  # frames of a flood that is never answered
GROWTH_KB_MAX = 64 * 1024
SLEEP = "/outpost.interop.v1.Echo/Sleep"
UNARY = "/outpost.interop.v1.Echo/Unary"
STREAM = "/outpost.interop.v1.Echo/Stream"
GENERATE = "/outpost.interop.v1.Echo/Generate"
LARGE_WINDOW = struct.pack(">HI", 4, 2 ** 31 - 1)


def load_echo():
    folder = tempfile.mkdtemp()
    subprocess.run(["protoc", f"-I{HERE}", f"--python_out={folder}", "echo.proto"], check=True)
    sys.path.insert(0, folder)
    import echo_pb2
    return echo_pb2


ECHO = load_echo()


class Server:
    def __init__(self, program, *options):
        self.process = subprocess.Popen([BIN / program, *options], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.port = int(line.strip().rsplit(":", 1)[1])

    def memory_kb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()
        return code


class Honest(threading.Thread):
    """A stock client that calls, all the time, on a connection of its own."""

    def __init__(self, port):
        import grpc
        super().__init__(daemon=True)
        self.grpc = grpc
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.call = self.channel.unary_unary(
            UNARY, request_serializer=ECHO.EchoRequest.SerializeToString,
            response_deserializer=ECHO.EchoResponse.FromString)
        self.calls, self.errors, self.stopped = 0, [], False
        self.ask()

    def ask(self):
        answer = self.call(ECHO.EchoRequest(payload=b"honest", sequence=self.calls),
                           timeout=PATIENCE_S)
        assert answer.payload == b"honest" and answer.sequence == self.calls
        self.calls += 1

    def run(self):
        while not self.stopped:
            try:
                self.ask()
            except self.grpc.RpcError as error:
                self.errors.append(error)
            time.sleep(0.002)

    def finish(self):
        self.stopped = True
        self.join()
        self.ask()  # the same connection still serves
        self.channel.close()
        return self.errors


class Attack(unittest.TestCase):
    program, options = "rpc-echo-server", ()

    def setUp(self):
        self.server = Server(self.program, *self.options)
        self.honest = Honest(self.server.port) if self.program == "rpc-echo-server" else None
        if self.honest:
            self.honest.start()
        self.memory_kb = self.server.memory_kb()
        self.connections = []

    def tearDown(self):
        for connection in self.connections:
            connection.close()
        growth_kb = self.server.memory_kb() - self.memory_kb
        if self.honest:
            self.assertEqual(self.honest.finish(), [])
        self.assertEqual(self.server.stop(), 0)
        if not SANITIZED:
            self.assertLess(growth_kb, GROWTH_KB_MAX)

    def connect(self, *arguments, **options):
        self.connections.append(Connection(self.server.port, *arguments, **options))
        return self.connections[-1]

    def assert_calmed(self, frames, reason=None, connection=None, one_by_one=False, **options):
        connection = connection or self.connect()
        last_word = connection.call_often(frames) if one_by_one else \
            connection.flood(frames, **options)
        self.assertIsNotNone(last_word, "no GOAWAY came")
        self.assertEqual(last_word[0], ENHANCE_YOUR_CALM, last_word)
        if reason is not None:
            self.assertEqual(last_word[1], reason)
        self.assertTrue(connection.over)


def streams(count=ENOUGH):
    return range(1, 2 * count, 2)


def open_call(stream, path=STREAM, flags=END_HEADERS):
    return frame(HEADERS, flags, stream, request(path))


class Resets(Attack):
    def test_rapid_reset(self):
        reset = struct.pack(">I", 8)
        self.assert_calmed((open_call(s) + frame(RST_STREAM, 0, s, reset) for s in streams()),
                           "too_many_resets")

    def test_made_you_reset_by_a_window_that_overflows(self):
        grow = struct.pack(">I", 2 ** 31 - 1)
        self.assert_calmed((open_call(s) + frame(WINDOW_UPDATE, 0, s, grow) for s in streams()),
                           "too_many_broken_streams")

    def test_made_you_reset_by_malformed_headers(self):
        block = request(STREAM) + field("Upper-Case", "x")
        self.assert_calmed((frame(HEADERS, END_HEADERS, s, block) for s in streams()),
                           "too_many_broken_streams")

    def test_made_you_reset_by_a_wrong_content_length(self):
        block = request(STREAM, ("content-length", "1"))
        self.assert_calmed((frame(HEADERS, END_HEADERS, s, block) +
                            frame(DATA, END_STREAM, s, message(b"more")) for s in streams()),
                           "too_many_broken_streams")

    def test_more_calls_than_allowed(self):
        """The limit is known once SETTINGS are acknowledged; then it is a fault."""
        connection = self.connect(polite=True)
        connection.await_frame(SETTINGS)
        last_word = connection.flood(open_call(s, SLEEP) for s in streams())
        self.assertIsNotNone(last_word)
        self.assertTrue(connection.over)


class Empty(Attack):
    options = ("--ping-interval-ms=0",)

    def test_pings(self):
        self.assert_calmed(itertools.repeat(frame(PING, 0, 0, b"12345678"), ENOUGH),
                           "too_many_empty_frames")

    def test_settings(self):
        self.assert_calmed(itertools.repeat(frame(SETTINGS), ENOUGH))

    def test_settings_with_many_entries(self):
        entries = struct.pack(">HI", 0xf0f0, 1) * 1000
        connection = self.connect()
        last_word = connection.flood(itertools.repeat(frame(SETTINGS, 0, 0, entries), 100))
        self.assertIsNotNone(last_word)
        self.assertTrue(connection.over)

    def test_data(self):
        self.assert_calmed(itertools.chain([open_call(1)],
                                           itertools.repeat(frame(DATA, 0, 1), ENOUGH)),
                           "too_many_empty_frames")

    def test_padded_data(self):
        padded = frame(DATA, 8, 1, b"\xc8" + bytes(200))
        connection = self.connect(polite=True)
        connection.await_frame(SETTINGS)
        self.assert_calmed(itertools.chain([open_call(1)], itertools.repeat(padded, ENOUGH)),
                           "too_many_empty_frames", connection)

    def test_priorities(self):
        self.assert_calmed((frame(PRIORITY, 0, s, struct.pack(">IB", 0, 1)) for s in streams()),
                           "too_many_empty_frames")

    def test_window_updates(self):
        one = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))
        self.assert_calmed(itertools.repeat(one, ENOUGH), "too_many_empty_frames")

    def test_unknown_frames(self):
        self.assert_calmed(itertools.repeat(frame(0xbe, 0, 0, b"x"), ENOUGH),
                           "too_many_empty_frames")

    def test_resets_of_streams_that_are_over(self):
        reset = struct.pack(">I", 8)
        connection = self.connect()
        connection.send(open_call(1, "/no/Method", END_HEADERS | END_STREAM))
        last_word = connection.flood(itertools.repeat(frame(RST_STREAM, 0, 1, reset), ENOUGH))
        self.assertIsNotNone(last_word)
        self.assertTrue(connection.over)

    def test_answers_that_nobody_reads(self):
        connection = self.connect()
        ping = frame(PING, 0, 0, b"12345678")
        while connection.send(ping * 1000):
            pass
        self.assertTrue(connection.over)


class Pings(Attack):
    """With the interval that gRPC's own servers demand."""

    def test_too_many_pings(self):
        self.assert_calmed([open_call(1)] + [frame(PING, 0, 0, b"12345678")] * 4, "too_many_pings",
                           batch=1)

    def test_pings_that_answer_data_are_no_offence(self):
        """As a peer sends that measures its link."""
        connection = self.connect()
        connection.send(open_call(1))
        payload = ECHO.EchoRequest(payload=b"x").SerializeToString()
        for _ in range(20):
            connection.send(frame(DATA, 0, 1, message(payload)))
            self.assertIsNotNone(connection.await_frame(DATA, 1))
            connection.send(frame(PING, 0, 0, b"12345678"))
            self.assertIsNotNone(connection.await_frame(PING))
        self.assertEqual(connection.goaways, [])


class Headers(Attack):
    def test_continuations(self):
        self.assert_calmed(itertools.chain(
            [frame(HEADERS, 0, 1, request(STREAM))],
            itertools.repeat(frame(CONTINUATION, 0, 1, field("x", "y")), ENOUGH)))

    def test_empty_continuations(self):
        self.assert_calmed(itertools.chain(
            [frame(HEADERS, 0, 1)], itertools.repeat(frame(CONTINUATION, 0, 1), ENOUGH)))

    def test_references_into_the_table(self):
        """One byte each for 4,000: the bomb of HPACK."""
        first = request(STREAM) + field("x", "y" * 3900, indexed=True)
        bomb = request(STREAM) + integer(62, 7, 0x80) * 16000
        self.assert_calmed(itertools.chain(
            [frame(HEADERS, END_HEADERS | END_STREAM, 1, first)],
            (frame(HEADERS, END_HEADERS, s, bomb) for s in streams() if s > 1)),
            "too_many_broken_streams", batch=4)

    def test_an_honest_block_in_three_frames_is_taken(self):
        connection = self.connect()
        block = request("/no/Method")
        connection.send(frame(HEADERS, END_STREAM, 1, block[:10]) +
                        frame(CONTINUATION, 0, 1, block[10:40]) +
                        frame(CONTINUATION, END_HEADERS, 1, block[40:]))
        self.assertIsNotNone(connection.await_frame(HEADERS, 1))
        self.assertEqual(connection.goaways, [])

    def test_a_little_too_large_is_only_refused(self):
        connection = self.connect()
        connection.send(frame(HEADERS, END_HEADERS | END_STREAM, 1,
                              request(STREAM, ("x", "y" * 9000))))
        self.assertIsNotNone(connection.await_frame(HEADERS, 1))
        self.assertEqual(connection.goaways, [])


class Windows(Attack):
    options = ("--stall-ms=2000",)

    def generate(self, size, count=1):
        wanted = ECHO.GenerateRequest(count=count, bytes=size).SerializeToString()
        return open_call(1, GENERATE) + frame(DATA, END_STREAM, 1, message(wanted))

    def test_windows_of_one_byte(self):
        """The server would send a frame for each byte."""
        connection = self.connect(struct.pack(">HI", 4, 1))
        one = frame(WINDOW_UPDATE, 0, 1, struct.pack(">I", 1))
        self.assert_calmed(itertools.chain([self.generate(1_000_000)],
                                           itertools.repeat(one, ENOUGH)),
                           None, connection, batch=1)

    def test_windows_that_flicker(self):
        """SETTINGS move all windows at once."""
        connection = self.connect(struct.pack(">HI", 4, 0))
        sizes = itertools.cycle((1, 0))
        last_word = connection.flood(itertools.chain(
            [self.generate(1_000_000)],
            (frame(SETTINGS, 0, 0, struct.pack(">HI", 4, size)) for size in
             itertools.islice(sizes, ENOUGH))), batch=1)
        self.assertEqual(last_word[0], ENHANCE_YOUR_CALM)

    def test_a_window_that_stays_shut(self):
        connection = self.connect(struct.pack(">HI", 4, 0))
        connection.send(self.generate(1_000_000))
        connection.read_to_end()
        self.assertEqual(connection.goaways, [(ENHANCE_YOUR_CALM, "no_window")])

    def test_a_reader_that_does_not_read(self):
        """It opens every window and leaves the bytes in its socket: it is given up, and what
        was queued for it is bounded."""
        connection = self.connect(LARGE_WINDOW, receive_bytes=4096)
        connection.send(frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2 ** 30)) +
                        self.generate(1_000_000, 1000))
        while connection.send(frame(0xbe)):  # nothing is read; the reset is noticed here
            time.sleep(0.05)
        self.assertTrue(connection.over)


class Handshakes(Attack):
    options = ("--handshake-ms=1000",)

    def assert_gone(self, connection):
        connection.read_to_end()
        self.assertTrue(connection.over)

    def test_silence(self):
        self.assert_gone(self.connect(greet=False))

    def test_half_a_preface(self):
        connection = self.connect(greet=False)
        connection.send(PREFACE[:12])
        self.assert_gone(connection)

    def test_a_preface_byte_by_byte(self):
        connection = self.connect(greet=False)
        for byte in PREFACE + frame(SETTINGS):
            if not connection.send(bytes((byte,))):
                break
            time.sleep(0.1)
        self.assert_gone(connection)

    def test_no_settings(self):
        connection = self.connect(greet=False)
        connection.send(PREFACE)
        self.assert_gone(connection)

    def test_many_at_once(self):
        silent = [self.connect(greet=False) for _ in range(300)]
        for connection in silent:
            self.assert_gone(connection)

    def test_other_protocols_and_noise(self):
        seed = random.randrange(2 ** 32)
        print(f"seed {seed}", file=sys.stderr)
        noise = random.Random(seed)
        for data in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                     noise.randbytes(5000), PREFACE + noise.randbytes(5000)):
            connection = self.connect(greet=False)
            connection.send(data)
            self.assert_gone(connection)


class Messages(Attack):
    def calls(self, payload, compressed, *fields, path=UNARY):
        block = request(path, *fields)
        for stream in streams():
            yield frame(HEADERS, END_HEADERS, stream, block) + b"".join(
                frame(DATA, END_STREAM if at + 16384 >= len(payload) + 5 else 0, stream,
                      message(payload, compressed)[at:at + 16384])
                for at in range(0, len(payload) + 5, 16384))

    def test_inflate_bombs(self):
        bomb = gzip.compress(bytes(100_000_000))
        self.assertLess(len(bomb), 110_000)
        self.assert_calmed(self.calls(bomb, True, ("grpc-encoding", "gzip")),
                           "too_many_bad_messages", one_by_one=True)

    def test_compression_that_is_none(self):
        self.assert_calmed(self.calls(b"not gzip", True, ("grpc-encoding", "gzip")),
                           "too_many_bad_messages", one_by_one=True)

    def test_flags_that_do_not_exist(self):
        self.assert_calmed(
            (open_call(s, UNARY) + frame(DATA, END_STREAM, s, b"\x7f\0\0\0\0") for s in streams()),
            "too_many_bad_messages", one_by_one=True)

    def test_lengths_without_end(self):
        """4 GiB announced, in call after call: refused by the prefix."""
        connection = self.connect()
        for s in streams(50):
            connection.send(open_call(s, UNARY) + frame(DATA, 0, s, b"\0\xff\xff\xff\xff"))
            self.assertIsNotNone(connection.await_frame(HEADERS, s))


class Protobuf(Attack):
    """Against stubs: grpc.testing.TestService."""

    program = "rpc-interop-server"

    def assert_refused(self, payload):
        path = "/grpc.testing.TestService/UnaryCall"
        self.assert_calmed((open_call(s, path) + frame(DATA, END_STREAM, s, message(payload))
                            for s in streams()), "too_many_bad_messages", one_by_one=True)

    def status(self, text):
        """SimpleRequest.response_status.message."""
        inner = b"\x12" + integer(len(text), 7) + text
        return b"\x3a" + integer(len(inner), 7) + inner

    def test_cut_off(self):
        self.assert_refused(b"\x1a\x50abc")

    def test_groups_inside_groups(self):
        self.assert_refused(b"\x0b" * 10000)

    def test_text_that_is_not_utf8(self):
        self.assert_refused(self.status(b"\xff\xfe"))

    def test_text_with_nul(self):
        self.assert_refused(self.status(b"before\0after"))

    def test_two_million_unknown_fields(self):
        connection = self.connect(polite=True)
        connection.await_frame(SETTINGS)
        payload = message(b"\x78\x01" * 2_000_000)
        connection.send(open_call(1, "/grpc.testing.TestService/UnaryCall"))
        for at in range(0, len(payload), 16384):
            last = at + 16384 >= len(payload)
            connection.send(frame(DATA, END_STREAM if last else 0, 1, payload[at:at + 16384]))
        self.assertIsNotNone(connection.await_frame(HEADERS, 1))
        self.assertLess(self.server.memory_kb() - self.memory_kb, GROWTH_KB_MAX)


if __name__ == "__main__":
    unittest.main()
