"""What can go wrong, as exceptions by gRPC status, so that callers catch by meaning and read the fix."""

# ruff: noqa: N818  (named as the statuses are)

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from headstart.v1.training_pb2 import TrainJob

AND_MORE = re.compile(r"; and \d+ more$")
"""How a message ends that tells only the first of several violations."""


@dataclass(frozen=True)
class Violation:
    """One field that the server refused, so that a program can point at it."""

    field: str
    description: str

    def __str__(self) -> str:
        """Return both in a line."""
        return f"{self.field}: {self.description}" if self.field else self.description


def explained(message: str, violations: Sequence[Violation]) -> str:
    """Return a message with one line per violation; what the message says already is said once."""
    lines = [str(violation) for violation in violations]
    plain = AND_MORE.sub("", message)
    if lines and "; ".join(lines).startswith(plain):  # the server's message is nothing but its violations
        return lines[0] if len(lines) == 1 else "\n  ".join([f"{len(lines)} things are wrong:", *lines])
    return "\n  ".join([message, *lines])


class HeadstartError(Exception):
    """Any failure of a call to the server.

    Attributes:
        message: what happened, in a sentence.
        code: the gRPC status, None where no call was involved.
        reason: stable upper-case reason (`google.rpc.ErrorInfo`), empty where the server sent none.
        violations: fields that were refused, with what would be right.
        retry_after: seconds after which the server asks to try again, None where it does not say.
    """

    default_code: grpc.StatusCode | None = None

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.reason = reason
        self.violations = tuple(violations)
        self.retry_after = retry_after

    def __str__(self) -> str:
        """Return the message with one line per violation."""
        return explained(self.message, self.violations)


class InvalidArgument(HeadstartError, ValueError):
    """The request cannot be right; raised by the client too, before anything is sent."""

    default_code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(HeadstartError, LookupError):
    """There is no such resource."""

    default_code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(HeadstartError):
    """The request id was used with another body."""

    default_code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(HeadstartError):
    """The resource is in a state that does not allow this."""

    default_code = grpc.StatusCode.FAILED_PRECONDITION


class ResourceExhausted(HeadstartError):
    """A limit was reached; `retry_after` says when to try again, where that helps."""

    default_code = grpc.StatusCode.RESOURCE_EXHAUSTED


class OutOfRange(HeadstartError):
    """An offset past the end."""

    default_code = grpc.StatusCode.OUT_OF_RANGE


class Unauthenticated(HeadstartError):
    """The server wants a valid token."""

    default_code = grpc.StatusCode.UNAUTHENTICATED


class PermissionDenied(HeadstartError):
    """The token does not allow this."""

    default_code = grpc.StatusCode.PERMISSION_DENIED


class Unimplemented(HeadstartError):
    """The server has no such feature in this release."""

    default_code = grpc.StatusCode.UNIMPLEMENTED


class Unavailable(HeadstartError):
    """The server cannot be reached or is shutting down."""

    default_code = grpc.StatusCode.UNAVAILABLE


class Aborted(HeadstartError):
    """The call lost against another one; try again."""

    default_code = grpc.StatusCode.ABORTED


class DeadlineExceeded(HeadstartError):
    """No answer within the client's `timeout`."""

    default_code = grpc.StatusCode.DEADLINE_EXCEEDED


class CallCancelled(HeadstartError):
    """The call was cancelled on the way (the job, if any, goes on)."""

    default_code = grpc.StatusCode.CANCELLED


class DataLoss(HeadstartError):
    """Bytes arrived that are not those that were promised."""

    default_code = grpc.StatusCode.DATA_LOSS


class Internal(HeadstartError):
    """The server failed in a way that it did not foresee."""

    default_code = grpc.StatusCode.INTERNAL


class JobFailed(HeadstartError):
    """The job ended FAILED; `job` is its last state, `reason` and `field` are its error's."""

    def __init__(self, job: TrainJob) -> None:
        super().__init__(f"{job.name} failed: {job.error.message}", reason=job.error.reason)
        self.job = job
        self.field = job.error.field


class JobCancelled(HeadstartError):
    """The job ended CANCELLED; `job` is its last state."""

    def __init__(self, job: TrainJob) -> None:
        super().__init__(f"{job.name} was cancelled", reason="JOB_CANCELLED")
        self.job = job


class SinkFailed(HeadstartError):
    """A sink (TensorBoard, MLflow, W&B) could not be written to; the job, if it was started, goes on."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="SINK_FAILED")


class ServerMissing(HeadstartError):
    """A command needs the server package, which is not installed here."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="SERVER_NOT_INSTALLED")


BY_CODE: dict[grpc.StatusCode, type[HeadstartError]] = {
    kind.default_code: kind
    for kind in (
        InvalidArgument,
        NotFound,
        AlreadyExists,
        FailedPrecondition,
        ResourceExhausted,
        OutOfRange,
        Unauthenticated,
        PermissionDenied,
        Unimplemented,
        Unavailable,
        Aborted,
        DeadlineExceeded,
        CallCancelled,
        DataLoss,
        Internal,
    )
    if kind.default_code is not None
}
