"""What recording and replaying share: identities for known devices, and a server that stands
between a device and whoever answers.

SPDX-License-Identifier: Apache-2.0
"""
import concurrent.futures
import datetime
import pathlib
import sys
import uuid

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "blackbox"))
from peer import key_pem  # noqa: E402

SYNC = "/outpost.v1.SyncService/Sync"


def certify(data, device_id):
    """A key, and a certificate for that device by the CA of the data folder: both as PEM."""
    ca = x509.load_pem_x509_certificate(pathlib.Path(data, "ca.pem").read_bytes())
    ca_key = serialization.load_pem_private_key(pathlib.Path(data, "ca.key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.utcnow()
    critical = dict(critical=True)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Outpost device")]))
        .issuer_name(ca.subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), **critical)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(
            [x509.UniformResourceIdentifier(f"urn:outpost:device:{uuid.UUID(bytes=device_id)}")]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256()))
    return key_pem(key), certificate.public_bytes(serialization.Encoding.PEM)


def call_as(address, ca, identity):
    """A channel of that device, and the Sync call on bytes."""
    channel = grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, *identity))
    return channel, channel.stream_stream(SYNC, request_serializer=bytes, response_deserializer=bytes)


class Between:
    """A gRPC server with outpostd's certificate whose Sync is answered by a function of the
    iterator of requests, all as bytes."""

    def __init__(self, data, answer):
        folder = pathlib.Path(data)
        credentials = grpc.ssl_server_credentials(
            [((folder / "server.key").read_bytes(), (folder / "server.pem").read_bytes())])
        self.server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
        handler = grpc.stream_stream_rpc_method_handler(lambda requests, context: answer(requests))
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(
            "outpost.v1.SyncService", {"Sync": handler}),))
        self.port = self.server.add_secure_port("127.0.0.1:0", credentials)
        self.server.start()

    def close(self):
        self.server.stop(None).wait()
