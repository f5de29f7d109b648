"""Plans text inputs: the weights, their tokenizer and its length limit, pooling."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from headstart_server.core.errors import invalid
from headstart_server.embedding_store.space import Space
from headstart_server.encoders.adapters import adapt, load_adapter, save_adapter
from headstart_server.encoders.catalog import DEFAULT_TYPES, encoder_type
from headstart_server.encoders.deferred import DeferredEncoder
from headstart_server.encoders.last_layers import LastLayers, LayersBelow, UndividedError, divided, layers_below
from headstart_server.encoders.sources import ModelSource, ModelSources
from headstart_server.encoders.text import (
    TextEncoder,
    check_source,
    defer_encoder,
    dimension_of,
    empty_encoder,
    load_encoder,
    require_own_tokenizer,
    require_seeing_class,
    save_text_encoder,
)
from headstart_server.encoders.text_models import read_config
from headstart_server.encoders.text_preparation import TextPreparation, load_preparation
from headstart_server.encoders.text_shape import text_shape
from headstart_server.planning.pretrained import (
    PretrainedPlan,
    plan_adapter,
    plan_caching,
    plan_precision,
    plan_training,
)
from headstart_server.planning.resolution import Resolution
from headstart_server.spec.model import EncoderSpec, FeatureSpec

MAX_SEQUENCE_LENGTH = 256


@dataclass(frozen=True)
class TextPlan(PretrainedPlan):
    """One text input, resolved."""

    source: ModelSource
    preparation: TextPreparation
    last_layers: int = 0
    """How many train, on what those below give; 0: all do, or none."""
    layers_below: int = 0

    @property
    def stores_states(self) -> bool:
        """See PretrainedPlan."""
        return self.last_layers > 0

    @property
    def states_space(self) -> Space:
        """The space of what the layers below give for each token, in fp32: what is trained on it is served so."""
        width = text_shape(read_config(self.source)).width
        return replace(self.space, pooling=f"layer {self.layers_below}", precision="fp32", dimension=width)

    @property
    def space(self) -> Space:
        """See PretrainedPlan."""
        return Space(
            kind="text",
            weights=self.source.weights_digest,
            preparation=self.source.tokenizer_digest,
            pooling=self.reduction,
            max_length=self.preparation.max_length,
            precision=self.precision,
            dimension=self.dimension,
        )

    def load_encoder(self) -> TextEncoder | LastLayers:
        """See PretrainedPlan."""
        if self.stores_states:
            return self.load_parts()[1]
        encoder = self.load_whole()
        if self.adapter is None:
            return encoder
        if self.adapter_folder is not None:
            return load_adapter(encoder, self.adapter_folder, self.adapter.dropout)
        return adapt(encoder, self.adapter)

    def load_parts(self) -> tuple[LayersBelow, LastLayers]:
        """The layers below the last ones, and these; raises InvalidInputError where the encoder cannot be divided."""
        with division_named(f"{self.path}.encoder.trainable_layers", self.source.name):
            return divided(self.load_whole(), self.last_layers, self.states_space.dimension)

    def load_whole(self) -> TextEncoder:
        """The pretrained encoder, in float32."""
        encoder = load_encoder(self.source, self.reduction, use_pretrained=self.use_pretrained, field=self.path)
        require_seeing_class(encoder, self.source, f"{self.path}.encoder.reduce_output")
        return encoder

    def _deferred(self) -> DeferredEncoder | None:
        """See PretrainedPlan."""
        return defer_encoder(self.source, self.reduction)

    @property
    def preparation_reference(self) -> dict[str, Any]:
        """See PretrainedPlan."""
        return {"max_length": self.preparation.max_length}

    def save_encoder(self, encoder: nn.Module, folder: Path) -> None:
        """See PretrainedPlan."""
        if isinstance(encoder, LastLayers):
            encoder = encoder.put_into(self.load_whole())
        assert isinstance(encoder, TextEncoder)
        if self.adapter is not None:
            save_adapter(encoder, folder, self.source.name)
            return
        save_text_encoder(folder, encoder, self.preparation)
        self.source.copy_tokenizer(folder)  # what transformers writes is not for all tokenizers what it read


def plan_text(
    feature: FeatureSpec, path: str, sources: ModelSources, resolution: Resolution, device_type: str
) -> TextPlan:
    """Plans one text input; raises InvalidInputError."""
    source, reduction = _source(feature.encoder, path, sources, resolution)
    use_pretrained, tuning = plan_training(feature.encoder, path, resolution)
    cached = plan_caching(feature.preprocessing, path, resolution, tuning)
    preparation = _preparation(feature, path, source, resolution)
    last = feature.encoder.trainable_layers or 0
    below = _layers_below(source, reduction, last, f"{path}.encoder.trainable_layers") if last else 0
    adapter = None
    if feature.encoder.adapter is not None:
        model = empty_encoder(source, reduction).model
        adapter = plan_adapter(feature.encoder.adapter, f"{path}.encoder.adapter", resolution, model)
    return TextPlan(
        name=feature.name,
        path=path,
        source=source,
        preparation=preparation,
        reduction=reduction,
        dimension=dimension_of(source, reduction),
        use_pretrained=use_pretrained,
        tuning=tuning,
        cached=cached,
        precision=plan_precision(feature.preprocessing, path, resolution, device_type, cached=cached),
        adapter=adapter,
        last_layers=last,
        layers_below=below,
    )


def _layers_below(source: ModelSource, reduction: str, last: int, path: str) -> int:
    with division_named(path, source.name):
        return layers_below(empty_encoder(source, reduction), last)


@contextmanager
def division_named(path: str, name: str) -> Iterator[None]:
    """Raises InvalidInputError naming a field for an encoder that cannot be divided."""
    try:
        yield
    except UndividedError as error:
        raise invalid(path, f"the last layers of {name!r} cannot be trained so: {error}") from error


def _source(encoder: EncoderSpec, path: str, sources: ModelSources, resolution: Resolution) -> tuple[ModelSource, str]:
    """The weights, and how their token vectors become one, checked against each other."""
    type_path, name_path = f"{path}.encoder.type", f"{path}.encoder.pretrained_model_name_or_path"
    kind = encoder_type(resolution.settle(type_path, encoder.type, DEFAULT_TYPES["text"]), "text", type_path)
    name = resolution.settle(name_path, encoder.pretrained_model_name_or_path, kind.default_model)
    if not name:
        on_hand = ", ".join(sources.transformers_on_hand()) or "none"
        raise invalid(name_path, f"is missing; {kind.name} needs the name of its weights (on hand: {on_hand})")
    source = sources.find(name, encoder.revision, name_path)
    reduction = resolution.settle(f"{path}.encoder.reduce_output", encoder.reduce_output, "mean")
    check_source(source, kind, reduction, name_path)
    return source, reduction


def _preparation(feature: FeatureSpec, path: str, source: ModelSource, resolution: Resolution) -> TextPreparation:
    """The tokenizer and its length limit, which the encoder must be able to read."""
    given = feature.preprocessing.max_sequence_length
    preparation = load_preparation(
        source, given or MAX_SEQUENCE_LENGTH, f"{path}.encoder.pretrained_model_name_or_path"
    )
    require_own_tokenizer(source, preparation.tokenizer, f"{path}.encoder.pretrained_model_name_or_path")
    path = f"{path}.preprocessing.max_sequence_length"
    if given is not None and preparation.max_length < given:
        raise invalid(path, f"{given} is above the {preparation.max_length} tokens that {source.name!r} can read")
    resolution.settle(path, given, preparation.max_length)
    return preparation
