#!/usr/bin/python3
"""gRPC's standard services on outpostd, called by a stock client without a certificate: health
and reflection, v1 and v1alpha; and the server's own certificate, renewed while it serves.

SPDX-License-Identifier: Apache-2.0
"""
import pathlib
import signal
import subprocess
import tempfile
import unittest

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from peer import ROOT, Outpostd, key_pem

LONG_S = 60  # only ends a test that hangs
OWN = {"outpost.v1.SyncService", "outpost.v1.EnrolmentService"}


def load_pool():
    """The services' messages, without modules: those would be named grpc."""
    root = ROOT / "gen/grpc/proto"
    pool = descriptor_pool.DescriptorPool()
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run(["protoc", f"-I{root}", f"--descriptor_set_out={file.name}",
                        *(str(path) for path in root.rglob("*.proto"))], check=True)
        for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            pool.Add(proto)
    return pool


POOL = load_pool()


def message(name):
    return message_factory.MessageFactory(POOL).GetPrototype(POOL.FindMessageTypeByName(name))


class ServicesTest(unittest.TestCase):
    def setUp(self):
        self.server = Outpostd().start()
        self.channel = self.open_channel()

    def tearDown(self):
        self.channel.close()
        self.assertEqual(self.server.close(), 0)

    def open_channel(self, ca=None):
        credentials = grpc.ssl_channel_credentials(ca or self.server.ca)
        return grpc.secure_channel(self.server.address, credentials,
                                   (("grpc.use_local_subchannel_pool", 1),))

    def method(self, kind, path, response):
        return kind(path, request_serializer=lambda request: request.SerializeToString(),
                    response_deserializer=message(response).FromString)


class Health(ServicesTest):
    def request(self, service=""):
        return message("grpc.health.v1.HealthCheckRequest")(service=service)

    def check(self, service="", channel=None):
        call = self.method((channel or self.channel).unary_unary, "/grpc.health.v1.Health/Check",
                           "grpc.health.v1.HealthCheckResponse")
        return call(self.request(service), timeout=LONG_S).status

    def watch(self, service=""):
        call = self.method(self.channel.unary_stream, "/grpc.health.v1.Health/Watch",
                           "grpc.health.v1.HealthCheckResponse")
        return call(self.request(service), timeout=LONG_S)

    def test_check(self):
        for service in ("", *OWN):
            self.assertEqual(self.check(service), 1)
        with self.assertRaises(grpc.RpcError) as caught:
            self.check("no.such.Service")
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_watchers_hear_that_the_server_stops_and_do_not_hold_it_up(self):
        known, unknown = self.watch(), self.watch("no.such.Service")
        self.assertEqual(next(known).status, 1)
        self.assertEqual(next(unknown).status, 3)
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(next(known).status, 2)
        for call in (known, unknown):
            with self.assertRaises(grpc.RpcError) as caught:
                next(call)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.server.process.wait(timeout=LONG_S), 0)

    def test_a_cancelled_watch_is_forgotten(self):
        for _ in range(300):
            call = self.watch()
            self.assertEqual(next(call).status, 1)
            call.cancel()
        self.assertEqual(self.check(), 1)


class Reflection(ServicesTest):
    def ask(self, version, **what):
        package = f"grpc.reflection.{version}"
        request = message(f"{package}.ServerReflectionRequest")(host="h", **what)
        call = self.method(self.channel.stream_stream,
                           f"/{package}.ServerReflection/ServerReflectionInfo",
                           f"{package}.ServerReflectionResponse")
        [response] = list(call(iter([request]), timeout=LONG_S))
        self.assertEqual(response.valid_host, "h")
        self.assertEqual(response.original_request, request)
        return response

    def files(self, version, **what):
        response = self.ask(version, **what)
        self.assertEqual(response.WhichOneof("message_response"), "file_descriptor_response")
        return [descriptor_pb2.FileDescriptorProto.FromString(bytes_)
                for bytes_ in response.file_descriptor_response.file_descriptor_proto]

    def each_version(self):
        for version in ("v1", "v1alpha"):
            with self.subTest(version=version):
                yield version

    def test_services_are_listed(self):
        for version in self.each_version():
            response = self.ask(version, list_services="")
            names = {service.name for service in response.list_services_response.service}
            self.assertEqual(names, OWN | {
                "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
                "grpc.reflection.v1alpha.ServerReflection"})

    def test_a_client_that_knows_nothing_can_call(self):
        """From the service's name to a message that the server understands."""
        for version in self.each_version():
            pool = descriptor_pool.DescriptorPool()
            files = self.files(version, file_containing_symbol="outpost.v1.EnrolmentService")
            self.assertEqual(files[0].name, "outpost/v1/enrolment.proto")
            for file in reversed(files):
                pool.Add(file)
            method = pool.FindServiceByName("outpost.v1.EnrolmentService").methods_by_name["Enrol"]
            request = message_factory.MessageFactory(pool).GetPrototype(method.input_type)
            call = self.channel.unary_unary("/outpost.v1.EnrolmentService/Enrol")
            with self.assertRaises(grpc.RpcError) as caught:
                call(request(code="wrong").SerializeToString(), timeout=LONG_S)
            self.assertIn(caught.exception.code(), (grpc.StatusCode.PERMISSION_DENIED,
                                                    grpc.StatusCode.INVALID_ARGUMENT))

    def test_symbols_of_every_kind(self):
        cases = (("outpost.v1.SyncService.Sync", "outpost/v1/sync.proto"),
                 ("outpost.v1.SyncRequest", "outpost/v1/sync.proto"),
                 ("outpost.v1.Patient.full_name", "outpost/v1/patient.proto"),
                 ("outpost.record", "outpost/options.proto"),
                 ("grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"),
                 ("grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"),
                 ("google.protobuf.MessageOptions", "google/protobuf/descriptor.proto"),
                 ("grpc.reflection.v1alpha.ServerReflection",
                  "grpc/reflection/v1alpha/reflection.proto"))
        for version in self.each_version():
            for symbol, name in cases:
                self.assertEqual(self.files(version, file_containing_symbol=symbol)[0].name, name)
                self.assertEqual(self.files(version, file_by_filename=name)[0].name, name)

    def test_files_come_with_all_that_they_import(self):
        for version in self.each_version():
            files = self.files(version, file_by_filename="outpost/v1/sync.proto")
            names = [file.name for file in files]
            self.assertEqual(len(names), len(set(names)))
            for file in files:
                self.assertLessEqual(set(file.dependency), set(names))

    def test_files_are_as_protoc_made_them(self):
        """With the options, which the server itself does not read."""
        with tempfile.NamedTemporaryFile() as out:
            subprocess.run(["protoc", f"-I{ROOT / 'proto'}", f"--descriptor_set_out={out.name}",
                            "outpost/v1/patient.proto"], check=True)
            [expected] = descriptor_pb2.FileDescriptorSet.FromString(out.read()).file
        [file, *_] = self.files("v1", file_by_filename="outpost/v1/patient.proto")
        self.assertEqual(file.SerializeToString(deterministic=True),
                         expected.SerializeToString(deterministic=True))

    def test_extensions(self):
        for version in self.each_version():
            response = self.ask(version, all_extension_numbers_of_type="google.protobuf.FieldOptions")
            numbers = response.all_extension_numbers_response
            self.assertEqual(numbers.base_type_name, "google.protobuf.FieldOptions")
            self.assertTrue(numbers.extension_number)
            extension = {"containing_type": "google.protobuf.FieldOptions",
                         "extension_number": numbers.extension_number[0]}
            self.assertEqual(self.files(version, file_containing_extension=extension)[0].name,
                             "outpost/options.proto")

    def test_what_is_not_found_is_said_and_the_stream_goes_on(self):
        package = "grpc.reflection.v1"
        request = message(f"{package}.ServerReflectionRequest")
        call = self.method(self.channel.stream_stream,
                           f"/{package}.ServerReflection/ServerReflectionInfo",
                           f"{package}.ServerReflectionResponse")
        requests = [request(file_by_filename="no.proto"),
                    request(file_containing_symbol="outpost.v1.Nothing"),
                    request(file_containing_symbol="outpost.v1"),
                    request(file_containing_symbol=""),
                    request(file_containing_extension={"containing_type": "a.B",
                                                       "extension_number": 1}),
                    request(all_extension_numbers_of_type="a.B"),
                    request(), request(list_services="")]
        kinds = [response.WhichOneof("message_response")
                 for response in call(iter(requests), timeout=LONG_S)]
        self.assertEqual(kinds, ["error_response"] * 7 + ["list_services_response"])


class Certificates(ServicesTest):
    def renew(self):
        """A certificate for the same server of a new CA, as files beside the old ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        old = x509.load_pem_x509_certificate(pathlib.Path(self.server.data, "server.pem").read_bytes())
        names = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "renewed")])
        certificate = x509.CertificateBuilder().subject_name(subject).issuer_name(
            subject).public_key(key.public_key()).serial_number(x509.random_serial_number()
        ).not_valid_before(old.not_valid_before).not_valid_after(old.not_valid_after
        ).add_extension(names, False).add_extension(x509.BasicConstraints(True, None), True
        ).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        pathlib.Path(self.server.data, "server.pem").write_bytes(certificate)
        pathlib.Path(self.server.data, "server.key").write_bytes(key_pem(key))
        return certificate

    def reload(self, expected):
        self.server.process.send_signal(signal.SIGHUP)
        log = pathlib.Path(self.server.folder, "log")
        while expected not in log.read_text():
            pass

    def check(self, channel):
        call = self.method(channel.unary_unary, "/grpc.health.v1.Health/Check",
                           "grpc.health.v1.HealthCheckResponse")
        return call(message("grpc.health.v1.HealthCheckRequest")(), timeout=LONG_S,
                    wait_for_ready=True).status

    def test_a_renewed_certificate_is_used_from_the_next_connection_on(self):
        self.assertEqual(self.check(self.channel), 1)
        certificate = self.renew()
        self.reload("the certificate was read anew")
        self.assertEqual(self.check(self.channel), 1)  # the open connection is kept
        with self.open_channel(certificate) as channel:
            self.assertEqual(self.check(channel), 1)
        with self.open_channel() as channel:
            call = self.method(channel.unary_unary, "/grpc.health.v1.Health/Check",
                               "grpc.health.v1.HealthCheckResponse")
            with self.assertRaises(grpc.RpcError) as caught:
                call(message("grpc.health.v1.HealthCheckRequest")(), timeout=LONG_S)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.UNAVAILABLE)

    def test_a_bad_certificate_leaves_the_old_one_in_use(self):
        pathlib.Path(self.server.data, "server.pem").write_text("nonsense")
        self.reload("the old certificate stays in use")
        with self.open_channel() as channel:
            self.assertEqual(self.check(channel), 1)


if __name__ == "__main__":
    unittest.main()
