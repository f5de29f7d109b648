"""What every pretrained encoder can do, whatever it reads."""

from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import nn


class PretrainedEncoder(nn.Module, ABC):
    """A pretrained model that gives one embedding [b, d] a row."""

    dimension: int

    @property
    def one_pass(self) -> bool:
        """Whether one pass takes rows of any lengths or sizes together, as a traced graph does."""
        return True

    @abstractmethod
    def for_answers(self, device: torch.device, precision: str = "fp32") -> Self:
        """The frozen encoder on a device, in `fp32`, `bf16` or `fp16`, laid out for quick answers to few rows."""
