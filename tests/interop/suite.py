#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""gRPC's interoperability cases, each pair of peers plain and over TLS.

    suite.py CLIENT-SERVER BIN_DIR        each of ours, cpp (grpc++), python

What a peer cannot see is not asked of it: Python does not show whether a message
came compressed. The slow cases run once, between our own two programs.
"""

import subprocess
import sys
import tempfile

import suite_messages
from certificates import make_certificates, read

PROGRAMS = {"ours": "rpc-interop", "cpp": "rpc-stock"}
SLOW = (("slow_consumer",), ("rpc_soak", "--soak_iterations=300", "--soak_overall_timeout_seconds",
                             "300", "--soak_per_iteration_max_acceptable_latency_ms=60000"),
        ("channel_soak", "--soak_iterations=100", "--soak_overall_timeout_seconds=300",
         "--soak_per_iteration_max_acceptable_latency_ms=60000"))


class ProgramServer:
    """rpc-interop-server or rpc-stock-server, on a port that it picks."""

    def __init__(self, program, folder, tls):
        self.process = subprocess.Popen(
            [program, "--port=0", f"--use_tls={'true' if tls else 'false'}",
             f"--tls_cert_file={folder}/server.pem", f"--tls_key_file={folder}/server.key"],
            stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.port = line.strip().rsplit(":", 1)[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.process.stdout.close()


class PythonServer:
    def __init__(self, folder, tls):
        import grpc
        import suite_python_server
        pair = (read(folder, "server.key"), read(folder, "server.pem"))
        credentials = grpc.ssl_server_credentials((pair,)) if tls else None
        self.server, self.port = suite_python_server.serve(credentials)

    def stop(self):
        self.server.stop(None).wait()


def run_program(program, port, folder, tls, *options):
    subprocess.run(
        [program, "--server_host=localhost", f"--server_port={port}",
         f"--use_tls={'true' if tls else 'false'}", "--use_test_ca=true",
         f"--ca_file={folder}/ca.pem", *options], check=True)


def run_python(port, folder, tls):
    import grpc
    import suite_python_client
    options = (("grpc.ssl_target_name_override", "override.example"),)
    target = f"localhost:{port}"
    if tls:
        credentials = grpc.ssl_channel_credentials(read(folder, "ca.pem"))
        channel = grpc.secure_channel(target, credentials, options)
    else:
        channel = grpc.insecure_channel(target)
    with channel:
        suite_python_client.run(channel)


def run(client, server, binaries, folder, tls):
    peer = PythonServer(folder, tls) if server == "python" else \
        ProgramServer(f"{binaries}/{PROGRAMS[server]}-server", folder, tls)
    try:
        if client == "python":
            run_python(peer.port, folder, tls)
            return
        program = f"{binaries}/{PROGRAMS[client]}-client"
        if server == "python":
            import suite_python_server
            for case in suite_python_server.CASES:
                run_program(program, peer.port, folder, tls, "--test_case", case)
        else:
            run_program(program, peer.port, folder, tls, "--test_case=all",
                        *(("--server_host_override", "override.example") if tls else ()))
        if (client, server) == ("ours", "ours") and tls:
            for case, *options in SLOW:
                run_program(program, peer.port, folder, tls, f"--test_case={case}", *options)
    finally:
        peer.stop()


def main():
    pair, binaries = sys.argv[1:]
    client, server = pair.split("-")
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        suite_messages.load(folder)
        for tls in (False, True):
            print("TLS" if tls else "plain", flush=True)
            run(client, server, binaries, folder, tls)


main()
