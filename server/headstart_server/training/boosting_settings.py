"""The resolved settings of boosting."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class BoostingSettings:
    """How many rounds, and how each tree grows."""

    rounds: int
    """At most."""
    rounds_per_evaluation: int
    learning_rate: float
    seed: int
    parameters: Mapping[str, float] = field(default_factory=dict)
    """Of trees, by LightGBM's names."""

    @property
    def draws(self) -> bool:
        """Whether each round sees other rows or columns."""
        drawn = (self.parameters.get("feature_fraction", 1.0), self.parameters.get("bagging_fraction", 1.0))
        return min(drawn) < 1.0
