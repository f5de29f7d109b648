"""JSON Web Tokens of an OpenID Connect issuer: who they say calls, once their signature and claims hold."""

from dataclasses import dataclass
from typing import Any

import jwt
from jwt import exceptions

from headstart_server.auth.key_set import ALGORITHMS, KeySource
from headstart_server.auth.token_file import TENANT
from headstart_server.core.errors import UnauthenticatedError
from headstart_server.core.principal import Principal, Scope

LEEWAY_SECONDS = 30
"""By so much the clocks of issuer and server may differ."""
_MOST_CHARACTERS = 16_384
_MOST_NAME = 255
_OPTIONS: Any = {"require": ["exp", "iss", "aud"], "enforce_minimum_key_length": True}
_REFUSALS: dict[type[exceptions.PyJWTError], str] = {
    exceptions.ExpiredSignatureError: "the token is over (exp); get a new one",
    exceptions.ImmatureSignatureError: "the token is not valid yet (nbf, iat); check the clocks",
    exceptions.InvalidAudienceError: "the token is for another audience (aud) than {audience!r}; ask for that one",
    exceptions.InvalidIssuerError: "the token is of another issuer (iss) than {issuer!r}; get one from that",
    exceptions.InvalidAlgorithmError: "the token is signed by an algorithm that is not taken; sign it by its key's own",
}


@dataclass(frozen=True)
class Issuer:
    """Whose tokens are taken, and which of their claims say what."""

    url: str
    audience: str
    tenant_claim: str = "tenant"
    """Empty: all are of the empty tenant."""
    scopes_claim: str = "scope"


class JwtTokens:
    """Tokens of one issuer."""

    def __init__(self, issuer: Issuer, keys: KeySource) -> None:
        self._issuer, self._keys = issuer, keys

    async def principal(self, token: str) -> Principal:
        """Who calls; raises UnauthenticatedError, or KeysUnavailableError. No message holds a part of the token."""
        if len(token) > _MOST_CHARACTERS:
            raise UnauthenticatedError(f"the token has more than {_MOST_CHARACTERS:,} characters")
        key = await self._keys.of(_key_id(token))
        if key is None:
            raise UnauthenticatedError("the token is signed with a key that its issuer does not have; get a new one")
        issuer = self._issuer
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                audience=issuer.audience,
                issuer=issuer.url,
                leeway=LEEWAY_SECONDS,
                options=_OPTIONS,
            )
        except exceptions.MissingRequiredClaimError as error:
            raise UnauthenticatedError(f"the token lacks the claim {error.claim!r}") from None
        except exceptions.PyJWTError as error:
            said = next((text for kind, text in _REFUSALS.items() if isinstance(error, kind)), "")
            message = said.format(audience=issuer.audience, issuer=issuer.url) if said else _UNREADABLE
            raise UnauthenticatedError(message) from None
        return self._of_claims(claims)

    def _of_claims(self, claims: dict[str, Any]) -> Principal:
        issuer = self._issuer
        tenant = claims.get(issuer.tenant_claim) if issuer.tenant_claim else ""
        if not isinstance(tenant, str) or (issuer.tenant_claim and not TENANT.fullmatch(tenant)):
            raise UnauthenticatedError(
                f"the token's claim {issuer.tenant_claim!r} names no tenant: up to 64 letters, digits, '.', '_' and "
                "'-', the first a letter or digit"
            )
        given = claims.get(issuer.scopes_claim, "")
        words = given.split() if isinstance(given, str) else given if isinstance(given, list) else []
        # others are those of other services
        scopes = frozenset(scope for scope in Scope if scope.value in words)
        name = str(claims.get("sub", ""))[:_MOST_NAME]
        # it goes to logs, and may be anything
        return Principal(tenant, scopes, name if name.isprintable() else ascii(name))


_UNREADABLE = "the token's signature is not its issuer's, or it is no JSON Web Token; get a new one"


def _key_id(token: str) -> str:
    """The id of the key that a token says it is signed with; empty for none. Raises UnauthenticatedError."""
    try:
        return str(jwt.get_unverified_header(token).get("kid", ""))
    except exceptions.PyJWTError:
        raise UnauthenticatedError(_UNREADABLE) from None
