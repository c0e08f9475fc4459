"""The connection between server and database is cut at every byte of a push: cut_test.c,
and outpostd verify on what it leaves. ci/cuts is the long form.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from peer import BIN, Outpostd


def main(stride, least):
    database = os.environ["OUTPOST_TEST_POSTGRES"]
    server = Outpostd()
    try:
        port = re.search(r":(\d+)/", database)[1]
        done = subprocess.run([BIN / "cut_test", f"{database}?options=-csearch_path%3D{server.schema}", port, stride],
                              stdout=subprocess.PIPE, text=True, check=False)
        print(done.stdout, end="")
        if done.returncode != 0:
            print(f"cut_test: exit code {done.returncode}", file=sys.stderr)
            return 1
        server.run("verify")
        cut = int(re.search(r"pushes, (\d+) cut", done.stdout)[1])
        if cut < least:
            print(f"cuts: {cut} are fewer than {least}", file=sys.stderr)
            return 1
        print("cuts: ok")
        return 0
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "61", int(sys.argv[2]) if len(sys.argv) > 2 else 200))
