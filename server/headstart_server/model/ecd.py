"""The whole model: encoders, combiner, decoders; and the skip encoder that stands in for a frozen encoder."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.encoders.deferred import DeferredEncoder
from headstart_server.encoders.pretrained import PretrainedEncoder
from headstart_server.encoders.tabular import build_tabular
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.heads import HEADS
from headstart_server.model.neural_head import NeuralHead
from headstart_server.spec.model import CombinerSpec


class Tokens(NamedTuple):
    """A batch of token ids [b, t]; `mask` [b, t] is None where nothing is padded."""

    ids: Tensor
    mask: Tensor | None


class LayerInputs(NamedTuple):
    """A batch of token ids [b, t], their mask, and what the layers below the last ones give for them [b, t, d]."""

    ids: Tensor
    mask: Tensor | None
    states: Tensor


EMBEDDING_WEIGHT = 2.5
"""Length of a typical standardised embedding."""
_ROUNDINGS = 4.0
_RARE = 10.0
"""Deviations that the furthest row is away where one row in a hundred differs."""
_LEAST_LENGTH = 1e-6
_NEARLY_ALL, _LONGEST = 0.99, 2.0
"""Of the rows, which part is at most how many times as long as a typical embedding."""


class Embedded(NamedTuple):
    """Standardised embeddings [b, d], ready for the combiner."""

    vectors: Tensor


Value = Tensor | Tokens | LayerInputs | Embedded
Batch = Mapping[str, Value]
"""Values by feature name: arrays of tabular features, tokens of texts, crops [b, 3, h, w] of images, embeddings [b, d]
of skipped encoders."""


class SkipEncoder(nn.Module):
    """Stands in for a frozen encoder: passes stored embeddings [b, d] through as float32."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.dimension = dimension

    def forward(self, embeddings: Tensor) -> Tensor:
        """Passes through."""
        return embeddings.float()


class PretrainedInput(nn.Module):
    """A pretrained encoder and the standardisation of its embeddings, fitted on the training rows.

    The encoder can be taken out (`skip`) and put back (`restore`) at any time; a frozen one is never part of the
    head's state.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, dimension: int, tuning: Tuning = Tuning.FROZEN) -> None:
        super().__init__()
        self.dimension = dimension
        self.tuning = tuning
        self.encoder: nn.Module = SkipEncoder(dimension)
        self.deferred: DeferredEncoder | None = None
        """Where the encoder's parameters are, as long as nobody has read them."""
        self.register_buffer("shift", torch.zeros(dimension))
        self.register_buffer("scale", torch.ones(dimension))

    @property
    def skipped(self) -> bool:
        """Whether the skip encoder is in place."""
        return isinstance(self.encoder, SkipEncoder)

    @property
    def one_pass(self) -> bool:
        """Whether the encoder takes rows of any lengths or sizes together: see PretrainedEncoder."""
        return not isinstance(self.encoder, PretrainedEncoder) or self.encoder.one_pass

    def skip(self) -> None:
        """Puts the skip encoder in place: inputs are embeddings from now on."""
        self.encoder = SkipEncoder(self.dimension)

    def restore(self, encoder: nn.Module) -> None:
        """Puts the real encoder back: inputs are tokens or crops from now on. What is frozen gets no gradients."""
        self.encoder = encoder if self.tuning.partial else encoder.requires_grad_(self.tuning.trains)

    def defer(self, deferred: DeferredEncoder) -> None:
        """Puts an encoder in place whose parameters `read` will bring, once it is known which part of them is whose."""
        self.restore(deferred.encoder)
        self.deferred = deferred

    def read(self, device: torch.device) -> None:
        """Reads the parameters of a deferred encoder to a device."""
        if self.deferred is not None:
            self.deferred.read(device)
            self.deferred = None

    def tie(self) -> None:
        """Makes parameters one again that one of transformers' models shares, after each was given tensors."""
        tie = getattr(getattr(self.encoder, "model", None), "tie_weights", None)
        if tie is not None:
            tie()

    def standardise(self, embeddings: Tensor) -> None:
        """Fits shift and scale to a sample of training embeddings [n, d].

        Each column gets mean 0 and deviation 2.5 / sqrt(d), so that a wide embedding weighs as much as a few ordinary
        columns beside it rather than as d of them, and a linear head on it needs no more regularisation than on those.

        What does not vary beyond the rounding of its storage is scaled so that what training never saw does next to
        nothing: by sqrt(d) times the length of the embeddings, since Adam lets the weights of all d columns grow alike.
        So are all columns where fewer than about one row in a hundred differs from the others, which teaches nothing.
        Where a few in a hundred do, a deviation says how few they are rather than how much texts or images differ:
        columns are then scaled so that 99 rows of 100 are at most twice as long as a typical one.
        """
        sample = embeddings.float()
        self.shift.copy_(sample.mean(0))
        away, deviation = (sample - self.shift).abs().amax(0), sample.std(0, correction=0)
        # the type's in which they are stored: what differs by roundings of bf16 or fp16 does not vary
        rounding = _ROUNDINGS * torch.finfo(embeddings.dtype).eps * sample.abs().amax(0)
        # where a part p of the rows differs alike, these are sqrt((1 - p) / p) deviations away: 10 at one in a hundred
        unseen = (away <= rounding) | ((away > _RARE * deviation).float().mean() > 0.5)
        length = sample.square().sum(1).mean().sqrt().clamp(min=_LEAST_LENGTH)
        width = self.dimension**0.5
        scale = torch.where(unseen, length * width, deviation * width / EMBEDDING_WEIGHT)
        lengths = ((sample - self.shift) / scale).square().sum(1).sqrt()
        furthest = lengths.quantile(_NEARLY_ALL) if len(lengths) else lengths.new_zeros(())
        self.scale.copy_(scale * (furthest / (_LONGEST * EMBEDDING_WEIGHT)).clamp(min=1.0))

    def train(self, mode: bool = True) -> "PretrainedInput":
        """A frozen encoder stays in evaluation mode: its dropout would change stored embeddings."""
        super().train(mode)
        if not self.tuning.trains:
            self.encoder.eval()
        return self

    def forward(self, value: Tensor | Tokens | LayerInputs) -> Tensor:
        """Embeddings, tokens or crops to standardised embeddings [b, d]."""
        inputs = value if isinstance(value, tuple) else (value,)
        if self.tuning.trains:
            embedded: Tensor = self.encoder(*inputs)
        else:
            with torch.no_grad():
                embedded = self.encoder(*inputs)
        standardised: Tensor = (embedded.float() - self.shift) / self.scale
        return standardised


class ECD(nn.Module):
    """Encoder-combiner-decoder: the encoders of the inputs, and a head of some kind. Both keep the spec's order."""

    def __init__(
        self,
        inputs: Sequence[FittedFeature],
        outputs: Sequence[FittedFeature],
        combiner: CombinerSpec,
        pretrained: Mapping[str, PretrainedInput],
        head: str = NeuralHead.kind,
    ) -> None:
        super().__init__()
        self.input_names = [feature.name for feature in inputs]
        self.output_names = [feature.name for feature in outputs]
        self.encoders = nn.ModuleList(
            pretrained[feature.name]
            if feature.name in pretrained
            else build_tabular(feature, f"input_features[{index}]", HEADS[head].encoder_types)
            for index, feature in enumerate(inputs)
        )
        widths: list[Any] = [encoder.dimension for encoder in self.encoders]
        self.head = HEADS[head](widths, outputs, combiner)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Logits by output name."""
        logits: dict[str, Tensor] = self.head(self.encoded(batch))
        return logits

    def encoded(self, batch: Batch) -> list[Tensor]:
        """Encoded features [b, d], as the head takes them."""
        return [
            value.vectors if isinstance(value := batch[name], Embedded) else encoder(value)
            for name, encoder in zip(self.input_names, self.encoders, strict=True)
        ]

    def probabilities(self, logits: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Calibrated probabilities (values for numbers and vectors) by output name."""
        return self.head.probabilities(logits)

    def pretrained(self) -> dict[str, PretrainedInput]:
        """Pretrained inputs by name."""
        pairs = zip(self.input_names, self.encoders, strict=True)
        return {name: encoder for name, encoder in pairs if isinstance(encoder, PretrainedInput)}

    def learned_state(self) -> dict[str, Tensor]:
        """Everything that training changes: the state without what is frozen of encoders."""
        some = tuple(
            f"encoders.{index}.encoder."
            for index, encoder in enumerate(self.encoders)
            if isinstance(encoder, PretrainedInput) and (encoder.tuning.partial or not encoder.tuning.trains)
        )
        if not some:
            return dict(self.state_dict())
        training = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        state = self.state_dict().items()
        return {key: value for key, value in state if key in training or not key.startswith(some)}

    def load_learned_state(self, state: Mapping[str, Tensor], *, assign: bool = False) -> None:
        """The inverse of `learned_state`; raises RuntimeError for keys or shapes that do not fit.

        With `assign` the tensors themselves become the model's instead of being copied into what it has.
        """
        expected = set(self.learned_state())
        if expected != set(state):
            raise RuntimeError(f"state differs in {sorted(expected ^ set(state))[:5]}")
        # not strict, for what is frozen of encoders is missing; torch compares shapes all the same
        self.load_state_dict(dict(state), strict=False, assign=assign)
