#!/usr/bin/python3
"""kill -9 of device and server, at seeded byte positions of the connection between them.

A world has 5,000 records, batches of 50 and four phases: device one pushes all
of them; device two makes its first sync (the snapshot); device one edits 1,000
readings and pushes; device two takes the tail. In each phase one attempt after
the other is killed, device or server, when a drawn number of bytes has passed
the relay in a drawn direction: in the handshake, a push, the answers, the
snapshot, the tail. A killed server starts again on its port. Worlds are made
until both victims were killed often enough; each world ends undisturbed.

Then: every record is on each side once, and as it was entered; no mutation that
device one counts as acknowledged is missing on the server; outboxes are empty;
all digests agree; both sides verify.

No page that was applied was fetched again. A killed sync reports nothing, so the
databases themselves are made to remember: triggers write a line to a log table
for every row that a page brings, for the cursor behind it, and where each of the
library's transactions begins and ends; a line stands if and only if what it tells
of was committed. Two things are then asked of the log. Every transaction that
brought rows moved the cursor, too: so whatever kill came when, the device never
asked for what it had applied. And the pages are, one for one, those of a device
that was never killed: a page sent again all the same would show as rows logged
twice or, because a record that is held already is not written again, as a page
with fewer rows than its batch.

    kill_test.py [--rounds N] [--seed S]      N kills of each victim (20)

What is drawn depends on the seed alone. When a kill takes effect is the
scheduler's business, and the verdict does not depend on it.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import random
import signal
import sqlite3
import sys
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from device import Device
from peer import Outpostd
from relay import TO_DEVICE, TO_SERVER, Relay

PATIENTS, READINGS_EACH, EDITS, BATCH = 1000, 4, 1000, 50
RECORDS = PATIENTS * (1 + READINGS_EACH)
ATTEMPT_TIMEOUT_S = 120
TRY_LATER = 75

# Byte positions by direction, from measurements: a handshake is 0.9 kB to the
# server and 1.2 kB to the device; 5,000 pushed are 400 kB, their answers 11 kB; a
# snapshot is 135 kB. Up to these positions, a phase takes about its share of kills.
HANDSHAKE = (1, 1400)
PHASES = {
    "push": {TO_SERVER: (800, 60000), TO_DEVICE: (1000, 2600)},
    "snapshot": {TO_DEVICE: (1000, 18000)},
    "edits": {TO_SERVER: (800, 18000), TO_DEVICE: (1000, 2000)},
    "tail": {TO_DEVICE: (1000, 9000)},
}
SHARES = {"push": 14, "snapshot": 14, "edits": 6, "tail": 6}

LOG_SQL = """
CREATE TABLE log(n INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, id BLOB, version INTEGER);
CREATE TRIGGER log_cursor AFTER UPDATE OF cursor ON outpost_state
    WHEN NEW.cursor <> OLD.cursor BEGIN INSERT INTO log(kind, id) VALUES ('cursor', NEW.cursor); END;
CREATE TRIGGER log_caught_up AFTER UPDATE OF token ON outpost_state
    BEGIN INSERT INTO log(kind) VALUES ('caught up'); END;
CREATE TRIGGER log_transaction AFTER UPDATE OF applying ON outpost_state
    BEGIN INSERT INTO log(kind) VALUES (CASE NEW.applying WHEN 1 THEN 'begin' ELSE 'end' END); END;
"""
LOG_ROW_SQL = """
CREATE TRIGGER log_{table}_{event} AFTER {event} ON {table}
    WHEN (SELECT applying FROM outpost_state) = 1
    BEGIN INSERT INTO log(kind, id, version) VALUES ('row', NEW.id, NEW.outpost_version); END;
"""


class Tally:
    """Kills so far, by victim and by where they were aimed."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.done = {"device": 0, "server": 0}
        self.where = {}

    def next_victim(self, rng):
        left = [v for v, n in self.done.items() if n < self.wanted]
        return rng.choice(left) if left else None

    def count(self, victim, where):
        self.done[victim] += 1
        self.where[where] = self.where.get(where, 0) + 1


class World:
    def __init__(self, seed, tally):
        self.rng = random.Random(seed)
        self.tally = tally
        self.server = Outpostd({"push_batch": BATCH, "pull_batch": BATCH})
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start()
        self.port = self.server.address.rsplit(":", 1)[1]
        self.relay = Relay(self.server.address)
        self.one = self._device(self.relay)
        self.two = self._device(self.relay)
        self.control = self._device(None)
        self.readings = []

    def close(self):
        self.relay.close()
        self.server.close()
        for device in (self.one, self.two, self.control):
            device.close()

    def _device(self, relay):
        device = Device(self.server, self.facility, relay=relay)
        db = sqlite3.connect(device.db)
        db.executescript(LOG_SQL + "".join(
            LOG_ROW_SQL.format(table=table, event=event)
            for table in ("patient", "blood_pressure", "facility", "sync_region")
            for event in ("INSERT", "UPDATE")))
        db.close()
        return device

    # ---- What the nurses do -----------------------------------------------------

    def enter_records(self):
        db = sqlite3.connect(self.one.db)
        with db:
            for n in range(PATIENTS):
                patient = self._id()
                db.execute("INSERT INTO patient(id, full_name, age_years, age_recorded_at_ms)"
                           " VALUES (?, ?, ?, 1600000000000)", (patient, f"Patient {n}", 20 + n % 70))
                for _ in range(READINGS_EACH):
                    reading = self._id()
                    self.readings.append((patient, reading))
                    db.execute("INSERT INTO blood_pressure(id, patient_id, systolic_mmhg,"
                               " diastolic_mmhg, recorded_at_ms) VALUES (?, ?, ?, ?, ?)",
                               (reading, patient, self.rng.randint(100, 200),
                                self.rng.randint(60, 99), 1600000000000 + n))
        db.close()

    def edit_readings(self):
        db = sqlite3.connect(self.one.db)
        with db:
            for patient, reading in self.rng.sample(self.readings, EDITS):
                db.execute("UPDATE blood_pressure SET systolic_mmhg = systolic_mmhg + 1"
                           " WHERE patient_id = ? AND id = ?", (patient, reading))
        db.close()

    def _id(self):
        return uuid.UUID(bytes=self.rng.randbytes(16), version=4).bytes

    # ---- Attempts -----------------------------------------------------------------

    def run_phase(self, name, device):
        """Syncs under kills until a sync is through or the phase has had its share."""
        for _ in range(SHARES[name]):
            victim = self.tally.next_victim(self.rng)
            if victim is None or self._attempt(name, device, victim):
                break
        self.relay.cut_after = self.relay.on_passed = None
        result = device.sync()
        assert result["caught_up"] and result["quarantined"] == 0, result

    def _draw(self, phase):
        if self.rng.random() < 0.2:
            return "handshake", (self.rng.choice((TO_SERVER, TO_DEVICE)), self.rng.randint(*HANDSHAKE))
        direction = self.rng.choice(sorted(PHASES[phase]))
        where = "answers" if phase in ("push", "edits") and direction == TO_DEVICE else phase
        return where, (direction, self.rng.randint(*PHASES[phase][direction]))

    def _attempt(self, phase, device, victim):
        """One sync with a kill in its way; true when it got through before the kill."""
        where, cut_after = self._draw(phase)
        # Half of the kills come at once, the others when what has passed was worked on.
        pause = self.rng.choice((0, self.rng.random() * 0.005))
        started, killed = threading.Event(), threading.Event()

        def kill():
            started.wait()
            time.sleep(pause)
            killed.set()
            os.kill((sync if victim == "device" else self.server.process).pid, signal.SIGKILL)

        self.relay.on_passed = kill
        self.relay.cut_after = cut_after
        sync = device.start("sync", "--json")
        started.set()
        _, errors = sync.communicate(timeout=ATTEMPT_TIMEOUT_S)
        allowed = (0, TRY_LATER, -signal.SIGKILL) if killed.is_set() else (0,)
        assert sync.returncode in allowed, (phase, victim, cut_after, sync.returncode, errors)
        if not killed.is_set():
            return True
        self.tally.count(victim, where)
        if victim == "server":
            assert self.server.stop(kill=True) == -signal.SIGKILL
            self.server.start(self.port)
        assert self.server.process.poll() is None, "the server ended by itself"
        return False

    # ---- What must hold -----------------------------------------------------------

    def check(self):
        self.server.run("verify")
        regions = json.loads(self.server.run("status", "--json").stdout)["regions"]
        (region,) = [r for r in regions if r["region_id"] == self.region]
        assert region["records"] == RECORDS, region
        assert region["last_seq"] == RECORDS + EDITS, region  # each mutation had its effect once
        expected = self._table_rows(self.one)
        for device in (self.one, self.two, self.control):
            device.run("verify")
            status = device.status()
            assert status["pending"] == status["rejected"] == 0, status
            assert device.sqlite3("SELECT count(*) FROM outpost_outbox") == "0"
            assert self._table_rows(device) == expected
            (own,) = [r for r in status["regions"] if r["region_id"] == self.region]
            assert own["digest"] == region["digest"], (own, region)
        self._check_acknowledged()
        assert self._pages(self.two) == self._pages(self.control), "a page was fetched again"
        self._check_cursors(self.one)

    @staticmethod
    def _table_rows(device):
        rows = device.rows("SELECT id, full_name, age_years FROM patient ORDER BY id") + device.rows(
            "SELECT patient_id, id, systolic_mmhg, diastolic_mmhg, recorded_at_ms, outpost_version"
            " FROM blood_pressure ORDER BY patient_id, id")
        assert len(rows) == RECORDS
        return rows

    def _check_acknowledged(self):
        """What device one keeps as acknowledged, against the server's file."""
        db = sqlite3.connect(self.one.db)
        acknowledged = {row[0] for row in db.execute("SELECT mutation_id FROM outpost_journal")}
        db.close()
        assert len(acknowledged) == RECORDS + EDITS, len(acknowledged)
        db = sqlite3.connect(f"file:{self.server.data}/outpost.db?mode=ro", uri=True)
        logged = [row[0] for row in db.execute("SELECT mutation_id FROM change_log WHERE region_id = ?",
                                               (uuid.UUID(self.region).bytes,))]
        db.close()
        assert len(logged) == len(set(logged)) and acknowledged == set(logged)

    @staticmethod
    def _log(device):
        db = sqlite3.connect(device.db)
        log = db.execute("SELECT kind, id, version FROM log ORDER BY n").fetchall()
        db.close()
        return log

    def _transactions(self, device):
        """The log by transactions of the library: (kinds, rows) of each."""
        kinds, rows = set(), []
        for kind, id, version in self._log(device):
            if kind == "row":
                rows.append((id, version))
            if kind == "end":
                yield kinds, rows
            if kind in ("begin", "end"):
                kinds, rows = set(), []
            else:
                kinds.add(kind)
        assert not rows

    def _pages(self, device):
        """The rows of each page applied. A CaughtUp may move the cursor, too, and comes as
        often as a sync gets through; it brings no rows."""
        pages = []
        for kinds, rows in self._transactions(device):
            assert "cursor" in kinds or not rows, "rows were applied without the cursor behind them"
            if "cursor" in kinds and "caught up" not in kinds:
                pages.append(rows)
        return pages

    def _check_cursors(self, device):
        """Once left, a place is never returned to."""
        cursors = [id for kind, id, _ in self._log(device) if kind == "cursor"]
        assert len(cursors) == len(set(cursors)), "a cursor came back"


def run_world(seed, tally):
    world = World(seed, tally)
    try:
        world.one.sync()  # which tells it the batch size
        world.enter_records()
        world.run_phase("push", world.one)
        world.control.sync()
        world.run_phase("snapshot", world.two)
        world.edit_readings()
        world.run_phase("edits", world.one)
        world.control.sync()
        world.run_phase("tail", world.two)
        world.one.sync()
        world.check()
    finally:
        world.close()


def main():
    parser = argparse.ArgumentParser(description="kill -9 at seeded byte positions")
    parser.add_argument("--rounds", type=int, default=20, help="kills of each victim")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.rounds} kills of each", flush=True)
    tally, worlds, began = Tally(options.rounds), 0, time.monotonic()
    while min(tally.done.values()) < options.rounds:
        seed = options.seed * 1_000_003 + worlds
        try:
            run_world(seed, tally)
        except BaseException:
            print(f"failed: --seed {options.seed}, world {worlds}", flush=True)
            raise
        worlds += 1
        print(f"world {worlds}: {tally.done['device']} device, {tally.done['server']} server kills",
              flush=True)
    print(f"kill: ok: seed {options.seed}, {worlds} worlds of {RECORDS} records, device killed "
          f"{tally.done['device']} times, server {tally.done['server']}, "
          + ", ".join(f"{where} {n}" for where, n in sorted(tally.where.items()))
          + f", {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
