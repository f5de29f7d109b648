"""One tensor that goes into an exported graph."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class GraphInput:
    """One tensor of the graph; `axes` are its dimensions, strings where they may vary."""

    name: str
    feature: str
    role: str
    """`input_ids`, `attention_mask`, `image`, `embedding` or `value`."""
    dtype: torch.dtype
    axes: tuple[str | int, ...]
    column: str
