#!/usr/bin/python3
"""Patients between regions: who receives a family, whole, and from whom it is withdrawn.

SPDX-License-Identifier: Apache-2.0
"""
import random
import unittest
import uuid

from device import Device
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sync_pb2

LEFT, ENTERED = (sync_pb2.FamilyMarker.KIND_LEFT, sync_pb2.FamilyMarker.KIND_ENTERED)


class ScopeTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.north, self.south = (self.server.add_region(n) for n in ("North", "South"))
        self.clinic_n = self.server.add_facility("Clinic north", self.north)
        self.clinic_s = self.server.add_facility("Clinic south", self.south)
        self.server.start()
        self.devices = []

    def tearDown(self):
        self.server.run("verify")
        for device in self.devices:
            device.close()
        self.assertEqual(self.server.close(), 0)

    def device(self, facility):
        self.devices.append(Device(self.server, facility))
        return self.devices[-1]

    @staticmethod
    def sql_id(id):
        return f"x'{uuid.UUID(id).hex}'"

    def people(self, device):
        return device.sqlite3("SELECT group_concat(full_name, ',') FROM "
                              "(SELECT full_name FROM patient ORDER BY full_name)")

    def readings(self, device):
        return int(device.sqlite3("SELECT count(*) FROM blood_pressure"))

    def register(self, device, name):
        device.sqlite3(f"""INSERT INTO patient(full_name, age_years, age_recorded_at_ms)
                               VALUES ('{name}', 50, 1);
                           INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                               SELECT id, 140 + n.value, 90 FROM patient, generate_series(1, 3) n
                               WHERE full_name = '{name}'""")

    def assign(self, device, name, facility):
        value = self.sql_id(facility) if facility else "x''"
        device.sqlite3(f"UPDATE patient SET assigned_facility_id = {value} WHERE full_name = '{name}'")


class Moves(ScopeTest):
    def test_R16_a_family_that_enters_arrives_whole_and_one_that_leaves_is_withdrawn(self):
        north, south = self.device(self.clinic_n), self.device(self.clinic_s)
        self.register(north, "Asha")
        self.register(south, "Bina")
        north.sync()
        south.sync()
        self.assertEqual((self.people(south), self.readings(south)), ("Bina", 3))
        self.assign(north, "Asha", self.clinic_s)
        north.sync()
        result = south.sync()
        self.assertEqual((self.people(south), self.readings(south)), ("Asha,Bina", 6))
        self.assertEqual(result["pulled"], 4)
        self.assertEqual(self.people(north), "Asha")  # registered here: it stays
        self.assign(north, "Asha", None)
        north.sync()
        result = south.sync()
        self.assertEqual((self.people(south), self.readings(south)), ("Bina", 3))
        self.assertEqual(result["withdrawn"], 4)
        for device in self.devices:
            device.run("verify")

    def test_R16_what_one_region_writes_reaches_the_other(self):
        north, south = self.device(self.clinic_n), self.device(self.clinic_s)
        self.register(north, "Asha")
        self.assign(north, "Asha", self.clinic_s)
        north.sync()
        south.sync()
        south.sqlite3("UPDATE patient SET zone = 'from the south';"
                      "INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg) "
                      "SELECT id, 199, 99 FROM patient")
        south.sync()
        north.sync()
        self.assertEqual(north.sqlite3("SELECT zone FROM patient"), "from the south")
        self.assertEqual(self.readings(north), 4)
        for device in self.devices:
            device.run("verify")

    def test_R20_moved_away_and_back_while_a_third_device_was_offline(self):
        north, south, third = (self.device(f) for f in (self.clinic_n, self.clinic_s, self.clinic_s))
        self.register(north, "Asha")
        self.assign(north, "Asha", self.clinic_s)
        north.sync()
        south.sync()
        third.sync()
        self.assertEqual(self.readings(third), 3)
        self.assign(north, "Asha", None)
        north.sync()
        south.sync()
        self.assertEqual(self.people(south), "")
        north.sqlite3("INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg) "
                      "SELECT id, 155, 95 FROM patient")
        self.assign(north, "Asha", self.clinic_s)
        north.sync()
        south.sync()
        third.sync()
        for device in (south, third):
            self.assertEqual((self.people(device), self.readings(device)), ("Asha", 4))
        for device in self.devices:
            device.run("verify")

    def test_R15_R20_pending_work_survives_the_withdrawal(self):
        north, south = self.device(self.clinic_n), self.device(self.clinic_s)
        self.register(north, "Asha")
        self.assign(north, "Asha", self.clinic_s)
        north.sync()
        south.sync()
        south.sqlite3("UPDATE patient SET zone = 'late'; "
                      "INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg) "
                      "SELECT id, 166, 96 FROM patient")
        self.assign(north, "Asha", None)
        north.sync()
        result = south.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (2, 0))
        self.assertEqual(self.people(south), "")
        self.assertEqual(south.status()["pending"], 0)
        north.sync()
        self.assertEqual(north.sqlite3("SELECT zone FROM patient"), "late")
        self.assertEqual(self.readings(north), 4)
        south.sync()
        for device in self.devices:
            device.run("verify")

    def test_R16_an_unknown_facility_is_refused_and_the_family_stays(self):
        north = self.device(self.clinic_n)
        self.register(north, "Asha")
        north.sync()
        self.assign(north, "Asha", str(uuid.uuid4()))
        self.assertEqual(north.sync()["quarantined"], 1)
        self.assign(north, "Asha", self.clinic_s)
        self.assertEqual(north.sync()["quarantined"], 0)

    def test_R16_an_edit_and_the_leaving_in_one_push_leave_no_row_behind(self):
        """The edited row was to be written to both regions before its family left one of them."""
        north, south = Peer(self.server, self.clinic_n), Peer(self.server, self.clinic_s)
        patient = new_patient(north.facility, assigned_facility_id=south.facility)
        reading = new_reading(patient.id, north.facility)
        north.sync([patient, reading])
        south.sync()
        self.assertEqual(len([r for r in south.records.values() if r.family_id]), 2)
        held = {m.id: north.records[north.name(m)] for m in (patient, reading)}
        north.sync([mutation("blood_pressure", patient.id, reading.id, base=held[reading.id],
                             systolic_mmhg=150, diastolic_mmhg=95),
                    mutation("patient", patient.id, patient.id, base=held[patient.id],
                             clear=["assigned_facility_id"])])
        self.assertEqual([a.status for a in north.answers], [sync_pb2.ANSWER_STATUS_APPLIED] * 2)
        late = Peer(self.server, self.clinic_s)
        caught_up = late.sync()
        self.assertFalse([r for r in late.records.values() if r.family_id])
        self.assertEqual(caught_up.regions[1].records, 0)

    def test_I7_a_family_of_elsewhere_is_never_sent(self):
        """Answers to a stranger's edit hold no content, and its place cannot be guessed into."""
        north, south = Peer(self.server, self.clinic_n), Peer(self.server, self.clinic_s)
        patient = new_patient(north.facility, "Secret")
        north.sync([patient])
        held = north.records[north.name(patient)]
        steal = mutation("patient", patient.id, patient.id, base=held, assigned_facility_id=south.facility)
        reading = new_reading(patient.id, south.facility)
        south.sync([steal, reading])
        self.assertEqual([(a.status, a.reason, a.HasField("record")) for a in south.answers],
                         [(sync_pb2.ANSWER_STATUS_QUARANTINED, sync_pb2.REASON_NOT_YOURS, False)] * 2)
        self.assertFalse([r for r in south.records.values() if r.family_id])
        north.sync()
        self.assertEqual(north.records[north.name(patient)].version, 1)


class RandomMoves(ScopeTest):
    def test_R16_random_moves_against_a_naive_oracle(self):
        """Where a patient is, its whole family is; where it is not, nothing of it is."""
        seed = 20261122
        print(f"(seed {seed})", end=" ", flush=True)
        rnd = random.Random(seed)
        clinics = {self.clinic_n: self.device(self.clinic_n), self.clinic_s: self.device(self.clinic_s)}
        home = {}
        for i in range(12):
            clinic = rnd.choice(list(clinics))
            self.register(clinics[clinic], f"P{i:02}")
            home[f"P{i:02}"] = {clinic}
        for device in self.devices:
            device.sync()
        registered = {name: next(iter(where)) for name, where in home.items()}
        for _ in range(12):
            for name in rnd.sample(sorted(home), 5):
                clinic = rnd.choice(sorted(home[name]))
                to = rnd.choice([self.clinic_n, self.clinic_s, None])
                self.assign(clinics[clinic], name, to)
                home[name] = {registered[name], to or registered[name]}
                if clinic not in home[name]:
                    break  # it will be withdrawn there: its device cannot be asked again before
            order = list(self.devices)
            rnd.shuffle(order)
            for device in order + order:
                device.sync()
            # Edits of both clinics may have met: what counts is where the server says it is.
            for clinic, device in clinics.items():
                device.run("verify")
            both = {name for name in home if all(name in self.people(d).split(",") for d in self.devices)}
            for name in home:
                where = [c for c, d in clinics.items() if name in self.people(d).split(",")]
                self.assertIn(registered[name], where)
                for clinic in where:
                    self.assertEqual(clinics[clinic].sqlite3(
                        "SELECT count(*) FROM blood_pressure b JOIN patient p ON p.id = b.patient_id "
                        f"WHERE full_name = '{name}'"), "3")
                assigned = clinics[registered[name]].sqlite3(
                    f"SELECT hex(assigned_facility_id) FROM patient WHERE full_name = '{name}'")
                elsewhere = assigned and assigned.lower() != uuid.UUID(registered[name]).hex
                self.assertEqual(name in both, bool(elsewhere))
            for device in self.devices:
                self.assertEqual(int(device.sqlite3(
                    "SELECT count(*) FROM blood_pressure WHERE patient_id NOT IN (SELECT id FROM patient)")), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
