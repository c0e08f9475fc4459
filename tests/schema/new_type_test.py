#!/usr/bin/python3
"""A new record type is one file.

Goal: BloodSugar, a .proto file more and nothing else by hand, is a table on devices, a type on
the server, and syncs beside devices and servers that have never heard of it. Method: the tree
of version 2 differs from the product's in that file; its programs and the product's sync.

SPDX-License-Identifier: Apache-2.0
"""
import filecmp
import pathlib
import unittest
import uuid

from build import NEW_TYPE, TREES, VersionDevice, VersionServer

ROOT = pathlib.Path(__file__).resolve().parents[2]
TYPE = 16


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*.proto")}


class NewType(unittest.TestCase):
    def server(self, version):
        server = VersionServer(version)
        self.addCleanup(server.close)
        self.facility = server.add_facility("Clinic one", server.add_region("North"))
        return server.start()

    def device(self, server, version):
        device = VersionDevice(server, self.facility, version)
        self.addCleanup(device.close)
        return device

    def test_it_is_one_file(self):
        tree = TREES / f"version{NEW_TYPE}" / "proto"
        self.assertEqual({"outpost/v1/blood_sugar.proto"}, files(tree) - files(ROOT / "proto"))
        same = files(ROOT / "proto") - {"outpost/v1/record.proto"}  # which is generated
        for name in same:
            self.assertTrue(filecmp.cmp(tree / name, ROOT / "proto" / name, shallow=False), name)

    def test_it_syncs_with_a_server_and_a_device_that_never_heard_of_it(self):
        for server_version in (1, NEW_TYPE):
            with self.subTest(server=server_version):
                server = self.server(server_version)
                one, two = (self.device(server, NEW_TYPE) for _ in range(2))
                old = self.device(server, 1)
                one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('Asha', 50, 1);"
                            "INSERT INTO blood_sugar(patient_id, type, value, unit, recorded_at_ms)"
                            " SELECT id, 4, 6.5, 3, 1700000000000 FROM patient")
                self.assertEqual(2, one.sync()["pushed"])
                old.sync()
                self.assertEqual(str(TYPE), old.sqlite3("SELECT type FROM outpost_unknown_record"))
                old.run("verify")
                two.sync()
                row = "4|6.5|3|1700000000000|" + uuid.UUID(self.facility).hex.upper()
                query = "SELECT type, value, unit, recorded_at_ms, hex(facility_id) FROM blood_sugar"
                self.assertEqual(row, two.sqlite3(query))
                two.sqlite3("UPDATE blood_sugar SET value = 7")
                two.sync()
                one.sync()
                old.sync()
                self.assertEqual("7.0", one.sqlite3("SELECT value FROM blood_sugar"))
                self.assertEqual(one.status()["regions"], old.status()["regions"])
                # Deleting the patient deletes it, on a device that knows it, and everywhere.
                one.sqlite3("DELETE FROM patient")
                one.sync()
                for device in (two, old):
                    device.sync()
                    device.run("verify")
                self.assertEqual("0", two.sqlite3("SELECT count(*) FROM blood_sugar"))
                self.assertEqual("0", old.sqlite3("SELECT count(*) FROM outpost_unknown_record"))
                server.run("verify")

    def test_a_server_that_knows_it_checks_it(self):
        server = self.server(NEW_TYPE)
        device = self.device(server, NEW_TYPE)
        device.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('Asha', 50, 1);"
                       "INSERT INTO blood_sugar(patient_id, type, value, unit) SELECT id, 4, 100000, 3 FROM patient")
        result = device.sync()
        self.assertEqual((2, 1), (result["pushed"], result["quarantined"]))
        self.assertIn("blood_sugar", device.status()["records"])
        history = server.run("history", "blood_sugar", str(uuid.uuid4()), check=False)
        self.assertNotIn("no record type", history.stderr)


if __name__ == "__main__":
    unittest.main()
