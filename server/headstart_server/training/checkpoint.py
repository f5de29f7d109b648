"""Checkpoints: everything a run needs to go on after an epoch. Safetensors and JSON, published atomically, verified."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from headstart_server.core.digests import file_digest, fingerprint
from headstart_server.core.errors import DataLossError
from headstart_server.core.files import read_json
from headstart_server.storage.folders import SharedFolders
from headstart_server.training.reports import EpochReport

_DAMAGED = (DataLossError, OSError, ValueError, LookupError, TypeError, SafetensorError)
_FILES = ("model.safetensors", "best.safetensors", "running.safetensors")


@dataclass(frozen=True)
class Progress:
    """Where a run is after an epoch."""

    epoch: int
    step: int
    best: EpochReport | None
    epochs_without_improvement: int


@dataclass(frozen=True)
class RunningState:
    """What changes at every step beside the weights: the optimizer's state, the loss scale, the random numbers."""

    optimizer: Optimizer
    scaler: torch.amp.GradScaler

    def save(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """(tensors, plain values)."""
        found = {
            f"optimizer/{index}/{key}": value
            for index, values in self.optimizer.state_dict()["state"].items()
            for key, value in values.items()
        }
        found |= {f"scaler/{key}": value for key, value in self.scaler.state_dict().items()}
        found["rng/cpu"] = torch.get_rng_state()
        if torch.cuda.is_available():
            found["rng/cuda"] = torch.cuda.get_rng_state()
        tensors = {key: value for key, value in found.items() if isinstance(value, Tensor)}
        return tensors, {key: value for key, value in found.items() if key not in tensors}

    def load(self, saved: Mapping[str, Any]) -> None:
        """The inverse of `save`; parameters must be in the same order."""
        state: dict[int, dict[str, Any]] = {}
        scaler: dict[str, Any] = {}
        for name, value in saved.items():
            section, _, rest = name.partition("/")
            if section == "optimizer":
                index, key = rest.split("/", 1)
                state.setdefault(int(index), {})[key] = value
            elif section == "scaler":
                scaler[rest] = value
        groups = self.optimizer.state_dict()["param_groups"]
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        for number, values in state.items():
            values |= {key: like(parameters[number], value) for key, value in values.items()}
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        if scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        torch.set_rng_state(saved["rng/cpu"])
        if "rng/cuda" in saved and torch.cuda.is_available():
            torch.cuda.set_rng_state(saved["rng/cuda"])


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back. `running` is what `RunningState.load` takes."""

    progress: Progress
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    running: dict[str, Any]


def save_checkpoint(
    folders: SharedFolders,
    progress: Progress,
    model: dict[str, Tensor],
    best: dict[str, Tensor],
    tensors: dict[str, Tensor],
    values: dict[str, Any],
) -> None:
    """Publishes `epoch-N` and removes the others. `tensors` and `values` are what `RunningState.save` gives."""
    name = f"epoch-{progress.epoch}"
    if name in folders:  # only one that could not be read can be there
        folders.remove(name)
    with folders.publish(name) as temporary:
        for file, state in zip(_FILES, (model, best, tensors), strict=True):
            save_file(_own_memory(state), temporary / file)
        content = {
            "progress": asdict(progress),
            "values": values,
            "files": {file: file_digest(temporary / file) for file in _FILES},
        }
        described = json.dumps({"content": content, "digest": fingerprint(content)})
        (temporary / "progress.json").write_text(described, encoding="utf-8")
    for other in _saved(folders):
        if other != name:
            folders.remove(other)


def load_checkpoint(folders: SharedFolders) -> Checkpoint | None:
    """The latest sound checkpoint, or None."""
    for name in sorted(_saved(folders), key=lambda name: -int(name.removeprefix("epoch-"))):
        try:
            return _load(folders.path(name))
        except _DAMAGED:
            if not folders.forget_copy(name):
                continue
        try:
            return _load(folders.path(name))
        except _DAMAGED:
            continue
    return None


def _saved(folders: SharedFolders) -> list[str]:
    return [name for name in folders.names() if name.startswith("epoch-")]


def _load(folder: Path) -> Checkpoint:
    described = read_json(folder / "progress.json")
    content = described["content"]
    if described["digest"] != fingerprint(content):
        raise ValueError("progress.json is damaged")
    for name, digest in content["files"].items():
        if file_digest(folder / name) != digest:
            raise ValueError(f"{name} is damaged")
    model, best, tensors = (load_file(folder / name) for name in _FILES)
    progress = content["progress"]
    report = EpochReport(**progress["best"]) if progress["best"] else None
    return Checkpoint(Progress(**{**progress, "best": report}), model, best, {**tensors, **content["values"]})


def like(parameter: Tensor, value: Any) -> Any:
    """A whole tensor as its parameter lies: this process's part of it where that is sharded."""
    if isinstance(parameter, DTensor) and isinstance(value, Tensor) and value.shape == parameter.shape:
        mesh, placements = parameter.device_mesh, parameter.placements
        return distribute_tensor(value.to(parameter.device), mesh, placements, src_data_rank=None)
    return value


def _own_memory(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, none sharing memory with another: safetensors refuses tied weights."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for key, value in state.items():
        tensor = value.detach().cpu().contiguous()
        address = tensor.untyped_storage().data_ptr()
        found[key] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return found
