#!/usr/bin/python3
"""Devices and servers of five schema versions, in every combination and order of upgrades.

Goal: any device syncs with any server; nothing that a newer side wrote is erased by an older
one; after upgrades every field is in its column, what had been received without a network.
Method: separate builds (build.py). For each version of the device and of the server, a device
of the last version writes what is new in every version; the older device edits across; then
both are upgraded, in either order; in the end all fields and digests are compared.

SPDX-License-Identifier: Apache-2.0
"""
import itertools
import os
import sys
import unittest

from build import DEPRECATED, LAST, NEW_ENUM_VALUE, NEW_FIELD, NEW_TYPE, VersionDevice, VersionServer

VERSIONS = range(1, LAST + 1)
SHARED_PHONE = 3  # the enum value that is new


class Versions(unittest.TestCase):
    def set_up(self, device_version, server_version):
        self.server = VersionServer(server_version)
        self.addCleanup(self.server.close)
        region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", region)
        self.server.start()
        self.newest = self.device(LAST)
        self.old = self.device(device_version)

    def device(self, version):
        device = VersionDevice(self.server, self.facility, version)
        self.addCleanup(device.close)
        return device

    def newest_writes(self):
        self.newest.sqlite3(
            "INSERT INTO patient(id, full_name, age_years, age_recorded_at_ms, zone, landmark)"
            " VALUES (x'11111111111141118111111111111111', 'Asha', 50, 1, 'Z', 'the well');"
            "INSERT INTO patient_phone(patient_id, number, status)"
            f" SELECT id, '123456', {SHARED_PHONE} FROM patient;"
            "INSERT INTO blood_sugar(patient_id, type, value, unit) SELECT id, 3, 99.5, 1 FROM patient")
        result = self.newest.sync()
        self.assertEqual((3, 0), (result["pushed"], result["quarantined"]))

    def old_edits_across(self):
        self.old.sync()
        self.assertEqual("1", self.old.sqlite3("SELECT count(*) FROM patient"))
        self.old.sqlite3(
            "UPDATE patient SET district = 'North';"
            "UPDATE patient_phone SET number = '654321';"
            "INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)"
            " SELECT id, 120, 80 FROM patient")
        result = self.old.sync()
        self.assertEqual((3, 0, 0), (result["pushed"], result["quarantined"], result["conflicts"]))
        # What this version does not know, it keeps.
        known = self.old.version
        unknown = self.old.sqlite3("SELECT count(*) FROM outpost_unknown_record")
        self.assertEqual("0" if known >= NEW_TYPE else "1", unknown)
        length = self.old.sqlite3("SELECT length(outpost_unknown) FROM patient")
        self.assertEqual(known >= NEW_FIELD, length == "0")
        self.assertEqual(str(SHARED_PHONE), self.old.sqlite3("SELECT status FROM patient_phone"))

    def newest_has_lost_nothing(self):
        self.newest.sync()
        self.assertEqual("Asha|North|Z|the well", self.newest.sqlite3(
            "SELECT full_name, district, zone, landmark FROM patient"))
        self.assertEqual(f"654321|{SHARED_PHONE}", self.newest.sqlite3("SELECT number, status FROM patient_phone"))
        self.assertEqual("3|99.5|1", self.newest.sqlite3("SELECT type, value, unit FROM blood_sugar"))
        self.assertEqual("120|80", self.newest.sqlite3("SELECT systolic_mmhg, diastolic_mmhg FROM blood_pressure"))

    def upgrade_device(self):
        """With an edit under way, and no network: what had been received fills the columns."""
        self.old.sqlite3("UPDATE patient SET village_or_colony = 'Rampur'")
        self.server.stop()
        self.old.upgrade(LAST)
        self.assertEqual("Rampur|the well|0", self.old.sqlite3(
            "SELECT village_or_colony, landmark, length(outpost_unknown) FROM patient"))
        self.assertEqual("3|99.5", self.old.sqlite3("SELECT type, value FROM blood_sugar"))
        self.assertEqual("0", self.old.sqlite3("SELECT count(*) FROM outpost_unknown_record"))
        self.assertEqual("1", self.old.sqlite3("SELECT count(*) FROM outpost_pending"))
        self.server.start(self.server.address.rsplit(":", 1)[1])
        result = self.old.sync()
        self.assertEqual((1, 0), (result["pushed"], result["conflicts"]))
        # Nothing comes again because of the upgrade: what does, is what had come of late.
        self.assertLessEqual(result["pulled"], 4)

    def all_agree(self):
        for device in (self.old, self.newest):
            device.sync()
        for device in (self.old, self.newest):
            self.assertEqual(0, device.sync()["pulled"])
            device.run("verify")
        self.assertEqual(self.newest.content(), self.old.content())
        self.assertEqual(self.newest.status()["regions"], self.old.status()["regions"])
        self.server.run("verify")

    def play(self, device_version, server_version, device_first):
        self.set_up(device_version, server_version)
        self.newest_writes()
        self.old_edits_across()
        self.newest_has_lost_nothing()
        steps = [self.upgrade_device, lambda: self.server.upgrade(LAST)]
        for step in steps if device_first else reversed(steps):
            step()
            self.newest.sync()
        # The upgraded device writes what is new, too.
        self.old.sqlite3("UPDATE patient SET landmark = 'the new well';"
                         "UPDATE blood_sugar SET value = 101.5")
        self.old.sync()
        self.newest.sync()
        self.assertEqual("the new well", self.newest.sqlite3("SELECT landmark FROM patient"))
        self.assertEqual("101.5", self.newest.sqlite3("SELECT value FROM blood_sugar"))
        self.all_agree()
        self.doCleanups()

    def test_every_device_with_every_server_and_upgrades_in_either_order(self):
        self.assertEqual([2, 3, 4, 5], [NEW_TYPE, NEW_FIELD, NEW_ENUM_VALUE, DEPRECATED])
        every = list(itertools.product(VERSIONS, VERSIONS, (True, False)))
        stride = int(os.environ.get("OUTPOST_TEST_STRIDE", 1))  # sanitizers take their time
        played = 0
        for device, server, device_first in every[::stride]:
            with self.subTest(device=device, server=server, device_first=device_first):
                self.play(device, server, device_first)
                played += 1
        self.assertEqual(2 * LAST * LAST, len(every))
        self.assertEqual(len(every[::stride]), played)
        print(f"{played} combinations", file=sys.stderr)

    def test_an_older_program_refuses_a_newer_database_and_leaves_it(self):
        self.set_up(LAST, LAST)
        self.newest_writes()
        with open(self.newest.db, "rb") as file:
            before = file.read()
        for version in range(1, LAST):
            self.newest.program = f"outpost-version{version}" if version > 1 else "outpost"
            for words in (("status",), ("sync",), ("sql", "SELECT 1")):
                done = self.newest.run(*words, check=False)
                self.assertEqual(65, done.returncode, words)
                self.assertIn("newer version", done.stderr)
                self.assertIn("upgrade the program", done.stderr)
        with open(self.newest.db, "rb") as file:
            self.assertEqual(before, file.read())
        self.newest.program = f"outpost-version{LAST}"
        self.newest.sync()


if __name__ == "__main__":
    unittest.main()
