#!/usr/bin/env python3
"""Goal: a released set is frozen, the next one may only add to it, and the revision that is
compiled in follows. Method: ci/generate, ci/schema-check and ci/schema-release on a copy of
proto/ that is changed as a newcomer would change it."""

# SPDX-License-Identifier: Apache-2.0
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT, CHECKER, PLUGIN = (pathlib.Path(path) for path in sys.argv[1:4])
failures = []


def expect(true, what):
    if not true:
        failures.append(what)
        print(f"wrong: {what}")


class Tree:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        shutil.copytree(ROOT / "proto", self.folder / "proto")
        self.last = len(list((self.folder / "proto/released").glob("*.binpb")))

    def ci(self, verb, *arguments):
        return subprocess.run(
            [ROOT / "ci" / verb, "--tree", self.folder, *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    def check(self):
        return self.ci("schema-check", "--tool", CHECKER)

    def release(self):
        return self.ci("schema-release", "--tool", CHECKER)

    def revision(self):
        made = self.ci("generate", "--plugin", PLUGIN)
        expect(made.returncode == 0, f"ci/generate: {made.stderr}")
        tables = (self.folder / "gen/outpost/v1/schema.gen.c").read_text()
        return int(re.search(r"\.revision = (\d+),", tables).group(1))

    def edit(self, name, before, after):
        path = self.folder / "proto/outpost/v1" / name
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))


def released_is_frozen(tree):
    expect(tree.last >= 1, "something is released")
    expect(tree.check().returncode == 0, "this tree breaks nothing that was released")
    shutil.copy(
        tree.folder / f"proto/released/{tree.last:03}.binpb", tree.folder / "kept.binpb"
    )
    if tree.revision() == tree.last:
        again = tree.release()
        expect(again.returncode == 65, "the same set is not released twice")
        expect("is released" in again.stderr, "and the refusal says why")


def a_field_more_is_the_next_revision(tree):
    tree.edit("patient.proto", "  int64 recorded_at_ms = 18;",
              "  int64 recorded_at_ms = 18;\n  // Source: the nurse.\n  string landmark = 19;")  # fmt: skip
    expect(tree.revision() == tree.last + 1, "a changed tree is the next revision")
    expect(tree.check().returncode == 0, "a field more breaks nothing")
    made = tree.release()
    expect(made.returncode == 0, f"it is released: {made.stderr}")
    expect(made.stdout.strip() == str(tree.last + 1), "and the revision is told")
    expect(tree.revision() == tree.last + 1, "the released tree has that revision")
    expect((tree.folder / f"proto/released/{tree.last:03}.binpb").read_bytes()
           == (tree.folder / "kept.binpb").read_bytes(), "the earlier set is as it was")  # fmt: skip


def what_breaks_is_refused(tree):
    tree.edit("patient.proto", "  string landmark = 19;", "  int64 landmark = 19;")
    told = tree.check()
    expect(told.returncode == 65, "another type is found")
    expect(re.fullmatch(
        r"FIELD_TYPE_CHANGED: outpost/v1/patient\.proto: message outpost\.v1\.Patient,"
        r" field landmark: was string and is int64; keep the type, .*\n", told.stdout,
    ) is not None, f"rule, file, message, field and the way out are named: {told.stdout}")  # fmt: skip
    refused = tree.release()
    expect(refused.returncode == 65, "and not released")
    expect(not (tree.folder / f"proto/released/{tree.last + 2:03}.binpb").exists(), "no file of it")


def main():
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        released_is_frozen(tree)
        a_field_more_is_the_next_revision(tree)
        what_breaks_is_refused(tree)
    print(f"{len(failures)} wrong")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
