"""Ten thousand idle followers of one outpostd, and how soon one change reaches all of its region.

SPDX-License-Identifier: Apache-2.0
"""
import json
import pathlib
import subprocess
import tempfile

from figures import Figure
from peer import BIN


def fleet_figures(seed):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        done = subprocess.run([BIN / "outpost-load", "--spawn", "--profile", "idle", "--seconds", "30", "--quiet",
                               "--seed", str(seed), "--json", report], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"bench: outpost-load: {done.stdout}{done.stderr}")
        told = json.loads(report.read_text())
    reach, options = told["freshness"]["reach"], told["options"]
    region = options["followers"] // options["regions"]
    return [
        Figure(f"{options['followers']:,} idle followers, each", told["figures"]["server_kb_per_follower"], "kB",
               ("<=", 60)),
        Figure(f"one change to all {region:,} of its region, median", reach["p50_ms"], "ms", ("<=", 1000)),
        Figure("  slowest", reach["greatest_ms"], "ms", ("<=", 1000),
               [("load average", told["machine"]["load_average_after"])]),
    ]
