"""Blocks that are computed twice to save memory."""

from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from headstart_server.encoders.blocks import repeated_blocks


def recompute(encoder: nn.Module) -> None:
    """Makes each block keep only its input for the backward pass, and compute the rest again there.

    Blocks with batch norms keep everything: they would take note of their rows twice.
    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016 (https://arxiv.org/abs/1604.06174).
    """
    for block in repeated_blocks(encoder):
        if not any(isinstance(module, _BatchNorm) for module in block.modules()):
            # the method, not the module: a wrapper around it would rename its parameters in the state
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)
