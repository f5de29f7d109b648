"""Short forms that YAML allows where the typed spec says a thing in one way only; no other spelling, so no notes."""

from __future__ import annotations

from typing import Any

from headstart_server.spec.augmentations import AUGMENTATIONS
from headstart_server.spec.ludwig.rewriting import ENCODERS, Reading, Section, Spelling, as_type

_TRUE = [{"type": "random_horizontal_flip"}, {"type": "random_rotate"}]
"""What `augmentation: true` means, as in Ludwig."""
_OWN = ("type", "parameters", "method")


def _workers(section: Section, path: str, reading: Reading) -> None:
    """`num_workers: {min: 2, max: 8}` as the two numbers that it is."""
    workers = section["num_workers"]
    if isinstance(workers, dict) and workers.keys() == {"min", "max"} and "min_workers" not in section:
        section |= {"num_workers": workers["max"], "min_workers": workers["min"]}
        reading.moves[f"{path.removesuffix('num_workers')}min_workers"] = f"{path}.min"


def _strategy(section: Section, path: str, reading: Reading) -> None:
    """`strategy: {type: deepspeed, zero_optimization: {stage: 3}}` as the name and the number that it is."""
    strategy = section["strategy"]
    if not isinstance(strategy, dict) or not isinstance(kind := strategy.get("type"), str) or "zero_stage" in section:
        return
    zero = strategy.get("zero_optimization", {})
    if strategy.keys() <= {"type", "zero_optimization"} and isinstance(zero, dict) and zero.keys() <= {"stage"}:
        section |= {"strategy": kind, **({"zero_stage": zero["stage"]} if zero else {})}
        reading.moves[f"{path.removesuffix('strategy')}zero_stage"] = f"{path}.zero_optimization.stage"


def _variant(section: Section, path: str, reading: Reading) -> None:
    """`model_variant: 50` as the word that it is."""
    del path, reading
    if type(section["model_variant"]) is int:
        section["model_variant"] = str(section["model_variant"])


def _augmentation(section: Section, path: str, reading: Reading) -> None:
    """`augmentation: true | false`, a word for a mapping, and parameters beside the type."""
    given = section["augmentation"]
    if isinstance(given, bool):
        section["augmentation"] = _TRUE if given else []
    elif isinstance(given, list):
        section["augmentation"] = [
            _one_augmentation(item, f"{path}[{index}]", reading) for index, item in enumerate(given)
        ]


def _one_augmentation(item: Any, path: str, reading: Reading) -> Any:
    if isinstance(item, str):
        return {"type": item}
    if not isinstance(item, dict) or "parameters" in item:
        return item
    known = AUGMENTATIONS.get(str(item.get("type")), {})
    beside = {
        key: value
        for key, value in item.items()
        if key not in _OWN and (_is_number(value) or (key in known and value not in (None, "auto")))
    }
    reading.moves |= {f"{path}.parameters.{key}": f"{path}.{key}" for key in beside}
    rest = {key: value for key, value in item.items() if key not in beside}
    return {**rest, "parameters": beside} if beside else item


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


NORMALIZATION: tuple[Spelling, ...] = (
    Spelling(
        "input_features[]",
        "augmentation",
        "true, false, words, and parameters beside the `type`: a list of `type` and `parameters`",
        _augmentation,
    ),
    *(Spelling(section, "model_variant", "may be a number", _variant) for section in ENCODERS),
    *(Spelling(section, "adapter", "a word is its `type`", as_type("adapter")) for section in ENCODERS),
    Spelling("backend.trainer", "num_workers", "`{min, max}`: `min_workers`, `num_workers`", _workers),
    Spelling(
        "backend.trainer", "strategy", "`{type, zero_optimization: {stage}}`: `strategy`, `zero_stage`", _strategy
    ),
)
