"""Who calls: by which credential, and what is said of those that do not hold."""

from __future__ import annotations

import hashlib

import pytest
from headstart_server.auth.authenticator import Authenticator, Credentials
from headstart_server.auth.token_file import TokenFile
from headstart_server.core.errors import UnauthenticatedError
from headstart_server.core.principal import ANONYMOUS, Principal, Scope

from tests.support.measured import Growth

CI = Principal("search", frozenset({Scope.TRAIN}), "ci")
BATCH = Principal("search", frozenset({Scope.PREDICT}), "batch")
FILE = TokenFile({hashlib.sha256(b"good").digest(): CI}, {"batch.svc": BATCH})
JWT = "aaa.bbb.ccc"


class Verifier:
    """Knows one token of an issuer."""

    async def principal(self, token: str) -> Principal:
        if token == JWT:
            return ANONYMOUS
        raise UnauthenticatedError("the token is over (exp); get a new one")


async def found(
    *headers: str, names: tuple[str, ...] = (), file: TokenFile | None = FILE, verifier: Verifier | None = None
) -> Principal:
    authenticator = Authenticator(None if file is None else lambda: file, verifier)
    return await authenticator.principal(Credentials(headers, names))


@pytest.mark.parametrize("header", ["Bearer good", "bearer good", "BEARER  good "])
async def test_a_token_says_who_calls(header: str) -> None:
    assert await found(header) == CI


async def test_a_certificate_says_who_calls_where_no_token_is_sent() -> None:
    assert await found(names=("batch.svc", "batch")) == BATCH
    assert await found("Bearer good", names=("batch.svc",)) == CI


async def test_an_issuers_token_is_verified_where_there_is_an_issuer() -> None:
    assert await found(f"Bearer {JWT}", verifier=Verifier(), file=None) == ANONYMOUS
    with pytest.raises(UnauthenticatedError, match="is over"):
        await found("Bearer x.y.z", verifier=Verifier())
    with pytest.raises(UnauthenticatedError, match="not known to this server"):
        await found(f"Bearer {JWT}")


@pytest.mark.parametrize(
    ("headers", "names", "cause", "said"),
    [
        ((), (), "missing", "send the header 'authorization: Bearer TOKEN'"),
        (("Bearer bad-secret",), (), "token", "is not known to this server, or no longer"),
        (("Bearer bad-secret",), ("batch.svc",), "token", "is not known"),
        (("bad-secret",), (), "header", "another than 'Bearer TOKEN'"),
        (("Basic bad-secret",), (), "header", "another than 'Bearer TOKEN'"),
        (("Bearer ",), (), "header", "another than"),
        (("Bearer good", "Bearer good"), (), "header", "one of these"),
        (("Bearer bad.secret.x",), (), "token", "is not known"),
        ((), ("evil.svc", "evil"), "certificate", r"\(evil.svc, evil\) are not those of one line"),
    ],
)
async def test_what_does_not_hold_is_refused_counted_and_never_told(
    headers: tuple[str, ...], names: tuple[str, ...], cause: str, said: str
) -> None:
    counted = Growth("headstart_authentication_failures_total", cause=cause)
    with pytest.raises(UnauthenticatedError, match=said) as refused:
        await found(*headers, names=names)
    assert "secret" not in refused.value.message
    assert counted() == 1


async def test_a_server_that_asks_nobody_takes_everybody_for_the_same() -> None:
    for header in ((), ("Bearer whatever",)):
        assert await Authenticator(anonymous=True).principal(Credentials(header)) == ANONYMOUS


async def test_a_server_with_nothing_to_know_anybody_by_lets_nobody_in() -> None:
    with pytest.raises(UnauthenticatedError):
        await Authenticator().principal(Credentials(("Bearer good",), ("batch.svc",)))


async def test_what_the_file_says_now_is_what_counts() -> None:
    current = FILE
    authenticator = Authenticator(lambda: current)
    assert await authenticator.principal(Credentials(("Bearer good",))) == CI
    current = TokenFile()
    with pytest.raises(UnauthenticatedError):
        await authenticator.principal(Credentials(("Bearer good",)))
