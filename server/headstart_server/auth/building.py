"""What the settings make of credentials: who is told apart how, what is read again, and where it is written down."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart_server import metrics
from headstart_server.auth.audit import AuditLog
from headstart_server.auth.authenticator import Authenticator, Verifier
from headstart_server.auth.token_file import TokenFile, read_token_file
from headstart_server.auth.watched_files import WatchedFiles
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.executors import Executor
from headstart_server.core.reasons import Reason
from headstart_server.settings import Settings

if TYPE_CHECKING:  # PyJWT is an extra
    from headstart_server.auth.key_set import IssuedKeys


@dataclass(frozen=True)
class BuiltCredentials:
    """Of one server."""

    authenticator: Authenticator
    audit: AuditLog
    watched: Sequence[WatchedFiles[Any]]
    """Files that may change while it runs."""
    issued: "IssuedKeys | None"
    """Keys that an issuer has yet to be asked for."""

    def begin(self) -> None:
        """Asks the issuer, on the event loop: what is wrong with it is logged now, and not at the first call."""
        if self.issued is not None:
            self.issued.begin()


def credentials_of(settings: Settings, threads: Executor) -> BuiltCredentials:
    """Reads what the settings name; raises FailedPreconditionError for a file that cannot be used."""
    for kind in metrics.RELOADED:
        metrics.RELOAD_SUCCESSFUL.labels(kind).set(1)
    for cause in metrics.CAUSES:
        metrics.AUTHENTICATION_FAILURES.labels(cause)  # from 0 on, so that the first is an increase
    watched: list[WatchedFiles[Any]] = []
    tokens: WatchedFiles[TokenFile] | None = None
    if settings.token_file is not None:
        tokens = WatchedFiles("tokens", [settings.token_file], partial(read_token_file, settings.token_file))
        watched.append(tokens)
    issuer = _issuer(settings, threads) if settings.oidc_issuer else None
    if issuer is not None:
        watched += issuer.watched
    authenticator = Authenticator(
        None if tokens is None else lambda: tokens.value,
        None if issuer is None else issuer.verifier,
        anonymous=not settings.asks_for_credentials,
    )
    audit = AuditLog.at(settings.audit_log)
    return BuiltCredentials(authenticator, audit, watched, None if issuer is None else issuer.issued)


@dataclass(frozen=True)
class _BuiltIssuer:
    """What verifies tokens of an issuer, with its keys from a file or from itself."""

    verifier: Verifier
    watched: Sequence[WatchedFiles[Any]] = ()
    issued: "IssuedKeys | None" = None


def _issuer(settings: Settings, threads: Executor) -> _BuiltIssuer:
    try:
        from headstart_server.auth.jwt_tokens import Issuer, JwtTokens
        from headstart_server.auth.key_set import FileKeys, IssuedKeys, keys_of_issuer, read_keys
    except ModuleNotFoundError as error:
        raise FailedPreconditionError(
            f"oidc_issuer needs PyJWT ({error.name} is missing): pip install 'headstart[oidc]'",
            reason=Reason.BAD_SETTINGS,
        ) from error
    issuer = Issuer(
        settings.oidc_issuer, settings.oidc_audience, settings.oidc_tenant_claim, settings.oidc_scopes_claim
    )
    if settings.oidc_jwks and "://" not in settings.oidc_jwks:
        path = Path(settings.oidc_jwks)
        files = WatchedFiles("keys", [path], partial(read_keys, path))
        return _BuiltIssuer(JwtTokens(issuer, FileKeys(lambda: files.value)), [files])
    keys = IssuedKeys(partial(keys_of_issuer, issuer.url, settings.oidc_jwks), threads)
    return _BuiltIssuer(JwtTokens(issuer, keys), issued=keys)
