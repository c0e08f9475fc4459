"""Two roles on one database: the owner, used by init and migrate alone, and the one that serves.

Goal: whoever holds what a serving outpostd holds (its URI) can add to history and
cannot change or delete it, nor the tables, nor read the CA's key. Method: a real
server on that role serves a device and an administrator; then the stock psql tries
with the same role.

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
from peer import BIN, Outpostd, Peer, mutation, new_patient, new_reading, sql

DATABASE = os.environ["OUTPOST_TEST_POSTGRES"]


class Roles(unittest.TestCase):
    def setUp(self):
        self.name = "r" + uuid.uuid4().hex
        sql(DATABASE, f"CREATE ROLE {self.name} LOGIN; CREATE SCHEMA {self.name}")
        self.owner = f"{DATABASE}?options=-csearch_path%3D{self.name}"
        self.serving = self.owner.replace("outpost@", f"{self.name}@", 1)
        self.server = None

    def tearDown(self):
        if self.server:
            self.server.close()
        sql(DATABASE, f"DROP SCHEMA {self.name} CASCADE; DROP OWNED BY {self.name}; DROP ROLE {self.name}")

    def serve(self):
        self.server = Outpostd(store=("--store", self.serving, "--owner", self.owner)).start()
        region = self.server.add_region("North")
        self.facility = self.server.add_facility("One", region)
        self.far = self.server.add_facility("Two", self.server.add_region("South"))
        return Peer(self.server, self.facility)

    def refused(self, text):
        done = subprocess.run(["psql", "-X", "-q", "-d", self.serving, "-c", text], capture_output=True, text=True,
                              check=False)
        self.assertNotEqual(0, done.returncode, text)
        self.assertRegex(done.stderr, "permission denied|must be owner", text)

    def test_I6_the_serving_role_adds_to_history_and_cannot_change_it(self):
        peer = self.serve()
        patient = new_patient(peer.facility)
        reading = new_reading(patient.id, peer.facility)
        peer.sync([patient, reading])
        log = sql(self.owner, "SELECT count(*), max(encode(hash, 'hex')) FROM change_log")

        for text in ("UPDATE change_log SET version = version", "DELETE FROM change_log", "TRUNCATE change_log",
                     "DROP TABLE change_log", "ALTER TABLE change_log ADD COLUMN more integer",
                     "DELETE FROM mutation", "DELETE FROM conflict", "DELETE FROM device",
                     "CREATE TABLE another(id integer)", "CREATE TRIGGER t BEFORE INSERT ON change_log"
                     " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
                     "SELECT key FROM authority", "UPDATE authority SET key = ''", "UPDATE schema_migration SET name = ''",
                     f"GRANT DELETE ON change_log TO {self.name}; DELETE FROM change_log"):
            self.refused(text)
        self.assertEqual(log, sql(self.owner, "SELECT count(*), max(encode(hash, 'hex')) FROM change_log"))

    def test_everything_that_a_server_and_its_commands_do_works_in_the_serving_role(self):
        peer = self.serve()
        patient = new_patient(peer.facility)
        reading = new_reading(patient.id, peer.facility)
        peer.sync([patient, reading])
        # A conflict, a quarantined mutation, a family that moves out and leaves rows to be deleted.
        other = Peer(self.server, self.facility)
        other.sync()
        base = other.records[(patient.id, "patient", patient.id)]
        peer.sync([mutation("patient", patient.id, patient.id, base=base, full_name="A")])
        other.sync([mutation("patient", patient.id, patient.id, base=base, full_name="B")])
        other.sync([new_reading(patient.id, peer.facility, systolic=9000)])
        far = uuid.UUID(self.far).bytes
        newcomer = new_patient(peer.facility, assigned_facility_id=far)
        other.sync([newcomer])
        base = other.records[(newcomer.id, "patient", newcomer.id)]
        other.sync([mutation("patient", newcomer.id, newcomer.id, base=base, clear=["assigned_facility_id"])])
        status = json.loads(self.server.run("status", "--json").stdout)
        self.assertEqual((1, 1, 2), (status["conflicts"], status["quarantined"], status["devices"]))

        conflict = json.loads(self.server.run("conflict", "list", "--json").stdout)["conflicts"][0]
        self.server.run("conflict", "resolve", conflict["mutation_id"], "--take", "stored")
        quarantined = json.loads(self.server.run("quarantine", "list", "--json").stdout)["quarantined"][0]
        self.server.run("quarantine", "retry", quarantined["mutation_id"], check=False)
        self.server.run("quarantine", "discard", quarantined["mutation_id"], "--purge")
        self.server.run("device", "set", "--all", "push_batch=10")
        self.server.run("device", "set", "--all", "push_batch=")
        self.server.run("device", "revoke", str(uuid.UUID(bytes=peer.device_id)))
        self.server.run("facility", "close", self.far)
        self.server.run("verify")
        self.assertEqual(0, self.server.stop())
        self.server.start()
        other.server = self.server
        other.sync()

    def test_a_second_server_and_a_migration_need_the_owner(self):
        self.serve()
        for words, code in ((("migrate",), 65), (("migrate", "--owner", self.owner), 0)):
            done = self.server.run(*words, check=False)
            self.assertEqual(code != 0, done.returncode != 0, done.stderr)
            if code:
                self.assertIn("--owner", done.stderr)
                self.assertEqual(1, done.stderr.count("\n"))
        folder = os.path.join(self.server.folder, "second")
        words = [BIN / "outpostd", "init", "--data", folder, "--store", self.serving]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("--owner", done.stderr)
        subprocess.run([*words, "--owner", self.owner], capture_output=True, check=True)
        with open(os.path.join(folder, "ca.pem"), "rb") as own:
            self.assertEqual(self.server.ca, own.read())

    def test_one_role_for_both_is_said_and_the_same_role_twice_is_refused(self):
        folder = os.path.join("/tmp", self.name)
        words = [BIN / "outpostd", "init", "--data", folder, "--store", self.owner]
        try:
            done = subprocess.run([*words, "--owner", self.owner], capture_output=True, text=True, check=False)
            self.assertEqual(65, done.returncode, done.stderr)
            done = subprocess.run(words, capture_output=True, text=True, check=True)
            self.assertIn("one role", done.stderr)
            self.assertEqual(1, done.stderr.count("\n"))
        finally:
            subprocess.run(["rm", "-rf", folder], check=True)


if __name__ == "__main__":
    unittest.main()
