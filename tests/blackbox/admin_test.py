#!/usr/bin/python3
"""What an administrator does beside a serving outpostd, and what devices see of it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import queue
import time
import unittest
import uuid

import grpc

import peer
from device import Device
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sync_pb2

PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED


class AdminTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start()

    def tearDown(self):
        self.server.run("verify")
        self.assertEqual(self.server.close(), 0)

    def peer(self, facility=None, admin=False):
        return Peer(self.server, facility or self.facility, admin)

    def run_json(self, *words, check=True):
        return json.loads(self.server.run(*words, "--json", check=check).stdout)

    def status(self):
        return self.run_json("status")

    @staticmethod
    def device_id(device):
        return str(uuid.UUID(bytes=device.device_id))


class OpenStream:
    """A Sync call whose requests are sent one by one."""

    def __init__(self, device):
        self.device = device
        self.requests = queue.Queue()
        self.channel = device.channel()
        self.call = peer.sync_call(self.channel)(iter(self.requests.get, None), timeout=60)

    def __enter__(self):
        self.requests.put(self.device.hello())
        return self

    def __exit__(self, *_):
        self.requests.put(None)
        self.call.cancel()
        self.channel.close()

    def push(self, *mutations):
        items = [self.device.push_item(m) for m in mutations]
        self.requests.put(sync_pb2.SyncRequest(push=sync_pb2.Push(items=items)))

    def push_done(self):
        self.requests.put(sync_pb2.SyncRequest(push_done=sync_pb2.PushDone()))

    def until(self, kind):
        for response in self.call:
            if response.WhichOneof("response") == kind:
                return response
        raise AssertionError(f"no {kind} came")

    def refusal(self):
        """What the call ends with, with nothing but that coming any more."""
        try:
            rest = list(self.call)
        except grpc.RpcError as error:
            return error.code()
        raise AssertionError(f"the call ended well, after {len(rest)} messages")


class Revocation(AdminTest):
    def revoke(self, device):
        self.server.run("device", "revoke", self.device_id(device))

    def test_a_follower_that_is_revoked_is_refused_at_once(self):
        device = self.peer()
        with OpenStream(device) as stream:
            stream.push_done()
            stream.until("caught_up")
            self.revoke(device)
            start = time.monotonic()
            self.assertEqual(stream.refusal(), PERMISSION_DENIED)
            self.assertLess(time.monotonic() - start, 5)

    def test_a_device_that_is_revoked_while_it_pushes_gets_nothing_more_in(self):
        device, other = self.peer(), self.peer()
        patient = new_patient(device.facility)
        with OpenStream(device) as stream:
            stream.push(patient)
            stream.until("push_result")
            self.revoke(device)
            stream.push(*[new_reading(patient.id, device.facility) for _ in range(100)])
            self.assertEqual(stream.refusal(), PERMISSION_DENIED)
        other.sync()
        self.assertEqual([r.id for r in other.records.values() if r.family_id], [patient.id])

    def test_a_silent_stream_of_a_revoked_device_ends(self):
        device, other = self.peer(), self.peer()
        with OpenStream(device) as stream, OpenStream(other) as stays:
            stream.until("welcome")
            stays.until("welcome")
            self.revoke(device)
            self.assertEqual(stream.refusal(), PERMISSION_DENIED)
            stays.push_done()
            stays.until("caught_up")


class ClosedFacility(AdminTest):
    def test_a_closed_facility_stays_and_gets_no_new_enrolments(self):
        device, code = self.peer(), self.server.code(self.facility)
        patient = new_patient(device.facility)
        device.sync([patient])
        closed = self.run_json("facility", "close", self.facility)
        self.assertGreater(closed["closed_at_ms"], 1_600_000_000_000)
        self.assertEqual(self.run_json("facility", "close", self.facility), closed)
        (listed,) = self.run_json("facility", "list")["facilities"]
        self.assertEqual(listed["closed_at_ms"], closed["closed_at_ms"])

        done = self.server.run("enrol", "--facility", self.facility, check=False)
        self.assertEqual((done.returncode, done.stdout), (65, ""))
        self.assertIn("closed", done.stderr)
        with self.assertRaises(grpc.RpcError) as caught:
            Peer(self.server, self.facility, code=code)
        self.assertEqual(caught.exception.code(), PERMISSION_DENIED)
        self.assertIn("closed", caught.exception.details())

        device.sync([new_reading(patient.id, device.facility)])
        self.assertEqual(device.answers[0].status, sync_pb2.ANSWER_STATUS_APPLIED)
        (seen,) = [r for r in device.records.values() if r.WhichOneof("body") == "facility"]
        self.assertEqual(seen.facility.closed_at_ms, closed["closed_at_ms"])

    def test_a_facility_that_is_not_there_cannot_be_closed(self):
        done = self.server.run("facility", "close", str(uuid.uuid4()), check=False)
        self.assertEqual(done.returncode, 65)
        self.assertEqual(self.server.run("facility", "close", check=False).returncode, 64)


class ManyCodes(AdminTest):
    def test_each_of_many_codes_is_good_once(self):
        codes = self.server.run("enrol", "--facility", self.facility, "--count", "5").stdout.split()
        self.assertEqual(len({code[:4] for code in codes}), 5)
        devices = {Peer(self.server, self.facility, code=code).device_id for code in codes}
        self.assertEqual(len(devices), 5)
        with self.assertRaises(grpc.RpcError) as caught:
            Peer(self.server, self.facility, code=codes[2])
        self.assertEqual(caught.exception.code(), PERMISSION_DENIED)
        listed = self.run_json("enrol", "--facility", self.facility, "--count", "2")
        self.assertEqual(len(listed["codes"]), 2)

    def test_a_count_is_1_to_1000(self):
        for count in ("0", "1001", "x", "-1", ""):
            done = self.server.run("enrol", "--facility", self.facility, "--count", count, check=False)
            self.assertEqual((done.returncode, done.stdout), (64, ""))


class Conflicts(AdminTest):
    def setUp(self):
        super().setUp()
        self.one, self.two = self.peer(), self.peer()
        self.one.sync([new_patient(self.one.facility, "Asha", zone="Old")])
        self.two.sync()
        (self.held,) = [r for r in self.one.records.values() if r.family_id]

    def edit(self, **fields):
        return mutation("patient", self.held.id, self.held.id, base=self.held, **fields)

    def clash(self, **fields):
        """Two edits of the same fields; returns the mutation id of the second."""
        self.one.sync([self.edit(**{name: values[0] for name, values in fields.items()})])
        self.two.sync([self.edit(**{name: values[1] for name, values in fields.items()})])
        return peer.hashlib.sha256(
            self.edit(**{name: values[1] for name, values in fields.items()}).SerializeToString()
        ).hexdigest()[:32]

    def conflicts(self, *words):
        return self.run_json("conflict", "list", *words)["conflicts"]

    def patient_of(self, device):
        device.sync()
        return device.records[device.name(self.held)]

    def test_R12_a_list_names_fields_and_winners_and_show_has_the_values(self):
        id = self.clash(full_name=("Asha Devi", "Asha Kumari"), zone=("North", "South"))
        (listed,) = self.conflicts()
        self.assertEqual((listed["mutation_id"], listed["type"], listed["region_id"]),
                         (id, "patient", self.region))
        self.assertEqual(uuid.UUID(listed["id"]).bytes, self.held.id)
        self.assertEqual(listed["device_id"], self.device_id(self.two))
        self.assertEqual(listed["fields"], {"full_name": "arriving", "zone": "arriving"})
        text = self.server.run("conflict", "list").stdout
        for value in ("Devi", "Kumari", "South"):
            self.assertNotIn(value, json.dumps(listed) + text)  # I10
        shown = self.run_json("conflict", "show", id[:8])
        self.assertEqual(shown["values"], [
            {"field": "full_name", "winner": "arriving", "stored": "Asha Devi",
             "arriving": "Asha Kumari"},
            {"field": "zone", "winner": "arriving", "stored": "North", "arriving": "South"}])
        self.assertIn("full_name=arriving,zone=arriving", text)

    def test_R12_resolving_takes_it_from_the_list_and_leaves_a_trace(self):
        id = self.clash(full_name=("Asha Devi", "Asha Kumari"))
        resolved = self.run_json("conflict", "resolve", id)
        self.assertEqual(self.conflicts(), [])
        self.assertEqual(self.status()["conflicts"], 0)
        (listed,) = self.conflicts("--all")
        self.assertEqual((listed["resolved_at_ms"], listed["resolved_by"]),
                         (resolved["resolved_at_ms"], resolved["resolved_by"]))
        self.assertTrue(resolved["resolved_by"])
        self.assertEqual(self.patient_of(self.one).patient.full_name, "Asha Kumari")
        self.assertEqual(self.server.run("conflict", "resolve", id, check=False).returncode, 65)

    def test_R12_the_losing_value_set_back_travels_like_any_edit(self):
        id = self.clash(full_name=("Asha Devi", "Asha Kumari"), zone=("", "South"))
        self.run_json("conflict", "resolve", id, "--take", "stored")
        self.assertEqual(self.conflicts(), [])
        for device in (self.one, self.two):
            record = self.patient_of(device)
            self.assertEqual((record.patient.full_name, record.patient.zone), ("Asha Devi", ""))
            self.assertEqual(record.version, 4)
        history = self.run_json("history", "patient", str(uuid.UUID(bytes=self.held.id)))["history"]
        self.assertEqual(history[-1]["device_id"], str(uuid.UUID(int=0)))
        self.assertEqual(history[-1]["changes"], {"full_name": "Asha Devi", "zone": ""})

    def test_R12_taking_the_side_that_won_changes_nothing(self):
        id = self.clash(full_name=("Asha Devi", "Asha Kumari"))
        self.run_json("conflict", "resolve", id, "--take", "arriving")
        self.assertEqual(self.patient_of(self.one).version, 3)

    def test_a_later_edit_is_not_undone_by_taking_a_side(self):
        id = self.clash(full_name=("Asha Devi", "Asha Kumari"))
        now = self.patient_of(self.one)
        self.one.sync([mutation("patient", now.id, now.id, base=now, full_name="Asha Rani")])
        done = self.server.run("conflict", "resolve", id, "--take", "stored", check=False)
        self.assertEqual(done.returncode, 65)
        self.assertNotIn("Rani", done.stderr)
        self.assertEqual(len(self.conflicts()), 1)
        self.assertEqual(self.patient_of(self.two).patient.full_name, "Asha Rani")

    def test_R14_a_delete_that_lost_can_be_taken(self):
        reading = new_reading(self.held.id, self.one.facility)
        self.one.sync([reading])
        self.two.sync()
        held = self.two.records[self.two.name(reading)]
        edit = lambda **how: mutation("blood_pressure", held.family_id, held.id, base=held, **how)
        self.one.sync([edit(recorded_at_ms=1_700_000_000_000)])
        self.two.sync([edit(delete=True)])
        (listed,) = self.conflicts()
        self.assertEqual(listed["fields"], {"deleted": "stored"})
        shown = self.run_json("conflict", "show", listed["mutation_id"])
        self.assertEqual([(v["stored"], v["arriving"]) for v in shown["values"]], [(False, True)])
        self.run_json("conflict", "resolve", listed["mutation_id"], "--take", "arriving")
        self.one.sync()
        self.assertNotIn(self.one.name(reading), self.one.records)

    def test_R12_one_edit_sent_by_two_regions_devices_may_clash_twice(self):
        """The second entry has the first one's key; it must neither fail the push nor add one."""
        id = self.clash(full_name=("Asha Devi", "Asha Kumari"))
        self.run_json("conflict", "resolve", id)
        now = self.patient_of(self.one)
        self.one.sync([mutation("patient", now.id, now.id, base=now, full_name="Asha Rani")])
        far = self.server.add_facility("Far away", self.server.add_region("South"))
        admin = self.peer(far, admin=True)
        admin.sync([self.edit(full_name="Asha Kumari")])
        self.assertEqual(admin.answers[0].status, sync_pb2.ANSWER_STATUS_OUT_OF_SCOPE)
        (listed,) = self.conflicts()
        self.assertEqual((listed["mutation_id"], listed["device_id"]), (id, self.device_id(admin)))
        (value,) = self.run_json("conflict", "show", id)["values"]
        self.assertEqual(value["stored"], "Asha Rani")

    def test_words_that_name_no_conflict(self):
        self.clash(full_name=("Asha Devi", "Asha Kumari"))
        for words, code in ((["show"], 64), (["show", "xyz"], 64), (["show", "0" * 33], 64),
                            (["show", "0" * 32], 65), (["mend"], 64), ([], 64)):
            self.assertEqual(self.server.run("conflict", *words, check=False).returncode, code, words)
        (listed,) = self.conflicts()
        done = self.server.run("conflict", "resolve", listed["mutation_id"], "--take", "both", check=False)
        self.assertEqual(done.returncode, 64)


class Quarantine(AdminTest):
    def quarantined(self, *words):
        return self.run_json("quarantine", "list", *words)["quarantined"]

    def test_R17_a_retry_after_the_cause_is_gone_applies_the_bytes_and_the_author_learns_it(self):
        """The nurse moved a patient to a clinic that the server did not know yet."""
        device = Device(self.server, self.facility)
        self.addCleanup(device.close)
        clinic = str(uuid.uuid4())
        device.sqlite3("INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                       "VALUES ('Asha', 50, 1)")
        device.sync()
        device.sqlite3(f"UPDATE patient SET assigned_facility_id = x'{uuid.UUID(clinic).hex}'")
        self.assertEqual(device.sync()["quarantined"], 1)
        (entry,) = self.quarantined()
        self.assertEqual((entry["reason"], entry["field"]), ("unknown facility", "assigned_facility_id"))
        self.assertEqual(self.run_json("quarantine", "show", entry["mutation_id"])["changes"],
                         {"assigned_facility_id": clinic})

        done = self.server.run("quarantine", "retry", entry["mutation_id"], check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("assigned_facility_id: unknown facility", done.stderr)
        self.assertEqual(self.quarantined(), [entry])

        self.server.run("facility", "add", "name=Clinic two", f"sync_region_id={self.region}",
                        "--id", clinic)
        self.run_json("quarantine", "retry", entry["mutation_id"][:10])
        self.assertEqual((self.quarantined(), self.status()["quarantined"]), ([], 0))
        self.assertEqual(device.status()["rejected"], 1)
        device.sync()
        self.assertEqual(device.status()["rejected"], 0)
        self.assertEqual(device.status()["pending"], 0)
        device.run("verify")
        history = self.run_json("history", "patient", entry["id"])["history"]
        self.assertEqual(history[-1]["device_id"], entry["device_id"])

    def test_R11_a_resend_after_the_retry_is_answered_as_accepted(self):
        one = self.peer()
        clinic = str(uuid.uuid4())
        patient = new_patient(uuid.UUID(clinic).bytes)
        one.sync([patient])
        self.assertEqual(one.answers[0].status, sync_pb2.ANSWER_STATUS_QUARANTINED)
        self.server.run("facility", "add", "name=Two", f"sync_region_id={self.region}", "--id", clinic)
        one.sync([patient])  # its id is known: it waits for the administrator
        self.assertEqual(one.answers[0].status, sync_pb2.ANSWER_STATUS_QUARANTINED)
        (entry,) = self.quarantined()
        receipt = one.receipt
        self.run_json("quarantine", "retry", entry["mutation_id"])
        caught_up = one.sync([patient])
        self.assertEqual(one.answers[0].status, sync_pb2.ANSWER_STATUS_NO_EFFECT)
        self.assertEqual(one.answers[0].record.version, 1)
        self.assertEqual(one.digests(), tuple(r.digest for r in caught_up.regions))
        self.assertNotEqual(receipt, one.receipt)

    def test_R15_a_retry_has_the_authors_rights_and_no_more(self):
        other = self.server.add_facility("Far away", self.server.add_region("South"))
        one = self.peer()
        one.sync([new_patient(uuid.UUID(other).bytes)])
        (entry,) = self.quarantined()
        done = self.server.run("quarantine", "retry", entry["mutation_id"], check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("not yours", done.stderr)
        self.assertEqual(len(self.quarantined()), 1)

    def test_I6_discarding_keeps_the_bytes_and_purging_keeps_the_trace(self):
        one = self.peer()
        patient = new_patient(one.facility)
        bad = new_reading(patient.id, one.facility, systolic=299, diastolic=181)
        one.sync([patient, bad])
        (entry,) = self.quarantined()
        values = [value for name, value in entry.items() if name != "id" and not name.endswith(("_id", "_ms"))]
        self.assertNotIn("181", json.dumps(values))
        discarded = self.run_json("quarantine", "discard", entry["mutation_id"])
        self.assertEqual((self.quarantined(), self.status()["quarantined"]), ([], 0))
        (listed,) = self.quarantined("--all")
        self.assertEqual((listed["discarded_at_ms"], listed["discarded_by"]),
                         (discarded["discarded_at_ms"], discarded["discarded_by"]))
        shown = self.run_json("quarantine", "show", entry["mutation_id"])
        self.assertEqual(shown["changes"]["diastolic_mmhg"], 181)
        done = self.server.run("quarantine", "discard", entry["mutation_id"], check=False)
        self.assertEqual(done.returncode, 65)
        self.run_json("quarantine", "discard", entry["mutation_id"], "--purge")
        self.assertNotIn("changes", self.run_json("quarantine", "show", entry["mutation_id"]))
        done = self.server.run("quarantine", "retry", entry["mutation_id"], check=False)
        self.assertEqual(done.returncode, 65)
        one.sync([bad])  # R11: known for ever
        self.assertEqual(one.answers[0].status, sync_pb2.ANSWER_STATUS_QUARANTINED)

    def test_one_edit_of_two_regions_devices_is_named_with_its_region(self):
        south = self.server.add_region("South")
        far = self.peer(self.server.add_facility("Far away", south))
        one = self.peer()
        bad = new_patient(uuid.uuid4().bytes)
        one.sync([bad])
        far.sync([bad])
        ids = {entry["mutation_id"] for entry in self.quarantined()}
        self.assertEqual((len(ids), len(self.quarantined())), (1, 2))
        (id,) = ids
        done = self.server.run("quarantine", "discard", id, check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("--region", done.stderr)
        self.run_json("quarantine", "discard", id, "--region", south)
        self.assertEqual([e["region_id"] for e in self.quarantined()], [self.region])


class Settings(AdminTest):
    def set(self, *words, check=True):
        return self.server.run("device", "set", *words, check=check)

    def settings(self, device):
        """As a stock client is told, which must be what the administrator is shown."""
        device.sync()
        told = device.welcome.settings
        told = {"push_batch": told.push_batch, "pull_batch": told.pull_batch,
                "batch_bytes": told.batch_bytes, "sync_interval_s": told.sync_interval_s,
                "pause": ["no", "yes"][told.pause],
                "compression": ["best", "off", "gzip", "zstd"][told.compression]}
        shown = self.run_json("device", "show", self.device_id(device))
        (listed,) = [d for d in self.run_json("device", "list")["devices"]
                     if d["device_id"] == shown["device_id"]]
        self.assertEqual(shown["settings"], told)
        self.assertEqual(listed["settings"], told)
        return told

    def test_the_narrower_goes_over_the_wider_and_can_be_taken_back(self):
        south = self.server.add_region("South")
        one, two = self.peer(), self.peer()
        far = self.peer(self.server.add_facility("Far away", south))
        defaults = self.settings(one)
        self.assertEqual(defaults, {"push_batch": 2000, "pull_batch": 2000, "batch_bytes": 1048576,
                                    "sync_interval_s": 900, "pause": "no", "compression": "best"})
        self.set("--all", "push_batch=70", "pull_batch=90")
        self.set("--region", self.region, "push_batch=60", "pause=yes")
        self.set(self.device_id(one), "push_batch=50", "compression=gzip")
        self.assertEqual(self.settings(one), {**defaults, "push_batch": 50, "pull_batch": 90,
                                              "pause": "yes", "compression": "gzip"})
        self.assertEqual(self.settings(two), {**defaults, "push_batch": 60, "pull_batch": 90,
                                              "pause": "yes"})
        self.assertEqual(self.settings(far), {**defaults, "push_batch": 70, "pull_batch": 90})
        self.set(self.device_id(one), "push_batch=")
        self.assertEqual(self.settings(one)["push_batch"], 60)
        self.set("--region", self.region, "push_batch=", "pause=")
        self.set("--all", "push_batch=", "pull_batch=")
        self.assertEqual(self.settings(one), {**defaults, "compression": "gzip"})
        self.assertEqual(self.settings(two), defaults)

    def test_the_server_pages_as_it_was_told_without_a_restart(self):
        one, two = self.peer(), self.peer()
        patient = new_patient(one.facility)
        one.sync([patient] + [new_reading(patient.id, one.facility) for _ in range(99)])
        self.set("--all", "pull_batch=7")
        two.sync()
        self.assertEqual((max(two.pages), sum(two.pages)), (7, 102))
        self.set("--all", "pull_batch=", "batch_bytes=1024")
        three = self.peer()
        three.sync()
        self.assertGreater(len(three.pages), 4)
        self.assertEqual(sum(three.pages), 102)

    def test_a_wrong_name_or_value_is_named_and_nothing_is_set(self):
        device = self.peer()
        id, before = self.device_id(device), self.settings(device)
        for word, told in (("push_batch=0", "from 1 to 5000"), ("push_batch=5001", "from 1 to 5000"),
                           ("pull_batch=-1", "from 1 to 5000"), ("batch_bytes=9e9", "from 1024"),
                           ("sync_interval_s= 5", "sync_interval_s"), ("pause=perhaps", "no or yes"),
                           ("compression=brotli", "best, off, gzip or zstd"),
                           ("push_bath=5", "push_bath"), ("push_batch", "push_batch"), ("=5", "")):
            done = self.set(id, "pull_batch=5", word, check=False)
            self.assertEqual(done.returncode, 64, word)
            self.assertIn(told, done.stderr)
        for words in ((), (id,), ("--all",), ("--all", "--region", self.region, "pause=no"),
                      ("push_batch=5",), (id, "pause=no", "pause=yes")):
            self.assertEqual(self.set(*words, check=False).returncode, 64, words)
        for words in ((str(uuid.uuid4()), "pause=no"), ("--region", str(uuid.uuid4()), "pause=no")):
            self.assertEqual(self.set(*words, check=False).returncode, 65, words)
        self.assertEqual(self.settings(device), before)

    def test_the_ini_file_gives_the_defaults(self):
        server = Outpostd({"push_batch": 77, "pause": "yes", "compression": "off"})
        self.addCleanup(server.close)
        facility = server.add_facility("One", server.add_region("North"))
        server.start()
        device = Peer(server, facility)
        device.sync()
        told = device.welcome.settings
        self.assertEqual((told.push_batch, told.pause, told.compression),
                         (77, True, sync_pb2.COMPRESSION_OFF))


class SettingsOnTheDevice(AdminTest):
    def setUp(self):
        super().setUp()
        self.device = Device(self.server, self.facility)
        self.addCleanup(self.device.close)

    def set(self, *words):
        self.server.run("device", "set", "--all", *words)

    def register(self, name):
        self.device.sqlite3(f"INSERT INTO patient(full_name, age_years, age_recorded_at_ms) "
                            f"VALUES ('{name}', 50, 1)")

    def arrived(self):
        return {r["region_id"]: r["records"] for r in self.status()["regions"]}[self.region]

    def wait_for(self, count, seconds=20):
        end = time.monotonic() + seconds
        while self.arrived() < count and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(self.arrived(), count)

    def test_compression_is_obeyed_both_ways_from_the_next_sync_on(self):
        def push(batch):
            self.device.sqlite3("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) "
                                "INSERT INTO patient(full_name, age_years, age_recorded_at_ms, zone) "
                                f"SELECT 'Patient ' || i, 50, 1, '{batch}' FROM n")
            return self.device.sync()["bytes_sent"]

        def first_sync():
            fresh = Device(self.server, self.facility)
            self.addCleanup(fresh.close)
            return fresh.sync()["bytes_received"]

        self.device.sync()
        best = push("one")
        received = first_sync()
        self.set("compression=off")
        self.assertGreater(first_sync(), 1.3 * received)
        push("two")  # learns it in this call
        plain = push("three")
        self.assertGreater(plain, 1.3 * best)
        self.set("compression=gzip")
        self.device.sync()
        self.assertLess(push("four"), plain / 1.3)

    def test_a_paused_follower_waits_and_a_sync_by_hand_does_not(self):
        self.set("pause=yes", "sync_interval_s=1")
        follower = self.device.start("sync", "--follow")
        try:
            self.assertIn("caught up", follower.stdout.readline())  # it did not know yet
            self.register("Asha")
            time.sleep(3)
            self.assertEqual(self.arrived(), 0)
            while self.device.sync(check=False)["error"]:  # the follower may be asking just now
                time.sleep(0.05)
            self.assertEqual(self.arrived(), 1)
            self.register("Bina")
            self.set("pause=no")
            self.wait_for(2)
            self.register("Chitra")  # and it stays in the stream again
            self.wait_for(3)
        finally:
            follower.terminate()
            follower.communicate(timeout=30)
        self.assertEqual(follower.returncode, 0)

    def test_a_paused_follower_is_stopped_at_once(self):
        self.set("pause=yes", "sync_interval_s=900")
        self.device.sync()
        follower = self.device.start("sync", "--follow")
        time.sleep(1)
        start = time.monotonic()
        follower.terminate()
        follower.communicate(timeout=30)
        self.assertLess(time.monotonic() - start, 5)
        self.assertEqual(follower.returncode, 75)  # it was never caught up


if __name__ == "__main__":
    unittest.main(verbosity=2)
