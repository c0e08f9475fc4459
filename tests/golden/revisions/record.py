#!/usr/bin/python3
"""Records what a released revision leaves behind: databases and a conversation.

    record.py FOLDER          with the programs of OUTPOST_BIN; FOLDER is new

A device and a server of the revision live a little; then both databases are kept, and the sync
that follows, message by message. Keys and certificates are not kept.

    device.sql    the device's database, as SQL: rows, a base, edits pending and sealed, what it
                  does not know, its journal
    server.sql    the server's
    conversation  the sync of the two: "> " a request, "< " a response, in hexadecimal
    content.txt   what the device holds after it

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import re
import subprocess
import sys
import uuid

from lab import Between, call_as

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "blackbox"))
from device import Device  # noqa: E402
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sync_call, sync_pb2  # noqa: E402

TABLES = ("patient", "patient_phone", "patient_identifier", "blood_pressure", "facility", "sync_region")


def content(device):
    """Every field that the revision had, as SQL literals."""
    lines = []
    for table in TABLES:
        columns = device.sqlite3(f"SELECT name FROM pragma_table_info('{table}') WHERE name NOT LIKE 'outpost_%'").split()
        lines.append(f"{table}({', '.join(sorted(columns))})")
        lines += device.rows(f"SELECT {', '.join(sorted(columns))} FROM {table} ORDER BY id")
    return "\n".join(lines) + "\n"


def dump(path, scrub=""):
    """The database as SQL. Secrets are taken out of a copy."""
    text = subprocess.run(["sqlite3", path, ".dump"], capture_output=True, text=True, check=True).stdout
    if scrub:
        text = subprocess.run(["sqlite3", ":memory:"], input=text + scrub + "\n.dump\n",
                              capture_output=True, text=True, check=True).stdout
    return re.sub(r"^PRAGMA .*\n", "", text, flags=re.M)


def of_unknown_type(patient):
    """A new record of type 77: a reading whose envelope says so."""
    reading = mutation("blood_pressure", patient, uuid.uuid4().bytes, systolic_mmhg=120, diastolic_mmhg=80)
    body = reading.blood_pressure.SerializeToString()
    raw = reading.SerializeToString()
    at = raw.rindex(body) - 2
    assert raw[at] == 13 << 3 | 2
    return type(reading).FromString(raw[:at] + bytes([0xea, 0x04, len(body)]) + body)


def push_unknown(peer, *mutations):
    """The peer cannot reckon what it does not know, so it does not say what it holds."""
    push = sync_pb2.Push(items=[sync_pb2.PushItem(mutation=m) for m in mutations])
    with peer.channel() as channel:
        answers = [a for r in sync_call(channel)(iter([peer.hello(), sync_pb2.SyncRequest(push=push)]), timeout=60)
                   for a in r.push_result.answers]
    assert all(a.status in (sync_pb2.ANSWER_STATUS_APPLIED, sync_pb2.ANSWER_STATUS_MERGED) for a in answers), answers
    assert len(answers) == len(mutations)


def live(server, device, peer):
    """A bit of everything that a database can hold."""
    device.sqlite3("""INSERT INTO patient(full_name, age_years, age_recorded_at_ms, zone) VALUES
                        ('Asha', 50, 1700000000000, 'Z1'), ('Bina', 31, 1700000000000, 'Z2'), ('Chitra', 4, 1, '');
                      INSERT INTO patient_phone(patient_id, number, kind) SELECT id, '0123456', 1 FROM patient;
                      INSERT INTO patient_identifier(patient_id, system, value) SELECT id, 'card', hex(id) FROM patient;
                      INSERT INTO blood_pressure(patient_id, systolic_mmhg, diastolic_mmhg, recorded_at_ms)
                        SELECT id, 120 + age_years, 80, 1700000000000 FROM patient""")
    device.sync()
    peer.sync([new_patient(peer.facility, name=f"P{i}") for i in range(4)])
    asha = next(r for r in peer.records.values()
                if r.WhichOneof("body") == "patient" and r.patient.full_name == "P1")
    # A field and a type that this revision does not know, and an edit that is refused.
    unknown = mutation("patient", asha.id, asha.id, base=asha, district="North")
    unknown.patient.MergeFromString(bytes([0xa2, 0x06, 3]) + b"new")  # field 100
    unknown.fields.append(100)
    push_unknown(peer, unknown, of_unknown_type(asha.id))
    peer.sync([new_reading(asha.id, peer.facility, systolic=999), new_reading(asha.id, peer.facility)])
    device.sync()
    device.sqlite3("UPDATE patient SET zone = 'Z3' WHERE full_name = 'Asha';"
                   "DELETE FROM blood_pressure WHERE systolic_mmhg = 151;"
                   "INSERT INTO patient(full_name, date_of_birth) VALUES ('Dora', '1990-02-03')")


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True)
    server = Outpostd()
    region = server.add_region("North")
    facility = server.add_facility("Clinic one", region)
    # So that any gRPC server can stand between.
    server.run("device", "set", "--all", "compression=gzip")
    server.start()
    device, peer = Device(server, facility), Peer(server, facility)
    try:
        live(server, device, peer)
        # What both change before they talk again: the conversation has merges and pages.
        peer.sync()
        chitra = next(r for r in peer.records.values()
                      if r.WhichOneof("body") == "patient" and r.patient.full_name == "Chitra")
        peer.sync([mutation("patient", chitra.id, chitra.id, base=chitra, zone="Z9", district="South")])
        device.sqlite3("UPDATE patient SET zone = 'Z8' WHERE full_name = 'Chitra'")
        # Sealed, and the server is away: the bytes are fixed from here on.
        port = server.address.rsplit(":", 1)[1]
        server.stop()
        assert device.run("sync", check=False).returncode == 75
        device.sqlite3("UPDATE patient SET village_or_colony = 'Rampur' WHERE full_name = 'Asha'")
        (folder / "device.sql").write_text(dump(device.db, "DELETE FROM outpost_identity;"
                                                "UPDATE outpost_state SET server = '';"))
        (folder / "server.sql").write_text(dump(pathlib.Path(server.data, "outpost.db")))
        server.start(port)
        identity = [device.sqlite3(f"SELECT {name} FROM outpost_identity").encode()
                    for name in ("key_pem", "certificate_pem")]
        lines = []

        def pass_on(requests):
            def heard():
                for request in requests:
                    lines.append("> " + request.hex())
                    yield request
            channel, call = call_as(server.address, server.ca, identity)
            with channel:
                for response in call(heard(), timeout=60):
                    lines.append("< " + response.hex())
                    yield response

        between = Between(server.data, pass_on)
        device.sqlite3(f"UPDATE outpost_state SET server = 'localhost:{between.port}'")
        result = device.sync()
        between.close()
        assert result["caught_up"] and result["pushed"] >= 4, result
        # The second round of one sync command is another conversation: the first is kept.
        first = sync_pb2.SyncRequest.FromString(bytes.fromhex(lines[0][2:])).WhichOneof("request")
        assert first == "hello", first
        starts = [i for i, line in enumerate(lines) if line.startswith("> ") and sync_pb2.SyncRequest.FromString(
            bytes.fromhex(line[2:])).WhichOneof("request") == "hello"] + [len(lines)]
        (folder / "conversation").write_text("\n".join(lines[:starts[1]]) + "\n")
        (folder / "content.txt").write_text(content(device))
        print(f"{folder}: {len(lines)} messages, device {uuid.UUID(device.status()['device_id'])}")
    finally:
        device.close()
        server.close()


if __name__ == "__main__":
    main()
