"""Rules of filling missing cells: which strategies a feature type has, and the constants that they need."""

import math
from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.model import FeatureSpec, TrainSpec

_ANY = ("drop_row", "fail")
_STRATEGIES = {
    "text": ("fill_with_const", *_ANY),
    "number": ("fill_with_mean", "fill_with_mode", "fill_with_const", *_ANY),
    "category": ("fill_with_unknown", "fill_with_mode", "fill_with_const", *_ANY),
    "binary": ("fill_with_false", "fill_with_mode", "fill_with_const", *_ANY),
    "set": _ANY,
    "vector": _ANY,
    "image": ("fill_with_const", *_ANY),
}


def missing_value_rules(merged: TrainSpec) -> Iterator[Violation]:
    """Strategies that a type does not have, and constants that are missing or of the wrong type."""
    for side in ("input_features", "output_features"):
        for index, feature in enumerate(getattr(merged, side)):
            path = f"{side}[{index}].preprocessing"
            yield from _strategy(feature, path, output=side == "output_features")
            yield from _constant(feature, path)


def _strategy(feature: FeatureSpec, path: str, *, output: bool) -> Iterator[Violation]:
    strategy = feature.preprocessing.missing_value_strategy
    known = [
        name for name in _STRATEGIES.get(feature.type, ()) if not (output and name == "fill_with_unknown")
    ]  # an output has labels only
    if strategy is not None and known and strategy not in known:
        otherwise = "; unset, a missing cell is an empty set" if feature.type == "set" else ""
        otherwise = "; unset, a missing cell is zeros" if feature.type == "vector" else otherwise
        yield Violation(
            f"{path}.missing_value_strategy",
            f"{strategy!r} is not for {feature.type} {'outputs' if output else 'inputs'}; "
            f"use {', '.join(known)}{'' if output else otherwise}",
        )


def _constant(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    if feature.preprocessing.missing_value_strategy != "fill_with_const":
        return
    value = feature.preprocessing.fill_value
    if value is None:
        if feature.type in ("category", "binary"):
            yield Violation(f"{path}.fill_value", "is missing; fill_with_const needs the value to fill in")
    elif feature.type == "number" and not _finite(value):
        yield Violation(f"{path}.fill_value", f"{value[:80]!r} is no finite number; give one, e.g. 0")


def _finite(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
