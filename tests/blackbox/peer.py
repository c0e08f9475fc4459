"""A stock gRPC peer of Outpost: Debian's python3-grpcio and the .proto files.

It knows proto/outpost/v1 and nothing else of the product: ids, stamps and
digests are computed here from what sync.proto's comments say.

SPDX-License-Identifier: Apache-2.0
"""
import atexit
import hashlib
import importlib
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import tempfile
import uuid

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("OUTPOST_BIN", ROOT / "build-dev" / "bin"))
ZERO = bytes(16)


def _load_protos():
    """Compiles the .proto files with the stock Python generator."""
    folder = tempfile.mkdtemp(prefix="outpost-proto-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    protos = ["outpost/options.proto"] + [
        f"outpost/v1/{p.name}" for p in sorted((ROOT / "proto/outpost/v1").glob("*.proto"))]
    subprocess.run(["protoc", f"-I{ROOT / 'proto'}", f"--python_out={folder}", *protos], check=True)
    sys.path.insert(0, folder)
    return [importlib.import_module(f"outpost.v1.{name}_pb2")
            for name in ("sync", "record", "enrolment", "patient", "blood_pressure")]


sync_pb2, record_pb2, enrolment_pb2, patient_pb2, blood_pressure_pb2 = _load_protos()


# ---- The hashes of sync.proto ------------------------------------------------

def canonical(body):
    """A body's canonical bytes: here the generator's own deterministic order."""
    return body.SerializeToString(deterministic=True)


def stamp(version, deleted, body):
    digest = hashlib.sha256(version.to_bytes(8, "big") + bytes([deleted]) + body).digest()
    return int.from_bytes(digest[:8], "big")


def record_stamp(record):
    return stamp(record.version, record.deleted, canonical(getattr(record, record.WhichOneof("body"))))


def _mix(x):
    mask = 2**64 - 1
    x = (x + 0x9e3779b97f4a7c15) & mask
    x = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & mask
    x = ((x ^ x >> 27) * 0x94d049bb133111eb) & mask
    return x ^ x >> 31


def digest_share(record):
    number = record.DESCRIPTOR.fields_by_name[record.WhichOneof("body")].number
    high, low = int.from_bytes(record.id[:8], "big"), int.from_bytes(record.id[8:], "big")
    return _mix(_mix(_mix(_mix(number) ^ high) ^ low) ^ record_stamp(record))


def digest(records):
    return sum(digest_share(r) for r in records if not r.deleted) % 2**64


# ---- PostgreSQL ----------------------------------------------------------------

def sql(database, text):
    """Runs SQL by the stock psql; its rows as text, unaligned."""
    done = subprocess.run(["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c",
                           "SET client_min_messages = warning; " + text],
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"psql: {done.stderr}")
    return done.stdout.strip()


# ---- The server ---------------------------------------------------------------

class Outpostd:
    """A data folder of its own and a server on a free port."""

    program = "outpostd"

    def __init__(self, settings=None, within=None, store=None):  # store: init's words for it
        self.folder = tempfile.mkdtemp(prefix="outpostd-")
        self.data = os.path.join(within or self.folder, "data")
        self.process = None
        self.schema = None
        self.run("init", *(store or self._store()))
        if settings:
            path = os.path.join(self.data, "outpostd.ini")
            text = pathlib.Path(path).read_text()
            for name, value in settings.items():
                lines = [f"{name} = {value}" if line.startswith(f"{name} =") else line
                         for line in text.splitlines()]
                text = "\n".join(lines) + "\n"
            pathlib.Path(path).write_text(text)

    def _store(self):
        """The store that the environment asks for: a schema of its own, or SQLite."""
        database = os.environ.get("OUTPOST_TEST_POSTGRES")
        if not database:
            return ()
        self.schema = "t" + uuid.uuid4().hex
        sql(database, f"CREATE SCHEMA {self.schema}")
        return "--store", f"{database}?options=-csearch_path%3D{self.schema}"

    @property
    def on_sqlite(self):
        return self.schema is None

    def sql(self, text):
        """SQL on the store by the engine's stock tool, not through Outpost; rows as text, columns by |."""
        if not self.on_sqlite:
            return sql(os.environ["OUTPOST_TEST_POSTGRES"], f"SET search_path = {self.schema}; {text}")
        return subprocess.run(["sqlite3", "-cmd", ".timeout 10000", f"{self.data}/outpost.db", text],
                              capture_output=True, text=True, check=True).stdout.strip()

    def id_literal(self, id):
        """An id, of 16 bytes, in SQL for the engine."""
        return f"x'{id.hex()}'" if self.on_sqlite else f"'{id.hex()}'::uuid"

    def backup(self):
        """What the store holds now, for put_back; the server is stopped."""
        if self.on_sqlite:
            return {p.name: p.read_bytes() for p in pathlib.Path(self.data).glob("outpost.db*")}
        return subprocess.run(["pg_dump", "-n", self.schema, os.environ["OUTPOST_TEST_POSTGRES"]],
                              capture_output=True, text=True, check=True).stdout

    def put_back(self, kept):
        if self.on_sqlite:
            for path in pathlib.Path(self.data).glob("outpost.db*"):
                path.unlink()
            for name, content in kept.items():
                pathlib.Path(self.data, name).write_bytes(content)
            return
        database = os.environ["OUTPOST_TEST_POSTGRES"]
        sql(database, f"DROP SCHEMA {self.schema} CASCADE")
        subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database], input=kept, text=True,
                       capture_output=True, check=True)

    def run(self, *words, check=True, **how):
        done = subprocess.run([BIN / self.program, *words, "--data", self.data],
                              capture_output=True, text=True, check=False, **how)
        if check and done.returncode != 0:
            raise AssertionError(f"outpostd {words} exited {done.returncode}: {done.stderr}")
        return done

    def start(self, port=0, **how):
        self.log = open(os.path.join(self.folder, "log"), "ab")
        self.process = subprocess.Popen(
            [BIN / self.program, "serve", "--data", self.data, "--listen", f"127.0.0.1:{port}"],
            stdout=subprocess.PIPE, stderr=self.log, text=True, **how)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise AssertionError(f"outpostd serve said {line!r}")
        self.address = line.split()[-1]
        return self

    def stop(self, kill=False):
        if self.process is None:
            return 0
        if kill:
            self.process.kill()
        else:
            self.process.terminate()
        code = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.log.close()
        self.process = None
        return code

    def close(self):
        code = self.stop()
        if code != 0:
            print(pathlib.Path(self.folder, "log").read_text(errors="replace")[-8000:], file=sys.stderr)
        if self.schema:
            sql(os.environ["OUTPOST_TEST_POSTGRES"], f"DROP SCHEMA {self.schema} CASCADE")
        shutil.rmtree(self.folder, ignore_errors=True)
        return code

    @property
    def ca(self):
        return pathlib.Path(self.data, "ca.pem").read_bytes()

    def add_region(self, name):
        return self.run("region", "add", f"name={name}").stdout.strip()

    def add_facility(self, name, region):
        return self.run("facility", "add", f"name={name}", f"sync_region_id={region}").stdout.strip()

    def code(self, facility, admin=False, regions=()):
        words = ["--admin"] if admin else []
        for region in regions:
            words += ["--region", region]
        return self.run("enrol", "--facility", facility, *words).stdout.strip()


# ---- The client -----------------------------------------------------------------

def make_request(key):
    return x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([])).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def enrol_call(channel):
    return channel.unary_unary("/outpost.v1.EnrolmentService/Enrol",
                               request_serializer=enrolment_pb2.EnrolRequest.SerializeToString,
                               response_deserializer=enrolment_pb2.EnrolResponse.FromString)


def sync_call(channel):
    return channel.stream_stream("/outpost.v1.SyncService/Sync",
                                 request_serializer=sync_pb2.SyncRequest.SerializeToString,
                                 response_deserializer=sync_pb2.SyncResponse.FromString)


class Peer:
    """An enrolled device that is nothing but a stock gRPC client."""

    def __init__(self, server, facility, admin=False, code=None):
        self.server = server
        self.facility = uuid.UUID(facility).bytes
        self.key = ec.generate_private_key(ec.SECP256R1())
        with self.channel(anonymous=True) as channel:
            response = enrol_call(channel)(enrolment_pb2.EnrolRequest(
                code=code or server.code(facility, admin), certificate_request=make_request(self.key)),
                timeout=30)
        self.device_id = response.device_id
        self.enrolment = response
        self.certificate = x509.load_der_x509_certificate(response.certificate).public_bytes(
            serialization.Encoding.PEM)
        self.cursor, self.token, self.receipt = b"", b"", b""
        self.records = {}       # (family, type, id) -> Record
        self.pages = []         # records per Pull of the last sync
        self.answers = []

    def channel(self, anonymous=False):
        credentials = grpc.ssl_channel_credentials(
            self.server.ca, *([] if anonymous else [key_pem(self.key), self.certificate]))
        return grpc.secure_channel(self.server.address, credentials)

    @staticmethod
    def name(record):
        return (record.family_id, record.WhichOneof("body"), record.id)

    def hello(self, **changes):
        hello = sync_pb2.Hello(schema_revision=1, cursor=self.cursor, receipt=self.receipt,
                               facility_id=self.facility, token=self.token, app_version="peer 1")
        for field, value in changes.items():
            setattr(hello, field, value)
        return sync_pb2.SyncRequest(hello=hello)

    def push_item(self, mutation):
        held = self.records.get(self.name(mutation))
        return sync_pb2.PushItem(mutation=mutation, held_stamp=record_stamp(held) if held else 0)

    def sync(self, mutations=(), batch=500, hello=None, anonymous=False):
        """One Sync call; returns the CaughtUp. Applies what comes."""
        mutations = list(mutations)
        requests = [hello or self.hello()]
        pushes = [mutations[i:i + batch] for i in range(0, len(mutations), batch)]
        requests += [sync_pb2.SyncRequest(push=sync_pb2.Push(items=[self.push_item(m) for m in p]))
                     for p in pushes]
        requests.append(sync_pb2.SyncRequest(push_done=sync_pb2.PushDone()))
        self.pages, self.answers, caught_up = [], [], None
        sent = iter(mutations)
        with self.channel(anonymous) as channel:
            for response in sync_call(channel)(iter(requests), timeout=60):
                kind = response.WhichOneof("response")
                if kind == "welcome":
                    self.welcome = response.welcome
                elif kind == "push_result":
                    self._take_answers(response.push_result, sent)
                elif kind == "pull":
                    self._take_page(response.pull)
                elif kind == "caught_up":
                    caught_up = response.caught_up
                    self.cursor = caught_up.cursor or self.cursor
                    self.token = caught_up.next_token or self.token
        return caught_up

    def _take_answers(self, result, sent):
        for answer in result.answers:
            mutation = next(sent)
            self.answers.append(answer)
            if answer.status == sync_pb2.ANSWER_STATUS_APPLIED:
                self._fast_forward(mutation)
            elif answer.HasField("record"):
                self._store(answer.record)
        self.receipt = result.receipt or self.receipt
        self.cursor = result.cursor or self.cursor

    def _fast_forward(self, mutation):
        name = self.name(mutation)
        record = self.records.get(name) or record_pb2.Record(family_id=mutation.family_id, id=mutation.id)
        new = record_pb2.Record()
        new.CopyFrom(record)
        new.version += 1
        new.deleted = mutation.delete
        body, sent = getattr(new, name[1]), getattr(mutation, name[1])
        body.SetInParent()
        if record.version == 0:
            body.CopyFrom(sent)
        else:
            for number in mutation.fields:
                field = body.DESCRIPTOR.fields_by_number[number]
                setattr(body, field.name, getattr(sent, field.name))
        self._store(new)

    def _store(self, record):
        if record.deleted:
            self.records.pop(self.name(record), None)
        else:
            self.records[self.name(record)] = record

    def on_page(self, pull):
        """For tests that look at pages."""

    def _take_page(self, pull):
        self.on_page(pull)
        self.pages.append(len(pull.records))
        for record in pull.records:
            self._store(record)
        self.cursor = pull.cursor or self.cursor

    def digests(self):
        """Region digests as computed here: (global, own region)."""
        return (digest(r for r in self.records.values() if not r.family_id),
                digest(r for r in self.records.values() if r.family_id))


# ---- Mutations --------------------------------------------------------------------

def mutation(kind, family, id, base=None, clear=(), delete=False, **fields):
    """An edit of one record; base is the Record that was seen, or None."""
    m = record_pb2.Mutation(family_id=family or b"", id=id, delete=delete)
    body = getattr(m, kind)
    body.SetInParent()
    for name, value in fields.items():
        setattr(body, name, value)
    numbers = {body.DESCRIPTOR.fields_by_name[n].number for n in [*fields, *clear]}
    m.fields.extend(sorted(numbers))
    if base is not None:
        m.base_version = base.version
        m.base_stamp = record_stamp(base)
    return m


def new_patient(facility, name="Asha", id=None, **fields):
    id = id or uuid.uuid4().bytes
    values = dict(full_name=name, age_years=50, age_recorded_at_ms=1_600_000_000_000,
                  registration_facility_id=facility)
    values.update(fields)
    return mutation("patient", id, id, **values)


def new_reading(patient, facility, systolic=140, diastolic=90, at=1_600_000_000_000, **fields):
    return mutation("blood_pressure", patient, uuid.uuid4().bytes, systolic_mmhg=systolic,
                    diastolic_mmhg=diastolic, recorded_at_ms=at, facility_id=facility, **fields)
