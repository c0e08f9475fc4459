#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks the cores one line at a time and lets the simulator find it.

Goal: a simulator that passes must be one that would have noticed. Method: a copy of
the tree in a scratch folder; for each block of mutations.txt the old lines, which must
stand in the file exactly once, give way to the new ones; the simulator is built and
run with that block's faults until a world fails, at most so many; or with the script of
kept/ that it names, where worlds of the kind are too rare. A mutation that survives fails
the run.

    mutations.py [--seeds N] [--only WORDS]
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def read_blocks(path):
    blocks = []
    for line in path.read_text().splitlines():
        if line.startswith("== "):
            blocks.append({"name": line[3:], "old": [], "new": []})
        elif not blocks or line.startswith("#") or not line.strip():
            continue
        elif line.startswith("-"):
            blocks[-1]["old"].append(line[1:])
        elif line.startswith("+"):
            blocks[-1]["new"].append(line[1:])
        else:
            blocks[-1]["file"], blocks[-1]["faults"] = line.split()
    return blocks


def copy_tree(to):
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in files.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)


def build(tree):
    subprocess.run(["cmake", "--preset", "sim", "-DOUTPOST_WERROR=OFF"], cwd=tree, check=True,
                   capture_output=True)
    done = subprocess.run(["cmake", "--build", "--preset", "sim", "--target", "sim_test"], cwd=tree,
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stdout[-3000:])


def mutated(text, block):
    old, new = "\n".join(block["old"]), "\n".join(block["new"])
    # A line may be wrapped elsewhere than here: white space counts as one blank.
    pattern = r"\s*".join(re.escape(word) for word in old.split())
    found = re.findall(pattern, text)
    if len(found) != 1:
        sys.exit(f"mutations.txt: \"{block['name']}\": its lines stand in {block['file']}"
                 f" {len(found)} times, not once: adapt them to the code")
    return text.replace(found[0], new.strip("\n"))


def run(tree, faults, seeds):
    """The world that failed and why, or how the program died; None: none failed."""
    command = [tree / "build-sim/bin/sim_test", "--seeds", str(seeds), "--faults", faults,
               "--first-failure"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return "?", "a world does not end"
    found = re.search(r"^sim: first failure at world (\d+): (.*)$", done.stdout, re.M)
    if found:
        return found.group(1), found.group(2)
    return None if done.returncode == 0 else ("?", f"the program dies ({done.returncode})")


def run_script(tree, name):
    """The same for a script of kept/."""
    done = subprocess.run([tree / "build-sim/bin/sim_test", "--script", tree / "tests/sim/kept" / name],
                          capture_output=True, text=True, timeout=900)
    found = re.search(r"^failure: (.*)$", done.stdout, re.M)
    if found:
        return "kept", found.group(1)
    return None if done.returncode == 0 else ("kept", f"the program dies ({done.returncode})")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3000)
    parser.add_argument("--only", default="", help="mutations whose names have these words")
    options = parser.parse_args()
    blocks = [b for b in read_blocks(ROOT / "tests/sim/mutations.txt") if options.only in b["name"]]
    survivors = 0

    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        tree = pathlib.Path(folder)
        copy_tree(tree)
        build(tree)
        for block in blocks:
            file = tree / block["file"]
            sound = file.read_text()
            file.write_text(mutated(sound, block))
            build(tree)
            found = (run_script(tree, block["faults"]) if block["faults"].endswith(".sim") else
                     run(tree, block["faults"], options.seeds))
            file.write_text(sound)
            survivors += found is None
            world, why = found or ("-", "SURVIVED")
            print(f"{world:>5}  {block['name']}\n       {why[:150]}", flush=True)
    print(f"mutations: {len(blocks) - survivors} of {len(blocks)} noticed within {options.seeds}"
          f" worlds: {'ok' if survivors == 0 else 'FAILED'}")
    sys.exit(survivors > 0)


if __name__ == "__main__":
    main()
