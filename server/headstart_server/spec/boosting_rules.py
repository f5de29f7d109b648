"""What of a spec boosted trees can do, and what is for layers that are trained by steps."""

from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.model import FeatureSpec, TrainSpec
from headstart_server.spec.training_sections import BoostingSpec, TrainerSpec
from headstart_server.spec.unused import given

_ECD = "leave it out, or set model_type: ecd"
_TRAINER = (
    *("epochs", "train_steps", "steps_per_checkpoint", "eval_batch_size", "learning_rate", "evaluate_training_set"),
    *("early_stop", "validation_metric", "random_seed", "boosting"),
)
"""Keys of the trainer that trees have a use for."""
_LEARNED = {"number": ("dense",), "binary": ("dense",), "vector": ("dense",), "category": ("dense",), "set": ("embed",)}
"""Encoders whose weights learn by steps, by the type of the feature."""


def boosting_rules(spec: TrainSpec, merged: TrainSpec) -> Iterator[Violation]:
    """Every rule that a spec breaks for its `model_type`; `merged` is the spec with its `defaults` applied."""
    if not spec.boosted:
        if spec.trainer.boosting != BoostingSpec():
            yield Violation("trainer.boosting", "is for model_type: gbm; set that, or leave it out")
        return
    for index, feature in enumerate(merged.input_features):
        yield from _input(feature, f"input_features[{index}]")
    for index, feature in enumerate(merged.output_features):
        yield from _output(feature, f"output_features[{index}]")
    for key in type(spec.combiner).model_fields:
        if given(getattr(spec.combiner, key)) and spec.combiner.type != getattr(spec.combiner, key):
            yield Violation(f"combiner.{key}", f"is for layers, and trees have none; {_ECD}")
    yield from _trainer(spec.trainer)
    if spec.backend.type == "ray":
        yield Violation("backend.type", f"'ray' trains layers; trees grow on the server, so use local, or {_ECD}")


def _input(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    encoder = feature.encoder
    if encoder.learns:
        keys = ("trainable", "adapter", "trainable_layers")
        key = next((key for key in keys if given(getattr(encoder, key))), "use_pretrained")
        message = f"trees learn from embeddings as they are, and cannot train an encoder; {_ECD}"
        yield Violation(f"{path}.encoder.{key}", message)
    if encoder.type in _LEARNED.get(feature.type, ()):
        message = f"{encoder.type!r} is learned by steps, which trees do not take; {_ECD}"
        yield Violation(f"{path}.encoder.type", message)
    if feature.augmentation:
        yield Violation(f"{path}.augmentation", f"trees see every row once; {_ECD}")


def _output(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    for key in ("num_fc_layers", "fc_layers"):
        if given(getattr(feature.decoder, key)):
            yield Violation(f"{path}.decoder.{key}", f"is for layers, and trees have none; {_ECD}")
    if given(feature.loss.label_smoothing):
        yield Violation(f"{path}.loss.label_smoothing", f"trees learn from the labels as they are; {_ECD}")


def _trainer(trainer: TrainerSpec) -> Iterator[Violation]:
    for key in type(trainer).model_fields:
        value = getattr(trainer, key)
        if key not in _TRAINER and value not in (None, False, 0, []) and value != type(value)():
            yield Violation(f"trainer.{key}", f"is for layers that are trained by steps; {_ECD}")
    boosting = trainer.boosting
    if (boosting.bagging_fraction or 1.0) < 1.0 and not boosting.bagging_freq:
        yield Violation(
            "trainer.boosting.bagging_fraction",
            "has no effect without bagging_freq: set after how many rounds rows are drawn, e.g. 1, or leave it out",
        )
    if boosting.bagging_freq and (boosting.bagging_fraction or 1.0) == 1.0:
        message = "has no effect without a bagging_fraction below 1; set that, or leave it out"
        yield Violation("trainer.boosting.bagging_freq", message)
