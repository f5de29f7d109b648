"""Exports whose process does not start: a failure with its reason, as of one that dies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.executors import Executors
from headstart_server.engines.envelopes import RuntimeSettings
from headstart_server.export.artifacts import ArtifactRegistry
from headstart_server.jobs.export_process import ExportProcesses
from headstart_server.jobs.export_records import ExportOrder
from headstart_server.jobs.process import ProcessSettings, WorkerPool
from headstart_server.storage.folders import SharedFolders


async def test_a_process_that_does_not_start_is_a_failure_that_says_so(tmp_path: Path) -> None:
    never = ProcessSettings(command=(sys.executable, "-I", "-c", "raise SystemExit(3)"))
    processes = ExportProcesses(
        lambda tenant: ArtifactRegistry(SharedFolders(tmp_path / tenant)),
        RuntimeSettings(str(tmp_path)),
        Executors().files,
        WorkerPool(0, process=never),
        idle_seconds=60.0,
    )
    with pytest.raises(
        FailedPreconditionError, match=r"no process to export the model started; .* exited with code 3"
    ) as error:
        async for _ in processes.made("", ExportOrder("m", "onnx", False)):
            pass
    assert error.value.reason == "EXPORT_DIED"
