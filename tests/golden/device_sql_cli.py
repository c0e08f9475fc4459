#!/usr/bin/env python3
"""Goal: the device's tables serve whoever has nothing but the sqlite3 command-line tool.
Method: make them with the tool from the generated SQL (argument: device_sql_test, which prints
it), edit as a nurse would, and compare what the tool says. SQLITE3 names another tool."""

# SPDX-License-Identifier: Apache-2.0
import os
import pathlib
import subprocess
import sys
import tempfile

PATIENT = "x'0102030405064708890a0b0c0d0e0f00'"
MARKS = "SELECT type, hex(family_id) = hex(id), generation FROM outpost_pending ORDER BY type;"

# (SQL, what the tool prints)
STEPS = [
    (
        "SELECT count(*) = 4 * (SELECT count(*) FROM sqlite_master WHERE type = 'table'"
        "  AND name LIKE 'outpost_base_%') FROM sqlite_master WHERE type = 'trigger';",
        "1",
    ),
    ("PRAGMA user_version;", "0"),
    (f"INSERT INTO patient(id, full_name) VALUES ({PATIENT}, 'Anna'); {MARKS}", "10|1|1"),
    (
        f"INSERT INTO blood_pressure(patient_id, systolic_mmhg) VALUES ({PATIENT}, 120);"
        "SELECT length(id), substr(hex(id), 13, 1) FROM blood_pressure;" + MARKS,
        "16|4\n10|1|1\n13|0|1",
    ),
    (
        "UPDATE outpost_state SET applying = 1; DELETE FROM outpost_pending;"
        "UPDATE patient SET outpost_version = 1; UPDATE blood_pressure SET outpost_version = 1;"
        "UPDATE outpost_state SET applying = 0;" + MARKS,
        "",
    ),
    (
        f"REPLACE INTO patient(id, full_name) VALUES ({PATIENT}, 'Anne');"
        "SELECT full_name, outpost_version FROM outpost_base_patient;"
        "SELECT count(*) FROM blood_pressure;",
        "Anna|1\n1",
    ),
    (
        "PRAGMA recursive_triggers = ON;"
        f"REPLACE INTO patient(id, full_name) VALUES ({PATIENT}, 'Anneke');"
        "SELECT count(*) FROM blood_pressure;",
        "1",
    ),
    ("PRAGMA integrity_check;", "ok"),
    (
        "DELETE FROM patient; SELECT count(*) FROM blood_pressure;"
        "SELECT systolic_mmhg, outpost_version FROM outpost_base_blood_pressure;",
        "0\n120|1",
    ),
]


def main():
    sql = subprocess.run([sys.argv[1], "print"], capture_output=True, text=True, check=True).stdout
    tool = os.environ.get("SQLITE3", "sqlite3")
    with tempfile.TemporaryDirectory() as folder:
        database = pathlib.Path(folder, "device.db")
        for step, expected in [(sql, ""), *STEPS]:
            run = subprocess.run(
                [tool, "-batch", database], input=step, capture_output=True, text=True, check=False
            )
            if run.returncode != 0 or run.stderr or run.stdout.strip() != expected:
                print(f"{step[:500]}\nexpected:\n{expected}\nsaid:\n{run.stdout}{run.stderr}")
                return 1
    print(f"{len(STEPS)} steps as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())
