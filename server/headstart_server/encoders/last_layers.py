"""A text encoder in two parts: the layers below, whose activations can be stored, and the last ones, which train."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from headstart_server.core.memory import ran_out_of_memory
from headstart_server.encoders.blocks import block_lists
from headstart_server.encoders.text_encoder import TextEncoder

_TOLERANCE = 1e-4
"""Of the length of an embedding, by which the two parts may differ from the whole."""
_ROWS, _TOKENS = 3, 7
_MORE = "its layers hand each other more than a vector for each token"
_UNORDERED = "its layers are not run one after the other"


class UndividedError(ValueError):
    """The encoder cannot be divided so; says why, for people."""


class _ReachedError(Exception):
    """The last layers were reached; carries what they read."""

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states


class _Placeholder(nn.Module):
    """Stands in for a layer, with its plain attributes, which some models ask their layers for."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        plain = {name: value for name, value in vars(block).items() if isinstance(value, str | int | float)}
        vars(self).update({name: value for name, value in plain.items() if name not in vars(self)})


class _End(_Placeholder):
    """Stands in for the first of the last layers, and ends the pass there."""

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        """Raises what it was given."""
        raise _ReachedError(hidden_states)


class _Given(_Placeholder):
    """Stands in for a layer below: passes on what it is given, or `states` [b, t, d] in its place.

    `answers` is how many things the layer answers in a tuple, of which others than the first are None then; 0: none.
    """

    states: Tensor | None = None

    def __init__(self, block: nn.Module, answers: int) -> None:
        super().__init__(block)
        self._answers = answers

    def forward(self, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor | tuple[Tensor | None, ...]:
        """See the class."""
        found = hidden_states if self.states is None else self.states
        return (found, *[None] * (self._answers - 1)) if self._answers else found


class LayersBelow(nn.Module):
    """Ids and mask [b, t] to what the last layers read, [b, t, d]. Takes an encoder apart; threads may share it."""

    def __init__(self, encoder: TextEncoder, last: int) -> None:
        super().__init__()
        blocks = _layers(encoder)
        below = _below(blocks, last)
        blocks[below] = _End(blocks[below])
        del blocks[below + 1 :]
        self._encoder, self.sharing, self.positions = encoder, encoder.sharing, encoder.positions

    @torch.no_grad()
    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        """See the class."""
        try:
            self._encoder(ids, mask)
        except _ReachedError as reached:
            # some pad within, or have the tokens first
            if reached.states.shape[:-1] != ids.shape:
                raise UndividedError(_MORE) from None
            return reached.states
        raise UndividedError(_UNORDERED)


class LastLayers(nn.Module):
    """The last layers of a text encoder: ids, mask and what the layers below give [b, t, d] to embeddings [b, d].

    The last layers train; what is around them (embeddings of tokens, norms, a pooler) stays as it is. Takes an encoder
    apart; not for several threads.
    """

    def __init__(self, encoder: TextEncoder, last: int) -> None:
        super().__init__()
        blocks = _layers(encoder)
        below, answers = _below(blocks, last), _answers(encoder, blocks[0])
        for index in range(below):
            blocks[index] = self._entry = _Given(blocks[index], answers)
        self.encoder = encoder.requires_grad_(False)
        self._last = tuple(blocks)[below:]
        for block in self._last:
            block.requires_grad_(True)

    def train(self, mode: bool = True) -> "LastLayers":
        """Puts the last layers alone into training mode: a model in it may pass over layers (LayerDrop), and with them
        over what is given in their place."""
        super().train(False)
        self.training = mode
        for block in self._last:
            block.train(mode)
        return self

    @property
    def one_pass(self) -> bool:
        """See PretrainedEncoder."""
        return self.encoder.one_pass

    def forward(self, ids: Tensor, mask: Tensor | None, states: Tensor) -> Tensor:
        """See the class."""
        self._entry.states = states
        try:
            embedded: Tensor = self.encoder(ids, mask)
        finally:
            self._entry.states = None
        return embedded

    def put_into(self, whole: TextEncoder) -> TextEncoder:
        """Gives an encoder the weights of these layers, in place."""
        learned = {name: value for name, value in self.encoder.named_parameters() if value.requires_grad}
        whole.load_state_dict({**whole.state_dict(), **learned})
        return whole


def divided(encoder: TextEncoder, last: int, width: int) -> tuple[LayersBelow, LastLayers]:
    """The two parts of an encoder, the lower of which gives vectors of this width.

    Raises UndividedError where they do not give what the whole gives, as in architectures whose layers hand each other
    more than vectors of tokens.
    """
    ids = torch.randint(
        min(_ROWS, encoder.vocabulary - 1),
        encoder.vocabulary,
        (_ROWS, _TOKENS),
        generator=torch.Generator().manual_seed(0),
    )
    if not encoder.one_pass:
        raise UndividedError("it reads texts of one length at a time")
    mask = (torch.arange(_TOKENS) < torch.tensor([[_TOKENS], [_TOKENS - 2], [3]])).long()
    ids = torch.where(mask.bool(), ids, encoder.padding)
    with torch.inference_mode():
        expected = encoder(ids, mask)
    try:
        with torch.inference_mode():
            below = LayersBelow(copy.deepcopy(encoder), last)
            states = below(ids, mask)
        if states.shape != (*ids.shape, width):
            raise UndividedError(_MORE)
        layers = LastLayers(encoder, last)
        with torch.inference_mode():
            found = layers(ids, mask, states)
    except (UndividedError, MemoryError):
        raise
    except Exception as error:  # models raise whatever they stumble over where a layer is not what they made
        if ran_out_of_memory(error):
            raise
        raise UndividedError(_MORE) from error
    if not (found - expected).norm() <= _TOLERANCE * expected.norm():
        raise UndividedError(_MORE)
    return below, layers


def _below(blocks: nn.ModuleList | nn.Sequential, last: int) -> int:
    """How many layers are below the last ones; raises UndividedError where there are none."""
    count = len(blocks)
    if not 0 < last < count:
        raise UndividedError(f"it has {count} layers: train 1 to {count - 1} of them, or all (trainable: true)")
    return count - last


def layers_below(encoder: TextEncoder, last: int) -> int:
    """How many layers of an encoder, which need not have weights, are below the last ones; raises UndividedError."""
    return _below(_layers(encoder), last)


def _layers(encoder: TextEncoder) -> nn.ModuleList | nn.Sequential:
    """The list of layers; raises UndividedError where there is none, or several."""
    lists = block_lists(encoder.model)
    if len(lists) != 1:
        raise UndividedError("it has no single list of layers")
    return lists[0]


def _answers(encoder: TextEncoder, block: nn.Module) -> int:
    """How many things a layer answers in a tuple; 0: it answers none."""
    found: list[int] = []
    handle = block.register_forward_hook(
        lambda *called: found.append(len(called[2]) if isinstance(called[2], tuple) else 0)
    )
    try:
        with torch.inference_mode():
            encoder(torch.full((1, 3), min(_ROWS, encoder.vocabulary - 1)), None)
    finally:
        handle.remove()
    if not found:
        raise UndividedError(_UNORDERED)
    return found[0]
