"""Every RPC of the protos, found in their descriptors: a new one is in every matrix that is made of them."""

from __future__ import annotations

from dataclasses import dataclass

from google.protobuf.descriptor import MethodDescriptor
from headstart.v1 import (
    dataset_pb2,
    embedding_pb2,
    export_pb2,
    model_pb2,
    prediction_pb2,
    server_pb2,
    training_pb2,
)
from headstart_server.rpc.inference import grpc_service_pb2 as inference_pb2

_MODULES = (
    training_pb2,
    prediction_pb2,
    export_pb2,
    dataset_pb2,
    model_pb2,
    embedding_pb2,
    server_pb2,
    inference_pb2,
)


@dataclass(frozen=True)
class Rpc:
    """One of them."""

    service: str
    name: str
    package: str = "headstart.v1"

    @property
    def method(self) -> str:
        """With its service and package."""
        return f"{self.package}.{self.service}/{self.name}"

    def __str__(self) -> str:
        return self.name


def every_rpc() -> list[Rpc]:
    """All, in the order of the protos."""
    services = [service for module in _MODULES for service in module.DESCRIPTOR.services_by_name.values()]
    return [Rpc(each.name, method.name, each.file.package) for each in services for method in each.methods]


def method_of(rpc: Rpc) -> MethodDescriptor:
    """Its descriptor."""
    services = {name: each for module in _MODULES for name, each in module.DESCRIPTOR.services_by_name.items()}
    found: MethodDescriptor = services[rpc.service].methods_by_name[rpc.name]
    return found
