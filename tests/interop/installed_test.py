#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The runtime as a stranger gets it: installed into an empty folder, found by pkg-config, and the
two programs of rpc/README.md, taken from that page as they stand, compiled and run; every public
header alone, as C11 and as C++.

    installed_test.py BUILD_DIR [COMPILER_FLAG...]
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
LINES_MAX = 40


def programs():
    """name -> text, of each code block that begins with its file's name."""
    text = (ROOT / "rpc" / "README.md").read_text()
    found = dict(re.findall(r"```c\n(?=/\* (\w+)\.c)(.*?)```", text, re.DOTALL))
    return found


def main():
    build, *flags = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["cmake", "--install", build, "--component", "rpc", "--prefix",
                        f"{folder}/prefix"], check=True, stdout=subprocess.DEVNULL)
        [config] = {path.parent for path in pathlib.Path(folder).rglob("*.pc")}
        environment = {**os.environ, "PKG_CONFIG_PATH": str(config)}

        def pkg_config(*options):
            return subprocess.run(["pkg-config", *options, "outpost-rpc-uv"], check=True, text=True,
                                  capture_output=True, env=environment).stdout.split()

        for header in pathlib.Path(folder, "prefix/include/outpost").glob("*.h"):
            for compiler, language in (("cc", "-xc"), ("c++", "-xc++")):
                standard = "-std=c11" if compiler == "cc" else "-std=c++17"
                subprocess.run([compiler, standard, "-Wall", "-Wextra", "-Werror",
                                "-D_POSIX_C_SOURCE=200809L", "-fsyntax-only",  # as libuv needs it
                                language, str(header), *pkg_config("--cflags")], check=True)
        texts = programs()
        assert set(texts) == {"echo_server", "echo_client"}, set(texts)
        for name, text in texts.items():
            assert text.count("\n") <= LINES_MAX, f"{name}: over {LINES_MAX} lines"
            pathlib.Path(folder, f"{name}.c").write_text(text)
            subprocess.run(["cc", "-std=gnu11", "-Wall", "-Werror", *flags, f"{folder}/{name}.c", "-o",
                            f"{folder}/{name}", *pkg_config("--cflags", "--libs")], check=True)
        server = subprocess.Popen([f"{folder}/echo_server"], stdout=subprocess.PIPE, text=True)
        try:
            address = server.stdout.readline().split()[-1]
            said = subprocess.run([f"{folder}/echo_client", address], check=True, text=True,
                                  capture_output=True).stdout
        finally:
            server.kill()
            server.wait()
            server.stdout.close()
        assert said == "hello\nOK\n", said
        print("ok")


main()
