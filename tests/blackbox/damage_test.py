#!/usr/bin/python3
"""Disks that are full, files that cannot be written or are damaged.

Whatever becomes of a file, a program ends with an exit code and one line, never
by a signal; what the other side holds stays whole; and with a good file and
room on the disk everything goes on.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import unittest

from bad_input_test import PATIENT, BadInputTest
from device_test import SYNTHEA
from disk import Disk
from peer import BIN, Outpostd

# Room left, in kB. A push, an answer and a page each grow the write-ahead log by more.
ROOM_KB = (0, 4, 12, 40, 100, 200, 320, 600, 1200, 4000)
PATIENTS = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60)
    INSERT INTO patient(full_name, age_years, age_recorded_at_ms, street_address)
    SELECT '{}', 30, 1, hex(zeroblob(200)) FROM n"""
SEED = int(os.environ.get("OUTPOST_SEED", "20240229"))


class FullDisk(BadInputTest):
    def setUp(self):
        self.disk = Disk()
        self.addCleanup(self.disk.close)
        super().setUp()

    def count(self, device):
        return int(device.sqlite3("SELECT count(*) FROM patient"))

    def test_of_the_device_at_every_phase(self):
        one, two = self.device(within=self.disk.folder), self.device()
        codes, patients = [], 0
        for room_kb in ROOM_KB:
            one.sqlite3(PATIENTS.format("one"))
            two.sqlite3(PATIENTS.format("two"))
            two.sync()
            patients = self.count(one)
            self.disk.leave(room_kb)
            done = one.run("sync", check=False, **self.disk.how)
            codes.append(done.returncode)
            if done.returncode != 0:
                self.assert_refused(done, 74, "room")
            self.disk.enough()
            self.assertGreaterEqual(self.count(one), patients)
            self.assert_agree(one, two)
            self.assertEqual(self.count(one), self.count(two))
        self.assertEqual(self.count(one), 120 * len(ROOM_KB))
        self.assertEqual((codes[0], codes[-1]), (74, 0))
        self.assert_same(one, two)

    def test_of_the_device_before_it_is_one_and_at_an_import(self):
        one = self.device(within=self.disk.folder)
        for room_kb in ROOM_KB:
            self.disk.leave(room_kb)
            done = one.run("import", "synthea", str(SYNTHEA), check=False, **self.disk.how)
            if done.returncode != 0:
                self.assert_refused(done, 74, "room")
                self.disk.enough()
                self.assertEqual(self.count(one), 0)
            self.disk.leave(room_kb)
            db = os.path.join(self.disk.folder, f"{room_kb}.db")
            code = self.server.code(self.facility)
            init = [BIN / "outpost", "init", "--db", db, "--server",
                    f"localhost:{self.server.address.rsplit(':', 1)[1]}", "--ca",
                    f"{self.server.data}/ca.pem", "--code", code]
            done = subprocess.run(init, capture_output=True, text=True, check=False, **self.disk.how)
            if done.returncode != 0:
                self.assert_refused(done, 74, "room")
                self.assertFalse(os.path.exists(db))
            self.disk.enough()
        self.assertEqual(done.returncode, 0)
        one.run("import", "synthea", str(SYNTHEA))
        self.assert_agree(one)

    def test_of_the_server_at_every_phase(self):
        self.server.close()
        self.server = Outpostd(within=self.disk.folder)
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start(**self.disk.how)
        one, two = self.device(), self.device()
        codes = []
        for room_kb in ROOM_KB:
            one.sqlite3(PATIENTS.format("one"))
            self.disk.leave(room_kb)
            self.disk.limit(self.server.process)
            done = one.run("sync", check=False)
            codes.append(done.returncode)
            if done.returncode != 0:
                self.assert_refused(done, 75, "server", "try")
            self.assert_refused_or_done(self.server.run("region", "add", "name=Full", check=False,
                                                        **self.disk.how))
            self.assertIsNone(self.server.process.poll())
            self.disk.enough()
            self.disk.limit(self.server.process)
            self.assert_agree(one, two)
            self.server.run("verify")
        self.assertEqual(self.count(two), 60 * len(ROOM_KB))
        self.assertEqual((codes[0], codes[-1]), (75, 0))
        self.assert_same(one, two)

    def assert_refused_or_done(self, done):
        if done.returncode != 0:
            self.assertIn(done.returncode, (74, 75))
            self.assert_refused(done, done.returncode, "server")

    def test_of_the_server_before_it_is_one(self):
        for room_kb in (4, 8, 12, 16, 40, 100, 600):
            data = os.path.join(self.disk.folder, f"data{room_kb}")
            init = [BIN / "outpostd", "init", "--data", data]
            self.disk.leave(room_kb)
            done = subprocess.run(init, capture_output=True, text=True, check=False, **self.disk.how)
            self.disk.enough()
            if done.returncode != 0:
                self.assert_refused(done, 74)
                subprocess.run(init, capture_output=True, check=True)  # goes on where that one was
            serve = subprocess.Popen([BIN / "outpostd", "serve", "--data", data, "--listen",
                                      "127.0.0.1:0"], stdout=subprocess.PIPE,
                                     stderr=subprocess.DEVNULL, text=True)
            self.assertIn("listening", serve.stdout.readline())
            serve.terminate()
            serve.communicate()
            self.assertEqual(sorted(os.listdir(data)), ["ca.key", "ca.pem", "outpost.db", "outpostd.ini",
                                                        "server.key", "server.pem"])


class ReadOnly(BadInputTest):
    """Root may write everything: the programs run as nobody then."""

    def as_nobody(self):
        if os.geteuid() != 0:
            return {}
        return {"user": 65534, "group": 65534, "extra_groups": []}

    def test_a_file_or_a_folder_that_cannot_be_written(self):
        if os.geteuid() == 0 and subprocess.run([BIN / "outpost", "--help"], capture_output=True,
                                                check=False, **self.as_nobody()).returncode != 0:
            self.skipTest("nobody may not run the programs")
        one = self.device()
        one.sqlite3(PATIENT.format("Asha"))
        os.chmod(one.db, 0o444)
        os.chmod(one.folder, 0o555)
        for words in (["sync"], ["status"], ["verify"], ["sql", "DELETE FROM patient"],
                      ["facility", self.facility], ["import", "synthea", str(SYNTHEA)]):
            with self.subTest(words=words):
                self.assert_refused(one.run(*words, check=False, **self.as_nobody()), 74, "check")
        os.chmod(one.folder, 0o755)
        os.chmod(one.db, 0o644)
        self.assertEqual(one.status()["pending"], 1)
        self.assert_agree(one)

    def test_a_store_that_cannot_be_read(self):
        os.chmod(self.server.data, 0)
        for words in (["status"], ["serve", "--listen", "127.0.0.1:0"]):
            done = self.server.run(*words, check=False, timeout=60, **self.as_nobody())
            self.assert_refused(done, 74, self.server.data, "check")
        os.chmod(self.server.data, 0o700)

    def test_nobody_else_may_read_what_was_made(self):
        one = self.device()
        one.sqlite3(PATIENT.format("Asha"))
        data = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, data)
        os.chmod(data, 0o755)
        subprocess.run([BIN / "outpostd", "init", "--data", data], capture_output=True, check=True)
        for folder in (data, one.folder):
            for path in pathlib.Path(folder).iterdir():
                public = path.name in ("ca.pem", "server.pem")
                self.assertEqual(path.stat().st_mode & 0o777, 0o644 if public else 0o600, path)


# ---- Damage -----------------------------------------------------------------------

def damage(path, chance, how):
    """One fault of a file: cut short, a bit turned, or a stretch of zeros or noise."""
    data = bytearray(pathlib.Path(path).read_bytes())
    place = chance.randrange(len(data))
    if how == "cut":
        del data[place:]
    elif how == "bit":
        data[place] ^= 1 << chance.randrange(8)
    elif how == "zeros":
        data[place:place + 512] = bytes(len(data[place:place + 512]))
    elif how == "noise":
        data[place:place + 64] = chance.randbytes(len(data[place:place + 64]))
    pathlib.Path(path).write_bytes(data)
    return f"seed {SEED}, {how} at {place}"


# What a sync that ends well may tell: the region was mended.
NEWS = ("outpost: region ", "outpost: stamps or sums ")
HOWS = ("cut", "bit", "bit", "zeros", "noise")


class Damage(BadInputTest):
    def assert_ended_well(self, done, what):
        self.assertIn(done.returncode, (0, 65, 70, 74, 75, 77), f"{what}: {done.stderr}")
        errors = [line for line in done.stderr.splitlines() if not line.startswith(NEWS)]
        self.assertEqual(len(errors), int(done.returncode != 0), f"{what}: {done.stderr}")

    def forget_tokens(self):
        """The server takes any copy for the device again."""
        subprocess.run(["sqlite3", f"{self.server.data}/outpost.db", ".timeout 10000",
                        "UPDATE device SET token = x'', token_previous = x''"], check=True)

    def sweep(self, pending, rounds):
        one, two = self.device(), self.device()
        one.run("import", "synthea", str(SYNTHEA))
        one.sync()
        two.sync()
        if pending:
            one.sqlite3("UPDATE patient SET zone = 'edited'")
        one.sqlite3("PRAGMA wal_checkpoint(TRUNCATE)")
        before, seq = two.rows("SELECT * FROM patient"), self.last_seq()
        good, chance, codes = one.db, random.Random(SEED + pending), []
        one.db = os.path.join(one.folder, "damaged.db")
        for i in range(rounds):
            for ending in ("", "-wal", "-shm"):
                pathlib.Path(one.db + ending).unlink(missing_ok=True)
            shutil.copy(good, one.db)
            what = damage(one.db, chance, HOWS[i % len(HOWS)])
            for words in (["status"], ["verify"], ["sql", "SELECT count(full_name) FROM patient"],
                          ["sync"], ["verify"]):
                done = one.run(*words, check=False, timeout=60)
                self.assert_ended_well(done, f"{what}: {words}")
                codes.append(done.returncode)
            self.forget_tokens()
        self.assertIn(0, codes)
        self.assertIn(65, codes)
        self.server.run("verify")
        if not pending:
            self.assertEqual(self.last_seq(), seq)
            two.sync()
            self.assertEqual(two.rows("SELECT * FROM patient"), before)
        one.db = good
        self.assert_agree(one, two)

    def test_a_damaged_device_ends_with_a_status_and_spoils_nothing(self):
        self.sweep(pending=0, rounds=40)

    def test_a_damaged_device_with_edits_ends_with_a_status(self):
        self.sweep(pending=1, rounds=25)

    def test_a_damaged_value_is_found_by_verify(self):
        one = self.device()
        one.sqlite3(PATIENT.format("Unmistakable"))
        one.sync()
        one.sqlite3("PRAGMA wal_checkpoint(TRUNCATE)")
        path = pathlib.Path(one.db)
        good = path.read_bytes()
        path.write_bytes(good.replace(b"Unmistakable", b"Unmistakeble"))
        done = one.run("verify", "--json", check=False)
        self.assert_refused(done, 65, "patient")
        self.assertEqual(json.loads(done.stdout)["damaged"], 1)
        path.write_bytes(good)
        self.assert_agree(one)

    def test_a_damaged_store_ends_with_a_status_and_no_device_loses_anything(self):
        """A store that has lost records tells its devices so, and they take them away; once the backup is
        there, each phone has again what was written on it, and has given it back (R22)."""
        one = self.device()
        one.run("import", "synthea", str(SYNTHEA))
        one.sync()
        one.sqlite3("UPDATE patient SET zone = 'edited'; PRAGMA wal_checkpoint(TRUNCATE)")
        pending = one.status()["pending"]
        port = self.server.address.rsplit(":", 1)[1]
        self.assertEqual(self.server.stop(), 0)
        store = pathlib.Path(self.server.data, "outpost.db")
        good, good_device = store.read_bytes(), pathlib.Path(one.db).read_bytes()
        chance, codes = random.Random(SEED), []
        for i in range(25):
            what = damage(store, chance, HOWS[i % len(HOWS)])
            for words in (["status"], ["verify"], ["facility", "list"], ["quarantine", "list"]):
                done = self.server.run(*words, check=False, timeout=60)
                self.assert_ended_well(done, f"{what}: {words}")
                codes.append(done.returncode)
            self.serve_damaged(one, port, what)
            self.put_back(store, good)
            self.server.start(port)
            one.sync()
            self.assertEqual(int(one.sqlite3("SELECT count(*) FROM patient WHERE zone = 'edited'")), pending,
                             what)
            self.assertEqual(self.server.stop(), 0)
            self.put_back(store, good)
            self.put_back(pathlib.Path(one.db), good_device)
        self.assertIn(0, codes)
        self.assertTrue({65, 74} & set(codes))
        self.server.start(port)
        self.assert_agree(one)

    @staticmethod
    def put_back(path, content):
        for ending in ("-wal", "-shm"):
            pathlib.Path(f"{path}{ending}").unlink(missing_ok=True)
        path.write_bytes(content)

    def serve_damaged(self, device, port, what):
        run = subprocess.Popen([BIN / "outpostd", "serve", "--data", self.server.data, "--listen",
                                f"127.0.0.1:{port}"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if run.stdout.readline().startswith("listening on"):
            done = device.run("sync", check=False, timeout=60)
            self.assert_ended_well(done, f"{what}: sync")
            self.assertIsNone(run.poll(), what)
            run.send_signal(signal.SIGTERM)
            _, stderr = run.communicate(timeout=60)
            self.assertEqual(run.returncode, 0, f"{what}: {stderr}")
        else:
            _, stderr = run.communicate(timeout=60)
            self.assertIn(run.returncode, (65, 70, 74), f"{what}: {stderr}")
            self.assertEqual(len(stderr.splitlines()), 1, f"{what}: {stderr}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
