"""A store in a file of its own, and supervisors and exports over it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.engines.envelopes import RuntimeSettings
from headstart_server.jobs.store import JobStore
from headstart_server.jobs.supervisor import Supervisor, SupervisorSettings
from headstart_server.storage.storage import Storage

from tests.support.begun_exports import Begin, beginning
from tests.support.fake_workers import FakePool, Script
from tests.support.supervised import Start


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def store(database: Path) -> Iterator[JobStore]:
    opened = JobStore(f"sqlite:///{database}")
    yield opened
    opened.close()


@pytest.fixture
async def start(store: JobStore, tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a supervisor over workers made of scripts."""
    started: list[Supervisor] = []

    async def begin(*scripts: Script, **settings: Any) -> tuple[Supervisor, FakePool]:
        pool: Any = FakePool(*scripts)
        wanted = SupervisorSettings(RuntimeSettings(str(tmp_path)), **{"retry_seconds": 0.01, **settings})
        supervisor = Supervisor(store, pool, Storage(Layout(tmp_path)), wanted, Executors())
        started.append(supervisor)
        await supervisor.start()
        return supervisor, pool

    yield begin
    for supervisor in started:
        await supervisor.close()


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts exports; a second call is the next server over the same database."""
    async with beginning(tmp_path) as start:
        yield start
