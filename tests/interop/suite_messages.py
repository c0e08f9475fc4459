# SPDX-License-Identifier: Apache-2.0
"""The messages of grpc.testing, as Python classes.

Made from descriptors, because modules that protoc writes would be named
grpc.testing and hidden by the gRPC package itself.
"""

import os

from certificates import command
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

HERE = os.path.dirname(os.path.abspath(__file__))
pool = descriptor_pool.DescriptorPool()


def load(folder):
    """Before any message is asked for; folder: for a file in between."""
    path = f"{folder}/testing.binpb"
    command("protoc", f"--proto_path={HERE}", "--include_imports", f"--descriptor_set_out={path}",
            "grpc/testing/test.proto")
    with open(path, "rb") as file:
        for proto in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
            pool.Add(proto)


def message(name):
    factory = message_factory.MessageFactory(pool)
    return factory.GetPrototype(pool.FindMessageTypeByName(f"grpc.testing.{name}"))
