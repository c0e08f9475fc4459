#!/usr/bin/python3
"""Records a store as an outpostd makes it, before a migration is added to server/sql.

    record.py FILE            with the outpostd of OUTPOST_BIN; on PostgreSQL under with_cluster

Two regions, records of every type and of one that nobody knows, a deletion, a conflict, a
quarantined mutation. FILE is SQL for the engine's own tool; in it the schema of PostgreSQL is
called the_schema.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import subprocess
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "blackbox"))
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sync_call, sync_pb2  # noqa: E402


def of_unknown_type(patient):
    reading = new_reading(patient, uuid.uuid4().bytes)
    body, raw = reading.blood_pressure.SerializeToString(), reading.SerializeToString()
    at = raw.rindex(body) - 2
    return type(reading).FromString(raw[:at] + bytes([0xea, 0x04, len(body)]) + body)


def live(server, facility):
    peer, other = Peer(server, facility), Peer(server, facility)
    patients = [new_patient(peer.facility, name=f"P{i}") for i in range(5)]
    peer.sync(patients + [new_reading(p.id, peer.facility) for p in patients for _ in range(3)] + [
        mutation("patient_phone", patients[0].id, uuid.uuid4().bytes, number="012345"),
        mutation("patient_identifier", patients[0].id, uuid.uuid4().bytes, system="card", value="1"),
        new_reading(patients[1].id, peer.facility, systolic=999)])
    other.sync()
    first = other.records[(patients[0].id, "patient", patients[0].id)]
    for one, zone in ((peer, "A"), (other, "B")):
        one.sync([mutation("patient", first.id, first.id, base=first, zone=zone)])
    gone = next(r for r in peer.records.values() if r.WhichOneof("body") == "blood_pressure")
    peer.sync([mutation("blood_pressure", gone.family_id, gone.id, base=gone, delete=True)])
    push = sync_pb2.Push(items=[sync_pb2.PushItem(mutation=of_unknown_type(patients[2].id))])
    with peer.channel() as channel:
        list(sync_call(channel)(iter([peer.hello(), sync_pb2.SyncRequest(push=push)]), timeout=60))


def main():
    server = Outpostd()
    try:
        facilities = [server.add_facility(f"Clinic {name}", server.add_region(name)) for name in ("North", "South")]
        server.start()
        for facility in facilities:
            live(server, facility)
        server.stop()
        if server.on_sqlite:
            text = subprocess.run(["sqlite3", f"{server.data}/outpost.db", ".dump"],
                                  capture_output=True, text=True, check=True).stdout
        else:
            text = subprocess.run(["pg_dump", "--no-owner", "--no-privileges", "--inserts", "-n", server.schema,
                                   os.environ["OUTPOST_TEST_POSTGRES"]],
                                  capture_output=True, text=True, check=True).stdout
            # The CA's key is no part of a store's content.
            text = re.sub(r"^INSERT INTO \S*authority .*?;\n", "", text, flags=re.M | re.S)
            text = re.sub(r"^(--.*|SET .*|SELECT pg_catalog.*|\\\S*.*|)\n", "", text, flags=re.M)
            text = text.replace(server.schema, "the_schema")
        pathlib.Path(sys.argv[1]).write_text(text)
    finally:
        server.close()


if __name__ == "__main__":
    main()
