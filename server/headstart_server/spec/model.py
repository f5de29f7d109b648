"""The spec as values: pydantic twins of `protos/headstart/v1/spec.proto`. None means `auto`.

Key names and meanings follow Ludwig's schema (https://ludwig.ai/latest/configuration/). A contract test holds these
classes and the proto messages equal field by field.
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from headstart_server.spec.adapter import AdapterSpec
from headstart_server.spec.section import Section
from headstart_server.spec.sweep import SweepSpec
from headstart_server.spec.training_sections import BackendSpec, TrainerSpec
from headstart_server.spec.values import (
    Activation,
    Layers,
    LossType,
    MissingStrategy,
    Norm,
    Positive,
    Precision,
    Probability,
    Reduction,
    Weight,
    Width,
    Word,
)


class FcLayerSpec(Section):
    """One fully connected layer of its own settings."""

    output_size: Width | None = None
    dropout: Probability | None = None
    norm: Norm | None = None
    activation: Activation | None = None


class EncoderSpec(Section):
    """What turns a column into a vector."""

    type: Word | None = None
    pretrained_model_name_or_path: Word | None = None
    revision: Word | None = None
    use_pretrained: bool | None = None
    trainable: bool | None = None
    reduce_output: Reduction | None = None
    model_variant: Word | None = None
    embedding_size: Width | None = None
    output_size: Width | None = None
    num_layers: Layers | None = None
    dropout: Probability | None = None
    activation: Activation | None = None
    fc_layers: list[FcLayerSpec] = Field(default_factory=list, max_length=64)
    adapter: AdapterSpec | None = None
    trainable_layers: Annotated[int, Field(ge=1, le=1_000)] | None = None

    @property
    def learns(self) -> bool:
        """Whether training changes what a pretrained encoder gives."""
        return (
            bool(self.trainable)
            or self.use_pretrained is False
            or self.adapter is not None
            or self.trainable_layers is not None
        )


class PreprocessingSpec(Section):
    """Reading, cleaning and limits of one column."""

    verbatim = frozenset({"fill_value", "fallback_true_label"})

    cache_encoder_embeddings: bool | None = None
    max_sequence_length: Annotated[int, Field(ge=3, le=1_000_000)] | None = None
    lowercase: bool | None = None
    embedding_precision: Precision | None = None
    missing_value_strategy: MissingStrategy | None = None
    fill_value: Word | None = None
    normalization: Literal["zscore", "minmax", "log1p", "iq", "none"] | None = None
    most_common: Positive | None = None
    min_frequency: Positive | None = None
    fallback_true_label: Word | None = None
    vector_size: Positive | None = None
    separator: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    cached_views: Annotated[int, Field(ge=1, le=1_000)] | None = None
    bad_image_policy: Literal["fail", "drop", "default"] | None = None


class DecoderSpec(Section):
    """Turns the joined vector into a prediction."""

    num_fc_layers: Layers | None = None
    output_size: Width | None = None
    dropout: Probability | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    calibration: bool | None = None
    norm: Norm | None = None
    activation: Activation | None = None
    fc_layers: list[FcLayerSpec] = Field(default_factory=list, max_length=64)


class LossSpec(Section):
    """What is minimised for one output."""

    type: LossType | None = None
    weight: Weight | None = None
    class_weights: dict[str, Weight] = Field(default_factory=dict, max_length=100_000)
    balance_classes: bool | None = None
    positive_class_weight: Weight | None = None
    label_smoothing: Probability | None = None
    delta: Annotated[float, Field(gt=0, le=1e6)] | None = None


class AugmentationSpec(Section):
    """A random change of an image while training."""

    type: Word = ""
    parameters: dict[str, float] = Field(default_factory=dict)
    method: Word | None = None


class FeatureSpec(Section):
    """One column with a type."""

    verbatim = frozenset({"name", "column"})

    name: Word = ""
    type: Word = ""
    column: Word | None = None
    encoder: EncoderSpec = EncoderSpec()
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    decoder: DecoderSpec = DecoderSpec()
    loss: LossSpec = LossSpec()
    top_k: Positive | None = None
    augmentation: list[AugmentationSpec] = Field(default_factory=list, max_length=100)

    @model_validator(mode="before")
    @classmethod
    def _fill_with_a_number(cls, value: Any) -> Any:
        """A number column's fill value may be written as the number that it is; of labels, `07` and 7 are two."""
        match value:
            case {"type": "number", "preprocessing": {"fill_value": int() | float() as fill}} if not isinstance(
                fill, bool
            ):
                return {**value, "preprocessing": {**value["preprocessing"], "fill_value": repr(fill)}}
        return value

    @property
    def source(self) -> str:
        """The column that the feature reads."""
        return self.column or self.name


class FeatureDefaultsSpec(Section):
    """Settings shared by every feature of one type."""

    encoder: EncoderSpec = EncoderSpec()
    preprocessing: PreprocessingSpec = PreprocessingSpec()
    decoder: DecoderSpec = DecoderSpec()
    loss: LossSpec = LossSpec()


class CombinerSpec(Section):
    """Joins encoded features."""

    type: Literal["concat"] | None = None
    num_fc_layers: Layers | None = None
    output_size: Width | None = None
    dropout: Probability | None = None
    norm: Norm | None = None
    virtual_batch_size: Annotated[int, Field(ge=2)] | None = None
    activation: Activation | None = None
    fc_layers: list[FcLayerSpec] = Field(default_factory=list, max_length=64)


class SplitSpec(Section):
    """How rows become training, validation and test rows."""

    verbatim = frozenset({"column"})

    type: Literal["random", "stratify", "hash", "fixed"] | None = None
    probabilities: list[Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=list, max_length=3)
    column: Word | None = None


class GlobalPreprocessingSpec(Section):
    """Rows: how they are split and sampled."""

    split: SplitSpec = SplitSpec()
    sample_ratio: Annotated[float, Field(gt=0, le=1)] | None = None
    sample_size: Positive | None = None
    oversample_minority: Annotated[float, Field(gt=0, le=1)] | None = None
    undersample_majority: Annotated[float, Field(gt=0, le=1)] | None = None


class TrainSpec(Section):
    """What a user asks for."""

    input_features: list[FeatureSpec] = Field(default_factory=list, max_length=4_096)
    output_features: list[FeatureSpec] = Field(default_factory=list, max_length=4_096)
    combiner: CombinerSpec = CombinerSpec()
    trainer: TrainerSpec = TrainerSpec()
    backend: BackendSpec = BackendSpec()
    preprocessing: GlobalPreprocessingSpec = GlobalPreprocessingSpec()
    defaults: dict[str, FeatureDefaultsSpec] = Field(default_factory=dict, max_length=50)
    notes: list[Word] = Field(default_factory=list, max_length=100)
    model_type: Literal["ecd", "gbm", "ridge", "knn"] | None = None
    sweep: SweepSpec = SweepSpec()

    @property
    def boosted(self) -> bool:
        """Whether boosted trees learn."""
        return self.model_type == "gbm"

    @property
    def by_steps(self) -> bool:
        """Whether layers learn, step by step."""
        return self.model_type in (None, "ecd")

    @property
    def features(self) -> list[FeatureSpec]:
        """Inputs, then outputs."""
        return [*self.input_features, *self.output_features]

    def compact(self, sections: Collection[str] | None = None) -> dict[str, Any]:
        """The spec, or some sections of it, as plain values without what is unset: what is stored and compared."""
        include = None if sections is None else set(sections)
        compacted: dict[str, Any] = _without_empty(self.model_dump(mode="python", include=include))
        return compacted


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = ((key, _without_empty(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None and item != {} and item != []}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
