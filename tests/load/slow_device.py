#!/usr/bin/python3
"""A slow device in a large region: outpostd's memory while it pulls (I12).

Goal: what waits for a device in the server is bounded, however large its region and
however slow its link: minutes of 16 kbit/s leave the memory where it was. Method: one
device fills the region and pushes it; another one pulls it through a relay that lets
2,000 bytes a second through. The server's resident memory is looked at every second; it
is flat when it never exceeds, after the first third of the time, what it was there by more
than the page caches of the embedded store's two readers; the region is fifty times that.

    slow_device.py [--records N] [--seconds S] [--devices N]

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from device import Device
from peer import Outpostd
from relay import TO_DEVICE, Relay

READINGS = 99  # of each patient
SLICE = (200, .1)  # bytes, seconds: 16 kbit/s
FLAT_BYTES = 4 << 20


def memory(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def fill(server, facility, records):
    """A region of so many records, made and pushed by one device."""
    device = Device(server, facility)
    device.sqlite3(f"""BEGIN;
        INSERT INTO patient(full_name, age_years, age_recorded_at_ms)
            SELECT 'Patient ' || value, 20 + value % 60, 1 FROM generate_series(1, {records // (1 + READINGS)});
        INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg, recorded_at_ms)
            SELECT id, 100 + abs(random() % 80), 60 + abs(random() % 40), 1600000000000 + abs(random() % 90000000000)
            FROM patient, generate_series(1, {READINGS});
        COMMIT""")
    began = time.monotonic()
    pushed = device.sync()["pushed"]
    print(f"{pushed} records pushed in {time.monotonic() - began:.0f} s", flush=True)
    device.close()
    return pushed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--devices", type=int, default=1)
    options = parser.parse_args()
    server = Outpostd()
    facility = server.add_facility("Clinic", server.add_region("North"))
    server.start()
    records = fill(server, facility, options.records)
    server.stop()  # what pushing has left in the memory is not what is asked
    server.start()
    relays = [Relay(server.address) for _ in range(options.devices)]
    devices = [Device(server, facility, relay) for relay in relays]
    for relay in relays:
        relay.trickle = SLICE
    before = memory(server.process.pid)
    pulls = [device.start("sync", "--json") for device in devices]
    began, seen = time.monotonic(), []
    while (passed := time.monotonic() - began) < options.seconds:
        seen.append(memory(server.process.pid))
        if len(seen) % 30 == 0:
            print(f"{passed:4.0f} s: {seen[-1] / 1024:7.0f} kB resident", flush=True)
        time.sleep(1)
    ended = [p for p in pulls if p.poll() is not None]
    reached = sum(sum(passed[TO_DEVICE] for passed in relay.history) for relay in relays)
    for pull in pulls:
        pull.kill()
        pull.communicate()
    for relay, device in zip(relays, devices):
        relay.close()
        device.close()
    engine = "SQLite" if server.on_sqlite else "PostgreSQL"
    code = server.close()
    third = len(seen) // 3
    grown = max(seen[third:]) - max(seen[:third])
    print(f"slow device, {engine}: {records} records, {options.devices} at 16 kbit/s for {options.seconds:.0f} s took"
          f" {reached / 1000:.0f} kB from the server; resident {before / 1024:.0f} kB before,"
          f" {max(seen[:third]) / 1024:.0f} kB at most in the first third, {max(seen[third:]) / 1024:.0f} kB after")
    good = records == options.records and grown <= FLAT_BYTES and not ended and code == 0
    print(f"slow device: {'ok' if good else 'FAILED'}")
    sys.exit(not good)


if __name__ == "__main__":
    main()
