"""Registers a servicer of the protocol: generated stubs would need its messages in Python's default pool."""

from typing import Any

import grpc
from google.protobuf.message_factory import GetMessageClass

from headstart_server.rpc.inference import grpc_service_pb2 as pb

SERVICE = "GRPCInferenceService"


def add_servicer(servicer: Any, server: Any) -> None:
    """Has a server answer the protocol's methods by those of the servicer, which have the same names."""
    service = pb.DESCRIPTOR.services_by_name[SERVICE]
    handlers = {}
    for method in service.methods:
        kind = f"{_kind(method.client_streaming)}_{_kind(method.server_streaming)}_rpc_method_handler"
        handlers[method.name] = getattr(grpc, kind)(
            getattr(servicer, method.name),
            request_deserializer=GetMessageClass(method.input_type).FromString,
            response_serializer=GetMessageClass(method.output_type).SerializeToString,
        )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service.full_name, handlers),))


def _kind(streams: bool) -> str:
    return "stream" if streams else "unary"
