"""The repeated blocks of an encoder: what FSDP shards one at a time, and what may be computed twice to save memory."""

from functools import partial

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def repeated_blocks(encoder: nn.Module) -> list[nn.Module]:
    """The children of every list of two modules or more of one class, outermost first: a transformer's layers, a
    ResNet's bottlenecks. None where nothing is repeated."""
    if isinstance(encoder, nn.ModuleList | nn.Sequential) and _repeats(list(encoder)):
        return [block for block in encoder if any(True for _ in block.parameters())]
    return [block for child in encoder.children() for block in repeated_blocks(child)]


def recompute(encoder: nn.Module) -> None:
    """Makes each block keep only its input for the backward pass, and compute the rest again there.

    Blocks with batch norms keep everything: they would take note of their rows twice.
    Source: Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016 (https://arxiv.org/abs/1604.06174).
    """
    for block in repeated_blocks(encoder):
        if not any(isinstance(module, _BatchNorm) for module in block.modules()):
            # the method, not the module: a wrapper around it would rename its parameters in the state
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)


def _repeats(modules: list[nn.Module]) -> bool:
    return len(modules) > 1 and len({type(module) for module in modules}) == 1
