"""Adam's step without the Python around it: for heads so small that this takes longer than the arithmetic."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


@dataclass(frozen=True)
class _Part:
    """A parameter group and its state, in the order of the fused operation's arguments."""

    group: dict[str, Any]
    parameters: list[Tensor]
    averages: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]


class DirectAdam:
    """Steps a fused torch.optim.Adam or AdamW by the one operation that its own `step` comes down to.

    The first step is torch's, which makes the state; it stays the optimizer's own, for checkpoints. So is every step in
    which a parameter has no gradient.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._operation = torch._fused_adamw_ if isinstance(optimizer, torch.optim.AdamW) else torch._fused_adam_
        self._parts: list[_Part] = []

    @staticmethod
    def suits(optimizer: Optimizer) -> bool:
        """Whether the optimizer is a plain fused Adam or AdamW over parameters of one device and type."""
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        return (
            type(optimizer) in (torch.optim.Adam, torch.optim.AdamW)
            and all(group["fused"] and not group["amsgrad"] for group in optimizer.param_groups)
            and len({(parameter.device, parameter.dtype) for parameter in parameters}) == 1
            and all(parameter.requires_grad for parameter in parameters)
        )

    @torch.no_grad()
    def step(self) -> None:
        """One step from the gradients that are there."""
        if not self._parts or any(parameter.grad is None for part in self._parts for parameter in part.parameters):
            self._optimizer.step()
            # anew after each of torch's own steps, which may have made state; `load_state_dict` puts other tensors
            # there, but only before the first step of a run that goes on
            self._parts = self._known_parts()
            return
        for part in self._parts:
            group = part.group
            # the two calls that torch 2.15's `_fused_adam` makes for each device and type
            torch._foreach_add_(part.steps, 1)
            self._operation(
                part.parameters,
                [parameter.grad for parameter in part.parameters if parameter.grad is not None],
                part.averages,
                part.squares,
                [],
                part.steps,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                amsgrad=False,
                maximize=group["maximize"],
            )

    def _known_parts(self) -> list[_Part]:
        """The groups with their state; none while a parameter has yet to get its first gradient."""
        parts = []
        for group in self._optimizer.param_groups:
            states = [self._optimizer.state.get(parameter, {}) for parameter in group["params"]]
            if not all(states):
                return []
            lists = ([state[name] for state in states] for name in ("exp_avg", "exp_avg_sq", "step"))
            parts.append(_Part(group, group["params"], *lists))
        return parts
