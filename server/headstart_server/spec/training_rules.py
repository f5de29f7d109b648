"""Rules across the settings of combiner, trainer, backend and split: what excludes, needs or does without what."""

from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.layers import fc_layers
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.optimizers import optimizer_rules
from headstart_server.spec.sampling_rules import sampling_rules
from headstart_server.spec.scheduler_rules import scheduler_rules
from headstart_server.spec.training_sections import BackendTrainerSpec
from headstart_server.spec.unused import given


def training_rules(spec: TrainSpec) -> Iterator[Violation]:
    """Every rule that these sections break."""
    yield from _combiner(spec)
    yield from _trainer(spec)
    yield from optimizer_rules(spec.trainer.optimizer, "trainer.optimizer")
    yield from scheduler_rules(spec)
    yield from _backend(spec)
    yield from _split(spec)
    yield from sampling_rules(spec)


def _combiner(spec: TrainSpec) -> Iterator[Violation]:
    combiner = spec.combiner
    if not fc_layers(combiner):
        for key in ("output_size", "activation"):
            if given(getattr(combiner, key)):
                yield Violation(
                    f"combiner.{key}", "has no effect without combiner.num_fc_layers; set that, or leave it out"
                )
    norms = {combiner.norm, *(layer.norm for layer in combiner.fc_layers)}
    if combiner.virtual_batch_size is not None and "ghost" not in norms:
        yield Violation("combiner.virtual_batch_size", "is for norm: ghost; set that, or leave it out")


def _trainer(spec: TrainSpec) -> Iterator[Violation]:
    trainer = spec.trainer
    clipping = trainer.gradient_clipping
    if sum(value is not None for value in (clipping.clipglobalnorm, clipping.clipnorm, clipping.clipvalue)) > 1:
        yield Violation("trainer.gradient_clipping", "takes one of clipglobalnorm, clipnorm and clipvalue")
    if trainer.batch_size is not None and trainer.batch_size > (trainer.max_batch_size or trainer.batch_size):
        yield Violation(
            "trainer.max_batch_size",
            f"{trainer.max_batch_size} is below batch_size {trainer.batch_size}; leave one of them out",
        )
    if trainer.steps_per_checkpoint and trainer.checkpoints_per_epoch:
        yield Violation("trainer.checkpoints_per_epoch", "excludes steps_per_checkpoint; leave one of them out")
    if trainer.regularization_type is not None and not trainer.regularization_lambda:
        yield Violation(
            "trainer.regularization_type", "has no effect without regularization_lambda; set that, or leave it out"
        )


def _backend(spec: TrainSpec) -> Iterator[Violation]:
    trainer = spec.backend.trainer
    if spec.backend.type != "ray" and trainer != BackendTrainerSpec():
        yield Violation("backend.trainer", "is for backends with workers; 'local' has none, leave it out")
    if trainer.min_workers is not None and trainer.min_workers > (trainer.num_workers or 1):
        yield Violation(
            "backend.trainer.min_workers", f"{trainer.min_workers} is above num_workers, {trainer.num_workers or 1}"
        )
    if trainer.cpu_offload and trainer.strategy != "fsdp":
        yield Violation("backend.trainer.cpu_offload", "is for strategy fsdp, whose workers hold parts; leave it out")
    if trainer.image_workers is not None and all(feature.type != "image" for feature in spec.input_features):
        yield Violation("backend.trainer.image_workers", "load images, and no input is one; leave it out")
    if trainer.zero_stage is not None and trainer.strategy != "deepspeed":
        yield Violation("backend.trainer.zero_stage", "is for strategy deepspeed; leave it out, or set the strategy")
    for name, amount in trainer.resources_per_worker.items():
        if amount <= 0:
            path = f"backend.trainer.resources_per_worker.{name}"
            yield Violation(path, f"{amount:g} must be above 0; leave it out where a worker needs none")


def _split(spec: TrainSpec) -> Iterator[Violation]:
    split = spec.preprocessing.split
    path = "preprocessing.split"
    if split.type == "fixed" and split.probabilities:
        yield Violation(f"{path}.probabilities", "have no effect on a fixed split; leave them out")
    elif split.probabilities:
        if len(split.probabilities) != 3:
            yield Violation(
                f"{path}.probabilities", f"{split.probabilities} must be three parts: training, validation, test"
            )
        elif abs(sum(split.probabilities) - 1) > 1e-6 or split.probabilities[0] <= 0:
            yield Violation(f"{path}.probabilities", f"{split.probabilities} must sum to 1, with training rows above 0")
    if split.type in ("stratify", "hash", "fixed") and not split.column:
        yield Violation(f"{path}.column", f"is missing; {split.type!r} needs the column's name")
    if split.column and split.type in (None, "random"):
        yield Violation(f"{path}.column", f"{split.column!r} has no use with a random split; set split.type")
