#!/usr/bin/python3
"""outpost.v2 beside outpost.v1, on one server.

Goal: clients of two versions of the protocol read and write the same records. Method: a server
with an adapter of two functions (two_versions.c); stock gRPC clients, each with the .proto of its
version, edit the same record, one following the other; the digests agree in both.

SPDX-License-Identifier: Apache-2.0
"""
import importlib
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "blackbox"))
import grpc  # noqa: E402
from peer import Outpostd, Peer, mutation, new_patient, new_reading, sync_pb2  # noqa: E402

FOLDER = tempfile.TemporaryDirectory(prefix="outpost-v2-")
subprocess.run(["protoc", f"-I{HERE}", f"--python_out={FOLDER.name}", "sync_v2.proto"], check=True)
sys.path.insert(0, FOLDER.name)
sync_v2_pb2 = importlib.import_module("sync_v2_pb2")


class Server(Outpostd):
    program = "outpostd-two-versions"


class PeerV2(Peer):
    """A client that knows the envelope of outpost.v2 alone."""

    def sync(self, mutations=(), batch=500, hello=None, anonymous=False):
        mutations = list(mutations)
        requests = [hello or self.hello()]
        requests += [sync_pb2.SyncRequest(push=sync_pb2.Push(items=[self.push_item(m)])) for m in mutations]
        requests.append(sync_pb2.SyncRequest(push_done=sync_pb2.PushDone()))
        self.pages, self.answers, caught_up = [], [], None
        sent = iter(mutations)
        with self.channel(anonymous) as channel:
            call = channel.stream_stream("/outpost.v2.SyncService/Sync",
                                         request_serializer=sync_v2_pb2.Envelope.SerializeToString,
                                         response_deserializer=sync_v2_pb2.Envelope.FromString)
            for envelope in call((self.wrap(r, i) for i, r in enumerate(requests)), timeout=60):
                field = sync_pb2.SyncResponse.DESCRIPTOR.fields_by_number[envelope.kind]
                message = getattr(sync_pb2, field.message_type.name).FromString(envelope.message)
                if field.name == "push_result":
                    self._take_answers(message, sent)
                elif field.name == "pull":
                    self._take_page(message)
                elif field.name == "caught_up":
                    caught_up = message
                    self.cursor = caught_up.cursor or self.cursor
                    self.token = caught_up.next_token or self.token
        return caught_up

    @staticmethod
    def wrap(request, count):
        field = request.DESCRIPTOR.fields_by_name[request.WhichOneof("request")]
        return sync_v2_pb2.Envelope(kind=field.number, count=count + 1,
                                    message=getattr(request, field.name).SerializeToString())


class TwoVersions(unittest.TestCase):
    def setUp(self):
        self.server = Server()
        region = self.server.add_region("North")
        self.facility = self.server.add_facility("Clinic one", region)
        self.server.start()
        self.v1, self.v2 = Peer(self.server, self.facility), PeerV2(self.server, self.facility)

    def tearDown(self):
        self.server.run("verify")
        self.assertEqual(self.server.close(), 0)

    def agree(self):
        for one in (self.v1, self.v2):
            caught_up = one.sync()
            self.assertEqual(tuple(r.digest for r in caught_up.regions), one.digests())
        self.assertEqual(self.v1.records, self.v2.records)

    def test_both_read_and_write_the_same_records(self):
        patient = new_patient(self.v1.facility)
        self.v1.sync([patient])
        self.v2.sync()
        key = (patient.id, "patient", patient.id)
        self.assertEqual("Asha", self.v2.records[key].patient.full_name)
        self.v2.sync([mutation("patient", patient.id, patient.id, base=self.v2.records[key], full_name="Bina"),
                      new_reading(patient.id, self.v2.facility)])
        self.assertEqual([0, 0], [a.status for a in self.v2.answers])
        self.v1.sync()
        self.assertEqual("Bina", self.v1.records[key].patient.full_name)
        self.agree()

    def test_what_is_no_envelope_ends_the_call(self):
        with self.v2.channel() as channel:
            call = channel.stream_stream("/outpost.v2.SyncService/Sync", request_serializer=bytes)
            with self.assertRaises(grpc.RpcError) as caught:
                list(call(iter([b"\xff\xff"]), timeout=60))
        self.assertEqual(grpc.StatusCode.INVALID_ARGUMENT, caught.exception.code())
        self.agree()

    def test_it_needs_the_certificate_too(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.v2.sync(anonymous=True)
        self.assertEqual(grpc.StatusCode.UNAUTHENTICATED, caught.exception.code())

    def test_the_adapter_is_short(self):
        lines = (HERE / "two_versions.c").read_text().splitlines()
        self.assertLess(len(lines), 50)

    def test_the_product_answers_v1_alone(self):
        product = Outpostd()
        try:
            region = product.add_region("North")
            facility = product.add_facility("Clinic one", region)
            product.start()
            with self.assertRaises(grpc.RpcError) as caught:
                PeerV2(product, facility).sync()
            self.assertEqual(grpc.StatusCode.UNIMPLEMENTED, caught.exception.code())
        finally:
            product.close()


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    unittest.main()
