"""What becomes of a serving outpostd when its database has trouble.

Goal: a request that the database cannot serve is told to come again (UNAVAILABLE) and
nothing else; the loop answers others meanwhile; when the database is back so is the
server, without a restart. Method: a real cluster is stopped, frozen, demoted and robbed
of its connections under a server that has peers.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import unittest

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from peer import Outpostd, Peer, new_patient, new_reading, sql, sync_call

DATABASE = os.environ["OUTPOST_TEST_POSTGRES"]
TRIES = 300  # each with a pause: far above the engine's longest back-off
DATA = pathlib.Path(sql(DATABASE, "SHOW data_directory"))


def pg_ctl(*words):
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    folder = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))
    subprocess.run([*as_postgres, str(folder / "pg_ctl"), *words, "-D", str(DATA), "-s", "-w"], check=True, cwd="/",
                   stdout=subprocess.DEVNULL)


def read_only(value):
    """All sessions, from their next transaction on: what a demoted leader says to them."""
    commands = ("SET default_transaction_read_only = off",
                f"ALTER SYSTEM SET default_transaction_read_only = {value}", "SELECT pg_reload_conf()")
    subprocess.run(["psql", "-X", "-q", "-d", DATABASE, *(w for c in commands for w in ("-c", c))], check=True,
                   stdout=subprocess.DEVNULL)


class Health(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd()
        self.facilities = [self.server.add_facility(n, self.server.add_region(n)) for n in ("North", "South")]
        self.server.start()
        self.peers = [Peer(self.server, self.facilities[i % 2]) for i in range(6)]
        for peer in self.peers:
            self.push(peer)

    def tearDown(self):
        self.assertIsNone(self.server.process.poll())
        for peer in self.peers:
            self.push(peer)
        self.server.run("verify")
        self.assertEqual(0, self.server.close())

    def push(self, peer):
        """A push that must get through, and does as soon as the database is back."""
        patient = new_patient(peer.facility)
        mutations = [patient, new_reading(patient.id, peer.facility)]
        for _ in range(TRIES):
            code = self.try_push(peer, mutations)
            if code == grpc.StatusCode.OK:
                self.assertIn((patient.id, "patient", patient.id), peer.records)
                return
            self.assertEqual(grpc.StatusCode.UNAVAILABLE, code)
            time.sleep(.1)
        self.fail(f"not through after {TRIES} tries: {self.refusal}")

    def try_push(self, peer, mutations=None):
        try:
            peer.sync(mutations or [new_patient(peer.facility)])
            return grpc.StatusCode.OK
        except grpc.RpcError as refusal:
            self.refusal = refusal.details()
            return refusal.code()

    def each(self, run):
        """All peers at once; what each came to."""
        results = {}
        threads = [threading.Thread(target=lambda p=p: results.update({p.device_id: run(p)})) for p in self.peers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return list(results.values())

    def check_answers_others(self):
        """What needs no database is answered as ever."""
        with self.assertRaises(grpc.RpcError) as refusal:
            self.peers[0].sync(anonymous=True)
        self.assertEqual(grpc.StatusCode.UNAUTHENTICATED, refusal.exception.code())

    def test_a_database_that_is_stopped_and_comes_back(self):
        for mode in ("fast", "immediate"):
            pg_ctl("stop", "-m", mode)
            try:
                for _ in range(5):  # several waiting for one region when all are refused
                    self.assertEqual({grpc.StatusCode.UNAVAILABLE}, set(self.each(self.try_push)))
                self.check_answers_others()
            finally:
                pg_ctl("start", "-l", str(DATA / "log"))
            self.each(self.push)

    def test_connections_that_are_killed_while_idle_are_not_noticed_by_anyone(self):
        for _ in range(3):
            sql(DATABASE, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                          " WHERE application_name = 'outpostd' AND pid <> pg_backend_pid()")
            self.assertEqual({grpc.StatusCode.OK}, set(self.each(self.try_push)))

    def test_a_leader_that_becomes_a_standby_is_left(self):
        read_only("on")
        try:
            while sql(DATABASE, "SHOW transaction_read_only") != "on":
                time.sleep(.05)
            self.assertEqual({grpc.StatusCode.UNAVAILABLE}, set(self.each(self.try_push)))
        finally:
            read_only("off")
        self.each(self.push)

    def test_a_database_that_hangs_holds_nobody_else_up(self):
        postmaster = int((DATA / "postmaster.pid").read_text().split()[0])
        pids = [postmaster] + [int(p) for p in subprocess.run(
            ["pgrep", "-P", str(postmaster)], capture_output=True, text=True, check=True).stdout.split()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            ended = []
            hanging = [threading.Thread(target=lambda p=p: ended.append(self.deadline_push(p))) for p in self.peers]
            for thread in hanging:
                thread.start()
            for _ in range(10):
                self.check_answers_others()
            for thread in hanging:
                thread.join()
            self.assertEqual({grpc.StatusCode.DEADLINE_EXCEEDED}, set(ended))
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
        self.each(self.push)

    def deadline_push(self, peer):
        requests = [peer.hello()]
        with peer.channel() as channel:
            call = sync_call(channel)(iter(requests), timeout=2)
            try:
                list(call)
            except grpc.RpcError:
                pass
            return call.code()

    def test_a_lock_that_somebody_keeps_holds_up_its_region_alone(self):
        holder = subprocess.Popen(["psql", "-X", "-q", "-d", DATABASE], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        holder.stdin.write(f"SET search_path = {self.server.schema}; BEGIN; SELECT 'held' FROM sync_region WHERE region_id"
                           f" = (SELECT enrolment_region_id FROM device WHERE device_id = '{self.peers[0].device_id.hex()}')"
                           " FOR UPDATE;\n")
        holder.stdin.flush()
        while "held" not in holder.stdout.readline():
            pass
        results = []
        waiting = threading.Thread(target=lambda: results.append(self.try_push(self.peers[0])))
        try:
            waiting.start()
            self.push(self.peers[1])
            self.assertEqual([], results)
            waiting.join()  # lock_timeout
            self.assertEqual([grpc.StatusCode.UNAVAILABLE], results)
            # A statement that is cancelled, as statement_timeout does.
            waiting = threading.Thread(target=lambda: results.append(self.try_push(self.peers[0])))
            waiting.start()
            while waiting.is_alive():
                sql(DATABASE, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
                time.sleep(.05)
            self.assertEqual([grpc.StatusCode.UNAVAILABLE] * 2, results)
        finally:
            holder.stdin.close()
            holder.wait()
            holder.stdout.close()


if __name__ == "__main__":
    unittest.main()
