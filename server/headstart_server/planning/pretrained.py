"""Plans pretrained inputs: which weights, how they are read, at which precision, stored or not."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from torch import nn

from headstart_server.core.errors import invalid
from headstart_server.embedding_store.space import Space
from headstart_server.encoders.deferred import DeferredEncoder
from headstart_server.encoders.image import ImageSource
from headstart_server.encoders.precision import fast_precision, why_fast
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.bundle import EncoderReference
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.model import EncoderSpec, PreprocessingSpec

SERVED_PRECISION = "fp32"
"""The arithmetic in which Predict, Embed and exports answer."""
MOST_TEST_ROWS = 10_000
"""Test rows that are read again in it."""


@dataclass(frozen=True)
class PretrainedPlan(ABC):
    """One pretrained input, resolved."""

    name: str
    path: str
    source: ImageSource
    reduction: str
    dimension: int
    use_pretrained: bool
    tuning: Tuning
    cached: bool
    precision: str

    @property
    @abstractmethod
    def space(self) -> Space:
        """The embedding space of the frozen encoder."""

    @property
    def view_spaces(self) -> tuple[Space, ...]:
        """The spaces of augmented views that are stored of training rows."""
        return ()

    @property
    def view_seed(self) -> int:
        """What decides which view is read in which epoch."""
        return 0

    @property
    def passes(self) -> dict[str, Space]:
        """The embedding passes of a cached input by name: its own, then those of stored views of its training rows."""
        views = (None, *range(len(self.view_spaces)))
        return {self.pass_name(view): self.space_of(view) for view in views}

    def space_of(self, view: int | None) -> Space:
        """The space of all rows, or of one view of the training rows."""
        return self.space if view is None else self.view_spaces[view]

    def pass_name(self, view: int | None) -> str:
        """What progress calls the pass over all rows, or over one view."""
        return self.name if view is None else f"{self.name} (view {view + 1})"

    @property
    def reads_test_rows_again(self) -> bool:
        """Whether what is stored is no answer of Predict's, which reads test rows in fp32: see `as_served`."""
        return self.cached and self.precision != SERVED_PRECISION

    def as_served(self) -> Self:
        """The same input as Predict reads it, in fp32."""
        return replace(self, precision=SERVED_PRECISION)

    @property
    @abstractmethod
    def preparation_reference(self) -> dict[str, Any]:
        """What a bundle keeps of the preparation: fields of EncoderReference."""

    @abstractmethod
    def load_encoder(self) -> nn.Module:
        """The encoder as training begins with it, in float32."""

    def defer_encoder(self) -> DeferredEncoder | None:
        """`load_encoder`'s with its parameters yet to be read, part by part; None where that cannot be."""
        return self._deferred() if self.use_pretrained else None

    @abstractmethod
    def _deferred(self) -> DeferredEncoder | None:
        """Of the pretrained weights."""

    @abstractmethod
    def save_encoder(self, encoder: nn.Module, folder: Path) -> None:
        """Saves a fine-tuned encoder whole."""

    def reference(self, digest: str, folder: str) -> EncoderReference:
        """Where a bundle finds the encoder: in the encoder store by digest, or fine-tuned in a folder of its own."""
        return EncoderReference(
            kind=self.space.kind,
            name=self.source.name,
            digest=digest,
            folder=folder,
            reduction=self.reduction,
            dimension=self.dimension,
            space={} if self.tuning.trains else self.space.describe(),
            **self.preparation_reference,
        )


def plan_training(encoder: EncoderSpec, path: str, resolution: Resolution) -> tuple[bool, Tuning]:
    """Whether training begins with the weights, and what it changes of them."""
    use_pretrained = resolution.settle(f"{path}.encoder.use_pretrained", encoder.use_pretrained, True)
    reason = "" if use_pretrained else "random weights must be trained"
    trainable = resolution.settle(f"{path}.encoder.trainable", encoder.trainable, not use_pretrained, reason)
    return use_pretrained, Tuning.FULL if trainable else Tuning.FROZEN


def plan_caching(
    preprocessing: PreprocessingSpec, path: str, resolution: Resolution, tuning: Tuning, *, varies: str = ""
) -> bool:
    """Whether embeddings are stored: refused where they would be wrong, because the encoder learns or images vary.

    `varies` says why the input differs from epoch to epoch, if it does.
    """
    path = f"{path}.preprocessing.cache_encoder_embeddings"
    reason = "a frozen encoder gives the same embedding every time"
    if varies:
        reason = varies
    if tuning.trains:
        reason = "the encoder changes at every step"
    cached = resolution.settle(path, preprocessing.cache_encoder_embeddings, not (tuning.trains or varies), reason)
    if cached and tuning.trains:
        raise invalid(
            path,
            "true, but the encoder is trainable: every step would make the stored embeddings wrong; set it to false",
        )
    if cached and varies:
        raise invalid(
            path, f"true, but {varies}; set preprocessing.cached_views to store some views of each, or set it to false"
        )
    return cached


_IMAGES_IN_FP32 = (
    "in bf16 the rounding of a network of images adds up to a tenth of its features and more, and Predict, which reads "
    "images in fp32, would answer otherwise than this job's metrics say"
)


def plan_precision(
    preprocessing: PreprocessingSpec, path: str, resolution: Resolution, device_type: str, *, images: bool = False
) -> str:
    """The arithmetic of the embedding pass: the fast one for texts, fp32 for images, unless the spec says which."""
    given: str | None = preprocessing.embedding_precision
    path = f"{path}.preprocessing.embedding_precision"
    if images:
        return resolution.settle(path, given, "fp32", _IMAGES_IN_FP32)
    return resolution.settle(path, given, fast_precision(device_type), why_fast(device_type), Origin.MEASURED)
