"""The concat combiner: encoded features side by side, then fully connected layers."""

import torch
from torch import Tensor, nn

from headstart_server.model.layers import VIRTUAL_BATCH, fully_connected, norm_layer
from headstart_server.spec.layers import fc_layers
from headstart_server.spec.model import CombinerSpec


class ConcatCombiner(nn.Module):
    """[b, d1], [b, d2], ... to [b, dimension]. A norm without layers normalises the joined vector."""

    def __init__(self, width: int, spec: CombinerSpec) -> None:
        super().__init__()
        layers, norm = fc_layers(spec), spec.norm or "none"
        virtual = spec.virtual_batch_size or VIRTUAL_BATCH
        before: list[nn.Module] = [norm_layer(norm, width, virtual)] if not layers and norm != "none" else []
        before += [nn.Dropout(spec.dropout)] if not layers and spec.dropout else []
        stack, self.dimension = fully_connected(width, layers, virtual)
        self.stack = nn.Sequential(*before, *stack)

    def forward(self, encoded: list[Tensor]) -> Tensor:
        """Joins in the order of the spec's input features."""
        joined = encoded[0] if len(encoded) == 1 else torch.cat(encoded, 1)
        combined: Tensor = self.stack(joined) if len(self.stack) else joined
        return combined
