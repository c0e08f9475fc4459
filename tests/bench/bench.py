#!/usr/bin/python3
"""All figures of this machine, each with its goal and beside a floor or a peer from the same run.

These are measurements, not tests: nothing is asserted but that what was measured did its work. On a
shared machine wall time is noisy: compare with what stands beside it, and CPU rather than rates.

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import platform
import sys
import time

from both_stores import postgresql_figures, store_figures
from figures import print_table
from fleet import fleet_figures
from one_device import MANY_RECORDS, RECORDS, device_figures, many_figures
from runtime import rpc_figures
from size import size_figures
from wire import wire_figures

PARTS = {
    "device": ("one device, one server", lambda options: device_figures(options.records, options.runs, options.seed)),
    "many": (f"up to {MANY_RECORDS:,} records", lambda options: many_figures(options.seed)),
    "wire": ("stock clients", lambda options: wire_figures(options.seed)),
    "fleet": ("followers", lambda options: fleet_figures(options.seed)),
    "postgresql": ("one device, one server on PostgreSQL",
                   lambda options: postgresql_figures(options.runs, options.seed)),
    "store": ("the store interface", lambda options: store_figures()),
    "rpc": ("the gRPC runtime, beside stock grpc++", lambda options: rpc_figures(options.runs)),
    "size": ("size", lambda options: size_figures()),
}


def main():
    parser = argparse.ArgumentParser(prog="ci/bench", description="Measures; without PARTs, everything.")
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--records", type=int, default=RECORDS, help="of the part device (%(default)s)")
    parser.add_argument("--runs", type=int, default=3, help="whose median counts (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="the same as JSON")
    options = parser.parse_args()
    for part in options.part:
        if part not in PARTS:
            parser.error(f"there is no part {part}; there are {', '.join(PARTS)}")
    started, report = time.monotonic(), {}
    print(f"{platform.machine()}, {os.cpu_count()} cores shared by both ends, load average {os.getloadavg()[0]:.1f};"
          f" TLS 1.3; generated records, seed {options.seed}; medians of {options.runs} runs")
    for part in options.part or PARTS:
        title, measured = PARTS[part]
        report[part] = measured(options)
        print_table(title, report[part])
        sys.stdout.flush()
    print(f"\n{time.monotonic() - started:.0f} s")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(
            {"machine": platform.machine(), "cores": os.cpu_count(), "load_average": os.getloadavg()[0],
             "seed": options.seed, "runs": options.runs,
             "parts": {part: [figure.as_json() for figure in figures] for part, figures in report.items()}},
            indent=2) + "\n")


if __name__ == "__main__":
    main()
