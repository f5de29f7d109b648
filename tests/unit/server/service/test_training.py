"""Creating jobs: what was written for a job that is not made is gone, and a caller who goes takes it along."""

from __future__ import annotations

import asyncio
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from headstart_server.core.errors import InvalidInputError, OverloadedError, invalid
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.core.principal import ANONYMOUS
from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord
from headstart_server.engines.events import StateChange
from headstart_server.jobs.records import JobRecord, LogEntry
from headstart_server.service.admission import DataPath, TrainOrder
from headstart_server.service.training import TrainingService
from headstart_server.spec.model import TrainSpec

from tests.support.fake_workers import job_record
from tests.support.model_names import plain_names

NOBODY: Any = None


class FakeAdmission:
    """Writes an inline table, then checks as asked; `go_on` makes it wait before that."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self._written: list[Path] = []
        self.written, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def files(self, order: TrainOrder, folder: Path) -> list[SourceRecord]:
        folder.mkdir(parents=True)
        self._written.append(folder)
        (folder / "dataset.arrow").write_bytes(b"rows")
        self.written.set()
        return [SourceRecord("dataset", str(folder / "dataset.arrow"), "arrow")]

    def discard(self, identifier: str) -> None:
        for folder in self._written:
            shutil.rmtree(folder, ignore_errors=True)

    def check(self, order: TrainOrder, records: list[SourceRecord], initial: None) -> None:
        assert self.go_on.wait(30)
        if self._error is not None:
            raise self._error

    def plan(self, order: TrainOrder, records: list[SourceRecord], initial: None) -> Any:
        raise self._error or AssertionError


class FakeSupervisor:
    """Takes every job, knows it already, or has no room."""

    def __init__(self, known: JobRecord | None = None, error: Exception | None = None) -> None:
        self._known, self._error = known, error
        self.submitted: list[JobRecord] = []
        self.interrupted = False

    async def submit(self, job: JobRecord) -> tuple[JobRecord, bool]:
        self.submitted.append(job)
        if self._error is not None:
            raise self._error
        return (job, True) if self._known is None else (self._known, False)

    async def watch(self, identifier: str, after: int) -> Any:
        yield LogEntry(1, job_record().create_time, StateChange(State.QUEUED))


def service_of(root: Path, admission: Any, supervisor: Any, known: JobRecord | None = None) -> TrainingService:
    tenants: Any = SimpleNamespace(of=lambda _: SimpleNamespace(admission=admission))
    store: Any = SimpleNamespace(known=lambda *_: known)
    return TrainingService(tenants, supervisor, store, Layout(root), Executors(), plain_names())


def order() -> TrainOrder:
    return TrainOrder("", "digest", "", TrainSpec(), data={"dataset": DataPath("x")})


async def create(service: TrainingService) -> str:
    """The id of the new job."""
    return (await service.create(ANONYMOUS, order)).identifier


def left(root: Path) -> list[str]:
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]


async def test_a_new_job_keeps_its_inline_rows(tmp_path: Path) -> None:
    supervisor = FakeSupervisor()
    name = await create(service_of(tmp_path, FakeAdmission(), supervisor))
    assert name == supervisor.submitted[0].identifier
    assert left(tmp_path) == [f"jobs/{supervisor.submitted[0].identifier}/dataset.arrow"]


@pytest.mark.parametrize(
    ("error", "supervisor"),
    [
        (invalid("spec", "is bad"), FakeSupervisor()),
        (None, FakeSupervisor(error=OverloadedError("full"))),
        (RuntimeError("unforeseen"), FakeSupervisor()),
    ],
    ids=["bad input", "no room", "failure"],
)
async def test_a_refused_job_leaves_no_rows_behind(
    tmp_path: Path, error: Exception | None, supervisor: FakeSupervisor
) -> None:
    with pytest.raises((InvalidInputError, OverloadedError, RuntimeError)):
        await create(service_of(tmp_path, FakeAdmission(error), supervisor))
    assert left(tmp_path) == []


async def test_a_repeated_request_follows_the_first_and_leaves_no_rows_behind(tmp_path: Path) -> None:
    known = job_record()
    name = await create(service_of(tmp_path, FakeAdmission(), FakeSupervisor(known)))
    assert name == known.identifier
    assert left(tmp_path) == []


async def test_a_repeated_request_is_answered_though_its_data_have_gone(tmp_path: Path) -> None:
    known, supervisor = job_record(), FakeSupervisor()
    service = service_of(tmp_path, FakeAdmission(invalid("dataset", "is no file")), supervisor, known)
    assert await create(service) == known.identifier
    assert (left(tmp_path), supervisor.submitted) == ([], [])


async def test_a_caller_who_goes_before_the_job_is_made_leaves_nothing(tmp_path: Path) -> None:
    admission, supervisor = FakeAdmission(), FakeSupervisor()
    admission.go_on.clear()
    caller = asyncio.create_task(create(service_of(tmp_path, admission, supervisor)))
    assert await asyncio.to_thread(admission.written.wait, 30)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    admission.go_on.set()
    async with asyncio.timeout(20):
        while left(tmp_path):
            await asyncio.sleep(0.01)
    assert supervisor.submitted == []


async def test_a_plan_leaves_no_rows_behind(tmp_path: Path) -> None:
    service = service_of(tmp_path, FakeAdmission(invalid("dataset", "is bad")), FakeSupervisor())
    with pytest.raises(InvalidInputError):
        await service.plan(ANONYMOUS, order)
    assert left(tmp_path) == []
