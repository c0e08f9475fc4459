"""The schema and the SQL of the PostgreSQL engine, as a distributed database would take them.

Goal: a region stays self-contained (DESIGN: it shards as it is), without running a
distributed database. Method: the catalogue of a real database is asked after init;
the engine's SQL is read from its sources; the file for Citus is run against functions
of the same names that note what they are asked to spread.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from peer import ROOT, Outpostd

# What every node may read and a push only reads (device, setting), or does not touch.
REFERENCE = {"device", "device_region", "setting", "rollout", "rollout_switch", "rollout_device",
             "enrolment", "authority", "schema_migration"}
# Keyed by family, and one row a family: so that two first registrations of it meet (R16).
BY_FAMILY = {"family"}


class Catalogue(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Outpostd()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def rows(self, text):
        return [line.split("|") for line in self.server.sql(text).splitlines()]

    def tables(self):
        return {name for name, in self.rows("SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
                                            " AND relnamespace = current_schema()::regnamespace")}

    def first_columns(self):
        """table -> the first columns of its unique indexes, primary key among them."""
        found = {}
        for table, column in self.rows(
                "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid"
                " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
                " WHERE c.relnamespace = current_schema()::regnamespace AND (i.indisunique OR i.indisprimary)"):
            found.setdefault(table, set()).add(column)
        return found

    def test_every_key_of_what_a_push_writes_begins_with_its_region(self):
        first = self.first_columns()
        by_region = self.tables() - REFERENCE - BY_FAMILY
        self.assertTrue({"sync_region", "record", "change_log", "mutation"} <= by_region)
        for table in sorted(by_region):
            self.assertEqual({"region_id"}, first.get(table), table)
        self.assertEqual({"family_id"}, first["family"])

    def test_every_table_has_a_primary_key(self):
        with_key = {t for t, in self.rows("SELECT conrelid::regclass::text FROM pg_constraint WHERE contype = 'p'"
                                          " AND connamespace = current_schema()::regnamespace")}
        self.assertEqual(self.tables(), with_key)

    def test_no_triggers_sequences_foreign_keys_or_defaults_that_change(self):
        space = "current_schema()::regnamespace"
        self.assertEqual([], self.rows("SELECT tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
                                       f" WHERE c.relnamespace = {space}"))
        self.assertEqual([], self.rows(f"SELECT relname FROM pg_class WHERE relkind IN ('S', 'v', 'm') AND relnamespace = {space}"))
        self.assertEqual([], self.rows(f"SELECT conname FROM pg_constraint WHERE contype = 'f' AND connamespace = {space}"))
        self.assertEqual([], self.rows(f"SELECT proname FROM pg_proc WHERE pronamespace = {space}"))
        for table, default in self.rows("SELECT c.relname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d"
                                        f" JOIN pg_class c ON c.oid = d.adrelid WHERE c.relnamespace = {space}"):
            self.assertRegex(default, r"^(\d+|true|false|''::text|'\\x'::bytea)$", table)

    def test_the_file_for_citus_spreads_every_table_once_by_the_first_column_of_its_keys(self):
        self.server.sql(
            "CREATE TABLE pg_dist_partition(logicalrelid regclass);"
            "CREATE TABLE spread(name text, by_column text, together text);"
            "CREATE FUNCTION create_distributed_table(name regclass, by_column text, colocate_with text) RETURNS void"
            " LANGUAGE sql AS 'INSERT INTO spread VALUES ($1::text, $2, $3); INSERT INTO pg_dist_partition VALUES ($1)';"
            "CREATE FUNCTION create_distributed_table(name text, by_column text, colocate_with text) RETURNS void"
            " LANGUAGE sql AS 'SELECT create_distributed_table($1::regclass, $2, $3)';"
            "CREATE FUNCTION create_reference_table(name text) RETURNS void LANGUAGE sql AS"
            " 'INSERT INTO spread VALUES ($1, NULL, NULL); INSERT INTO pg_dist_partition VALUES ($1::regclass)';")
        try:
            for _ in range(2):  # the second time there is nothing left to spread
                self.server.run("migrate", "--distributed", "citus")
                spread = self.rows("SELECT name, coalesce(by_column, ''), coalesce(together, '') FROM spread")
                self.assertEqual(sorted(self.tables() - {"spread", "pg_dist_partition"}),
                                 sorted(name for name, _, _ in spread))
            self.assertEqual(REFERENCE, {name for name, column, _ in spread if column == ""})
            self.assertEqual(BY_FAMILY, {name for name, column, _ in spread if column == "family_id"})
            # One shard group for a region's rows, or a push would be a transaction of two workers.
            self.assertEqual({"none", "sync_region"}, {together for _, column, together in spread if column == "region_id"})
            self.assertEqual(["sync_region"], [n for n, c, t in spread if c == "region_id" and t == "none"])
        finally:
            self.server.sql("DROP TABLE pg_dist_partition, spread; DROP FUNCTION create_reference_table(text),"
                            " create_distributed_table(text, text, text), create_distributed_table(regclass, text, text)")

    def test_the_engine_asks_for_nothing_that_differs_between_nodes(self):
        forbidden = re.compile(r"\b(now|random|gen_random_uuid|uuid_generate_v4|nextval|currval|clock_timestamp|"
                               r"statement_timestamp|transaction_timestamp|txid_current|pg_current_xact_id|"
                               r"pg_current_snapshot|pg_\w*advisory\w*)\s*\(|"
                               r"\b(CURRENT_TIMESTAMP|CURRENT_DATE|LISTEN|NOTIFY|SERIAL|BIGSERIAL|IDENTITY|TRIGGER|"
                               r"REFERENCES|MERGE INTO)\b", re.I)
        sources = [p for p in (ROOT / "server").glob("*postgres*.c")] + list((ROOT / "server/sql/postgresql").glob("*.sql"))
        self.assertGreater(len(sources), 5)
        self.assertTrue(forbidden.search("SELECT now()"))
        for path in sources:
            self.assertEqual([], [f"{path.name}: {text}" for text in statements(path) if forbidden.search(text)])


def statements(path):
    """The SQL of a source: a .sql file without comments; the string literals of C."""
    text = path.read_text()
    if path.suffix == ".sql":
        return re.sub(r"--.*", "", text).split(";")
    literals = re.findall(r'"((?:[^"\\]|\\.)*)"', re.sub(r"/\*.*?\*/|#include.*", "", text, flags=re.S | re.M))
    return literals


if __name__ == "__main__":
    unittest.main()
