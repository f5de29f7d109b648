"""The repeated blocks of an encoder: a transformer's layers, a ResNet's bottlenecks."""

from torch import nn


def repeated_blocks(encoder: nn.Module) -> list[nn.Module]:
    """The children of every list of two modules or more of one class, outermost first. None where nothing is
    repeated."""
    return [block for blocks in block_lists(encoder) for block in blocks if any(True for _ in block.parameters())]


def block_lists(encoder: nn.Module) -> list[nn.ModuleList | nn.Sequential]:
    """Every list of two modules or more of one class, outermost first."""
    if isinstance(encoder, nn.ModuleList | nn.Sequential) and _repeats(list(encoder)):
        return [encoder]
    return [found for child in encoder.children() for found in block_lists(child)]


def _repeats(modules: list[nn.Module]) -> bool:
    return len(modules) > 1 and len({type(module) for module in modules}) == 1
