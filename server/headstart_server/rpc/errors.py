"""The one table from domain errors to gRPC statuses, and their `google.rpc` details."""

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from headstart_server.core import errors

DOMAIN = "headstart.dev"
DETAILS_KEY = "grpc-status-details-bin"
_MAX_MESSAGE = 2_000

CODES: dict[type[errors.HeadstartError], grpc.StatusCode] = {
    errors.InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPreconditionError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.OutOfRangeError: grpc.StatusCode.OUT_OF_RANGE,
    errors.OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.TooLargeError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.UnimplementedError: grpc.StatusCode.UNIMPLEMENTED,
    errors.CancelledError: grpc.StatusCode.CANCELLED,
    errors.TrainingFailedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.StoreFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.StorageError: grpc.StatusCode.UNAVAILABLE,
    errors.DataLossError: grpc.StatusCode.DATA_LOSS,
    errors.HeadstartError: grpc.StatusCode.INTERNAL,
}


def status_of(error: errors.HeadstartError) -> tuple[grpc.StatusCode, str, Status]:
    """(code, message, status with details) of a domain error."""
    code = next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)
    message = error.message[:_MAX_MESSAGE]
    info = ErrorInfo(reason=error.reason, domain=DOMAIN)
    if error.field:
        info.metadata["field"] = error.field[:200]
    details: list[Message] = [info]
    if isinstance(error, errors.InvalidInputError):
        violations = [
            BadRequest.FieldViolation(field=item.field[:200], description=item.message[:_MAX_MESSAGE])
            for item in error.violations
        ]
        details.append(BadRequest(field_violations=violations))
    if isinstance(error, errors.OverloadedError):
        nanos = round(error.retry_after * 1e9)
        details.append(RetryInfo(retry_delay=Duration(seconds=nanos // 10**9, nanos=nanos % 10**9)))
    return code, message, Status(code=code.value[0], message=message, details=[_packed(detail) for detail in details])


def _packed(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
