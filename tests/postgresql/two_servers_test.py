"""Two outpostd on one database, and devices on both (I3, I13).

Goal: which server a device asks makes no difference: every follower sees each region's
changes without a gap, also those that the other server accepted. Method: stock gRPC
peers in eight regions, every second one on the other server, which push, then follow,
and again. At every CaughtUp a peer's own digest of what it was sent must be the
region's, which a gap or a change out of order would show; at the end all agree.

    two_servers_test.py [--seconds S]       60 for the long form; 5 when not said

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import collections
import os
import pathlib
import random
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from peer import Outpostd, Peer, digest_share, new_patient, new_reading, sync_call, sync_pb2

DEVICES, REGIONS = 50, 8
SECONDS = 5
FOLLOW_S = 1


class Follower(Peer):
    """A peer that keeps its digests as records come."""

    def __init__(self, server, facility):
        self.sums = [0, 0]  # global, own region
        self.seqs = {}      # region -> the last CaughtUp's
        self.authors = collections.Counter()
        super().__init__(server, facility)

    def _store(self, record):
        which = bool(record.family_id)
        held = self.records.get(self.name(record))
        self.sums[which] -= digest_share(held) if held else 0
        super()._store(record)
        self.sums[which] += 0 if record.deleted else digest_share(record)

    def take(self, response, sent):
        """One response of an open stream; True when it is a CaughtUp."""
        kind = response.WhichOneof("response")
        if kind == "push_result":
            self._take_answers(response.push_result, sent)
        elif kind == "pull":
            self._take_page(response.pull)
        elif kind == "caught_up":
            self._take_caught_up(response.caught_up)
        return kind == "caught_up"

    def _take_caught_up(self, caught_up):
        self.cursor = caught_up.cursor or self.cursor
        self.token = caught_up.next_token or self.token
        for at, region in enumerate(caught_up.regions):
            if region.seq < self.seqs.get(region.region_id, 0):
                raise AssertionError("a region's seq went back")
            if region.digest != self.sums[at] % 2**64:
                raise AssertionError(f"at seq {region.seq} the digest is not that of what was sent")
            self.seqs[region.region_id] = region.seq

    def push_and_follow(self, mutations, until):
        """A stream that pushes, and then follows until the event is set."""
        def requests():
            yield self.hello()
            yield sync_pb2.SyncRequest(push=sync_pb2.Push(items=[self.push_item(m) for m in mutations]))
            yield sync_pb2.SyncRequest(push_done=sync_pb2.PushDone())
            until.wait()

        self.pages, self.answers, caught_up, sent = [], [], 0, iter(list(mutations))
        with self.channel() as channel:
            for response in sync_call(channel)(requests(), timeout=300):
                caught_up += self.take(response, sent)
        if len(self.answers) != len(mutations) or caught_up == 0:
            raise AssertionError("the stream ended early")


class TwoServers(unittest.TestCase):
    def setUp(self):
        self.servers = [Outpostd()]
        database = f"{os.environ['OUTPOST_TEST_POSTGRES']}?options=-csearch_path%3D{self.servers[0].schema}"
        self.servers.append(Outpostd(store=("--store", database)))
        self.facilities = [self.servers[0].add_facility(f"Clinic {i}", self.servers[0].add_region(f"Region {i}"))
                           for i in range(REGIONS)]
        for server in self.servers:
            server.start()

    def tearDown(self):
        self.servers[1].close()
        self.servers[0].close()

    def test_a_change_accepted_by_one_reaches_followers_of_the_other(self):
        author = Follower(self.servers[0], self.facilities[0])
        reader = Follower(self.servers[1], self.facilities[0])
        until, sent = threading.Event(), new_patient(author.facility)
        original = reader._take_page

        def take_page(pull):
            original(pull)
            if any(r.id == sent.id for r in pull.records):
                until.set()
        reader._take_page = take_page
        following = threading.Thread(target=reader.push_and_follow, args=([new_patient(reader.facility)], until))
        following.start()
        author.sync([sent])
        following.join(timeout=120)
        self.assertFalse(following.is_alive())
        self.assertIn((sent.id, "patient", sent.id), reader.records)

    def test_I3_fifty_devices_on_two_servers_see_every_region_without_a_gap(self):
        random.seed(1)
        peers = [Follower(self.servers[i // REGIONS % 2], self.facilities[i % REGIONS]) for i in range(DEVICES)]
        deadline, faults, pushed = time.monotonic() + SECONDS, [], []

        def live(peer):
            try:
                while time.monotonic() < deadline and not faults:
                    until = threading.Event()
                    patient = new_patient(peer.facility)
                    mutations = [patient] + [new_reading(patient.id, peer.facility) for _ in range(4)]
                    timer = threading.Timer(FOLLOW_S * random.random(), until.set)
                    timer.start()
                    peer.push_and_follow(mutations, until)
                    pushed.extend(m.id for m in mutations)
            except Exception as fault:  # told by the main thread
                faults.append(f"{peer.device_id.hex()}: {fault!r}")

        threads = [threading.Thread(target=live, args=(p,)) for p in peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], faults)
        digests = collections.defaultdict(set)
        for peer in peers:
            caught_up = peer.sync()
            self.assertEqual(tuple(r.digest for r in caught_up.regions), peer.digests())
            digests[peer.facility].add(caught_up.regions[1].digest)
        self.assertEqual(REGIONS, len(digests))
        self.assertTrue(all(len(d) == 1 for d in digests.values()))
        held = {r.id for p in peers for r in p.records.values()}
        self.assertLessEqual(set(pushed), held)
        self.servers[0].run("verify")
        print(f"\n{len(pushed)} mutations by {DEVICES} devices in {REGIONS} regions through two servers")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=SECONDS)
    options, rest = parser.parse_known_args()
    SECONDS = options.seconds
    unittest.main(argv=[sys.argv[0], *rest])
