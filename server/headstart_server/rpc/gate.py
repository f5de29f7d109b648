"""Who is let in to what: by credentials, then by scopes."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog

from headstart_server.auth.audit import AuditLog
from headstart_server.auth.authenticator import Authenticator, Credentials
from headstart_server.core.principal import Principal, set_caller
from headstart_server.rpc.access import Access

_HEADER = "authorization"
_CERTIFICATE_NAMES = ("x509_subject_alternative_name", "x509_common_name")


@dataclass(frozen=True)
class Gate:
    """What both transports ask before a call goes on."""

    authenticator: Authenticator
    audit: AuditLog = field(default_factory=AuditLog)
    certificates: bool = False
    """Whether connections have certificates of their clients."""

    async def admit(self, access: Access, credentials: Credentials) -> Principal:
        """The caller, whom the rest of this task knows; raises UnauthenticatedError or PermissionDeniedError."""
        caller = await self.authenticator.principal(credentials)
        set_caller(caller)
        structlog.contextvars.bind_contextvars(caller=caller.name, tenant=caller.tenant)
        caller.require(*access.scopes)
        return caller


def headers_of(metadata: Iterable[tuple[str, Any]] | None) -> Credentials:
    """The credentials in a call's metadata."""
    return Credentials([str(value) for key, value in metadata or () if key == _HEADER])


def credentials_of(context: Any) -> Credentials:
    """The credentials of a call of gRPC."""
    found = context.auth_context()
    names = [name.decode(errors="replace") for key in _CERTIFICATE_NAMES for name in found.get(key, ())]
    return Credentials(headers_of(context.invocation_metadata()).authorization, tuple(dict.fromkeys(names)))
