"""A server on a Citus cluster: OUTPOST_TEST_CITUS is the URI of a database on its coordinator.

Skipped, and said so, where there is none. What Citus asks of a schema is checked without
it by catalogue_test.py.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import sys
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

SKIPPED = 77  # SKIP_RETURN_CODE
DATABASE = os.environ.get("OUTPOST_TEST_CITUS")
if not DATABASE:
    print("SKIPPED: OUTPOST_TEST_CITUS names no Citus cluster", file=sys.stderr)
    sys.exit(SKIPPED)
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sql


class Distributed(unittest.TestCase):
    def setUp(self):
        self.schema = "d" + uuid.uuid4().hex
        sql(DATABASE, f"CREATE SCHEMA {self.schema}")
        self.server = Outpostd(store=("--store", f"{DATABASE}?options=-csearch_path%3D{self.schema},public"))
        self.server.run("migrate", "--distributed", "citus")
        self.regions = [self.server.add_region(n) for n in ("North", "South")]
        self.facilities = [self.server.add_facility("Clinic", r) for r in self.regions]
        self.server.start()

    def tearDown(self):
        self.server.run("verify")
        self.server.close()
        sql(DATABASE, f"DROP SCHEMA {self.schema} CASCADE")

    def test_tables_are_spread(self):
        spread = sql(DATABASE, "SELECT count(DISTINCT logicalrelid) FROM pg_dist_partition p JOIN pg_class c"
                               f" ON c.oid = p.logicalrelid WHERE c.relnamespace = '{self.schema}'::regnamespace")
        tables = sql(DATABASE, f"SELECT count(*) FROM pg_tables WHERE schemaname = '{self.schema}'")
        self.assertEqual(tables, spread)

    def test_devices_push_pull_and_agree_and_a_family_moves(self):
        north, south = (Peer(self.server, f) for f in self.facilities)
        patient = new_patient(north.facility)
        north.sync([patient, *(new_reading(patient.id, north.facility) for _ in range(20))])
        held = north.records[(patient.id, "patient", patient.id)]
        north.sync([mutation("patient", patient.id, patient.id, base=held, assigned_facility_id=south.facility)])
        for peer in (north, south):
            caught_up = peer.sync()
            self.assertEqual(tuple(r.digest for r in caught_up.regions), peer.digests())
            self.assertIn((patient.id, "patient", patient.id), peer.records)


if __name__ == "__main__":
    unittest.main()
