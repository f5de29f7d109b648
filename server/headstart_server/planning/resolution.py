"""Collects resolved values: what each `auto` became, and why."""

from copy import deepcopy
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

from headstart_server.spec.model import TrainSpec

T = TypeVar("T")


class Origin(StrEnum):
    """Where a resolved value came from."""

    GIVEN = "given"
    DEFAULT = "default"
    RULE = "rule"
    MEASURED = "measured"


@dataclass(frozen=True)
class ResolvedValue:
    """One value of the resolved spec."""

    path: str
    value: Any
    origin: Origin
    reason: str = ""


@dataclass
class Resolution:
    """A spec on its way from `auto` to values."""

    _values: dict[str, Any]
    resolved: dict[str, ResolvedValue] = field(default_factory=dict)

    @classmethod
    def of(cls, spec: TrainSpec) -> "Resolution":
        """Starts from what was given."""
        return cls(deepcopy(spec.compact()))

    def settle(self, path: str, given: T | None, otherwise: T, reason: str = "", origin: Origin | None = None) -> T:
        """Records the given value, or `otherwise` (a default; with a reason, a rule). Returns it."""
        if given is not None:
            return self.record(path, given, Origin.GIVEN)
        return self.record(path, otherwise, origin or (Origin.RULE if reason else Origin.DEFAULT), reason)

    def record(self, path: str, value: T, origin: Origin, reason: str = "") -> T:
        """Records a value, replacing an earlier one of the same path."""
        self.resolved[path] = ResolvedValue(path, value, origin, reason)
        _set(self._values, path, value)
        return value

    def spec(self) -> TrainSpec:
        """The resolved spec."""
        return TrainSpec.model_validate(self._values)


def _set(values: dict[str, Any], path: str, value: Any) -> None:
    target: Any = values
    # `input_features[0].name` as input_features, #0, name
    parts = path.replace("[", ".#").replace("]", "").split(".")
    for part in parts[:-1]:
        target = target[int(part[1:])] if part.startswith("#") else target.setdefault(part, {})
    target[parts[-1]] = value
