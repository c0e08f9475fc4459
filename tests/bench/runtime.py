"""This runtime beside stock grpc++, in one run on this machine, over TLS: CPU of the server for
unary calls (h2load drives them) and for streamed messages, memory of idle connections, size.

Wall time is not a figure here: client and server share the cores. Runs of the two servers
alternate, and the median counts.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import re
import shutil
import socket
import ssl
import statistics
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))

from certificates import make_certificates  # noqa: E402
from figures import Figure  # noqa: E402

BIN = pathlib.Path(os.environ.get("OUTPOST_BIN", HERE.parents[1] / "build" / "bin"))
TICKS = os.sysconf("SC_CLK_TCK")
CALLS, MESSAGES, IDLE = 200_000, 1_000_000, 1000
CALL_BYTES, MESSAGE_BYTES = 100, 150
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5)


class Server:
    def __init__(self, name, folder):
        if name == "outpost":
            command = [BIN / "rpc-echo-server", "--certificate", f"{folder}/server.pem",
                       "--key", f"{folder}/server.key"]
        else:
            command = [BIN / "rpc-bench-stock-server", f"{folder}/server.pem",
                       f"{folder}/server.key"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]
        self.program = command[0]

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def cpu_s(self):
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text()
        fields = stat.rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_kb(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1))


def unary_s(server, folder):
    """Server CPU for 100,000 calls."""
    payload = b"\x0a" + bytes((CALL_BYTES - 2,)) + bytes(CALL_BYTES - 2)
    body = pathlib.Path(folder, "body")
    body.write_bytes(struct.pack(">BI", 0, len(payload)) + payload)
    before = server.cpu_s()
    done = subprocess.run(
        ["h2load", "-n", str(CALLS), "-c10", "-m50", "-t1", "-d", body,
         "-H", "content-type: application/grpc", "-H", "te: trailers",
         f"https://{server.address}/outpost.interop.v1.Echo/Unary"],
        capture_output=True, text=True, check=True).stdout
    # h2load counts HTTP, not gRPC: each call must have brought its message back.
    data = int(re.search(r"\((\d+)\) data", done).group(1))
    assert f"{CALLS} succeeded" in done and data >= CALLS * (CALL_BYTES + 5), done
    return (server.cpu_s() - before) * 100_000 / CALLS


def message_us(server, folder):
    """Server CPU for a streamed message."""
    before = server.cpu_s()
    subprocess.run([BIN / "rpc-bench-client", server.address, f"{folder}/ca.pem", str(MESSAGES),
                    str(MESSAGE_BYTES)], check=True, stdout=subprocess.DEVNULL)
    return (server.cpu_s() - before) * 1e6 / MESSAGES


def idle_kb(server, folder):
    """Memory of a connection that has said its SETTINGS and nothing more."""
    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    context.set_alpn_protocols(["h2"])
    host, port = server.address.split(":")

    def connect():
        connection = context.wrap_socket(socket.create_connection((host, int(port))),
                                         server_hostname="localhost")
        connection.sendall(PREFACE)
        seen = b""
        while seen.count(b"\0\0\0\x04\x01") == 0:  # our SETTINGS are acknowledged
            seen += connection.recv(4096)
        return connection

    warm = [connect() for _ in range(20)]
    before = server.memory_kb()
    idle = [connect() for _ in range(IDLE)]
    grown = server.memory_kb() - before
    for connection in warm + idle:
        connection.close()
    return grown / IDLE


def sizes_kb(program):
    """The stripped program, and all shared libraries that it loads."""
    with tempfile.NamedTemporaryFile() as copy:
        shutil.copy(program, copy.name)
        subprocess.run(["strip", copy.name], check=True)
        own = os.path.getsize(copy.name)
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    libraries = {os.path.realpath(path) for path in re.findall(r"=> (\S+)", listed)}
    return own / 1000, sum(os.path.getsize(path) for path in libraries) / 1000


def measure(name, folder):
    figures = {}
    for key, measured in (("unary_cpu_s_per_100k", unary_s), ("message_cpu_us", message_us),
                          ("idle_connection_kb", idle_kb)):
        server = Server(name, folder)
        try:
            if measured is not idle_kb:
                measured(server, folder)  # warm
            figures[key] = measured(server, folder)
        finally:
            server.stop()
    figures["stripped_kb"], figures["libraries_kb"] = sizes_kb(server.program)
    return figures


GOALS = (
    ("unary_cpu_s_per_100k", "server CPU for 100,000 unary calls", "s", ("<=", .25)),
    ("message_cpu_us", "server CPU for a streamed message", "us", ("<=", .2)),
    ("idle_connection_kb", "an idle connection", "kB", ("<=", 45)),
    ("stripped_kb", "program, stripped", "kB", None),
    ("libraries_kb", "shared libraries that it loads", "kB", None))


def rpc_figures(runs):
    names = ["outpost"] + (["grpc++"] if (BIN / "rpc-bench-stock-server").exists() else [])
    measured = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        for _ in range(runs):
            for name in names:
                measured[name].append(measure(name, folder))

    def of(name, key):
        return statistics.median(run[key] for run in measured[name])

    return [Figure(title, of("outpost", key), unit, goal, [(name, of(name, key)) for name in names[1:]])
            for key, title, unit, goal in GOALS]
