#!/usr/bin/python3
"""I10: no line, log or file besides the databases holds a record's values.

A token that occurs nowhere else is written into every text field of every
record type. Then everything that makes the programs talk happens: rejections,
conflicts, a kill, an app's trigger that quotes the value, a damaged store, a
damaged device, bad files to import. At last the token is looked for in all that
was said and in every file that is no database.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import uuid

from bad_input_test import BadInputTest
from device_test import SYNTHEA

TOKEN = "Zq7canary9xW"
DATABASES = (".db", ".db-wal", ".db-shm")


def page_bytes(file):
    """Of a SQLite file, from its header."""
    return int.from_bytes(file[16:18], "big")


class Canary(BadInputTest):
    def setUp(self):
        super().setUp()
        self.said = []

    def run_and_keep(self, program, *words):
        done = program.run(*words, check=False, timeout=60)
        self.said.append(done.stdout + done.stderr)
        return done

    def plant(self, device, table, **values):
        """A row with the token in every text column that values does not name."""
        columns = [line.split("|") for line in device.sqlite3(
            f"SELECT name, type FROM pragma_table_info('{table}')").splitlines()]
        for name, kind in columns:
            if kind == "TEXT" and not name.startswith("outpost_"):
                values.setdefault(name, f"'{TOKEN}'")
        names = ", ".join(f'"{name}"' for name in values)
        device.sqlite3(f"INSERT INTO {table}({names}) VALUES ({', '.join(values.values())})")
        return sum(TOKEN in value for value in values.values())

    def plant_everywhere(self, device):
        id = f"x'{uuid.uuid4().hex}'"
        region = f"x'{uuid.UUID(self.region).hex}'"
        of_type = {"patient": {"id": id, "date_of_birth": "'1970-01-31'"},
                   "facility": {"sync_region_id": region}, "sync_region": {},
                   "blood_pressure": {"patient_id": id, "systolic_mmhg": "140", "diastolic_mmhg": "90"}}
        tables = device.status()["records"]
        for table in tables:
            self.plant(device, table, **of_type.get(table, {"patient_id": id}))
        # And once more with what the server refuses: the token as a date, a field beyond its range.
        self.assertGreater(self.plant(device, "patient"), 8)
        self.plant(device, "facility", sync_region_id=region, latitude="1000")
        return id

    def test_I10_values_stay_in_the_databases(self):
        one, two = self.device(admin=True), self.device(relay=self.relay)
        id = self.plant_everywhere(one)
        result = json.loads(self.run_and_keep(one, "sync", "--json").stdout)
        self.assertEqual((result["caught_up"], result["quarantined"]), (True, 2))
        two.sync()
        self.conflict(one, two, id)
        self.kill_in_the_middle(two)
        self.trigger_that_quotes(one, two, id)
        self.bad_files(one)
        self.damaged_store(one)
        self.damaged_device(two)
        for words in (["quarantine", "list", "--json"], ["quarantine", "list"], ["device", "list"], ["verify"],
                      ["history", "patient", str(uuid.uuid4())],
                      ["facility", "add", f"name={TOKEN}", f"zone={TOKEN}"],
                      ["facility", "add", f"name={TOKEN}", "latitude=1000"]):
            self.run_and_keep(self.server, *words)
        for words in (["status", "--json"], ["status"], ["verify", "--json"], ["sync", "--json"]):
            self.run_and_keep(one, *words)
        # The search can find it: where people ask for values, they get them.
        for form in (["--json"], []):
            shown = self.server.run("history", "patient", str(uuid.UUID(id[2:-1])), *form).stdout
            self.assertIn(TOKEN, shown)
        self.assert_nowhere(one, two)

    def conflict(self, one, two, id):
        for device, name in ((one, "one"), (two, "two")):
            device.sqlite3(f"UPDATE patient SET full_name = '{TOKEN} {name}', zone = '{TOKEN} {name}' "
                           f"WHERE id = {id}")
        for device in (one, two, one):
            self.assertEqual(self.run_and_keep(device, "sync").returncode, 0)
        self.assertEqual(json.loads(self.server.run("status", "--json").stdout)["conflicts"], 1)

    def kill_in_the_middle(self, device):
        device.sqlite3(f"UPDATE patient SET district = '{TOKEN} killed'")
        seq = self.last_seq()
        sync = self.sync_with_answers_held(device, seq)
        sync.kill()
        self.said.append("".join(sync.communicate()))
        self.relay.release()
        self.run_and_keep(device, "sync")

    def trigger_that_quotes(self, one, two, id):
        """An app's trigger refuses the pulled row with the value in its message."""
        two.sqlite3("CREATE TRIGGER app BEFORE UPDATE ON patient BEGIN SELECT CASE WHEN "
                    f"NEW.state = '{TOKEN} trigger' THEN RAISE(ABORT, '{TOKEN}') END; END")
        one.sqlite3(f"UPDATE patient SET state = '{TOKEN} trigger' WHERE id = {id}")
        one.sync()
        self.assertNotEqual(self.run_and_keep(two, "sync").returncode, 0)
        two.sqlite3("DROP TRIGGER app")
        self.assertEqual(self.run_and_keep(two, "sync").returncode, 0)

    def bad_files(self, device):
        for file, change in (("patients.csv", lambda line: line.replace(",", f',"{TOKEN}', 1)),
                             ("patients.csv", lambda line: line.replace("-", TOKEN)),
                             ("observations.csv", lambda line: line.replace("T", TOKEN)),
                             ("encounters.csv", lambda line: line.replace("-", TOKEN))):
            folder = pathlib.Path(tempfile.mkdtemp())
            shutil.copytree(SYNTHEA, folder / "export")
            lines = (folder / "export" / file).read_text().splitlines()
            lines[1:] = map(change, lines[1:])
            (folder / "export" / file).write_text("\n".join(lines) + "\n")
            done = self.run_and_keep(device, "import", "synthea", str(folder / "export"))
            self.assertEqual(done.returncode, 65, done.stderr)
            shutil.rmtree(folder)

    def damaged_store(self, device):
        """The first page of every table that holds records is spoilt (not those that a starting server reads)."""
        device.sqlite3(f"UPDATE patient SET country = '{TOKEN} damaged'")
        port = self.server.address.rsplit(":", 1)[1]
        self.server.stop()
        store = pathlib.Path(self.server.data, "outpost.db")
        good = store.read_bytes()
        pages = subprocess.run(["sqlite3", store, "SELECT rootpage FROM sqlite_schema WHERE type = 'table' "
                                "AND name NOT IN ('schema_migration', 'sqlite_schema', 'device', "
                                "'device_region', 'enrolment')"],
                               capture_output=True, text=True, check=True).stdout.split()
        bad = bytearray(good)
        for at in (page_bytes(good) * (int(page) - 1) for page in pages):
            bad[at:at + 10 * len(TOKEN)] = 10 * TOKEN.encode()
        store.write_bytes(bad)
        self.server.start(port)
        self.assertNotEqual(self.run_and_keep(device, "sync").returncode, 0)
        for words in (["verify"], ["history", "patient", str(uuid.uuid4())], ["quarantine", "list"]):
            self.run_and_keep(self.server, *words)
        self.server.stop()
        for ending in ("-wal", "-shm"):
            pathlib.Path(str(store) + ending).unlink(missing_ok=True)
        store.write_bytes(good)
        self.server.start(port)
        self.assertEqual(self.run_and_keep(device, "sync").returncode, 0)

    def damaged_device(self, device):
        device.sqlite3("PRAGMA wal_checkpoint(TRUNCATE)")
        path = pathlib.Path(device.db)
        good = path.read_bytes()
        page = page_bytes(good)
        for start in (0, page):
            path.write_bytes(good[:start + 100] + b"".join(
                TOKEN.encode() * 20 + good[at + 240:at + page] for at in range(start + 100, len(good), page)))
            for words in (["status"], ["verify"], ["sync"]):
                self.assertNotEqual(self.run_and_keep(device, *words).returncode, 0)
            for ending in ("-wal", "-shm"):
                pathlib.Path(device.db + ending).unlink(missing_ok=True)
        path.write_bytes(good)

    def assert_nowhere(self, *devices):
        raw = TOKEN.encode()
        forms = (raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)[:12])
        for text in self.said:
            for form in forms:
                self.assertNotIn(form.decode(), text)
        searched, databases = 0, 0
        for folder in (self.server.folder, *(device.folder for device in devices)):
            for path in pathlib.Path(folder).rglob("*"):
                if not path.is_file():
                    continue
                data = path.read_bytes()
                if path.name.endswith(DATABASES):
                    databases += raw in data
                    continue
                searched += 1
                self.assertFalse(path.name.startswith("core"), path)
                for form in forms:
                    self.assertNotIn(form, data, path)
        self.assertGreaterEqual(searched, 7)  # the log, the keys, the settings
        self.assertGreaterEqual(databases, 3)
        self.assertGreater(os.path.getsize(os.path.join(self.server.folder, "log")), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
