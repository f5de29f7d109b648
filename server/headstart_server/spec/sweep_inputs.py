"""Trials without some of the inputs: `input_features[0].active` as a setting of a sweep."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from headstart_server.core.errors import InvalidInputError, Violation

_ACTIVE = re.compile(r"(input_features\[\d+\])\.active")
_INPUT = re.compile(r"input_features\[(\d+)\]")


def with_effect(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by path, without those of inputs that a trial leaves out, and without `active: true`, which all are."""
    left_out = [found[1] for path, value in drawn.items() if value is False and (found := _ACTIVE.fullmatch(path))]
    idle = tuple(f"{path}." for path in left_out)
    return {
        path: value
        for path, value in drawn.items()
        if (value is not True if activates(path) else not path.startswith(idle))
    }


def activates(path: str) -> bool:
    """Whether a setting says if an input is used."""
    return _ACTIVE.fullmatch(path) is not None


def take_inactive(values: dict[str, Any], inputs: int) -> Sequence[int]:
    """Takes the inputs out that are not active; returns the places of the others. Raises InvalidInputError for a value
    that is neither true nor false."""
    features = values.get("input_features", [])
    active = list(range(inputs))
    for index, feature in enumerate(features):
        value = feature.pop("active", True)
        if not isinstance(value, bool):
            path = f"sweep.parameters.input_features[{index}].active"
            raise InvalidInputError(Violation(path, f"{value!r} must be true or false"))
        if not value:
            active.remove(index)
    if features:
        features[:] = [features[index] for index in active]
    return active


def named_before(field: str, active: Sequence[int]) -> str:
    """A field of a trial's spec as the sweep's own spec has it, in which inputs stand that the trial leaves out."""

    def before(found: re.Match[str]) -> str:
        index = int(found[1])
        return f"input_features[{active[index]}]" if index < len(active) else found[0]

    return _INPUT.sub(before, field)
