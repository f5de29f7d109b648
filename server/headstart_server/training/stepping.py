"""One optimizer step: the rate, clipping, the update."""

import torch
from torch.nn import Parameter
from torch.optim import Optimizer

from headstart_server.training.direct import DirectAdam
from headstart_server.training.optimizer import set_rates
from headstart_server.training.penalty import Penalty
from headstart_server.training.precision import Precision
from headstart_server.training.schedule import Schedule

Clipping = tuple[str, float]
"""`clipglobalnorm`, `clipnorm` or `clipvalue`, and its size."""


class Stepper:
    """Steps an optimizer by its schedule, and forgets the gradients."""

    def __init__(
        self,
        optimizer: Optimizer,
        schedule: Schedule,
        precision: Precision,
        clipping: Clipping | None,
        penalty: Penalty | None = None,
        *,
        direct: bool,
    ) -> None:
        self.optimizer, self.schedule, self._precision = optimizer, schedule, precision
        self._clipping, self._penalty = clipping, penalty
        # the scaler of fp16 has to see each step, which it leaves out where gradients overflowed
        direct = direct and precision.name != "fp16" and DirectAdam.suits(optimizer)
        self._direct = DirectAdam(optimizer) if direct else None
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def step(self, step: int, scale: float = 1.0) -> float:
        """Step number `step`, from 0, at `scale` times the schedule's learning rate, which it returns."""
        rate = set_rates(self.optimizer, lambda peak: scale * self.schedule.rate(step, peak))
        # in this order: a penalty's gradient is not scaled by the loss scale, and what is clipped contains it
        if self._clipping is not None or self._penalty is not None:
            self._precision.unscale(self.optimizer)
        if self._penalty is not None:
            self._penalty.add_gradients(self._parameters)
        if self._clipping is not None:
            clip(self._parameters, *self._clipping)
        if self._direct is not None:
            self._direct.step()
        else:
            self._precision.step(self.optimizer)
        for parameter in self._parameters:
            parameter.grad = None
        return rate


def clip(parameters: list[Parameter], kind: str, size: float) -> None:
    """Clips gradients: all of them to a global norm, each to a norm, or every value."""
    if kind == "clipglobalnorm":
        torch.nn.utils.clip_grad_norm_(parameters, size)
    elif kind == "clipvalue":
        torch.nn.utils.clip_grad_value_(parameters, size)
    else:
        for parameter in parameters:
            torch.nn.utils.clip_grad_norm_(parameter, size)
