#!/usr/bin/env python3
"""The same histories through the model and through the real cores.

A history is edits, syncs (whole; cut after Hello; all pushed and the answers lost; the
pushes arriving later), switches between facilities, copied and old phone files. The
model lives it and says what comes of it; the same history goes, as a script, to the
simulator (tests/sim, `sim_test --script -`), and what comes of it there is put into the
same words. They must be equal: the answer to every push in its order; per region each
record's version, life and fields; the conflicts; what is in quarantine; per phone its
rows and what of them is refused.

    compare.py [--histories N] [--first S] [--steps N] [-v] SIM_TEST

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import copy
import random
import subprocess
import sys

import model

FAULTS = "CZKMSD"
CUTS = {"lost": "hello", "late": "push", "unanswered": "answers"}
FILES, LATE, PHONES = 8, 8, 6  # as many as the simulator keeps

# How the model's fields are written on a phone, and found in a body.
PATIENT = {"reg": 15, "asg": 16, "a": 10, "b": 17, "m": 18}
PRESSURE = {"sd": 1, "n": 3}
STATUS = ("applied", "merged", "no_effect", "quarantined", "out_of_scope", "retry")
WHY = {0: "-", 2: "invalid", 3: "invalid", 4: "invalid", 7: "not_yours", 32: "parent_missing", 33: "unknown_base"}
MODEL_WHY = {"range": "invalid", "invalid": "invalid", None: "-"}
SYSTOLIC, DIASTOLIC, SYSTOLICS = 180, 40, 121  # a number in two that a blood pressure may have


def columns(typ, fields):
    """What an edit sets, in the app's SQL: column -> literal."""
    out = {}
    for g, v in fields.items():
        if g in ("reg", "asg"):
            name = {"reg": "registration_facility_id", "asg": "assigned_facility_id"}[g]
            out[name] = "NULL" if v is None else f"{{facility {v}}}"
        elif g == "a":
            out["district"] = f"'{v}'"
        elif g == "b":
            out["recorded_by_user_id"] = "x'00'" if v == "BAD" else f"x'{v:032x}'"  # an id has 16 bytes
        elif g == "sd":
            out["systolic_mmhg"] = str(SYSTOLIC + v % SYSTOLICS)
            out["diastolic_mmhg"] = str(DIASTOLIC + v // SYSTOLICS)
        else:
            out["recorded_at_ms"] = str(v)
    return out


def sql_of(key, fields, dead, new):
    fam, typ, rid = key
    table = "patient" if typ == "patient" else "blood_pressure"
    if dead:
        return f"DELETE FROM {table} WHERE id = {{{rid}}}"
    sets = columns(typ, fields)
    if not new:
        return f"UPDATE {table} SET {', '.join(f'{c} = {v}' for c, v in sets.items())} WHERE id = {{{rid}}}"
    sets = {"id": f"{{{rid}}}", **sets}
    if typ == "patient":
        sets = {"full_name": "'nobody'", "age_years": "30", "age_recorded_at_ms": "1", **sets}
    else:
        sets = {"patient_id": f"{{{fam}}}", "facility_id": "{facility 0}", **sets}
    return f"INSERT INTO {table}({', '.join(sets)}) VALUES ({', '.join(sets.values())})"


class History(model.World):
    """A world that lives by lines; every line is noted."""

    def __init__(self, seed, steps):
        self.lines, self.said, self.answers = [], [], []
        self.index = {}  # device -> its number here
        self.slots = [None] * LATE  # late pushes, as the simulator keeps them
        super().__init__(seed, FAULTS)
        self.batch = 10 ** 6  # all that waits goes in one push
        self.say_line("world")
        self.say_line("batches 60 60")
        self.say_line("answers")
        self.allowed = {}
        for i, d in enumerate(self.d):
            self.index[id(d)] = i
            allowed = {r for r in range(3) if self.rnd.random() < .5} | {model.REGION[d.fac]}
            d.visited = allowed
            self.s.dev[d.id]["held"] = set(allowed)
            others = [str(r) for r in sorted(allowed) if r != model.REGION[d.fac]]
            self.say_line(f"phone {' '.join([str(d.fac)] + others)}")
        self.files = []
        self.hook()
        try:
            for _ in range(steps):
                self.one_step()
            self.settle()
        finally:
            self.unhook()
        self.ask()

    def say_line(self, line):
        self.lines.append(line)

    def number(self, d):
        return self.index[id(d)]

    # ---- what the model does, noted

    def hook(self):
        world = self
        self.plain = plain_edit, plain_apply = model.Device.edit, model.Server.apply

        def edit(d, k, f, dead=False):
            new = k not in d.row
            row = {} if new else d.row[k]["body"]
            f = {g: v for g, v in f.items() if row.get(g) != v}
            if not f and not dead:
                return  # saved as it was
            world.say_line(f"sql {world.number(d)} {sql_of(k, f, dead, new)}")
            plain_edit(d, k, f, dead)

        def apply(s, devid, scope, m, seen=None, world_=None):
            answer = plain_apply(s, devid, scope, m, seen, world_)
            why = answer.get("why") if answer["st"] in ("quarantined", "retry") else None
            world.answers.append(f"answer {m['key'][2]} {answer['st']} {MODEL_WHY.get(why, why)}")
            return answer

        model.Device.edit, model.Server.apply = edit, apply

    def unhook(self):
        model.Device.edit, model.Server.apply = self.plain

    # ---- steps

    def after_answers(self):
        """What was answered since; in one push the order of different records is free."""
        self.said += sorted(self.answers) + ["--"]
        self.answers = []
        self.say_line("say --")

    def run_sync(self, d, cut=None):
        n = self.number(d)
        d.late = cut == "late"
        waits = len(self.late)
        caught_up = False
        for done in self.sync(d, 0, CUTS[cut] if cut else "nowhere"):
            caught_up = done or caught_up
        self.say_line(f"sync {n} sent 1")  # a copy learns here that it is one
        if cut != "lost" or caught_up:
            if caught_up:
                self.say_line(f"sync {n}")
            elif len(self.late) > waits:
                self.slots[self.slots.index(None)] = self.late.pop()
                self.say_line(f"late {n}")
            else:
                self.say_line(f"sync {n} pushed")
        self.after_answers()

    def deliver(self, slot):
        did, scope, part = self.slots[slot]
        self.slots[slot] = None
        self.say_line(f"deliver {slot}")
        if did in self.s.dev:
            self.s.receipt(did, [self.s.apply(did, scope, m, seen, self) for m, seen in part])
        self.after_answers()

    def one_step(self):
        rnd = self.rnd
        d = rnd.choice(self.d)
        x = rnd.random()
        late = [i for i, part in enumerate(self.slots) if part]
        if x < .55:
            self.user(d)
        elif x < .82:
            cut = rnd.choice((None, None, None, "lost", "late", "unanswered"))
            self.run_sync(d, cut if cut != "late" or len(late) < LATE else None)
        elif x < .86 and late:
            self.deliver(rnd.choice(late))
        elif x < .90:
            d.fac = rnd.choice([f for f in range(6) if model.REGION[f] in d.visited])
            d.sealing()  # what was entered was entered at the facility that is left
            self.say_line(f"switch {self.number(d)} {d.fac}")
        elif x < .94 and len(self.files) < FILES:
            self.files.append((d, copy.deepcopy(d)))
            self.say_line(f"save {self.number(d)}")
        elif x < .97 and self.files and len(self.d) < PHONES:
            at = rnd.randrange(len(self.files))
            self.d.append(copy.deepcopy(self.files[at][1]))
            self.index[id(self.d[-1])] = len(self.d) - 1
            self.say_line(f"copy {at}")
        elif self.files:
            at = rnd.randrange(len(self.files))
            d, old = self.files[at]
            d.__dict__.update(copy.deepcopy(old).__dict__)
            self.say_line(f"old {at}")

    def settle(self):
        for slot, part in enumerate(self.slots):
            if part:
                self.deliver(slot)
        for turn in range(6):
            for d in self.d:
                for k in sorted(d.rej) if turn < 3 else ():
                    bad = {g: self.val() for g, v in d.row[k]["body"].items() if v == "BAD"}
                    d.edit(k, bad or {"a" if k[1] == "patient" else "n": self.val()})
                self.run_sync(d)

    # ---- what came of it

    def ask(self):
        self.say_line("ask-server SELECT 'record', region_id, type, id, version, deleted, hex(body)"
                      " FROM record WHERE family_id <> zeroblob(16)")
        self.say_line("ask-server SELECT 'conflict', type, id, hex(clashes) FROM conflict")
        self.say_line("ask-server SELECT 'quarantine', hex(mutation) FROM quarantine")
        for n in range(len(self.d)):
            for typ, table, fields in (
                    (10, "patient", "district, hex(recorded_by_user_id), recorded_at_ms, registration_facility_id,"
                                    " assigned_facility_id"),
                    (13, "blood_pressure", "systolic_mmhg, diastolic_mmhg, recorded_at_ms")):
                self.say_line(
                    f"ask {n} SELECT 'row', {n}, {typ}, t.id, CASE WHEN r.id IS NOT NULL THEN 'refused'"
                    f" WHEN p.id IS NOT NULL OR o.id IS NOT NULL THEN 'pending' ELSE 'clean' END, {fields}"
                    f" FROM {table} t LEFT JOIN outpost_rejected r ON r.type = {typ} AND r.id = t.id"
                    f" LEFT JOIN outpost_pending p ON p.type = {typ} AND p.id = t.id"
                    f" LEFT JOIN outpost_outbox o ON o.type = {typ} AND o.id = t.id")
        self.say_line("say ==")
        state = []
        for r, region in self.s.reg.items():
            for k, (_, rec) in region["rows"].items():
                state.append(f"record {r} {k[2]} v{rec['v']} {'dead' if rec['dead'] else 'lives'} {words(rec['body'])}")
        for key, _, clash, _ in self.s.conf:
            state.append(f"conflict {key[2]} {' '.join(sorted(g for g, _, _ in clash))}")
        for m in self.s.quar.values():
            state.append(f"quarantine {m['key'][2]} {words(m['f'])}")
        for d in self.d:
            for k, row in d.row.items():
                if not row["dead"]:
                    how = "refused" if k in d.rej else "pending" if d.pending(k) else "clean"
                    state.append(f"row {self.number(d)} {k[2]} {how} {words(row['body'])}")
        self.said += once(state) + ["=="]


def once(lines):
    """Sorted. Equal mutations of two enrolment regions are two entries in a real quarantine, and one in the model's."""
    return sorted([x for x in lines if not x.startswith("quarantine")] + list({x for x in lines if x.startswith("quarantine")}))


def words(body):
    return " ".join(f"{g}={v}" for g, v in sorted(body.items()) if v is not None)


# ---- what the simulator says, in the same words


def protobuf(data):
    """The fields of a message: (number, int or bytes)."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = varint()
        if tag & 7 == 0:
            yield tag >> 3, varint()
        elif tag & 7 == 1:
            at += 8
            yield tag >> 3, int.from_bytes(data[at - 8:at], "little")
        else:
            size = varint()
            at += size
            yield tag >> 3, data[at - size:at]


def facility(value):
    return value[1] if value else None


def user(value):
    """An id that is a number; of any other length: a bad one."""
    return None if not value else "BAD" if len(value) != 16 else int.from_bytes(value, "big")


def in_body(typ, data):
    """The model's fields of a body."""
    found = dict(protobuf(data))
    out = {}
    if typ == 10:
        return {"reg": facility(found.get(15)), "asg": facility(found.get(16)), "m": found.get(18),
               "a": found.get(10, b"").decode() or None,
               "b": user(found.get(17))}
    return {"sd": pressure(found[1], found[2]) if 1 in found else None, "n": found.get(3)}


def pressure(systolic, diastolic):
    return int(systolic) - SYSTOLIC + (int(diastolic) - DIASTOLIC) * SYSTOLICS


def letters(typ, data):
    names = {n: g for g, n in (PATIENT if typ == "10" else PRESSURE).items()}
    out = []
    for _, clash in protobuf(data):
        fields = dict(protobuf(clash))
        out.append({1: names.get(fields.get(2)), 2: "delete", 3: "undelete"}[fields[1]])
    return " ".join(sorted(str(g) for g in out))


def quarantined(data, names):
    key, body, typ = b"", b"", 0
    for number, value in protobuf(data):
        if number == 2:
            key = value
        elif number >= 10:
            typ, body = number, value
    return f"quarantine {names.get(key.hex(), key.hex())} {words(in_body(typ, body))}"


def told(line, names):
    """A line of the simulator in the model's words."""
    word = line.split(" ")
    if word[0] == "answer":  # answer type 10 p1 status 1 reason 0
        return f"answer {word[3]} {STATUS[int(word[5])]} {WHY.get(int(word[7]), word[7])}"
    if word[0] == "record":
        life = "dead" if word[5] == "1" else "lives"
        body = words(in_body(int(word[2]), bytes.fromhex(word[6]) if len(word) > 6 else b""))
        return f"record {int(word[1][2:4], 16)} {word[3]} v{word[4]} {life} {body}"
    if word[0] == "conflict":
        return f"conflict {word[2]} {letters(word[1], bytes.fromhex(word[3]))}"
    if word[0] == "quarantine":
        return quarantined(bytes.fromhex(word[1]), names)
    if word[0] == "row" and word[2] == "10":
        a, b, m, reg, asg = word[5:]
        out = {"a": None if a == "-" else a, "b": user(bytes.fromhex(b)), "m": None if m in ("-", "0") else m,
               "reg": in_hex(reg), "asg": in_hex(asg)}
        return f"row {word[1]} {word[3]} {word[4]} {words(out)}"
    if word[0] == "row":
        out = {"sd": pressure(word[5], word[6]), "n": None if word[7] in ("-", "0") else word[7]}
        return f"row {word[1]} {word[3]} {word[4]} {words(out)}"
    return line


def in_hex(value):
    return None if value in ("-", "") else int(value[2:4], 16)


def name_ids(lines):
    """Ids by the order in which the script names them (script.c)."""
    names = {}
    seen = []
    for line in lines:
        for part in line.split("{")[1:]:
            name = part.split("}")[0]
            if " " in name or name in seen:
                continue
            seen.append(name)
            n = len(seen)
            names[(bytes((1, n >> 8, n & 255)) + bytes(11) + bytes((n >> 8, n & 255))).hex()] = name
    return names


def live(process, history):
    """The history in the simulator: what it says, part by part in the model's words."""
    names = name_ids(history.lines)
    process.stdin.write("\n".join(history.lines) + "\n")
    process.stdin.flush()
    out, part = [], []
    while line := process.stdout.readline():
        line = line.rstrip("\n")
        if line in ("--", "=="):
            out += once(part) + [line]
            part = []
        else:
            part.append(told(line, names))
        if line == "==":
            return out
    sys.exit("the simulator ended; what it said last: " + " / ".join(part[-3:]))


def told_beside(history, cores):
    """The script up to where they part, with what the cores (<) and the model (>) say."""
    a, b = iter(cores), iter(history.said)
    for line in history.lines:
        yield line
        if line in ("say --", "say =="):
            end = line[4:]
            left, right = list(iter(lambda: next(a), end)), list(iter(lambda: next(b), end))
            yield from (f"  = {x}" for x in left if x in right)
            yield from (f"  < {x}" for x in left if x not in right)
            yield from (f"  > {x}" for x in right if x not in left)
            if left != right:
                return


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--histories", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("-v", action="store_true", help="the script and both results of what differs")
    parser.add_argument("sim_test")
    options = parser.parse_args()
    differing = 0
    process = subprocess.Popen([options.sim_test, "--script", "-"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    for seed in range(options.first, options.first + options.histories):
        history = History(seed, options.steps)
        cores = live(process, history)
        if cores == history.said:
            continue
        differing += 1
        at = next((i for i, (a, b) in enumerate(zip(cores, history.said)) if a != b), -1)
        print(f"history {seed}: the cores say {cores[at]!r}, the model {history.said[at]!r};"
              f" compare.py --first {seed} --histories 1 --steps {options.steps} -v")
        if options.v:
            print("\n".join(told_beside(history, cores)))
    process.stdin.close()
    process.wait()
    print(f"compare: {options.histories} histories of {options.steps} steps from {options.first}:"
          f" {differing} differ: {'ok' if differing == 0 else 'FAILED'}")
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
