#!/usr/bin/python3
"""Today's programs on what released revisions left behind (record.py).

Goal: databases of every released revision open, with nothing lost, pending edits included, and
go on; a device of that revision is answered as it was; and today's device takes what a server
of that revision said. Method: for each revision that is released, its databases are made from
their SQL, and its conversation is replayed from either side.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from lab import Between, call_as, certify

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests/blackbox"))
from device import Device  # noqa: E402
from peer import Outpostd, sync_pb2  # noqa: E402


def restore(sql, path):
    subprocess.run(["sqlite3", path], input=sql.read_text(), text=True, capture_output=True, check=True)


class GoldenServer(Outpostd):
    """A new data folder, with its own CA and the revision's store."""

    def __init__(self, folder):
        super().__init__(store=("--store", "sqlite"))
        path = pathlib.Path(self.data, "outpost.db")
        for old in path.parent.glob("outpost.db*"):
            old.unlink()
        restore(folder / "server.sql", path)


class GoldenDevice(Device):
    """The revision's database, with an identity that the server knows."""

    def __init__(self, folder, server):  # pylint: disable=super-init-not-called
        self.folder = tempfile.mkdtemp(prefix="outpost-")
        self.db = os.path.join(self.folder, "device.db")
        self.server = server
        restore(folder / "device.sql", self.db)
        self.id = bytes.fromhex(self.sqlite3("SELECT hex(device_id) FROM outpost_state"))
        key, certificate = certify(server.data, self.id)
        self.sqlite3("INSERT INTO outpost_identity(one, key_pem, certificate_pem, ca_pem, tls_session) VALUES"
                     f" (1, '{key.decode()}', '{certificate.decode()}', '{server.ca.decode()}', x'')")

    def call_at(self, port):
        self.sqlite3(f"UPDATE outpost_state SET server = 'localhost:{port}'")


def conversation(folder):
    """(True: a request, the message) each."""
    return [(line[0] == ">", bytes.fromhex(line[2:])) for line in (folder / "conversation").read_text().splitlines()]


def said(responses):
    """What of the responses must be the same in every revision."""
    told = {"welcome": [], "answers": [], "receipts": [], "records": [], "markers": [], "caught_up": []}
    for response in map(sync_pb2.SyncResponse.FromString, responses):
        kind = response.WhichOneof("response")
        message = getattr(response, kind)
        if kind == "welcome":
            told["welcome"] += [message.facility_id, message.resend_acknowledged, *map(str, message.regions)]
        elif kind == "push_result":
            told["answers"] += map(str, message.answers)
            told["receipts"].append(message.receipt)
        elif kind == "pull":
            told["records"] += [r.SerializeToString() for r in message.records]
            told["markers"] += map(str, message.markers)
        elif kind == "caught_up":
            told["caught_up"] += map(str, message.regions)
    return {name: sorted(values) if name == "records" else values for name, values in told.items()}


def pushed(requests):
    return [item.mutation.SerializeToString() for request in map(sync_pb2.SyncRequest.FromString, requests)
            for item in request.push.items]


class Revisions(unittest.TestCase):
    def each(self):
        released = sorted((ROOT / "proto/released").glob("*.binpb"))
        self.assertGreater(len(released), 0)
        for path in released:
            folder = HERE / path.stem
            self.assertTrue(folder.is_dir(), f"revision {path.stem} is released: record it with record.py")
            with self.subTest(revision=path.stem):
                self.server = GoldenServer(folder)
                self.device = GoldenDevice(folder, self.server)
                try:
                    yield folder
                finally:
                    self.device.close()
                    self.server.close()

    def test_the_server_opens_it_and_answers_as_it_was_answered(self):
        for folder in self.each():
            self.server.run("verify")
            self.server.start()
            recorded = conversation(folder)
            requests = [message for is_request, message in recorded if is_request]
            channel, call = call_as(self.server.address, self.server.ca, certify(self.server.data, self.device.id))
            with channel:
                responses = list(call(iter(requests), timeout=60))
            self.assertEqual(said(m for is_request, m in recorded if not is_request), said(responses))
            self.server.run("verify")

    def test_the_device_opens_it_and_takes_what_it_was_told(self):
        for folder in self.each():
            recorded = conversation(folder)
            heard, calls = [], []

            def answer(requests):
                calls.append(1)
                if len(calls) > 1:  # the device has more to send, and has to wait
                    raise RuntimeError("away")
                for is_request, message in recorded:
                    if not is_request:
                        yield message
                    else:
                        heard.append(next(requests))

            pending = self.device.sqlite3("SELECT count(*) FROM outpost_pending")
            self.assertGreater(int(self.device.status()["pending"]), 0)
            self.assertEqual(pending, self.device.sqlite3("SELECT count(*) FROM outpost_pending"))
            self.assertEqual("1", self.device.sqlite3("SELECT count(*) FROM outpost_unknown_record"))
            between = Between(self.server.data, answer)
            self.device.call_at(between.port)
            done = self.device.run("sync", "--json", check=False)
            between.close()
            result = json.loads(done.stdout)
            self.assertEqual(True, result["caught_up"], done.stderr)
            # The bytes that were sealed then, and no others.
            self.assertEqual(pushed(m for is_request, m in recorded if is_request), pushed(heard))
            self.device.run("verify")
            self.assert_content(folder)

    def test_both_go_on_together(self):
        for folder in self.each():
            self.server.start()
            self.device.call_at(self.server.address.rsplit(":", 1)[1])
            result = self.device.sync()
            self.assertEqual((True, 0), (result["caught_up"], result["repaired"]))
            self.device.sync()  # an edit of what was sealed waits for the next one
            self.assertEqual("0", self.device.sqlite3("SELECT count(*) FROM outpost_pending p WHERE NOT EXISTS"
                                                      " (SELECT 1 FROM outpost_rejected r WHERE r.id = p.id)"))
            self.assert_content(folder)
            self.device.run("verify")
            self.server.run("verify")

    def assert_content(self, folder):
        wanted = (folder / "content.txt").read_text().splitlines()
        tables = [line for line in wanted if line.endswith(")") and line[0].isalpha() and "(" in line and "'" not in line]
        now = content_of(self.device, tables)
        self.assertEqual(wanted, now)


def content_of(device, tables):
    """As record.py's content, of the columns that the revision had."""
    lines = []
    for head in tables:
        table, columns = head[:-1].split("(", 1)
        lines += [head, *device.rows(f"SELECT {columns} FROM {table} ORDER BY id")]
    return lines


if __name__ == "__main__":
    unittest.main()
