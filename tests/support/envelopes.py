"""Jobs as they come to a process that works on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headstart_server.data.source import SourceRecord
from headstart_server.engines.envelopes import JobEnvelope, RuntimeSettings
from headstart_server.spec.model import TrainSpec


def job_of(root: Path, data: Path, spec: dict[str, Any]) -> JobEnvelope:
    """A job as it travels, with a state directory of its own."""
    source = SourceRecord("dataset", str(data), "csv", folders=[str(data.parent)])
    runtime = RuntimeSettings(state_dir=str(root), model_root=str(data.parent / "models"), precisions={"cpu": "fp32"})
    return JobEnvelope("j", "", TrainSpec.model_validate(spec), [source], runtime)
