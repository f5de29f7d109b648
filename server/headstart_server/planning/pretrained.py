"""Plans pretrained inputs: which weights, how they are read, at which precision, stored or not."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from torch import nn

from headstart_server.core.errors import invalid
from headstart_server.core.reasons import Reason
from headstart_server.core.suggest import did_you_mean
from headstart_server.embedding_store.space import Space
from headstart_server.encoders.adapters import Adapter, has_peft, linear_layers, usual_targets
from headstart_server.encoders.deferred import DeferredEncoder
from headstart_server.encoders.image import ImageSource
from headstart_server.encoders.precision import fast_precision, why_fast
from headstart_server.encoders.tuning import Tuning
from headstart_server.model.encoder_store import EncoderReference
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.spec.adapter import AdapterSpec
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
    adapter: Adapter | None = field(default=None, kw_only=True)
    adapter_folder: Path | None = field(default=None, kw_only=True)
    """Where what the adapter begins with is saved; None: it begins with nothing."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """The embedding space of the frozen encoder."""

    @property
    def stores_states(self) -> bool:
        """Whether what the layers below the last ones give is stored, on which these train."""
        return False

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
        return self._deferred() if self.use_pretrained and not self.tuning.partial else None

    @abstractmethod
    def _deferred(self) -> DeferredEncoder | None:
        """Of the pretrained weights."""

    @abstractmethod
    def save_encoder(self, encoder: nn.Module, folder: Path) -> None:
        """Saves what training has changed of an encoder: its adapter, or all of it."""

    def reference(self, digest: str, folder: str) -> EncoderReference:
        """Where a bundle finds the encoder: in the encoder store by its digest, or fine-tuned in a folder of its own;
        of one with an adapter the folder is the adapter's."""
        return EncoderReference(
            kind=self.space.kind,
            name=self.source.name,
            digest=digest,
            folder="" if self.adapter is not None else folder,
            adapter=folder if self.adapter is not None else "",
            reduction=self.reduction,
            dimension=self.dimension,
            space={} if self.tuning.trains else self.space.describe(),
            **self.preparation_reference,
        )


def plan_training(encoder: EncoderSpec, path: str, resolution: Resolution) -> tuple[bool, Tuning]:
    """Whether training begins with the weights, and what it changes of them."""
    use_pretrained = resolution.settle(f"{path}.encoder.use_pretrained", encoder.use_pretrained, True)
    reason = "" if use_pretrained else "random weights must be trained"
    tuning = None
    if encoder.adapter is not None:
        tuning, reason = Tuning.ADAPTER, "its adapter is trained"
    if encoder.trainable_layers:
        tuning, reason = Tuning.LAST_LAYERS, "its last layers are trained"
        resolution.settle(f"{path}.encoder.trainable_layers", encoder.trainable_layers, encoder.trainable_layers)
    trains = tuning is not None or not use_pretrained
    trainable = resolution.settle(f"{path}.encoder.trainable", encoder.trainable, trains, reason)
    if tuning is not None:
        return use_pretrained, tuning
    return use_pretrained, Tuning.FULL if trainable else Tuning.FROZEN


def plan_adapter(given: AdapterSpec, path: str, resolution: Resolution, model: nn.Module) -> Adapter:
    """The adapter of an encoder, of whose model only the layers are asked; raises InvalidInputError for layers that
    there are not, and where PEFT is missing."""
    if not has_peft():
        message = "needs PEFT on the server, which is not installed there: pip install 'headstart[adapters]'"
        raise invalid(path, f"{message}, or leave it out", reason=Reason.PEFT_NOT_INSTALLED)
    if not linear_layers(model):
        raise invalid(path, "the encoder has no linear layer beside which it could learn; set encoder.trainable: true")
    settle = resolution.settle
    settle(f"{path}.type", given.type, "lora")
    rank = settle(f"{path}.r", given.r, 8)
    return Adapter(
        rank=rank,
        alpha=settle(f"{path}.alpha", given.alpha, 2.0 * rank, "twice the rank"),
        dropout=settle(f"{path}.dropout", given.dropout, 0.05),
        targets=_targets(given, f"{path}.target_modules", resolution, model),
        dora=settle(f"{path}.use_dora", given.use_dora, False),
        rslora=settle(f"{path}.use_rslora", given.use_rslora, False),
    )


def _targets(given: AdapterSpec, path: str, resolution: Resolution, model: nn.Module) -> tuple[str, ...]:
    for index, target in enumerate(given.target_modules):
        if not linear_layers(model, [target]):
            ends = sorted({name.rpartition(".")[2] for name in linear_layers(model)})
            message = f"{target[:80]!r} is no linear layer of the encoder; use some of {', '.join(ends[:12])}"
            raise invalid(f"{path}[{index}]", message + did_you_mean(target, ends))
    usual = "all linear layers but the pooler's (Dettmers et al. 2023)"
    return tuple(resolution.settle(path, given.target_modules or None, usual_targets(model), usual))


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
    preprocessing: PreprocessingSpec,
    path: str,
    resolution: Resolution,
    device_type: str,
    *,
    cached: bool,
    images: bool = False,
) -> str:
    """The arithmetic of the embedding pass: the fast one for texts, fp32 for images, unless the spec says which.

    An encoder whose embeddings are not cached has no such pass: its weights are in fp32, and it runs as training does.
    """
    given: str | None = preprocessing.embedding_precision
    path = f"{path}.preprocessing.embedding_precision"
    if not cached:
        if given is not None:
            message = "has no effect where embeddings are not cached; set trainer.use_mixed_precision, or leave it out"
            raise invalid(path, message)
        return "fp32"
    if images:
        return resolution.settle(path, given, "fp32", _IMAGES_IN_FP32)
    return resolution.settle(path, given, fast_precision(device_type), why_fast(device_type), Origin.MEASURED)
