"""The one table from domain errors to gRPC statuses, and their `google.rpc` details."""

from collections.abc import Iterator, Sequence

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, QuotaFailure, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status

from headstart_server.core import errors
from headstart_server.rpc.error_size import fitted, shortened

DOMAIN = "headstart.dev"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""When clients with a retry policy try again (https://github.com/grpc/proposal/blob/master/A6-client-retries.md)."""
_NEVER = "-1"
Trailers = tuple[tuple[str, str | bytes], ...]
_MAX_FIELD = 240
_MAX_ROW_MESSAGE = 480
"""Bytes of a message, percent-encoded."""

CODES: dict[type[errors.HeadstartError], grpc.StatusCode] = {
    errors.InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.NotExportableError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    errors.KeysUnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.PermissionDeniedError: grpc.StatusCode.PERMISSION_DENIED,
    errors.OutOfRangeError: grpc.StatusCode.OUT_OF_RANGE,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.DeadlineExceededError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.StoppingError: grpc.StatusCode.UNAVAILABLE,
    errors.TooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnavailableError: grpc.StatusCode.UNAVAILABLE,
    errors.CancelledError: grpc.StatusCode.CANCELLED,
    errors.PausedError: grpc.StatusCode.CANCELLED,
    errors.TrainingFailedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.StoreFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StorageError: grpc.StatusCode.UNAVAILABLE,
    errors.DataLossError: grpc.StatusCode.DATA_LOSS,
    errors.HeadstartError: grpc.StatusCode.INTERNAL,
}


def status_of(error: errors.HeadstartError, request_id: str = "") -> tuple[grpc.StatusCode, str, Status]:
    """(code, message, status with details) of a domain error; message and status fit into a call's trailers."""
    code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)

    def build(message: str, violations: Sequence[errors.Violation]) -> Status:
        details = [_packed(detail) for detail in _details(error, violations, request_id)]
        # a grpc.StatusCode is a pair: its number, and what it is called
        return Status(code=code.value[0], message=message, details=details)

    message, status = fitted(error, build)
    return code, message, status


def row_status(error: errors.InvalidInputError) -> Status:
    """Why one row of many is left out: code, message and reason, and nothing twice, for there may be thousands."""
    code = grpc.StatusCode.INVALID_ARGUMENT.value[0]
    info = _packed(ErrorInfo(reason=error.reason, domain=DOMAIN))
    return Status(code=code, message=shortened(str(error.listed[0]), _MAX_ROW_MESSAGE), details=[info])


def trailers_of(error: errors.HeadstartError, code: grpc.StatusCode, status: Status) -> Trailers:
    """What the trailers of a failed call carry beside its code and message."""
    details: Trailers = ((DETAILS_KEY, status.SerializeToString()),)
    if error.retry_after is not None:
        return (*details, (PUSHBACK_KEY, str(round(error.retry_after * 1e3))))
    # a policy goes by the code alone, which what is too large shares with what comes at a bad time
    return (*details, (PUSHBACK_KEY, _NEVER)) if code is grpc.StatusCode.RESOURCE_EXHAUSTED else details


def _details(
    error: errors.HeadstartError, violations: Sequence[errors.Violation], request_id: str
) -> Iterator[Message]:
    info = ErrorInfo(reason=error.reason, domain=DOMAIN)
    if error.field:
        info.metadata["field"] = shortened(error.field, _MAX_FIELD)
    yield info
    if request_id:
        yield RequestInfo(request_id=request_id)
    if violations:
        yield BadRequest(
            field_violations=[
                BadRequest.FieldViolation(field=item.field, description=item.message) for item in violations
            ]
        )
    if isinstance(error, errors.QuotaError):
        yield QuotaFailure(violations=[QuotaFailure.Violation(subject=error.tenant, description=error.quota)])
    if error.retry_after is not None:
        nanos = round(error.retry_after * 1e9)
        yield RetryInfo(retry_delay=Duration(seconds=nanos // 10**9, nanos=nanos % 10**9))


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
