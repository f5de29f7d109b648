"""Exports in processes of a few lines of Python, in place of `jobs.export_worker`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from headstart_server.core.executors import Executors
from headstart_server.engines.envelopes import RuntimeSettings
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.jobs.export_process import ExportProcesses
from headstart_server.jobs.export_records import ExportOrder, ExportRecord
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.exports import Exports
from headstart_server.jobs.process import ProcessSettings, WorkerPool
from headstart_server.jobs.store import JobStore
from headstart_server.storage.folders import SharedFolders

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
EXPORTS = """
    os.rmdir(folder)
    say(done={"artifact": dict(identifier=job["identifier"], model=job["model"], format=job["format"],
        head_only=job["head_only"], create_time="", files=[], max_difference=0.0)})
"""
DIES = "\n    os.kill(os.getpid(), signal.SIGKILL)\n"
HANGS = "\n    time.sleep(600)\n"
PUBLISHES = """
    os.rmdir(folder)
    root, artifact = job["runtime"]["state_dir"], dict(identifier=job["identifier"], model=job["model"],
        format=job["format"], head_only=job["head_only"], create_time="", files=[], max_difference=0.0)
    os.makedirs(os.path.join(root, job["identifier"]))
    with open(os.path.join(root, job["identifier"], ".artifact.json"), "w") as file:
        json.dump(artifact, file)
    say(done={"artifact": artifact})
"""
REFUSES = """
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


@asynccontextmanager
async def beginning(tmp_path: Path) -> AsyncIterator[Begin]:
    """What starts exports; a second call is the next server over the same database."""
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
