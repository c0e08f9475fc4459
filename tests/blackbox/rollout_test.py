#!/usr/bin/python3
"""Rollouts by the real programs: who is given what, steps forward and back, halts.

Goal: a record type or field that a rollout holds reaches its cohort and nobody else; what a
device pushes is taken all the same; opening it fetches that and nothing else; the digests
agree at every step. Method: blood_pressure plays the new type, patient.zone the new field.

SPDX-License-Identifier: Apache-2.0
"""
import json
import time
import unittest
import uuid

import grpc

from device import Device
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sync_call, sync_pb2

WITHHELD = "SELECT coalesce(group_concat(name), '') FROM (SELECT name FROM outpost_withheld ORDER BY 1)"
READINGS = "SELECT count(*) FROM blood_pressure"


class RolloutTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start()
        self.devices = []

    def tearDown(self):
        for device in self.devices:
            device.run("verify")
            device.close()
        self.server.run("verify")
        self.assertEqual(self.server.close(), 0)

    def device(self, facility=None):
        self.devices.append(Device(self.server, facility or self.facility))
        return self.devices[-1]

    def rollout(self, *words, check=True):
        return json.loads(self.server.run("rollout", *words, "--json", check=check).stdout)

    def status(self, revision=2):
        found = [r for r in self.rollout("status")["rollouts"] if r["revision"] == revision]
        self.assertEqual(1, len(found))
        return found[0]

    def sync(self, device):
        """One in which nothing had to be mended: what is withheld is so by Welcome, not by a digest
        that differs (R24)."""
        result = device.sync()
        self.assertEqual((0, False), (result["repaired"], result["recounted"]))
        return result

    @staticmethod
    def add_patient(device, name, readings=0):
        device.sqlite3(f"INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('{name}', 50, 1)")
        for i in range(readings):
            device.sqlite3("INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)"
                           f" SELECT id, {120 + i}, 80 FROM patient WHERE full_name = '{name}'")

    def assert_same(self, *devices):
        for table in ("patient", "blood_pressure"):
            rows = [d.rows(f"SELECT * FROM {table} ORDER BY id") for d in devices]
            for other in rows[1:]:
                self.assertEqual(rows[0], other, table)

    # ---- Types ----------------------------------------------------------------

    def test_a_held_type_reaches_the_cohort_alone_and_opens_without_the_rest(self):
        inside, outside = self.device(), self.device()
        id = inside.status()["device_id"]
        told = self.rollout("set", "2", "--percent", "0", "--device", id, "--hold", "blood_pressure")
        self.assertEqual((2, 0, False), (told["revision"], told["percent"], told["halted"]))
        self.add_patient(inside, "Asha", readings=3)
        self.sync(inside)
        result = self.sync(outside)
        self.assertEqual("blood_pressure", outside.sqlite3(WITHHELD))
        self.assertEqual("", inside.sqlite3(WITHHELD))
        self.assertEqual(["1", "0"], [outside.sqlite3("SELECT count(*) FROM patient"), outside.sqlite3(READINGS)])
        self.assertEqual(0, self.sync(outside)["pulled"])
        # An edit of it by the cohort is no news to the others.
        inside.sqlite3("UPDATE blood_pressure SET systolic_mmhg = 141 WHERE systolic_mmhg = 121")
        self.sync(inside)
        self.assertEqual(0, self.sync(outside)["pulled"])
        # What is entered outside is taken, and reaches the cohort.
        outside.sqlite3("INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)"
                        " SELECT id, 199, 99 FROM patient")
        result = self.sync(outside)
        self.assertEqual((1, 0), (result["pushed"], result["quarantined"]))
        self.assertEqual("0", outside.sqlite3(READINGS))
        self.assertEqual(1, self.sync(inside)["pulled"])
        # Other records still come to everybody, in the same sync.
        self.add_patient(inside, "Bina", readings=1)
        self.sync(inside)
        self.assertEqual(1, self.sync(outside)["pulled"])
        # Open to all: the five readings come, and nothing else.
        self.rollout("set", "2", "--percent", "100")
        result = self.sync(outside)
        self.assertEqual((5, True), (result["pulled"], result["caught_up"]))
        self.assertEqual("", outside.sqlite3(WITHHELD))
        self.assertEqual(0, self.sync(outside)["pulled"])
        self.assertEqual(0, self.sync(inside)["pulled"])
        self.assert_same(inside, outside)

    def test_a_step_back_withdraws_and_loses_nothing(self):
        one, two = self.device(), self.device()
        self.rollout("set", "2", "--percent", "100", "--hold", "blood_pressure")
        self.add_patient(one, "Asha", readings=2)
        self.sync(one)
        self.assertEqual(5, self.sync(two)["pulled"])  # with the region and the facility
        two.sqlite3("UPDATE blood_pressure SET diastolic_mmhg = 85 WHERE systolic_mmhg = 120")
        back = self.rollout("back", "2")
        self.assertEqual((0, True), (back["percent"], back["halted"]))
        result = self.sync(two)
        self.assertEqual((1, 0), (result["pushed"], result["quarantined"]))
        self.assertEqual("0", two.sqlite3(READINGS))
        one.sqlite3("UPDATE blood_pressure SET diastolic_mmhg = 70 WHERE systolic_mmhg = 121")
        self.sync(one)
        self.assertEqual("0", one.sqlite3(READINGS))
        # Halted by the step back: it does not grow unless told to.
        refused = self.server.run("rollout", "set", "2", "--percent", "50", check=False)
        self.assertEqual(65, refused.returncode)
        self.assertIn("halted", refused.stderr)
        self.rollout("set", "2", "--percent", "100", "--resume")
        for device in (one, two):
            self.sync(device)
            self.assertEqual(["120|85", "121|70"], device.sqlite3(
                "SELECT systolic_mmhg, diastolic_mmhg FROM blood_pressure ORDER BY 1").split())
        self.assert_same(one, two)

    def test_R7_a_short_answer_finds_the_copy_that_it_was_made_on(self):
        one, two = self.device(), self.device()
        self.rollout("set", "2", "--percent", "100", "--hold", "blood_pressure")
        self.add_patient(one, "Asha", readings=1)
        self.sync(one)
        self.sync(two)
        two.sqlite3("UPDATE blood_pressure SET diastolic_mmhg = 85")
        # Withheld from now on; and the stream ends behind the answer, before CaughtUp.
        self.rollout("back", "2")
        self.rollout("set", "9", "--minimum", "9", "--device", two.status()["device_id"])
        done = two.run("sync", "--json", check=False)
        self.assertEqual((77, 1), (done.returncode, json.loads(done.stdout)["pushed"]))
        self.assertEqual("120|85", two.sqlite3("SELECT systolic_mmhg, diastolic_mmhg FROM blood_pressure"))
        self.assertEqual("2", two.sqlite3("SELECT version FROM outpost_journal ORDER BY n DESC LIMIT 1"))
        self.rollout("halt", "9")
        self.sync(two)
        self.assertEqual("0", two.sqlite3(READINGS))

    def test_a_type_that_the_server_does_not_know_is_held_by_its_number(self):
        device = self.device()
        stock = Peer(self.server, self.facility)
        self.rollout("set", "2", "--percent", "0", "--hold", "77", "--hold", "77.3")
        self.assertEqual(["77", "77.3"], self.status()["held"])
        patient = new_patient(stock.facility)
        unknown = mutation("blood_pressure", patient.id, uuid.uuid4().bytes, systolic_mmhg=120, diastolic_mmhg=80)
        raw = unknown.SerializeToString()
        body = unknown.blood_pressure.SerializeToString()
        at = raw.rindex(body) - 2
        self.assertEqual(bytes([13 << 3 | 2, len(body)]), raw[at:at + 2])
        unknown = type(unknown).FromString(raw[:at] + bytes([0xea, 0x04, len(body)]) + body)  # field 77
        item = sync_pb2.PushItem(mutation=unknown)
        requests = [stock.hello(), sync_pb2.SyncRequest(push=sync_pb2.Push(items=[stock.push_item(patient), item])),
                    sync_pb2.SyncRequest(push_done=sync_pb2.PushDone())]
        with stock.channel() as channel:
            answers = [a for r in sync_call(channel)(iter(requests), timeout=60)
                       if r.HasField("push_result") for a in r.push_result.answers]
        self.assertEqual([0, 0], [a.status for a in answers])
        self.sync(device)
        self.assertEqual("0", device.sqlite3("SELECT count(*) FROM outpost_unknown_record"))
        self.rollout("set", "2", "--percent", "100")
        self.assertEqual(1, self.sync(device)["pulled"])
        self.assertEqual("1", device.sqlite3("SELECT count(*) FROM outpost_unknown_record WHERE type = 77"))

    def test_a_stock_client_agrees_by_digest_too(self):
        stock, device = Peer(self.server, self.facility), self.device()
        self.rollout("set", "2", "--percent", "0", "--hold", "blood_pressure",
                     "--device", device.status()["device_id"])
        self.add_patient(device, "Asha", readings=2)
        self.sync(device)
        caught_up = stock.sync()
        self.assertEqual([13], list(stock.welcome.withheld_types))
        self.assertEqual(tuple(r.digest for r in caught_up.regions), stock.digests())
        self.assertEqual([1], [r.records for r in caught_up.regions[1:]])
        self.assertEqual({"patient", "facility", "sync_region"}, {kind for _, kind, _ in stock.records})
        self.rollout("set", "2", "--percent", "100")
        caught_up = stock.sync()
        self.assertEqual([], list(stock.welcome.withheld_types))
        self.assertEqual(2, sum(stock.pages))
        self.assertEqual(tuple(r.digest for r in caught_up.regions), stock.digests())

    def test_opening_goes_on_where_it_was_cut(self):
        stock, device = Peer(self.server, self.facility), self.device()
        self.server.run("device", "set", "--all", "pull_batch=5")
        self.rollout("set", "2", "--percent", "0", "--hold", "blood_pressure",
                     "--device", device.status()["device_id"])
        for i in range(6):
            self.add_patient(device, f"P{i}", readings=4)
        self.sync(device)
        stock.sync()
        self.rollout("set", "2", "--percent", "100")

        class Cut(Exception):
            pass

        def cut(pull):
            if len(stock.pages) == 2:
                raise Cut
        stock.on_page = cut
        with self.assertRaises(Cut):
            stock.sync()
        stock.on_page = lambda pull: None
        caught_up = stock.sync()
        self.assertEqual(24 - 10, sum(stock.pages))
        self.assertEqual(tuple(r.digest for r in caught_up.regions), stock.digests())

    # ---- Fields -----------------------------------------------------------------

    def test_a_held_field_is_kept_from_the_app_and_comes_back_without_the_network(self):
        inside, outside = self.device(), self.device()
        self.rollout("set", "2", "--percent", "0", "--device", inside.status()["device_id"], "--hold", "patient.zone")
        self.add_patient(inside, "Asha")
        inside.sqlite3("UPDATE patient SET zone = 'Z1'")
        self.sync(inside)
        self.sync(outside)
        self.assertEqual("patient.zone", outside.sqlite3(WITHHELD))
        self.assertEqual("", outside.sqlite3("SELECT zone FROM patient"))
        # An edit of another field loses nothing, also by REPLACE; one of the held field counts.
        outside.sqlite3("INSERT OR REPLACE INTO patient(id, full_name, age_years, age_recorded_at_ms,"
                        " registration_facility_id) SELECT id, 'Bina', age_years, age_recorded_at_ms,"
                        " registration_facility_id FROM patient")
        self.assertEqual(1, self.sync(outside)["pushed"])
        self.sync(inside)
        self.assertEqual("Bina|Z1", inside.sqlite3("SELECT full_name, zone FROM patient"))
        outside.sqlite3("UPDATE patient SET zone = 'Z2'")
        self.sync(outside)
        self.sync(inside)
        self.assertEqual("Z2", inside.sqlite3("SELECT zone FROM patient"))
        inside.sqlite3("UPDATE patient SET zone = 'Z3'")
        self.sync(inside)
        self.assertEqual(1, self.sync(outside)["pulled"])
        self.assertEqual("", outside.sqlite3("SELECT zone FROM patient"))
        self.rollout("set", "2", "--percent", "100")
        self.assertEqual(0, self.sync(outside)["pulled"])
        self.assertEqual("Z3", outside.sqlite3("SELECT zone FROM patient"))
        self.rollout("back", "2")
        self.assertEqual(0, self.sync(outside)["pulled"])
        self.assertEqual("", outside.sqlite3("SELECT zone FROM patient"))
        self.sync(inside)
        self.assertEqual("Z3", inside.sqlite3("SELECT zone FROM patient"))

    # ---- Revisions ----------------------------------------------------------------

    def test_below_the_minimum_a_device_pushes_and_is_told_to_upgrade(self):
        old, other = self.device(), self.device()
        self.sync(old)
        self.add_patient(other, "Bina")
        self.sync(other)
        known = old.status()["schema_revision"]
        new = known + 1
        self.rollout("set", str(new), "--percent", "0", "--device", old.status()["device_id"], "--minimum", str(new))
        self.add_patient(old, "Asha")
        done = old.run("sync", "--json", check=False)
        self.assertEqual(77, done.returncode)
        self.assertIn("upgrade the app", done.stderr)
        result = json.loads(done.stdout)
        self.assertEqual((1, 0, True, False), tuple(
            result[name] for name in ("pushed", "pulled", "upgrade_required", "caught_up")))
        self.assertEqual("0", old.sqlite3("SELECT count(*) FROM outpost_pending"))
        here = old.status()
        self.assertEqual((new, new), (here["minimum_revision"], here["recommended_revision"]))
        # Its work is not stranded, and the rollout's status knows the device.
        self.assertEqual(1, self.sync(other)["pulled"])
        shown = self.status(new)
        self.assertEqual((1, 0, 1), tuple(shown["cohort"][name] for name in ("devices", "upgraded", "syncs")))
        self.assertEqual(0, shown["cohort"]["error_percent"])
        # Halted, nobody is told, and the device pulls again.
        self.rollout("halt", str(new))
        self.assertEqual(2, self.sync(old)["pulled"])  # its own, too: it never caught up with it
        here = old.status()
        self.assertEqual((0, 0), (here["minimum_revision"], here["recommended_revision"]))
        self.assert_same(old, other)

    def test_status_tells_devices_by_revision_and_when_they_were_seen(self):
        device, never = self.device(), self.device()
        stock = Peer(self.server, self.facility)
        # Not UTF-8, a line's end, and longer than is kept.
        hello = stock.hello(schema_revision=7, app_version="peer\n9 " + "é" * 50).SerializeToString()
        done = sync_pb2.SyncRequest(push_done=sync_pb2.PushDone()).SerializeToString()
        with stock.channel() as channel:
            call = channel.stream_stream("/outpost.v1.SyncService/Sync", request_serializer=bytes)
            self.assertGreater(len(list(call(iter([hello.replace(b"peer", b"p\xffer"), done]), timeout=60))), 1)
        self.sync(device)
        self.rollout("set", "7", "--percent", "50")
        shown = self.rollout("status")
        self.assertEqual([0, device.status()["schema_revision"], 7], [r["revision"] for r in shown["revisions"]])
        self.assertEqual([1, 1, 1], [r["devices"] for r in shown["revisions"]])
        self.assertEqual([True, False, False], [r["last_seen_at_ms"] == 0 for r in shown["revisions"]])
        self.assertEqual(3, sum(shown["rollouts"][0][side]["devices"] for side in ("cohort", "others")))
        listed = json.loads(self.server.run("device", "list", "--json").stdout)["devices"]
        self.assertEqual({"p?er?9 " + "é" * 28, "outpost 0.1", ""}, {d["app_version"] for d in listed})
        self.sync(never)

    # ---- Halts ----------------------------------------------------------------------

    def bad_syncs(self, peer, count):
        """Syncs of which each has a reading that is refused."""
        patient = new_patient(peer.facility)
        peer.sync([patient])
        for _ in range(count):
            peer.sync([new_reading(patient.id, peer.facility, systolic=999)])

    def test_errors_of_the_cohort_halt_the_growth(self):
        bad, good = Peer(self.server, self.facility), Peer(self.server, self.facility)
        id = str(uuid.UUID(bytes=bad.device_id))
        self.rollout("set", "2", "--percent", "0", "--device", id, "--halt-above", "50")
        # The others' errors are none of the cohort's, and few syncs are no verdict.
        self.bad_syncs(good, 25)
        self.bad_syncs(bad, 5)
        shown = self.status()
        self.assertFalse(shown["halted"])
        self.assertEqual((6, 5, 0), tuple(shown["cohort"][n] for n in ("syncs", "rejected", "failed")))
        self.assertEqual(25, shown["others"]["rejected"])
        self.bad_syncs(bad, 20)
        # Whoever looks first, it does not grow.
        refused = self.server.run("rollout", "set", "2", "--percent", "10", check=False)
        self.assertEqual(65, refused.returncode)
        self.assertIn("--resume", refused.stderr)
        shown = self.status()
        self.assertEqual((True, 0), (shown["halted"], shown["percent"]))
        grown = self.rollout("set", "2", "--percent", "10", "--resume")
        self.assertEqual((10, False), (grown["percent"], grown["halted"]))
        self.assertEqual(0, self.status()["cohort"]["syncs"])  # counted anew

    def test_a_sync_that_breaks_off_is_a_failed_one(self):
        stock = Peer(self.server, self.facility)
        stock.sync()
        self.rollout("set", "2", "--percent", "100")
        with self.assertRaises(grpc.RpcError):
            list(self.broken(stock))
        end = time.monotonic() + 30
        while self.status()["cohort"]["failed"] == 0 and time.monotonic() < end:
            time.sleep(0.05)
        shown = self.status()["cohort"]
        self.assertEqual((1, 1), (shown["syncs"], shown["failed"]))

    @staticmethod
    def broken(stock):
        requests = [stock.hello(), stock.hello()]
        with stock.channel() as channel:
            yield from sync_call(channel)(iter(requests), timeout=60)

    # ---- Cohorts ----------------------------------------------------------------------

    def test_a_region_has_a_share_of_its_own(self):
        south = self.server.add_region("South")
        clinic = self.server.add_facility("Clinic two", south)
        here, there = self.device(), self.device(clinic)
        self.rollout("set", "2", "--percent", "0", "--hold", "blood_pressure")
        self.rollout("set", "2", "--percent", "100", "--region", south)
        for device in (here, there):
            self.sync(device)
        self.assertEqual(["blood_pressure", ""], [d.sqlite3(WITHHELD) for d in (here, there)])
        shown = self.rollout("status")["rollouts"]
        self.assertEqual([(None, 0, 1), (south, 1, 0)],
                         [(r["region_id"], r["cohort"]["devices"], r["others"]["devices"]) for r in shown])

    def test_a_follower_is_greeted_anew_when_a_rollout_changes(self):
        follower, device = self.device(), self.device()
        self.rollout("set", "2", "--percent", "0", "--hold", "blood_pressure", "--device", device.status()["device_id"])
        self.add_patient(device, "Asha", readings=2)
        self.sync(device)
        process = follower.start("sync", "--follow")
        try:
            self.wait_for(follower, "SELECT count(*) FROM patient", "1")
            self.rollout("set", "2", "--percent", "100")
            self.wait_for(follower, READINGS, "2")
        finally:
            process.terminate()
            process.communicate(timeout=60)
        self.assert_same(device, follower)

    def wait_for(self, device, query, wanted):
        end = time.monotonic() + 60
        while device.sqlite3(query) != wanted:
            self.assertLess(time.monotonic(), end, query)
            time.sleep(0.05)

    # ---- Words ----------------------------------------------------------------------------

    def test_bad_words_change_nothing(self):
        for words, code, said in (
                (["set"], 64, "REVISION"), (["set", "0"], 64, "REVISION"), (["set", "two"], 64, "REVISION"),
                (["set", "2", "--percent", "101"], 64, "percentage"),
                (["set", "2", "--percent", "x"], 64, "percentage"),
                (["set", "2", "--hold", "nothing"], 64, "--hold"),
                (["set", "2", "--hold", "patient.nothing"], 64, "--hold"),
                (["set", "2", "--hold", "patient"], 65, "patient"),
                (["set", "2", "--minimum", "3"], 64, "--minimum"),
                (["set", "2", "--region", str(uuid.uuid4())], 65, "region"),
                (["set", "2", "--device", str(uuid.uuid4())], 65, "device"),
                (["halt", "2"], 65, "no such rollout"), (["back", "2"], 65, "no such rollout"),
                (["status", "2"], 64, "usage"), (["grow"], 64, "usage")):
            done = self.server.run("rollout", *words, check=False)
            self.assertEqual(code, done.returncode, words)
            self.assertIn(said, done.stderr, words)
        self.assertEqual([], self.rollout("status")["rollouts"])
        self.rollout("set", "2", "--percent", "0.25")
        self.assertEqual(0.25, self.status()["percent"])
        refused = self.server.run("rollout", "set", "2", "--percent", "0.2", check=False)
        self.assertIn("rollout back 2", refused.stderr)


if __name__ == "__main__":
    unittest.main()
