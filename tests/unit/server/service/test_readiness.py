"""Readiness: by service, told when it changes, and never longer in the asking than its patience."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from headstart_server.core.errors import StorageError, UnavailableError
from headstart_server.core.executors import Executor
from headstart_server.core.layout import Layout
from headstart_server.rpc.server import SERVICE_NAMES
from headstart_server.service.readiness import NEEDS, Readiness, Ready
from headstart_server.storage.storage import Storage


class Parts:
    """What readiness asks, each as well as a test wants it to be."""

    def __init__(self, root: Path) -> None:
        self.database: Exception | None = None
        self.supervisor: Any = SimpleNamespace(silent_seconds=0.0)
        self.storage = Storage(Layout(root))
        self.told: list[Ready] = []
        self.asked = 0
        self.hangs = threading.Event()
        self.hangs.set()

    def ping(self) -> None:
        self.asked += 1
        self.hangs.wait()
        if self.database is not None:
            raise self.database

    async def report(self, ready: Ready) -> None:
        self.told.append(ready)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path)


@pytest.fixture
def threads() -> Iterator[Executor]:
    executor = Executor("file", 2, 10)
    yield executor
    executor.close()


def readiness_of(parts: Parts, threads: Executor, patience: float = 30.0) -> Readiness:
    made: Any = Readiness
    jobs = SimpleNamespace(ping=parts.ping)
    found: Readiness = made(jobs, parts.supervisor, parts.storage, threads, parts.report, patience=patience)
    return found


@pytest.fixture
def readiness(parts: Parts, threads: Executor) -> Readiness:
    return readiness_of(parts, threads)


async def test_a_server_that_lacks_nothing_is_ready_and_says_so_once(parts: Parts, readiness: Readiness) -> None:
    assert await readiness.look()
    assert await readiness.look()
    assert [bool(ready) for ready in parts.told] == [True]
    assert not list(parts.storage.layout.root.iterdir())


async def test_what_does_not_work_takes_down_the_services_that_need_it(parts: Parts, readiness: Readiness) -> None:
    await readiness.look()
    parts.database = UnavailableError("the job database does not answer")
    ready = await readiness.look()
    assert {name for name in NEEDS if not ready.of(name)} == {
        "TrainingService",
        "DatasetService",
        "ExportService",
        "ModelService",
    }
    assert ready.missing == ["database: the job database does not answer"]
    parts.database = None
    assert await readiness.look()
    assert [bool(ready) for ready in parts.told] == [True, False, True]


async def test_a_queue_without_heartbeats_and_a_storage_that_cannot_be_written(
    parts: Parts, readiness: Readiness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise StorageError("the bucket does not answer")

    monkeypatch.setattr(parts.storage, "mark", refuse)
    parts.supervisor.silent_seconds = 90.0
    ready = await readiness.look()
    assert ready.missing == [
        "storage: the bucket does not answer",
        "queue: the job database has not answered a heartbeat for 90 seconds",
    ]
    usable = {"PredictionService", "ServerService", "GRPCInferenceService"}
    assert {name for name in NEEDS if ready.of(name)} == usable


async def test_a_bucket_is_written_to_now_and_then_and_looked_at_in_between(
    parts: Parts, threads: Executor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that keeps versions would keep each of the marks."""
    parts.storage = Storage(Layout(tmp_path / "state"), f"memory://{tmp_path.name}")
    parts.storage.layout.root.mkdir()
    written = list[str]()
    object_store: Any = parts.storage.object_store
    write = object_store.write

    def noted(name: str, data: bytes) -> None:
        written.append(name)
        write(name, data)

    monkeypatch.setattr(object_store, "write", noted)
    readiness = readiness_of(parts, threads)
    for _ in range(5):
        assert await readiness.look()
    assert len(written) == 1

    def refuse(name: str) -> None:
        raise StorageError("the bucket does not answer")

    with monkeypatch.context() as broken:
        broken.setattr(object_store, "about", refuse)
        assert (await readiness.look()).missing == ["storage: the bucket does not answer"]
    assert await readiness.look()
    assert len(written) == 2  # once it is back, it is told that it can be written to, too


async def test_a_folder_that_machines_share_is_written_to_each_time(
    parts: Parts, threads: Executor, tmp_path: Path
) -> None:
    parts.storage = Storage(Layout(tmp_path / "state"), str(tmp_path / "shared"))
    parts.storage.layout.root.mkdir()
    readiness, mark = readiness_of(parts, threads), tmp_path / "shared" / "headstart.json"
    for _ in range(2):
        assert await readiness.look()
        assert mark.exists()
        mark.unlink()


async def test_an_error_that_nobody_foresaw_is_what_does_not_work(parts: Parts, readiness: Readiness) -> None:
    parts.database = ZeroDivisionError("division by zero")
    assert (await readiness.look()).missing == ["database: division by zero"]
    parts.database = None
    assert await readiness.look()


async def test_a_database_that_hangs_is_asked_once(parts: Parts, threads: Executor) -> None:
    readiness = readiness_of(parts, threads, patience=0.05)
    parts.hangs.clear()
    for _ in range(4):
        assert "database: no answer within 0.05 seconds" in (await readiness.look()).missing
    assert parts.asked == 1
    parts.hangs.set()


def test_every_service_says_what_it_needs() -> None:
    assert set(NEEDS) == set(SERVICE_NAMES)
