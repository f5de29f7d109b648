"""How weights lie in memory: column by column multiplies the few tokens of a short text faster on CPUs."""

from torch import nn


def lay_for_short_texts(module: nn.Module) -> None:
    """Stores the weights of every linear layer column by column; values and shapes stay as they are.

    A matrix product with a handful of rows spends its time on reading the weights, and the CPU's libraries read them
    faster in the order of the product than transposed; with many rows it makes no difference. The ratio is measured by
    `python -m benchmarks.run predict`.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data = layer.weight.data.t().contiguous().t()
