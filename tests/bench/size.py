"""The device library with the gRPC runtime in it, as small as the preset `tiny` makes it, and what it needs.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import subprocess
import tempfile

from figures import Figure
from peer import ROOT

BESIDE = ("libsqlite3", "libssl", "libcrypto", "libc.so", "libm.so")  # a phone has them, or ships them anyway
COMPRESSION = ("libz.so", "libzstd")


def _stripped(library):
    with tempfile.TemporaryDirectory() as folder:
        copy = os.path.join(folder, "stripped")
        subprocess.run(["strip", "-o", copy, library], check=True)
        return os.path.getsize(copy)


def _needs(library):
    listed = subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout
    direct = subprocess.run(["readelf", "-d", library], capture_output=True, text=True, check=True).stdout
    wanted = set(re.findall(r"NEEDED.*\[(.+)\]", direct))
    paths = dict(re.findall(r"(\S+) => (\S+)", listed))
    return {name: os.path.realpath(paths[name]) for name in wanted if name in paths}


def _starts(name, prefixes):
    return any(name.startswith(prefix) for prefix in prefixes)


def size_figures():
    for command in (["--preset", "tiny"], ["--build", "--preset", "tiny", "--target", "outpost_shared"]):
        subprocess.run(["cmake", *command], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    tiny = pathlib.Path(ROOT, "build-tiny/lib/liboutpost.so").resolve()
    shipped = pathlib.Path(ROOT, "build/lib/liboutpost.so").resolve()
    own = _stripped(tiny) / 1024
    needed = {name: _stripped(path) / 1024 for name, path in _needs(tiny).items() if not _starts(name, BESIDE)}
    compression = sum(size for name, size in needed.items() if _starts(name, COMPRESSION))
    return [
        Figure("liboutpost with the runtime, tiny, stripped", own, "KB", ("<=", 200),
               [("release", _stripped(shipped) / 1024)]),
        Figure("  with nghttp2 and protobuf-c", own + sum(needed.values()) - compression, "KB", ("<=", 450)),
        Figure("  and zlib and zstd", own + sum(needed.values()), "KB"),
    ]
