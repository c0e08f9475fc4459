#!/usr/bin/python3
"""Bad input gets one clear line and loses nothing.

Each test makes one thing bad, sees the exit code and the one line on standard
error, sees that the data is still there, takes the cause away, and sees both
sides come together. Disks and files that are full or damaged: damage_test.py.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import ssl
import subprocess
import tempfile
import threading
import unittest
import uuid

from device import Device
from device_test import SYNTHEA, DeviceTest
from peer import BIN, Outpostd

PATIENT = "INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('{}', 30, 1)"
READING = "INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg) SELECT id, {}, {} FROM patient"


class BadInputTest(DeviceTest):
    def assert_refused(self, done, code, *words):
        """That exit code and exactly one line on standard error that holds the words."""
        lines = done.stderr.splitlines()
        self.assertEqual((done.returncode, len(lines)), (code, 1), done.stderr)
        self.assertRegex(lines[0], r"^outpostd?: \S")
        for word in words:
            self.assertIn(word, lines[0])

    def assert_agree(self, *devices):
        """After one more sync each, every device and the server hold the same."""
        for device in devices:
            device.sync()
        for device in devices:
            device.sync()
        held = {r["region_id"]: (r["records"], r["digest"])
                for r in json.loads(self.server.run("status", "--json").stdout)["regions"]}
        for device in devices:
            device.run("verify")
            status = device.status()
            self.assertEqual(status["pending"], 0)
            for region in status["regions"]:
                self.assertEqual((region["records"], region["digest"]), held[region["region_id"]])

    def quarantined(self):
        return json.loads(self.server.run("quarantine", "list", "--json").stdout)["quarantined"]


class Lines(BadInputTest):
    def test_somebody_elses_database_is_left_as_it_is(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        one = self.device()
        for journal in ("delete", "wal"):
            db = pathlib.Path(folder, f"{journal}.db")
            keeper = sqlite3.connect(db)  # keeps the log from being emptied
            self.addCleanup(keeper.close)
            keeper.execute(f"PRAGMA journal_mode = {journal}")
            keeper.execute("CREATE TABLE patient (full_name)")
            keeper.execute("INSERT INTO patient VALUES ('theirs')")
            keeper.commit()
            files = [path for path in (db, db.with_name(db.name + "-wal")) if path.exists()]
            before = [path.read_bytes() for path in files]
            one.db, own = str(db), one.db
            for words in (["status"], ["verify"], ["sync"], ["sql", "SELECT 1"], ["facility", self.facility],
                          ["import", "synthea", str(SYNTHEA)]):
                with self.subTest(journal=journal, words=words):
                    self.assert_refused(one.run(*words, check=False), 65, "not a database of Outpost", "init")
                    self.assertEqual([path.read_bytes() for path in files], before)
            one.db = own
        empty = pathlib.Path(folder, "empty.db")
        empty.touch()
        one.db, own = str(empty), one.db
        self.assert_refused(one.run("status", check=False), 65, "not a database of Outpost")
        self.assertEqual(empty.read_bytes(), b"")
        one.db = own
        self.assert_agree(one)

    def test_a_wrong_line_gets_one_line_and_an_object(self):
        one = self.device()
        for program, words in (
                ("outpost", ["sync", "--no-such-option", "--db", one.db]),
                ("outpost", ["sync", "--db"]),
                ("outpost", ["sync", "--db", one.db, "extra"]),
                ("outpost", ["nonsense", "--db", one.db]),
                ("outpost", ["init", "--db", one.db]),
                ("outpostd", ["status", "--no-such-option", "--data", self.server.data]),
                ("outpostd", ["status", "--data"]),
                ("outpostd", ["status"]),
                ("outpostd", ["status", "extra", "--data", self.server.data]),
                ("outpostd", ["verify", "extra", "--data", self.server.data]),
                ("outpostd", ["serve", "extra", "--data", self.server.data]),
                ("outpostd", ["enrol", "extra", "--data", self.server.data, "--facility", self.facility]),
                ("outpostd", ["nonsense"])):
            with self.subTest(program=program, words=words):
                done = subprocess.run([BIN / program, "--json", *words] if program == "outpost" else
                                      [BIN / program, *words[:1], "--json", *words[1:]],
                                      capture_output=True, text=True, check=False, timeout=60)
                self.assert_refused(done, 64)
                self.assertEqual(json.loads(done.stdout)["error"]["code"], "USAGE")

    def test_a_port_is_at_most_65535(self):
        one = self.device()
        for port in ("65536", str(65536 + int(self.server.address.rsplit(":", 1)[1])), "x", "-1"):
            done = subprocess.run([BIN / "outpost", "init", "--db", one.db + "2", "--server",
                                   f"localhost:{port}", "--ca", f"{self.server.data}/ca.pem", "--code",
                                   "X"], capture_output=True, text=True, check=False)
            self.assert_refused(done, 64, "HOST:PORT")
            self.assertFalse(os.path.exists(one.db + "2"))
            done = self.server.run("serve", "--listen", f"127.0.0.1:{port}", check=False)
            self.assert_refused(done, 65, "HOST:PORT")

    def test_a_folder_a_missing_file_and_a_file_that_is_no_database(self):
        folder = tempfile.mkdtemp()
        text = pathlib.Path(folder, "text")
        text.write_text("this is not a database, and it stays as it is\n" * 100)
        for path, code, next_step in ((folder, 74, "check"), (f"{folder}/none", 65, "init"),
                                      (f"{folder}/no/folder", 65, "init"), (str(text), 65, "another")):
            for words in (["sync"], ["status"], ["verify"], ["sql", "SELECT 1"],
                          ["import", "synthea", str(SYNTHEA)]):
                done = subprocess.run([BIN / "outpost", *words, "--db", path], capture_output=True,
                                      text=True, check=False)
                self.assert_refused(done, code, path, next_step)
        self.assertEqual(len(text.read_text().splitlines()), 100)
        self.assertEqual(os.listdir(folder), ["text"])
        shutil.rmtree(folder)


class Csv(BadInputTest):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)

    def export(self, file, change):
        """A copy of the sample with one file changed (text to text, or None: no file)."""
        folder = self.folder / str(uuid.uuid4())
        shutil.copytree(SYNTHEA, folder)
        text = change((folder / file).read_text())
        (folder / file).unlink()
        if text is not None:
            (folder / file).write_text(text)
        return str(folder)

    def test_each_fault_of_a_file_is_named_and_nothing_is_imported(self):
        one = self.device()
        no_column = lambda name: lambda text: text.replace(name, "X" + name, 1)
        quote = lambda text: text + '"a quote that nobody closes,,,,,,,\n'
        for program, file, change, words in (
                (one, "patients.csv", no_column("BIRTHDATE"), ["patients.csv", "BIRTHDATE"]),
                (one, "observations.csv", no_column("VALUE"), ["observations.csv", "VALUE"]),
                (one, "encounters.csv", no_column("ORGANIZATION"), ["encounters.csv", "ORGANIZATION"]),
                (one, "patients.csv", quote, ["patients.csv", "quote"]),
                (one, "observations.csv", quote, ["observations.csv", "quote"]),
                (one, "patients.csv", lambda text: None, ["patients.csv"]),
                (one, "patients.csv", lambda text: "", ["patients.csv", "empty"]),
                (self.server, "organizations.csv", no_column("STATE"), ["organizations.csv", "STATE"]),
                (self.server, "organizations.csv", quote, ["organizations.csv", "quote"]),
                (self.server, "organizations.csv", lambda text: "", ["organizations.csv", "empty"]),
                (self.server, "organizations.csv", lambda text: text.splitlines()[0],
                 ["organizations.csv", "no organization"]),
                (self.server, "organizations.csv", lambda text: None, ["organizations.csv"])):
            with self.subTest(file=file, words=words):
                done = program.run("import", "synthea", self.export(file, change), check=False)
                self.assert_refused(done, 65, *words)
        self.assertEqual(one.sqlite3("SELECT count(*) FROM patient"), "0")
        self.assertEqual(one.status()["pending"], 0)
        listed = json.loads(self.server.run("facility", "list", "--json").stdout)["facilities"]
        self.assertEqual(len(listed), 1)
        one.run("import", "synthea", str(SYNTHEA))
        self.server.run("import", "synthea", str(SYNTHEA))
        two = self.device()
        self.assert_agree(one, two)
        self.assertGreater(int(two.sqlite3("SELECT count(*) FROM blood_pressure")), 20)


class Records(BadInputTest):
    def test_R14_a_reading_whose_patient_is_not_there_waits(self):
        one, two = self.device(), self.device()
        id = uuid.uuid4()
        one.sqlite3("INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg) "
                    f"VALUES (x'{id.hex}', 141, 91)")
        for _ in range(2):
            result = one.sync()
            self.assertEqual((result["caught_up"], result["pushed"], result["quarantined"]),
                             (True, 0, 0))
            self.assertEqual(one.status()["pending"], 1)
        self.assertEqual(self.quarantined(), [])
        two.sqlite3(f"INSERT INTO patient(id, full_name, age_years, age_recorded_at_ms) "
                    f"VALUES (x'{id.hex}', 'Late', 30, 1)")
        two.sync()
        self.assert_agree(one, two)
        self.assertEqual(two.sqlite3("SELECT systolic_mmhg FROM blood_pressure"), "141")

    def test_R9_out_of_range_is_marked_kept_whole_and_corrected(self):
        one, two = self.device(), self.device()
        one.sqlite3(PATIENT.format("Asha"))
        one.sync()
        for systolic, diastolic in ((120, 80), (999, 80), (120, 8), (80, 120), (130, 85)):
            one.sqlite3(READING.format(systolic, diastolic))
        result = one.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (5, 3))
        self.assertEqual((one.status()["pending"], one.status()["rejected"]), (0, 3))
        self.assertEqual(one.sqlite3("SELECT count(*) FROM blood_pressure"), "5")
        self.assertEqual(one.sqlite3("SELECT count(*) FROM outpost_rejected WHERE reason > 0 AND field > 0"),
                         "3")
        listed = self.quarantined()
        self.assertEqual([(q["type"], bool(q["reason"]), bool(q["field"])) for q in listed],
                         [("blood_pressure", True, True)] * 3)
        # Whole: the bytes of what was refused, with both values.
        as_hex = "hex(mutation)" if self.server.on_sqlite else "upper(encode(mutation, 'hex'))"
        bodies = self.server.sql(f"SELECT {as_hex} FROM quarantine").split()
        for systolic, diastolic in (("08E707", "1050"), ("0878", "1008"), ("0850", "1078")):
            self.assertEqual(len([b for b in bodies if systolic + diastolic in b]), 1)
        two.sync()
        self.assertEqual(two.sqlite3("SELECT count(*) FROM blood_pressure"), "2")
        one.sqlite3("UPDATE blood_pressure SET systolic_mmhg = 140, diastolic_mmhg = 90 "
                    "WHERE systolic_mmhg = 999 OR diastolic_mmhg IN (8, 120)")
        result = one.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (3, 0))
        self.assertEqual(one.status()["rejected"], 0)
        self.assert_agree(one, two)
        self.assert_same(one, two)
        self.assertEqual(two.sqlite3("SELECT count(*) FROM blood_pressure"), "5")

    def test_text_and_times_of_every_kind_arrive_or_are_marked(self):
        one, two = self.device(), self.device()
        texts = ["आशा देवी", "אשה", "👩🏽‍⚕️", "e\u0301", "\u202eevil", "a\nb\tc", "'; DROP TABLE patient; --",
                 "x" * 20000, "न" * 9000, "%s%n{}", " \u00a0name"]
        for text in texts:
            one.sqlite3(PATIENT.format(text.replace("'", "''")))
        for at in (-1, -2**63, 2**63 - 1, 253402300800000):
            one.sqlite3(f"INSERT INTO patient(full_name, age_years, age_recorded_at_ms, recorded_at_ms) "
                        f"VALUES ('at', 30, 1, {at})")
        result = one.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (len(texts) + 4, 0))
        self.assert_agree(one, two)
        self.assert_same(one, two)
        self.assertEqual(two.sqlite3("SELECT count(*) FROM patient"), str(len(texts) + 4))
        # What cannot be: NUL inside, text that is not UTF-8, and an age stated in the far future.
        one.sqlite3("""INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES
                           ('a' || char(0) || 'b', 30, 1), (CAST(x'ff41' AS TEXT), 30, 1),
                           ('far', 30, 9223372036854775807)""")
        result = one.sync()
        self.assertEqual((result["quarantined"], one.status()["rejected"]), (3, 3))
        self.assertEqual(one.sqlite3("SELECT count(*) FROM patient WHERE hex(full_name) IN "
                                     "('610062', 'FF41') OR full_name = 'far'"), "3")
        one.sqlite3("UPDATE patient SET full_name = 'mended', age_recorded_at_ms = 1 "
                    "WHERE hex(full_name) IN ('610062', 'FF41') OR full_name = 'far'")
        self.assertEqual(one.sync()["quarantined"], 0)
        self.assert_agree(one, two)
        self.assert_same(one, two)

    def test_a_patient_of_20000_readings_comes_whole(self):
        one, two = self.device(), self.device()
        one.sqlite3(PATIENT.format("Asha") + """;
            WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
            INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg, recorded_at_ms)
                SELECT (SELECT id FROM patient), 100 + i % 100, 60 + i % 30, i FROM n""")
        self.assertEqual(one.sync()["pushed"], 20001)
        self.assertEqual(two.sync()["pulled"], 20003)
        self.assert_agree(one, two)

    def test_R25_a_record_above_the_limit_is_marked_and_blocks_nothing(self):
        one, two = self.device(), self.device()
        one.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms, street_address) "
                    "VALUES ('Large', 30, 1, hex(zeroblob(3000000)))")
        one.sqlite3(PATIENT.format("Small"))
        result = one.sync()
        self.assertEqual((result["caught_up"], result["pushed"]), (True, 1))
        self.assertEqual((one.status()["pending"], one.status()["rejected"]), (0, 1))
        self.assertEqual(one.sqlite3("SELECT length(street_address) FROM patient "
                                     "WHERE full_name = 'Large'"), "6000000")
        self.assertEqual(one.sync()["pushed"], 0)
        one.sqlite3("UPDATE patient SET street_address = 'short' WHERE full_name = 'Large'")
        self.assertEqual(one.sync()["pushed"], 1)
        self.assertEqual(one.status()["rejected"], 0)
        self.assert_agree(one, two)
        self.assert_same(one, two)


class Enrolling(BadInputTest):
    def enrol(self, code, ca=None):
        db = os.path.join(tempfile.mkdtemp(), "x.db")
        self.addCleanup(shutil.rmtree, os.path.dirname(db))
        done = subprocess.run([BIN / "outpost", "init", "--db", db, "--server",
                               f"localhost:{self.server.address.rsplit(':', 1)[1]}", "--ca",
                               ca or f"{self.server.data}/ca.pem", "--code", code],
                              capture_output=True, text=True, check=False)
        self.assertEqual(os.path.exists(db), done.returncode == 0)
        return done

    def test_a_wrong_a_used_up_and_an_expired_code(self):
        code = self.server.code(self.facility)
        for wrong in ("", "x", "0000-0000-0000-0000-0000", code[:-1], "न" * 30, "A" * 100000):
            self.assert_refused(self.enrol(wrong), 77, "code", "administrator")
        self.assertEqual(self.enrol(code).returncode, 0)
        self.assert_refused(self.enrol(code), 77, "used", "administrator")
        code = self.server.code(self.facility)
        self.server.sql("UPDATE enrolment SET expires_at_ms = 1 WHERE length(used_by) = 0")
        self.assert_refused(self.enrol(code), 77, "older", "administrator")

    def test_the_certificate_of_another_ca(self):
        other = Outpostd()
        self.addCleanup(other.close)
        code = self.server.code(self.facility)
        self.assert_refused(self.enrol(code, f"{other.data}/ca.pem"), 77, "certificate")
        # A server that another took the place of: the device keeps all, and does not talk.
        one = self.device()
        one.sqlite3(PATIENT.format("Asha"))
        folder = self.server.data
        self.server.stop()
        port = self.server.address.rsplit(":", 1)[1]
        stranger = subprocess.Popen([BIN / "outpostd", "serve", "--data", other.data, "--listen",
                                     f"127.0.0.1:{port}"], stdout=subprocess.PIPE,
                                    stderr=subprocess.DEVNULL, text=True)
        stranger.stdout.readline()
        done = one.run("sync", check=False)
        stranger.terminate()
        stranger.wait()
        stranger.stdout.close()
        self.assert_refused(done, 77, "certificate")
        self.assertEqual(one.status()["pending"], 1)
        self.assertEqual(folder, self.server.data)
        self.server.start(port)
        self.assert_agree(one)

    def test_a_device_whose_certificate_is_another_cas(self):
        other = Outpostd()
        self.addCleanup(other.close)
        facility = other.add_facility("Far", other.add_region("Far"))
        other.start()
        one, stranger = self.device(), Device(other, facility)
        self.addCleanup(stranger.close)
        one.sqlite3(PATIENT.format("Asha"))
        identity = lambda device: [device.sqlite3(f"SELECT {column} FROM outpost_identity")
                                   for column in ("key_pem", "certificate_pem")]
        # A kept TLS session would speak for the certificate that it was made with.
        become = "UPDATE outpost_identity SET key_pem = '{}\n', certificate_pem = '{}\n', tls_session = x''"
        own = identity(one)
        one.sqlite3(become.format(*identity(stranger)))
        self.assert_refused(one.run("sync", check=False), 77, "administrator")
        self.assertEqual(one.status()["pending"], 1)
        one.sqlite3(become.format(*own))
        self.assert_agree(one)


class Stranger:
    """Listens on a free loopback port and treats every connection as told, in a thread each."""

    def __init__(self, treat):
        self.treat = treat
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.kept = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.kept.append(connection)
            threading.Thread(target=self._treat, args=(connection,), daemon=True).start()

    def _treat(self, connection):
        try:
            self.treat(connection)
        except OSError:
            pass

    def close(self):
        self.listener.close()
        for connection in self.kept:
            connection.close()


class Servers(BadInputTest):
    def tls(self, protocols):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{self.server.data}/server.pem", f"{self.server.data}/server.key")
        context.set_alpn_protocols(protocols)
        return context

    def test_what_answers_there_is_no_outpost_server(self):
        def says(data):
            def treat(connection):
                connection.recv(1)
                connection.sendall(data)
                connection.shutdown(socket.SHUT_RDWR)
            return treat

        def says_nothing(connection):
            while connection.recv(4096):
                pass

        def tls_then(protocols, data):
            context = self.tls(protocols)
            def treat(connection):
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(4096)
                    secure.sendall(data)
            return treat

        garbage = bytes(range(256)) * 64
        strangers = {
            "closes": (lambda connection: connection.close(), (75,)),
            "http": (says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), (70, 75)),
            "garbage": (says(garbage), (70, 75)),
            "no h2": (tls_then(["http/1.1"], b"HTTP/1.1 200 OK\r\n\r\n"), (70, 75)),
            "no alpn": (tls_then([], b"HTTP/1.1 200 OK\r\n\r\n"), (70, 75)),
            "garbage in TLS": (tls_then(["h2"], garbage), (70, 75)),
            "says nothing": (says_nothing, (75,)),
        }
        runs = []
        for name, (treat, codes) in strangers.items():
            stranger, device = Stranger(treat), self.device()
            self.addCleanup(stranger.close)
            device.sqlite3(PATIENT.format("Asha"))
            own = device.sqlite3("SELECT server FROM outpost_state")
            device.sqlite3(f"UPDATE outpost_state SET server = 'localhost:{stranger.port}'")
            runs.append((name, codes, device, own, device.start("sync"), stranger))
        for name, codes, device, own, run, _ in runs:
            with self.subTest(name):
                _, stderr = run.communicate(timeout=120)
                self.assertIn(run.returncode, codes, stderr)
                self.assertEqual(len(stderr.splitlines()), 1, stderr)
                self.assertRegex(stderr, "try again later|report it")
                self.assertEqual(device.status()["pending"], 1)
                device.sqlite3(f"UPDATE outpost_state SET server = '{own}'")
        self.assert_agree(*(device for _, _, device, _, _, _ in runs))

    def test_a_server_that_falls_silent_is_left_at_ctrl_c(self):
        def silent_after_settings(connection, context=self.tls(["h2"])):
            with context.wrap_socket(connection, server_side=True) as secure:
                secure.sendall(b"\0\0\0\4\0\0\0\0\0")
                reached.set()
                while secure.recv(4096):
                    pass
        reached = threading.Event()
        stranger, one = Stranger(silent_after_settings), self.device()
        self.addCleanup(stranger.close)
        one.sqlite3(PATIENT.format("Asha"))
        own = one.sqlite3("SELECT server FROM outpost_state")
        one.sqlite3(f"UPDATE outpost_state SET server = 'localhost:{stranger.port}'")
        run = one.start("sync", "--json")
        self.assertTrue(reached.wait(60))
        run.terminate()
        stdout, stderr = run.communicate(timeout=60)
        self.assertEqual((run.returncode, len(stderr.splitlines())), (75, 1), stderr)
        self.assertFalse(json.loads(stdout)["caught_up"])
        one.sqlite3(f"UPDATE outpost_state SET server = '{own}'")
        self.assert_agree(one)

    def test_a_slow_server_is_waited_for(self):
        one, two = self.device(relay=self.relay), self.device()
        two.run("import", "synthea", str(SYNTHEA))
        two.sync()
        one.sqlite3(PATIENT.format("Asha"))
        self.relay.trickle = (40, 0.005)
        self.assertTrue(one.sync()["caught_up"])
        self.relay.trickle = None
        self.assert_agree(one, two)

    def test_two_syncs_of_one_database_at_the_same_time(self):
        one, two = self.device(), self.device()
        one.run("import", "synthea", str(SYNTHEA))
        patients = one.status()["records"]["patient"]
        runs = [one.start("sync") for _ in range(4)]
        for run, stderr in [(run, run.communicate(timeout=120)[1]) for run in runs]:
            self.assertIn(run.returncode, (0, 75), stderr)
            self.assertEqual(len(stderr.splitlines()), int(run.returncode != 0), stderr)
        self.assert_agree(one, two)
        self.assert_same(one, two)
        self.assertEqual(two.status()["records"]["patient"], patients)
        self.assertEqual(self.last_seq(), sum(two.status()["records"][t] for t in (
            "patient", "patient_phone", "patient_identifier", "blood_pressure")))

    def test_a_sync_beside_one_that_follows_is_refused(self):
        one, two = self.device(), self.device()
        follow = one.start("sync", "--follow", "--json")
        lines = [follow.stdout.readline()]
        self.assert_refused(one.run("sync", check=False), 75, "another sync", "try again later")
        two.sqlite3(PATIENT.format("Asha"))
        two.sync()
        lines.append(follow.stdout.readline())
        self.assertEqual(one.sqlite3("SELECT full_name FROM patient"), "Asha")
        follow.terminate()
        stdout, stderr = follow.communicate(timeout=60)
        self.assertEqual((follow.returncode, stderr), (0, ""))
        for line in lines + stdout.splitlines():
            result = json.loads(line)
            self.assertEqual((result["caught_up"], result["error"]), (True, None))
        self.assert_agree(one, two)


class Newer(BadInputTest):
    def test_a_store_newer_than_the_program_is_left_alone(self):
        self.server.stop()
        self.server.sql("INSERT INTO schema_migration SELECT 999, 'of the future', sha256 "
                        "FROM schema_migration WHERE version = 1")
        for words in (["status"], ["verify"], ["serve", "--listen", "127.0.0.1:0"]):
            self.assert_refused(self.server.run(*words, check=False), 65, "upgrade")
        self.server.sql("DELETE FROM schema_migration WHERE version = 999")
        self.server.start()
        self.assert_agree(self.device())

    def test_a_database_newer_than_the_program_is_left_alone(self):
        one = self.device()
        one.sqlite3(PATIENT.format("Asha"))
        revision = one.sqlite3("SELECT schema_revision FROM outpost_state")
        one.sqlite3("UPDATE outpost_state SET schema_revision = 999")
        for words in (["status"], ["verify"], ["sync"], ["sql", "SELECT 1"]):
            self.assert_refused(one.run(*words, check=False), 65, "newer")
        self.assertEqual(one.sqlite3("SELECT schema_revision FROM outpost_state"), "999")
        one.sqlite3(f"UPDATE outpost_state SET schema_revision = {revision}")
        self.assert_agree(one)


if __name__ == "__main__":
    unittest.main(verbosity=2)
