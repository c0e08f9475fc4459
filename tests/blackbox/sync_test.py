#!/usr/bin/python3
"""Outpost's server seen by a stock gRPC client that knows proto/ alone.

SPDX-License-Identifier: Apache-2.0
"""
import json
import unittest
import uuid

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
import datetime

import peer
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sync_pb2

APPLIED, MERGED = sync_pb2.ANSWER_STATUS_APPLIED, sync_pb2.ANSWER_STATUS_MERGED
NO_EFFECT, QUARANTINED = sync_pb2.ANSWER_STATUS_NO_EFFECT, sync_pb2.ANSWER_STATUS_QUARANTINED
RETRY = sync_pb2.ANSWER_STATUS_RETRY


class ServerTest(unittest.TestCase):
    settings = None

    def setUp(self):
        self.server = Outpostd(self.settings)
        self.region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", self.region)
        self.server.start()

    def tearDown(self):
        self.server.run("verify")
        self.assertEqual(self.server.close(), 0)

    def peer(self, facility=None, admin=False):
        return Peer(self.server, facility or self.facility, admin)

    def status(self):
        return json.loads(self.server.run("status", "--json").stdout)

    def last_seq(self):
        return {r["region_id"]: r["last_seq"] for r in self.status()["regions"]}.get(self.region, 0)

    def assert_agrees(self, device, caught_up):
        self.assertEqual(device.digests(), tuple(r.digest for r in caught_up.regions))


class Enrolment(ServerTest):
    def enrol(self, code, request=None):
        with grpc.secure_channel(self.server.address,
                                 grpc.ssl_channel_credentials(self.server.ca)) as channel:
            key = ec.generate_private_key(ec.SECP256R1())
            return peer.enrol_call(channel)(peer.enrolment_pb2.EnrolRequest(
                code=code, certificate_request=request or peer.make_request(key)), timeout=30)

    def refused(self, code, status, *args):
        with self.assertRaises(grpc.RpcError) as caught:
            self.enrol(code, *args)
        self.assertEqual(caught.exception.code(), status)
        return caught.exception.details()

    def test_a_code_is_good_once(self):
        code = self.server.code(self.facility)
        response = self.enrol(code.lower().replace("-", " "))
        self.assertEqual(response.facility_id, uuid.UUID(self.facility).bytes)
        self.assertEqual(response.enrolment_region_id, uuid.UUID(self.region).bytes)
        self.assertIn("used", self.refused(code, grpc.StatusCode.PERMISSION_DENIED))

    def test_five_wrong_secrets_kill_a_code(self):
        code = self.server.code(self.facility)
        wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
        for _ in range(5):
            self.assertIn("wrong", self.refused(wrong, grpc.StatusCode.PERMISSION_DENIED))
        self.assertIn("too often", self.refused(code, grpc.StatusCode.PERMISSION_DENIED))

    def test_a_broken_request_does_not_use_the_code_up(self):
        code = self.server.code(self.facility)
        for request in (b"nonsense", peer.make_request(ec.generate_private_key(ec.SECP384R1()))):
            self.refused(code, grpc.StatusCode.INVALID_ARGUMENT, request)
        self.enrol(code)

    def test_nonsense_is_not_a_code(self):
        for code in ("", "hello", "U" * 20, "0" * 21, "0" * 20):
            self.refused(code, grpc.StatusCode.PERMISSION_DENIED)

    def test_a_code_needs_a_known_facility(self):
        done = self.server.run("enrol", "--facility", str(uuid.uuid4()), check=False)
        self.assertEqual(done.returncode, 65)


class WhoMayCall(ServerTest):
    def refused(self, device, **how):
        with self.assertRaises(grpc.RpcError) as caught:
            device.sync(**how)
        return caught.exception.code()

    def test_without_a_certificate_unauthenticated(self):
        self.assertEqual(self.refused(self.peer(), anonymous=True), grpc.StatusCode.UNAUTHENTICATED)

    def test_with_another_cas_certificate_unauthenticated(self):
        device = self.peer()
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Outpost CA")])
        uri = f"urn:outpost:device:{uuid.UUID(bytes=device.device_id)}"
        now = datetime.datetime.utcnow()
        certificate = (x509.CertificateBuilder().subject_name(name).issuer_name(name)
                       .public_key(key.public_key()).serial_number(5)
                       .not_valid_before(now - datetime.timedelta(days=1))
                       .not_valid_after(now + datetime.timedelta(days=9))
                       .add_extension(x509.SubjectAlternativeName(
                           [x509.UniformResourceIdentifier(uri)]), False)
                       .sign(key, hashes.SHA256()))
        device.key, device.certificate = key, certificate.public_bytes(serialization.Encoding.PEM)
        self.assertEqual(self.refused(device), grpc.StatusCode.UNAUTHENTICATED)

    def test_a_revoked_device_permission_denied(self):
        device = self.peer()
        device.sync()
        self.server.run("device", "revoke", str(uuid.UUID(bytes=device.device_id)))
        self.assertEqual(self.refused(device), grpc.StatusCode.PERMISSION_DENIED)

    def test_a_facility_of_another_region_is_denied(self):
        other = self.server.add_facility("Far away", self.server.add_region("South"))
        device = self.peer()
        device.facility = uuid.UUID(other).bytes
        self.assertEqual(self.refused(device), grpc.StatusCode.PERMISSION_DENIED)

    def test_messages_out_of_turn_are_invalid(self):
        device = self.peer()
        self.assertEqual(self.refused(device, hello=sync_pb2.SyncRequest(push=sync_pb2.Push())),
                         grpc.StatusCode.INVALID_ARGUMENT)


class Pushing(ServerTest):
    def test_a_stock_client_pushes_pulls_and_agrees_by_digest(self):
        one, two = self.peer(), self.peer()
        patients = [new_patient(one.facility, f"Patient {i}") for i in range(20)]
        readings = [new_reading(p.id, one.facility, 120 + i) for i, p in enumerate(patients)]
        caught_up = one.sync(patients + readings)
        self.assertEqual([a.status for a in one.answers], [APPLIED] * 40)
        self.assertEqual(sum(one.pages), 2)  # the facility and the region: nothing of its own (I8)
        self.assert_agrees(one, caught_up)
        caught_up = two.sync()
        self.assert_agrees(two, caught_up)
        self.assertEqual({k: v.SerializeToString() for k, v in one.records.items()},
                         {k: v.SerializeToString() for k, v in two.records.items()})

    def test_I2_a_resend_has_no_second_effect(self):
        one = self.peer()
        patient = new_patient(one.facility)
        one.sync([patient])
        seq = self.last_seq()
        one.sync([patient])
        self.assertEqual(one.answers[0].status, NO_EFFECT)
        self.assertEqual(one.answers[0].record.version, 1)
        self.assertEqual(self.last_seq(), seq)

    def test_I2_the_same_edit_by_another_device_is_the_same_edit_to_the_content(self):
        one, two = self.peer(), self.peer()
        patient = new_patient(one.facility)
        one.sync([patient])
        two.sync([patient])
        self.assertEqual(two.answers[0].status, NO_EFFECT)
        self.assertEqual(self.last_seq(), 1)

    def test_I8_an_edit_that_changes_nothing_takes_no_seq(self):
        one = self.peer()
        one.sync([new_patient(one.facility, "Asha")])
        (held,) = [r for r in one.records.values() if r.family_id]
        one.sync([mutation("patient", held.id, held.id, base=held, full_name="Asha")])
        self.assertEqual(one.answers[0].status, NO_EFFECT)
        self.assertEqual(self.last_seq(), 1)

    def test_I6_bad_ones_are_quarantined_whole_and_good_ones_go_through(self):
        one = self.peer()
        patient = new_patient(one.facility)
        bad = [new_reading(patient.id, one.facility, systolic=s) for s in (69, 301, 80)]
        good = [new_reading(patient.id, one.facility) for _ in range(3)]
        caught_up = one.sync([patient, bad[0], good[0], bad[1], good[1], bad[2], good[2]])
        self.assertEqual([a.status for a in one.answers],
                         [APPLIED, QUARANTINED, APPLIED, QUARANTINED, APPLIED, QUARANTINED, APPLIED])
        self.assertEqual([(a.reason, a.field) for a in one.answers if a.status == QUARANTINED],
                         [(sync_pb2.REASON_RANGE, 1)] * 2 + [(sync_pb2.REASON_CONTRADICTION, 1)])
        self.assert_agrees(one, caught_up)
        listed = json.loads(self.server.run("quarantine", "list", "--json").stdout)["quarantined"]
        self.assertEqual(sorted(uuid.UUID(q["id"]).bytes for q in listed), sorted(m.id for m in bad))

    def test_R14_a_child_without_its_patient_is_to_be_sent_again(self):
        one = self.peer()
        patient = new_patient(one.facility)
        reading = new_reading(patient.id, one.facility)
        one.sync([reading])
        self.assertEqual((one.answers[0].status, one.answers[0].reason),
                         (RETRY, sync_pb2.REASON_PARENT_MISSING))
        one.sync([patient, reading])
        self.assertEqual([a.status for a in one.answers], [APPLIED, APPLIED])

    def test_R13_an_edit_of_an_unknown_record_is_to_be_sent_again(self):
        one = self.peer()
        seen = peer.record_pb2.Record(id=uuid.uuid4().bytes, version=3)
        seen.patient.full_name = "Lost"
        one.sync([mutation("patient", seen.id, seen.id, base=seen, full_name="Found")])
        self.assertEqual((one.answers[0].status, one.answers[0].reason),
                         (RETRY, sync_pb2.REASON_UNKNOWN_BASE))

    def test_R13_a_missing_patient_is_asked_for_before_the_record(self):
        one = self.peer()
        patient = new_patient(one.facility)
        seen = peer.record_pb2.Record(id=uuid.uuid4().bytes, version=3)
        seen.patient_phone.number = "1"
        edit = mutation("patient_phone", patient.id, seen.id, base=seen, number="2")
        one.sync([edit])
        self.assertEqual((one.answers[0].status, one.answers[0].reason),
                         (RETRY, sync_pb2.REASON_PARENT_MISSING))
        one.sync([patient, edit])
        self.assertEqual([(a.status, a.reason) for a in one.answers],
                         [(APPLIED, 0), (RETRY, sync_pb2.REASON_UNKNOWN_BASE)])

    def test_R15_another_regions_family_is_not_yours(self):
        other = self.server.add_facility("Far away", self.server.add_region("South"))
        one, far = self.peer(), self.peer(other)
        patient = new_patient(far.facility)
        far.sync([patient])
        one.sync([mutation("patient", patient.id, patient.id, base=far.records[far.name(patient)],
                           full_name="Taken"), new_patient(far.facility)])
        self.assertEqual([(a.status, a.reason, a.HasField("record")) for a in one.answers],
                         [(QUARANTINED, sync_pb2.REASON_NOT_YOURS, False)] * 2)
        one.sync()
        self.assertFalse([r for r in one.records.values() if r.family_id])

    def test_global_records_are_for_administrators(self):
        one, admin = self.peer(), self.peer(admin=True)
        new = lambda: mutation("sync_region", b"", uuid.uuid4().bytes, name="East")
        one.sync([new()])
        self.assertEqual(one.answers[0].reason, sync_pb2.REASON_NOT_ADMIN)
        admin.sync([new()])
        self.assertEqual(admin.answers[0].status, APPLIED)

    def test_an_empty_facility_is_filled_from_the_devices(self):
        one = self.peer()
        patient = new_patient(b"", "No facility")
        one.sync([patient])
        self.assertEqual(one.answers[0].status, MERGED)
        self.assertEqual(one.answers[0].record.patient.registration_facility_id, one.facility)

    def test_R12_fields_merge_one_by_one_and_a_conflict_is_listed(self):
        one, two = self.peer(), self.peer()
        one.sync([new_patient(one.facility, "Asha")])
        two.sync()
        (held,) = [r for r in two.records.values() if r.family_id]
        edit = lambda **f: mutation("patient", held.id, held.id, base=held, **f)
        one.sync([edit(full_name="Asha Devi")])
        self.assertEqual(one.answers[0].status, APPLIED)
        two.sync([edit(zone="East")])
        self.assertEqual(two.answers[0].status, MERGED)
        self.assertEqual((two.answers[0].record.patient.full_name, two.answers[0].record.patient.zone),
                         ("Asha Devi", "East"))
        self.assertEqual(self.status()["conflicts"], 0)
        caught_up = two.sync([edit(full_name="Asha Kumari")])
        self.assertEqual(two.answers[0].status, APPLIED)  # as sent, on what it holds
        self.assertEqual(two.records[two.name(held)].patient.full_name, "Asha Kumari")
        self.assertEqual(self.status()["conflicts"], 1)
        self.assert_agrees(two, caught_up)

    def test_R14_delete_meets_edit_and_the_record_lives(self):
        one, two = self.peer(), self.peer()
        patient = new_patient(one.facility, "Asha")
        reading = new_reading(patient.id, one.facility)
        one.sync([patient, reading])
        two.sync()
        held = two.records[two.name(reading)]
        one.sync([mutation("blood_pressure", patient.id, reading.id, base=held, systolic_mmhg=150,
                           diastolic_mmhg=90)])
        two.sync([mutation("blood_pressure", patient.id, reading.id, base=held, delete=True)])
        self.assertEqual(two.answers[0].status, NO_EFFECT)
        self.assertEqual(two.records[two.name(reading)].blood_pressure.systolic_mmhg, 150)
        self.assertEqual(self.status()["conflicts"], 1)

    def test_a_delete_reaches_everybody(self):
        one, two = self.peer(), self.peer()
        patient = new_patient(one.facility, "Asha")
        reading = new_reading(patient.id, one.facility)
        one.sync([patient, reading])
        two.sync()
        one.sync([mutation("blood_pressure", patient.id, reading.id, delete=True,
                           base=one.records[one.name(reading)])])
        self.assertEqual(one.answers[0].status, APPLIED)
        caught_up = two.sync()
        self.assertNotIn(two.name(reading), two.records)
        three = self.peer()
        three.sync()
        self.assertEqual(sum(three.pages), 3)  # facility, region, patient: a first sync brings no tombstone
        self.assert_agrees(two, caught_up)

    def test_I9_unknown_fields_and_enum_values_survive(self):
        one, two = self.peer(), self.peer()
        patient = new_patient(one.facility, gender=77)
        # What a newer schema would send: field 99 (text) and 98 (a number).
        future = b"\x90\x06\x05" + b"\x9a\x06\x03new"
        patient.patient.MergeFromString(future)
        del patient.fields[:]
        patient.fields.extend([1, 2, 4, 5, 15, 98, 99])
        caught_up = one.sync([patient])
        self.assertEqual(one.answers[0].status, APPLIED)
        two.sync()
        body = two.records[two.name(patient)].patient
        self.assertEqual(body.gender, 77)
        self.assertTrue(body.SerializeToString().endswith(future))
        two.sync([mutation("patient", patient.id, patient.id,
                           base=two.records[two.name(patient)], full_name="Edited")])
        self.assertEqual(two.answers[0].status, APPLIED)
        three = self.peer()
        caught_up = three.sync()
        body = three.records[three.name(patient)].patient
        self.assertEqual(body.full_name, "Edited")
        self.assertTrue(body.SerializeToString().endswith(future))
        self.assert_agrees(three, caught_up)

    def test_malformed_mutations_are_quarantined(self):
        one = self.peer()
        no_id = new_patient(one.facility)
        no_id.id = b"short"
        unlisted = new_patient(one.facility)
        unlisted.fields.remove(1)
        cases = [no_id, unlisted, new_patient(one.facility, "nul\0inside"),
                 new_patient(one.facility, "  "), new_patient(one.facility, age_years=0),
                 new_patient(one.facility, age_years=121),
                 new_patient(one.facility, date_of_birth="2001-02-29", age_years=0,
                             age_recorded_at_ms=0),
                 new_patient(one.facility, date_of_birth="2999-01-01", age_years=0,
                             age_recorded_at_ms=0),
                 new_patient(one.facility, date_of_birth="2001-02-28"),
                 new_patient(uuid.uuid4().bytes)]
        one.sync(cases)
        self.assertEqual([a.status for a in one.answers], [QUARANTINED] * len(cases))
        R = sync_pb2
        self.assertEqual([a.reason for a in one.answers],
                         [R.REASON_MALFORMED, R.REASON_MALFORMED, R.REASON_MALFORMED,
                          R.REASON_FORMAT, R.REASON_CONTRADICTION, R.REASON_RANGE, R.REASON_FORMAT,
                          R.REASON_FUTURE, R.REASON_CONTRADICTION, R.REASON_UNKNOWN_FACILITY])
        self.assertEqual(self.last_seq(), 0)


class Pages(ServerTest):
    settings = {"pull_batch": 100}

    def test_a_thousand_records_of_one_time_page_through_exactly_once(self):
        one, two = self.peer(), self.peer()
        patient = new_patient(one.facility)
        one.sync([patient])
        two.sync()
        one.sync([new_reading(patient.id, one.facility, at=1_700_000_000_000) for _ in range(999)])
        caught_up = two.sync()
        self.assertEqual(sum(two.pages), 999)
        self.assertLessEqual(max(two.pages), 100)
        self.assert_agrees(two, caught_up)
        caught_up = two.sync()
        self.assertEqual(two.pages, [])
        three = self.peer()
        caught_up = three.sync()
        self.assertEqual(sum(three.pages), 1000 + 2)
        self.assertEqual(len(three.records), 1000 + 2)
        self.assert_agrees(three, caught_up)

    def test_a_snapshot_resumes_where_it_was_cut(self):
        one, two = self.peer(), self.peer()
        patient = new_patient(one.facility)
        one.sync([patient] + [new_reading(patient.id, one.facility) for _ in range(499)])
        seen = 0
        with two.channel() as channel:
            call = peer.sync_call(channel)(iter([two.hello(),
                                                 sync_pb2.SyncRequest(push_done=sync_pb2.PushDone())]))
            for response in call:
                if response.WhichOneof("response") == "pull":
                    two._take_page(response.pull)
                    seen += len(response.pull.records)
                    if seen > 250:
                        break
            call.cancel()
        caught_up = two.sync()
        self.assertEqual(seen + sum(two.pages), 500 + 2)
        self.assert_agrees(two, caught_up)

    def test_follow_mode_brings_what_others_commit(self):
        one, two = self.peer(), self.peer()
        two.sync()
        requests = peer.queue.Queue()
        requests.put(two.hello())
        requests.put(sync_pb2.SyncRequest(push_done=sync_pb2.PushDone()))
        with two.channel() as channel:
            call = peer.sync_call(channel)(iter(requests.get, None), timeout=60)
            self.assertEqual(next(call).WhichOneof("response"), "welcome")
            self.assertEqual(next(call).WhichOneof("response"), "caught_up")
            patient = new_patient(one.facility)
            one.sync([patient])
            response = next(call)
            self.assertEqual([r.id for r in response.pull.records], [patient.id])
            self.assertEqual(next(call).WhichOneof("response"), "caught_up")
            requests.put(None)
            self.assertEqual(list(call), [])
            self.assertEqual(call.code(), grpc.StatusCode.OK)


class Durable(ServerTest):
    def test_I1_what_was_answered_survives_a_kill(self):
        one = self.peer()
        patient = new_patient(one.facility)
        one.sync([patient] + [new_reading(patient.id, one.facility) for _ in range(50)])
        self.server.stop(kill=True)
        self.server.start()
        two = self.peer()
        caught_up = two.sync()
        self.assertEqual(len([r for r in two.records.values() if r.family_id]), 51)
        self.assert_agrees(two, caught_up)
        caught_up = one.sync()
        self.assertEqual(one.pages, [])

    def test_the_log_verifies_and_a_changed_entry_is_found(self):
        one = self.peer()
        patient = new_patient(one.facility)
        one.sync([patient, new_reading(patient.id, one.facility)])
        self.server.stop()
        # The patient's entry with its author and its mutation's id exchanged, and then as it was.
        swap = ("UPDATE change_log SET device_id = mutation_id, mutation_id = device_id "
                "WHERE seq = 1 AND family_id <> region_id")
        self.server.sql(swap)
        self.assertEqual(self.server.run("verify", check=False).returncode, 65)
        self.server.sql(swap)


if __name__ == "__main__":
    unittest.main(verbosity=2)
