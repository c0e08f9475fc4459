"""A commit over two regions that is seen in one of them first, and real devices (I5, I7, R22).

Goal: on a distributed PostgreSQL a family that moves may be for a moment in neither or
in both regions; nothing is lost by it, nobody takes it for a restored server, and
afterwards all agree. Method: what such a database does to a commit whose second half is
still prepared is done to a plain one: the rows that the move wrote in one region are put
back to what they were, and written anew by a prepared transaction, which holds the
region's counter. Then devices sync, and at last it is committed.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from device import Device
from peer import Outpostd, sql

TRY_LATER = 75
TABLES = ("record", "change_log", "mutation", "quarantine", "conflict", "receipt", "marker", "facility_family")
COUNTER = "last_seq, last_hash, records, digest, type_sums"


class Halves(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.west, self.north, self.south = (self.server.add_region(n) for n in ("West", "North", "South"))
        clinic_w, self.clinic_n, self.clinic_s = (self.server.add_facility("Clinic", r)
                                                  for r in (self.west, self.north, self.south))
        self.server.start()
        self.author = Device(self.server, clinic_w)
        self.readers = {self.north: Device(self.server, self.clinic_n), self.south: Device(self.server, self.clinic_s)}
        self.devices = [self.author, *self.readers.values()]
        self.author.sqlite3(f"""INSERT INTO patient(full_name, age_years, age_recorded_at_ms, assigned_facility_id)
                                    VALUES ('Asha', 50, 1, x'{self.clinic_n.replace("-", "")}');
                                INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                                    SELECT id, 140 + n.value, 90 FROM patient, generate_series(1, 3) n""")
        self.readers[self.south].sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms)"
                                         " VALUES ('Chandra', 60, 1)")
        for device in self.devices:
            device.sync()

    def tearDown(self):
        if self.prepared():
            self.end("ROLLBACK")
        self.server.run("verify")
        for device in self.devices:
            device.run("verify")
            device.close()
        self.assertEqual(0, self.server.close())

    def keep(self, name, region):
        for table in ("sync_region", *TABLES):
            self.server.sql(f"CREATE TABLE {name}_{table} AS SELECT * FROM {table} WHERE region_id = '{region}'")

    @staticmethod
    def put(name, region):
        """The statements that make the region what was kept by that name."""
        rows = [f"DELETE FROM {t} WHERE region_id = '{region}'; INSERT INTO {t} SELECT * FROM {name}_{t};" for t in TABLES]
        return (f"UPDATE sync_region SET ({COUNTER}) = (SELECT {COUNTER} FROM {name}_sync_region)"
                f" WHERE region_id = '{region}';" + " ".join(rows))

    def move_with_late_half(self, region):
        """Asha, whom the west has registered, moves from north to south; the region does not show it yet."""
        self.keep("before", region)
        self.author.sqlite3(f"UPDATE patient SET assigned_facility_id = x'{self.clinic_s.replace('-', '')}'")
        self.assertEqual(1, self.author.sync()["pushed"])
        self.keep("after", region)
        self.server.sql(f"BEGIN; {self.put('before', region)} COMMIT")
        self.server.sql(f"BEGIN; {self.put('after', region)} PREPARE TRANSACTION '{self.server.schema}'")

    def prepared(self):
        return self.server.sql(f"SELECT gid FROM pg_prepared_xacts WHERE gid = '{self.server.schema}'") != ""

    def end(self, how):
        subprocess.run(["psql", "-X", "-q", "-d", os.environ["OUTPOST_TEST_POSTGRES"],
                        "-c", f"{how} PREPARED '{self.server.schema}'"], check=True)

    def show(self):
        self.end("COMMIT")

    def await_waiter(self, process):
        """Until a backend waits for what the prepared half has locked."""
        for _ in range(400):
            if sql(os.environ["OUTPOST_TEST_POSTGRES"],
                   "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") != "0":
                return
            if process.poll() is not None:
                break
            time.sleep(.01)
        self.fail(f"nobody waits for the half: {process.communicate()}")

    def people(self):
        return {name: self.readers[name].sqlite3("SELECT count(*) FROM patient WHERE full_name LIKE 'Asha%'") for name in self.readers}

    def sync_readers(self):
        for device in self.readers.values():
            device.sync()
            device.run("verify")

    def at_rest(self):
        for _ in range(2):
            for device in self.devices:
                device.sync()
        self.assertEqual({self.north: "0", self.south: "1"}, self.people())
        self.assertEqual("3", self.readers[self.south].sqlite3("SELECT count(*) FROM blood_pressure"))
        for device in self.devices:
            self.assertEqual((0, 0), tuple(device.status()[n] for n in ("pending", "rejected")))

    def test_a_family_is_in_neither_region_while_the_new_half_is_late(self):
        self.move_with_late_half(self.south)
        self.sync_readers()
        self.assertEqual({self.north: "0", self.south: "0"}, self.people())
        self.show()
        self.at_rest()

    def test_a_family_is_in_both_regions_while_the_old_half_is_late(self):
        self.move_with_late_half(self.north)
        self.sync_readers()
        self.assertEqual({self.north: "1", self.south: "1"}, self.people())
        self.show()
        self.at_rest()

    def test_an_edit_of_what_moves_waits_for_the_half(self):
        reader = self.readers[self.north]
        reader.sqlite3("UPDATE patient SET full_name = 'Asha Devi'")
        self.move_with_late_half(self.south)
        syncing = reader.start("sync", "--json")
        self.await_waiter(syncing)
        self.show()
        self.assertEqual(0, syncing.wait(60), syncing.communicate())
        syncing.communicate()
        self.at_rest()
        self.assertEqual("Asha Devi", self.readers[self.south].sqlite3("SELECT full_name FROM patient WHERE full_name LIKE 'A%'"))

    def test_a_row_that_is_there_already_is_replaced(self):
        """A reading that is new by what one region shows has a row in the other: written once more, as it is."""
        new = uuid.uuid4().hex
        regions = self.server.sql("SELECT region_id FROM record WHERE type = 13 GROUP BY region_id"
                                  " HAVING count(*) = 3 ORDER BY region_id").split()
        self.assertEqual(2, len(regions))
        self.server.sql(f"INSERT INTO record SELECT region_id, family_id, type, '{new}', 0, version, deleted, stamp, body,"
                        f" past FROM record WHERE type = 13 AND region_id = '{regions[1]}' LIMIT 1")
        self.author.sqlite3("INSERT INTO blood_pressure(patient_id, id, systolic_mmhg, diastolic_mmhg)"
                            f" SELECT id, x'{new}', 155, 95 FROM patient WHERE full_name LIKE 'Asha%'")
        result = self.author.sync()
        self.assertEqual((1, 0), (result["pushed"], result["quarantined"]))
        self.assertEqual("1", self.server.sql(f"SELECT count(DISTINCT (version, stamp, body)) FROM record WHERE id = '{new}'"))
        self.assertEqual("2", self.server.sql(f"SELECT count(*) FROM record WHERE id = '{new}' AND version = 1"))
        self.sync_readers()

    def test_R22_who_was_told_of_the_late_half_waits_and_is_not_reset(self):
        self.move_with_late_half(self.west)
        syncing = self.author.start("sync", "--json")
        self.await_waiter(syncing)
        self.show()
        out, err = syncing.communicate(timeout=60)
        self.assertEqual(0, syncing.returncode, err)
        self.assertIn('"pushed": 0', out.replace('":0', '": 0'))
        self.assertIn('"pulled": 0', out.replace('":0', '": 0'))
        self.at_rest()

    def test_I6_a_half_that_does_not_come_is_not_waited_for_for_ever(self):
        self.move_with_late_half(self.west)
        self.author.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('Bina', 40, 1)")
        self.assertEqual(TRY_LATER, self.author.run("sync", check=False).returncode)
        self.assertEqual(1, self.author.status()["pending"])
        self.show()
        self.author.sqlite3("DELETE FROM patient WHERE full_name = 'Bina'")
        self.at_rest()


if __name__ == "__main__":
    unittest.main()
