"""outpostd copy: an installation moves from SQLite to PostgreSQL, and back.

Goal: devices go on where they were: no edit is sent again, nothing is downloaded again,
and what the server promised (tokens, receipts, conflicts, settings, codes) holds.
Method: real devices on a real server with a bit of everything in its store; copy; the
ini names the other store; the same devices sync.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from device import Device
from peer import BIN, Outpostd, Peer, mutation, new_patient, new_reading, sql

DATABASE = os.environ.pop("OUTPOST_TEST_POSTGRES")  # servers begin on SQLite here


def copy(source, target, *more):
    return subprocess.run([BIN / "outpostd", "copy", "--from", source, "--to", target, "--json", *more],
                          capture_output=True, text=True, check=False)


class Copy(unittest.TestCase):
    def setUp(self):
        self.schema = "c" + uuid.uuid4().hex
        sql(DATABASE, f"CREATE SCHEMA {self.schema}")
        self.target = f"{DATABASE}?options=-csearch_path%3D{self.schema}"
        self.server = Outpostd()
        self.facility = self.server.add_facility("One", self.server.add_region("North"))
        self.south = self.server.add_region("South")
        self.far = self.server.add_facility("Two", self.south)
        self.server.start()
        self.device = Device(self.server, self.facility)
        self.peer = Peer(self.server, self.facility)

    def tearDown(self):
        self.device.close()
        self.server.close()
        sql(DATABASE, f"DROP SCHEMA {self.schema} CASCADE")

    def live(self):
        """A bit of everything: records, a family in two regions and one that left, a conflict, a
        quarantined mutation, settings, a rollout, a code that nobody has used."""
        self.device.sqlite3("""INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('Asha', 50, 1);
                               INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                                   SELECT id, 140, 90 FROM patient""")
        self.device.sync()
        self.peer.sync()
        other = Peer(self.server, self.facility)
        other.sync()
        asha = next(r for r in other.records.values() if r.WhichOneof("body") == "patient")
        far = uuid.UUID(self.far).bytes
        mover, both = (new_patient(self.peer.facility, assigned_facility_id=far) for _ in range(2))
        self.peer.sync([mutation("patient", asha.id, asha.id, base=asha, full_name="Asha A"), mover, both])
        other.sync([mutation("patient", asha.id, asha.id, base=asha, full_name="Asha B"),
                    new_reading(asha.id, other.facility, systolic=9000)])
        base = other.records[(mover.id, "patient", mover.id)]
        other.sync([mutation("patient", mover.id, mover.id, base=base, clear=["assigned_facility_id"])])
        self.server.run("device", "set", "--all", "push_batch=77")
        self.server.run("rollout", "set", "2", "--percent", "100", "--hold", "patient.zone", "--device",
                        self.device.status()["device_id"])
        self.server.run("device", "allow", self.device.status()["device_id"], "--region", self.south)
        self.code = self.server.code(self.facility)
        self.peer.sync()
        self.device.sync()

    def state(self):
        """What operators see of the store."""
        status = json.loads(self.server.run("status", "--json").stdout)
        del status["store"]
        return [status] + [json.loads(self.server.run(*words, "--json").stdout) for words in (
            ("device", "list"), ("conflict", "list", "--all"), ("quarantine", "list", "--all"), ("region", "list"), ("rollout", "status"))]

    def point_at(self, store):
        path = pathlib.Path(self.server.data, "outpostd.ini")
        path.write_text("\n".join(f"store = {store}" if line.startswith("store =") else line
                                  for line in path.read_text().splitlines()) + "\n")

    def check_devices_go_on(self):
        result = self.device.sync()
        self.assertEqual((0, 0, True), (result["pushed"], result["pulled"], result["caught_up"]))
        self.peer.server = self.server
        self.peer.sync()
        self.assertEqual(0, sum(self.peer.pages))
        self.device.sqlite3("UPDATE patient SET full_name = full_name || '!' WHERE full_name LIKE 'Asha B%'")
        result = self.device.sync()
        self.assertEqual(1, result["pushed"])
        caught_up = self.peer.sync([new_patient(self.peer.facility)])
        self.assertEqual(1, sum(self.peer.pages))
        self.assertEqual(tuple(r.digest for r in caught_up.regions), self.peer.digests())
        self.device.sync()
        self.device.run("verify")
        self.server.run("verify")

    def test_devices_go_on_where_they_were_there_and_back(self):
        self.live()
        before = self.state()
        port = self.server.address.rsplit(":", 1)[1]
        self.assertEqual(0, self.server.stop())
        done = copy(f"sqlite:{self.server.data}", self.target)
        self.assertEqual(0, done.returncode, done.stderr)
        rows = json.loads(done.stdout)["rows"]
        for table in rows:
            source = self.server.sql(f"SELECT count(*) FROM {table}")
            self.assertEqual(int(source), rows[table], table)
        tables = set(self.server.sql("SELECT name FROM sqlite_master WHERE type = 'table'").split())
        self.assertEqual(tables - {"schema_migration"}, set(rows))
        self.assertTrue(all(rows.values()), rows)
        self.point_at(self.target)
        self.assertEqual(before, self.state())
        self.server.start(port)
        self.check_devices_go_on()
        Peer(self.server, self.facility, code=self.code).sync()

        # A second server of that database has the CA that the devices know.
        folder = os.path.join(self.server.folder, "second")
        subprocess.run([BIN / "outpostd", "init", "--data", folder, "--store", self.target], check=True,
                       capture_output=True)
        self.assertEqual(self.server.ca, pathlib.Path(folder, "ca.pem").read_bytes())

        # And back, into the folder's own file.
        before = self.state()
        self.assertEqual(0, self.server.stop())
        for path in pathlib.Path(self.server.data).glob("outpost.db*"):
            path.unlink()
        done = copy(self.target, f"sqlite:{self.server.data}")
        self.assertEqual(0, done.returncode, done.stderr)
        self.point_at("sqlite")
        self.assertEqual(before, self.state())
        self.server.start(port)
        self.check_devices_go_on()

    def test_what_is_there_stays(self):
        self.live()
        self.assertEqual(0, self.server.stop())
        source = f"sqlite:{self.server.data}/outpost.db"
        self.assertEqual(0, copy(source, self.target).returncode)
        before = sql(DATABASE, f"SELECT count(*) FROM {self.schema}.change_log")
        for words in ((source, self.target), (self.target, source)):
            done = copy(*words)
            self.assertEqual(65, done.returncode, done.stderr)
            self.assertIn("empty store", done.stderr)
        self.assertEqual(before, sql(DATABASE, f"SELECT count(*) FROM {self.schema}.change_log"))
        self.server.run("verify")
        for words in ((source, source), (self.target, self.target), ("sqlite:nowhere", self.target), (source, "x")):
            self.assertEqual(64, copy(*words).returncode, words)

    def test_a_copy_that_is_broken_off_leaves_nothing(self):
        self.live()
        self.assertEqual(0, self.server.stop())
        # The last table that is written fails: all others were before it.
        self.assertEqual(0, copy(f"sqlite:{self.server.data}", self.target).returncode)
        tables = sql(DATABASE, "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
                               f" WHERE schemaname = '{self.schema}' AND tablename NOT IN ('schema_migration', 'authority')")
        sql(DATABASE, f"TRUNCATE {tables}; ALTER TABLE {self.schema}.sync_region ADD CHECK (last_seq < 0)")
        self.assertNotEqual(0, copy(f"sqlite:{self.server.data}", self.target).returncode)
        for table in tables.split(", "):
            self.assertEqual("0", sql(DATABASE, f"SELECT count(*) FROM {table}"), table)


if __name__ == "__main__":
    unittest.main()
