#!/usr/bin/python3
"""Long life: many syncs with edits; memory, descriptors and files stay flat.

OUTPOST_SYNCS says how many (ci/soak: 10,000). The server's memory and
descriptors are read at a third of the run and at its end; the first third is
for caches to fill. Files may grow by what history keeps of each edit, and by
nothing for a sync that changes nothing.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import time
import unittest

from device import Device
from peer import Outpostd

SYNCS = int(os.environ.get("OUTPOST_SYNCS", "300"))
SANITIZED = "asan" in os.environ.get("OUTPOST_BIN", "")
# Memory of an allocator's bins and of SQLite's page cache; a leak of 1 KB a
# sync would show as 6.6 MB in 10,000.
MEMORY_SLACK_KB = 3000 if not SANITIZED else 200_000  # sanitizers keep freed memory in quarantine
HISTORY_BYTES_PER_EDIT = 4000


def memory_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")


def descriptors(pid):
    """The least of a while: a connection that has just ended may still be open."""
    least = len(os.listdir(f"/proc/{pid}/fd"))
    for _ in range(50):
        time.sleep(.01)
        least = min(least, len(os.listdir(f"/proc/{pid}/fd")))
    return least


def size(*paths):
    return sum(os.path.getsize(p) for p in paths if os.path.exists(p))


class LongLife(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.facility = self.server.add_facility("Clinic", self.server.add_region("North"))
        self.server.start()
        self.device = Device(self.server, self.facility)

    def tearDown(self):
        self.device.close()
        self.server.close()

    def test_many_syncs_with_edits_keep_memory_descriptors_and_files_flat(self):
        self.device.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                            "VALUES ('Asha', 30, 1)")
        self.device.sync()
        edits, begin = 0, None
        for i in range(SYNCS):
            if i % 10 == 0:
                self.device.sqlite3(f"UPDATE patient SET zone = 'Zone {i}'")
                edits += 1
            result = self.device.sync()
            self.assertEqual((result["pushed"], result["pulled"]), (1 if i % 10 == 0 else 0, 0))
            if i == SYNCS // 3:
                begin = self.figures(edits)
        end = self.figures(edits)
        grown = {name: end[name] - begin[name] for name in end}
        print(f"\n{SYNCS} syncs, {edits} edits; from a third on: {grown}")
        self.assertEqual(grown["server_descriptors"], 0)
        self.assertLess(grown["server_memory_kb"], MEMORY_SLACK_KB)
        allowed = 65536 + grown["edits"] * HISTORY_BYTES_PER_EDIT
        self.assertLess(grown["server_file"], allowed)
        self.assertLess(grown["device_file"], allowed)
        self.assertLess(size(self.device.db + "-wal"), 8 << 20)
        self.assertLess(size(self.server.data + "/outpost.db-wal"), 8 << 20)
        self.device.run("verify")
        self.server.run("verify")

    def figures(self, edits):
        pid = self.server.process.pid
        return {"edits": edits, "server_memory_kb": memory_kb(pid),
                "server_descriptors": descriptors(pid),
                "server_file": size(self.server.data + "/outpost.db"),
                "device_file": size(self.device.db)}

    def test_SIGTERM_drains_a_sync_under_way(self):
        """The call that is open when the signal comes ends well; then the server exits 0."""
        self.device.sqlite3("""WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)
            INSERT INTO patient(full_name, age_years, age_recorded_at_ms) SELECT 'P' || i, 30, 1 FROM n""")
        sync = self.device.start("sync", "--json")
        seq = self.last_seq()
        while self.last_seq() == seq and sync.poll() is None:
            pass
        self.assertEqual(self.server.stop(), 0)
        out, err = sync.communicate(timeout=60)
        self.assertEqual(sync.returncode, 0, err)
        self.server.run("verify")

    def last_seq(self):
        status = json.loads(self.server.run("status", "--json").stdout)
        return max(r["last_seq"] for r in status["regions"] if r["name"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
