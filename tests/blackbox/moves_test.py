#!/usr/bin/python3
"""People who move: devices that may work in several regions, and switch between them.

SPDX-License-Identifier: Apache-2.0
"""
import json
import unittest
import uuid

import grpc

from device import Device
from peer import Outpostd, Peer, new_patient, new_reading, sync_pb2
from relay import TO_DEVICE, Relay

DENIED = 77
PERMISSION_DENIED = grpc.StatusCode.PERMISSION_DENIED


class MovesTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd({"pull_batch": 20})
        self.north, self.south = (self.server.add_region(n) for n in ("North", "South"))
        self.clinic_n, self.second_n = (self.server.add_facility(n, self.north)
                                        for n in ("Clinic north", "Second north"))
        self.clinic_s = self.server.add_facility("Clinic south", self.south)
        self.server.start()
        self.port = self.server.address.rsplit(":", 1)[1]
        self.devices = []

    def tearDown(self):
        self.server.run("verify")
        for device in self.devices:
            device.run("verify")
            device.close()
        self.assertEqual(self.server.close(), 0)

    def device(self, facility=None, regions=(), **how):
        self.devices.append(Device(self.server, facility or self.clinic_n, regions=regions, **how))
        return self.devices[-1]

    def run_json(self, *words):
        return json.loads(self.server.run(*words, "--json").stdout)

    def listed(self, device):
        return self.run_json("device", "show", device.status()["device_id"])

    def allow(self, device, region):
        self.server.run("device", "allow", device.status()["device_id"], "--region", region)

    def disallow(self, device, region):
        self.server.run("device", "disallow", device.status()["device_id"], "--region", region)

    def register(self, device, *names):
        for name in names:
            device.sqlite3(f"""INSERT INTO patient(full_name, age_years, age_recorded_at_ms)
                                   VALUES ('{name}', 50, 1);
                               INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                                   SELECT id, 140 + n.value, 90 FROM patient, generate_series(1, 3) n
                                   WHERE full_name = '{name}'""")

    def people(self, device):
        return device.sqlite3("SELECT group_concat(full_name, ',') FROM "
                              "(SELECT full_name FROM patient ORDER BY full_name)")

    def records(self, region):
        regions = self.run_json("status")["regions"]
        return {r["region_id"]: r["records"] for r in regions}[region]

    def assert_nothing_waits(self, device):
        status = device.status()
        self.assertEqual((status["pending"], status["rejected"]), (0, 0))


class Switching(MovesTest):
    def setUp(self):
        super().setUp()
        one, two = self.device(), self.device(self.clinic_s)
        self.register(one, *[f"N{i}" for i in range(10)])
        self.register(two, *[f"S{i}" for i in range(10)])
        one.sync()
        two.sync()
        self.at_north, self.at_south = one, two

    def test_R18_within_a_region_nothing_is_fetched(self):
        device = self.device()
        device.sync()
        for facility in (self.second_n, self.clinic_n):
            device.run("facility", facility)
            result = device.sync()
            self.assertEqual((result["pulled"], result["withdrawn"]), (0, 0))
            self.assertLess(result["bytes_sent"] + result["bytes_received"], 1000)

    def test_R22_to_another_region_and_back_only_the_difference_travels(self):
        device = self.device(regions=[self.south])
        self.assertGreater(device.sync()["pulled"], 40)  # and the facilities
        self.register(device, "Pending")
        device.run("facility", self.clinic_s)
        self.register(device, "New here")
        result = device.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (8, 0))
        self.assertEqual(result["pulled"], 40)  # the south's families and nothing global
        self.assertEqual(self.people(device), "New here," + ",".join(f"S{i}" for i in range(10)))
        self.assertEqual((self.records(self.north), self.records(self.south)), (44, 44))
        self.assert_nothing_waits(device)
        self.assertEqual(device.sync()["pulled"], 0)
        self.at_north.sync()
        self.assertIn("Pending", self.people(self.at_north))

        device.run("facility", self.clinic_n)
        result = device.sync()
        self.assertEqual((result["pulled"], result["withdrawn"]), (44, 44))
        self.assertEqual(self.people(device), self.people(self.at_north))

    def test_R4_what_was_entered_before_the_switch_belongs_to_the_facility_that_was_left(self):
        device = self.device(regions=[self.south])
        device.sync()
        self.register(device, "Asha")
        device.run("facility", self.clinic_s)
        device.sync()
        self.at_north.sync()
        self.assertEqual(self.at_north.sqlite3(
            "SELECT hex(registration_facility_id) FROM patient WHERE full_name = 'Asha'").lower(),
            uuid.UUID(self.clinic_n).hex)

    def test_R16_a_family_in_both_regions_stays(self):
        device = self.device(regions=[self.south])
        device.sync()
        device.sqlite3("UPDATE patient SET assigned_facility_id = "
                       f"x'{uuid.UUID(self.clinic_s).hex}' WHERE full_name = 'N3'")
        device.run("facility", self.clinic_s)
        result = device.sync()
        # Its children in both parts of the snapshot, and all of it in the tail: it entered meanwhile.
        self.assertEqual((result["pulled"], result["withdrawn"]), (50, 36))
        self.assertIn("N3", self.people(device).split(","))
        self.assertNotIn("N4", self.people(device).split(","))

    def test_I4_a_switch_that_is_cut_goes_on_and_one_that_is_taken_back_ends_whole(self):
        relay = Relay(self.server.address)
        self.addCleanup(relay.close)
        for device in (self.at_north, self.at_south):
            self.register(device, *[f"More {i}" for i in range(30)])
            device.sync()
        device = self.device(regions=[self.south], relay=relay)
        device.sync()
        for facility, there in ((self.clinic_s, self.at_south), (self.clinic_n, self.at_north)):
            device.run("facility", facility)
            relay.cut_after = (TO_DEVICE, 3000)  # after the first page
            self.assertNotEqual(device.run("sync", check=False).returncode, 0)
            relay.cut_after = None
            device.run("facility", self.clinic_n)
            self.assertTrue(device.sync()["caught_up"])
            self.assertEqual(self.people(device), self.people(self.at_north))
            device.run("facility", facility)
            device.sync()
            self.assertEqual(self.people(device), self.people(there))

    def test_R18_a_follower_begins_anew_by_itself(self):
        device = self.device(regions=[self.south])
        follower = device.start("sync", "--follow", "--json")
        try:
            self.assertTrue(json.loads(follower.stdout.readline())["caught_up"])
            device.run("facility", self.clinic_s)
            self.assertTrue(json.loads(follower.stdout.readline())["caught_up"])
            self.assertEqual(self.people(device), self.people(self.at_south))
            self.register(self.at_south, "While it follows")
            self.at_south.sync()
            self.assertTrue(json.loads(follower.stdout.readline())["caught_up"])
            self.assertIn("While it follows", self.people(device))
        finally:
            follower.terminate()
            follower.communicate(timeout=30)
        self.assertEqual(follower.returncode, 0)


class OwnFacilityFirst(MovesTest):
    def test_R21_the_first_page_is_the_own_facilitys_and_nobody_elses(self):
        self.server.run("device", "set", "--all", "pull_batch=4")
        author = Peer(self.server, self.clinic_n)
        second = uuid.UUID(self.second_n).bytes
        mine = [new_patient(author.facility) for _ in range(3)]
        assigned = [new_patient(second, assigned_facility_id=author.facility)]
        others = [new_patient(second) for _ in range(4)]
        author.sync(others + mine + assigned)
        for facility, expected in ((self.clinic_n, mine + assigned), (self.second_n, others + assigned)):
            device = Peer(self.server, facility)
            pages = []
            device.on_page = lambda pull: pages.append([r.id for r in pull.records if r.family_id])
            caught_up = device.sync()
            families = [page for page in pages if page]
            first = [id for page in families for id in page][:len(expected)]
            self.assertEqual(first, sorted(m.id for m in expected))
            if facility == self.clinic_n:
                self.assertEqual([len(page) for page in families], [4, 4])
            self.assertEqual(device.digests(), tuple(r.digest for r in caught_up.regions))

    def test_R21_a_device_takes_them_in_that_order_too(self):
        one, two = self.device(), self.device(self.second_n)
        self.register(one, *[f"N{i}" for i in range(30)])
        self.register(two, *[f"M{i}" for i in range(30)])
        one.sync()
        two.sync()
        relay = Relay(self.server.address)
        self.addCleanup(relay.close)
        late = self.device(self.second_n, relay=relay)
        relay.cut_after = (TO_DEVICE, 4000)
        self.assertNotEqual(late.run("sync", check=False).returncode, 0)
        here = self.people(late).split(",")
        self.assertGreater(len(here), 3)
        self.assertEqual([name for name in here if name.startswith("N")], [])
        late.run("facility", self.clinic_n)
        late.sync()
        one.sync()
        self.assertEqual(self.people(late), self.people(one))


class Rights(MovesTest):
    def test_R18_a_refusal_says_what_to_do_and_to_switch_back_undoes_it(self):
        device = self.device()
        device.sync()
        self.register(device, "Asha")
        device.run("facility", self.clinic_s)
        done = device.run("sync", check=False)
        self.assertEqual(done.returncode, DENIED)
        self.assertEqual(len(done.stderr.splitlines()), 1)
        self.assertIn(f"may not work at facility {self.clinic_s}", done.stderr)
        self.assertIn("outpost facility ID", done.stderr)
        self.assertEqual((self.people(device), device.status()["pending"]), ("Asha", 4))
        device.run("facility", self.clinic_n)
        self.assertEqual(device.sync()["pushed"], 4)
        device.run("facility", str(uuid.uuid4()))
        done = device.run("sync", check=False)
        self.assertEqual(done.returncode, DENIED)
        self.assertIn("is not known", done.stderr)
        device.run("facility", self.second_n)
        self.assertTrue(device.sync()["caught_up"])

    def test_R15_what_is_pending_from_a_region_that_was_taken_away_is_accepted(self):
        device = self.device(regions=[self.south])
        device.run("facility", self.clinic_s)
        self.register(device, "Known")
        device.sync()
        self.register(device, "Pending")
        device.sqlite3("UPDATE patient SET zone = 'late' WHERE full_name = 'Known'")
        self.disallow(device, self.south)
        self.assertEqual(device.run("sync", check=False).returncode, DENIED)
        device.run("facility", self.clinic_n)
        result = device.sync()
        self.assertEqual((result["pushed"], result["quarantined"]), (5, 0))
        self.assertEqual(self.people(device), "")
        self.assert_nothing_waits(device)
        there = self.device(self.clinic_s)
        there.sync()
        self.assertEqual(self.people(there), "Known,Pending")
        self.assertEqual(there.sqlite3("SELECT zone FROM patient WHERE full_name = 'Known'"), "late")

    def test_R15_nobody_writes_where_it_never_might_work(self):
        stranger, there = Peer(self.server, self.clinic_n), Peer(self.server, self.clinic_s)
        patient = new_patient(there.facility)
        there.sync([patient])
        stranger.sync([new_reading(patient.id, stranger.facility)])
        self.assertEqual(stranger.answers[0].reason, sync_pb2.REASON_NOT_YOURS)

    def test_a_list_shows_them_and_wrong_words_are_told(self):
        device = self.device(regions=[self.south, self.north])
        id = device.status()["device_id"]
        self.assertEqual(self.listed(device)["regions"], [self.south])
        self.assertIn(self.south, self.server.run("device", "list").stdout)
        self.disallow(device, self.south)
        self.assertEqual(self.listed(device)["regions"], [])
        self.allow(device, self.south)
        self.allow(device, self.south)
        self.assertEqual(self.listed(device)["regions"], [self.south])
        for words, code in ((("allow", id), 64), (("allow",), 64), (("disallow", id, "--region", "x"), 64),
                            (("allow", id, "--region", str(uuid.uuid4())), 65),
                            (("disallow", id, "--region", self.north), 65),
                            (("allow", str(uuid.uuid4()), "--region", self.south), 65)):
            done = self.server.run("device", *words, check=False)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (code, 1), words)
        done = self.server.run("enrol", "--facility", self.clinic_n, "--region", str(uuid.uuid4()),
                               check=False)
        self.assertEqual((done.returncode, done.stdout), (65, ""))

    def test_I12_the_list_of_regions_ends(self):
        device = self.device()
        regions = [self.server.add_region(f"R{i}") for i in range(15)]
        for region in regions[:14]:
            self.allow(device, region)
        done = self.server.run("device", "allow", device.status()["device_id"], "--region", regions[14],
                               check=False)
        self.assertEqual(done.returncode, 65)
        self.assertIn("14 regions", done.stderr)

    def test_R18_an_open_stream_ends_when_its_region_is_taken_away(self):
        device = self.device(regions=[self.south])
        device.run("facility", self.clinic_s)
        follower = device.start("sync", "--follow", "--json")
        follower.stdout.readline()
        self.disallow(device, self.south)
        out, err = follower.communicate(timeout=60)
        self.assertEqual(follower.returncode, DENIED, out)
        self.assertIn("may not work", err)
        device.run("facility", self.clinic_n)
        self.assertTrue(device.sync()["caught_up"])

    def test_a_stock_client_sees_the_refusal_as_permission_denied(self):
        peer = Peer(self.server, self.clinic_n)
        with self.assertRaises(grpc.RpcError) as caught:
            peer.sync(hello=peer.hello(facility_id=uuid.UUID(self.clinic_s).bytes))
        self.assertEqual(caught.exception.code(), PERMISSION_DENIED)


class Facilities(MovesTest):
    def test_a_facility_stays_in_its_region(self):
        """Its region is written once: who wants to move it finds a conflict, and nobody notices."""
        device = self.device()
        self.register(device, "Asha")
        device.sync()
        self.server.run("facility", "add", f"sync_region_id={self.south}", "--id", self.clinic_n)
        (conflict,) = self.run_json("conflict", "list")["conflicts"]
        self.assertEqual(conflict["fields"], {"sync_region_id": "stored"})
        self.register(device, "Bina")
        self.assertEqual(device.sync()["pushed"], 4)
        self.assertEqual(self.records(self.north), 8)

    def test_a_facility_that_is_closed_under_its_device(self):
        device = self.device()
        device.sync()
        self.server.run("facility", "close", self.clinic_n)
        self.register(device, "Asha")
        self.assertEqual(device.sync()["pushed"], 4)
        device.run("facility", self.second_n)
        device.sync()
        device.run("facility", self.clinic_n)
        self.assertTrue(device.sync()["caught_up"])


class RestoredServer(MovesTest):
    def backup(self):
        self.server.stop()
        self.kept = self.server.backup()
        self.server.start(self.port)

    def put_back(self):
        self.server.stop()
        self.server.put_back(self.kept)
        self.server.start(self.port)

    def test_R22_rights_are_not_forgotten(self):
        one, two = self.device(), self.device(regions=[self.south])
        self.backup()
        self.allow(one, self.south)
        self.disallow(two, self.south)
        late = self.device(regions=[self.south])
        self.put_back()
        self.assertEqual([self.listed(d)["regions"] for d in (one, two, late)],
                         [[self.south], [], [self.south]])
        self.disallow(one, self.south)
        self.put_back()
        self.assertEqual(self.listed(one)["regions"], [])
        self.server.stop()
        self.server.start(self.port)
        self.assertEqual(self.listed(one)["regions"], [])

    def settle(self, device):
        for _ in range(3):
            device.sync()

    def test_R22_a_region_dropped_by_a_switch_is_proven_first(self):
        author, reader = self.device(), self.device(regions=[self.south])
        self.register(author, "Asha")
        author.sync()
        self.backup()
        self.register(author, "Lost")
        author.sync()
        reader.sync()
        self.put_back()  # and its author is never seen again
        reader.run("facility", self.clinic_s)
        self.settle(reader)
        self.assertEqual(self.people(reader), "")
        self.assertEqual(self.records(self.north), 8)
        self.devices.remove(author)
        author.close()

    def test_R22_also_when_the_server_is_restored_in_the_middle_of_the_switch(self):
        relay = Relay(self.server.address)
        self.addCleanup(relay.close)
        there = self.device(self.clinic_s)
        self.register(there, *[f"S{i}" for i in range(40)])
        there.sync()
        author, reader = self.device(), self.device(regions=[self.south], relay=relay)
        self.backup()
        self.register(author, "Lost")
        author.sync()
        reader.sync()
        reader.run("facility", self.clinic_s)
        relay.cut_after = (TO_DEVICE, 3000)
        self.assertNotEqual(reader.run("sync", check=False).returncode, 0)
        relay.cut_after = None
        self.assertIn("Lost", self.people(reader))
        self.assertIn("S", self.people(reader))
        self.put_back()
        self.settle(reader)
        self.assertEqual(self.people(reader), self.people(there))
        self.assertEqual(self.records(self.north), 4)
        self.devices.remove(author)
        author.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
