"""Mixed precision of training: autocast, and loss scaling where the type's range asks for it."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim import Optimizer


@dataclass
class Precision:
    """`fp32`, `bf16` (autocast) or `fp16` (autocast with a gradient scaler)."""

    name: str
    device: torch.device
    scaler: torch.amp.GradScaler = field(init=False)

    def __post_init__(self) -> None:
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.name == "fp16")

    def autocast(self) -> AbstractContextManager[object]:
        """The context of the forward pass."""
        if self.name == "fp32":
            return nullcontext()
        dtype = torch.bfloat16 if self.name == "bf16" else torch.float16
        return torch.autocast(self.device.type, dtype=dtype)

    def backward(self, loss: Tensor) -> None:
        """Backpropagates, scaled for fp16."""
        if self.name == "fp16":
            loss = self.scaler.scale(loss)
        torch.autograd.backward(loss)

    def unscale(self, optimizer: Optimizer) -> None:
        """Gradients in true size, before they are clipped."""
        if self.name == "fp16":
            self.scaler.unscale_(optimizer)

    def step(self, optimizer: Optimizer) -> None:
        """Steps, unless fp16 gradients overflowed."""
        if self.name != "fp16":
            optimizer.step()
            return
        self.scaler.step(optimizer)
        self.scaler.update()
