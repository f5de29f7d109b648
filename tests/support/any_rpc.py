"""Any RPC of the contract, called by its descriptor."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from headstart_server.rpc.inference import grpc_service_pb2 as inference_pb2

PROTOS = Path(__file__).resolve().parents[2] / "protos" / "headstart" / "v1"
_SECONDS = 300.0
Metadata = tuple[tuple[str, str], ...]


def methods() -> dict[str, MethodDescriptor]:
    """Every RPC of every service in the contract, by `Service.Rpc`."""
    modules = [importlib.import_module(f"headstart.v1.{path.stem}_pb2") for path in sorted(PROTOS.glob("*.proto"))]
    services = [each for module in [*modules, inference_pb2] for each in module.DESCRIPTOR.services_by_name.values()]
    return {f"{service.name}.{method.name}": method for service in services for method in service.methods}


METHODS = methods()


@dataclass(frozen=True)
class Outcome:
    """How a call ended: its status with all that it tells, and what was answered before."""

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    details: bytes = b""
    answers: list[Any] = field(default_factory=list)

    @property
    def answer(self) -> Any:
        """The one answer of a call that succeeded."""
        assert self.code is grpc.StatusCode.OK, self
        [only] = self.answers
        return only


def called(channel: grpc.Channel, rpc: str, *requests: Message, metadata: Metadata = ()) -> Outcome:
    """Calls an RPC with its requests, several where it takes a stream, and waits for its end."""
    answers: list[Any] = []
    try:
        for answer in answers_of(channel, rpc, requests, metadata):
            if "result" in answer.DESCRIPTOR.oneofs_by_name and answer.WhichOneof("result") == "error":
                return _in_place(answer, answers)  # of one request of a stream: it is that of the call
            answers.append(answer)
    except grpc.RpcError as error:
        call: Any = error
        trailing = dict(call.trailing_metadata() or ())
        return Outcome(call.code(), call.details() or "", trailing.get("grpc-status-details-bin", b""), answers)
    return Outcome(answers=answers)


def _in_place(answer: Any, before: list[Any]) -> Outcome:
    code = next(code for code in grpc.StatusCode if code.value[0] == answer.error.code)
    return Outcome(code, answer.error.message, answer.error.SerializeToString(), before)


def answers_of(channel: grpc.Channel, rpc: str, requests: Iterable[Message], metadata: Metadata) -> Iterator[Any]:
    """The answers of an RPC as they come; raises grpc.RpcError."""
    method = METHODS[rpc]
    takes, gives = method.client_streaming, method.server_streaming
    kind = f"{'stream' if takes else 'unary'}_{'stream' if gives else 'unary'}"
    call = getattr(channel, kind)(
        f"/{method.containing_service.full_name}/{method.name}",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    given = iter(requests) if takes else next(iter(requests))
    answer = call(given, timeout=_SECONDS, metadata=metadata)
    yield from answer if gives else [answer]
