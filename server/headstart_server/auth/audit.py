"""The audit log: a line of JSON for every call that changes something or is refused.

It holds names of principals, tenants and resources: no token, path or value.
"""

import json
import logging
import os
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from io import FileIO, TextIOWrapper
from logging.handlers import WatchedFileHandler
from pathlib import Path

import structlog

from headstart_server import metrics
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason

_log = structlog.get_logger()
STANDARD_OUTPUT = "-"


@dataclass(frozen=True)
class AuditEvent:
    """Who did what, to what, and what came of it."""

    transport: str
    """`grpc` or `http`."""
    method: str
    """`headstart.v1.TrainingService/TrainJob`, or the path of what is no RPC."""
    principal: str
    """Empty where it is not known."""
    tenant: str
    peer: str
    """Address of the other end of the connection: of a proxy, where there is one."""
    resource: str
    """Name of what was made or changed; empty where there is none, or where it was not read."""
    outcome: str
    """`done`, `refused` or `failed`."""
    status: str
    """Of gRPC, e.g. `PERMISSION_DENIED`."""
    reason: str
    request_id: str
    """The log's `rpc_id`."""


class AuditLog:
    """Writes events to a file, which may be moved away meanwhile, or to standard output."""

    def __init__(self, handler: logging.Handler | None = None) -> None:
        """Without a handler nothing is written."""
        self._handler = handler

    @classmethod
    def at(cls, place: str) -> "AuditLog":
        """One that writes to a file, or for `-` to standard output; raises FailedPreconditionError."""
        if not place:
            return cls()
        try:
            return cls(_Standard(sys.stdout) if place == STANDARD_OUTPUT else _File(Path(place)))
        except OSError as error:
            raise FailedPreconditionError(
                f"audit_log {place!r} cannot be written: {error.strerror}; name a file in a folder that exists, or '-'",
                reason=Reason.BAD_SETTINGS,
            ) from error

    def write(self, event: AuditEvent) -> None:
        """Writes one; a failure is logged and counted, and the call goes on."""
        if self._handler is None:
            return
        line = json.dumps({"time": datetime.now(UTC).isoformat(), "event": "audit", **asdict(event)})
        record = logging.LogRecord("audit", logging.INFO, "", 0, line, None, None)
        self._handler.handle(record)

    def close(self) -> None:
        """Closes the file."""
        if self._handler is not None:
            self._handler.close()


class _Failing(logging.Handler):
    """Tells of what cannot be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - of logging
        """Called within the `except` of what failed."""
        metrics.AUDIT_FAILURES.inc()
        _log.error("the audit log cannot be written", exc_info=True)


class _File(_Failing, WatchedFileHandler):
    """Opens the file again when somebody has moved it away; a new one is its user's alone."""

    def __init__(self, path: Path) -> None:
        WatchedFileHandler.__init__(self, path, encoding="utf-8")

    def _open(self) -> TextIOWrapper:
        def private(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        # unbuffered: what does not fit on a full disk must not wait in memory for room
        file = FileIO(self.baseFilename, "ab", opener=private)
        return TextIOWrapper(file, encoding="utf-8", write_through=True)


class _Standard(_Failing, logging.StreamHandler):  # type: ignore[type-arg]
    """Standard output."""
