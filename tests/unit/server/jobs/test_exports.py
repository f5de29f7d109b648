"""Exports in processes: real ones, each a few lines of Python in place of `jobs.export_worker`."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import suppress
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
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.jobs.export_worker import error_message
from headstart_server.jobs.exports import ExportOrder, Exports, Stage, error_of
from headstart_server.jobs.process import ProcessSettings, WorkerPool
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
_REFUSES = """
    os.rmdir(folder)
    say(done={"error": dict(kind="FailedPreconditionError", reason="NOT_EXPORTABLE", message="no", field="")})
"""
DEATHS = "headstart_worker_deaths_total"
ORDER = ExportOrder("m", "onnx", False)


def exports_by(root: Path, end: str, **changes: Any) -> Exports:
    """Exports by such a process."""
    command = (sys.executable, "-I", "-c", _START + end)
    pool = WorkerPool(0, process=ProcessSettings(command=command))
    artifacts = ArtifactRegistry(SharedFolders(root))
    return Exports(lambda _: artifacts, RuntimeSettings(str(root)), Executors().files, pool=pool, **changes)


async def items_of(exports: Exports) -> list[Stage | Artifact]:
    """All that an export yields."""
    return [item async for item in exports.run("", ORDER)]


async def gone(pid: int) -> None:
    """Returns when a process has ended."""
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)


async def test_a_process_that_exported_well_is_used_again(tmp_path: Path) -> None:
    exports = exports_by(tmp_path, _EXPORTS)
    first, second = await items_of(exports), await items_of(exports)
    assert isinstance(first[-1], Artifact) and isinstance(second[-1], Artifact)
    assert first[0] == second[0], "the same process"
    await exports.close()


async def test_a_process_that_dies_is_a_refusal_and_leaves_nothing_behind(tmp_path: Path) -> None:
    exports = exports_by(tmp_path, _DIES)
    with pytest.raises(FailedPreconditionError, match=r"killed .*memory.*head_only") as caught:
        await items_of(exports)
    assert caught.value.reason == "EXPORT_DIED"
    assert list(tmp_path.iterdir()) == []
    await exports.close()


async def test_what_the_process_refuses_is_raised_and_the_process_not_used_again(tmp_path: Path) -> None:
    exports = exports_by(tmp_path, _REFUSES)
    pids = []
    for _ in range(2):
        with pytest.raises(FailedPreconditionError, match="no") as caught:
            async for item in exports.run("", ORDER):
                assert isinstance(item, Stage)
                pids.append(item.message)
        assert caught.value.reason == "NOT_EXPORTABLE"
    assert len(set(pids)) == 2
    await exports.close()


async def test_a_caller_who_leaves_ends_the_process_and_what_it_wrote(tmp_path: Path) -> None:
    exports = exports_by(tmp_path, _HANGS)
    running = exports.run("", ORDER)
    first = await anext(running)
    assert isinstance(first, Stage) and len(list(tmp_path.iterdir())) == 1
    await running.aclose()
    await gone(int(first.message))
    assert list(tmp_path.iterdir()) == []
    await exports.close()


async def test_exports_wait_in_turn_are_told_so_and_who_leaves_first_never_starts(tmp_path: Path) -> None:
    exports = exports_by(tmp_path, _HANGS)
    running, waiting, leaving = (exports.run("", ORDER) for _ in range(3))
    first = await anext(running)
    told_first, told_second = await anext(waiting), await anext(leaving)
    assert isinstance(told_first, Stage) and isinstance(told_second, Stage)
    assert (told_first.stage, told_second.stage) == ("wait", "wait")
    await leaving.aclose()
    begun = asyncio.ensure_future(anext(waiting))
    await asyncio.sleep(0.05)
    assert not begun.done()
    await running.aclose()
    second = await begun
    assert isinstance(first, Stage) and isinstance(second, Stage) and second.stage == "load"
    await waiting.aclose()
    await exports.close()


_PUBLISHES = """
    os.rmdir(folder)
    root, artifact = job["runtime"]["state_dir"], dict(identifier=job["identifier"], model=job["model"],
        format=job["format"], head_only=job["head_only"], create_time="", files=[], max_difference=0.0)
    os.makedirs(os.path.join(root, job["identifier"]))
    with open(os.path.join(root, job["identifier"], ".artifact.json"), "w") as file:
        json.dump(artifact, file)
    say(done={"artifact": artifact})
"""


async def test_an_export_that_is_asked_for_again_meanwhile_is_made_once(tmp_path: Path) -> None:
    exports = exports_by(tmp_path, _PUBLISHES, concurrent=3)
    found = await asyncio.gather(*(items_of(exports) for _ in range(3)))
    made = {item.identifier for items in found for item in items if isinstance(item, Artifact)}
    assert {path.name for path in tmp_path.iterdir()} == made
    assert len(made) == 1
    stages = sorted(item.stage for items in found for item in items if isinstance(item, Stage))
    assert stages == ["load", "wait", "wait"]
    await exports.close()


async def test_an_export_is_made_for_its_tenant_beside_anothers(tmp_path: Path) -> None:
    """The models have one name here, as ids never have."""
    asked: list[str] = []

    def artifacts_of(tenant: str) -> ArtifactRegistry:
        asked.append(tenant)
        return ArtifactRegistry(SharedFolders(tmp_path / tenant))

    exports = exports_by(tmp_path, _EXPORTS)
    exports._artifacts_of = artifacts_of
    found = [[item async for item in exports.run(tenant, ORDER)] for tenant in ("a", "b")]
    assert asked == ["a", "b"]
    assert [type(items[-1]) for items in found] == [Artifact, Artifact]
    await exports.close()


async def test_more_exports_than_the_bound_are_refused_until_one_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.jobs.exports.MOST_EXPORTS", 2)
    exports = exports_by(tmp_path, _HANGS)
    waiting = [asyncio.create_task(items_of(exports)) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(OverloadedError, match="2 exports wait or run already"):
        await items_of(exports)
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    another = asyncio.create_task(items_of(exports))
    await asyncio.sleep(0.05)
    assert not another.done()
    for task in (waiting[0], another):
        task.cancel()
    await asyncio.gather(waiting[0], another, return_exceptions=True)
    await exports.close()


async def test_idle_processes_end_after_a_while(tmp_path: Path) -> None:
    exports = exports_by(tmp_path, _EXPORTS, idle_seconds=0.0)
    first = (await items_of(exports))[0]
    assert isinstance(first, Stage)
    await gone(int(first.message))
    await exports.close()


@pytest.mark.parametrize("kind", [FailedPreconditionError, NotFoundError, DataLossError, HeadstartError])
def test_errors_cross_the_boundary_as_they_are(kind: type[HeadstartError]) -> None:
    error = kind("why", reason="R", field="model")
    found = error_of(error_message(error)["error"])
    assert (type(found), found.message, found.reason, found.field) == (kind, "why", "R", "model")


@pytest.mark.parametrize(
    ("end", "outcome", "deaths"),
    [(_EXPORTS, "published", 0), (_REFUSES, "failed", 0), (_DIES, "died", 1), (_HANGS, "left", 0)],
)
async def test_exports_are_counted_by_how_they_end(end: str, outcome: str, deaths: int, tmp_path: Path) -> None:
    exports = exports_by(tmp_path, end)
    counted, dead = Growth("headstart_exports_total", format="onnx", outcome=outcome), Growth(DEATHS, purpose="export")
    running = exports.run("", ORDER)
    await anext(running)
    assert Growth("headstart_exports_in_progress").now == 1
    with suppress(FailedPreconditionError):
        if outcome != "left":
            [_ async for _ in running]
    await running.aclose()
    assert (counted(), dead(), Growth("headstart_exports_in_progress").now) == (1, deaths, 0)
    await exports.close()
