"""The learning rate by optimizer step: linear warm-up, then decay."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Factor of the peak learning rate. `decay` is constant, linear, cosine, exponential or polynomial (square)."""

    total_steps: int
    steps_per_epoch: int
    warmup_fraction: float
    decay: str
    decay_rate: float

    def factor(self, step: int) -> float:
        """For step 0 .. total_steps - 1, in (0, 1]."""
        warmup = round(self.warmup_fraction * self.total_steps)
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = (step - warmup) / max(1, self.total_steps - warmup)
        match self.decay:
            case "linear":
                return 1.0 - progress
            case "cosine":
                return 0.5 * (1.0 + math.cos(math.pi * progress))
            case "polynomial":
                return (1.0 - progress) ** 2
            case "exponential":
                return float(self.decay_rate ** ((step - warmup) / max(1, self.steps_per_epoch)))
            case _:
                return 1.0
