"""Who calls: the principal of what a call brings, by whichever transport it comes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from headstart_server import metrics
from headstart_server.auth.token_file import TokenFile
from headstart_server.core.errors import UnauthenticatedError
from headstart_server.core.principal import ANONYMOUS, Principal

_SCHEME = "bearer"


@dataclass(frozen=True)
class Credentials:
    """What a call brings."""

    authorization: Sequence[str] = ()
    """Each header of this name."""
    certificate: Sequence[str] = ()
    """Names in the certificate of the client, which its connection has proven."""


class Verifier(Protocol):
    """Verifies tokens that say themselves whose they are."""

    async def principal(self, token: str) -> Principal:
        """Who calls; raises UnauthenticatedError, or KeysUnavailableError."""


class Authenticator:
    """Tells principals apart by a token file and an issuer of tokens, or takes everybody for the same one."""

    def __init__(
        self,
        token_file: Callable[[], TokenFile] | None = None,
        jwt_tokens: Verifier | None = None,
        *,
        anonymous: bool = False,
    ) -> None:
        """Takes what the token file says now; `anonymous` asks nobody for anything."""
        self._token_file, self._jwt_tokens, self._anonymous = token_file, jwt_tokens, anonymous

    async def principal(self, credentials: Credentials) -> Principal:
        """Who calls; raises UnauthenticatedError, or KeysUnavailableError.

        A token that is sent has to be right, whatever else the call brings.
        """
        if self._anonymous:
            return ANONYMOUS
        if credentials.authorization:
            return await self._of_header(credentials.authorization)
        if credentials.certificate:
            return self._of_certificate(credentials.certificate)
        raise _refused("missing", "this server asks for a token; send the header 'authorization: Bearer TOKEN'")

    async def _of_header(self, headers: Sequence[str]) -> Principal:
        scheme, _, token = headers[0].strip().partition(" ")
        token = token.strip()
        if len(headers) > 1 or scheme.lower() != _SCHEME or not token:
            raise _refused("header", "the authorization header is another than 'Bearer TOKEN'; send one of these")
        found = self._token_file().of_token(token) if self._token_file is not None else None
        if found is not None:
            return found
        # its three parts are separated by dots, which our own tokens never have
        if self._jwt_tokens is not None and token.count(".") == 2:
            try:
                return await self._jwt_tokens.principal(token)
            except UnauthenticatedError as error:
                raise _refused("jwt", error.message) from None
        raise _refused("token", "the token is not known to this server, or no longer; ask its operator for another")

    def _of_certificate(self, names: Sequence[str]) -> Principal:
        found = self._token_file().of_certificate(names) if self._token_file is not None else None
        if found is None:
            raise _refused(
                "certificate",
                f"the names of the client's certificate ({', '.join(names)[:200]}) are not those of one line of the "
                "server's token file; send a token, or ask the operator for a line",
            )
        return found


def _refused(cause: str, message: str) -> UnauthenticatedError:
    metrics.AUTHENTICATION_FAILURES.labels(cause).inc()
    return UnauthenticatedError(message)
