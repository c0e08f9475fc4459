#!/usr/bin/env python3
"""Goal: schema-check finds what breaks stored payloads and deployed clients, by every rule that
it has, and nothing else. Method: each case of rules.txt is compiled by protoc before and after;
every rule has a case that fails and one that passes. With `buf` as the third argument, buf's
verdict on every case whose rule buf has too is the same."""

# SPDX-License-Identifier: Apache-2.0
import json
import pathlib
import re
import subprocess
import sys
import tempfile

HEAD = 'syntax = "proto3";\npackage test.v1;\nimport "outpost/options.proto";\n'
FILE = "test/v1/case.proto"

# buf's rules for what is ours; annotations are unknown to it.
BUF = {
    "PACKAGE_REMOVED": ["PACKAGE_NO_DELETE"],
    "SYNTAX_CHANGED": ["FILE_SAME_SYNTAX"],
    "MESSAGE_REMOVED": ["PACKAGE_MESSAGE_NO_DELETE"],
    "ENUM_REMOVED": ["PACKAGE_ENUM_NO_DELETE"],
    "RESERVED_NUMBER_FREED": ["RESERVED_MESSAGE_NO_DELETE", "RESERVED_ENUM_NO_DELETE"],
    "RESERVED_NAME_FREED": ["RESERVED_MESSAGE_NO_DELETE", "RESERVED_ENUM_NO_DELETE"],
    "ONEOF_REMOVED": ["ONEOF_NO_DELETE"],
    "FIELD_REMOVED_NUMBER_FREE": ["FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED"],
    "FIELD_REMOVED_NAME_FREE": ["FIELD_NO_DELETE_UNLESS_NAME_RESERVED"],
    "FIELD_NUMBER_REUSED": ["FIELD_SAME_NAME", "FIELD_SAME_TYPE"],
    "FIELD_NUMBER_CHANGED": ["FIELD_NO_DELETE_UNLESS_NUMBER_RESERVED"],
    "FIELD_RENAMED": ["FIELD_SAME_NAME"],
    "FIELD_JSON_NAME_CHANGED": ["FIELD_SAME_JSON_NAME"],
    "FIELD_TYPE_CHANGED": ["FIELD_SAME_TYPE"],
    "FIELD_MESSAGE_CHANGED": ["FIELD_SAME_TYPE"],
    "FIELD_CARDINALITY_CHANGED": ["FIELD_SAME_CARDINALITY"],
    "FIELD_PRESENCE_CHANGED": ["FIELD_SAME_CARDINALITY"],
    "FIELD_ONEOF_CHANGED": ["FIELD_SAME_ONEOF"],
    "ENUM_VALUE_REMOVED": ["ENUM_VALUE_NO_DELETE"],
    "ENUM_VALUE_RENAMED": ["ENUM_VALUE_SAME_NAME"],
    "ENUM_VALUE_NUMBER_CHANGED": ["ENUM_VALUE_NO_DELETE"],
    "SERVICE_REMOVED": ["PACKAGE_SERVICE_NO_DELETE"],
    "RPC_REMOVED": ["RPC_NO_DELETE"],
    "RPC_REQUEST_CHANGED": ["RPC_SAME_REQUEST_TYPE"],
    "RPC_RESPONSE_CHANGED": ["RPC_SAME_RESPONSE_TYPE"],
    "RPC_STREAMING_CHANGED": ["RPC_SAME_CLIENT_STREAMING", "RPC_SAME_SERVER_STREAMING"],
}


def cases(text):
    for part in re.split(r"^### ", text, flags=re.M)[1:]:
        title, body = part.split("\n", 1)
        rule, verdict = re.match(r"(\w+) (fails|passes)", title).groups()
        head = "" if "[whole]" in title else HEAD
        before, after = body.split("--- now\n")
        found = re.findall(r"^> (.*)$", after, flags=re.M)
        after = re.sub(r"^> .*\n?", "", after, flags=re.M)
        yield title, rule, verdict == "fails", head + before, head + after, found


def compile_set(folder, proto, source, name):
    path = pathlib.Path(folder, FILE)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    output = pathlib.Path(folder, name)
    run = subprocess.run(
        ["protoc", "-I", folder, "-I", proto, "--include_imports", "-o", output, FILE],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode != 0:
        sys.exit(f"protoc refuses a case:\n{run.stderr}{source}")
    return output


def buf_fails(buf, before, now):
    rules = sorted({rule for some in BUF.values() for rule in some})
    config = json.dumps({"version": "v2", "breaking": {"use": rules}})
    run = subprocess.run(
        [buf, "breaking", now, "--against", before, "--config", config],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode not in (0, 100):
        sys.exit(f"buf says: {run.stderr}")
    return run.returncode == 100


def main():
    checker, proto = sys.argv[1:3]
    buf = sys.argv[3] if len(sys.argv) > 3 else None
    text = pathlib.Path(__file__).with_name("rules.txt").read_text()
    listed = subprocess.run([checker, "--rules"], capture_output=True, text=True, check=True)
    rules = listed.stdout.split()
    seen, count, wrong, compared = set(), 0, 0, 0
    for title, rule, fails, before, after, expected in cases(text):
        count += 1
        seen.add((rule, fails))
        with tempfile.TemporaryDirectory() as folder:
            sets = [
                compile_set(folder, proto, before, "before.binpb"),
                compile_set(folder, proto, after, "now.binpb"),
            ]
            run = subprocess.run([checker, *sets], capture_output=True, text=True, check=False)
            told = [line.rsplit("; ", 1)[0] for line in run.stdout.splitlines()]
            wanted = [line.replace(": ", f": {FILE}: ", 1) for line in expected]
            if (
                run.returncode != (65 if fails else 0)
                or told != wanted
                or fails != any(line.startswith(rule + ":") for line in told)
                or not all("; " in line for line in run.stdout.splitlines())
            ):
                wrong += 1
                print(f"{title}\n  expected: {wanted}\n  said:     {told}, exit {run.returncode}")
            if buf and rule in BUF:
                compared += 1
                if buf_fails(buf, *sets) != fails:
                    wrong += 1
                    print(f"{title}\n  buf's verdict is the other one")
    missing = [(rule, fails) for rule in rules for fails in (True, False) if (rule, fails) not in seen]
    for rule, fails in missing:
        print(f"{rule}: no case that {'fails' if fails else 'passes'}")
    print(f"{len(rules)} rules, {count} cases, {compared} compared with buf, {wrong} wrong")
    return 1 if wrong or missing or len(rules) < 25 else 0


if __name__ == "__main__":
    sys.exit(main())
