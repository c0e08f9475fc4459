#!/usr/bin/env python3
"""Goal: each fault in a .proto file is refused with the one line that tests/golden/errors.txt
gives for it. Method: every case of that file is given to protoc with the plugin."""

# SPDX-License-Identifier: Apache-2.0
import pathlib
import re
import subprocess
import sys
import tempfile

HEAD = """syntax = "proto3";
package test.v1;
import "outpost/options.proto";
message Root {
  option (outpost.record) = {type: 10, table: "root", family: FAMILY_ROOT};
}
"""
FILE = "test/v1/case.proto"


def cases(text):
    for part in re.split(r"^### ", text, flags=re.M)[1:]:
        title, expected, body = (part + "\n").split("\n", 2)
        options = re.findall(r"\[(.*?)\]", title)
        whole = "whole" in options
        yield title, expected.removeprefix("> "), body if whole else HEAD + body, [
            option for option in options if option != "whole"
        ]


def said(plugin, proto, source, options):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, FILE)
        path.parent.mkdir(parents=True)
        path.write_text(source)
        command = ["protoc", "-I", folder, "-I", proto, f"--plugin=protoc-gen-outpost={plugin}"]
        command += [f"--outpost_opt={option}" for option in options]
        run = subprocess.run(
            [*command, f"--outpost_out={folder}", FILE], capture_output=True, text=True, check=False
        )
        # protoc's own opinion about an import that is not used is not ours.
        lines = [line for line in run.stderr.splitlines() if "is unused" not in line]
        return run.returncode, lines


def main():
    plugin, proto = sys.argv[1:]
    text = pathlib.Path(__file__).with_name("errors.txt").read_text()
    count = failures = 0
    for title, expected, source, options in cases(text):
        count += 1
        code, lines = said(plugin, proto, source, options)
        where = "" if expected.startswith(("no file", "the parameter")) else FILE + ": "
        if code == 0 or lines != [f"--outpost_out: {where}{expected}"]:
            failures += 1
            print(f"{title}\n  expected: {where}{expected}\n  said:     {lines}, exit code {code}")
    print(f"{count} cases, {failures} wrong")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
