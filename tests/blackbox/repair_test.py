#!/usr/bin/python3
"""What is held differs from what the server has, and no log tells why (R24).

The device's file is changed behind the triggers' back, or the server's sums are; the
device notices, fetches the region anew, keeps what a nurse has pending, and does not
try for ever. And what merely waits, is refused or has left never looks like damage.

SPDX-License-Identifier: Apache-2.0
"""
import json
import unittest

from bad_input_test import PATIENT, BadInputTest
from peer import ZERO
from relay import TO_DEVICE
from scope_test import ScopeTest

READINGS = "INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg) SELECT id, {}, 90 FROM patient"
HOUR_MS = 3600 * 1000
FAMILY = ("P0", "P1", "P2", "P3")
RECORDS = 2 * len(FAMILY)  # in the region


class RepairTest(BadInputTest):
    def synced(self, **how):
        one = self.device(**how)
        for name in FAMILY:
            one.sqlite3(PATIENT.format(name))
        one.sqlite3(READINGS.format(140))
        one.sync()
        return one

    @staticmethod
    def damage(device, sql):
        device.sqlite3(f"UPDATE outpost_state SET applying = 1; {sql}; UPDATE outpost_state SET applying = 0")

    @staticmethod
    def a_day_passes(device):
        device.sqlite3("UPDATE outpost_state SET check_at_ms = 1")

    def assert_repaired(self, done, *regions):
        result = json.loads(done.stdout)
        self.assertEqual((done.returncode, result["repaired"], result["recounted"]), (0, len(regions), False))
        told = [line for line in done.stderr.splitlines() if "fetched anew" in line]
        self.assertEqual(len(told), len(regions), done.stderr)
        for line, region in zip(told, regions):
            self.assertIn(region, line)
        return result

    def repairs(self, device):
        return device.sqlite3("SELECT count(*) FROM outpost_repair")


DAMAGES = {
    "a row is gone": "DELETE FROM patient WHERE full_name = 'P1'",
    "a field has another value": "UPDATE patient SET zone = 'nowhere' WHERE full_name = 'P1'",
    "a field lost its value": "UPDATE blood_pressure SET systolic_mmhg = 0",
    "a version": "UPDATE patient SET outpost_version = 9 WHERE full_name = 'P1'",
    "unknown fields that are none": "UPDATE patient SET outpost_unknown = x'ffff' WHERE full_name = 'P1'",
    "a row too many": "INSERT INTO patient(full_name, outpost_version) VALUES ('Nobody', 3)",
    "all rows are gone": "DELETE FROM patient; DELETE FROM blood_pressure",
}


class Device(RepairTest):
    def test_R24_damaged_rows_are_fetched_anew_and_pending_work_stays(self):
        for found_by in ("verify", "the daily check"):
            one, two = self.synced(), None
            for name, sql in DAMAGES.items():
                with self.subTest(damage=name, found_by=found_by):
                    records = one.status()["regions"][1]["records"]
                    before = one.rows("SELECT * FROM patient ORDER BY id")
                    self.damage(one, sql)
                    one.sqlite3(PATIENT.format("pending"))
                    one.sqlite3("UPDATE patient SET district = 'pending' WHERE full_name = 'P2'")
                    if found_by == "verify":
                        self.assert_refused(one.run("verify", check=False), 65, "sync")
                    else:
                        self.a_day_passes(one)
                    result = self.assert_repaired(one.run("sync", "--json"), self.region)
                    # The region whole, and nothing of the global one.
                    self.assertIn(result["pulled"], range(records, records + 3))
                    self.assertEqual(self.repairs(one), "0")
                    two = two or self.device()
                    self.assert_agree(one, two)
                    self.assert_same(one, two)
                    after = one.rows("SELECT * FROM patient ORDER BY id")
                    self.assertEqual(len(after), len(before) + 1)
                    one.sqlite3("DELETE FROM patient WHERE full_name = 'pending';"
                                "UPDATE patient SET district = '' WHERE full_name = 'P2'")
                    self.assert_agree(one, two)

    def test_R24_both_regions(self):
        one = self.synced()
        self.damage(one, "UPDATE facility SET name = 'Nowhere'; DELETE FROM patient")
        self.a_day_passes(one)
        self.assert_repaired(one.run("sync", "--json"), "00000000-0000-0000-0000-000000000000", self.region)
        self.assert_agree(one)
        self.assertEqual(one.sqlite3("SELECT name FROM facility"), "Clinic one")

    def test_R24_only_stamps_or_sums_are_wrong(self):
        one = self.synced()
        self.damage(one, "UPDATE patient SET outpost_stamp = 9 WHERE full_name = 'P1'")
        self.a_day_passes(one)
        self.assert_recounted(one)
        one.sqlite3("UPDATE outpost_state SET family_digest = family_digest + 1, global_records = 7")
        self.assert_recounted(one)

    def assert_recounted(self, one):
        done = one.run("sync", "--json")
        result = json.loads(done.stdout)
        self.assertEqual((result["recounted"], result["repaired"], result["pulled"]), (True, 0, 0))
        self.assertIn("recounted", done.stderr)
        self.assertEqual(self.repairs(one), "0")
        self.assert_agree(one)
        self.assertFalse(one.sync()["recounted"])

    def test_R24_held_copies_of_pending_work(self):
        one, two = self.synced(), self.device()
        two.sync()
        two.sqlite3("UPDATE patient SET zone = 'two' WHERE full_name = 'P1'")
        two.sync()
        # Refused, so that it stays pending over the pull: row, base and held are three.
        one.sqlite3("UPDATE patient SET age_years = 900 WHERE full_name IN ('P1', 'P2')")
        one.sync()
        self.assertEqual(one.status()["rejected"], 2)
        for sql in ("UPDATE outpost_held SET version = 99",
                    "UPDATE outpost_held SET body = NULL"):
            with self.subTest(sql=sql):
                self.damage(one, sql)
                self.a_day_passes(one)
                self.assert_repaired(one.run("sync", "--json"), self.region)
                self.assertEqual(one.status()["rejected"], 2)
                self.assertEqual(one.sqlite3("SELECT sum(age_years) FROM patient WHERE age_years = 900"), "1800")
        one.sqlite3("UPDATE patient SET age_years = 90 WHERE age_years = 900")
        self.assert_agree(one, two)
        self.assert_same(one, two)

    def test_R24_work_that_no_trigger_marked_is_sent(self):
        one, two = self.synced(), self.device()
        self.damage(one, PATIENT.format("Unmarked"))
        self.a_day_passes(one)
        self.assert_repaired(one.run("sync", "--json"), self.region)
        self.assertEqual(one.status()["pending"], 1)
        self.assert_agree(one, two)
        self.assertEqual(two.sqlite3("SELECT count(*) FROM patient WHERE full_name = 'Unmarked'"), "1")

    def test_R24_a_cut_repair_goes_on_where_it_was(self):
        self.server.run("device", "set", "--all", "pull_batch=1", "compression=off")
        one = self.synced(relay=self.relay)
        one.sqlite3("UPDATE patient SET street_address = hex(randomblob(5000))")
        one.sync()
        self.damage(one, "UPDATE patient SET zone = 'nowhere'")
        self.a_day_passes(one)
        # The first stream finds it; the second one's pages are one record each.
        self.relay.let_through, self.relay.cut_after = 1, (TO_DEVICE, 25000)
        self.assertEqual(one.run("sync", check=False).returncode, 75)
        self.assertEqual(one.sqlite3("SELECT state FROM outpost_repair"), "2")
        done = one.run("sync", "--json")
        result = self.assert_repaired(done, self.region)
        self.assertLess(result["pulled"], RECORDS)
        self.assert_agree(one)

    def test_R24_a_follower_repairs_and_stays(self):
        one = self.synced()
        self.damage(one, "UPDATE patient SET zone = 'nowhere'")
        self.a_day_passes(one)
        run = one.start("sync", "--follow", "--json")
        results = [json.loads(run.stdout.readline())]
        while results[-1]["repaired"] == 0:
            results.append(json.loads(run.stdout.readline()))
        other = self.device()
        other.sqlite3(PATIENT.format("Other"))
        other.sync()
        while one.sqlite3("SELECT count(*) FROM patient WHERE full_name = 'Other'") == "0":
            run.stdout.readline()
        run.terminate()
        _, stderr = run.communicate(timeout=60)
        self.assertEqual((run.returncode, stderr.count("fetched anew")), (0, 1), stderr)
        self.assert_agree(one, other)


class Server(RepairTest):
    def tell_wrong_digest(self, by):
        self.server.sql(f"UPDATE sync_region SET digest = digest + {by} WHERE region_id <> {self.server.id_literal(ZERO)}")

    def state(self, device):
        return device.sqlite3("SELECT state, tries, next_at_ms > 0 FROM outpost_repair")

    def assert_not_helped(self, device, pulled):
        done = device.run("sync", "--json", check=False)
        self.assert_refused(done, 70, "did not help", "report")
        result = json.loads(done.stdout)
        self.assertEqual((result["pulled"], result["repaired"], result["caught_up"]), (pulled, 0, True))

    def test_R24_a_server_that_is_wrong_is_tried_once_and_then_seldom(self):
        one = self.synced()
        before = one.rows("SELECT * FROM patient ORDER BY id")
        self.tell_wrong_digest(1)
        self.assert_not_helped(one, RECORDS)
        for _ in range(3):
            self.assert_not_helped(one, 0)
        self.assertEqual(self.state(one), "0|1|1")
        # Changes go on, and the same difference stays the same damage.
        one.sqlite3(PATIENT.format("since"))
        self.assert_not_helped(one, 0)
        waited = int(one.sqlite3("SELECT next_at_ms FROM outpost_repair"))
        for tries in (2, 3):
            one.sqlite3("UPDATE outpost_repair SET next_at_ms = 1")
            self.assert_not_helped(one, RECORDS + 1)
            self.assert_not_helped(one, 0)
            self.assertEqual(self.state(one), f"0|{tries}|1")
            again = int(one.sqlite3("SELECT next_at_ms FROM outpost_repair"))
            self.assertGreaterEqual(again - waited, 2 ** (tries - 2) * HOUR_MS)
            waited = again
        self.assertEqual(one.rows("SELECT * FROM patient WHERE full_name <> 'since' ORDER BY id"), before)
        self.tell_wrong_digest(-1)
        result = one.sync()
        self.assertEqual((result["repaired"], result["pulled"], self.repairs(one)), (0, 0, "0"))
        self.assert_agree(one)

    def test_R24_ever_new_differences_are_tried_a_few_times_at_once(self):
        one = self.synced()
        self.tell_wrong_digest(1)
        self.assert_not_helped(one, RECORDS)
        for pulled in (RECORDS, RECORDS, 0, 0):
            self.tell_wrong_digest(1)
            self.assert_not_helped(one, pulled)
        self.assertEqual(self.state(one), "0|3|1")
        self.tell_wrong_digest(-5)


class NoAlarm(ScopeTest):
    def test_R24_what_waits_was_refused_or_has_left_is_no_damage(self):
        north, south = self.device(self.clinic_n), self.device(self.clinic_s)
        for name in ("Stays", "Leaves", "Refused", "Large", "Sealed"):
            self.register(north, name)
            self.assign(north, name, self.clinic_s)
        north.sync()
        south.sync()
        south.sqlite3("""UPDATE patient SET age_years = 900 WHERE full_name IN ('Refused', 'Leaves');
                         UPDATE patient SET street_address = hex(zeroblob(3000000)) WHERE full_name = 'Large'""")
        result = south.sync()
        self.assertEqual((result["quarantined"], south.status()["rejected"]), (2, 3))
        for name in ("Stays", "Refused", "Large"):
            north.sqlite3(f"UPDATE patient SET zone = 'north' WHERE full_name = '{name}'")
        self.assign(north, "Leaves", None)
        north.sync()
        # Sealed, and its answer never came.
        south.sqlite3("UPDATE patient SET zone = 'sealed' WHERE full_name = 'Sealed'")
        self.server.stop()
        self.assertEqual(south.run("sync", check=False).returncode, 75)
        self.assertEqual(south.sqlite3("SELECT count(*) FROM outpost_outbox"), "1")
        self.server.start(self.server.address.rsplit(":", 1)[1])
        for _ in range(3):
            south.sqlite3("UPDATE outpost_state SET check_at_ms = 1")
            result = south.sync()
            self.assertEqual((result["repaired"], result["recounted"]), (0, False))
            self.assertEqual(south.sqlite3("SELECT count(*) FROM outpost_repair"), "0")
            south.run("verify")
        self.assertEqual(south.status()["rejected"], 3)
        self.assertEqual(south.sqlite3("SELECT count(*) FROM outpost_left"), "1")


if __name__ == "__main__":
    unittest.main(verbosity=2)
