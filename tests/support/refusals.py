"""Errors as a Headstart server sends them, for fakes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status


@dataclass(frozen=True)
class Refusal:
    """A status with its details; without a reason it looks like an error of the transport."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    violations: dict[str, str] = field(default_factory=dict)
    retry_after: float | None = None

    def abort(self, context: grpc.ServicerContext) -> NoReturn:
        """End the call with it."""
        if not self.reason:
            context.abort(self.code, self.message)
        context.abort_with_status(rpc_status.to_status(self.status()))
        raise AssertionError("abort raises")

    def status(self) -> status_pb2.Status:
        """Return the whole of it, as one request of a stream has it."""
        status = status_pb2.Status(code=self.code.value[0], message=self.message)
        for detail in self._details():
            packed = AnyMessage()
            packed.Pack(detail)
            status.details.append(packed)
        return status

    def _details(self) -> list[Any]:
        details: list[Any] = [error_details_pb2.ErrorInfo(reason=self.reason, domain="headstart.dev")]
        if self.violations:
            found = [
                error_details_pb2.BadRequest.FieldViolation(field=path, description=why)
                for path, why in self.violations.items()
            ]
            details.append(error_details_pb2.BadRequest(field_violations=found))
        if self.retry_after is not None:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromNanoseconds(int(self.retry_after * 1e9))
            details.append(retry)
        return details


class RefusedError(Exception):
    """A request of a stream is refused; `status` is what its answer holds."""

    def __init__(self, status: status_pb2.Status) -> None:
        super().__init__(status.message)
        self.status = status


class OneOfAStream:
    """The context of one request of a stream: what ends a call is an error in its place."""

    def __init__(self, context: grpc.ServicerContext) -> None:
        self._context = context

    def invocation_metadata(self) -> Any:
        """Return the call's."""
        return self._context.invocation_metadata()

    def abort_with_status(self, status: Any) -> NoReturn:
        """Refuse the request."""
        refused = status_pb2.Status()
        refused.ParseFromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
        raise RefusedError(refused)


DROP = Refusal(grpc.StatusCode.UNAVAILABLE, "Socket closed")


def not_found(name: str) -> Refusal:
    """There is no such resource."""
    return Refusal(grpc.StatusCode.NOT_FOUND, f"{name} does not exist", reason="NOT_FOUND")
