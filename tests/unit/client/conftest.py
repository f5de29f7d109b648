"""A fake server per test, and clients of it that retry without waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import headstart
import pytest

from tests.support.fake_server import FakeServer

QUICK = headstart.RetryPolicy(initial_delay=0.001, longest_delay=0.01, give_up_after=5, connect_timeout=5)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def client(server: FakeServer) -> Iterator[headstart.Client]:
    with headstart.Client(server.address, retry=QUICK) as connected:
        yield connected


@pytest.fixture
async def async_client(server: FakeServer) -> AsyncIterator[headstart.AsyncClient]:
    async with headstart.AsyncClient(server.address, retry=QUICK) as connected:
        yield connected
