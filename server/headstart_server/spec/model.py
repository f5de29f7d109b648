"""The spec as values: pydantic twins of `protos/headstart/v1/spec.proto`. None means `auto`.

Key names and meanings follow Ludwig's schema (https://ludwig.ai/latest/configuration/). A contract test holds these
classes and the proto messages equal field by field.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

InputType = Literal["text", "image", "number", "category", "binary", "set", "vector"]
Probability = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, le=1_000_000)]
Positive = Annotated[int, Field(ge=1, le=1_000_000_000)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Layers = Annotated[int, Field(ge=0, le=64)]
Word = Annotated[str, Field(max_length=1_000)]
Weight = Annotated[float, Field(ge=1e-6, le=1e6)]
"""Of a loss. Outside these bounds float32 loses one to the other; a batch of weight 0 has no mean."""
Precision = Literal["fp32", "bf16", "fp16"]
Reduction = Literal["cls", "cls_pooled", "mean", "max", "last", "sum"]
Norm = Literal["batch", "layer", "ghost", "none"]
Activation = Literal["relu", "gelu", "tanh", "leakyRelu", "sigmoid", "elu"]
MissingStrategy = Literal[
    "fill_with_const",
    "fill_with_mode",
    "fill_with_mean",
    "fill_with_false",
    "fill_with_unknown",
    "drop_row",
    "fail",
]
Decay = Literal["constant", "linear", "cosine", "exponential", "polynomial"]
LossType = Literal[
    "softmax_cross_entropy",
    "binary_weighted_cross_entropy",
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "sigmoid_cross_entropy",
]
OptimizerType = Literal[
    "adamw", "adam", "sgd", "adafactor", "nadam", "radam", "adagrad", "adadelta", "adamax", "rmsprop", "asgd"
]


class Section(BaseModel):
    """Base of every part of a spec: strict types, no unknown keys, immutable, `auto` reads as None."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    verbatim: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold the data's own words, where `auto` is a word like any other (a column of cars)."""

    @model_validator(mode="before")
    @classmethod
    def _drop_auto(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: item for key, item in value.items() if item is not None and (item != "auto" or key in cls.verbatim)
            }
        return value


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


class LearningRateSchedulerSpec(Section):
    """Warm-up and decay of the learning rate, by optimizer step."""

    warmup_fraction: Annotated[float, Field(ge=0, le=1)] | None = None
    decay: Decay | None = None
    decay_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    warmup_evaluations: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    decay_steps: Positive | None = None
    staircase: bool | None = None
    eta_min: Annotated[float, Field(ge=0, le=100)] | None = None
    t_0: Positive | None = None
    t_mult: Annotated[int, Field(ge=1, le=1_000)] | None = None
    reduce_on_plateau: Annotated[int, Field(ge=0, le=1_000)] | None = None
    reduce_on_plateau_patience: Annotated[int, Field(ge=0, le=100_000)] | None = None
    reduce_on_plateau_rate: Annotated[float, Field(gt=0, lt=1)] | None = None
    reduce_eval_metric: Word | None = None
    reduce_eval_split: Literal["training", "validation", "test"] | None = None


class OptimizerSpec(Section):
    """The optimizer."""

    type: OptimizerType | None = None
    weight_decay: Annotated[float, Field(ge=0)] | None = None
    betas: list[Probability] = Field(default_factory=list, max_length=2)
    eps: Annotated[float, Field(gt=0)] | None = None
    momentum: Probability | None = None
    nesterov: bool | None = None
    amsgrad: bool | None = None
    dampening: Probability | None = None
    rho: Probability | None = None
    initial_accumulator_value: NotNegative | None = None
    lr_decay: NotNegative | None = None
    alpha: Probability | None = None
    centered: bool | None = None
    momentum_decay: NotNegative | None = None


class GradientClippingSpec(Section):
    """Gradient clipping."""

    clipglobalnorm: Annotated[float, Field(gt=0)] | None = None
    clipnorm: Annotated[float, Field(gt=0)] | None = None
    clipvalue: Annotated[float, Field(gt=0)] | None = None


class TrainerSpec(Section):
    """How to train."""

    epochs: Annotated[int, Field(ge=1, le=100_000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_batch_size: Annotated[int, Field(ge=1, le=1_048_576)] | None = None
    eval_batch_size: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=100)] | None = None
    learning_rate_scaling: Literal["constant", "sqrt", "linear"] | None = None
    learning_rate_scheduler: LearningRateSchedulerSpec = LearningRateSchedulerSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    use_mixed_precision: bool | None = None
    compile: bool | None = None
    gradient_accumulation_steps: Annotated[int, Field(ge=1, le=100_000)] | None = None
    gradient_clipping: GradientClippingSpec = GradientClippingSpec()
    evaluate_training_set: bool | None = None
    early_stop: Annotated[int, Field(le=100_000)] | None = None
    validation_metric: Word | None = None
    random_seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    checkpoint: bool | None = None
    train_steps: Positive | None = None
    steps_per_checkpoint: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    checkpoints_per_epoch: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    regularization_type: Literal["l1", "l2", "l1_l2"] | None = None
    regularization_lambda: NotNegative | None = None
    should_shuffle: bool | None = None


class BackendTrainerSpec(Section):
    """Workers of a distributed run."""

    strategy: Literal["ddp", "fsdp", "deepspeed", "horovod"] | None = None
    num_workers: Annotated[int, Field(ge=1, le=100_000)] | None = None
    use_gpu: bool | None = None
    resources_per_worker: dict[str, float] = Field(default_factory=dict)
    min_workers: Annotated[int, Field(ge=1, le=100_000)] | None = None
    activation_checkpointing: bool | None = None
    cpu_offload: bool | None = None
    image_workers: Annotated[int, Field(ge=0, le=100_000)] | None = None
    zero_stage: Annotated[int, Field(ge=1, le=3)] | None = None


class BackendSpec(Section):
    """Where to train."""

    type: Literal["local", "ray"] | None = None
    trainer: BackendTrainerSpec = BackendTrainerSpec()


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

    @property
    def features(self) -> list[FeatureSpec]:
        """Inputs, then outputs."""
        return [*self.input_features, *self.output_features]

    def compact(self) -> dict[str, Any]:
        """The spec as plain values without what is unset: what is stored and compared."""
        compacted: dict[str, Any] = _without_empty(self.model_dump(mode="python"))
        return compacted


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = ((key, _without_empty(item)) for key, item in value.items())
        return {key: item for key, item in pairs if item is not None and item != {} and item != []}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
