"""Checkpoints: everything a run needs to go on after an epoch. Safetensors and JSON, published atomically."""

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from headstart_server.core.files import published_folder, read_json
from headstart_server.training.reports import EpochReport


@dataclass(frozen=True)
class Progress:
    """Where a run is after an epoch."""

    epoch: int
    step: int
    best: EpochReport | None
    epochs_without_improvement: int


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint read back."""

    progress: Progress
    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[str, Any]
    rng: Tensor


def save_checkpoint(
    root: Path, progress: Progress, model: dict[str, Tensor], best: dict[str, Tensor], optimizer: Optimizer
) -> None:
    """Publishes `root`/epoch-N and removes older ones."""
    state = optimizer.state_dict()
    tensors: dict[str, Tensor] = {}
    scalars: dict[str, Any] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if isinstance(value, Tensor):
                tensors[f"{index}/{key}"] = value.detach().cpu().contiguous()
            else:
                scalars[f"{index}/{key}"] = value
    folder = root / f"epoch-{progress.epoch}"
    with published_folder(folder) as temporary:
        save_file(_detached(model), temporary / "model.safetensors")
        save_file(_detached(best), temporary / "best.safetensors")
        save_file({**tensors, "rng": torch.get_rng_state()}, temporary / "optimizer.safetensors")
        content = {"progress": asdict(progress), "scalars": scalars}
        (temporary / "progress.json").write_text(json.dumps(content), encoding="utf-8")
    for other in root.glob("epoch-*"):
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)


def load_checkpoint(root: Path) -> Checkpoint | None:
    """The latest readable checkpoint below `root`, or None."""
    for folder in sorted(root.glob("epoch-*"), key=lambda path: -int(path.name.removeprefix("epoch-"))):
        try:
            content = read_json(folder / "progress.json")
            tensors = load_file(folder / "optimizer.safetensors")
            rng = tensors.pop("rng")
            model, best = load_file(folder / "model.safetensors"), load_file(folder / "best.safetensors")
        except (OSError, ValueError, KeyError, SafetensorError):
            continue
        values = content["progress"]
        report = EpochReport(**values["best"]) if values["best"] else None
        return Checkpoint(Progress(**{**values, "best": report}), model, best, {**tensors, **content["scalars"]}, rng)
    return None


def restore_optimizer(optimizer: Optimizer, saved: dict[str, Any]) -> None:
    """Puts the saved state back; parameters must be in the same order."""
    state: dict[int, dict[str, Any]] = {}
    for name, value in saved.items():
        index, key = name.split("/", 1)
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _detached(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.detach().cpu().contiguous() for key, value in state.items()}
