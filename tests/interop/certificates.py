# SPDX-License-Identifier: Apache-2.0
"""Certificates for a test, made with the openssl command in its own folder."""

import subprocess


def command(*arguments):
    subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def make_certificates(folder):
    """Two CAs, each with a client certificate; ours with a server's as well."""
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for ca, leaves in (("ca", ("server", "own")), ("other-ca", ("foreign",))):
        command("openssl", "req", "-x509", *key, "-subj", f"/CN={ca}",
                "-keyout", f"{folder}/{ca}.key", "-out", f"{folder}/{ca}.pem")
        for leaf in leaves:
            command("openssl", "req", "-x509", *key, "-subj", f"/CN={leaf}",
                    "-CA", f"{folder}/{ca}.pem", "-CAkey", f"{folder}/{ca}.key",
                    "-addext", "basicConstraints=critical,CA:FALSE",
                    "-addext", "subjectAltName=DNS:localhost,DNS:override.example,IP:127.0.0.1",
                    "-keyout", f"{folder}/{leaf}.key", "-out", f"{folder}/{leaf}.pem")


def read(folder, name):
    with open(f"{folder}/{name}", "rb") as file:
        return file.read()
