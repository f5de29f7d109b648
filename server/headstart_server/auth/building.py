"""What the settings make of credentials: who is told apart how, what is read again, and where it is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from headstart_server.auth.audit import AuditLog
from headstart_server.auth.authenticator import Authenticator, Verifier
from headstart_server.auth.token_file import TokenFile, read_token_file
from headstart_server.auth.watched_files import WatchedFiles
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.executors import Executor
from headstart_server.settings import Settings


@dataclass(frozen=True)
class BuiltCredentials:
    """Of one server."""

    authenticator: Authenticator
    audit: AuditLog
    watched: Sequence[WatchedFiles[Any]]
    """Files that may change while it runs."""


def credentials_of(settings: Settings, threads: Executor) -> BuiltCredentials:
    """Reads what the settings name; raises FailedPreconditionError for a file that cannot be used."""
    watched: list[WatchedFiles[Any]] = []
    tokens: WatchedFiles[TokenFile] | None = None
    if settings.token_file is not None:
        tokens = WatchedFiles("tokens", [settings.token_file], partial(read_token_file, settings.token_file))
        watched.append(tokens)
    authenticator = Authenticator(
        None if tokens is None else lambda: tokens.value,
        _verifier(settings, threads, watched) if settings.oidc_issuer else None,
        anonymous=not settings.asks_for_credentials,
    )
    return BuiltCredentials(authenticator, AuditLog.at(settings.audit_log), watched)


def _verifier(settings: Settings, threads: Executor, watched: list[WatchedFiles[Any]]) -> Verifier:
    try:
        from headstart_server.auth.jwt_tokens import Issuer, JwtTokens
        from headstart_server.auth.key_set import FileKeys, IssuedKeys, KeySource, keys_of_issuer, read_keys
    except ModuleNotFoundError as error:
        raise FailedPreconditionError(
            f"oidc_issuer needs PyJWT ({error.name} is missing): pip install 'headstart[oidc]'"
        ) from error
    issuer = Issuer(
        settings.oidc_issuer, settings.oidc_audience, settings.oidc_tenant_claim, settings.oidc_scopes_claim
    )
    keys: KeySource
    if settings.oidc_jwks and "://" not in settings.oidc_jwks:
        path = Path(settings.oidc_jwks)
        files = WatchedFiles("keys", [path], partial(read_keys, path))
        watched.append(files)
        keys = FileKeys(lambda: files.value)
    else:
        keys = IssuedKeys(partial(keys_of_issuer, issuer.url, settings.oidc_jwks), threads)
    return JwtTokens(issuer, keys)
