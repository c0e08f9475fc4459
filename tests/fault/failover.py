#!/usr/bin/python3
"""The database fails over while devices push.

Goal: with synchronous replication no acknowledged mutation is lost and none is applied
twice, whatever becomes of the leader (I1, I2). Method: three PostgreSQL members under
Patroni (synchronous_mode), an etcd and one outpostd, all on loopback ports picked free;
stock gRPC peers and real devices push all the time, and come back after UNAVAILABLE as
devices do. The leader is switched over, and killed with SIGKILL together with its
Patroni, as when a machine dies; a killed member comes back before the next event.

Then every acknowledged mutation is asked for in the log (once), every record that was
sent is at version 1, outpostd verify is green, and all digests agree.

    failover.py [--switchovers N] [--kills N] [--seed S]

SPDX-License-Identifier: Apache-2.0
"""
import argparse
import json
import os
import pathlib
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from device import Device
from peer import Outpostd, Peer, new_patient, new_reading, sql, sync_pb2

PEERS, DEVICES = 4, 2
WAIT_S = 120  # for a cluster to be whole again
DONE = (sync_pb2.ANSWER_STATUS_APPLIED, sync_pb2.ANSWER_STATUS_NO_EFFECT)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def as_postgres(command):
    return ["runuser", "-u", "postgres", "--", *command] if os.getuid() == 0 else command


# ---- The cluster ---------------------------------------------------------------------

class Member:
    def __init__(self, cluster, name):
        self.cluster, self.name = cluster, name
        self.port, self.rest = free_port(), free_port()
        self.folder = cluster.folder / name
        self.process = None

    def configure(self, bin_folder):
        (self.cluster.folder / f"{self.name}.json").write_text(json.dumps({  # YAML takes JSON
            "scope": "outpost", "name": self.name,
            "restapi": {"listen": f"127.0.0.1:{self.rest}", "connect_address": f"127.0.0.1:{self.rest}"},
            "etcd3": {"hosts": f"127.0.0.1:{self.cluster.etcd_port}"},
            "bootstrap": {
                "dcs": {"ttl": 20, "loop_wait": 2, "retry_timeout": 5, "synchronous_mode": True,
                        "postgresql": {"use_pg_rewind": True, "parameters": {
                            "wal_log_hints": "on", "max_connections": 100, "shared_buffers": "64MB"}}},
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}]},
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}", "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.folder), "bin_dir": bin_folder, "pgpass": f"{self.folder}.pgpass",
                "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
                "pg_hba": ["local all all trust", "host all all 127.0.0.1/32 trust",
                           "host replication all 127.0.0.1/32 trust"],
                "parameters": {"unix_socket_directories": str(self.cluster.folder)}},
        }))

    def start(self):
        with open(self.cluster.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                as_postgres(["patroni", str(self.cluster.folder / f"{self.name}.json")]), stdout=log, stderr=log,
                cwd="/", start_new_session=True)

    def pids(self):
        """Patroni's and the postmaster's, which it does not take along when it is killed."""
        found = [int(p) for p in subprocess.run(["pgrep", "-s", str(self.process.pid)], capture_output=True,
                                                text=True, check=False).stdout.split()]
        try:
            found.append(int((self.folder / "postmaster.pid").read_text().split()[0]))
        except (OSError, IndexError):
            pass
        return found

    def kill(self):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


class Cluster:
    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="outpost-failover-"))
        if os.getuid() == 0:
            os.chown(self.folder, pwd.getpwnam("postgres").pw_uid, -1)
        self.etcd_port, self.etcd_peer_port = free_port(), free_port()
        self.members = [Member(self, f"member{i}") for i in (1, 2, 3)]
        self.etcd = None

    def start(self):
        client, peer = (f"http://127.0.0.1:{p}" for p in (self.etcd_port, self.etcd_peer_port))
        with open(self.folder / "etcd.log", "ab") as log:
            self.etcd = subprocess.Popen(as_postgres([
                "etcd", "--name", "one", "--data-dir", str(self.folder / "etcd"), "--listen-client-urls", client,
                "--advertise-client-urls", client, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", f"one={peer}"]), stdout=log, stderr=log, cwd="/", start_new_session=True)
        bin_folder = str(max(pathlib.Path("/usr/lib/postgresql").glob("*/bin")))
        for member in self.members:
            member.configure(bin_folder)
            member.start()
        self.wait_whole()

    def ask(self, path, body=None):
        """The first member's answer that gives one; None: none does."""
        for member in self.members:
            try:
                data = json.dumps(body).encode() if body is not None else None
                with urllib.request.urlopen(f"http://127.0.0.1:{member.rest}{path}", data, timeout=30) as answer:
                    return answer.read()
            except (OSError, urllib.error.URLError):
                pass
        return None

    def state(self):
        try:
            return {m["name"]: m for m in json.loads(self.ask("/cluster") or b"{}").get("members", [])}
        except ValueError:
            return {}

    def leader(self):
        return next((self.member(n) for n, m in self.state().items() if m["role"] == "leader"), None)

    def member(self, name):
        return next(m for m in self.members if m.name == name)

    def is_whole(self):
        state = self.state()
        roles = sorted(m["role"] for m in state.values())
        lines = {m.get("timeline") for m in state.values()}
        return (roles == ["leader", "replica", "sync_standby"] and len(lines) == 1
                and all(m["state"] in ("running", "streaming") for m in state.values()))

    def wait_whole(self):
        for _ in range(WAIT_S * 5):
            if self.is_whole():
                return
            time.sleep(.2)
        raise AssertionError(f"the cluster is not whole after {WAIT_S} s: {self.state()}")

    def wait_replicated(self):
        """Until every member has the database: one that has not ends libpq's search."""
        for member in self.members:
            for _ in range(WAIT_S * 5):
                done = subprocess.run(["psql", "-X", "-d", f"postgresql://outpost@127.0.0.1:{member.port}/outpost",
                                       "-c", "SELECT 1"], capture_output=True, check=False)
                if done.returncode == 0:
                    break
                time.sleep(.2)

    def conninfo(self, database="outpost", user="outpost", tail=""):
        return f"postgresql://{user}@{','.join(f'127.0.0.1:{m.port}' for m in self.members)}/{database}{tail}"

    def close(self):
        for member in self.members:
            if member.process:
                member.kill()
        if self.etcd:
            os.killpg(self.etcd.pid, signal.SIGKILL)
            self.etcd.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- The load -----------------------------------------------------------------------

class Load:
    """Peers and devices that push until they are told to stop."""

    def __init__(self, server, facility):
        self.server, self.facility = server, facility
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.sent = set()          # record ids
        self.acknowledged = set()
        self.times = []            # of acknowledgements
        self.faults = []           # what no device may see
        self.refused = 0
        self.peers = [Peer(server, facility) for _ in range(PEERS)]
        self.devices = [Device(server, facility) for _ in range(DEVICES)]
        self.threads = ([threading.Thread(target=self.guard, args=(self.run_peer, p)) for p in self.peers] +
                        [threading.Thread(target=self.guard, args=(self.run_device, d)) for d in self.devices])
        for thread in self.threads:
            thread.start()

    def guard(self, run, who):
        try:
            run(who)
        except Exception as fault:  # a thread's end must be the test's
            self.faults.append(repr(fault))

    def note(self, ids):
        with self.lock:
            self.acknowledged |= ids
            self.times.append(time.monotonic())

    def run_peer(self, peer):
        while not self.stopping.is_set():
            patient = new_patient(peer.facility)
            mutations = [patient] + [new_reading(patient.id, peer.facility) for _ in range(4)]
            with self.lock:
                self.sent |= {m.id for m in mutations}
            while not self.try_push(peer, mutations):
                time.sleep(.1)

    def try_push(self, peer, mutations):
        """Sends them as often as it takes, the same bytes, as a device does from its outbox."""
        try:
            peer.sync(mutations)
        except grpc.RpcError as refusal:
            if refusal.code() != grpc.StatusCode.UNAVAILABLE:
                raise AssertionError(f"{refusal.code()}: {refusal.details()}") from refusal
            with self.lock:
                self.refused += 1
        welcome = getattr(peer, "welcome", None)  # none yet when the first sync was refused
        if welcome and (welcome.resend_acknowledged or any(r.reset for r in welcome.regions)):
            raise AssertionError("the server says that it has lost history")
        done = {m.id for m, a in zip(mutations, peer.answers) if a.status in DONE}
        if done:
            self.note(done)
        return len(done) == len(mutations)

    def run_device(self, device):
        while not self.stopping.is_set():
            device.sqlite3("""INSERT INTO patient(full_name, age_years, age_recorded_at_ms) VALUES ('Asha', 50, 1);
                              INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg)
                                  SELECT p.id, 140, 90 FROM patient p
                                  WHERE p.id NOT IN (SELECT patient_id FROM blood_pressure)""")
            done = device.run("sync", "--json", check=False)
            if done.returncode not in (0, 75):
                raise AssertionError(f"outpost sync: exit {done.returncode}: {done.stderr}")
            if done.returncode == 0:
                self.note(set())

    def outage(self, since, until):
        """The longest time without an acknowledgement in between."""
        with self.lock:
            times = [since] + [t for t in self.times if since < t < until] + [until]
        return max(b - a for a, b in zip(times, times[1:]))

    def wait_pushes(self, count=10):
        goal = len(self.times) + count
        for _ in range(WAIT_S * 10):
            if self.faults:
                raise AssertionError(self.faults)
            if len(self.times) >= goal:
                return
            time.sleep(.1)
        raise AssertionError(f"no push got through in {WAIT_S} s")

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join()
        if self.faults:
            raise AssertionError(self.faults)


# ---- The campaign --------------------------------------------------------------------

def run_event(cluster, load, kind):
    load.wait_pushes()
    leader = cluster.leader()
    since = time.monotonic()
    if kind == "kill":
        leader.kill()
    elif cluster.ask("/switchover", {"leader": leader.name}) is None:
        raise AssertionError("the switch-over was refused")
    while cluster.leader() in (None, leader):
        time.sleep(.1)
    load.wait_pushes()
    outage = load.outage(since, time.monotonic())
    if kind == "kill":
        leader.start()
    cluster.wait_whole()
    return leader, cluster.leader(), outage


def check(server, facility, load, database):
    server.run("verify")
    counts = dict(line.rsplit("|", 1) for line in sql(
        database, "SELECT encode(uuid_send(id), 'hex'), count(*) FROM change_log GROUP BY id").splitlines())
    lost = [i for i in load.acknowledged if counts.get(i.hex()) is None]
    doubled = [i for i, n in counts.items() if n != "1"]
    print(f"{len(load.acknowledged)} mutations of peers acknowledged: {len(lost)} lost, {len(doubled)} applied twice;"
          f" {load.refused} syncs were told to come again")
    fresh = Peer(server, facility)
    caught_up = fresh.sync()
    agree = tuple(r.digest for r in caught_up.regions) == fresh.digests()
    for device in load.devices:
        device.sync()
        device.run("verify")
    digests = {json.dumps(d.status()["regions"], sort_keys=True) for d in load.devices}
    print(f"digests {'agree' if agree and len(digests) == 1 else 'DIFFER'}")
    return not lost and not doubled and agree and len(digests) == 1 and load.acknowledged == load.sent


def campaign(cluster, events):
    cluster.start()
    writable = "?target_session_attrs=read-write"
    sql(cluster.conninfo("postgres", "postgres", writable), "CREATE ROLE outpost LOGIN")
    subprocess.run(["createdb", "-O", "outpost", "--maintenance-db", cluster.conninfo("postgres", "postgres", writable),
                    "outpost"], check=True)
    cluster.wait_replicated()
    database = cluster.conninfo(tail=writable)
    server = Outpostd(store=("--store", database))
    load = None
    try:
        facility = server.add_facility("Clinic", server.add_region("North"))
        server.start()
        load = Load(server, facility)
        for kind in events:
            before, after, outage = run_event(cluster, load, kind)
            print(f"{kind:10} {before.name} -> {after.name}: {outage:5.1f} s without an acknowledgement", flush=True)
        load.stop()
        return check(server, facility, load, database)
    finally:
        if load:
            load.stopping.set()
            for thread in load.threads:
                thread.join()
            for device in load.devices:
                device.close()
        server.close()


def main():
    parser = argparse.ArgumentParser(description="Fails a database over under load.")
    parser.add_argument("--switchovers", type=int, default=10)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    events = ["switchover"] * options.switchovers + ["kill"] * options.kills
    random.Random(options.seed).shuffle(events)
    print(f"seed {options.seed}: {options.switchovers} switch-overs, {options.kills} kills", flush=True)
    cluster = Cluster()
    try:
        good = campaign(cluster, events)
    finally:
        cluster.close()
    print(f"failover: {'ok' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
