#!/usr/bin/python3
"""Devices and a server, the real programs: what the nurses of two clinics see.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from device import Device
from peer import BIN, ROOT, Outpostd
from relay import TO_DEVICE, TO_SERVER, Relay

SYNTHEA = ROOT / "tests/data/synthea"
COLUMNS = {}


def own_columns(device, table):
    """The record's own columns: not the library's."""
    if table not in COLUMNS:
        names = device.sqlite3(f"SELECT name FROM pragma_table_info('{table}')").splitlines()
        COLUMNS[table] = ", ".join(f'"{n}"' for n in names if not n.startswith("outpost_"))
    return COLUMNS[table]


class DeviceTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start()
        self.relay = Relay(self.server.address)
        self.devices = []

    def tearDown(self):
        self.relay.close()
        self.server.run("verify")
        self.assertEqual(self.server.close(), 0)
        for device in self.devices:
            device.close()

    def device(self, **how):
        self.devices.append(Device(self.server, self.facility, **how))
        return self.devices[-1]

    def last_seq(self):
        status = json.loads(self.server.run("status", "--json").stdout)
        return {r["region_id"]: r["last_seq"] for r in status["regions"]}.get(self.region, 0)

    def assert_same(self, one, two):
        for table in ("patient", "patient_phone", "patient_identifier", "blood_pressure", "facility"):
            query = f"SELECT {own_columns(one, table)} FROM {table} ORDER BY 1, 2"
            self.assertEqual(one.rows(query), two.rows(query), table)
        for device in (one, two):
            device.run("verify")
        self.assertEqual(one.status()["regions"], two.status()["regions"])

    def sync_with_answers_held(self, device, seq):
        """Starts a sync; returns when the server has committed and no answer has come."""
        pump = self.relay._limit

        # The handshake needs its answers: hold only once the device has sent its push.
        def limit(direction, data, source, sink):
            if direction == TO_SERVER and self.relay.passed[TO_DEVICE] > 0:
                self.relay.hold()
            return pump(direction, data, source, sink)

        self.relay._limit = limit
        sync = device.start("sync")
        while self.last_seq() == seq and sync.poll() is None:
            pass
        self.relay._limit = pump
        self.assertIsNone(sync.poll())
        return sync


class PlainSql(DeviceTest):
    """The sqlite3 tool knows nothing of Outpost, and what it writes arrives."""

    def test_inserts_arrive_field_by_field(self):
        one, two = self.device(), self.device()
        one.sqlite3("""INSERT INTO patient(full_name, date_of_birth, gender, status, street_address,
                           village_or_colony, zone, district, state, country, pin_code,
                           reminder_consent, recorded_at_ms)
                       VALUES ('Ünï ''quoted'' 名前', '1970-01-31', 2, 1, 'a', 'b', 'c', 'd', 'e', 'f',
                               '560001', 1, -5), ('Second', '2000-02-29', 0, 0, '', '', '', '', '', '',
                               '', 0, 9007199254740993)""")
        one.sqlite3("""INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                           SELECT id, 140, 90 FROM patient;
                       INSERT INTO patient_phone(patient_id, number, kind)
                           SELECT id, '+91 98-76', 1 FROM patient LIMIT 1;
                       INSERT INTO patient_identifier(patient_id, "system", value)
                           SELECT id, 'card', '00012' FROM patient LIMIT 1""")
        result = one.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (6, 0))
        two.sync()
        self.assert_same(one, two)
        self.assertEqual(two.sqlite3("SELECT count(*) FROM blood_pressure WHERE facility_id = "
                                     f"x'{self.facility.replace('-', '')}'"), "2")

    def test_updates_upserts_replace_and_deletes_arrive(self):
        one, two = self.device(), self.device()
        one.sqlite3("""INSERT INTO patient(id, full_name, age_years, age_recorded_at_ms) VALUES
                           (x'10000000000040008000000000000001', 'Update', 40, 1),
                           (x'10000000000040008000000000000002', 'Upsert', 40, 1),
                           (x'10000000000040008000000000000003', 'Replace', 40, 1),
                           (x'10000000000040008000000000000004', 'Delete', 40, 1);
                       INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                           SELECT id, 140, 90 FROM patient""")
        one.sync()
        two.sync()
        self.assert_same(one, two)
        two.sqlite3("""UPDATE patient SET full_name = 'Updated' WHERE full_name = 'Update';
                       INSERT INTO patient(id, full_name, age_years, age_recorded_at_ms)
                           VALUES (x'10000000000040008000000000000002', 'x', 41, 2)
                           ON CONFLICT(id) DO UPDATE SET full_name = 'Upserted', zone = 'Z';
                       INSERT OR REPLACE INTO patient(id, full_name, age_years, age_recorded_at_ms,
                               registration_facility_id)
                           SELECT id, 'Replaced', 42, 3, registration_facility_id FROM patient
                           WHERE full_name = 'Replace';
                       DELETE FROM patient WHERE full_name = 'Delete'""")
        result = two.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (5, 0))
        one.sync()
        self.assert_same(one, two)
        self.assertEqual(one.sqlite3("SELECT group_concat(full_name, '|') FROM "
                                     "(SELECT full_name FROM patient ORDER BY id)"),
                         "Updated|Upserted|Replaced")
        self.assertEqual(one.sqlite3("SELECT count(*) FROM blood_pressure"), "3")

    def test_the_apps_own_triggers_fire_for_pulled_rows(self):
        one, two = self.device(), self.device()
        two.sqlite3("""CREATE VIRTUAL TABLE search USING fts5(name, id UNINDEXED);
            CREATE TRIGGER search_i AFTER INSERT ON patient BEGIN
                INSERT INTO search(name, id) VALUES (NEW.full_name, NEW.id); END;
            CREATE TRIGGER search_u AFTER UPDATE ON patient BEGIN
                DELETE FROM search WHERE id = OLD.id;
                INSERT INTO search(name, id) VALUES (NEW.full_name, NEW.id); END;
            CREATE TRIGGER search_d AFTER DELETE ON patient BEGIN
                DELETE FROM search WHERE id = OLD.id; END""")
        found = lambda: two.sqlite3("SELECT group_concat(name) FROM search WHERE search MATCH 'asha'")
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                    "VALUES ('Asha Devi', 30, 1), ('Bina', 31, 1)")
        one.sync()
        two.sync()
        self.assertEqual(found(), "Asha Devi")
        one.sqlite3("UPDATE patient SET full_name = 'Asha Kumari' WHERE full_name = 'Asha Devi'")
        one.sync()
        two.sync()
        self.assertEqual(found(), "Asha Kumari")
        one.sqlite3("DELETE FROM patient WHERE full_name = 'Asha Kumari'")
        one.sync()
        two.sync()
        self.assertEqual(found(), "")
        self.assertEqual(two.status()["pending"], 0)

    def test_bad_ids_are_refused_by_sql_and_nothing_else_is(self):
        one = self.device()
        for sql in ("INSERT INTO patient(id, full_name) VALUES ('text', 'x')",
                    "INSERT INTO blood_pressure(patient_id, systolic_mmhg) VALUES (x'00', 1)"):
            with self.assertRaises(AssertionError):
                one.sqlite3(sql)
        one.sqlite3("INSERT INTO patient(full_name) VALUES ('')")
        with self.assertRaises(AssertionError):
            one.sqlite3("UPDATE patient SET id = randomblob(16)")
        result = one.sync()
        self.assertEqual(result["quarantined"], 1)
        self.assertEqual(one.status()["rejected"], 1)

    def test_R9_a_rejected_record_is_corrected_by_the_next_edit(self):
        one, two = self.device(), self.device()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                    "VALUES ('Asha', 130, 1), ('Bina', 31, 1)")
        result = one.sync()
        self.assertEqual((result["quarantined"], one.status()["rejected"]), (1, 1))
        self.assertEqual(one.sync()["pushed"], 0)
        self.assertEqual(one.sqlite3("SELECT age_years FROM patient WHERE full_name = 'Asha'"), "130")
        one.sqlite3("UPDATE patient SET age_years = 30 WHERE full_name = 'Asha'")
        result = one.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (1, 0))
        self.assertEqual(one.status()["rejected"], 0)
        two.sync()
        self.assert_same(one, two)


class Syncing(DeviceTest):
    def test_I8_a_caught_up_device_receives_nothing_in_one_round_trip(self):
        one, two = self.device(), self.device()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('A', 30, 1)")
        one.sync()
        two.sync()
        for device in (one, two):
            result = device.sync()
            self.assertEqual((result["pushed"], result["pulled"], result["round_trips"]), (0, 0, 1))
            self.assertLess(result["bytes_sent"] + result["bytes_received"], 1024)

    def test_importing_the_same_files_again_sends_nothing(self):
        self.server.run("import", "synthea", str(SYNTHEA))
        one = self.device()
        one.run("import", "synthea", str(SYNTHEA))
        result = one.sync()
        self.assertGreater(result["pushed"], 20)
        self.assertEqual(result["quarantined"], 0)
        one.run("import", "synthea", str(SYNTHEA))
        result = one.sync()
        self.assertEqual((result["pushed"], result["pulled"]), (0, 0))
        two = self.device()
        two.sync()
        self.assert_same(one, two)

    def test_R7_an_edit_during_the_push_stays_pending_and_arrives_next(self):
        one, two = self.device(relay=self.relay), self.device()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                    "VALUES ('First', 30, 1)")
        one.sync()
        one.sqlite3("UPDATE patient SET full_name = 'Second'")
        seq = self.last_seq()
        # Everything that leaves goes through, and every answer is held back.
        sync = self.sync_with_answers_held(one, seq)
        one.sqlite3("UPDATE patient SET full_name = 'Third'")
        self.relay.release()
        self.assertEqual(sync.wait(timeout=60), 0)
        sync.communicate()
        self.assertEqual(one.status()["pending"], 1)
        two.sync()
        self.assertEqual(two.sqlite3("SELECT full_name FROM patient"), "Second")
        self.assertEqual(one.sync()["pushed"], 1)
        two.sync()
        self.assertEqual(two.sqlite3("SELECT full_name FROM patient"), "Third")
        self.assert_same(one, two)

    def test_I2_a_reply_lost_after_the_commit_has_no_second_effect(self):
        one, two = self.device(relay=self.relay), self.device()
        one.sync()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                    "VALUES ('Once', 30, 1)")
        sync = self.sync_with_answers_held(one, 0)
        sync.kill()
        sync.communicate()
        self.relay.release()
        self.assertEqual(self.last_seq(), 1)
        self.assertEqual(one.status()["pending"], 1)
        result = one.sync()
        self.assertEqual((result["pushed"], result["conflicts"], result["quarantined"]), (1, 0, 0))
        self.assertEqual(self.last_seq(), 1)
        two.sync()
        self.assert_same(one, two)
        self.assertEqual(one.status()["pending"], 0)

    def test_two_devices_edit_one_patient_and_nothing_is_lost(self):
        one, two = self.device(), self.device()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                    "VALUES ('Asha', 30, 1)")
        one.sync()
        two.sync()
        one.sqlite3("UPDATE patient SET full_name = 'Asha Devi', zone = 'East'")
        two.sqlite3("UPDATE patient SET full_name = 'Asha Kumari', district = 'South'")
        one.sync()
        result = two.sync()
        self.assertEqual(result["pushed"], 1)
        one.sync()
        self.assert_same(one, two)
        self.assertEqual(one.sqlite3("SELECT full_name, zone, district FROM patient"),
                         "Asha Kumari|East|South")
        self.assertEqual(json.loads(self.server.run("status", "--json").stdout)["conflicts"], 1)
        id = one.sqlite3("SELECT lower(hex(id)) FROM patient")
        id = "-".join((id[:8], id[8:12], id[12:16], id[16:20], id[20:]))
        history = json.loads(self.server.run("history", "patient", id, "--json").stdout)["history"]
        self.assertEqual([h["changes"].get("full_name") for h in history],
                         ["Asha", "Asha Devi", "Asha Kumari"])


class Commands(DeviceTest):
    def test_wrong_lines_are_usage_errors(self):
        for program, words in (("outpost", []), ("outpost", ["nonsense"]), ("outpost", ["sync"]),
                               ("outpost", ["sync", "--no-such-option", "--db", "x"]),
                               ("outpostd", []), ("outpostd", ["nonsense"]), ("outpostd", ["serve"]),
                               ("outpostd", ["enrol", "--data", self.server.data])):
            done = subprocess.run([BIN / program, *words], capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, 64, (program, words, done.stderr))
            self.assertEqual(done.stdout, "")

    def test_every_command_has_help(self):
        for program in ("outpost", "outpostd"):
            listed = subprocess.run([BIN / program, "--help"], capture_output=True, text=True, check=True)
            for line in listed.stdout.splitlines():
                if line.strip().startswith(f"{program} "):
                    command = line.split()[1]
                    done = subprocess.run([BIN / program, command, "--help"], capture_output=True,
                                          text=True, check=True)
                    self.assertIn(command, done.stdout)

    def test_json_is_printed_on_failure_too(self):
        done = subprocess.run([BIN / "outpost", "sync", "--json", "--db", "/nonexistent/x.db"],
                              capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertTrue(json.loads(done.stdout)["error"]["message"])
        self.assertEqual(len(done.stderr.splitlines()), 1)
        done = self.server.run("enrol", "--facility", "nonsense", "--json", check=False)
        self.assertEqual(done.returncode, 64)
        self.assertTrue(json.loads(done.stdout)["error"]["message"])

    def test_enrolment_denied_exits_77_and_leaves_nothing(self):
        folder = tempfile.mkdtemp()
        db = os.path.join(folder, "x.db")
        done = subprocess.run([BIN / "outpost", "init", "--db", db, "--server",
                               f"localhost:{self.server.address.rsplit(':', 1)[1]}", "--ca",
                               f"{self.server.data}/ca.pem", "--code", "0000-0000-0000-0000-0000"],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 77, done.stderr)
        self.assertEqual(os.listdir(folder), [])
        shutil.rmtree(folder)

    def test_a_server_that_is_away_exits_75_and_keeps_everything(self):
        one = self.device()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('A', 30, 1)")
        self.server.stop()
        done = one.run("sync", check=False)
        self.assertEqual(done.returncode, 75, done.stderr)
        self.assertEqual(one.status()["pending"], 1)
        self.server.start()

    def test_a_revoked_device_exits_77_and_keeps_everything(self):
        one = self.device()
        one.sync()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('A', 30, 1)")
        self.server.run("device", "revoke", one.status()["device_id"])
        done = one.run("sync", check=False)
        self.assertEqual(done.returncode, 77, done.stderr)
        self.assertEqual(one.status()["pending"], 1)

    def test_init_overwrites_nothing(self):
        before = {p.name: p.read_bytes() for p in pathlib.Path(self.server.data).iterdir()
                  if p.suffix in (".ini", ".pem", ".key")}
        done = self.server.run("init", check=False)
        self.assertEqual(done.returncode, 65)
        self.assertEqual(before, {p.name: p.read_bytes() for p in pathlib.Path(self.server.data).iterdir()
                                  if p.suffix in (".ini", ".pem", ".key")})

    def test_a_missing_column_is_named(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        shutil.copytree(SYNTHEA, folder / "s")
        text = (folder / "s/organizations.csv").read_text()
        (folder / "s/organizations.csv").write_text(text.replace("STATE", "STAAT", 1))
        done = self.server.run("import", "synthea", str(folder / "s"), check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("organizations.csv", done.stderr)
        self.assertIn("STATE", done.stderr)
        shutil.rmtree(folder)


if __name__ == "__main__":
    unittest.main(verbosity=2)
