"""What the audit log says of one call, by whichever transport it comes."""

import re
from typing import Any

import grpc
from google.protobuf.message import Message

from headstart_server.auth.audit import AuditEvent, AuditLog
from headstart_server.core.principal import known_caller
from headstart_server.rpc.access import Access

_NAME = re.compile(r"[a-zA-Z]{1,32}/[a-z0-9:]{1,16}[a-z0-9.@-]{0,128}")
"""Of a resource or an alias; what else a caller sends in the place of one is nobody's to log."""
_FIELDS = ("name", "job", "export_job", "model")
_MESSAGES = ("event", "train_job", "export_job", "model", "artifact")
"""That requests and answers hold a resource in."""
_REFUSED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def resource_of(message: Any) -> str:
    """The resource that a request or an answer names; empty for none."""
    for field in _FIELDS:
        found = getattr(message, field, "")
        if isinstance(found, str) and _NAME.fullmatch(found):
            return found
    held = (getattr(message, field, None) for field in _MESSAGES)
    return next(filter(None, (resource_of(item) for item in held if isinstance(item, Message))), "")


class AuditedCall:
    """One call: written when what it makes has its name, or when it ends."""

    def __init__(self, log: AuditLog, transport: str, method: str, access: Access | None, peer: str) -> None:
        self._log, self._transport, self._method, self._peer = log, transport, method, peer
        self._changes = access is not None and access.changes
        self._resource, self._written = "", False

    def asked(self, request: Any) -> None:
        """The request has been read."""
        self._resource = resource_of(request)

    def answered(self, answer: Any, request_id: str) -> None:
        """Of a stream, one of its answers: a job that is followed for hours was made at the first."""
        # asked first: streams of events have thousands of answers, which nothing is written of
        if self._changes and not self._written and (found := resource_of(answer)):
            self._resource = found
            self._write("done", grpc.StatusCode.OK, "", request_id)

    def end(self, code: grpc.StatusCode, reason: str, request_id: str) -> None:
        """The call is over."""
        refused = code in _REFUSED
        if (self._changes or refused) and not self._written:
            outcome = "done" if code is grpc.StatusCode.OK else "refused" if refused else "failed"
            self._write(outcome, code, reason, request_id)

    def _write(self, outcome: str, code: grpc.StatusCode, reason: str, request_id: str) -> None:
        self._written = True
        caller = known_caller()
        self._log.write(
            AuditEvent(
                transport=self._transport,
                method=self._method,
                principal=caller.name if caller is not None else "",
                tenant=caller.tenant if caller is not None else "",
                peer=self._peer,
                resource=self._resource,
                outcome=outcome,
                status=code.name,
                reason=reason,
                request_id=request_id,
            )
        )
