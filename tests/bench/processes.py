"""What a process has taken so far, from /proc.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib


def cpu_s(pid):
    """CPU of all threads that the process has now, to the nanosecond."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def peak_mb(pid):
    """VmHWM; a child's ru_maxrss would be that of the Python it was forked from. 0: it is gone."""
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
