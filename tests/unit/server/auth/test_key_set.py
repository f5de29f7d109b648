"""Keys of an issuer: where they are found, when they are fetched again, and what happens while they cannot be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from http.client import BadStatusLine
from types import SimpleNamespace
from typing import Any

import pytest
from headstart_server.auth import fetching
from headstart_server.auth.fetching import FetchError, fetched_json, is_allowed
from headstart_server.auth.key_set import FRESH_SECONDS, PAUSE_SECONDS, IssuedKeys, Keys, keys_in, keys_of_issuer
from headstart_server.core.errors import KeysUnavailableError
from headstart_server.core.executors import Executor

from tests.support.issuer import TokenIssuer, served_issuer

Served = tuple[TokenIssuer, list[str]]


@pytest.fixture
def served() -> Iterator[Served]:
    with served_issuer() as found:
        yield found


@pytest.fixture
def threads() -> Iterator[Executor]:
    found = Executor("credential", 2, 100)
    yield found
    found.close()


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_the_discovery_document_says_where_the_keys_are(served: Served) -> None:
    issuer, asked = served
    assert set(keys_of_issuer(issuer.url)) == {"first"}
    assert asked == ["/.well-known/openid-configuration", "/keys"]


def test_a_url_of_the_keys_needs_no_discovery(served: Served) -> None:
    issuer, asked = served
    assert set(keys_of_issuer(issuer.url, f"{issuer.url}/keys")) == {"first"}
    assert asked == ["/keys"]


@pytest.mark.parametrize(
    ("path", "said"),
    [("/nothing", "404"), ("/elsewhere", "302"), ("/.well-known/openid-configuration", "no public key")],
)
def test_what_is_no_key_set_is_told(path: str, said: str, served: Served) -> None:
    issuer, asked = served
    with pytest.raises(FetchError, match=said):
        keys_of_issuer(issuer.url, issuer.url + path)
    assert asked == [path]


def test_a_discovery_document_of_another_issuer_is_not_believed(served: Served) -> None:
    issuer, _ = served
    with pytest.raises(FetchError, match="of another issuer; mind a slash"):
        keys_of_issuer(f"{issuer.url}/")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://issuer.example/keys", True),
        ("http://127.0.0.1:1/keys", True),
        ("http://localhost/keys", True),
        ("http://issuer.example/keys", False),
        ("http://localhost.issuer.example/keys", False),
        ("file:///etc/passwd", False),
        ("ftp://issuer.example/keys", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_keys_come_by_https_or_from_this_machine(url: str, allowed: bool) -> None:
    assert is_allowed(url) == allowed
    if not allowed:
        with pytest.raises(FetchError, match="is no https:// address"):
            fetched_json(url)


def test_an_answer_without_end_is_cut(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer, _ = served
    monkeypatch.setattr(fetching, "_MOST_BYTES", 20)
    with pytest.raises(FetchError, match="at most 20 bytes"):
        fetched_json(f"{issuer.url}/keys")


async def test_an_unknown_key_has_them_fetched_again_at_a_bounded_rate(threads: Executor) -> None:
    issuer, clock, fetches = TokenIssuer(), Clock(), 0

    def fetch() -> Keys:
        nonlocal fetches
        fetches += 1
        return keys_in(issuer.key_set)

    keys = IssuedKeys(fetch, threads, clock)
    assert [await keys.of("first") is not None for _ in range(5)] == [True] * 5
    issuer.rotate("second")
    assert [await keys.of("second") for _ in range(50)] == [None] * 50
    assert fetches == 1
    clock.now += PAUSE_SECONDS
    assert await keys.of("second") is not None
    assert await keys.of("first") is None
    clock.now += PAUSE_SECONDS
    found = await asyncio.gather(*(keys.of(f"made up {number}") for number in range(100)))
    assert (set(found), fetches) == ({None}, 3)


async def test_keys_that_are_old_are_fetched_again_while_they_are_used(threads: Executor) -> None:
    issuer, clock, going = TokenIssuer(), Clock(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def fetch() -> Keys:
        loop.call_soon_threadsafe(going.set)
        return keys_in(issuer.key_set)

    keys = IssuedKeys(fetch, threads, clock)
    before = await keys.of("first")
    going.clear()
    clock.now += FRESH_SECONDS + 1
    assert await keys.of("first") is before
    await asyncio.wait_for(going.wait(), 60)
    await until(lambda: keys._fetching is None)
    assert await keys.of("first") is not before


async def test_keys_that_were_had_stay_while_the_issuer_is_away(threads: Executor) -> None:
    issuer, clock = TokenIssuer(), Clock()
    answers: list[Any] = [FetchError("away"), issuer.key_set, FetchError("away")]

    def fetch() -> Keys:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return keys_in(answer)

    keys = IssuedKeys(fetch, threads, clock)
    with pytest.raises(KeysUnavailableError, match="try again"):
        await keys.of("first")
    clock.now += PAUSE_SECONDS
    assert await keys.of("first") is not None
    clock.now += FRESH_SECONDS + 1
    assert await keys.of("first") is not None
    await until(lambda: not answers and keys._fetching is None)
    assert await keys.of("first") is not None


async def until(true: Callable[[], bool]) -> None:
    """Waits, in turns of the event loop, for what must come."""
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.001)


def test_an_issuer_that_speaks_no_http_is_one_that_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def garbled(*_: object, **__: object) -> None:
        raise BadStatusLine("HELO")

    monkeypatch.setattr("headstart_server.auth.fetching._OPENER", SimpleNamespace(open=garbled))
    with pytest.raises(FetchError, match="http://localhost:1/keys: HELO"):
        fetched_json("http://localhost:1/keys")
