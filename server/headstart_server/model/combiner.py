"""The concat combiner: encoded features side by side, then fully connected layers."""

import torch
from torch import Tensor, nn

from headstart_server.model.layers import fully_connected, norm_layer
from headstart_server.spec.model import CombinerSpec

_WIDTH = 256
_VIRTUAL_BATCH = 128


class ConcatCombiner(nn.Module):
    """[b, d1], [b, d2], ... to [b, dimension]. A norm without layers normalises the joined vector."""

    def __init__(self, width: int, spec: CombinerSpec) -> None:
        super().__init__()
        layers = spec.num_fc_layers or 0
        norm, virtual = spec.norm or "none", spec.virtual_batch_size or _VIRTUAL_BATCH
        before: list[nn.Module] = [norm_layer(norm, width, virtual)] if layers == 0 and norm != "none" else []
        before += [nn.Dropout(spec.dropout)] if layers == 0 and spec.dropout else []
        stack, self.dimension = fully_connected(
            width, spec.output_size or _WIDTH, layers, spec.dropout or 0.0, norm, spec.activation or "relu", virtual
        )
        self.stack = nn.Sequential(*before, *stack)

    def forward(self, encoded: list[Tensor]) -> Tensor:
        """Joins in the order of the spec's input features."""
        joined = encoded[0] if len(encoded) == 1 else torch.cat(encoded, 1)
        combined: Tensor = self.stack(joined) if len(self.stack) else joined
        return combined
