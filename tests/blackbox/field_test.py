#!/usr/bin/python3
"""What happens in the field: bad links, wrong clocks, two nurses and one patient. The real
programs; the SQL is what an app would run.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import unittest

from device import Device
from peer import BIN, Outpostd
from relay import TO_DEVICE, TO_SERVER, Relay

TEN_YEARS_S = 3653 * 86400


class FieldTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start()
        self.relay = Relay(self.server.address)
        self.devices = []

    def tearDown(self):
        self.relay.close()
        self.server.run("verify")
        self.assertEqual(self.server.close(), 0)
        for device in self.devices:
            device.run("verify")
            device.close()

    def device(self, **how):
        self.devices.append(Device(self.server, self.facility, **how))
        return self.devices[-1]

    def server_json(self, *words):
        return json.loads(self.server.run(*words, "--json").stdout)

    def head(self):
        """The region's last seq and log, as status has them."""
        return next(r for r in self.server_json("status")["regions"] if r["region_id"] == self.region)

    def history(self, device, name):
        id = device.sqlite3(f"SELECT lower(hex(id)) FROM patient WHERE full_name = '{name}'")
        id = "-".join((id[:8], id[8:12], id[12:16], id[16:20], id[20:]))
        return self.server_json("history", "patient", id)["history"]


def register(device, *names):
    for name in names:
        device.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                       f"VALUES ('{name}', 30, 1)")


class OneSync(FieldTest):
    def test_I6_five_good_and_five_bad_records_in_one_push(self):
        one, two = self.device(), self.device()
        register(one, "Good 1", "Good 2", "Good 3")
        one.sqlite3("""INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                           SELECT id, 140, 90 FROM patient WHERE full_name IN ('Good 1', 'Good 2');
                       INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                           SELECT id, 140, 9000 FROM patient WHERE full_name = 'Good 1';
                       INSERT INTO blood_pressure(patient_id, systolic_mmhg)
                           SELECT id, 140 FROM patient WHERE full_name = 'Good 2';
                       INSERT INTO patient_phone(patient_id) SELECT id FROM patient WHERE full_name = 'Good 3';
                       INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('', 30, 1);
                       INSERT INTO patient(full_name, date_of_birth) VALUES ('Bad', '2100-01-01')""")
        result = one.sync()
        self.assertEqual((result["caught_up"], result["pushed"], result["quarantined"]), (True, 10, 5))
        status = one.status()
        self.assertEqual((status["pending"], status["rejected"]), (0, 5))
        self.assertEqual(self.head()["records"], 5)
        self.assertEqual(len(self.server_json("quarantine", "list")["quarantined"]), 5)
        reasons = one.sqlite3("SELECT count(*) FROM outpost_rejected WHERE reason > 0 AND field > 0")
        self.assertEqual(reasons, "5")
        # The good ones reach everybody; the bad ones are not lost on the phone, and corrected they go.
        two.sync()
        self.assertEqual(two.sqlite3("SELECT (SELECT count(*) FROM patient), "
                                     "(SELECT count(*) FROM blood_pressure)"), "3|2")
        self.assertEqual(one.sqlite3("SELECT count(*) FROM blood_pressure"), "4")
        one.sqlite3("""UPDATE blood_pressure SET diastolic_mmhg = 95 WHERE diastolic_mmhg IN (0, 9000);
                       UPDATE patient_phone SET number = '+91 98765';
                       UPDATE patient SET full_name = 'Now good' WHERE full_name = '';
                       UPDATE patient SET date_of_birth = '2000-01-01' WHERE full_name = 'Bad'""")
        result = one.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (5, 0))
        self.assertEqual(one.status()["rejected"], 0)
        two.sync()
        self.assertEqual(self.head()["records"], 10)
        self.assertEqual(two.sqlite3("SELECT (SELECT count(*) FROM patient), "
                                     "(SELECT count(*) FROM blood_pressure), "
                                     "(SELECT count(*) FROM patient_phone)"), "5|4|1")

    def test_R12_different_fields_and_the_same_field_by_two_offline_devices(self):
        one, two = self.device(), self.device()
        register(one, "Asha", "Bina")
        one.sync()
        two.sync()
        one.sqlite3("UPDATE patient SET zone = 'East' WHERE full_name = 'Asha';"
                    "UPDATE patient SET district = 'D1' WHERE full_name = 'Bina'")
        two.sqlite3("UPDATE patient SET state = 'S2' WHERE full_name = 'Asha';"
                    "UPDATE patient SET district = 'D2' WHERE full_name = 'Bina'")
        one.sync()
        two.sync()
        one.sync()
        for device in (one, two):
            self.assertEqual(device.sqlite3("SELECT full_name, zone, state, district FROM patient "
                                            "ORDER BY full_name"), "Asha|East|S2|\nBina|||D2")
        conflicts = self.server_json("conflict", "list")["conflicts"]
        self.assertEqual(len(conflicts), 1)
        shown = self.server_json("conflict", "show", conflicts[0]["mutation_id"])
        self.assertIn("D1", json.dumps(shown))
        self.assertIn("D2", json.dumps(shown))
        self.assertEqual([h["changes"].get("district") for h in self.history(one, "Bina")][1:], ["D1", "D2"])

    def test_I8_an_identical_edit_again_takes_no_seq_and_reaches_nobody(self):
        one, two = self.device(), self.device()
        register(one, "Asha")
        one.sync()
        two.sync()
        head = self.head()
        one.sqlite3("UPDATE patient SET zone = 'East'")
        one.sqlite3("UPDATE patient SET zone = ''")
        one.sqlite3("UPDATE patient SET full_name = full_name")
        self.assertEqual(one.sync()["pushed"], 0)
        # Both make the same edit; the second to arrive changes nothing.
        one.sqlite3("UPDATE patient SET zone = 'West'")
        two.sqlite3("UPDATE patient SET zone = 'West'")
        one.sync()
        seq = self.head()["last_seq"]
        self.assertEqual(seq, head["last_seq"] + 1)
        result = two.sync()
        self.assertEqual((result["pushed"], result["conflicts"]), (1, 0))
        self.assertEqual(self.head()["last_seq"], seq)
        for device in (one, two):
            result = device.sync()
            self.assertEqual((result["pushed"], result["pulled"], result["withdrawn"]), (0, 0, 0))
        self.assertEqual(self.server_json("status")["conflicts"], 0)


class WrongClocks(FieldTest):
    def at(self, device, years, *words):
        """Runs outpost with a clock that is wrong by so many years."""
        environment = dict(os.environ, FAKETIME=f"{years * TEN_YEARS_S // 10:+d}",
                           ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0",
                           LD_PRELOAD="libfaketime.so.1")
        libraries = subprocess.run(["sh", "-c", "echo /usr/lib/*/faketime"], capture_output=True, text=True,
                                   check=True).stdout.strip()
        environment["LD_LIBRARY_PATH"] = libraries
        done = subprocess.run([BIN / "outpost", *words, "--db", device.db], capture_output=True, text=True,
                              check=False, env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_I11_an_edit_by_a_clock_ten_years_wrong_counts_by_its_arrival(self):
        for years in (-10, 10):
            with self.subTest(years=years):
                one, two = self.device(), self.device()
                name = f"Clock {years:+d}"
                register(one, name)
                one.sync()
                two.sync()
                one.sqlite3(f"UPDATE patient SET zone = 'first' WHERE full_name = '{name}'")
                one.sync()
                # The wrong phone edits what it last saw, later than the other and by its clock years apart.
                self.at(two, years, "sql", f"UPDATE patient SET zone = 'second', district = 'D' WHERE full_name = '{name}'")
                result = json.loads(self.at(two, years, "sync", "--json"))
                self.assertTrue(result["caught_up"])
                one.sync()
                for device in (one, two):
                    self.assertEqual(device.sqlite3(f"SELECT zone, district FROM patient WHERE full_name = '{name}'"),
                                     "second|D")
                self.assertEqual([h["changes"].get("zone") for h in self.history(one, name)],
                                 [None, "first", "second"])
                received = [h["received_at_ms"] for h in self.history(one, name)]
                self.assertLess(max(received) - min(received), 86400 * 1000)  # the server's clock
                # Right again: the journal is whole, and nothing goes twice.
                self.assertEqual(two.sqlite3("SELECT count(*) FROM outpost_journal"), "1")
                result = two.sync()
                self.assertEqual((result["pushed"], result["pulled"]), (0, 0))


class Unavailable:
    """A stock gRPC server with the real one's certificate that refuses every sync, and says when to come again."""

    def __init__(self, data, port, pushback_ms):
        import grpc
        from concurrent import futures

        def sync(requests, context):
            context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback_ms),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

        read = lambda name: open(os.path.join(data, name), "rb").read()
        self.server = grpc.server(futures.ThreadPoolExecutor(2))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "outpost.v1.SyncService", {"Sync": grpc.stream_stream_rpc_method_handler(sync)}),))
        credentials = grpc.ssl_server_credentials(((read("server.key"), read("server.pem")),),
                                                  read("ca.pem"), False)
        if self.server.add_secure_port(f"127.0.0.1:{port}", credentials) != port:
            raise AssertionError("the port is taken")
        self.server.start()

    def close(self):
        self.server.stop(None).wait()


class NoLink(FieldTest):
    def follow(self, device):
        process = subprocess.Popen([BIN / "outpost", "sync", "--follow", "--json", "--db", device.db],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        return process

    def stop_server(self):
        port = int(self.server.address.rsplit(":", 1)[1])
        self.server.stop()
        return port

    def test_a_follower_without_a_link_tries_again_and_goes_on(self):
        one, two = self.device(), self.device()
        follow = self.follow(one)
        self.assertTrue(json.loads(follow.stdout.readline())["caught_up"])
        port = self.stop_server()
        self.assertIn("the next try is in", follow.stderr.readline())
        self.server.start(port)
        register(two, "Asha")
        two.sync()
        while one.sqlite3("SELECT count(*) FROM patient") == "0":
            self.assertIsNone(follow.poll())
            follow.stdout.readline()
        follow.terminate()
        self.assertEqual(follow.wait(timeout=60), 0)

    def test_the_servers_push_back_is_obeyed(self):
        one = self.device()
        one.sync()
        port = self.stop_server()
        other = Unavailable(self.server.data, port, "61234")
        result = one.sync(check=False)
        self.assertEqual((result["error"]["code"], result["retry_after_ms"]), ("TRY_LATER", 61234))
        follow = self.follow(one)
        self.assertIn("the next try is in 61 s", follow.stderr.readline())
        follow.terminate()
        follow.wait(timeout=60)
        other.close()
        other = Unavailable(self.server.data, port, "-1")  # do not try again
        self.assertEqual(self.follow(one).wait(timeout=60), 75)
        other.close()
        self.server.start(port)
        one.sync()


class BadLinks(FieldTest):
    """Every connection is cut after so many bytes: a message of the settings' size never passes."""

    PATIENTS = 600
    CUT = 40_000
    TRIES = 60

    def fill(self, device):
        device.sqlite3("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                       f"{self.PATIENTS}) INSERT INTO patient(full_name, age_years, age_recorded_at_ms, "
                       "street_address) SELECT 'P' || i, 30, 1, hex(randomblob(150)) FROM n")

    def sync_until_caught_up(self, device):
        """How many tries it took."""
        for tries in range(1, self.TRIES):
            done = device.run("sync", "--json", check=False)
            if done.returncode == 0:
                return tries
            self.assertEqual(done.returncode, 75, done.stderr)
        self.fail(f"not through after {self.TRIES} connections of {self.CUT} bytes each")

    def learned(self, device):
        return int(device.sqlite3("SELECT link_bytes FROM outpost_state"))

    def test_a_first_sync_gets_through_a_link_that_breaks(self):
        one, two = self.device(), self.device(relay=self.relay)
        self.server.run("device", "set", "--all", "pull_batch=5000")
        self.fill(one)
        one.sync()
        self.relay.cut_every = (TO_DEVICE, self.CUT)
        self.assertGreater(self.sync_until_caught_up(two), 2)
        learned = self.learned(two)
        self.assertTrue(0 < learned < 200_000, learned)
        self.assertEqual(two.sqlite3("SELECT count(*) FROM patient"), str(self.PATIENTS))
        # On a good link it asks for more again, and forgets.
        self.relay.cut_every = self.relay.cut_after = None
        three_times = "UPDATE patient SET street_address = hex(randomblob(150))"
        for _ in range(3):
            one.sqlite3(three_times)
            one.sync()
            two.sync()
        self.assertGreater(self.learned(two) or 1 << 30, learned)

    def test_a_push_gets_through_a_link_that_breaks(self):
        one = self.device(relay=self.relay)
        self.server.run("device", "set", "--all", "push_batch=5000")
        one.sync()  # it has the setting now
        self.fill(one)
        self.relay.cut_every = (TO_SERVER, self.CUT)
        self.assertGreater(self.sync_until_caught_up(one), 2)
        self.relay.cut_every = self.relay.cut_after = None
        self.assertEqual(self.head()["records"], self.PATIENTS)
        self.assertEqual(self.head()["last_seq"], self.PATIENTS)


if __name__ == "__main__":
    unittest.main()
