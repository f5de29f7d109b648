"""The contract as bytes: all files that describe the services, which clients may compare and generate code from."""

import hashlib
from functools import cache

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from headstart.v1 import (
    dataset_pb2,
    embedding_pb2,
    export_pb2,
    model_pb2,
    prediction_pb2,
    server_pb2,
    training_pb2,
)

PACKAGE = "headstart.v1"
PATH = f"/contract/{PACKAGE}.binpb"
"""On the HTTP port."""
_MODULES = (dataset_pb2, embedding_pb2, export_pb2, model_pb2, prediction_pb2, server_pb2, training_pb2)


@cache
def descriptor_set() -> bytes:
    """A `google.protobuf.FileDescriptorSet` of the package and of what it imports, each file after its imports."""
    found: dict[str, FileDescriptor] = {}

    def take(file: FileDescriptor) -> None:
        for imported in file.dependencies:
            take(imported)
        found.setdefault(file.name, file)

    for module in _MODULES:
        take(module.DESCRIPTOR)
    files = FileDescriptorSet()
    for file in found.values():
        file.CopyToProto(files.file.add())
    return files.SerializeToString(deterministic=True)


@cache
def digest() -> str:
    """SHA-256 of the set, in hexadecimal."""
    return hashlib.sha256(descriptor_set()).hexdigest()
