"""A job as it arrives in a process: plain values, opened into tables, weights, store and device."""

import os
import socket
import tempfile
from pathlib import Path
from typing import Any

import torch

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.layout import Layout
from headstart_server.core.versions import own_version
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.source import SourceRecord, open_sources
from headstart_server.encoders.batch_sharing import keep_measurements
from headstart_server.encoders.precision import adopt_precision
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.assignment import Assignment
from headstart_server.engines.workplace import Workplace
from headstart_server.spec.model import TrainSpec
from headstart_server.storage.storage import Storage

_WORKPLACES: dict[str, Workplace] = {}


def workplace_of(job: dict[str, Any], *, use_gpu: bool | None = None) -> Workplace:
    """The process's workplace, on a GPU if it is to `use_gpu`; None: where there is one. Kept between jobs, so that the
    index of the store stays warm.

    Raises FailedPreconditionError where this machine has another version of Headstart than the server, or no GPU.
    """
    if job["version"] != own_version():
        raise FailedPreconditionError(
            f"a machine of the cluster has Headstart {own_version()}, the server {job['version']}; install the "
            "server's version on all of them",
            reason="VERSIONS_DIFFER",
            field="backend",
        )
    if use_gpu and not torch.cuda.is_available():
        raise FailedPreconditionError(
            f"{socket.gethostname()} was given a GPU that torch cannot use there; install torch for its CUDA driver on "
            "the machines that have GPUs, or set backend.trainer.use_gpu to false",
            reason="NO_GPU",
            field="backend.trainer.use_gpu",
        )
    for device_type, precision in job["precisions"].items():
        adopt_precision(precision, device_type)
    state_dir = job["state_dir"] or _own_state_dir(job["storage_url"])
    if state_dir not in _WORKPLACES:
        root = job["model_root"]
        sources = ModelSources(Path(root) if root else None, job["hub_allowed"])
        limits = ImageLimits(**job["image_limits"])
        storage = Storage(Layout(Path(state_dir)), job["storage_url"])
        keep_measurements(storage.layout.batch_sharing)
        _WORKPLACES[state_dir] = Workplace.at(storage, sources, limits, use_gpu=use_gpu is not False)
    return _WORKPLACES[state_dir]


def _own_state_dir(storage_url: str) -> str:
    """Where a machine without a server keeps what it has of a shared storage."""
    return os.environ.get("HEADSTART_STATE_DIR") or str(
        Path(tempfile.gettempdir()) / f"headstart-{fingerprint({'storage': storage_url})}"
    )


def release_idle_spaces(seconds: float) -> None:
    """Closes embedding spaces that no job has used for so long, so that they can be evicted or deleted."""
    for workplace in _WORKPLACES.values():
        workplace.store.release_idle(seconds)


def assignment_of(job: dict[str, Any], storage: Storage) -> Assignment:
    """Opens the tables."""
    records = [SourceRecord(**source) for source in job["sources"]]
    spec = TrainSpec.model_validate(job["spec"])
    return Assignment(job["identifier"], job["display_name"], spec, open_sources(records, storage))
