#!/usr/bin/python3
"""Devices that stop reading do not fill the server's memory (I12).

Goal: flow control all the way: a slow reader slows the reading of the store, and what
waits for it in the server is bounded, however large its region. Method: stock gRPC
clients ask for a region of many megabytes and read nothing; the server's memory is
looked at when it has stopped growing. Then one of them reads on and gets everything.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import time
import unittest

from peer import Outpostd, Peer, new_patient, sync_call, sync_pb2

READERS, PATIENTS, TEXT_BYTES = 8, 1500, 20_000
REGION_BYTES = PATIENTS * TEXT_BYTES
# Of each: a page, its encoded message, and what sockets and TLS hold.
READER_BYTES_MAX = 8 << 20
# Threads that take turns touch their own memory now and then.
PAGES_BYTES = 256 << 10
SANITIZED = "asan" in os.environ.get("OUTPOST_BIN", "")


def memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class SlowReader(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.facility = self.server.add_facility("Clinic", self.server.add_region("North"))
        self.server.start()

    def tearDown(self):
        self.assertEqual(0, self.server.close())

    def memory_at_rest(self):
        """The memory when it has not grown, but for a few pages, for two seconds."""
        seen = [memory(self.server.process.pid)]
        for _ in range(600):
            time.sleep(.1)
            seen.append(memory(self.server.process.pid))
            if len(seen) > 20 and max(seen[-20:]) <= seen[-21] + PAGES_BYTES:
                return max(seen[-21:])
        self.fail(f"the server's memory goes on growing: {[n >> 10 for n in seen[::10]]} KB, one a second")

    def test_I12_readers_that_stop_hold_a_bounded_part_of_a_large_region(self):
        author = Peer(self.server, self.facility)
        for _ in range(0, PATIENTS, 50):
            author.sync([new_patient(author.facility, village_or_colony=os.urandom(TEXT_BYTES // 2).hex())
                         for _ in range(50)])
        readers = [Peer(self.server, self.facility) for _ in range(READERS)]
        before = self.memory_at_rest()
        channels = [r.channel() for r in readers]
        done = sync_pb2.SyncRequest(push_done=sync_pb2.PushDone())
        calls = [sync_call(c)(iter([r.hello(), done]), timeout=300) for r, c in zip(readers, channels)]
        for call in calls:
            next(call)  # Welcome, and nothing more
        held = self.memory_at_rest() - before
        print(f"\n{READERS} readers that stopped in a region of {REGION_BYTES >> 20} MB:"
              f" {held / READERS / (1 << 20):.1f} MB each")
        if not SANITIZED:  # which keep what was freed
            self.assertLess(held, READERS * READER_BYTES_MAX)
        for response in calls[0]:
            if response.WhichOneof("response") == "pull":
                readers[0]._take_page(response.pull)
        self.assertEqual(author.digests(), readers[0].digests())
        for call, channel in zip(calls, channels):
            call.cancel()
            channel.close()


if __name__ == "__main__":
    unittest.main()
