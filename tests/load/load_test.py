#!/usr/bin/python3
"""outpost-load itself, against real servers: it runs and tells the truth, an honest server passes,
and one that lies does not. No figure is judged but by what must hold in any run.

SPDX-License-Identifier: Apache-2.0
"""
import html.parser
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from peer import BIN, Outpostd  # noqa: E402

SMALL = ("--devices", "24", "--regions", "3", "--facilities", "2", "--records", "300", "--rate", "40",
         "--seconds", "3", "--quiet")


def load(*words, check=None):
    done = subprocess.run([BIN / "outpost-load", *words], capture_output=True, text=True, check=False)
    if check is not None and done.returncode != check:
        raise AssertionError(f"outpost-load {words} exited {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


class LoadTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="load-test-")
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def run_small(self, *words, check=0):
        """A run against a server of its own; its report, if there is one, and what it printed."""
        report = self.path("report.json")
        done = load("--spawn", *SMALL, "--json", report, *words, check=check)
        return json.loads(pathlib.Path(report).read_text()), done


class HonestServer(LoadTest):
    def serve(self, count):
        """A server that this test starts, with codes for so many devices in two regions; what to aim with."""
        server = Outpostd()
        self.addCleanup(server.close)
        codes = []
        for name in ("North", "South"):
            facility = server.add_facility(f"Clinic {name}", server.add_region(name))
            codes += server.run("enrol", "--facility", facility, "--count", str(count // 2)).stdout.split()
        pathlib.Path(self.path("codes")).write_text("\n".join(codes) + "\n")
        server.start()
        return server, ("--server", server.address, "--ca", f"{server.data}/ca.pem", "--codes", self.path("codes"),
                        *SMALL, "--devices", str(count), "--json", self.path("report.json"))

    def test_a_run_holds_and_adds_up(self):
        report, done = self.run_small("--html", self.path("report.html"))
        counts, options = report["counts"], report["options"]
        self.assertTrue(report["invariants_hold"])
        self.assertNotIn("BROKEN", done.stdout)
        self.assertEqual(counts["arrivals"], 120)
        self.assertEqual(counts["unfinished"], 0)
        self.assertEqual(counts["errors"], {})
        self.assertEqual(report["latency"]["count"], counts["arrivals"])
        self.assertEqual(sum(work["count"] for work in report["works"].values()), counts["arrivals"])
        self.assertEqual(sum(report["seconds"]["arrivals"]), counts["arrivals"])
        self.assertEqual(sum(link["devices"] for link in report["links"]), options["devices"])
        self.assertLessEqual(counts["syncs"], counts["arrivals"] + options["followers"])
        self.assertGreater(counts["answers"]["applied"], 0)
        self.assertGreater(report["freshness"]["next_sync"]["count"], 0)
        self.assertGreater(report["figures"]["server_cpu_ms_per_sync"], 0)
        for latency in (report["latency"], report["service"]):
            told = [latency[name] for name in ("least_ms", "p50_ms", "p90_ms", "p99_ms", "p999_ms", "greatest_ms")]
            self.assertEqual(told, sorted(told))
        self.assertEqual(report["service"]["count"], counts["syncs"])
        self.assertEqual(report["machine"]["begun_late"]["count"], counts["arrivals"])

    def test_moves_first_syncs_and_bad_networks(self):
        report, _ = self.run_small("--mix", "move=3,first=2,edit=3,patient=2",
                                   "--links", "lan=1,500:40=1,1000:20:60=2", "--poisson", "--followers", "0")
        counts = report["counts"]
        self.assertTrue(report["invariants_hold"])
        self.assertGreater(counts["first_syncs"], 0)
        self.assertGreater(counts["errors"]["UNAVAILABLE"], 0)
        broken = {link["name"]: link["errors"] for link in report["links"]}
        self.assertEqual(broken["lan"], 0)
        self.assertGreater(broken["1000:20:60"], 0)
        shaped = {link["name"]: link["latency"]["least_ms"] for link in report["links"]}
        self.assertGreaterEqual(shaped["500:40"], 110)  # TCP, TLS and the call: round trips of 40 ms

    def test_followers_get_what_others_write(self):
        report, _ = self.run_small("--profile", "idle", "--devices", "30", "--rate", "5")
        reach = report["freshness"]["reach"]
        self.assertTrue(report["invariants_hold"])
        self.assertEqual(report["options"]["followers"], 30)
        self.assertGreater(reach["count"], 0)
        self.assertGreaterEqual(report["freshness"]["followers"]["count"], reach["count"])

    def test_the_closed_model(self):
        report, _ = self.run_small("--closed", "4", "--followers", "0", "--keep-connections")
        self.assertTrue(report["invariants_hold"])
        self.assertEqual(report["options"]["model"], "closed")
        self.assertGreater(report["counts"]["syncs"], 0)
        self.assertEqual(report["latency"]["count"], report["counts"]["arrivals"])

    def test_moves_to_one_place_from_two_devices(self):
        """The second is answered out of scope, and made no version."""
        report, _ = self.run_small("--regions", "2", "--facilities", "1", "--records", "60", "--mix", "move=3,edit=1",
                                   "--closed", "8", "--followers", "0")
        self.assertTrue(report["invariants_hold"])
        self.assertGreater(report["counts"]["answers"]["out_of_scope"], 0)

    def test_app_versions_mixed(self):
        report, _ = self.run_small("--versions", "1=2,2=1", "--mix", "edit=1,patient=1")
        self.assertTrue(report["invariants_hold"])
        self.assertEqual(len(report["versions"]), 2)
        for version in report["versions"]:
            self.assertGreater(version["syncs"], 0)
            self.assertEqual(version["errors"], 0)

    def test_a_server_that_is_there(self):
        _, words = self.serve(12)
        load(*words, check=0)
        told = json.loads(pathlib.Path(self.path("report.json")).read_text())
        self.assertTrue(told["invariants_hold"])
        self.assertEqual(told["options"]["regions"], 2)
        again = load(*words, check=69)  # the codes are used
        self.assertIn("code 1 of", again.stderr)

    def test_a_stall_is_charged_to_everyone_whom_it_kept_waiting(self):
        """The server is stopped for 2.4 s of a run with 40 arrivals a second for 6 s. Those meant in the
        first half of it, 48 of 240, wait for 1.2 s at least, whatever else this machine does."""
        server, words = self.serve(12)
        words = [word for word in words if word != "--quiet"]
        process = subprocess.Popen([BIN / "outpost-load", *words, "--seconds", "6", "--followers", "0"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        for line in process.stderr:
            if re.match(r" *1 s ", line):
                break
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(2.4)
        server.process.send_signal(signal.SIGCONT)
        process.stderr.read()
        self.assertEqual(process.wait(), 0)
        told = json.loads(pathlib.Path(self.path("report.json")).read_text())
        self.assertEqual(told["counts"]["arrivals"], 240)
        self.assertGreaterEqual(told["latency"]["p90_ms"], 1200)
        self.assertGreaterEqual(told["latency"]["greatest_ms"], 2300)


class LyingServer(LoadTest):
    """What the server's database is made to forget while it is at rest."""

    def broken(self, command):
        report, done = self.run_small("--before-check", command, check=1)
        self.assertFalse(report["invariants_hold"])
        self.assertIn("BROKEN", done.stdout)
        return {i["name"]: i["detail"] for i in report["invariants"] if not i["holds"]}

    def sql(self, statement):
        return f'sqlite3 "$OUTPOST_DATA/outpost.db" ".timeout 10000" "{statement}"'

    def test_a_lost_row_is_noticed(self):
        broken = self.broken(self.sql(
            "DELETE FROM record WHERE (region_id, family_id, type, id) IN"
            " (SELECT region_id, family_id, type, id FROM record WHERE type = 13 LIMIT 1)"))
        self.assertIn("1 acknowledged records are missing",
                      broken["nothing acknowledged is missing, nothing took effect twice"])
        self.assertIn("every region's devices agree by digest", broken)

    def test_a_changed_row_is_noticed(self):
        """The same version with another value; and a version for which nobody made an edit."""
        one = (" WHERE (region_id, family_id, type, id) IN"
               " (SELECT region_id, family_id, type, id FROM record WHERE type = 13 LIMIT 1)")
        for change, said in (("body = cast(body || x'28' || x'01' AS BLOB)", "1 records differ from what was acknowledged"),
                             ("version = version + 7", "1 records have an edit more than once")):
            broken = self.broken(self.sql(f"UPDATE record SET {change}{one}"))
            self.assertIn(said, broken["nothing acknowledged is missing, nothing took effect twice"])

    def test_a_server_that_dies_is_noticed(self):
        broken = self.broken('kill -9 "$OUTPOST_PID"')
        self.assertIn("the server ended by itself", broken["every device could sync to its end"])


class Baseline(LoadTest):
    def test_worse_is_2_and_the_same_is_0(self):
        report, _ = self.run_small()
        figures = report["figures"]
        baseline = self.path("baseline.json")

        # What any machine reaches, whatever else it does.
        loose = {name: value * 1000 + 1e6 for name, value in figures.items()} | {"syncs_per_s": 1}
        for changed, code in (({}, 0), ({"bytes_per_sync": 1}, 2), ({"syncs_per_s": 1e9}, 2)):
            pathlib.Path(baseline).write_text(json.dumps({"figures": loose | changed}))
            done = load("--spawn", *SMALL, "--baseline", baseline, check=code)
            self.assertEqual([line.split()[1] for line in done.stdout.splitlines() if line.startswith("worse: ")],
                             list(changed))

    def test_a_broken_invariant_goes_before_a_baseline(self):
        pathlib.Path(self.path("baseline.json")).write_text(json.dumps({"figures": {"bytes_per_sync": 1}}))
        self.run_small("--baseline", self.path("baseline.json"), "--before-check", 'kill -9 "$OUTPOST_PID"',
                       check=1)

    def test_what_is_no_baseline_is_said_before_the_run(self):
        for text in ("", "{}", "[1]"):
            pathlib.Path(self.path("baseline.json")).write_text(text)
            done = load("--spawn", *SMALL, "--baseline", self.path("baseline.json"), check=64)
            self.assertIn("not a report of outpost-load", done.stderr)


class Page(html.parser.HTMLParser):
    """Collects what a page would fetch, and what it says."""

    def __init__(self):
        super().__init__()
        self.fetched, self.scripts, self.within = [], {}, None

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.fetched += [attrs[name] for name in ("src", "href", "data", "action", "poster") if name in attrs]
        self.fetched += [tag] if tag in ("link", "iframe", "object", "embed", "img") else []
        if tag == "script":
            self.within = attrs.get("type", "code")
            self.scripts[self.within] = ""

    def handle_endtag(self, tag):
        self.within = None if tag == "script" else self.within

    def handle_data(self, data):
        if self.within:
            self.scripts[self.within] += data


class Report(LoadTest):
    def test_the_page_needs_nothing_but_itself(self):
        report, _ = self.run_small("--html", self.path("report.html"), "--title", "</script><b>\"&amp;")
        text = pathlib.Path(self.path("report.html")).read_text()
        page = Page()
        page.feed(text)
        self.assertEqual(page.fetched, [])
        self.assertIsNone(re.search(r"https?:|@import|url\(|fetch\(|XMLHttpRequest|import\s*\(|//\w+\.", text))
        self.assertEqual(json.loads(page.scripts["application/json"]), report)
        self.assertNotIn("@RUN@", text)
        self.assertEqual(set(page.scripts), {"application/json", "code"})

    def test_a_report_that_cannot_be_written_is_74(self):
        done = load("--spawn", *SMALL, "--html", self.path("no/such/folder.html"), check=74)
        self.assertIn("cannot write", done.stderr)


class CommandLine(LoadTest):
    def test_the_same_seed_is_the_same_schedule(self):
        words = ("--schedule", "--seconds", "20", "--poisson", "--profile", "spike")
        one, same = (load(*words, "--seed", "5", check=0).stdout for _ in range(2))
        other = load(*words, "--seed", "6", check=0).stdout
        self.assertEqual(one, same)
        self.assertNotEqual(one, other)
        self.assertGreater(len(one.splitlines()), 1000)

    def test_bad_arguments_are_one_line(self):
        for words, said in (((), "--spawn"), (("--spawn", "--rate", "x"), "--rate"),
                            (("--spawn", "--rate", "0"), "--rate"), (("--spawn", "--rate"), "needs a value"),
                            (("--spawn", "--mix", "reading"), "--mix"), (("--spawn", "--mix", "sleep=1"), "--mix"),
                            (("--spawn", "--mix", "edit=0"), "--mix"), (("--spawn", "--links", "9g=1"), "--links"),
                            (("--spawn", "--profile", "x"), "constant"), (("--spawn", "--no-such"), "not an option"),
                            (("--spawn", "more"), "one word too many"), (("--server", "x:1"), "--ca"),
                            (("--spawn", "--server", "x:1"), "exclude"), (("--spawn", "--devices", "0"), "--devices"),
                            (("--spawn", "--versions", "a=1"), "--versions"),
                            (("--spawn", "--followers", "101"), "--followers")):
            done = load(*words, check=64)
            self.assertIn(said, done.stderr)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertEqual(done.stdout, "")

    def test_help(self):
        done = load("--help", check=0)
        for word in ("--spawn", "--baseline", "--links", "Exit codes"):
            self.assertIn(word, done.stdout)

    def test_an_interrupted_run_is_checked_and_told(self):
        process = subprocess.Popen([BIN / "outpost-load", "--spawn", *SMALL[:-1], "--seconds", "3600", "--json",
                                    self.path("report.json")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        for line in process.stderr:
            if re.match(r" *1 s ", line):
                break
        process.send_signal(signal.SIGINT)
        process.communicate()
        report = json.loads(pathlib.Path(self.path("report.json")).read_text())
        self.assertEqual(process.returncode, 0)
        self.assertTrue(report["interrupted"])
        self.assertTrue(report["invariants_hold"])
        self.assertGreater(report["counts"]["arrivals"], 0)

    def test_a_server_that_cannot_be_had_is_69(self):
        done = load("--spawn", *SMALL, "--outpostd", self.path("none"), check=69)
        self.assertIn("--outpostd", done.stderr)
        pathlib.Path(self.path("data")).mkdir()
        pathlib.Path(self.path("data"), "ca.pem").write_text("somebody's")
        done = load("--spawn", *SMALL, "--data", self.path("data"), check=69)
        self.assertRegex(done.stderr, "outpostd init failed: outpostd: .*data")
        pathlib.Path(self.path("ca")).write_text("no certificate")
        pathlib.Path(self.path("codes")).write_text("A\n")
        done = load("--server", "127.0.0.1:1", "--ca", self.path("ca"), "--codes", self.path("codes"), *SMALL,
                    check=69)
        self.assertIn("1 codes for 24 devices", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
