"""Checkpoints of torchvision's models: read without running anything in them, fitted to models without classifiers."""

import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.reasons import Reason
from headstart_server.encoders.model_folder import require_fetched
from headstart_server.encoders.torchvision_models import head_of, headless

_WRAPPERS = ("state_dict", "model")
"""Keys under which training scripts keep the weights beside their optimizer's."""
_PREFIXES = ("module.", "_orig_mod.")
"""What DistributedDataParallel and torch.compile put before every name."""
_AUXILIARY = ("aux", "AuxLogits.")
"""Classifiers of GoogLeNet and Inception that only help training from nothing."""
_DENSENET_KEY = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\.\w+)$")
"""Names in torchvision's densenet files, from before modules could not have dots in their names."""
_POSITIONS = "encoder.pos_embedding"
"""Of ViTs: one position per patch, one for the class token."""


def read_checkpoint(path: Path, name: str, field: str) -> dict[str, Any]:
    """Everything in the file by name, unwrapped; raises InvalidInputError naming `field` and the weights' `name`."""
    require_fetched(path, repr(name[:120]), field)
    try:
        found: Any = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except Exception as error:  # foreign bytes raise anything, from KeyError to struct.error
        raise _unreadable(error, name, field) from error
    if not isinstance(found, dict):
        raise invalid(field, f"{name[:120]!r} holds a {type(found).__name__}; save its state_dict")
    for key in _WRAPPERS:
        if isinstance(found.get(key), Mapping):
            found = found[key]
    return {_without_prefixes(str(key)): value for key, value in found.items()}


def _unpickled(path: Path) -> Any:
    """Tensors and plain values only. Most of torchvision's own files are older than torch's zip format."""
    return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))


def image_side(architecture: str, checkpoint: Mapping[str, Any]) -> int | None:
    """Height and width in pixels of the images that a ViT was trained on; None for models that take any."""
    positions = checkpoint.get(_POSITIONS)
    if not architecture.startswith("vit_") or not isinstance(positions, Tensor) or positions.ndim != 3:
        return None
    return int((positions.shape[1] - 1) ** 0.5) * int(architecture.rpartition("_")[2])


def load_features(
    architecture: str, crop: tuple[int, int], checkpoint: Mapping[str, Any], name: str, field: str
) -> nn.Module:
    """The model without its classifier, in float32; raises InvalidInputError unless the checkpoint is its own."""
    model = headless(architecture, crop, random=False)
    wanted = model.state_dict()
    state = _features(architecture, checkpoint, wanted)
    _require_same(wanted, state, architecture, name, field)
    weights: Any = OrderedDict({key: _in_float32(state.get(key)) for key in wanted})
    weights._metadata = getattr(wanted, "_metadata", {})  # else MNASNet reads none
    _require_finite(weights, name, field)
    try:
        model.load_state_dict(weights, assign=True)
    except (RuntimeError, ValueError) as error:
        raise invalid(field, f"{name[:120]!r} cannot be loaded: {_brief(error)}") from error
    return model


def _features(architecture: str, checkpoint: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> dict[str, Any]:
    """The checkpoint's tensors by present names, without its classifiers, whatever they are made of."""
    if architecture.startswith("densenet"):
        checkpoint = {_DENSENET_KEY.sub(r"\1\2", key): value for key, value in checkpoint.items()}
    container = head_of(architecture).partition(".")[0] + "."
    return {
        key: value for key, value in checkpoint.items() if key in wanted or not key.startswith((container, *_AUXILIARY))
    }


def _require_same(
    wanted: Mapping[str, Tensor], state: Mapping[str, Any], architecture: str, name: str, field: str
) -> None:
    missing = sorted(key for key in wanted.keys() - state.keys() if not _is_counter(key))
    foreign = sorted(state.keys() - wanted.keys())
    unlike = sorted(
        key for key in wanted.keys() & state.keys() if getattr(state[key], "shape", None) != wanted[key].shape
    )
    if missing or foreign or unlike:
        what = [f"lacks {', '.join(missing[:3])}"] if missing else []
        what += [f"has {', '.join(foreign[:3])} beyond it"] if foreign else []
        what += [f"has another shape in {', '.join(unlike[:3])}"] if unlike else []
        raise invalid(
            field,
            f"{name[:120]!r} is no checkpoint of torchvision's {architecture}: it {' and '.join(what)[:300]}; "
            "give the type and model_variant that it was trained as",
            reason=Reason.WRONG_WEIGHTS,
        )


def _require_finite(weights: Mapping[str, Tensor], name: str, field: str) -> None:
    for key, value in weights.items():
        if not value.isfinite().all():
            raise invalid(
                field,
                f"{name[:120]!r} has weights in {key} that are not finite; its training diverged, or the file is "
                "damaged: give another checkpoint",
                reason=Reason.WRONG_WEIGHTS,
            )


def _in_float32(value: Tensor | None) -> Tensor:
    """A counter of batch norm, which old checkpoints lack and inference does not read, is zero where there is none."""
    if value is None:
        return torch.zeros((), dtype=torch.long)
    return value.float() if value.is_floating_point() else value


def _is_counter(key: str) -> bool:
    return key.endswith("num_batches_tracked")


def _without_prefixes(key: str) -> str:
    while key.startswith(_PREFIXES):
        key = key.partition(".")[2]
    return key


def _unreadable(error: Exception, name: str, field: str) -> InvalidInputError:
    if isinstance(error, UnpicklingError) and "GLOBAL" in str(error):
        message = f"{name[:120]!r} holds more than tensors, which is never loaded; save the model's state_dict alone"
        return invalid(field, message, reason=Reason.UNSAFE_WEIGHTS)
    reason = "it is no checkpoint" if isinstance(error, UnpicklingError) else _brief(error) or "it is cut off"
    return invalid(field, f"{name[:120]!r} cannot be read ({reason}); fetch or save the file again")


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
