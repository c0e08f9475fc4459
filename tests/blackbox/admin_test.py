#!/usr/bin/python3
"""What an administrator does beside a serving outpostd, and what devices see of it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import queue
import time
import unittest
import uuid

import grpc

import peer
from peer import Outpostd, Peer, new_patient, new_reading, sync_pb2

PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED


class AdminTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start()

    def tearDown(self):
        self.server.run("verify")
        self.assertEqual(self.server.close(), 0)

    def peer(self, facility=None, admin=False):
        return Peer(self.server, facility or self.facility, admin)

    def run_json(self, *words, check=True):
        return json.loads(self.server.run(*words, "--json", check=check).stdout)

    def status(self):
        return self.run_json("status")

    @staticmethod
    def device_id(device):
        return str(uuid.UUID(bytes=device.device_id))


class OpenStream:
    """A Sync call whose requests are sent one by one."""

    def __init__(self, device):
        self.device = device
        self.requests = queue.Queue()
        self.channel = device.channel()
        self.call = peer.sync_call(self.channel)(iter(self.requests.get, None), timeout=60)

    def __enter__(self):
        self.requests.put(self.device.hello())
        return self

    def __exit__(self, *_):
        self.requests.put(None)
        self.call.cancel()
        self.channel.close()

    def push(self, *mutations):
        items = [self.device.push_item(m) for m in mutations]
        self.requests.put(sync_pb2.SyncRequest(push=sync_pb2.Push(items=items)))

    def push_done(self):
        self.requests.put(sync_pb2.SyncRequest(push_done=sync_pb2.PushDone()))

    def until(self, kind):
        for response in self.call:
            if response.WhichOneof("response") == kind:
                return response
        raise AssertionError(f"no {kind} came")

    def refusal(self):
        """What the call ends with, with nothing but that coming any more."""
        try:
            rest = list(self.call)
        except grpc.RpcError as error:
            return error.code()
        raise AssertionError(f"the call ended well, after {len(rest)} messages")


class Revocation(AdminTest):
    def revoke(self, device):
        self.server.run("device", "revoke", self.device_id(device))

    def test_a_follower_that_is_revoked_is_refused_at_once(self):
        device = self.peer()
        with OpenStream(device) as stream:
            stream.push_done()
            stream.until("caught_up")
            self.revoke(device)
            start = time.monotonic()
            self.assertEqual(stream.refusal(), PERMISSION_DENIED)
            self.assertLess(time.monotonic() - start, 5)

    def test_a_device_that_is_revoked_while_it_pushes_gets_nothing_more_in(self):
        device, other = self.peer(), self.peer()
        patient = new_patient(device.facility)
        with OpenStream(device) as stream:
            stream.push(patient)
            stream.until("push_result")
            self.revoke(device)
            stream.push(*[new_reading(patient.id, device.facility) for _ in range(100)])
            self.assertEqual(stream.refusal(), PERMISSION_DENIED)
        other.sync()
        self.assertEqual([r.id for r in other.records.values() if r.family_id], [patient.id])

    def test_a_silent_stream_of_a_revoked_device_ends(self):
        device, other = self.peer(), self.peer()
        with OpenStream(device) as stream, OpenStream(other) as stays:
            stream.until("welcome")
            stays.until("welcome")
            self.revoke(device)
            self.assertEqual(stream.refusal(), PERMISSION_DENIED)
            stays.push_done()
            stays.until("caught_up")


class ClosedFacility(AdminTest):
    def test_a_closed_facility_stays_and_gets_no_new_enrolments(self):
        device, code = self.peer(), self.server.code(self.facility)
        patient = new_patient(device.facility)
        device.sync([patient])
        closed = self.run_json("facility", "close", self.facility)
        self.assertGreater(closed["closed_at_ms"], 1_600_000_000_000)
        self.assertEqual(self.run_json("facility", "close", self.facility), closed)
        (listed,) = self.run_json("facility", "list")["facilities"]
        self.assertEqual(listed["closed_at_ms"], closed["closed_at_ms"])

        done = self.server.run("enrol", "--facility", self.facility, check=False)
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        self.assertIn("closed", done.stderr)
        with self.assertRaises(grpc.RpcError) as caught:
            Peer(self.server, self.facility, code=code)
        self.assertEqual(caught.exception.code(), PERMISSION_DENIED)
        self.assertIn("closed", caught.exception.details())

        device.sync([new_reading(patient.id, device.facility)])
        self.assertEqual(device.answers[0].status, sync_pb2.ANSWER_STATUS_APPLIED)
        (seen,) = [r for r in device.records.values() if r.WhichOneof("body") == "facility"]
        self.assertEqual(seen.facility.closed_at_ms, closed["closed_at_ms"])

    def test_a_facility_that_is_not_there_cannot_be_closed(self):
        done = self.server.run("facility", "close", str(uuid.uuid4()), check=False)
        self.assertEqual(done.returncode, 65)
        self.assertEqual(self.server.run("facility", "close", check=False).returncode, 64)


if __name__ == "__main__":
    unittest.main(verbosity=2)
