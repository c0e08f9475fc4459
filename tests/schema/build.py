"""Devices and servers of other schema versions: the programs that CMake builds of the trees
that versions/make makes. Version 1 is the product as it is.

SPDX-License-Identifier: Apache-2.0
"""
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "blackbox"))
from device import Device  # noqa: E402
from peer import Outpostd  # noqa: E402

TREES = pathlib.Path(os.environ["OUTPOST_VERSIONS"])
# What the changes of versions/make are, by the version that they came with.
NEW_TYPE, NEW_FIELD, NEW_ENUM_VALUE, DEPRECATED, LAST = 2, 3, 4, 5, 5


def program(name, version):
    return name if version == 1 else f"{name}-version{version}"


class VersionServer(Outpostd):
    def __init__(self, version):
        self.program = program("outpostd", version)
        super().__init__()

    def upgrade(self, version):
        """Another program on the same data, at the same address."""
        port = self.address.rsplit(":", 1)[1]
        code = self.stop()
        assert code == 0, code
        self.program = program("outpostd", version)
        self.start(port)


class VersionDevice(Device):
    def __init__(self, server, facility, version):
        self.program = program("outpost", version)
        self.version = version
        super().__init__(server, facility)

    def upgrade(self, version):
        """Another program on the same database; it is opened, and no network is used."""
        self.program = program("outpost", version)
        self.version = version
        self.status()

    def content(self):
        """Every field of every record, as SQL literals."""
        tables = {}
        for table in self.status()["records"]:
            columns = sorted(self.sqlite3(f"SELECT name FROM pragma_table_info('{table}')").split())
            tables[table] = self.rows(f"SELECT {', '.join(columns)} FROM {table} ORDER BY id")
        return tables
