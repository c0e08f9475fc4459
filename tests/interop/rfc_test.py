#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The rules of RFC 9113 (HTTP/2) and RFC 7541 (HPACK), one by one, by frames made by hand: against
our server, and as a server against our client. Every case has a connection of its own; all of them
share one process of ours, which must be alive and well at the end.

    tests/interop/rfc_test.py http2_server|hpack|http2_client BIN [PART OF A NAME]
"""

import pathlib
import subprocess
import sys

import hpack_cases
import http2_client_cases
import http2_frame_cases
import http2_message_cases
import http2_stream_cases
import rfc_client
import rfc_peer

PATIENCE_S = 60  # only ends a test that hangs
# Cases of each table: one that is lost is noticed.
LEAST = {"http2_server": 274, "hpack": 88, "http2_client": 136}


class Server:
    """rpc-echo-server, and hand-made clients."""

    def __init__(self, folder):
        self.process = subprocess.Popen([folder / "rpc-echo-server", "--ping-interval-ms=0"],
                                        stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().strip().rsplit(":", 1)[1])

    def run(self, case):
        return rfc_peer.run(case, self.port)

    def stop(self):
        self.process.terminate()
        code = self.process.wait(timeout=PATIENCE_S)
        self.process.stdout.close()
        return code


TABLES = {
    "http2_server": (Server, http2_frame_cases.CASES + http2_stream_cases.CASES +
                     http2_message_cases.CASES),
    "hpack": (Server, hpack_cases.CASES),
    "http2_client": (rfc_client.Client, http2_client_cases.CASES),
}


def main(table, folder, part=""):
    make_end, cases = TABLES[table]
    end = make_end(pathlib.Path(folder))
    failed, known = 0, 0
    for case in cases:
        if part not in f"{case.section} {case.name}":
            continue
        wrong = end.run(case)
        if case.known and wrong:
            known += 1
            print(f"known   RFC {case.section}: {case.name}: {case.known} ({wrong})")
        elif case.known:
            failed += 1
            print(f"FAILED  RFC {case.section}: {case.name}: known to fail, and does not")
        elif wrong:
            failed += 1
            print(f"FAILED  RFC {case.section}: {case.name}: {wrong}")
        else:
            print(f"ok      RFC {case.section}: {case.name}")
    code = end.stop()
    print(f"{table}: {len(cases)} cases, {failed} failed, {known} known to fail; exit code {code}")
    names = [(case.section, case.name) for case in cases]
    assert len(set(names)) == len(names), "a case is named twice"
    assert len(cases) >= LEAST[table], "cases are missing"
    return failed == 0 and code == 0


if __name__ == "__main__":
    sys.exit(0 if main(*sys.argv[1:]) else 1)
