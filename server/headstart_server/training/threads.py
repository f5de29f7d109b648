"""Threads of the arithmetic: one for small heads, whose operations take less time than waking a second thread."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from headstart_server.model.ecd import ECD

_SMALL_STEP = 200_000_000


@contextmanager
def fitting_threads(model: ECD, batch_size: int, *, encoder_runs: bool) -> Iterator[None]:
    """Runs with one CPU thread where a step takes fewer than 2e8 operations.

    Threads that wait for each other at every operation of some microseconds cost far more than they bring, most of all
    on a machine with other work (`benchmarks/stored_epoch.py` shows a plain loop both ways).
    """
    before = torch.get_num_threads()
    weights = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    # by weight and row, 2 operations of the forward and 4 of the backward pass
    # (Kaplan et al. 2020, arXiv:2001.08361)
    small = not encoder_runs and 6 * weights * batch_size < _SMALL_STEP
    try:
        if small:
            torch.set_num_threads(1)
        yield
    finally:
        torch.set_num_threads(before)
