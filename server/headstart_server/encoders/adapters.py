"""Adapters of text encoders: small matrices that learn beside pretrained weights, by the library PEFT.

Source: Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import load_file, save_file
from torch import nn

from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.reasons import Reason
from headstart_server.encoders.text_encoder import TextEncoder

if TYPE_CHECKING:
    from peft import LoraConfig

_WEIGHTS, _CONFIG = "adapter_model.safetensors", "adapter_config.json"
_PREFIX = "base_model.model."
"""Of names in the files that PEFT writes and reads."""
_LINEAR = ("Linear", "Conv1D")
"""Kinds of layers; the second is transformers' name for those of GPT-2."""
_POOLER = "pooler"


@dataclass(frozen=True)
class Adapter:
    """A low-rank adapter, resolved."""

    rank: int
    alpha: float
    dropout: float
    targets: tuple[str, ...]
    """Names of linear layers, or ends of names."""
    dora: bool
    rslora: bool


def has_peft() -> bool:
    """Whether PEFT, an extra, is installed."""
    return importlib.util.find_spec("peft") is not None


def require_peft(model: str) -> None:
    """Raises FailedPreconditionError where a published model has an adapter, and PEFT is missing."""
    if not has_peft():
        raise FailedPreconditionError(
            f"{model} has an adapter, which takes PEFT, and the server lacks it: pip install 'headstart[adapters]'",
            reason=Reason.PEFT_NOT_INSTALLED,
        )


def linear_layers(model: nn.Module, targets: Sequence[str] = ()) -> list[str]:
    """Names of the linear layers of a model that `targets` name; of all where these are none.

    The pooler's, which embeddings do not come from, are only meant by a target that names it.
    """
    names = [name for name, module in model.named_modules() if type(module).__name__ in _LINEAR]
    if not targets:
        return [name for name in names if _POOLER not in name.split(".")]
    return [name for name in names if any(_means(target, name) for target in targets)]


def _means(target: str, name: str) -> bool:
    if _POOLER in name.split(".") and _POOLER not in target.split("."):
        return False
    return name == target or name.endswith(f".{target}")


def usual_targets(model: nn.Module) -> list[str]:
    """Ends of names of all linear layers: adapters of attention alone stay behind a training of the whole encoder
    (Dettmers et al. 2023, arXiv:2305.14314, section 4; `benchmarks/fine_tuning.py`)."""
    return sorted({name.rpartition(".")[2] for name in linear_layers(model)})


def adapt(encoder: TextEncoder, adapter: Adapter) -> TextEncoder:
    """Puts an adapter into an encoder in place, which gives what it gave until the adapter has learned."""
    from peft import LoraConfig

    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,  # type: ignore[arg-type] # PEFT divides it by the rank, whatever number it is
        lora_dropout=adapter.dropout,
        target_modules=linear_layers(encoder.model, adapter.targets),
        use_dora=adapter.dora,
        use_rslora=adapter.rslora,
    )
    return _injected(config, encoder)


def _injected(config: LoraConfig, encoder: TextEncoder) -> TextEncoder:
    from peft import inject_adapter_in_model

    inject_adapter_in_model(config, encoder.model)
    return encoder.train(encoder.training)  # what is new begins in training mode


def save_adapter(encoder: TextEncoder, folder: Path, base: str) -> None:
    """Saves what an adapter has learned in PEFT's own layout; `base` is the name of the weights beside which it did."""
    from peft import get_peft_model_state_dict

    # unless it is told not to save them, PEFT asks the hub whether the base model has as many tokens
    state = get_peft_model_state_dict(encoder.model, save_embedding_layers=False)
    save_file(
        {f"{_PREFIX}{name}": tensor.detach().cpu().contiguous() for name, tensor in state.items()},
        folder / _WEIGHTS,
        metadata={"format": "pt"},
    )
    config: Any = next(iter(encoder.model.peft_config.values()))  # type: ignore[operator]
    plain = config.to_dict() | {"base_model_name_or_path": base, "inference_mode": True}
    # sets of names, whose order is another in each process
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in plain.items()}
    (folder / _CONFIG).write_text(json.dumps(plain, indent=1, sort_keys=True), encoding="utf-8")


def load_adapter(encoder: TextEncoder, folder: Path, dropout: float = 0.0) -> TextEncoder:
    """Puts a saved adapter into an encoder in place, with what it has learned; it trains on with this dropout."""
    from peft import LoraConfig, set_peft_model_state_dict

    config = LoraConfig.from_pretrained(str(folder))
    config.lora_dropout = dropout
    config.inference_mode = False  # else it would not train on
    _injected(config, encoder)
    state = {name.removeprefix(_PREFIX): tensor for name, tensor in load_file(folder / _WEIGHTS).items()}
    found: Any = set_peft_model_state_dict(encoder.model, state)
    if found.unexpected_keys:
        raise ValueError(f"the adapter has {found.unexpected_keys[0]}, which its encoder lacks")
    return encoder


def merge(encoder: TextEncoder) -> TextEncoder:
    """Adds what an adapter has learned to the weights, in place, and removes the adapter."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    for name, module in list(encoder.model.named_modules()):
        if isinstance(module, BaseTunerLayer):
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(encoder.model.get_submodule(parent), own, module.get_base_layer())
    del encoder.model.peft_config
    return encoder
