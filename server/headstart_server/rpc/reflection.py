"""Server reflection, by the name that tools ask for first (`grpc.reflection.v1`) and by the one before it.

The two differ in their package alone, and grpcio-reflection has the older one.
"""

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha import reflection, reflection_pb2

from headstart_server.rpc.reflection_pool import DescriptorPools

_OLD, _NEW = "grpc.reflection.v1alpha", "grpc.reflection.v1"
SERVICES = (f"{_NEW}.ServerReflection", reflection.SERVICE_NAME)


def add_reflection(server: grpc.aio.Server, names: Sequence[str], *pools: DescriptorPool) -> None:
    """Has a server describe the services of these names, whose descriptors are in these pools or in the default one."""
    servicer = reflection.aio.ReflectionServicer(
        names, pool=DescriptorPools(*pools, _renamed(), descriptor_pool.Default())
    )
    for service in SERVICES:
        handlers = {
            "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
                servicer.ServerReflectionInfo,
                request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
                response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
            )
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _renamed() -> DescriptorPool:
    """The file of the older service under the name and package of the newer one."""
    file = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.name, file.package = "grpc/reflection/v1/reflection.proto", _NEW
    file.ClearField("options")
    named: list[Any] = [field for message in file.message_type for field in message.field if field.type_name]
    for field in named:
        field.type_name = field.type_name.replace(_OLD, _NEW)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(_OLD, _NEW)
            method.output_type = method.output_type.replace(_OLD, _NEW)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool
