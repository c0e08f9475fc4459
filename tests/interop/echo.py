#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""This runtime against the stock Python gRPC.

    echo.py stock-client|stock-server|both-ours BIN_DIR

stock-client: Python calls rpc-echo-server; stock-server: rpc-echo-client
calls Python; both-ours: rpc-echo-client calls rpc-echo-server. Each plain,
over TLS without a client certificate, with ours and with a foreign one. Ports
are picked by the system; certificates and Python's classes for echo.proto are
made in a temporary directory.
"""

import os
import subprocess
import sys
import tempfile

from certificates import command, make_certificates, read

HERE = os.path.dirname(os.path.abspath(__file__))


class OurServer:
    def __init__(self, binaries, tls_folder):
        arguments = [f"{binaries}/rpc-echo-server"]
        if tls_folder:
            arguments += ["--ca", f"{tls_folder}/ca.pem", "--certificate",
                          f"{tls_folder}/server.pem", "--key", f"{tls_folder}/server.key"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("listening on "), line
        self.address = line.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        assert self.process.wait(timeout=60) == 0


def call_with_ours(binaries, folder, address, tls, certificate, saw, *options):
    arguments = [f"{binaries}/rpc-echo-client", "--address", address, "--saw", saw, *options]
    if tls:
        arguments += ["--ca", f"{folder}/ca.pem"]
    if certificate:
        arguments += ["--certificate", f"{folder}/{certificate}.pem",
                      "--key", f"{folder}/{certificate}.key"]
    subprocess.run(arguments, check=True)


def echo_stock_client(binaries, folder):
    import grpc
    import echo_stock_client as cases
    with OurServer(binaries, None) as server:
        print("plain", flush=True)
        with grpc.insecure_channel(server.address) as channel:
            cases.run(channel, "none")
    with OurServer(binaries, folder) as server:
        for saw in ("none", "own", "foreign"):
            print(f"TLS, client certificate: {saw}", flush=True)
            pair = (None, None) if saw == "none" else \
                (read(folder, f"{saw}.key"), read(folder, f"{saw}.pem"))
            credentials = grpc.ssl_channel_credentials(read(folder, "ca.pem"), *pair)
            with grpc.secure_channel(server.address, credentials) as channel:
                cases.run(channel, saw)


def echo_stock_server(binaries, folder):
    import grpc
    import echo_stock_server as stock
    pair = (read(folder, "server.key"), read(folder, "server.pem"))
    runs = (("plain", None, None), ("TLS", grpc.ssl_server_credentials((pair,)), None),
            ("TLS, client certificate",
             grpc.ssl_server_credentials((pair,), read(folder, "ca.pem"), True), "own"))
    for title, credentials, certificate in runs:
        print(title, flush=True)
        server, address = stock.serve(credentials)
        call_with_ours(binaries, folder, address, credentials is not None, certificate,
                       certificate or "none", "--no-zstd")
        server.stop(None).wait()
    refuse_wrong_server(binaries, folder)


def refuse_wrong_server(binaries, folder):
    """A server of another CA, and one that does not speak TLS at all."""
    import grpc
    import echo_stock_server as stock
    for credentials, code in ((grpc.ssl_server_credentials(
            ((read(folder, "foreign.key"), read(folder, "foreign.pem")),)), 77), (None, 1)):
        server, address = stock.serve(credentials)
        ours = subprocess.run([f"{binaries}/rpc-echo-client", "--address", address, "--ca",
                               f"{folder}/ca.pem"], stderr=subprocess.PIPE, text=True)
        server.stop(None).wait()
        print(ours.stderr, end="", flush=True)
        assert ours.returncode == code, ours


def both_ours(binaries, folder):
    with OurServer(binaries, None) as server:
        call_with_ours(binaries, folder, server.address, False, None, "none")
    with OurServer(binaries, folder) as server:
        for saw in ("none", "own", "foreign"):
            print(f"TLS, client certificate: {saw}", flush=True)
            call_with_ours(binaries, folder, server.address, True,
                           None if saw == "none" else saw, saw)


def main():
    direction, binaries = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        make_certificates(folder)
        command("protoc", f"--proto_path={HERE}", f"--python_out={folder}", f"{HERE}/echo.proto")
        sys.path.insert(0, folder)
        {"stock-client": echo_stock_client, "stock-server": echo_stock_server,
         "both-ours": both_ours}[direction](binaries, folder)


main()
