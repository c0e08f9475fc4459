"""What the same records cost a stock gRPC client with gzip, and as JSON batches, in bytes.

SPDX-License-Identifier: Apache-2.0
"""
import gzip
import json
import pathlib
import sys
import uuid

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))

from figures import Figure  # noqa: E402
from one_device import RECORDS, World  # noqa: E402
from peer import Peer, key_pem  # noqa: E402
from relay import TO_DEVICE, Relay  # noqa: E402

JSON_BATCH = 1000
PATIENT = ("id full_name gender date_of_birth age_years age_recorded_at_ms status street_address village_or_colony"
           " district state registration_facility_id recorded_by_user_id recorded_at_ms").split()
READING = "patient_id id systolic_mmhg diastolic_mmhg recorded_at_ms facility_id user_id".split()


class GzipPeer(Peer):
    """A stock client that asks for gzip, through a relay that counts."""

    def __init__(self, server, facility):
        super().__init__(server, facility)
        self.relay = Relay(server.address)

    def channel(self, anonymous=False):
        if anonymous:
            return super().channel(anonymous)
        credentials = grpc.ssl_channel_credentials(self.server.ca, key_pem(self.key), self.certificate)
        return grpc.secure_channel(f"127.0.0.1:{self.relay.port}", credentials, compression=grpc.Compression.Gzip)


def _plain(value):
    return str(uuid.UUID(bytes=value)) if isinstance(value, bytes) else value


def json_bytes_per_record(rows):
    """Objects by name with ids as text, in batches, gzip's own level 6: what REST with JSON sends."""
    total = 0
    for at in range(0, len(rows), JSON_BATCH):
        total += len(gzip.compress(json.dumps(rows[at:at + JSON_BATCH], separators=(",", ":")).encode(), 6))
    return total / len(rows)


def _as_json(register):
    """Each table in the order of its times, as systems page that ask for what changed since."""
    tables = ((PATIENT, register.patients), (READING, register.readings))
    objects = [[dict(zip(names, map(_plain, row))) for row in rows] for names, rows in tables]
    return [one for table in objects for one in sorted(table, key=lambda one: one["recorded_at_ms"])]


def wire_figures(seed):
    with World(RECORDS, seed=seed) as world:
        peer = GzipPeer(world.server, world.facilities[0][0])
        caught_up = peer.sync()
        if caught_up is None or len(peer.records) < world.records[0]:
            raise SystemExit("bench: the stock client did not get all")
        received = sum(passed[TO_DEVICE] for passed in peer.relay.history)
        return [Figure("stock client, gzip: first sync", received / world.records[0], "B/record", ("<=", 60),
                       [("JSON batches, gzip", json_bytes_per_record(_as_json(world.registers[0])))])]
