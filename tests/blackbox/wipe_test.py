#!/usr/bin/python3
"""A lost device destroys its data when its server says so, and when nobody else does.

SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures
import json
import pathlib
import random
import signal
import sqlite3
import time
import unittest
import uuid

import grpc
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography import x509

import peer
from device import Device
from peer import Outpostd, Peer, enrolment_pb2, new_patient, sync_pb2
from relay import Relay

DENIED, BUG = 77, 70
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED
NAME = "Canary Wachtelschlag"


def order_bytes(device_id, ordered_at_ms, token):
    """What sync.proto says is signed."""
    return b"outpost.v1.WipeOrder\0" + device_id + ordered_at_ms.to_bytes(8, "big") + token


def report_bytes(device_id, ordered_at_ms):
    return b"outpost.v1.WipeReport\0" + device_id + ordered_at_ms.to_bytes(8, "big")


def sign(key, data):
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


class WipeTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic", self.region)
        self.server.start()
        self.port = self.server.address.rsplit(":", 1)[1]
        self.devices = []

    def tearDown(self):
        self.server.run("verify")
        for device in self.devices:
            device.close()
        self.assertEqual(self.server.close(), 0)

    def device(self, **how):
        self.devices.append(Device(self.server, self.facility, **how))
        return self.devices[-1]

    def fill(self, device, patients=300):
        """Synced records, deleted ones, pending ones, refused ones; all with the name."""
        device.sqlite3(f"""
            CREATE TABLE app_notes(text TEXT); INSERT INTO app_notes VALUES ('the app''s own');
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {patients})
            INSERT INTO patient(full_name, age_years, age_recorded_at_ms) SELECT '{NAME} ' || i, 50, 1 FROM n""")
        device.sync()
        device.sqlite3(f"""
            DELETE FROM patient WHERE full_name LIKE '%7';
            UPDATE patient SET zone = '{NAME} zone' WHERE full_name LIKE '%3';
            UPDATE patient SET assigned_facility_id = randomblob(16) WHERE full_name LIKE '%5'""")
        device.sync()
        device.sqlite3(f"UPDATE patient SET district = '{NAME} pending' WHERE full_name LIKE '%1'")

    def order(self, device, *words, check=True):
        return self.server.run("device", "wipe", self.id_of(device), *words, check=check)

    @staticmethod
    def id_of(device):
        return device.status()["device_id"]

    def listed(self, id):
        return json.loads(self.server.run("device", "show", id, "--json").stdout)

    @staticmethod
    def key_lines(device):
        """Lines of the private key's PEM that are long enough to be it and nothing else."""
        text = device.sqlite3("SELECT key_pem FROM outpost_identity")
        return [line.encode() for line in text.splitlines() if len(line) > 30 and "-" not in line]

    def files(self, device):
        return {p.name: p.read_bytes() for p in pathlib.Path(device.folder).iterdir()}

    def assert_destroyed(self, device, secrets):
        for name, content in self.files(device).items():
            for secret in [NAME.encode(), b"BEGIN PRIVATE KEY", b"BEGIN EC PRIVATE KEY", *secrets]:
                self.assertNotIn(secret, content, name)
        self.assertEqual(set(self.files(device)), {"device.db"})
        self.assertEqual(device.sqlite3("SELECT group_concat(name) FROM (SELECT name FROM sqlite_master "
                                        "WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name)"),
                         "app_notes,outpost_wipe")
        self.assertEqual(device.sqlite3("SELECT text FROM app_notes"), "the app's own")
        self.assertEqual(device.sqlite3("PRAGMA integrity_check"), "ok")

    def assert_untouched(self, device, before):
        self.assertEqual(device.rows("SELECT count(*), min(outpost_stamp), max(outpost_stamp) FROM patient"), before)
        self.assertEqual(device.status()["state"], "active")

    def fingerprint(self, device):
        return device.rows("SELECT count(*), min(outpost_stamp), max(outpost_stamp) FROM patient")


class Wiping(WipeTest):
    def test_R18_a_device_that_is_ordered_destroys_everything_and_tells_it(self):
        device = self.device()
        self.fill(device)
        secrets, id = self.key_lines(device), self.id_of(device)
        before = {name for name, content in self.files(device).items() if NAME.encode() in content}
        self.assertTrue(before)
        self.assertTrue(secrets)
        ordered = json.loads(self.order(device, "--json").stdout)
        self.assertEqual(ordered["state"], "wiping")
        self.assertEqual((self.listed(id)["state"], self.listed(id)["wiped_at_ms"]), ("wiping", 0))
        done = device.run("sync", check=False)
        self.assertEqual(done.returncode, DENIED)
        self.assertIn("was wiped by order of localhost", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assert_destroyed(device, secrets)
        listed = self.listed(id)
        self.assertEqual(listed["state"], "wiped")
        self.assertEqual(listed["wipe_ordered_at_ms"], ordered["wipe_ordered_at_ms"])
        self.assertGreaterEqual(listed["wiped_at_ms"], listed["wipe_ordered_at_ms"])

        status = device.status()
        self.assertEqual((status["state"], status["device_id"], status["wipe_ordered_at_ms"]),
                         ("wiped", id, ordered["wipe_ordered_at_ms"]))
        for words in (["sync"], ["verify"], ["facility", self.facility], ["sql", "SELECT 1"],
                      ["import", "synthea", "/nowhere"],
                      ["init", "--server", self.server.address, "--code", "x", "--ca",
                       f"{self.server.data}/ca.pem"]):
            done = device.run(*words, check=False)
            self.assertEqual(done.returncode, DENIED, words)
            self.assertIn("was wiped", done.stderr)
        self.assert_destroyed(device, secrets)
        done = self.order(device, "--cancel", check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("wiped already", done.stderr)

    def test_R18_a_revoked_device_gets_its_order_too(self):
        device = self.device()
        self.fill(device, 10)
        secrets, id = self.key_lines(device), self.id_of(device)
        self.server.run("device", "revoke", id)
        self.order(device)
        self.assertEqual(device.run("sync", check=False).returncode, DENIED)
        self.assert_destroyed(device, secrets)
        self.assertEqual(self.listed(id)["state"], "wiped")

    def test_an_open_stream_brings_the_order(self):
        device = self.device()
        self.fill(device)
        secrets, id = self.key_lines(device), self.id_of(device)
        follower = device.start("sync", "--follow", "--json")
        follower.stdout.readline()
        self.order(device)
        out, err = follower.communicate(timeout=60)
        self.assertEqual(follower.returncode, DENIED, out)
        self.assertIn("was wiped", err)
        self.assert_destroyed(device, secrets)
        self.assertEqual(self.listed(id)["state"], "wiped")

    def test_an_order_that_was_taken_back_in_time_destroys_nothing(self):
        device = self.device()
        self.fill(device, 10)
        self.order(device)
        cancelled = json.loads(self.order(device, "--cancel", "--json").stdout)
        self.assertEqual(cancelled["state"], "active")
        self.assertTrue(device.sync()["caught_up"])
        self.assertEqual(device.status()["state"], "active")
        self.assertEqual(self.listed(self.id_of(device))["wipe_ordered_at_ms"], 0)

    def test_the_report_waits_for_a_link(self):
        relay = Relay(self.server.address)
        self.addCleanup(relay.close)
        device = self.device(relay=relay)
        self.fill(device, 10)
        secrets, id = self.key_lines(device), self.id_of(device)
        self.order(device)
        relay.cut_after = None
        sync = self.cut_after_the_order(device, relay)
        self.assertEqual(sync.returncode, DENIED)
        self.assertIn("has not been told", sync.stderr)
        self.assert_destroyed(device, secrets)
        self.assertEqual(self.listed(id)["state"], "wiping")
        self.server.start(self.port)
        done = device.run("sync", check=False)
        self.assertEqual((done.returncode, "told" in done.stderr), (DENIED, False))
        self.assertEqual(self.listed(id)["state"], "wiped")

    def cut_after_the_order(self, device, relay):
        """Another connection holds the database, so that the order is taken and the wipe waits; then
        the server goes away."""
        reader = sqlite3.connect(device.db, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM patient").fetchall()
        done = device.run("sync", check=False)
        self.assertEqual(done.returncode, DENIED)
        self.assertIn("is being wiped", done.stderr)
        self.assertEqual(device.status()["state"], "wiping")
        self.assertEqual(device.run("verify", check=False).returncode, DENIED)
        self.server.stop()
        reader.close()
        return device.run("sync", check=False)

    def test_R22_a_restored_server_has_not_forgotten(self):
        one, two, three = (self.device() for _ in range(3))
        ids = [self.id_of(d) for d in (one, two, three)]
        self.server.stop()
        kept = self.server.backup()
        self.server.start(self.port)
        for device in (one, two, three):
            self.order(device)
        self.order(three, "--cancel")
        one.run("sync", check=False)
        self.server.stop()
        self.server.put_back(kept)
        self.server.start(self.port)
        self.assertEqual([self.listed(id)["state"] for id in ids], ["wiped", "wiping", "active"])
        self.assertEqual(two.run("sync", check=False).returncode, DENIED)
        self.assertEqual(self.listed(ids[1])["state"], "wiped")
        self.assertTrue(three.sync()["caught_up"])

    def test_a_wipe_that_is_killed_goes_on_when_the_database_is_opened_next(self):
        seed = 20261122
        print(f"(seed {seed})", end=" ", flush=True)
        rnd = random.Random(seed)
        killed = 0
        for _ in range(12):
            device = self.device()
            self.fill(device, 2000)
            secrets, id = self.key_lines(device), self.id_of(device)
            self.order(device)
            sync = device.start("sync")
            time.sleep(rnd.random() * 0.25)
            sync.send_signal(signal.SIGKILL)
            sync.communicate(timeout=60)
            killed += sync.returncode == -signal.SIGKILL
            if device.run("status", "--json").stdout.count('"active"'):
                self.assertEqual(device.run("sync", check=False).returncode, DENIED)
            device.run("sync", check=False)
            self.assert_destroyed(device, secrets)
            self.assertEqual(self.listed(id)["state"], "wiped")
        self.assertGreater(killed, 0)

    def test_wrong_words(self):
        device = self.device()
        for words, code in (((), 64), (("x",), 64), ((str(uuid.uuid4()),), 65)):
            self.assertEqual(self.server.run("device", "wipe", *words, check=False).returncode, code)
        self.order(device)
        self.order(device)  # once more changes nothing
        first = self.listed(self.id_of(device))["wipe_ordered_at_ms"]
        self.order(device)
        self.assertEqual(self.listed(self.id_of(device))["wipe_ordered_at_ms"], first)


class StockClient(WipeTest):
    """What another implementation of a device sees and says."""

    def refusal(self, device):
        got = []
        requests = [device.hello(), sync_pb2.SyncRequest(push_done=sync_pb2.PushDone())]
        with device.channel() as channel, self.assertRaises(grpc.RpcError) as caught:
            for response in peer.sync_call(channel)(iter(requests), timeout=60):
                got.append(response)
        return got, caught.exception

    def report(self, **fields):
        with grpc.secure_channel(self.server.address, grpc.ssl_channel_credentials(self.server.ca)) as channel:
            call = channel.unary_unary(
                "/outpost.v1.EnrolmentService/ReportWiped",
                request_serializer=enrolment_pb2.ReportWipedRequest.SerializeToString,
                response_deserializer=enrolment_pb2.ReportWipedResponse.FromString)
            return call(enrolment_pb2.ReportWipedRequest(**fields), timeout=30)

    def test_the_order_is_signed_as_sync_proto_says_and_comes_alone(self):
        device = Peer(self.server, self.facility)
        device.sync([new_patient(device.facility)])
        id = str(uuid.UUID(bytes=device.device_id))
        self.server.run("device", "wipe", id)
        responses, error = self.refusal(device)
        self.assertEqual(error.code(), PERMISSION_DENIED)
        self.assertEqual(dict(error.trailing_metadata())["outpost-reason"], "wiped")
        self.assertEqual([r.WhichOneof("response") for r in responses], ["wipe_order"])
        order = responses[0].wipe_order
        self.assertEqual((order.device_id, order.token), (device.device_id, device.token))
        self.assertEqual(order.ordered_at_ms, self.listed(id)["wipe_ordered_at_ms"])
        ca = x509.load_pem_x509_certificate(self.server.ca).public_key()
        ca.verify(order.signature, order_bytes(order.device_id, order.ordered_at_ms, order.token),
                  ec.ECDSA(hashes.SHA256()))

        good = dict(device_id=device.device_id, ordered_at_ms=order.ordered_at_ms)
        signature = sign(device.key, report_bytes(device.device_id, order.ordered_at_ms))
        stranger = ec.generate_private_key(ec.SECP256R1())
        for fields, code in (
                (dict(good, signature=sign(stranger, report_bytes(**good))), PERMISSION_DENIED),
                (dict(good, signature=sign(device.key, order_bytes(token=b"", **good))), PERMISSION_DENIED),
                (dict(good, ordered_at_ms=order.ordered_at_ms + 1, signature=signature), PERMISSION_DENIED),
                (dict(good), PERMISSION_DENIED),
                (dict(good, signature=bytes(500)), grpc.StatusCode.INVALID_ARGUMENT),
                (dict(good, device_id=b"short", signature=signature), grpc.StatusCode.INVALID_ARGUMENT),
                (dict(good, device_id=uuid.uuid4().bytes, signature=signature), grpc.StatusCode.NOT_FOUND)):
            with self.assertRaises(grpc.RpcError) as caught:
                self.report(**fields)
            self.assertEqual(caught.exception.code(), code)
        self.assertEqual(self.listed(id)["state"], "wiping")
        for _ in range(2):
            self.report(**good, signature=signature)
            self.assertEqual(self.listed(id)["state"], "wiped")
        responses, error = self.refusal(device)
        self.assertEqual((responses, error.code()), ([], PERMISSION_DENIED))
        self.assertIn("was wiped", error.details())
        self.assertEqual(dict(error.trailing_metadata())["outpost-reason"], "wiped")


class FakeServer(WipeTest):
    """A server with the real one's certificate, whose orders the test makes up. Only one that is
    signed by the CA, for that device and for that call, is obeyed."""

    def setUp(self):
        super().setUp()
        data = pathlib.Path(self.server.data)
        self.ca_key = serialization.load_pem_private_key((data / "ca.key").read_bytes(), None)
        self.credentials = grpc.ssl_server_credentials(
            [((data / "server.key").read_bytes(), (data / "server.pem").read_bytes())],
            root_certificates=self.server.ca, require_client_auth=False)

    def answer_with(self, make_order):
        """One sync of the device against a server that answers Hello by make_order(hello)."""
        def sync(requests, context):
            hello = next(requests).hello
            yield sync_pb2.SyncResponse(wipe_order=make_order(hello))
            context.abort(PERMISSION_DENIED, "the device is to be wiped")

        handler = grpc.method_handlers_generic_handler("outpost.v1.SyncService", {
            "Sync": grpc.stream_stream_rpc_method_handler(
                sync, request_deserializer=sync_pb2.SyncRequest.FromString,
                response_serializer=sync_pb2.SyncResponse.SerializeToString)})
        self.server.stop()
        fake = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        fake.add_generic_rpc_handlers((handler,))
        self.assertEqual(fake.add_secure_port(f"127.0.0.1:{self.port}", self.credentials), int(self.port))
        fake.start()
        try:
            return self.devices[0].run("sync", check=False)
        finally:
            fake.stop(0).wait()
            self.server.start(self.port)

    def make(self, hello, key=None, device_id=None, token=None, at=1_700_000_000_000, signed_at=None):
        device_id = device_id or self.device_id
        token = hello.token if token is None else token
        return sync_pb2.WipeOrder(
            device_id=device_id, ordered_at_ms=at, token=token,
            signature=sign(key or self.ca_key, order_bytes(device_id, signed_at or at, token)))

    def test_forged_foreign_and_replayed_orders_destroy_nothing(self):
        device, other = self.device(), self.device()
        self.server.run("device", "set", "--all", "compression=gzip")  # stock Python has no zstd
        self.fill(device, 20)
        before = self.fingerprint(device)
        self.device_id = uuid.UUID(self.id_of(device)).bytes
        other_id = uuid.UUID(self.id_of(other)).bytes
        stranger = ec.generate_private_key(ec.SECP256R1())
        seen = []
        orders = {
            "forged: another key": lambda h: self.make(h, key=stranger),
            "forged: another time": lambda h: self.make(h, signed_at=1_700_000_000_001),
            "forged: no signature": lambda h: sync_pb2.WipeOrder(
                device_id=self.device_id, ordered_at_ms=1_700_000_000_000, token=h.token),
            "foreign": lambda h: self.make(h, device_id=other_id),
            "without a token": lambda h: self.make(h, token=b""),
            "remembered for the next": lambda h: seen.append(self.make(h)) or self.make(h, token=bytes(16)),
            "no time": lambda h: self.make(h, at=0, signed_at=0),
        }
        for what, make in orders.items():
            done = self.answer_with(make)
            self.assertIn(done.returncode, (BUG, DENIED), what)
            self.assertIn("nothing was wiped", done.stderr, what)
            self.assertEqual(len(done.stderr.splitlines()), 1)
            self.assert_untouched(device, before)
        # An order that was good in an earlier call: the next CaughtUp made it worthless.
        self.assertTrue(device.sync()["caught_up"])
        before = self.fingerprint(device)
        done = self.answer_with(lambda h: seen[0])
        self.assertIn("nothing was wiped", done.stderr)
        self.assert_untouched(device, before)
        self.assertTrue(device.sync()["caught_up"])

        done = self.answer_with(self.make)  # and the same, right: so it was not the way of asking
        self.assertIn("this device was wiped", done.stderr)
        self.assertEqual(device.status()["state"], "wiped")


if __name__ == "__main__":
    unittest.main(verbosity=2)
