"""Batches that may be padded to a given part."""

from __future__ import annotations

from functools import partial

from headstart_server.encoders.batches import Cut, by_length
from headstart_server.encoders.passes import CPU_BATCH_TOKENS


def wasting(waste: float | None) -> Cut | None:
    """Up to `waste` of a batch's width is padding, or what a pass does by itself."""
    if waste is None:
        return None
    return partial(by_length, budget=CPU_BATCH_TOKENS, waste=waste, few=CPU_BATCH_TOKENS)
