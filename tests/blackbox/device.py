"""The outpost command on a database of its own, as a person would use it.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import shutil
import subprocess
import tempfile

from peer import BIN


class Device:
    program = "outpost"

    def __init__(self, server, facility, relay=None, admin=False, within=None, regions=()):
        self.folder = tempfile.mkdtemp(prefix="outpost-", dir=within)
        self.db = os.path.join(self.folder, "device.db")
        self.server = server
        port = relay.port if relay else server.address.rsplit(":", 1)[1]
        self.run("init", "--server", f"localhost:{port}",
                 "--ca", os.path.join(server.data, "ca.pem"), "--code", server.code(facility, admin, regions))

    def run(self, *words, check=True, **how):
        done = subprocess.run([BIN / self.program, *words, "--db", self.db], capture_output=True,
                              text=True, check=False, **how)
        if check and done.returncode != 0:
            raise AssertionError(f"outpost {words} exited {done.returncode}: {done.stderr}")
        return done

    def start(self, *words):
        return subprocess.Popen([BIN / self.program, *words, "--db", self.db], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def sync(self, check=True, **how):
        done = self.run("sync", "--json", check=check, **how)
        return json.loads(done.stdout)

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def sqlite3(self, sql):
        """SQL through the stock sqlite3 command-line tool, not through Outpost."""
        done = subprocess.run(["sqlite3", "-bail", "-cmd", ".timeout 10000", self.db, sql], capture_output=True, text=True,
                              check=False)
        if done.returncode != 0:
            raise AssertionError(f"sqlite3: {done.stderr}")
        return done.stdout.strip()

    def rows(self, sql):
        """A query's rows as SQL literals, so that types and bytes are compared too."""
        done = subprocess.run(["sqlite3", "-bail", "-quote", "-cmd", ".timeout 10000", self.db, sql], capture_output=True,
                              text=True, check=True)
        return done.stdout.splitlines()

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
