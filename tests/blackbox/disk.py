"""A folder whose free space a test takes away and gives back.

As root it is a tmpfs that is mounted again with another size, so that programs
meet ENOSPC. An ordinary user gets a limit on the size of files (EFBIG) instead,
set for each program when it starts and, with limit(), while it runs.

SPDX-License-Identifier: Apache-2.0
"""
import os
import resource
import shutil
import subprocess
import tempfile

PLENTY_KB = 128 * 1024


class Disk:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="outpost-disk-")
        self.largest_bytes = resource.RLIM_INFINITY
        self.mounted = os.geteuid() == 0 and self._mount(f"size={PLENTY_KB}k")

    def _mount(self, options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "outpost-test", self.folder],
                              capture_output=True, check=False)
        return done.returncode == 0

    def leave(self, free_kb):
        """From now on there is room for about that much more."""
        if self.mounted:
            disk = os.statvfs(self.folder)
            used_kb = (disk.f_blocks - disk.f_bfree) * disk.f_frsize // 1024
            assert self._mount(f"remount,size={max(used_kb + free_kb, 4)}k")
        else:
            sizes = [os.path.getsize(os.path.join(folder, name))
                     for folder, _, names in os.walk(self.folder) for name in names]
            self.largest_bytes = max(sizes, default=0) + free_kb * 1024

    def enough(self):
        if self.mounted:
            assert self._mount(f"remount,size={PLENTY_KB}k")
        self.largest_bytes = resource.RLIM_INFINITY

    def limit(self, process):
        """Makes the present limit that of a program that runs."""
        if not self.mounted:
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE,
                             (self.largest_bytes, resource.RLIM_INFINITY))

    @property
    def how(self):
        """What subprocess needs to know. Python ignores SIGXFSZ, and must not undo that."""
        if self.mounted:
            return {}
        limits = (self.largest_bytes, resource.RLIM_INFINITY)
        return {"restore_signals": False,
                "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)}

    def close(self):
        if self.mounted:
            subprocess.run(["umount", self.folder], check=True)
        shutil.rmtree(self.folder)
