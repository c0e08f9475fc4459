#!/usr/bin/python3
"""Copied and put-back device databases (R23).

Two databases with one identity lose and double nothing, whoever syncs when; the one
that syncs later takes an identity of its own, by itself and once, whatever is lost on
the way. Who may ask for one is seen with a stock gRPC peer.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import shutil
import tempfile
import unittest
import uuid

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bad_input_test import PATIENT, BadInputTest
from device import Device
from peer import Peer, enrolment_pb2, make_request, new_patient, key_pem
from relay import TO_DEVICE, TO_SERVER, Relay

COPIES_MAX = 256  # STORE_COPIES_MAX in server/store.h


def recertify_call(channel):
    return channel.unary_unary("/outpost.v1.EnrolmentService/Recertify",
                               request_serializer=enrolment_pb2.RecertifyRequest.SerializeToString,
                               response_deserializer=enrolment_pb2.EnrolResponse.FromString)


class CopiesTest(BadInputTest):
    def copy(self, device):
        """The same database at a second place; the device is not in use."""
        other = Device.__new__(Device)
        other.folder, other.server = tempfile.mkdtemp(prefix="outpost-"), device.server
        other.db = os.path.join(other.folder, "device.db")
        self.copy_files(device.db, other.db)
        self.devices.append(other)
        return other

    @staticmethod
    def copy_files(source, target):
        for ending in ("", "-wal", "-shm"):
            pathlib.Path(target + ending).unlink(missing_ok=True)
            if os.path.exists(source + ending):
                shutil.copy(source + ending, target + ending)

    def edit(self, device, name):
        device.sqlite3(PATIENT.format(name))

    def names(self, device):
        return device.sqlite3("SELECT full_name FROM patient ORDER BY full_name").split()

    def listed(self):
        devices = json.loads(self.server.run("device", "list", "--json").stdout)["devices"]
        return {d["device_id"]: d for d in devices}

    def new_identity(self, device):
        """Syncs a copy that is noticed; its id before and after."""
        before = device.status()["device_id"]
        done = device.run("sync", "--json")
        result = json.loads(done.stdout)
        after = device.status()["device_id"]
        self.assertTrue(result["new_identity"])
        self.assertNotEqual(before, after)
        self.assertRegex(done.stderr, f"^outpost: this database is a copy of one .*{after}$")
        self.assertEqual(self.listed()[after]["copied_from"], before)
        return before, after

    def assert_each_once(self, *names):
        """In the log there is one change of each of these patients, and no other patient."""
        fresh = self.device()
        fresh.sync()
        self.assertEqual(self.names(fresh), sorted(names))
        for id in fresh.sqlite3("SELECT lower(hex(id)) FROM patient").split():
            done = self.server.run("history", "patient", str(uuid.UUID(id)), "--json")
            self.assertEqual(len(json.loads(done.stdout)["history"]), 1)
        self.assertEqual(self.last_seq(), len(names))
        self.assertEqual(json.loads(self.server.run("conflict", "list", "--json").stdout)["conflicts"], [])

    def stale(self, device):
        """Makes the copies that were made before be noticed: the tokens that they hold are old."""
        device.sync()
        device.sync()


class Copies(CopiesTest):
    def test_R23_used_in_turn(self):
        one = self.device()
        self.edit(one, "before")
        one.sync()
        two, names = self.copy(one), ["before"]
        for i in range(4):
            for device, prefix in ((one, "one"), (two, "two")):
                self.edit(device, f"{prefix}{i}")
                names.append(f"{prefix}{i}")
                device.sync()
        self.assertEqual(len(self.listed()), 2)
        self.assertNotEqual(one.status()["device_id"], two.status()["device_id"])
        self.assert_agree(one, two)
        self.assert_each_once(*names)
        self.assert_same(one, two)

    def test_R23_used_at_the_same_time(self):
        one = self.device()
        self.edit(one, "before")
        one.sync()
        two, names = self.copy(one), ["before"]
        for i in range(4):
            both = ((one, f"one{i}"), (two, f"two{i}"))
            for device, name in both:
                self.edit(device, name)
                names.append(name)
            runs = [device.start("sync") for device, _ in both]
            for run in runs:
                _, stderr = run.communicate(timeout=60)
                self.assertEqual(run.returncode, 0, stderr)
        self.assert_agree(one, two)
        self.assert_each_once(*names)
        self.assertEqual(len([d for d in self.listed().values() if d["copied_from"]]), 1)

    def test_R23_two_copies_edit_the_same_patient(self):
        one = self.device()
        self.edit(one, "before")
        one.sync()
        two = self.copy(one)
        for i in range(3):
            one.sqlite3(f"UPDATE patient SET zone = 'one{i}'")
            two.sqlite3(f"UPDATE patient SET district = 'two{i}'")
            one.sync()
            two.sync()
        self.assert_agree(one, two)
        self.assertEqual(one.sqlite3("SELECT zone, district FROM patient"), "one2|two2")
        self.assert_same(one, two)

    def test_R23_a_copy_of_a_copy(self):
        one = self.device()
        self.edit(one, "one")
        one.sync()
        two = self.copy(one)
        self.stale(one)
        self.edit(two, "two")
        self.new_identity(two)
        three = self.copy(two)
        self.stale(two)
        self.edit(three, "three")
        before, after = self.new_identity(three)
        self.assertEqual(before, two.status()["device_id"])
        self.assertEqual(len({one.status()["device_id"], before, after}), 3)
        self.assert_agree(one, two, three)
        self.assert_each_once("one", "two", "three")

    def test_R23_a_copy_made_while_work_is_sealed_and_unanswered(self):
        one = self.device(relay=self.relay)
        self.edit(one, "before")
        one.sync()
        self.edit(one, "sealed")
        seq = self.last_seq()
        run = self.sync_with_answers_held(one, seq)
        run.kill()
        run.communicate()
        self.relay.release()
        self.assertEqual(one.sqlite3("SELECT count(*) FROM outpost_outbox"), "1")
        two = self.copy(one)
        for device in (one, two):
            device.sqlite3("UPDATE patient SET zone = 'since' WHERE full_name = 'sealed'")
        self.stale(one)
        sealed = two.sqlite3("SELECT hex(mutation) FROM outpost_outbox")
        self.edit(two, "late")
        self.new_identity(two)
        self.assertEqual(two.sqlite3(f"SELECT count(*) FROM outpost_journal WHERE hex(mutation) = '{sealed}'"),
                         "1")
        self.assert_agree(one, two)
        self.assertEqual(self.names(two), ["before", "late", "sealed"])
        self.assertEqual(two.sqlite3("SELECT zone FROM patient WHERE full_name = 'sealed'"), "since")
        self.assert_same(one, two)

    def test_R23_rejected_work_stays_rejected_and_unsent_settings_stay(self):
        one = self.device()
        self.edit(one, "good")
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('bad', 900, 1)")
        one.sync()
        self.server.run("device", "set", one.status()["device_id"], "pull_batch=77")
        two = self.copy(one)
        self.stale(one)
        self.server.run("device", "set", one.status()["device_id"], "pull_batch=55")
        _, after = self.new_identity(two)
        self.assertEqual(two.status()["rejected"], 1)
        self.assertEqual(self.listed()[after]["settings"]["pull_batch"], 55)
        two.sqlite3("UPDATE patient SET age_years = 90 WHERE full_name = 'bad'")
        self.assert_agree(two)

    def test_R23_a_copy_from_before_put_back(self):
        one = self.device()
        one.sync()
        self.edit(one, "before")
        old = self.copy(one)
        self.edit(one, "after")
        one.sync()
        new = self.copy(one)
        # After one sync the old copy's token is the previous one: it goes on, and nothing is twice.
        self.copy_files(old.db, one.db)
        self.edit(one, "again")
        self.assertFalse(one.sync()["new_identity"])
        self.assertEqual(self.names(one), ["after", "again", "before"])
        self.assert_each_once("after", "again", "before")
        one.sync()
        # After more it is noticed, and goes on as another device; so does the newer copy.
        self.copy_files(old.db, one.db)
        self.edit(one, "kept")
        self.new_identity(one)
        self.new_identity(new)
        self.assertEqual(self.names(one), ["after", "again", "before", "kept"])
        self.assert_agree(one, new)
        self.assert_each_once("after", "again", "before", "kept")

    def test_R23_a_follower_takes_a_new_identity(self):
        one = self.device()
        self.edit(one, "one")
        one.sync()
        two = self.copy(one)
        self.stale(one)
        self.edit(two, "two")
        run = two.start("sync", "--follow", "--json")
        first = json.loads(run.stdout.readline())
        self.assertEqual((first["caught_up"], first["new_identity"], first["pushed"]), (True, True, 1))
        self.edit(one, "later")
        one.sync()
        while "later" not in self.names(two):
            json.loads(run.stdout.readline())
        run.terminate()
        _, stderr = run.communicate(timeout=60)
        self.assertEqual((run.returncode, len(stderr.splitlines())), (0, 1), stderr)
        self.assert_agree(one, two)


class Lost(CopiesTest):
    """What is cut or killed while the new identity is asked for."""

    def connections(self, device):
        """Bytes of each connection of a sync: what was sent to the server, and to the device."""
        self.relay.history.clear()
        device.sync()
        return [tuple(passed) for passed in self.relay.history]

    def stale_copy(self, one, name):
        two = self.copy(one)
        self.edit(two, name)
        self.stale(one)
        return two

    def sweep(self, on_cut):
        """One copy after the other, each cut at another byte of the second connection."""
        one = self.device(relay=self.relay)
        self.edit(one, "one")
        one.sync()
        _, asked, _ = self.connections(self.stale_copy(one, "whole"))
        names, codes, lost = ["one", "whole"], set(), 0
        for direction in (TO_SERVER, TO_DEVICE):
            for place in range(1, asked[direction], asked[direction] // 6):
                two = self.stale_copy(one, f"{direction}-{place}")
                names.append(f"{direction}-{place}")
                before = self.listed()
                self.relay.on_cut = (lambda: on_cut(run)) if on_cut else None
                self.relay.let_through, self.relay.cut_after = 1, (direction, place)
                run = two.start("sync")
                run.communicate(timeout=60)
                codes.add(run.returncode)
                self.relay.cut_after = self.relay.on_cut = None
                made = set(self.listed()) - set(before)
                lost += run.returncode != 0 and bool(made)
                self.new_identity_or_not(two)
                after = set(self.listed()) - set(before)
                self.assertEqual(len(after), 1, (direction, place))
                self.assertLessEqual(made, after)
                self.assertEqual({two.status()["device_id"]}, after)
        self.assert_agree(one, *self.devices[1:])
        self.assert_each_once(*names)
        self.assertGreater(lost, 0)  # the server had made the device, and nobody was told
        return codes

    def new_identity_or_not(self, device):
        device.sync()
        self.assertEqual(device.sqlite3("SELECT length(next_key_pem) FROM outpost_identity"), "0")

    def test_R23_a_lost_answer_is_asked_for_again_with_the_same_key(self):
        self.assertIn(75, self.sweep(None))

    def test_R23_killed_while_it_asks(self):
        self.assertIn(-9, self.sweep(lambda run: run.kill()))

    def test_R23_a_disk_state_of_every_step_goes_on(self):
        """The next key is there and nothing was asked; and copied in that state."""
        one = self.device()
        self.edit(one, "one")
        one.sync()
        two = self.stale_copy(one, "two")
        key = key_pem(ec.generate_private_key(ec.SECP256R1())).decode()
        two.sqlite3(f"UPDATE outpost_identity SET next_key_pem = '{key}'")
        three = self.copy(two)
        _, second = self.new_identity(two)
        self.assertEqual(two.sqlite3("SELECT trim(key_pem) FROM outpost_identity").strip(), key.strip())
        # The same key: the same device, until both have synced; then they are told apart.
        _, third = self.new_identity(three)
        self.assertEqual(second, third)
        for i in range(3):
            self.edit(two, f"two{i}")
            self.edit(three, f"three{i}")
            two.sync()
            three.sync()
        self.assertNotEqual(two.status()["device_id"], three.status()["device_id"])
        self.assert_agree(one, two, three)
        self.assert_each_once("one", "two", *(f"{p}{i}" for p in ("two", "three") for i in range(3)))


class Asking(CopiesTest):
    """EnrolmentService.Recertify as a stranger's client sees it."""

    def setUp(self):
        super().setUp()
        self.peer = Peer(self.server, self.facility)
        self.peer.sync()
        self.old = self.peer.token
        self.peer.sync()
        self.peer.sync()

    def ask(self, peer, key=None, token=None, request=None, anonymous=False):
        key = key or ec.generate_private_key(ec.SECP256R1())
        with peer.channel(anonymous) as channel:
            return recertify_call(channel)(enrolment_pb2.RecertifyRequest(
                certificate_request=request if request is not None else make_request(key),
                token=self.old if token is None else token), timeout=30)

    def assert_code(self, code, function, *args, **how):
        with self.assertRaises(grpc.RpcError) as caught:
            function(*args, **how)
        self.assertEqual(caught.exception.code(), code, caught.exception.details())
        return dict(caught.exception.trailing_metadata())

    def as_device(self, key, response):
        other = Peer.__new__(Peer)
        other.__dict__.update(self.peer.__dict__)
        other.key, other.device_id, other.token, other.receipt = key, response.device_id, b"", b""
        other.certificate = x509.load_der_x509_certificate(response.certificate).public_bytes(
            serialization.Encoding.PEM)
        return other

    def test_R23_a_copy_is_told_so_and_certified(self):
        self.peer.token = self.old
        trailers = self.assert_code(grpc.StatusCode.PERMISSION_DENIED, self.peer.sync)
        self.assertEqual(trailers["outpost-reason"], "copied")
        key = ec.generate_private_key(ec.SECP256R1())
        response = self.ask(self.peer, key)
        self.assertNotEqual(response.device_id, self.peer.device_id)
        self.assertEqual(response.facility_id, self.peer.enrolment.facility_id)
        self.assertEqual(response.enrolment_region_id, self.peer.enrolment.enrolment_region_id)
        self.assertEqual(self.ask(self.peer, key).device_id, response.device_id)
        self.assertEqual(len(self.listed()), 2)
        self.as_device(key, response).sync([new_patient(self.peer.facility)])

    def test_R23_who_is_no_copy_gets_nothing(self):
        for token in (self.peer.token, (2**63).to_bytes(8, "big") + bytes(8)):
            self.assert_code(grpc.StatusCode.FAILED_PRECONDITION, self.ask, self.peer, token=token)
        fresh = Peer(self.server, self.facility)
        self.assert_code(grpc.StatusCode.FAILED_PRECONDITION, self.ask, fresh)
        self.assert_code(grpc.StatusCode.UNAUTHENTICATED, self.ask, self.peer, anonymous=True)
        for request in (b"", b"x" * 300, make_request(ec.generate_private_key(ec.SECP384R1()))):
            self.assert_code(grpc.StatusCode.INVALID_ARGUMENT, self.ask, self.peer, request=request)
        self.assert_code(grpc.StatusCode.INVALID_ARGUMENT, self.ask, self.peer, token=b"short")
        self.assertEqual(len(self.listed()), 2)

    def test_R23_a_key_is_one_devices(self):
        other = Peer(self.server, self.facility)
        self.assert_code(grpc.StatusCode.PERMISSION_DENIED, self.ask, self.peer, key=other.key)
        self.assert_code(grpc.StatusCode.PERMISSION_DENIED, self.ask, self.peer, key=self.peer.key)
        self.assertEqual(len(self.listed()), 2)

    def test_R23_a_revoked_device_is_not_certified_nor_is_its_revoked_copy(self):
        key = ec.generate_private_key(ec.SECP256R1())
        copy = self.ask(self.peer, key)
        self.server.run("device", "revoke", str(uuid.UUID(bytes=copy.device_id)))
        self.assert_code(grpc.StatusCode.PERMISSION_DENIED, self.ask, self.peer, key=key)
        self.server.run("device", "revoke", str(uuid.UUID(bytes=self.peer.device_id)))
        self.assert_code(grpc.StatusCode.PERMISSION_DENIED, self.ask, self.peer)
        trailers = self.assert_code(grpc.StatusCode.PERMISSION_DENIED, self.peer.sync)
        self.assertEqual(trailers["outpost-reason"], "revoked")
        self.assertEqual(len(self.listed()), 2)

    def test_R23_revoke_tells_of_copies_and_takes_them_along(self):
        key = ec.generate_private_key(ec.SECP256R1())
        two = self.as_device(key, self.ask(self.peer, key))
        two.sync()
        old = two.token
        two.sync()
        two.sync()
        three = self.ask(two, token=old)
        ids = [str(uuid.UUID(bytes=d)) for d in (self.peer.device_id, two.device_id, three.device_id)]
        done = self.server.run("device", "revoke", ids[0], "--json")
        self.assertEqual({(c["device_id"], c["state"]) for c in json.loads(done.stdout)["copies"]},
                         {(ids[1], "active"), (ids[2], "active")})
        for id in ids[1:]:
            self.assertIn(f"{id} is a copy of that device", done.stderr)
        self.assertIn("--with-copies", done.stderr)
        two.sync()
        done = self.server.run("device", "revoke", ids[0], "--with-copies", "--json")
        self.assertEqual({(c["device_id"], c["state"]) for c in json.loads(done.stdout)["copies"]},
                         {(ids[1], "revoked"), (ids[2], "revoked")})
        self.assert_code(grpc.StatusCode.PERMISSION_DENIED, two.sync)
        done = self.server.run("device", "revoke", ids[0], "--json")
        self.assertEqual((json.loads(done.stdout)["copies"], done.stderr), ([], ""))

    def test_R23_a_restored_server_knows_the_copies(self):
        port = self.server.address.rsplit(":", 1)[1]
        self.server.stop()
        kept = self.server.backup()
        self.server.start(port)
        key = ec.generate_private_key(ec.SECP256R1())
        response = self.ask(self.peer, key)
        self.server.stop()
        self.server.put_back(kept)
        self.server.start(port)
        id = str(uuid.UUID(bytes=response.device_id))
        self.assertEqual(self.listed()[id]["copied_from"], str(uuid.UUID(bytes=self.peer.device_id)))
        self.assertEqual(self.ask(self.peer, key).device_id, response.device_id)
        self.as_device(key, response).sync()

    def test_R23_copies_have_a_limit(self):
        with self.peer.channel() as channel:
            call = recertify_call(channel)
            for _ in range(COPIES_MAX):
                call(enrolment_pb2.RecertifyRequest(
                    certificate_request=make_request(ec.generate_private_key(ec.SECP256R1())),
                    token=self.old), timeout=30)
        self.assert_code(grpc.StatusCode.PERMISSION_DENIED, self.ask, self.peer)
        self.assertEqual(len(self.listed()), COPIES_MAX + 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
