"""The learning rate by optimizer step: linear warm-up, then decay."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Learning rates of one run. `decay` is constant, linear, cosine, exponential or polynomial (square)."""

    total_steps: int
    steps_per_epoch: int
    warmup_fraction: float
    decay: str
    decay_rate: float
    warmup_steps: int = 0
    """Of this and `warmup_fraction` the longer counts."""
    decay_steps: int = 0
    """`exponential`: in how many steps the rate is multiplied by `decay_rate`; 0: in an epoch's."""
    staircase: bool = False
    """`exponential`: whether it is multiplied once at the end of these."""
    t_0: int = 0
    """`cosine`: steps of the first cycle; 0: one cycle."""
    t_mult: int = 1
    """`cosine`: by what each cycle is longer than the one before."""
    eta_min: float = 0.0
    """`cosine`: the learning rate, not a part of it, at the end of each cycle."""

    @property
    def warmup(self) -> int:
        """Steps over which the rate rises."""
        return min(self.total_steps, max(round(self.warmup_fraction * self.total_steps), self.warmup_steps))

    def rate(self, step: int, peak: float) -> float:
        """The learning rate of step 0 .. total_steps - 1, for parameters whose peak rate is `peak`."""
        # the warm-up rises from 0 whatever `eta_min` is; a group whose peak is below `eta_min` keeps its peak
        floor = min(self.eta_min, peak) if step >= self.warmup else 0.0
        return floor + (peak - floor) * self.factor(step)

    def factor(self, step: int) -> float:
        """Where a step's rate lies between the least and the peak, in [0, 1]."""
        warmup = self.warmup
        if step < warmup:
            # between 0, at which the first step would do nothing, and 1, which is the first step's after the warm-up
            return (step + 1) / (warmup + 1)
        past = step - warmup
        progress = past / max(1, self.total_steps - warmup)
        match self.decay:
            case "linear":
                return 1.0 - progress
            case "cosine":
                return 0.5 * (1.0 + math.cos(math.pi * (self._progress_of_cycle(past) if self.t_0 else progress)))
            case "polynomial":
                return (1.0 - progress) ** 2
            case "exponential":
                periods = past / max(1, self.decay_steps or self.steps_per_epoch)
                return float(self.decay_rate ** (math.floor(periods) if self.staircase else periods))
            case _:
                return 1.0

    def _progress_of_cycle(self, past: int) -> float:
        """Source: Loshchilov and Hutter, SGDR: Stochastic Gradient Descent with Warm Restarts, 2017
        (https://arxiv.org/abs/1608.03983)."""
        length = self.t_0
        if self.t_mult == 1:
            return past % length / length
        while past >= length:
            past -= length
            length *= self.t_mult
        return past / length
