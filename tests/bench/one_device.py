"""One device and one server over TLS: pushes, first syncs, syncs of little and of nothing.

Nothing is asserted but that every sync caught up and that both ends verify. Wall time is noisy on a
shared machine; what the same minutes' floor is beside it, and CPU per record, are what to compare.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from device import Device  # noqa: E402
from figures import Figure  # noqa: E402
from peer import BIN, Outpostd  # noqa: E402
from processes import cpu_s, peak_mb  # noqa: E402
from records import Register  # noqa: E402

RECORDS, MANY_RECORDS = 50_000, 1_000_000
RESYNC_SIZES = (10_000, 100_000, MANY_RECORDS)
RESYNC_CHANGES, RESYNC_ROUNDS = 100, 9


def measure(server, device, records):
    """One `outpost sync`: its own result, CPU on both sides, peak memory."""
    before = cpu_s(server.process.pid)
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([BIN / "outpost", "sync", "--json", "--db", device.db], stdout=out)
        device_peak_mb = 0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            device_peak_mb = max(device_peak_mb, peak_mb(process.pid))
            time.sleep(.002)
        wall = time.monotonic() - started
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        result = json.loads(out.read())
    if process.returncode != 0 or not result["caught_up"]:
        raise SystemExit(f"bench: a sync failed: {result['error']}")
    device_cpu, server_cpu = usage.ru_utime + usage.ru_stime, cpu_s(server.process.pid) - before
    return {
        "wall_s": wall, "device_cpu_s": device_cpu, "server_cpu_s": server_cpu,
        "records_per_s": records / wall,
        "device_cpu_us_per_record": device_cpu * 1e6 / max(records, 1),
        "server_cpu_us_per_record": server_cpu * 1e6 / max(records, 1),
        "sent_bytes_per_record": result["bytes_sent"] / max(records, 1),
        "received_bytes_per_record": result["bytes_received"] / max(records, 1),
        "device_peak_mb": device_peak_mb, "server_peak_mb": peak_mb(server.process.pid),
        "round_trips": result["round_trips"],
        "bytes": result["bytes_sent"] + result["bytes_received"],
        "handshake_bytes": result["handshake_bytes"],
    }


def median(measured, name):
    return statistics.median(one[name] for one in measured)


def write_floor(path, folder, rows):
    """The same rows into the same tables from memory: what SQLite itself takes."""
    target = os.path.join(folder, "floor.db")
    for old in pathlib.Path(folder).glob("floor.db*"):
        old.unlink()
    done = subprocess.run([BIN / "write_floor", path, target, str(rows)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


class World:
    """A server with a region for each size, filled by one device each; others join."""

    def __init__(self, *sizes, seed=1):
        self.server = Outpostd()
        regions = [self.server.add_region(f"Region {size}") for size in sizes]
        self.facilities = [[self.server.add_facility(f"Clinic {size} {i}", region) for i in range(5)]
                           for size, region in zip(sizes, regions)]
        self.server.start()
        self.port = int(self.server.address.rsplit(":", 1)[1])
        self.devices, self.pushed, self.records, self.registers = [], [], [], []
        for n, size in enumerate(sizes):
            register = Register(size // 5, seed + n, [uuid.UUID(f).bytes for f in self.facilities[n]])
            self.records.append(len(register))
            self.registers.append(register)
            writer = self.join(n)
            writer.sync()
            connection = sqlite3.connect(writer.db)
            register.insert(connection)
            connection.close()
            self.pushed.append(measure(self.server, writer, len(register)))

    def join(self, region):
        self.devices.append(Device(self.server, self.facilities[region][0]))
        return self.devices[-1]

    def restart_server(self):
        """Its peak memory is then that of what follows."""
        self.server.stop()
        self.server.start(self.port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for device in self.devices:
            device.close()
        self.server.close()


# ---- 50,000 records --------------------------------------------------------------------

def run_region(records, seed):
    """Pushed by one device, fetched by another, with the floors of both; then nothing new."""
    with World(records, seed=seed) as world:
        world.restart_server()
        reader = world.join(0)
        first = measure(world.server, reader, world.records[0])
        floor = write_floor(reader.db, reader.folder, 2000)
        nothing = measure(world.server, reader, 0)
        for device in world.devices:
            device.run("verify")
        push = world.pushed[0]
        if world.server.on_sqlite:
            store = write_floor(os.path.join(world.server.data, "outpost.db"), reader.folder, 2000)
            push["floor_records_per_s"] = world.records[0] / store["wall_s"]
        first["floor_records_per_s"] = world.records[0] / floor["wall_s"]
        first["floor_cpu_us_per_record"] = floor["cpu_s"] * 1e6 / world.records[0]
        first["of_floor"] = first["records_per_s"] / first["floor_records_per_s"]
        return {"push": push, "first": first, "nothing": nothing}


def device_figures(records, runs, seed):
    all_runs = [run_region(records, seed) for _ in range(runs)]
    push, first, nothing = ([run[part] for run in all_runs] for part in ("push", "first", "nothing"))
    return [
        Figure("push, SQLite", median(push, "records_per_s"), "records/s", (">=", 100_000),
               [("plain INSERTs of the same rows", median(push, "floor_records_per_s"))]),
        Figure("  CPU, device", median(push, "device_cpu_us_per_record"), "us/record"),
        Figure("  CPU, server", median(push, "server_cpu_us_per_record"), "us/record"),
        Figure("  on the wire", median(push, "sent_bytes_per_record"), "B/record", ("<=", 60)),
        Figure("  peak memory, device", median(push, "device_peak_mb"), "MB"),
        Figure("first sync", median(first, "records_per_s"), "records/s", (">=", 400_000),
               [("plain INSERTs of the same rows", median(first, "floor_records_per_s"))]),
        Figure("  of the rate from memory", median(first, "of_floor"), "", (">=", .8)),
        Figure("  CPU, device", median(first, "device_cpu_us_per_record"), "us/record", None,
               [("plain INSERTs", median(first, "floor_cpu_us_per_record"))]),
        Figure("  CPU, server", median(first, "server_cpu_us_per_record"), "us/record"),
        Figure("  on the wire", median(first, "received_bytes_per_record"), "B/record", ("<=", 50)),
        Figure("  peak memory, device", median(first, "device_peak_mb"), "MB", ("<=", 16)),
        Figure("  peak memory, server", median(first, "server_peak_mb"), "MB"),
        Figure("no change", median(nothing, "bytes"), "bytes", ("<=", 1000)),
        Figure("  round trips", median(nothing, "round_trips"), "", ("<=", 1)),
        Figure("  resumed handshake before it", median(nothing, "handshake_bytes"), "bytes", ("<=", 1200)),
    ]


# ---- A million, and little of it --------------------------------------------------------

def first_sync_of(world, region):
    world.restart_server()
    reader = world.join(region)
    return reader, measure(world.server, reader, world.records[region])


def change(writer, changes, n):
    connection = sqlite3.connect(writer.db)
    with connection:
        connection.execute(
            "UPDATE blood_pressure SET systolic_mmhg = 150 + ? WHERE (patient_id, id) IN (SELECT patient_id, id"
            " FROM blood_pressure ORDER BY patient_id LIMIT ? OFFSET ?)", (n, changes, n * changes))
    connection.close()


def many_figures(seed):
    """First syncs of regions of very different sizes from one server, and 100 changes in each."""
    with World(RECORDS, *RESYNC_SIZES, seed=seed) as world:
        small = [first_sync_of(world, 0)[1] for _ in range(3)]
        firsts = [first_sync_of(world, n + 1) for n in range(len(RESYNC_SIZES))]
        large = firsts[-1][1]
        costs = [[] for _ in RESYNC_SIZES]
        for n in range(RESYNC_ROUNDS):  # in turn, so that each size sees the same machine
            for at, (reader, _) in enumerate(firsts):
                change(world.devices[at + 1], RESYNC_CHANGES, n)
                world.devices[at + 1].sync()
                costs[at].append(measure(world.server, reader, RESYNC_CHANGES))
        for cost in costs:
            for one in cost:
                one["cpu_ms"] = (one["device_cpu_s"] + one["server_cpu_s"]) * 1000
        cpu_ms = [median(cost, "cpu_ms") for cost in costs]
        sizes = [f"{size:,}" for size in RESYNC_SIZES]
        return [
            Figure(f"first sync of {MANY_RECORDS:,}", large["records_per_s"], "records/s", None,
                   [(f"of {RECORDS:,}", median(small, "records_per_s"))]),
            Figure(f"  of the rate of {RECORDS:,}", large["records_per_s"] / median(small, "records_per_s"), "",
                   (">=", .75)),
            Figure("  peak memory, device", large["device_peak_mb"], "MB", ("<=", 16),
                   [(f"of {RECORDS:,}", median(small, "device_peak_mb"))]),
            Figure("  peak memory, server", large["server_peak_mb"], "MB", None,
                   [(f"of {size:,}", one["server_peak_mb"]) for size, (_, one) in zip(RESYNC_SIZES[:-1], firsts)]),
            Figure(f"push of {MANY_RECORDS:,}", world.pushed[-1]["records_per_s"], "records/s", None,
                   [(f"of {RECORDS:,}", world.pushed[0]["records_per_s"])]),
            Figure(f"resync of {RESYNC_CHANGES} changes of {sizes[-1]}", cpu_ms[-1], "ms CPU", None,
                   [(f"of {size}", ms) for size, ms in zip(sizes[:-1], cpu_ms)]),
            Figure("  dearest beside cheapest", max(cpu_ms) / min(cpu_ms), "", ("<=", 1.2)),
            Figure("  on the wire, both ways", median(costs[-1], "bytes"), "bytes", None,
                   [(f"of {size}", median(cost, "bytes")) for size, cost in zip(sizes[:-1], costs)]),
        ]
