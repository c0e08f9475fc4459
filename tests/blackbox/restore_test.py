#!/usr/bin/python3
"""A server put back to an older copy of its store, and nobody says so (R8, R22).

Every phone is a backup: what any of them holds comes back, also from authors
who never return, once; who enrolled and who was revoked since is not forgotten.

SPDX-License-Identifier: Apache-2.0
"""
import json
import random
import unittest

from device import Device
from peer import Outpostd

COLUMNS = "p.id, full_name, zone, (SELECT group_concat(systolic_mmhg) FROM (SELECT systolic_mmhg " \
          "FROM blood_pressure b WHERE b.patient_id = p.id ORDER BY b.id))"


class Restore(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.facility = self.server.add_facility("Clinic", self.server.add_region("North"))
        self.server.start()
        self.port = self.server.address.rsplit(":", 1)[1]
        self.devices = []

    def tearDown(self):
        self.server.run("verify")
        for device in self.devices:
            device.close()
        self.assertEqual(self.server.close(), 0)

    def device(self):
        self.devices.append(Device(self.server, self.facility))
        return self.devices[-1]

    def restart(self):
        self.server.start(self.port)

    def backup(self):
        self.server.stop()
        self.kept = self.server.backup()
        self.restart()

    def put_back(self):
        self.server.stop()
        self.server.put_back(self.kept)
        self.restart()

    def register(self, device, names):
        for name in names:
            device.sqlite3(f"""INSERT INTO patient(full_name, age_years, age_recorded_at_ms)
                                   VALUES ('{name}', 50, 1);
                               INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                                   SELECT id, 140 + n.value, 90 FROM patient, generate_series(1, 3) n
                                   WHERE full_name = '{name}'""")

    def people(self, device):
        return device.rows(f"SELECT {COLUMNS} FROM patient p ORDER BY full_name")

    def settle(self, *devices):
        for _ in range(3):
            for device in devices:
                device.sync()

    def assert_agree(self, *devices):
        for device in devices:
            device.run("verify")
            self.assertEqual(device.status()["pending"], 0)
        self.assertEqual(len({json.dumps(d.status()["regions"]) for d in devices}), 1)
        self.assertEqual(len({json.dumps(self.people(d)) for d in devices}), 1)

    def log_of(self, region_name="North"):
        status = json.loads(self.server.run("status", "--json").stdout)
        return {r["name"]: r for r in status["regions"]}[region_name]

    def test_R8_the_author_gives_back_what_was_acknowledged(self):
        one, two = self.device(), self.device()
        self.register(one, ["Asha", "Bina"])
        self.settle(one, two)
        self.backup()
        self.register(one, ["Chandra"])
        one.sqlite3("UPDATE patient SET zone = 'East' WHERE full_name = 'Asha'")
        one.sync()
        one.sqlite3("UPDATE patient SET zone = 'West' WHERE full_name = 'Asha'")
        one.sync()
        before = self.people(one)
        self.put_back()
        self.settle(one, two)
        self.assertEqual(self.people(one), before)
        self.assert_agree(one, two)

    def test_R22_a_reader_gives_back_what_a_lost_author_wrote(self):
        one, two, three = self.device(), self.device(), self.device()
        self.register(one, ["Asha"])
        self.settle(one, two, three)
        self.backup()
        self.register(one, ["Chandra", "Devi"])
        one.sqlite3("UPDATE patient SET zone = 'East' WHERE full_name = 'Asha'")
        one.sync()
        two.sync()
        before = self.people(two)
        self.assertEqual(len(before), 3)
        self.put_back()  # and device one is never seen again
        self.settle(two, three)
        self.assertEqual(self.people(two), before)
        self.assert_agree(two, three)
        self.assertEqual(self.log_of()["records"], 12)

    def test_R22_many_phones_offer_it_once(self):
        one, two, three = self.device(), self.device(), self.device()
        self.settle(one, two, three)
        self.backup()
        self.register(one, ["Asha"])
        self.settle(one, two, three)
        self.put_back()
        self.settle(one, two, three)
        self.assert_agree(one, two, three)
        self.assertEqual(self.log_of()["last_seq"], 4)

    def test_R22_work_of_before_and_after_the_restore_meets(self):
        one, two = self.device(), self.device()
        self.register(one, ["Asha", "Bina"])
        self.settle(one, two)
        self.backup()
        one.sqlite3("UPDATE patient SET zone = 'forgotten' WHERE full_name = 'Asha'")
        self.settle(one, two)
        two.sqlite3("UPDATE patient SET district = 'pending' WHERE full_name = 'Asha'")
        self.register(two, ["Pending"])
        self.put_back()
        self.settle(two, one)
        self.assertEqual(one.sqlite3("SELECT zone, district FROM patient WHERE full_name = 'Asha'"),
                         "forgotten|pending")
        self.assertEqual(len(self.people(one)), 3)
        self.assert_agree(one, two)

    def test_R22_enrolments_and_revocations_are_not_forgotten(self):
        one = self.device()
        one.sync()
        self.backup()
        late = self.device()
        self.register(late, ["Late"])
        late.sync()
        self.server.run("device", "revoke", one.status()["device_id"])
        self.put_back()
        self.settle(late)
        self.assertEqual(len(self.people(late)), 1)
        self.assertEqual(self.log_of()["records"], 4)
        self.assertEqual(one.run("sync", check=False).returncode, 77)

    def test_R7_what_was_accepted_and_is_refused_now_is_marked(self):
        one, two = self.device(), self.device()
        region = json.loads(self.server.run("region", "list", "--json").stdout)["regions"][0]["region_id"]
        self.register(one, ["Asha"])
        self.settle(one, two)
        self.backup()
        late = self.server.add_facility("Late", region)
        self.settle(one)
        one.sqlite3(f"""INSERT INTO patient(full_name, age_years, age_recorded_at_ms, registration_facility_id)
                            VALUES ('Late', 50, 1, x'{late.replace("-", "")}');
                        UPDATE patient SET zone = 'kept' WHERE full_name = 'Asha'""")
        self.settle(one, two)
        before = self.people(one)
        self.put_back()
        for device in (one, two):
            self.settle(device)
            self.assertEqual(self.people(device), before)
            self.assertEqual((device.status()["rejected"], device.status()["pending"]), (1, 0))
            self.assertEqual(device.sqlite3("SELECT reason FROM outpost_rejected"), "9")  # UNKNOWN_FACILITY
            device.run("verify")
        waits = json.loads(self.server.run("quarantine", "list", "--json").stdout)["quarantined"]
        self.assertTrue(waits)
        self.assertEqual({w["reason"] for w in waits}, {"unknown facility"})
        # The facility is told again; what waited is taken, and the marks go (R9).
        self.server.run("facility", "add", "name=Late", f"sync_region_id={region}", "--id", late)
        for entry in waits:
            self.server.run("quarantine", "retry", entry["mutation_id"])
        self.settle(one, two)
        self.assertEqual(self.people(one), before)
        self.assertEqual((one.status()["rejected"], two.status()["rejected"]), (0, 0))
        self.assert_agree(one, two)

    def test_R20_a_family_that_left_goes_when_the_offers_are_through(self):
        south = self.server.add_facility("South", self.server.add_region("South"))
        one = self.device()
        two = Device(self.server, south)
        self.devices.append(two)
        self.register(one, ["Asha"])
        one.sqlite3(f"UPDATE patient SET assigned_facility_id = x'{south.replace('-', '')}'")
        self.settle(one, two)
        self.assertEqual(len(self.people(two)), 1)
        self.backup()
        self.register(two, ["Lost"])
        two.sync()
        self.put_back()
        one.sqlite3("UPDATE patient SET assigned_facility_id = x''")
        one.sync()
        two.sync()  # the reset, the offers and their end
        self.assertEqual(two.sqlite3("SELECT full_name FROM patient"), "Lost")
        self.assertEqual(two.sqlite3("SELECT offer_due, (SELECT count(*) FROM outpost_left) FROM outpost_state"),
                         "0|0")
        two.run("verify")
        self.settle(one, two)
        for device in (one, two):
            device.run("verify")

    def test_a_thousand_edits_come_back(self):
        seed = 20261122
        print(f"(seed {seed})", end=" ", flush=True)
        rnd = random.Random(seed)
        fleet = [self.device() for _ in range(3)]
        self.register(fleet[0], [f"P{i:02}" for i in range(30)])
        self.settle(*fleet)
        self.backup()
        for i in range(40):
            device = rnd.choice(fleet)
            device.sqlite3("BEGIN;" + ";".join(
                f"UPDATE patient SET zone = 'Z{i}-{j}' WHERE full_name = 'P{rnd.randrange(30):02}'"
                for j in range(25)) + ";COMMIT")
            device.sync()
        self.settle(*fleet)
        before = self.people(fleet[0])
        self.put_back()
        self.settle(*fleet)
        self.assertEqual(self.people(fleet[0]), before)
        self.assert_agree(*fleet)


if __name__ == "__main__":
    unittest.main(verbosity=2)
