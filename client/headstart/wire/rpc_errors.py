"""Turn a failed gRPC call into a HeadstartError, so that nothing above this file knows google.rpc."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from headstart.errors import BY_CODE, HeadstartError, Violation

_CODES = {code.value[0]: code for code in grpc.StatusCode}
TOO_LARGE = "essage larger than max"
"""What gRPC says of a message that is too large, be it sent or received."""


def error_from_call(call: Any) -> HeadstartError:
    """Read status, ErrorInfo, BadRequest and RetryInfo of a failed call (`grpc.RpcError` of either API)."""
    code: grpc.StatusCode = call.code()
    message: str = call.details() or code.name
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in message:
        message += "; send fewer rows at a time, as `predict_stream` does"
    return _error(code, message, _details(call))


def error_from_status(status: status_pb2.Status) -> HeadstartError:
    """Read the status of one request of a stream that goes on."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _error(code, status.message or code.name, status.details)


def _error(code: grpc.StatusCode, message: str, details: Iterable[Any]) -> HeadstartError:
    reason, violations, retry_after = "", [], None
    for detail in details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
            reason = info.reason
        elif detail.Is(error_details_pb2.BadRequest.DESCRIPTOR):
            bad = error_details_pb2.BadRequest()
            detail.Unpack(bad)
            violations += [Violation(found.field, found.description) for found in bad.field_violations]
        elif detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR):
            retry = error_details_pb2.RetryInfo()
            detail.Unpack(retry)
            retry_after = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
    kind = BY_CODE.get(code, HeadstartError)
    return kind(message, code=code, reason=reason, violations=violations, retry_after=retry_after)


def _details(call: Any) -> list[Any]:
    """Return the status's details, none where a proxy or the transport made the error."""
    try:
        status: status_pb2.Status | None = rpc_status.from_call(call)
    except ValueError:  # the trailer contradicts the status: someone on the way rewrote one of them
        return []
    return list(status.details) if status is not None else []
