"""Gates of servers that tests make: open, or asking for tokens that tests know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from headstart_server.auth.audit import AuditLog
from headstart_server.auth.authenticator import Authenticator
from headstart_server.auth.token_file import TokenFile
from headstart_server.core.principal import Principal, Scope
from headstart_server.rpc.gate import Gate


def open_gate() -> Gate:
    """Lets everybody do everything."""
    return Gate(Authenticator(anonymous=True))


def token_gate(tokens: dict[str, Principal], audit: AuditLog | None = None) -> Gate:
    """Lets in whoever has one of these tokens."""
    found = TokenFile({hashlib.sha256(token.encode()).digest(): principal for token, principal in tokens.items()})
    return Gate(Authenticator(lambda: found), audit or AuditLog())


def principal(*scopes: Scope, name: str = "somebody", tenant: str = "search") -> Principal:
    """One with these scopes."""
    return Principal(tenant, frozenset(scopes), name)


def without(scopes: Iterable[Scope], name: str = "somebody") -> Principal:
    """One with all scopes but these."""
    return principal(*(set(Scope) - set(scopes)), name=name)
