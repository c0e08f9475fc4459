"""Both engines at the store interface and, on PostgreSQL, a device that pushes and one that fetches.

What needs PostgreSQL starts a cluster of its own, and runs this file in it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import re
import subprocess
import sys

from figures import Figure
from one_device import RECORDS, median, run_region
from peer import BIN, ROOT

WITH_CLUSTER = ROOT / "tests/postgresql/with_cluster"
PUSH = re.compile(r"push +(\d+) streams, +(\d+) regions +(\d+) mutations/s(?: +COPY of the same rows +(\d+)/s)?")
READ = re.compile(r"first sync, pages of \d+ +(\d+) records/s(?: +keyset +(\d+)/s +ratio [\d.]+"
                  r" +COPY TO STDOUT +(\d+)/s)?")


def _output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def _store_figures(engine, output):
    figures = []
    for streams, regions, rate, copy in PUSH.findall(output):
        name = f"{engine} store, push, {streams} streams, {regions} regions"
        figures.append(Figure(name, int(rate), "mutations/s", None, [("COPY", int(copy))] if copy else []))
        if copy:
            figures.append(Figure("  of COPY", int(rate) / int(copy), "", (">=", .4)))
    for rate, keyset, copy in READ.findall(output):
        beside = [("keyset", int(keyset)), ("COPY", int(copy))] if keyset else []
        figures.append(Figure(f"{engine} store, first sync", int(rate), "records/s", None, beside))
        if keyset:
            figures.append(Figure("  of keyset reads", int(rate) / int(keyset), "", (">=", .8)))
    return figures


def store_figures():
    return (_store_figures("SQLite", _output(BIN / "store_bench")) +
            _store_figures("PostgreSQL", _output(WITH_CLUSTER, BIN / "store_bench")))


def postgresql_figures(runs, seed):
    told = json.loads(_output(WITH_CLUSTER, sys.executable, "-B", __file__, str(runs), str(seed)))
    push, first = ([run[part] for run in told] for part in ("push", "first"))
    return [
        Figure("push, PostgreSQL", median(push, "records_per_s"), "records/s"),
        Figure("  CPU, device", median(push, "device_cpu_us_per_record"), "us/record"),
        Figure("  CPU, outpostd", median(push, "server_cpu_us_per_record"), "us/record"),
        Figure("first sync, PostgreSQL", median(first, "records_per_s"), "records/s"),
        Figure("  CPU, outpostd", median(first, "server_cpu_us_per_record"), "us/record"),
    ]


if __name__ == "__main__":
    print(json.dumps([run_region(RECORDS, int(sys.argv[2])) for _ in range(int(sys.argv[1]))]))
