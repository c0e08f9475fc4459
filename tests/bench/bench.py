#!/usr/bin/python3
"""Figures of one device and one server over TLS on this machine.

Prints a table and, with --json FILE, the same as JSON. These are measurements,
not tests: nothing is asserted but that every sync caught up. Wall time is
noisy on a shared machine; CPU per record and bytes per record are what to
compare.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from device import Device  # noqa: E402
from peer import BIN, ROOT, Outpostd  # noqa: E402
from records import Register  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")


def server_cpu_s(server):
    fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def process_peak_mb(pid):
    """VmHWM; a child's ru_maxrss would be that of the Python it was forked from."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0


def measure(server, device, records):
    """One `outpost sync`: its own result, CPU on both sides, peak memory."""
    before = server_cpu_s(server)
    started = time.monotonic()
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([BIN / "outpost", "sync", "--json", "--db", device.db], stdout=out)
        peak_mb = 0
        while (ended := os.wait4(process.pid, os.WNOHANG))[0] == 0:
            peak_mb = max(peak_mb, process_peak_mb(process.pid))
            time.sleep(.002)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        result = json.loads(out.read())
    wall = time.monotonic() - started
    if process.returncode != 0 or not result["caught_up"]:
        raise SystemExit(f"bench: a sync failed: {result['error']}")
    per_record = 1e6 / max(records, 1)
    return {
        "records": records,
        "wall_s": wall,
        "records_per_s": records / wall,
        "device_cpu_us_per_record": (usage.ru_utime + usage.ru_stime) * per_record,
        "server_cpu_us_per_record": (server_cpu_s(server) - before) * per_record,
        "sent_bytes_per_record": result["bytes_sent"] / max(records, 1),
        "received_bytes_per_record": result["bytes_received"] / max(records, 1),
        "device_peak_mb": peak_mb,
        "server_peak_mb": process_peak_mb(server.process.pid),
        "round_trips": result["round_trips"],
        "bytes": result["bytes_sent"] + result["bytes_received"],
        "handshake_bytes": result["handshake_bytes"],
    }


def measure_writing(device):
    """The same rows into the same tables, from the memory of one process."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run([BIN / "write_bench", device.db, os.path.join(folder, "written.db")],
                              capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def run_once(patients, seed):
    server = Outpostd()
    region = server.add_region("Bench")
    facilities = [server.add_facility(f"Clinic {i}", region) for i in range(5)]
    server.start()
    register = Register(patients, seed, [uuid.UUID(f).bytes for f in facilities])
    one, two = Device(server, facilities[0]), Device(server, facilities[0])
    try:
        one.sync()
        connection = sqlite3.connect(one.db)
        register.insert(connection)
        connection.close()
        push = measure(server, one, len(register))
        pull = measure(server, two, len(register))
        nothing = measure(server, two, 0)
        for device in (one, two):
            device.run("verify")
        return {"push": push, "first_sync": pull, "no_change": nothing, "writing": measure_writing(two)}
    finally:
        one.close()
        two.close()
        server.close()


def library_size():
    """Stripped size of the device library, as shipped."""
    library = next((BIN.parent / "lib").glob("liboutpost.so*"))
    with tempfile.TemporaryDirectory() as folder:
        stripped = os.path.join(folder, "stripped.so")
        subprocess.run(["strip", "-o", stripped, library.resolve()], check=True)
        return os.path.getsize(stripped)


def median(runs, case, name):
    return statistics.median(run[case][name] for run in runs)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=50000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    runs = [run_once(arguments.records // 5, arguments.seed) for _ in range(arguments.runs)]
    result = {
        "seed": arguments.seed, "runs": arguments.runs, "machine": platform.machine(),
        "cores": os.cpu_count(), "library_bytes": library_size(),
        **{case: {name: median(runs, case, name) for name in run} for case, run in runs[0].items()},
    }
    rows = (("records/s", "records_per_s", "%.0f"), ("device CPU us/record", "device_cpu_us_per_record", "%.2f"),
            ("server CPU us/record", "server_cpu_us_per_record", "%.2f"),
            ("bytes sent/record", "sent_bytes_per_record", "%.1f"),
            ("bytes received/record", "received_bytes_per_record", "%.1f"),
            ("device peak MB", "device_peak_mb", "%.1f"), ("server peak MB", "server_peak_mb", "%.1f"))
    print(f"{arguments.records} records (1 patient : 4 readings), seed {arguments.seed}, median of "
          f"{arguments.runs} runs, TLS 1.3, {os.cpu_count()} cores shared by device and server\n")
    print(f"{'':24}{'push':>12}{'first sync':>12}")
    for title, name, form in rows:
        print(f"{title:24}{form % result['push'][name]:>12}{form % result['first_sync'][name]:>12}")
    nothing = result["no_change"]
    print(f"\nno-change sync: {nothing['bytes']:.0f} bytes in {nothing['round_trips']:.0f} round trip, "
          f"after a handshake of {nothing['handshake_bytes']:.0f}")
    share = result["first_sync"]["records_per_s"] / result["writing"]["records_per_s"]
    print(f"the same rows written from memory by one process: {result['writing']['records_per_s']:.0f} "
          f"records/s, {result['writing']['cpu_us_per_record']:.2f} us of CPU each; the first sync is "
          f"{share:.2f} of that rate")
    print(f"device library, stripped: {result['library_bytes'] / 1024:.0f} KB")
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
