"""Counted arithmetic: what an encoder must compute for its real tokens, and how fast the machine multiplies."""

import time
from typing import Any

import numpy as np
import torch
from headstart_server.encoders.precision import DTYPES

from benchmarks.support.machine import device, synchronise

_TOKENS = 8_192


def encoder_flops(config: Any, lengths: list[int]) -> float:
    """Floating-point operations of a forward pass over rows of these lengths, padding not counted.

    Per layer and token: four projections of hidden x hidden and two of hidden x intermediate at two operations per
    weight, and the products of attention, which grow with the row's length.
    """
    tokens = np.asarray(lengths, np.float64)
    linear = 2.0 * (4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size)
    attention = 4.0 * config.hidden_size * tokens
    return float(config.num_hidden_layers * (tokens * (linear + attention)).sum())


class MatrixProducts:
    """The products of one encoder layer's linear parts at full batches: the machine's own rate on these shapes."""

    def __init__(self, config: Any, precision: str) -> None:
        hidden, wide, dtype = config.hidden_size, config.intermediate_size, DTYPES[precision]
        shapes = [(hidden, 3 * hidden), (hidden, hidden), (hidden, wide), (wide, hidden)]
        self._pairs = [
            (
                torch.randn(_TOKENS, rows, device=device()).to(dtype),
                torch.randn(rows, columns, device=device()).to(dtype),
            )
            for rows, columns in shapes
        ]
        self.flops: float = sum(2.0 * _TOKENS * rows * columns for rows, columns in shapes)

    def flops_per_second(self, seconds: float = 1.0) -> float:
        """Measured over about `seconds`."""
        rounds, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds:
            for left, right in self._pairs:
                torch.mm(left, right)
            synchronise()
            rounds += 1
        return rounds * self.flops / (time.perf_counter() - start)
