"""What is told of an error: readable text or one JSON object, and the exit code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import grpc

from headstart.cli.sinks import EXIT_CODE as SINK_EXIT_CODE
from headstart.errors import HeadstartError, JobCancelled, SinkFailed, Violation, explained

EXIT_CODES: dict[grpc.StatusCode | None, int] = {
    grpc.StatusCode.INVALID_ARGUMENT: 2,
    grpc.StatusCode.OUT_OF_RANGE: 2,
    grpc.StatusCode.NOT_FOUND: 3,
    grpc.StatusCode.FAILED_PRECONDITION: 4,
    grpc.StatusCode.ALREADY_EXISTS: 4,
    grpc.StatusCode.UNAVAILABLE: 5,
    grpc.StatusCode.DEADLINE_EXCEEDED: 5,
    grpc.StatusCode.UNAUTHENTICATED: 8,
    grpc.StatusCode.PERMISSION_DENIED: 8,
}
HINTS: dict[grpc.StatusCode | None, str] = {
    grpc.StatusCode.UNAVAILABLE: "Is a server running? `headstart serve` starts one; --server names another.",
    grpc.StatusCode.UNAUTHENTICATED: "Put a token of the server's operator into HEADSTART_TOKEN.",
    grpc.StatusCode.PERMISSION_DENIED: "Ask the server's operator for a token with this scope.",
}


@dataclass(frozen=True)
class Failure:
    """An error as people and programs read it."""

    message: str
    exit_code: int
    code: str = ""
    reason: str = ""
    violations: tuple[Violation, ...] = ()
    retry_after: float | None = None
    hint: str = ""

    def as_text(self) -> str:
        """Return the message, then each field with what would be right, then what to do."""
        lines = [f"error: {explained(self.message, self.violations)}"]
        if self.retry_after is not None:
            lines.append(f"Try again in {self.retry_after:g} s.")
        return "\n".join([*lines, self.hint] if self.hint else lines)

    def as_json(self) -> str:
        """Return one JSON object."""
        error: dict[str, Any] = {"message": self.message, "code": self.code, "reason": self.reason}
        error["violations"] = [vars(violation) for violation in self.violations]
        error["retry_after"] = self.retry_after
        error["exit_code"] = self.exit_code
        return json.dumps({"error": error})


def failure_of(error: Exception, usage: type[Exception], code: int = 2) -> Failure | None:
    """Return what to tell of an error; None for one that nobody foresaw. `usage` is the parser's own error."""
    if isinstance(error, HeadstartError):
        return _of_headstart(error)
    if isinstance(error, usage):
        show = getattr(error, "format_message", error.__str__)
        return Failure(
            show(), exit_code=code, hint="" if code == 1 else "`headstart COMMAND --help` shows what it takes."
        )
    if isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError | PermissionError):
        return Failure(_os_message(error), exit_code=2)
    if isinstance(error, OSError):
        return Failure(_os_message(error), exit_code=1)
    return None


def _of_headstart(error: HeadstartError) -> Failure:
    of_kind = {JobCancelled: 6, SinkFailed: SINK_EXIT_CODE}
    return Failure(
        message=error.message,
        exit_code=of_kind.get(type(error), EXIT_CODES.get(error.code, 1)),
        code=error.code.name if error.code is not None else "",
        reason=error.reason,
        violations=error.violations,
        retry_after=error.retry_after,
        hint=HINTS.get(error.code, ""),
    )


def _os_message(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
