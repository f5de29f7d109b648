"""A table of token vectors, cut to those that a job's texts have, while it is trained.

Vectors that no row has get no gradient: they would only be carried through every step, with their gradients of zero and
the optimizer's state. Of some thousand English rows that is nine vectors in ten of BERT's table, and nearly all of a
multilingual one, which is most of such a model.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from headstart_server.encoders.text_encoder import TextEncoder
from headstart_server.encoders.text_shape import token_table

_WORTH_IT = 0.5
"""Of the table, the most that may be in use."""
_PROBED = 32


class UsedTokens(nn.Embedding):
    """Some vectors of a table, found by the ids that they have in it."""

    places: Tensor

    def __init__(self, table: nn.Embedding, used: Tensor) -> None:
        padding = table.padding_idx
        at = int((used == padding).nonzero()[0, 0]) if padding is not None else None
        super().__init__(len(used), table.embedding_dim, at, _weight=table.weight.detach()[used].clone())
        self.weight.requires_grad_(table.weight.requires_grad)
        self.num_embeddings = table.num_embeddings  # what models ask for is how many ids there are
        places = torch.full((table.num_embeddings,), -1, dtype=torch.int64, device=table.weight.device)
        places[used] = torch.arange(len(used), device=places.device)
        self.register_buffer("places", places, persistent=False)
        # in a tuple, so that it is no part of this module
        self._whole, self._used = (table.cpu(),), used.cpu()

    def forward(self, input: Tensor) -> Tensor:
        """See torch.nn.Embedding."""
        return functional.embedding(self.places[input], self.weight, self.padding_idx)

    def whole(self) -> nn.Embedding:
        """The table that it was cut from, with what these vectors have become."""
        (table,) = self._whole
        with torch.no_grad():
            table.weight[self._used] = self.weight.detach().to(table.weight)
        return table.to(self.weight.device)


def keep_used_tokens(encoder: TextEncoder, ids: npt.NDArray[np.integer]) -> bool:
    """Cuts an encoder's table of tokens to those of `ids`, until `restore_tokens`; returns whether it did.

    It does where that leaves at most half of the table, and where the encoder embeds just the same with what is left.
    """
    model: Any = encoder.model
    table = token_table(model)
    if not _is_plain(table):
        return False
    known = [encoder.padding] + ([table.padding_idx] if table.padding_idx is not None else [])
    used = np.union1d(ids, known)
    if len(used) > _WORTH_IT * table.num_embeddings or used[-1] >= table.num_embeddings:
        return False
    probed = ids[: min(_PROBED, encoder.positions or _PROBED)]
    some = torch.as_tensor(np.asarray(probed, np.int64), device=table.weight.device)[None]
    before = _embedded(encoder, some)
    # the whole table goes to the CPU with this
    model.set_input_embeddings(UsedTokens(table, torch.as_tensor(used, device=table.weight.device)))
    if not _has(encoder, table.weight) and torch.equal(_embedded(encoder, some), before):
        return True
    restore_tokens(encoder)
    return False


def restore_tokens(encoder: TextEncoder) -> None:
    """Puts the whole table back, where it was cut."""
    model: Any = encoder.model
    table = token_table(model)
    if isinstance(table, UsedTokens):
        model.set_input_embeddings(table.whole())


def _is_plain(table: Any) -> bool:
    return type(table) is nn.Embedding and not (table.max_norm or table.scale_grad_by_freq or table.sparse)


def _has(encoder: TextEncoder, weight: Tensor) -> bool:
    """Whether a part of an encoder, such as a layer that shares its table, still has this parameter."""
    return any(parameter is weight for parameter in encoder.parameters())


@torch.no_grad()
def _embedded(encoder: TextEncoder, ids: Tensor) -> Tensor:
    training = encoder.training
    found: Tensor = encoder.eval()(ids)
    encoder.train(training)
    return found
