"""The repeated blocks of an encoder: what FSDP shards one at a time."""

from torch import nn


def repeated_blocks(encoder: nn.Module) -> list[nn.Module]:
    """The children of every list of two modules or more of one class, outermost first: a transformer's layers, a
    ResNet's bottlenecks. None where nothing is repeated."""
    if isinstance(encoder, nn.ModuleList | nn.Sequential) and _repeats(list(encoder)):
        return [block for block in encoder if any(True for _ in block.parameters())]
    return [block for child in encoder.children() for block in repeated_blocks(child)]


def _repeats(modules: list[nn.Module]) -> bool:
    return len(modules) > 1 and len({type(module) for module in modules}) == 1
