"""What settings make of credentials: each kind that is asked for, and nothing that is not installed."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from headstart_server import metrics
from headstart_server.auth.authenticator import Credentials
from headstart_server.auth.building import BuiltCredentials, credentials_of
from headstart_server.core.errors import FailedPreconditionError, UnauthenticatedError
from headstart_server.core.executors import Executor
from headstart_server.core.principal import ANONYMOUS
from headstart_server.settings import Settings
from prometheus_client import REGISTRY

from tests.support.issuer import AUDIENCE, TokenIssuer, served_issuer


@pytest.fixture
def threads() -> Iterator[Executor]:
    found = Executor("credential", 2, 100)
    yield found
    found.close()


async def name_of(built: BuiltCredentials, token: str = "") -> str:
    headers = [f"Bearer {token}"] if token else []
    return (await built.authenticator.principal(Credentials(headers))).name


async def test_a_server_without_credentials_takes_everybody_for_anonymous(threads: Executor) -> None:
    built = credentials_of(Settings(), threads)
    assert await name_of(built) == ANONYMOUS.name
    assert list(built.watched) == []


def test_what_has_not_happened_is_measured_all_the_same(threads: Executor) -> None:
    credentials_of(Settings(), threads)
    for kind in metrics.RELOADED:
        assert REGISTRY.get_sample_value("headstart_reload_successful", {"kind": kind}) == 1
    for cause in metrics.CAUSES:
        assert REGISTRY.get_sample_value("headstart_authentication_failures_total", {"cause": cause}) is not None


async def test_a_token_file_and_a_file_of_keys_go_together(threads: Executor, tmp_path: Path) -> None:
    issuer = TokenIssuer()
    (tmp_path / "keys.json").write_text(json.dumps(issuer.key_set))
    (tmp_path / "tokens").write_text(f"ci search read sha256:{hashlib.sha256(b'good').hexdigest()}")
    settings = Settings(
        token_file=tmp_path / "tokens",
        oidc_issuer=issuer.url,
        oidc_audience=AUDIENCE,
        oidc_jwks=str(tmp_path / "keys.json"),
    )
    built = credentials_of(settings, threads)
    built.begin()
    assert [await name_of(built, token) for token in ("good", issuer.token())] == ["ci", "ada"]
    assert [each.kind for each in built.watched] == ["tokens", "keys"]
    with pytest.raises(UnauthenticatedError):
        await name_of(built)


async def test_the_issuer_is_asked_at_the_start_and_not_by_the_first_call(threads: Executor) -> None:
    with served_issuer() as (issuer, asked):
        built = credentials_of(Settings(oidc_issuer=issuer.url, oidc_audience=AUDIENCE), threads)
        assert asked == []
        built.begin()
        async with asyncio.timeout(60):
            while len(asked) < 2:
                await asyncio.sleep(0.001)
        assert await name_of(built, issuer.token()) == "ada"
        assert asked == ["/.well-known/openid-configuration", "/keys"]


def test_what_is_not_installed_is_named(threads: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jwt", None)
    for name in ("jwt_tokens", "key_set"):
        monkeypatch.delitem(sys.modules, f"headstart_server.auth.{name}", raising=False)
    settings = Settings(oidc_issuer="https://issuer.example", oidc_audience=AUDIENCE)
    with pytest.raises(FailedPreconditionError, match=r"jwt.* is missing\): pip install 'headstart\[oidc\]'"):
        credentials_of(settings, threads)
