"""The sections of a spec that say how is trained: the trainer and the backend."""

from typing import Annotated, Literal

from pydantic import Field

from headstart_server.spec.section import Section
from headstart_server.spec.values import (
    Decay,
    NotNegative,
    OptimizerType,
    Positive,
    Probability,
    Word,
)


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


class BoostingSpec(Section):
    """How boosted trees grow."""

    num_leaves: Annotated[int, Field(ge=2, le=4_096)] | None = None
    max_depth: Annotated[int, Field(le=64)] | None = None
    min_data_in_leaf: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None
    feature_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    bagging_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    bagging_freq: Annotated[int, Field(ge=0, le=100_000)] | None = None
    lambda_l1: NotNegative | None = None
    lambda_l2: NotNegative | None = None
    min_gain_to_split: NotNegative | None = None
    max_bin: Annotated[int, Field(ge=2, le=255)] | None = None


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
    boosting: BoostingSpec = BoostingSpec()


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
