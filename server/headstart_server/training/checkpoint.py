"""Checkpoints: everything a run needs to go on after an evaluation. Safetensors and JSON, published whole, verified.

`progress.json`, and tensors under `model/`, `best/` and `running/`: in one file, or, of a model that no process holds
all of, in one file of each process (torch.distributed.checkpoint's shards). Either is read back by as many processes as
there are, each the parts that it holds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from headstart_server.core.digests import file_digest, fingerprint
from headstart_server.core.errors import DataLossError
from headstart_server.core.files import read_json
from headstart_server.model.world import World
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.tensor_files import described_tensors, read_into, write_parts
from headstart_server.training.plateau import Plateau
from headstart_server.training.reports import EpochReport

_DAMAGED = (DataLossError, OSError, ValueError, LookupError, TypeError, SafetensorError)
Allocator = Callable[[str, torch.Size, torch.dtype], Tensor]
"""Memory for a tensor of a checkpoint, by its name, shape and type."""
_WHOLE = "state.safetensors"
_FORMAT = 3


@dataclass(frozen=True)
class Progress:
    """Where a run is after an evaluation."""

    epoch: int
    """Whole epochs so far."""
    step: int
    best: EpochReport | None
    epochs_without_improvement: int
    """Evaluations, of which an epoch has one unless it is asked for more."""
    past: Sequence[EpochReport] = ()
    """The last evaluations' reports: whoever followed the run may have died before they arrived."""
    evaluation: int = 0
    """Evaluations so far."""
    into: int = 0
    """Steps of the next epoch that are done."""
    steps_per_epoch: int = 0
    """How many it has."""
    plateau: Plateau = Plateau()  # noqa: RUF009 - frozen

    @property
    def name(self) -> str:
        """Of its checkpoint; one within an epoch has two numbers."""
        return f"epoch-{self.epoch}.{self.into}" if self.into else f"epoch-{self.epoch}"

    def continued(self, steps_per_epoch: int) -> "Progress":
        """Where a run of so many steps per epoch goes on. Steps are counted anew: a batch size fitted to the memory
        may be another one."""
        into = round(self.into / self.steps_per_epoch * steps_per_epoch) if self.into else 0
        epoch, into = (self.epoch + 1, 0) if into >= steps_per_epoch else (self.epoch, into)
        # 0 in checkpoints from before evaluations were counted, when an epoch had one
        evaluation = self.evaluation or self.epoch
        return replace(self, epoch=epoch, into=into, step=epoch * steps_per_epoch + into, evaluation=evaluation)


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
            # of the current device, the only one that a process trains on
            found["rng/cuda"] = torch.cuda.get_rng_state()
        tensors = {key: value for key, value in found.items() if isinstance(value, Tensor)}
        return tensors, {key: value for key, value in found.items() if key not in tensors}

    def allocate(self, name: str, shape: torch.Size, dtype: torch.dtype) -> Tensor:
        """Memory for one of `save`'s tensors: for this process's part of it where its parameter is sharded."""
        section, _, rest = name.partition("/")
        if section == "optimizer":
            index, parameters = int(rest.split("/", 1)[0]), self._parameters
            parameter = parameters[index] if index < len(parameters) else None
            if isinstance(parameter, DTensor) and parameter.shape == shape:
                return torch.empty_like(parameter, dtype=dtype, requires_grad=False)
        return torch.empty(shape, dtype=dtype)

    def load(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """The inverse of `save`; parameters must be in the same order."""
        saved = {**tensors, **values}
        state: dict[int, dict[str, Any]] = {}
        scaler: dict[str, Any] = {}
        for name, value in saved.items():
            section, _, rest = name.partition("/")
            if section == "optimizer":
                index, key = rest.split("/", 1)
                state.setdefault(int(index), {})[key] = value
            elif section == "scaler":
                scaler[rest] = value
        # this run's own groups: of what was saved only the state counts, since rates are set at every step
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        if scaler and self.scaler.is_enabled():
            self.scaler.load_state_dict(scaler)
        torch.set_rng_state(saved["rng/cpu"])
        # a run may go on on another kind of machine
        if "rng/cuda" in saved and torch.cuda.is_available():
            torch.cuda.set_rng_state(saved["rng/cuda"])

    @property
    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


@dataclass(frozen=True)
class Checkpoint:
    """A sound checkpoint. `values` are those of `RunningState.save`."""

    folder: Path
    progress: Progress
    values: dict[str, Any]

    def read(self, section: str, allocate: Allocator) -> dict[str, Tensor]:
        """Tensors of `model`, `best` or `running` by name, read into what `allocate(name, shape, type)` gives."""
        prefix = f"{section}/"
        tensors = {
            name: allocate(name.removeprefix(prefix), *described)
            for name, described in described_tensors(self.folder).items()
            if name.startswith(prefix)
        }
        read_into(tensors, self.folder)
        return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


@dataclass(frozen=True)
class CheckpointState:
    """What a checkpoint keeps: of the model, of the best epoch's, of what runs beside them, and plain values."""

    model: Mapping[str, Tensor]
    best: Mapping[str, Tensor]
    running: Mapping[str, Tensor]
    values: Mapping[str, Any]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """By section and name."""
        sections = {"model": self.model, "best": self.best, "running": self.running}
        return {f"{section}/{name}": value for section, state in sections.items() for name, value in state.items()}


def save_checkpoint(
    folders: SharedFolders,
    progress: Progress,
    state: CheckpointState,
    world: World = World(),
    *,
    in_parts: bool = False,
    run: str = "",
) -> None:
    """Publishes `epoch-N` (`epoch-N.STEPS` within the next) and removes the others. Returns when everybody has it.

    All processes of a world call it; rank 0 alone writes, unless `in_parts`. `run` says what is trained: only a run of
    the same goes on with it.
    """
    name = progress.name
    if world.leads and name in folders:  # only one that could not be read can be there
        folders.remove(name)
    if in_parts:
        with folders.publish_together(name, world) as temporary:
            digests = _save_parts(temporary, state, world)
            if world.leads:
                _describe(temporary, progress, state, digests, run)
    elif world.leads:
        with folders.publish(name) as temporary:
            save_file(_own_memory(state.tensors), temporary / _WHOLE)
            _describe(temporary, progress, state, {_WHOLE: file_digest(temporary / _WHOLE)}, run)
    # only once the new one is published: a crash before leaves both, of which the later one is read
    for other in _saved(folders) if world.leads else ():
        if other != name:
            folders.remove(other)
    # nobody passes before rank 0 comes here
    world.broadcast_object(None)


def load_checkpoint(folders: SharedFolders, run: str = "") -> Checkpoint | None:
    """The latest sound checkpoint of a run, or None."""
    for name in sorted(_saved(folders), key=_position, reverse=True):
        try:
            return _load(folders.path(name), run)
        except _DAMAGED:
            # the storage that machines share may have a sound one, of which this is a damaged copy
            if not folders.forget_copy(name):
                continue
        try:
            return _load(folders.path(name), run)
        except _DAMAGED:
            continue
    return None


def _position(name: str) -> list[int]:
    """Of a checkpoint in its run, by its name."""
    return [int(number) for number in name.removeprefix("epoch-").split(".")]


def _saved(folders: SharedFolders) -> list[str]:
    return [name for name in folders.names() if name.startswith("epoch-")]


def _save_parts(folder: Path, state: CheckpointState, world: World) -> dict[str, str]:
    """Writes this process's file; returns the digests of everybody's."""
    write_parts(state.tensors, folder)
    own = {path.name: file_digest(path) for path in folder.glob(f"shard-{world.rank + 1:05d}-*.safetensors")}
    return {file: digest for digests in world.all_gather_object(own) for file, digest in digests.items()}


def _describe(folder: Path, progress: Progress, state: CheckpointState, digests: Mapping[str, str], run: str) -> None:
    content = {"format": _FORMAT, "progress": asdict(progress), "values": state.values, "files": digests, "run": run}
    described = json.dumps({"content": content, "digest": fingerprint(content)})
    (folder / "progress.json").write_text(described, encoding="utf-8")


def _load(folder: Path, run: str) -> Checkpoint:
    described = read_json(folder / "progress.json")
    content = described["content"]
    if described["digest"] != fingerprint(content) or content["format"] != _FORMAT:
        raise ValueError("progress.json is damaged, or another version's")
    # checkpoints of earlier releases do not say
    if content.get("run", run) != run:
        raise ValueError("it is of a run of another spec")
    for name, digest in content["files"].items():
        if file_digest(folder / name) != digest:
            raise ValueError(f"{name} is damaged")
    progress = content["progress"]
    best = EpochReport(**progress["best"]) if progress["best"] else None
    past = [EpochReport(**report) for report in progress.get("past", ())]
    plateau = Plateau(**progress.get("plateau", {}))
    progress = Progress(**{**progress, "best": best, "past": past, "plateau": plateau})
    return Checkpoint(folder, progress, content["values"])


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
