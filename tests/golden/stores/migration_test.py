#!/usr/bin/python3
"""Stores of earlier outpostds, brought up to date.

Goal: what a migration fills in by itself is right. Method: the recorded store (record.py) is
migrated; a device from which a record type is withheld agrees by digest, which rests on the sums
of each type that the migration counted; everything else is as `verify` wants it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import subprocess
import sys
import unittest
import uuid

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "blackbox"))
from peer import Outpostd, Peer, record_pb2, sql, sync_pb2  # noqa: E402

READING = 13


class RecordedStore(Outpostd):
    """A new data folder, with the recorded store in place of its own."""

    def __init__(self, version):
        super().__init__()
        if self.on_sqlite:
            path = pathlib.Path(self.data, "outpost.db")
            for old in path.parent.glob("outpost.db*"):
                old.unlink()
            text = (HERE / f"{version}.sqlite.sql").read_text()
            subprocess.run(["sqlite3", path], input=text, text=True, capture_output=True, check=True)
            return
        database = os.environ["OUTPOST_TEST_POSTGRES"]
        key = self.sql("SELECT * FROM authority").split("|")
        text = (HERE / f"{version}.postgresql.sql").read_text().replace("the_schema", self.schema)
        sql(database, f"DROP SCHEMA {self.schema} CASCADE")
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database], input=text, text=True,
                       capture_output=True, check=True)
        values = ", ".join("'" + value.replace("'", "''") + "'" for value in key)
        self.sql(f"INSERT INTO authority VALUES ({values})")


class Migration(unittest.TestCase):
    def test_types_are_counted_as_they_are(self):
        versions = sorted({path.name.split(".")[0] for path in HERE.glob("*.sql")})
        self.assertIn("0001", versions)
        for version in versions:
            with self.subTest(version=version):
                server = RecordedStore(version)
                try:
                    server.run("migrate")
                    server.run("verify")
                    server.run("rollout", "set", "2", "--percent", "0", "--hold", "blood_pressure", "--hold", "77")
                    server.start()
                    self.check(server)
                    server.run("verify")
                finally:
                    server.close()

    def test_what_was_answered_stays_known(self):
        """R11, for mutations that were stored before they lay by family: sent again, nothing is written."""
        server = RecordedStore("0002")
        try:
            server.run("migrate")
            server.start()
            count = "SELECT (SELECT count(*) FROM mutation) || ' ' || (SELECT count(*) FROM change_log)"
            before = server.sql(count)
            encoded = "hex(mutation)" if server.on_sqlite else "encode(mutation, 'hex')"
            sent = 0
            for facility in json.loads(server.run("facility", "list", "--json").stdout)["facilities"]:
                region = server.id_literal(uuid.UUID(facility["sync_region_id"]).bytes)
                rows = server.sql(f"SELECT {encoded} FROM change_log WHERE region_id = {region}"
                                  " AND length(mutation) > 0 ORDER BY seq").split()
                mutations = [record_pb2.Mutation.FromString(bytes.fromhex(row)) for row in rows]
                Peer(server, facility["facility_id"]).sync(mutations)
                sent += len(mutations)
            self.assertGreater(sent, 40)
            self.assertEqual(before, server.sql(count))
            server.stop()
            server.run("verify")
        finally:
            server.close()

    def test_what_was_decided_anew_since_counts(self):
        """R17: a retry after the migration writes where the family puts it; what stood before is not asked again."""
        server = RecordedStore("0002")
        try:
            server.run("migrate")
            server.start()
            encoded = "hex(mutation)" if server.on_sqlite else "encode(mutation, 'hex')"
            for facility in json.loads(server.run("facility", "list", "--json").stdout)["facilities"]:
                region = server.id_literal(uuid.UUID(facility["sync_region_id"]).bytes)
                (row,) = server.sql(f"SELECT {encoded} FROM quarantine WHERE region_id = {region}").split()
                refused = record_pb2.Mutation.FromString(bytes.fromhex(row))
                peer = Peer(server, facility["facility_id"])
                peer.sync([refused])
                self.assertEqual(sync_pb2.ANSWER_STATUS_QUARANTINED, peer.answers[0].status)
                family = server.id_literal(refused.family_id)
                server.sql("INSERT INTO mutation(region_id, mutation_id, status, reason, field, family_id) SELECT region_id,"
                           f" mutation_id, 1, 0, 0, {family} FROM mutation WHERE region_id = {region} AND status = 3")
                peer.sync([refused])
                self.assertEqual(1, len(peer.answers))
                self.assertNotEqual(sync_pb2.ANSWER_STATUS_QUARANTINED, peer.answers[0].status)
        finally:
            server.close()

    def check(self, server):
        facilities = json.loads(server.run("facility", "list", "--json").stdout)["facilities"]
        self.assertEqual(2, len(facilities))
        for facility in facilities:
            peer = Peer(server, facility["facility_id"])
            caught_up = peer.sync()
            self.assertEqual([READING, 77], list(peer.welcome.withheld_types))
            self.assertEqual(tuple(r.digest for r in caught_up.regions), peer.digests())
            own = [r for r in peer.records.values() if r.family_id]
            self.assertEqual({"patient", "patient_phone", "patient_identifier"}, {r.WhichOneof("body") for r in own})
            self.assertEqual(len(own), caught_up.regions[1].records)
        status = json.loads(server.run("status", "--json").stdout)
        # 5 patients, 14 readings, a phone, an identifier, one of type 77 in each.
        self.assertEqual([22, 22], [r["records"] for r in status["regions"][1:]])


if __name__ == "__main__":
    unittest.main()
