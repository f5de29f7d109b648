"""The token file: who may call, a credential a line.

A line is `NAME TENANT SCOPES CREDENTIAL`, separated by blanks: `ci search train,read sha256:9f86...`, or
`batch search predict certificate:batch.search.svc`. The tenant `-` is the empty one. Lines that begin with `#` are
comments. A token is 256 random bits, so that its SHA-256 tells nothing of it and is looked up as it is.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.principal import Principal, Scope
from headstart_server.core.reasons import Reason

K = TypeVar("K")
TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
NO_TENANT = "-"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CERTIFICATE = re.compile(r"certificate:(\S{1,255})")
_MOST_BYTES = 16 << 20
_MOST_TOLD = 5
_WORD = 16
"""Characters of a wrong scope that are told: a longer word may be a token in the wrong place."""


@dataclass(frozen=True)
class TokenFile:
    """Who may call, as a token file says it."""

    tokens: Mapping[bytes, Principal] = field(default_factory=dict)
    """By the SHA-256 of the token."""
    certificates: Mapping[str, Principal] = field(default_factory=dict)
    """By a name of the certificate."""

    def of_token(self, token: str) -> Principal | None:
        """Who has this token. Nobody can choose digests that share a prefix, so the look-up's time tells nothing."""
        return self.tokens.get(hashlib.sha256(token.encode()).digest())

    def of_certificate(self, names: Sequence[str]) -> Principal | None:
        """Who has a certificate with these names; nobody where they are those of several principals."""
        found = {self.certificates[name] for name in names if name in self.certificates}
        return found.pop() if len(found) == 1 else None


def read_token_file(path: Path) -> TokenFile:
    """Reads a token file; raises FailedPreconditionError that names each line, its field and the fix."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}; name a file of `headstart token`") from error
    if len(content) > _MOST_BYTES:
        raise _refused(path, f"has {len(content):,} bytes; {_MOST_BYTES:,} are the most")
    try:
        lines = content.decode().splitlines()
    except UnicodeDecodeError as error:
        raise _refused(path, "is no UTF-8 text; name a file of `headstart token`") from error
    return _parsed(path, lines)


def line_of(principal: Principal, digest: str) -> str:
    """A line of the file, for the SHA-256 of a token in hexadecimal digits."""
    scopes = ",".join(scope for scope in Scope if scope in principal.scopes)
    return f"{principal.name} {principal.tenant or NO_TENANT} {scopes} sha256:{digest}"


def parsed_scopes(text: str) -> frozenset[Scope]:
    """Scopes separated by commas; raises ValueError with the fix."""
    known = ", ".join(Scope)
    for word in text.split(","):
        if word not in Scope.__members__.values():
            told = repr(word) if len(word) <= _WORD else "one of the words"
            raise ValueError(f"scopes: {told} is no scope; use {known}, with commas and without blanks")
    return frozenset(map(Scope, text.split(",")))


def parsed_principal(name: str, tenant: str, scopes: str) -> Principal:
    """A principal of the first three fields; raises ValueError with the fix, and never a field: it may be a token."""
    if not NAME.fullmatch(name):
        raise ValueError("name: must be up to 64 letters, digits, '.', '_', '@' and '-', the first a letter or digit")
    if tenant != NO_TENANT and not TENANT.fullmatch(tenant):
        raise ValueError(
            "tenant: must be up to 64 letters, digits, '.', '_' and '-', the first a letter or digit, or '-' for none"
        )
    return Principal("" if tenant == NO_TENANT else tenant, parsed_scopes(scopes), name)


def _parsed(path: Path, lines: Sequence[str]) -> TokenFile:
    tokens: dict[bytes, Principal] = {}
    certificates: dict[str, Principal] = {}
    wrong = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            _add(line.split(), tokens, certificates)
        except ValueError as error:
            wrong.append(f"line {number}: {error}")
    if wrong:
        more = f"; and {len(wrong) - _MOST_TOLD} lines more" if len(wrong) > _MOST_TOLD else ""
        raise _refused(path, "; ".join(wrong[:_MOST_TOLD]) + more)
    return TokenFile(tokens, certificates)


def _add(fields: Sequence[str], tokens: dict[bytes, Principal], certificates: dict[str, Principal]) -> None:
    if len(fields) != 4:
        raise ValueError(f"has {len(fields)} fields; write NAME TENANT SCOPES CREDENTIAL, as `headstart token` does")
    principal = parsed_principal(*fields[:3])
    if digest := _DIGEST.fullmatch(fields[3]):
        _put(tokens, bytes.fromhex(digest[1]), principal)
    elif certificate := _CERTIFICATE.fullmatch(fields[3]):
        _put(certificates, certificate[1], principal)
    else:
        raise ValueError(
            "credential: is neither sha256: with 64 hexadecimal digits in lower case nor certificate: with a name; "
            "`headstart token` makes one"
        )


def _put(known: dict[K, Principal], key: K, principal: Principal) -> None:
    if key in known:
        raise ValueError("credential: is that of another line, too; leave one of them out")
    known[key] = principal


def _refused(path: Path, message: str) -> FailedPreconditionError:
    return FailedPreconditionError(f"token_file {str(path)!r}: {message}", reason=Reason.BAD_CREDENTIALS_FILE)
