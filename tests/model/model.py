#!/usr/bin/env python3
"""Executable model of Outpost's sync protocol (PROTOCOL.md): one seed, one world, no I/O.

Devices, a server, users who edit, and everything that goes wrong: streams cut at any message, replies lost, requests of a dead stream
arriving late, devices killed, device databases copied or put back, the server put back to a backup, patients and nurses moving.
An independent check at the end sees what users did and saw, the final databases and the server's log.

    model.py --seeds 2000 [--first 0] [--faults CZKRLMSD]     count failures        model.py --seed 17 -v     replay one
SPDX-License-Identifier: Apache-2.0
Faults: C cuts, Z late requests of dead streams, K copies and old copies of device files, R server restores, L phones lost for ever then, M moves, S facility switches, D deletes.
"""
import argparse, copy, hashlib, random, sys

def H(*x): return int.from_bytes(hashlib.sha256(repr(x).encode()).digest()[:8], "big")
REGION = {f: f // 2 for f in range(6)}                      # facility -> sync region
GROUPS = {"patient": {"reg": "first", "asg": "late", "a": "late", "b": "late", "m": "max"}, "bp": {"sd": "late", "n": "late"}}
def canon(body): return tuple(sorted((k, v) for k, v in body.items() if v is not None))
def stamp(rec): return 0 if rec is None else H(rec["v"], rec["dead"], canon(rec["body"]))
def same(x, y): return (x is None) == (y is None) and (x is None or (x["dead"] == y["dead"] and canon(x["body"]) == canon(y["body"])))
def image(body, dead=False, v=0): return {"v": v, "dead": dead, "body": dict(body)}

class Server:
    def __init__(s):
        s.reg = {r: {"seq": 0, "h": 0, "rows": {}, "marks": {}, "log": {}} for r in range(3)}   # rows: key -> (seq, rec); marks: fam -> (seq, kind)
        s.home = {}             # fam -> frozenset of regions (the family directory)
        s.known = {}            # mutation id -> (status, reason); kept for ever
        s.hist, s.conf, s.quar = [], [], {}
        s.dev = {}              # device id -> {"held": regions ever held, "tok": (present, previous)}
    # -- log and rows
    def put(s, r, fam, key, rec, what):
        R = s.reg[r]; R["seq"] += 1; R["h"] = H(R["h"], R["seq"], what, fam, key, stamp(rec)); R["log"][R["seq"]] = R["h"]
        if key is None: R["marks"][fam] = (R["seq"], what)
        else: R["rows"][key] = (R["seq"], rec)
    def get(s, key):
        for r in sorted(s.home.get(key[0], ())):
            if key in s.reg[r]["rows"]: return s.reg[r]["rows"][key][1]
    def family(s, r, fam): return {k: v for k, v in s.reg[r]["rows"].items() if k[0] == fam}
    # -- one mutation (R10-R16); the model's transaction is this call
    def apply(s, devid, scope, m, seen=None, world=None):
        key, mid = m["key"], m["id"]; fam, typ, _ = key
        def answer(status, reason=None):
            rec = s.get(key); inside = bool(s.home.get(fam, frozenset()) & scope)
            if status in ("applied", "merged", "no_effect") and rec is not None and not inside: return {"id": mid, "st": "out_of_scope"}
            a = {"id": mid, "st": status, "why": reason}
            if status != "applied": a["rec"] = copy.deepcopy(rec) if inside else None
            return a
        if mid in s.known:
            st, why = s.known[mid]
            return answer("no_effect" if st != "quarantined" else st, why)              # R11: status stored, content read anew
        cur = s.get(key); par = (fam, "patient", fam)
        if m.get("recovered"):
            if cur is not None and cur["v"] >= m["recovered"]["v"]: s.known[mid] = ("no_effect", None); return answer("no_effect")
        if typ != "patient" and s.get(par) is None: return {"id": mid, "st": "retry", "why": "parent_missing"}
        if cur is None and m["bv"] > 0: return {"id": mid, "st": "retry", "why": "unknown_base"}
        if cur is None and typ == "patient" and m["f"].get("reg") is None: s.known[mid] = ("quarantined", "invalid"); s.quar[mid] = m; return answer("quarantined", "invalid")
        allowed = s.dev[devid]["held"]; regs = s.home.get(fam) or frozenset({REGION[m["f"]["reg"]]})
        was = {r for r in allowed if s.reg[r]["marks"].get(fam, (0, None))[1] == "left"}    # pending work survives that its family moves away
        if m.get("again") and not (regs & allowed or was): return {"id": mid, "st": "retry", "why": "not_yours"}   # accepted once: the move that made it so may come back
        if not m.get("recovered") and not (regs & allowed or was): s.known[mid] = ("quarantined", "not_yours"); s.quar[mid] = m; return answer("quarantined", "not_yours")
        if any(v == "BAD" for v in m["f"].values()): s.known[mid] = ("quarantined", "range"); s.quar[mid] = m; return answer("quarantined", "range")
        rec = copy.deepcopy(cur) or {"v": 0, "dead": False, "body": {}, "marks": {}, "line": {}}
        forked = m["bv"] > 0 and rec["line"].get(m["bv"]) != m["bs"]                        # what the user saw is not in this record's past
        asent = True; clash = []
        fields = dict(m["f"])
        for g, val in fields.items():
            mv, md = rec["marks"].get(g, (0, None)); now = rec["body"].get(g)
            other = (mv > m["bv"] and md != devid) or forked
            if now == val: continue
            rule = GROUPS[typ][g]
            if rule == "first" and now is not None and (other or m["bv"] > 0): clash.append((g, now, val)); asent = False; continue
            if rule == "max" and now is not None and val is not None and now > val: clash.append((g, now, val)); asent = False; continue
            if other: clash.append((g, now, val))
            rec["body"][g] = val; rec["marks"][g] = (rec["v"] + 1, devid)
            if world is not None and seen is not None and now is not None and g in seen and seen[g] != now and not other and md != devid:
                world.fail(f"silent overwrite of {g} {now} by {val}, user saw {seen[g]}")
        if m.get("dead") and not rec["dead"]:
            if any(mv > m["bv"] and md != devid for mv, md in rec["marks"].values()) or forked: clash.append(("delete", None, None)); asent = False
            else: rec["dead"] = True
        elif not m.get("dead") and rec["dead"] and fields: rec["dead"] = False; clash.append(("undelete", None, None)); asent = False
        if clash: s.conf.append((key, mid, clash, copy.deepcopy(m)))                       # refused values live in the entry itself
        if same(rec, cur): s.known[mid] = ("no_effect", None); return answer("no_effect")
        rec["v"] = max(rec["v"] + 1, m["recovered"]["v"] if m.get("recovered") else 0)
        if m.get("recovered") and rec["v"] > (cur["v"] if cur else 0) + 1: asent = False
        rec["line"][rec["v"]] = stamp(rec)
        s.known[mid] = ("merged", None); s.hist.append((key, mid, copy.deepcopy(m)))
        before = s.home.get(fam, frozenset())
        s.write(key, rec, before)
        ff = asent and stamp(cur) == m["held"] and rec["v"] == (cur["v"] if cur else 0) + 1
        return answer("applied" if ff else "merged")
    def write(s, key, rec, before):
        fam = key[0]; now = before
        if key[1] == "patient":
            b = rec["body"]; now = frozenset(REGION[x] for x in (b.get("reg"), b.get("asg")) if x is not None)
        s.home[fam] = now
        src = next(iter(sorted(before)), None); whole = s.family(src, fam) if src is not None else {}
        for r in sorted(before - now):                                                     # leaving: marker, rows gone, log kept
            for k in s.family(r, fam): del s.reg[r]["rows"][k]
            s.put(r, fam, None, None, "left")
        for r in sorted(now & before): s.put(r, fam, key, rec, "row")
        for r in sorted(now - before):                                                     # entering: marker, then everything, tombstones too
            s.put(r, fam, None, None, "entered")
            rows = {k: v[1] for k, v in whole.items()}; rows[key] = rec
            for k in sorted(rows): s.put(r, fam, k, copy.deepcopy(rows[k]), "row")
    def receipt(s, did, answers):
        R = s.dev[did]["rc"]; R.append(H(R[-1], [a["id"] for a in answers if a["st"] != "retry"])); return R[-1]
    def digest(s, r): return sum(H(k, stamp(v[1])) for k, v in s.reg[r]["rows"].items() if not v[1]["dead"]) % 2**64
    def at(s, r): return (s.reg[r]["seq"], s.reg[r]["h"])
    def knows(s, r, cur): return cur[0] == 0 or s.reg[r]["log"].get(cur[0]) == cur[1]

class Device:
    def __init__(d, did, fac):
        d.id, d.fac, d.tok = did, fac, 0
        d.row, d.held, d.base, d.seal, d.journal, d.rej, d.left = {}, {}, {}, {}, [], {}, set()
        d.cur = {}              # region -> {"at": (seq, hash), "snap": None | {...}}
        d.gen, d.mark = 0, {}
        d.visited = {REGION[fac]}; d.rc = 0; d.resend = False; d.offer = False; d.need = set(); d.prove = []; d.kept = {}; d.late = False; d.refused = set()
    def pending(d, k): return not same(d.row.get(k), d.held.get(k))
    def seen(d, k): return dict((d.row.get(k) or {"body": {}})["body"])
    def clean(d, k):
        if not d.pending(k): d.base.pop(k, None); d.rej.pop(k, None)
    def edit(d, k, f, dead=False):
        if k not in d.base: d.base[k] = {"img": copy.deepcopy(d.row.get(k)), "v": (d.held.get(k) or {"v": 0})["v"], "s": stamp(d.held.get(k)), "seen": d.seen(k)}
        if dead and d.base[k]["img"] is None and k not in d.seal and k not in d.held: d.base.pop(k); d.row.pop(k); d.rej.pop(k, None); return   # nobody has heard of it
        cur = d.row.get(k) or image({}); cur = copy.deepcopy(cur); cur["body"].update(f); cur["dead"] = dead; d.row[k] = cur
        if k in d.rej: d.rej[k]["img"] = None                                              # any edit of a rejected record goes, one that takes back another, too
        if k not in d.seal: d.clean(k)
    def sealing(d):
        for k in sorted(d.base):
            if k in d.seal or k in d.rej and same(d.row.get(k), d.rej[k]["img"]): continue
            b, r = d.base[k], d.row.get(k)
            if r is None: continue
            old = b["img"] or image({})
            f = {g: r["body"].get(g) for g in set(r["body"]) | set(old["body"]) if r["body"].get(g) != old["body"].get(g)}
            dead = r["dead"] and not old["dead"]
            if dead: f = {}                                                                # a deletion changes no field
            if not f and not dead and b["img"] is not None and old["dead"] == r["dead"]: d.base.pop(k); d.row[k] = copy.deepcopy(d.held.get(k)) or d.row[k]; continue
            m = {"key": k, "bv": b["v"], "bs": b["s"], "f": f, "dead": dead}
            m["id"] = H("m", k, m["bv"], m["bs"], canon(f), dead, 0)
            d.seal[k] = {"m": m, "img": copy.deepcopy(r), "seen": dict(b["seen"])}; d.rej.pop(k, None)
    def take(d, k, rec):        # R6
        was = d.pending(k) or k in d.base or k in d.seal
        d.held[k] = copy.deepcopy(rec); d.mark[k] = d.gen
        if not was: d.row[k] = copy.deepcopy(rec)
        elif same(d.row.get(k), rec) and k not in d.seal: d.clean(k); d.row[k] = copy.deepcopy(rec)
        d.trim(k)
    def trim(d, k):
        if k not in d.base and k not in d.seal and d.row.get(k) is not None and d.row[k]["dead"] and not d.pending(k): d.row.pop(k); d.held.pop(k); d.mark.pop(k, None)
    def answer(d, a, m):        # R7
        k = m["key"]; sl = d.seal.get(k)
        if a["st"] == "retry":                                                             # the server lost what this builds on: offer what is left of it here
            for q in {"unknown_base": [k], "parent_missing": [k, (k[0], "patient", k[0])]}.get(a["why"], []):
                if q in d.held or q in d.base and d.base[q]["img"] or q in d.kept: d.need.add(q)
            if sl is not None and sl["m"]["id"] == a["id"] and m["bv"] == 0 and k not in d.held and d.row[k]["dead"]:
                del d.seal[k]; d.base.pop(k, None); d.row.pop(k); d.rej.pop(k, None)       # made and deleted here, and nobody has it: it would wait for its parent for ever
            return
        if m not in d.journal and "recovered" not in m: d.journal.append(m); d.refused |= {m["id"]} if a["st"] == "quarantined" else set()
        if sl is None or sl["m"]["id"] != a["id"]:
            if a["st"] == "quarantined" and a["id"] not in d.refused and d.row.get(k) is not None and k not in d.base and not same(d.row[k], a.get("rec")):   # a restored server may decide otherwise
                d.base[k] = {"img": copy.deepcopy(a.get("rec")), "v": (d.held.get(k) or {"v": 0})["v"], "s": stamp(d.held.get(k)), "seen": d.seen(k)}
                d.rej[k] = {"why": a["why"], "img": copy.deepcopy(d.row[k])}; d.held.pop(k, None)
                if a.get("rec") is not None: d.held[k] = copy.deepcopy(a["rec"])
                return
            if a.get("rec") is not None: d.take(k, a["rec"])
            elif a["st"] == "out_of_scope": d.leave(k[0], only=k)
            return
        del d.seal[k]
        if a["st"] == "applied":
            old = d.held.get(k) or image({}); new = image({**old["body"], **m["f"]}, m["dead"], old["v"] + 1)
        elif a["st"] == "out_of_scope": new = None
        else: new = a.get("rec")
        if new is None: d.drop(k)
        else: d.held[k] = copy.deepcopy(new)
        d.mark[k] = d.gen
        edited = not same(d.row.get(k), sl["img"])
        if a["st"] == "quarantined":
            d.rej[k] = {"why": a["why"], "img": sl["img"]}
        elif edited: d.base[k] = {"img": sl["img"], "v": d.base[k]["v"] if k in d.base else m["bv"], "s": d.base[k]["s"] if k in d.base else m["bs"], "seen": d.base[k]["seen"] if k in d.base else {}}
        else:
            d.base.pop(k, None)
            if new is None: d.row.pop(k, None); d.mark.pop(k, None)
            else: d.row[k] = copy.deepcopy(new)
        if edited and d.base.get(k) and d.base[k]["v"] == 0 and new is not None and a["st"] != "quarantined": d.base[k].update(v=m["bv"])
        if a["st"] == "out_of_scope": d.leave(k[0], only=k)
        d.trim(k)
    def leave(d, fam, only=None):
        if d.offer: d.left.add(fam); return                                                # nothing is purged while an offer to a restored server is due
        d.left.add(fam)
        for k in [k for k in d.row if k[0] == fam]:
            if k in d.base or k in d.seal or k in d.rej: d.drop(k)                          # its edits stay until they are answered
            elif only in (None, k): d.row.pop(k); d.drop(k); d.mark.pop(k, None)
    def drop(d, k):         # a held copy goes; a patient's, and that of a record with work of ours, stays aside while work of ours hangs on it: a restored server may have lost it
        h = d.held.pop(k, None); mine = set(d.base) | set(d.seal) | set(d.rej) | {m["key"] for m in d.journal}
        if h is not None and (k in mine or k[1] == "patient" and any(q[0] == k[0] for q in mine)): d.kept[k] = copy.deepcopy(h)
    def purge(d):
        if d.offer: return
        for k in [k for k in list(d.row) if k[0] in d.left and not (k in d.base or k in d.seal or k in d.rej)]: d.row.pop(k); d.drop(k); d.mark.pop(k, None)
    def enter(d, fam):
        d.left.discard(fam)
        for k in [k for k in list(d.row) if k[0] == fam]:
            d.held.pop(k, None)
            if not (k in d.base or k in d.seal or k in d.rej): d.row.pop(k); d.mark.pop(k, None)
    def written(d):         # values that may be gone with this file: what its journal alone has, too
        return {v for r in list(d.row.values()) + [h for h in d.held.values() if h] for v in r["body"].values()} | {v for m in d.journal + [x["m"] for x in d.seal.values()] for v in m["f"].values()}
    def digest(d, r): return sum(H(k, stamp(h)) for k, h in d.held.items() if h is not None and not h["dead"] and k[0] not in d.left) % 2**64

class World:
    def __init__(w, seed, faults, verbose=False):
        w.rnd = random.Random(seed); w.faults, w.verbose, w.bad, w.n = faults, verbose, [], 0
        w.s = Server(); w.d = []; w.backup = None; w.copies = []; w.late = []; w.streams = {}; w.alarms = 0; w.quiet = False; w.wrote, w.over, w.must = {}, set(), set()
        w.snapcap = w.rnd.choice((1, 2, 3)); w.batch = w.rnd.choice((1, 2, 5)); w.sealed = {}
        for i in range(w.rnd.choice((2, 3, 4))): w.enrol(w.rnd.randrange(6))
    def say(w, *a):
        if w.verbose: print(*a)
    def fail(w, why): w.bad.append(why); w.say("FAIL", why)
    def enrol(w, fac, old=None):
        w.n += 1; d = Device(w.n, fac) if old is None else old; d.id = w.n; w.s.dev[d.id] = {"held": {REGION[fac]} | d.visited, "tok": (0, 0), "rc": [0]}; d.tok = 0; d.rc = 0; d.resend = old is not None
        if old is None: w.d.append(d)
    def val(w): w.n += 1; return w.n
    # ---- users
    def user(w, d):
        before = {k: dict(r["body"]) for k, r in d.row.items()}
        w.act(d)
        for k, r in d.row.items():
            for g, v in r["body"].items():
                if isinstance(v, int) and g not in ("reg", "asg") and before.get(k, {}).get(g) != v: w.wrote[v] = (d, k, g)
            for g, v in before.get(k, {}).items():
                if v != r["body"].get(g): w.over.add(v)                                    # the nurse herself wrote over it, having seen it
        for k in before:
            if k not in d.row or d.row[k]["dead"]: w.over |= set(before[k].values())       # or deleted it
    def act(w, d):
        k, rnd = None, w.rnd; pats = [k for k in d.row if k[1] == "patient" and not d.row[k]["dead"]]; x = rnd.random()
        if x < .25 or not pats:
            w.n += 1; p = (f"p{w.n}", "patient", f"p{w.n}"); d.edit(p, {"reg": d.fac, "asg": d.fac if rnd.random() < .7 else None, "a": w.val()}); w.say("d", d.id, "new", p); return
        p = rnd.choice(sorted(pats)); kids = [k for k in d.row if k[0] == p[0] and k[1] == "bp" and not d.row[k]["dead"]]
        if x < .5: w.n += 1; k = (p[0], "bp", f"b{w.n}"); d.edit(k, {"sd": w.val()}); w.say("d", d.id, "new", k)
        elif x < .6 and kids: k = rnd.choice(sorted(kids)); d.edit(k, {rnd.choice(("sd", "n")): w.val()}); w.say("d", d.id, "edit", k)
        elif x < .66 and "D" in w.faults and kids: k = rnd.choice(sorted(kids)); d.edit(k, {}, dead=True); w.say("d", d.id, "delete", k)
        elif x < .72: d.edit(p, {"b": "BAD"}); w.say("d", d.id, "bad", p)
        elif x < .82 and "M" in w.faults: f = rnd.randrange(6); d.edit(p, {"asg": f}); w.say("d", d.id, "move", p, f)
        elif d.rej: k = rnd.choice(sorted(d.rej)); d.edit(k, {g: w.val() for g, v in d.row[k]["body"].items() if v == "BAD"} or {"a" if k[1] == "patient" else "n": w.val()}); w.say("d", d.id, "fix", k)
        else: d.edit(p, {rnd.choice(("a", "b", "m")): w.val()}); w.say("d", d.id, "edit", p)
    # ---- one sync: yields at every message boundary; True as last value means caught up
    def sync(w, d, cutp, cutat=None):                                                      # cutat: cut there and nowhere else
        s, rnd = w.s, w.rnd; cut = lambda where: cutat == where if cutat is not None else "C" in w.faults and not w.quiet and rnd.random() < cutp
        if d.id not in s.dev:                                                              # the server forgot an enrolment: admitted again by its certificate
            s.dev[d.id] = {"held": set(d.visited), "tok": (d.tok, d.tok), "rc": [0]}
        t = s.dev[d.id]["tok"]
        if d.tok not in t and t != (0, 0) and d.tok != -1:
            if d.tok > max(t): s.dev[d.id]["tok"] = (d.tok, d.tok)                          # server restored: the phone knows a later token
            else: w.enrol(d.fac, old=d); w.say("copied -> new id", d.id)
        r = REGION[d.fac]; scope = frozenset({r}); s.dev[d.id]["held"] |= d.visited
        for q in [q for q in d.cur if q != r]: d.prove.append((q, d.cur.pop(q)["seen"]))    # switched: other regions go, and are swept when this one's snapshot ends;
        if any(not s.knows(q, seen) for q, seen in d.prove): d.offer = True                 # until then each call proves their history, else their records are offered first
        c = d.cur.get(r)
        if c is not None and not (s.knows(r, c["at"]) and s.knows(r, c["seen"]) and (c["snap"] is None or s.knows(r, c["snap"]["H"]))): d.offer = True; c = None; w.say("reset region", r, "for", d.id)
        if c is None:
            d.gen += 1; c = d.cur[r] = {"at": (0, 0), "seen": (0, 0), "snap": {"H": s.at(r), "phase": 1, "pos": None, "fac": d.fac, "gen": d.gen}}
        if d.rc not in s.dev[d.id]["rc"]: d.resend = True; w.say("server forgot accepted work of", d.id)
        d.sealing(); yield
        if cut("hello"): return
        out = list(d.journal) if d.resend else []
        lost = []
        for k in sorted(d.need, key=lambda k: (k[1] != "patient", str(k))):
            h = d.held.get(k) or (d.base.get(k) or {}).get("img") or d.kept.get(k)
            if h and h["v"] > 0: lost.append(({"key": k, "bv": 0, "bs": 0, "f": dict(h["body"]), "dead": h["dead"], "recovered": {"v": h["v"]}, "id": H("rec", k, stamp(h))}, None))
        d.need = set()
        queue = lost + [(dict(m, again=m["id"] not in d.refused), None) for m in out] + [(x["m"], x["seen"]) for x in sorted(d.seal.values(), key=lambda x: (x["m"]["key"][1] != "patient", str(x["m"]["key"])))]
        applied = {}; ended = set(); again = False; nj = {m["id"] for m in out}
        for i in range(0, len(queue), w.batch):
            part = [(dict(m, held=stamp(d.held.get(m["key"]))), seen) for m, seen in queue[i:i + w.batch]]
            if cut("push"):
                if cutat is not None and d.late or cutat is None and "Z" in w.faults and rnd.random() < .5: w.late.append((d.id, scope, part))
                return
            if d.id not in s.dev: return
            answers = [s.apply(d.id, scope, m, seen, w) for m, seen in part]; rc = s.receipt(d.id, answers); head = s.at(r)
            yield
            if cut("answers"): return
            if not d.resend or i + w.batch >= len(queue): d.rc = rc
            c["seen"] = head
            again |= any(a["st"] == "retry" and a["id"] in nj for a in answers)
            for (m, _), a in zip(part, answers):
                mm = {k: v for k, v in m.items() if k not in ("held", "again")}
                orig = next((x["m"] for x in d.seal.values() if x["m"]["id"] == m["id"]), mm)
                d.answer(a, orig)
                if a["st"] == "applied" and d.held.get(m["key"]): applied[m["key"]] = stamp(d.held[m["key"]])
            yield
        d.resend = again                                                                   # a journal entry whose parent has not come back yet goes again
        # pull
        while c["snap"] is not None:
            sn = c["snap"]; R = s.reg[r]; fams = sorted({k[0] for k in R["rows"]}); page = []
            def own(f): p = R["rows"].get((f, "patient", f)); return p is not None and sn["fac"] in (p[1]["body"].get("reg"), p[1]["body"].get("asg"))
            if sn["phase"] == 1: todo = [f for f in fams if own(f) and (sn["pos"] is None or f > sn["pos"])]
            else: todo = [f for f in fams if (sn["pos"] is None or f > sn["pos"]) and not (own(f) and R["rows"][(f, "patient", f)][0] <= sn["H"][0])]
            now = todo[:w.snapcap]; page = [(k, copy.deepcopy(v[1])) for f in now for k, v in sorted(s.family(r, f).items())]; head = s.at(r)
            yield
            if cut("page"): return
            c["seen"] = head
            for k, rec in page:
                if k[0] in d.left: d.left.discard(k[0])
                d.take(k, rec)
            if now: sn["pos"] = now[-1]
            elif sn["phase"] == 1: sn["phase"], sn["pos"] = 2, None
            else:
                if d.offer:
                    offers = [(k, h) for k, h in sorted(d.held.items(), key=lambda x: (x[0][1] != "patient", str(x[0]))) if h and (k[0] in d.left or d.mark.get(k, -1) < sn["gen"])]
                    given = []
                    for k, h in offers:
                        m = {"key": k, "bv": 0, "bs": 0, "f": dict(h["body"]), "dead": h["dead"], "held": 0, "recovered": {"v": h["v"]}}; m["id"] = H("rec", k, stamp(h))
                        a = s.apply(d.id, scope, m); m.pop("held"); given.append(a)
                        if a["st"] == "out_of_scope" and m not in d.journal: d.journal.append(m)   # nobody of this region holds it any more: the journal is its backup
                    rc = s.receipt(d.id, given)
                    yield
                    if cut("offers"): return
                    if not d.resend: d.rc = rc                                             # offers are pushed like all else, and receipted
                stale = [k for k in list(d.row) if d.mark.get(k, -1) < sn["gen"] and k not in d.base and k not in d.seal and k not in d.rej]
                d.offer = False; d.purge()
                for k in stale: d.row.pop(k, None); d.drop(k); d.mark.pop(k, None)
                for k in [k for k in d.held if d.mark.get(k, -1) < sn["gen"]]: d.drop(k)     # pending, but no longer sent to us
                c["at"], c["snap"] = sn["H"], None
                d.prove = []
            yield
        while True:
            R = s.reg[r]; at = c["at"][0]
            ev = sorted([(sq, "row", k, rec) for k, (sq, rec) in R["rows"].items() if sq > at] + [(sq, kind, f, None) for f, (sq, kind) in R["marks"].items() if sq > at], key=lambda e: e[0])[:w.snapcap * 2]
            if not ev: upto = s.at(r); dig = s.digest(r)
            else: upto = (ev[-1][0], R["log"][ev[-1][0]])
            ev = copy.deepcopy(ev); head = s.at(r)
            yield
            if cut("tail"): return
            for sq, kind, k, rec in ev:
                if kind == "row":
                    if applied.get(k) == stamp(rec) and k[0] not in ended: continue
                    if k[0] in d.left: d.left.discard(k[0])
                    d.take(k, rec)
                else:
                    ended.add(k); (d.leave if kind == "left" else d.enter)(k)
            d.purge(); c["at"], c["seen"] = upto, head
            if not ev: break
        if d.digest(r) != dig:
            w.alarms += 1; w.say("digest alarm", d.id, r)
            if w.quiet: w.fail(f"digest differs at rest, device {d.id}")
            elif "H" in w.faults: d.cur.pop(r, None)
        s.dev[d.id]["tok"] = (max(s.dev[d.id]["tok"][0], d.tok) + 1, d.tok)                  # the presented one stays good: this CaughtUp may be lost, and the next
        yield
        if cut("token"): return
        d.tok = s.dev[d.id]["tok"][0]
        yield True
    # ---- the world turns
    def step(w):
        rnd, F = w.rnd, w.faults; d = rnd.choice(w.d); x = rnd.random()
        if x < .45: w.user(d)
        elif x < .85:
            if d in w.streams:
                try: next(w.streams[d])
                except StopIteration: del w.streams[d]
            else: w.streams[d] = w.sync(d, rnd.choice((0, .05, .3)))
        elif x < .88 and d in w.streams and "C" in F: del w.streams[d]                     # killed
        elif x < .90 and "Z" in F and w.late:
            did, scope, part = w.late.pop(rnd.randrange(len(w.late)))
            if did in w.s.dev: w.s.receipt(did, [w.s.apply(did, scope, m, seen, w) for m, seen in part]); w.say("late batch of", did)
        elif x < .92 and "S" in F and d not in w.streams:
            d.fac = rnd.randrange(6); d.visited.add(REGION[d.fac]); w.say("d", d.id, "switches to", d.fac)
        elif x < .94 and "R" in F:
            if w.backup is None or rnd.random() < .6: w.backup = copy.deepcopy(w.s)
            else:
                side = {k: set(v["held"]) for k, v in w.s.dev.items()}                       # enrolments live in a file beside the store
                w.must -= {k for R in w.s.reg.values() for k in R["rows"]}                    # it had come back: who holds it now is asked anew
                w.s.__dict__.update(copy.deepcopy(w.backup).__dict__); w.streams.clear(); w.say("SERVER RESTORED")
                w.must |= {k for dv in w.d for k, h in dv.held.items() if h is not None and not h["dead"] and k[0] not in dv.left}
                if "L" in F and len(w.d) > 1 and rnd.random() < .6: x = w.d.pop(rnd.randrange(len(w.d))); w.over |= x.written(); w.say("device", x.id, "never returns"); w.must = {k for k in w.must if any(dv.held.get(k) and k[0] not in dv.left for dv in w.d)}
                for k, held in side.items(): w.s.dev.setdefault(k, {"held": set(), "tok": (0, 0), "rc": [0]})["held"] |= held
        elif x < .96 and "K" in F and d not in w.streams:
            y = rnd.random()
            if y < .5: w.copies.append((d, copy.deepcopy(d)))
            elif w.copies:
                src, old = rnd.choice(w.copies)
                if y < .8 and len(w.d) < 6: w.d.append(copy.deepcopy(old)); w.say("copy of device", old.id, "in use")
                elif src in w.d and src not in w.streams: w.over |= src.written(); src.__dict__.update(copy.deepcopy(old).__dict__); w.say("old copy put back", src.id); w.must = {k for k in w.must if any(dv.held.get(k) and k[0] not in dv.left for dv in w.d)}
        for dv in w.d:
            for sl in dv.seal.values(): w.sealed[sl["m"]["id"]] = sl["m"]
    def run(w, steps=120):
        for _ in range(steps): w.step()
        w.quiet = True; w.streams.clear()
        for did, scope, part in w.late:
            if did in w.s.dev: [w.s.apply(did, scope, m, seen, w) for m, seen in part]
        w.late = []
        for rnd_ in range(8):
            for d in list(w.d):
                if rnd_ < 4:                                                                # nurses repair what was rejected
                    for k in sorted(d.rej):
                        f = {g: w.val() for g, v in d.row[k]["body"].items() if v == "BAD"} or {"a" if k[1] == "patient" else "n": w.val()}
                        w.over |= {d.row[k]["body"].get(g) for g in f}; d.edit(k, f)
                g = w.sync(d, 0); done = False
                for st in range(4000):
                    try: done = next(g) or done
                    except StopIteration: break
                if rnd_ >= 6 and not done: w.fail(f"device {d.id} does not catch up")
            if rnd_ == 4: w.alarms_before = w.alarms; w.bad = [b for b in w.bad if not b.startswith("digest")]
        w.check()
        return w.bad
    def check(w):
        s = w.s
        for d in w.d:
            r = REGION[d.fac]; want = {k: v[1] for k, v in s.reg[r]["rows"].items() if not v[1]["dead"]}
            for k in d.seal: w.fail(f"device {d.id}: {k} still in the outbox: {s.known.get(d.seal[k]['m']['id'])}")
            for k in d.base:
                if k not in d.rej and k not in d.seal: w.fail(f"device {d.id}: {k} still pending")
            for k, rec in d.row.items():
                if k in d.rej or k in d.base: continue
                if k not in want: w.fail(f"device {d.id} holds {k}, which is not in its scope or dead")
                elif not same(rec, want[k]): w.fail(f"device {d.id}: {k} differs: {rec['body']} / {want[k]['body']}")
            for k in want:
                if k not in d.row: w.fail(f"device {d.id} lacks {k}")
            for m in d.journal:
                if m["id"] not in s.known: w.fail(f"acknowledged mutation of {m['key']} unknown to the server (device {d.id})")
        for mid, m in w.sealed.items():
            if mid in s.known and s.known[mid][0] == "quarantined" and mid not in s.quar: w.fail("quarantined but not kept")
        for fam, regs in s.home.items():
            copies = [{k: (stamp(v[1]), v[1]["marks"]) for k, v in s.family(r, fam).items()} for r in sorted(regs)]
            if any(c != copies[0] for c in copies): w.fail(f"family {fam} differs between regions {sorted(regs)}")
            if copies and (fam, "patient", fam) not in copies[0]: w.fail(f"family {fam} without its patient")
        everywhere = {k for R in s.reg.values() for k in R["rows"]}
        for key, mid, m in s.hist:
            if key not in everywhere: w.fail(f"{key} is in the history and nowhere else")
        for k in w.must:
            if k not in everywhere and k not in {m["key"] for m in s.quar.values()}: w.fail(f"{k} was held by a phone when the server was restored, and did not come back")   # or its family is elsewhere now, and a person decides
        kept = {v for R in s.reg.values() for _, rec in R["rows"].values() for v in rec["body"].values()} | {v for _, _, m in s.hist for v in m["f"].values()} | {v for m in s.quar.values() for v in m["f"].values()} \
            | {v for _, _, c, m in s.conf for v in m["f"].values()} | {v for d in w.d for r in d.row.values() for v in r["body"].values()}
        for v, (d, k, g) in w.wrote.items():
            if v not in kept and v not in w.over and d in w.d: w.fail(f"device {d.id} wrote {g}={v} of {k}: it is nowhere")
        ids = [h[1] for h in s.hist]
        if len(ids) != len(set(ids)): w.fail("a mutation in the history twice")

def main():
    ap = argparse.ArgumentParser(); ap.add_argument("--seeds", type=int, default=500); ap.add_argument("--first", type=int, default=0); ap.add_argument("--faults", default="CZKRLMSD"); ap.add_argument("--seed", type=int); ap.add_argument("-v", action="store_true"); ap.add_argument("--steps", type=int, default=120)
    a = ap.parse_args()
    if a.seed is not None: bad = World(a.seed, a.faults, a.v).run(a.steps); print(*bad, sep="\n"); sys.exit(bool(bad))
    bad = 0; alarms = 0; first = []
    for i in range(a.first, a.first + a.seeds):
        w = World(i, a.faults)
        try: b = w.run(a.steps)
        except Exception as e: b = [f"{type(e).__name__}: {e}"]
        alarms += w.alarms
        if b: bad += 1; first.append((i, b[0]))
    print(f"{a.seeds} seeds, {bad} bad, {alarms} digest alarms, faults {a.faults}")
    for i, b in first[:12]: print("  seed", i, b)
    sys.exit(bool(bad))
if __name__ == "__main__": main()
