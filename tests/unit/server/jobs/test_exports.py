"""Export jobs in processes: real ones, each a few lines of Python in place of `jobs.export_worker`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.errors import (
    DataLossError,
    FailedPreconditionError,
    HeadstartError,
    NotFoundError,
    OverloadedError,
)
from headstart_server.core.executors import Executors
from headstart_server.engines.envelopes import RuntimeSettings
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.jobs.export_process import ExportProcesses
from headstart_server.jobs.export_records import ExportOrder, ExportRecord, ExportState, error_of
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.export_worker import error_message
from headstart_server.jobs.exports import Exports
from headstart_server.jobs.process import ProcessSettings, WorkerPool
from headstart_server.jobs.store import JobStore
from headstart_server.storage.folders import SharedFolders

from tests.support.measured import Growth

_START = """
import json, os, signal, sys, time
def say(**message):
    print(json.dumps(message), flush=True)
say(ready=True)
for line in sys.stdin:
    job = json.loads(line)["run"]
    folder = os.path.join(job["runtime"]["state_dir"], "." + job["identifier"] + ".0.tmp")
    os.makedirs(folder)
    say(event="stage", data={"stage": "load", "message": str(os.getpid())})
"""
_EXPORTS = """
    os.rmdir(folder)
    say(done={"artifact": dict(identifier=job["identifier"], model=job["model"], format=job["format"],
        head_only=job["head_only"], create_time="", files=[], max_difference=0.0)})
"""
_DIES = "\n    os.kill(os.getpid(), signal.SIGKILL)\n"
_HANGS = "\n    time.sleep(600)\n"
_PUBLISHES = """
    os.rmdir(folder)
    root, artifact = job["runtime"]["state_dir"], dict(identifier=job["identifier"], model=job["model"],
        format=job["format"], head_only=job["head_only"], create_time="", files=[], max_difference=0.0)
    os.makedirs(os.path.join(root, job["identifier"]))
    with open(os.path.join(root, job["identifier"], ".artifact.json"), "w") as file:
        json.dump(artifact, file)
    say(done={"artifact": artifact})
"""
_REFUSES = """
    os.rmdir(folder)
    say(done={"error": dict(kind="FailedPreconditionError", reason="NOT_EXPORTABLE", message="no", field="")})
"""
DEATHS = "headstart_worker_deaths_total"
ORDER, OTHER, THIRD = (ExportOrder(name, "onnx", False) for name in ("m", "other", "third"))
Begin = Callable[..., Any]


class Begun:
    """Exports by such a process, over a store of their own."""

    def __init__(self, root: Path, store: ExportStore, end: str, idle_seconds: float = 60.0, **changes: Any) -> None:
        command = (sys.executable, "-I", "-c", _START + end)
        pool = WorkerPool(0, process=ProcessSettings(command=command))
        self.root, self.store, self.asked = root, store, list[str]()
        executors = Executors()
        processes = ExportProcesses(
            self.artifacts_of, RuntimeSettings(str(root)), executors.files, pool, idle_seconds=idle_seconds
        )
        self.exports = Exports(store, processes, executors, **{"look_seconds": 0.05, **changes})

    def artifacts_of(self, tenant: str) -> ArtifactRegistry:
        self.asked.append(tenant)
        return ArtifactRegistry(SharedFolders(self.root / tenant))

    async def create(self, order: ExportOrder = ORDER, tenant: str = "") -> str:
        """The id of a new export."""
        return (await self.exports.create(tenant, order)).identifier

    async def followed(self, identifier: str) -> list[ExportRecord]:
        """All that its watchers are told."""
        return [job async for job in self.exports.watch(identifier)]

    async def until(self, identifier: str, stage: str) -> ExportRecord:
        """The export once it is at a stage."""
        async for job in self.exports.watch(identifier):
            if job.stage.stage == stage:
                return job
        raise AssertionError(f"it never came to {stage}")

    @property
    def left(self) -> list[str]:
        """Of what was half written."""
        return [path.name for path in self.root.glob("*.tmp")]


@pytest.fixture
async def begin(tmp_path: Path) -> AsyncIterator[Begin]:
    """Starts exports; a second call is the next server over the same database."""
    begun: list[Begun] = []
    jobs = JobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")

    async def start(end: str, owner: str = "one", **changes: Any) -> Begun:
        (tmp_path / "state").mkdir(exist_ok=True)
        begun.append(Begun(tmp_path / "state", ExportStore(jobs.database, owner), end, **changes))
        await begun[-1].exports.start()
        return begun[-1]

    yield start
    for each in begun:
        await each.exports.close()
    jobs.close()


async def gone(pid: int) -> None:
    """Returns when a process has ended."""
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)


def process_of(job: ExportRecord) -> int:
    """The process that makes an export."""
    return int(job.stage.message)


async def test_watchers_see_the_job_wait_run_and_end(begin: Begin) -> None:
    here = await begin(_PUBLISHES)
    told = await here.followed(await here.create())
    assert told[-1].state is ExportState.SUCCEEDED
    assert told[-1].artifact and told[-1].end_time is not None and told[-1].start_time is not None
    states = [job.state for job in told]
    assert states == sorted(states, key=[*ExportState].index)
    assert told == [job for number, job in enumerate(told) if job not in told[:number]], "each change once"


async def test_a_process_that_exported_well_is_used_again(begin: Begin) -> None:
    here = await begin(_EXPORTS)
    stages = []
    for order in (ORDER, OTHER):
        stages += [
            job.stage.message for job in await here.followed(await here.create(order)) if job.stage.stage == "load"
        ]
        assert len(here.exports.worker_pids) == 1
    assert len(set(stages)) <= 1, "the same process"


async def test_a_process_that_dies_is_a_failure_and_leaves_nothing_behind(begin: Begin) -> None:
    here = await begin(_DIES)
    ended = (await here.followed(await here.create()))[-1]
    assert ended.state is ExportState.FAILED and ended.error is not None
    assert isinstance(ended.error, FailedPreconditionError)
    assert ended.error.reason == "EXPORT_DIED" and "head_only" in ended.error.message
    assert here.left == []


async def test_what_the_process_refuses_is_the_error_and_the_process_not_used_again(begin: Begin) -> None:
    here = await begin(_REFUSES)
    first = (await here.followed(await here.create()))[-1]
    assert first.error is not None and (first.error.reason, first.error.message) == ("NOT_EXPORTABLE", "no")
    again = await here.create()
    assert again != first.identifier, "what has failed may be tried again"
    await here.followed(again)
    assert here.exports.worker_pids == []


async def test_a_watcher_who_leaves_does_not_end_the_export(begin: Begin) -> None:
    here = await begin(_HANGS)
    identifier = await here.create()
    running = await here.until(identifier, "load")  # and leaves
    os.kill(process_of(running), 0)
    assert (await here.until(identifier, "load")).state is ExportState.RUNNING


async def test_cancelling_ends_the_process_and_what_it_wrote(begin: Begin) -> None:
    here = await begin(_HANGS)
    counted = Growth("headstart_exports_total", format="onnx", outcome="cancelled")
    identifier = await here.create()
    running = await here.until(identifier, "load")
    assert len(here.left) == 1
    ended = await here.exports.cancel(identifier)
    assert ended.state is ExportState.CANCELLED and ended.end_time is not None
    await gone(process_of(running))
    assert await here.exports.cancel(identifier) == ended, "cancelling may be repeated"
    other = await here.create(OTHER)
    await here.until(other, "load")
    assert (here.store.get(identifier).state, counted()) == (ExportState.CANCELLED, 1)
    assert len(here.left) == 1


async def test_what_has_ended_cannot_be_cancelled(begin: Begin) -> None:
    here = await begin(_PUBLISHES)
    identifier = await here.create()
    await here.followed(identifier)
    with pytest.raises(FailedPreconditionError, match="has ended"):
        await here.exports.cancel(identifier)


async def test_who_waits_is_told_at_once_and_whenever_it_moves_up(begin: Begin) -> None:
    here = await begin(_HANGS)
    running, second, third = [await here.create(order) for order in (ORDER, OTHER, THIRD)]
    await here.until(running, "load")
    watch = here.exports.watch(third)
    async with asyncio.timeout(20):
        assert (await anext(watch)).jobs_before == 1
        await here.exports.cancel(second)
        assert (await anext(watch)).jobs_before == 0
        await here.exports.cancel(running)
        assert (await anext(watch)).state is ExportState.RUNNING
    await watch.aclose()


async def test_a_waiting_watcher_hears_that_nothing_has_changed(begin: Begin) -> None:
    here = await begin(_HANGS)
    identifier = await here.create()
    running = await here.until(identifier, "load")
    watch = here.exports.watch(identifier, 0.01)
    assert [await anext(watch) for _ in range(3)] == [running] * 3
    await watch.aclose()


async def test_the_same_export_is_one_job_while_it_is_made_and_one_artifact_after(begin: Begin) -> None:
    here = await begin(_PUBLISHES, concurrent=3)
    jobs = await asyncio.gather(*(here.create() for _ in range(3)))
    assert len(set(jobs)) == 1
    ended = (await here.followed(jobs[0]))[-1]
    again = await here.exports.create("", ORDER)
    assert again == ended, "which has been made"
    made = [path.name for path in here.root.iterdir()]
    assert made == [ended.artifact]


async def test_an_artifact_that_is_there_is_a_job_that_has_succeeded(begin: Begin) -> None:
    here = await begin(_PUBLISHES)
    ended = (await here.followed(await here.create()))[-1]
    assert ended.end_time is not None
    assert here.store.expire(ended.end_time) == 0
    assert here.store.expire(ended.end_time.replace(year=9999)) == 1
    with pytest.raises(NotFoundError):
        here.store.get(ended.identifier)
    found = await here.exports.create("", ORDER)
    assert (found.state, found.artifact) == (ExportState.SUCCEEDED, ended.artifact)
    assert found.identifier != ended.identifier and found.end_time is not None


async def test_an_export_is_made_for_its_tenant_beside_anothers(begin: Begin) -> None:
    """The models have one name here, as ids never have."""
    here = await begin(_EXPORTS)
    jobs = [await here.create(tenant=tenant) for tenant in ("a", "b")]
    assert len(set(jobs)) == 2 and here.asked == ["a", "b"]
    assert [(await here.followed(job))[-1].state for job in jobs] == [ExportState.SUCCEEDED] * 2


async def test_more_exports_than_the_bound_are_refused_until_one_ends(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.jobs.exports.MOST_EXPORTS", 2)
    here = await begin(_HANGS)
    first = await here.create(ORDER)
    await here.create(OTHER)
    with pytest.raises(OverloadedError, match="2 exports wait or run already"):
        await here.create(THIRD)
    assert await here.create(OTHER), "the same export is no further one"
    await here.exports.cancel(first)
    await here.create(THIRD)
    assert here.exports.unfinished() == 2


async def test_a_server_that_stops_gives_its_exports_back_and_the_next_one_makes_them(begin: Begin) -> None:
    here = await begin(_HANGS)
    identifier, waiting = await here.create(), await here.create(OTHER)
    running = await here.until(identifier, "load")
    watch = here.exports.watch(identifier)
    await anext(watch)
    await here.exports.close()
    await gone(process_of(running))
    assert [job async for job in watch] == [] and here.exports.interrupted
    stopped = here.store.get(identifier)
    assert (stopped.state, stopped.attempt, stopped.jobs_before) == (ExportState.QUEUED, 0, 0)
    assert here.left == []
    after = await begin(_PUBLISHES, owner="two")
    for job in (identifier, waiting):
        assert (await after.followed(job))[-1].state is ExportState.SUCCEEDED


async def test_an_export_whose_server_died_is_made_again_a_few_times(begin: Begin) -> None:
    here = await begin(_HANGS)
    await here.exports.close()
    identifier = await here.create()
    for server in ("died", "died too"):
        assert ExportStore(here.store.database, server).claim() is not None
        assert [job.state for job in ExportStore(here.store.database, "next").reap(alone=True)] == [ExportState.QUEUED]
    assert ExportStore(here.store.database, "died as well").claim() is not None
    after = await begin(_PUBLISHES, owner="last")
    ended = (await after.followed(identifier))[-1]
    assert ended.state is ExportState.FAILED and ended.error is not None
    assert ended.error.reason == "EXPORT_DIED" and "3 servers" in ended.error.message


async def test_who_has_lost_an_export_ends_its_process_and_writes_no_more(begin: Begin) -> None:
    here = await begin(_HANGS)
    identifier = await here.create()
    running = await here.until(identifier, "load")
    other = ExportStore(here.store.database, "other")
    assert [job.identifier for job in other.reap(alone=True)] == [identifier]
    taken = other.claim()
    assert taken is not None and taken.attempt == running.attempt + 1
    await here.exports._check(here.store.held)
    await gone(process_of(running))
    assert here.store.get(identifier).state is ExportState.RUNNING


async def test_idle_processes_end_after_a_while(begin: Begin) -> None:
    here = await begin(_EXPORTS, idle_seconds=0.0)
    await here.followed(await here.create())
    async with asyncio.timeout(20):
        while here.exports.worker_pids:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("kind", [FailedPreconditionError, NotFoundError, DataLossError, HeadstartError])
def test_errors_cross_the_boundary_as_they_are(kind: type[HeadstartError]) -> None:
    error = kind("why", reason="R", field="model")
    found = error_of(error_message(error)["error"])
    assert (type(found), found.message, found.reason, found.field) == (kind, "why", "R", "model")


@pytest.mark.parametrize(
    ("end", "outcome", "deaths"), [(_EXPORTS, "published", 0), (_REFUSES, "failed", 0), (_DIES, "died", 1)]
)
async def test_exports_are_counted_by_how_they_end(end: str, outcome: str, deaths: int, begin: Begin) -> None:
    here = await begin(end)
    counted, dead = Growth("headstart_exports_total", format="onnx", outcome=outcome), Growth(DEATHS, purpose="export")
    await here.followed(await here.create())
    assert (counted(), dead(), here.exports.unfinished()) == (1, deaths, 0)
