"""Resolves the trainer section: rules over the data and the path that training takes."""

import os
import shutil
from dataclasses import dataclass

from headstart_server.core.reasons import Notice
from headstart_server.encoders.precision import fast_precision
from headstart_server.planning import rules
from headstart_server.planning.resolution import Origin, Resolution
from headstart_server.planning.schedule import SchedulePlan, metric_called, plan_schedule
from headstart_server.spec.model import TrainSpec
from headstart_server.training.boosting_settings import BoostingSettings
from headstart_server.training.penalty import Penalty

EVAL_BATCH = 4_096
EVAL_BATCH_ENCODER = 64
EVAL_BATCH_ADAPTER = 16
"""Adapters are for little memory."""


@dataclass(frozen=True)
class TrainerPlan:
    """The trainer section, resolved as far as rules can. Measured values are settled by the engine."""

    epochs: int
    batch_size: int
    batch_size_given: bool
    eval_batch_size: int
    learning_rate: float
    head_learning_rate: float
    schedule: SchedulePlan
    precision: str
    compile: bool
    accumulation: int
    clipping: tuple[str, float] | None
    evaluate_training_set: bool
    early_stop: int
    validation_metric: str
    seed: int
    checkpoint: bool
    train_steps: int
    """Of the whole run; 0: those of `epochs`."""
    steps_per_checkpoint: int
    checkpoints_per_epoch: int
    penalty: Penalty | None
    shuffle: bool
    warnings: tuple[tuple[str, str], ...]
    boosting: BoostingSettings | None = None
    """Of boosted trees, for which the settings of steps say nothing."""


def seed_of(spec: TrainSpec) -> int:
    """The seed of everything random."""
    return spec.trainer.random_seed if spec.trainer.random_seed is not None else 42


def plan_without_steps(spec: TrainSpec, resolution: Resolution, rows: int, *, encoder_runs: bool) -> TrainerPlan:
    """Resolves `trainer` of a spec whose head learns from all rows at once, without settings of steps."""
    trainer, settle = spec.trainer, resolution.settle
    eval_batch = EVAL_BATCH_ENCODER if encoder_runs else EVAL_BATCH
    metric = settle("trainer.validation_metric", trainer.validation_metric, "loss")
    return TrainerPlan(
        epochs=1,
        batch_size=rows,
        batch_size_given=True,
        eval_batch_size=settle("trainer.eval_batch_size", trainer.eval_batch_size, eval_batch),
        learning_rate=0.0,
        head_learning_rate=0.0,
        schedule=SchedulePlan(decay="constant"),
        precision="fp32",
        compile=False,
        accumulation=1,
        clipping=None,
        evaluate_training_set=True,
        early_stop=0,
        validation_metric=metric_called(metric, spec, "trainer.validation_metric"),
        seed=settle("trainer.random_seed", trainer.random_seed, 42),
        checkpoint=False,
        train_steps=0,
        steps_per_checkpoint=0,
        checkpoints_per_epoch=1,
        penalty=None,
        shuffle=False,
        warnings=tuple((Notice.SPELLING, note) for note in spec.notes),
    )


def plan_trainer(
    spec: TrainSpec,
    resolution: Resolution,
    rows: int,
    device_type: str,
    *,
    encoder_runs: bool,
    encoder_trains: bool,
    adapts: bool = False,
    workers: int = 1,
) -> TrainerPlan:
    """Resolves `trainer`; `rows` is the number of training rows.

    A given batch size is that of each worker, and the learning rate is scaled with the rows that all of them add to a
    step; an automatic one is shared among them, and the rate stays.
    """
    trainer, settle = spec.trainer, resolution.settle
    warnings: list[tuple[str, str]] = [(Notice.SPELLING, note) for note in spec.notes]
    size = rules.batch_size(rows, trainer, encoder_trains=encoder_trains)
    rates = _learning_rates(spec, resolution, rows, encoder_trains=encoder_trains, adapts=adapts)
    settle("trainer.optimizer.type", trainer.optimizer.type, "adamw")
    scale = _rate_scale(spec, resolution, workers, warnings)
    return TrainerPlan(
        epochs=_epochs(spec, resolution, encoder_runs=encoder_runs),
        batch_size=_batch_size(resolution, trainer.batch_size, size, rows, workers),
        batch_size_given=trainer.batch_size is not None,
        eval_batch_size=settle(
            "trainer.eval_batch_size",
            trainer.eval_batch_size,
            EVAL_BATCH_ADAPTER if adapts else EVAL_BATCH_ENCODER if encoder_runs else EVAL_BATCH,
        ),
        learning_rate=scale * rates[0],
        head_learning_rate=scale * rates[1],
        schedule=plan_schedule(spec, resolution, scale * rates[0], encoder_trains=encoder_trains),
        precision=_precision(spec, resolution, device_type, warnings, encoder_runs=encoder_runs),
        compile=_compile(spec, resolution, warnings, encoder_runs=encoder_runs),
        accumulation=settle("trainer.gradient_accumulation_steps", trainer.gradient_accumulation_steps, 1),
        clipping=_clipping(spec, resolution, encoder_trains=encoder_trains),
        evaluate_training_set=settle("trainer.evaluate_training_set", trainer.evaluate_training_set, False),
        early_stop=max(0, settle("trainer.early_stop", trainer.early_stop, 5)),
        validation_metric=_metric(spec, resolution, encoder_trains=encoder_trains),
        seed=settle("trainer.random_seed", trainer.random_seed, 42),
        checkpoint=settle("trainer.checkpoint", trainer.checkpoint, True),
        train_steps=_train_steps(spec, resolution, warnings),
        steps_per_checkpoint=settle("trainer.steps_per_checkpoint", trainer.steps_per_checkpoint, 0),
        checkpoints_per_epoch=_checkpoints_per_epoch(spec, resolution),
        penalty=_penalty(spec, resolution),
        shuffle=settle("trainer.should_shuffle", trainer.should_shuffle, True),
        warnings=tuple(warnings),
    )


def _learning_rates(
    spec: TrainSpec, resolution: Resolution, rows: int, *, encoder_trains: bool, adapts: bool
) -> tuple[float, float]:
    """The peak rate, and the head's."""
    given = spec.trainer.learning_rate
    rate, reason = rules.learning_rate(spec, rows, encoder_trains=encoder_trains, adapts=adapts)
    settled = resolution.settle("trainer.learning_rate", given, rate, reason)
    # the rule's rate is an encoder's where one trains, below that of new layers, and otherwise the head's already
    return settled, settled if given is not None else max(rate, rules.HEAD_LEARNING_RATE)


def _rate_scale(spec: TrainSpec, resolution: Resolution, workers: int, warnings: list[tuple[str, str]]) -> float:
    """By what both learning rates are multiplied, where each worker adds a given batch to every step."""
    scaling = resolution.settle("trainer.learning_rate_scaling", spec.trainer.learning_rate_scaling, "linear")
    scale = rules.rate_scale(scaling, workers) if spec.trainer.batch_size is not None else 1.0
    if scale != 1.0:
        message = f"the learning rate is multiplied by {scale:g} ({scaling} in {workers} workers)"
        warnings.append((Notice.LEARNING_RATE_SCALED, message))
    return scale


def _epochs(spec: TrainSpec, resolution: Resolution, *, encoder_runs: bool) -> int:
    """Of no effect, and so not resolved, where a number of steps is given."""
    rule, given = rules.epochs(encoder_runs=encoder_runs), spec.trainer.epochs
    if spec.trainer.train_steps is not None:
        return given or rule[0]
    return resolution.settle("trainer.epochs", given, *rule)


def _train_steps(spec: TrainSpec, resolution: Resolution, warnings: list[tuple[str, str]]) -> int:
    """The given number, which wins over epochs; 0 for none."""
    trainer = spec.trainer
    if trainer.train_steps is None:
        return 0
    if trainer.epochs is not None:
        message = f"train_steps, {trainer.train_steps}, decides when training ends; epochs, {trainer.epochs}, does not"
        warnings.append((Notice.EPOCHS_WITHOUT_EFFECT, message))
    return resolution.record("trainer.train_steps", trainer.train_steps, Origin.GIVEN)


def _checkpoints_per_epoch(spec: TrainSpec, resolution: Resolution) -> int:
    path, given = "trainer.checkpoints_per_epoch", spec.trainer.checkpoints_per_epoch
    if spec.trainer.steps_per_checkpoint:
        return 1
    return resolution.settle(path, given or None, 1)


def _penalty(spec: TrainSpec, resolution: Resolution) -> Penalty | None:
    path, trainer = "trainer.regularization", spec.trainer
    weight = resolution.settle(f"{path}_lambda", trainer.regularization_lambda, 0.0)
    if not weight:
        return None
    return Penalty.of(resolution.settle(f"{path}_type", trainer.regularization_type, "l2"), weight)


def _batch_size(resolution: Resolution, given: int | None, rule: tuple[int, str], rows: int, workers: int) -> int:
    """Of each worker."""
    path = "trainer.batch_size"
    if workers > 1 and given is None:
        return resolution.record(
            path, -(-rule[0] // workers), Origin.RULE, f"{rule[0]} shared by {workers} workers: {rule[1]}"
        )
    size = resolution.settle(path, given, *rule)
    return size if size <= rows else resolution.record(path, rows, Origin.RULE, "no more than there are training rows")


def _precision(
    spec: TrainSpec, resolution: Resolution, device_type: str, warnings: list[tuple[str, str]], *, encoder_runs: bool
) -> str:
    """fp32, bf16 or fp16. Where mixed precision was asked for and would be slower, fp32 with a warning."""
    wanted = resolution.settle("trainer.use_mixed_precision", spec.trainer.use_mixed_precision, False)
    if not wanted:
        return "fp32"
    if not encoder_runs:
        reason = "only a head trains on stored embeddings, in fp32; embedding_precision is the encoder's"
        resolution.record("trainer.use_mixed_precision", False, Origin.RULE, reason)
        return "fp32"
    fast = fast_precision(device_type)
    if fast == "fp32":
        reason = f"this {device_type} computes bf16 no faster than fp32 (measured), so training runs in fp32"
        resolution.record("trainer.use_mixed_precision", False, Origin.MEASURED, reason)
        warnings.append((Notice.MIXED_PRECISION_NOT_FASTER, reason))
    if fast == "fp16" and spec.backend.trainer.strategy == "deepspeed":
        reason = "DeepSpeed computes here in fp32 or in bf16, which this GPU lacks; training runs in fp32"
        resolution.record("trainer.use_mixed_precision", False, Origin.RULE, reason)
        warnings.append((Notice.MIXED_PRECISION_NOT_FASTER, reason))
        return "fp32"
    return fast


def _compile(spec: TrainSpec, resolution: Resolution, warnings: list[tuple[str, str]], *, encoder_runs: bool) -> bool:
    wanted = resolution.settle("trainer.compile", spec.trainer.compile, False)
    if wanted and not encoder_runs:
        reason = (
            "only a head trains on stored embeddings: compiling takes longer than the training that it would speed up"
        )
        resolution.record("trainer.compile", False, Origin.RULE, reason)
        return False
    if wanted and not _has_compiler():
        reason = "torch.compile needs a C++ compiler on the server (install g++); training runs uncompiled"
        resolution.record("trainer.compile", False, Origin.RULE, reason)
        warnings.append((Notice.NO_COMPILER, reason))
        return False
    return wanted


def _has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++"))


def _clipping(spec: TrainSpec, resolution: Resolution, *, encoder_trains: bool) -> tuple[str, float] | None:
    clipping = spec.trainer.gradient_clipping
    for kind in ("clipglobalnorm", "clipnorm", "clipvalue"):
        value = getattr(clipping, kind)
        if value is not None:
            return kind, resolution.record(f"trainer.gradient_clipping.{kind}", value, Origin.GIVEN)
    if not encoder_trains:
        return None
    path = "trainer.gradient_clipping.clipglobalnorm"
    return "clipglobalnorm", resolution.record(path, 1.0, Origin.RULE, "the usual bound where an encoder trains")


def _metric(spec: TrainSpec, resolution: Resolution, *, encoder_trains: bool) -> str:
    """`loss` or `output.metric`; raises InvalidInputError with the names that there are."""
    path, outputs = "trainer.validation_metric", spec.output_features
    if (
        spec.trainer.validation_metric is None
        and encoder_trains
        and len(outputs) == 1
        and outputs[0].type in ("category", "binary")
    ):
        reason = "a fine-tuned classifier grows overconfident, which the loss punishes, before it grows less accurate"
        return str(resolution.record(path, f"{outputs[0].name}.accuracy", Origin.RULE, reason))
    return metric_called(resolution.settle(path, spec.trainer.validation_metric, "loss"), spec, path)
