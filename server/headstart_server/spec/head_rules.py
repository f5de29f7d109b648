"""What of a spec heads can do that take no steps, and what is for layers that are trained by steps."""

from collections.abc import Iterator

from headstart_server.core.errors import Violation
from headstart_server.spec.model import FeatureSpec, TrainSpec
from headstart_server.spec.training_sections import BoostingSpec, TrainerSpec
from headstart_server.spec.unused import given

_ECD = "leave it out, or set model_type: ecd"
_TRAINER = ("eval_batch_size", "validation_metric", "random_seed")
"""Keys of the trainer that every head has a use for."""
_ROUNDS = (
    *("epochs", "train_steps", "steps_per_checkpoint", "learning_rate", "evaluate_training_set", "early_stop"),
    "boosting",
)
"""Those that trees have a use for, too."""
_WORDS = {"gbm": "trees", "ridge": "ridge regressions", "knn": "nearest neighbours"}
_LEARNED = {"number": ("dense",), "binary": ("dense",), "vector": ("dense",), "category": ("dense",), "set": ("embed",)}
"""Encoders whose weights learn by steps, by the type of the feature."""


def head_rules(spec: TrainSpec, merged: TrainSpec) -> Iterator[Violation]:
    """Every rule that a spec breaks for its `model_type`; `merged` is the spec with its `defaults` applied."""
    if not spec.boosted and spec.trainer.boosting != BoostingSpec():
        yield Violation("trainer.boosting", "is for model_type: gbm; set that, or leave it out")
    if spec.by_steps:
        return
    what = _WORDS[spec.model_type or ""]
    for index, feature in enumerate(merged.input_features):
        yield from _input(feature, f"input_features[{index}]", what)
    for index, feature in enumerate(merged.output_features):
        yield from _output(feature, f"output_features[{index}]", what)
    for key in type(spec.combiner).model_fields:
        if given(getattr(spec.combiner, key)) and spec.combiner.type != getattr(spec.combiner, key):
            yield Violation(f"combiner.{key}", f"is for layers, and {what} have none; {_ECD}")
    yield from _trainer(spec.trainer, (*_TRAINER, *_ROUNDS) if spec.boosted else _TRAINER)
    if spec.boosted:
        yield from _boosting(spec.trainer.boosting)
    if spec.backend.type == "ray":
        yield Violation("backend.type", f"'ray' trains layers; {what} are made on the server, so use local, or {_ECD}")


def _input(feature: FeatureSpec, path: str, what: str) -> Iterator[Violation]:
    encoder = feature.encoder
    if encoder.learns:
        keys = ("trainable", "adapter", "trainable_layers")
        key = next((key for key in keys if given(getattr(encoder, key))), "use_pretrained")
        message = f"{what} learn from embeddings as they are, and cannot train an encoder; {_ECD}"
        yield Violation(f"{path}.encoder.{key}", message)
    if encoder.type in _LEARNED.get(feature.type, ()):
        message = f"{encoder.type!r} is learned by steps, which {what} do not take; {_ECD}"
        yield Violation(f"{path}.encoder.type", message)
    if feature.augmentation:
        yield Violation(f"{path}.augmentation", f"{what} see every row once; {_ECD}")


def _output(feature: FeatureSpec, path: str, what: str) -> Iterator[Violation]:
    for key in ("num_fc_layers", "fc_layers"):
        if given(getattr(feature.decoder, key)):
            yield Violation(f"{path}.decoder.{key}", f"is for layers, and {what} have none; {_ECD}")
    if given(feature.loss.label_smoothing):
        yield Violation(f"{path}.loss.label_smoothing", f"{what} learn from the labels as they are; {_ECD}")
    squared = what == _WORDS["gbm"] or feature.loss.type in (None, "mean_squared_error")
    if not squared and feature.type in ("number", "vector"):
        message = f"{feature.loss.type!r} is not what {what} minimise; leave it out, or set model_type: ecd or gbm"
        yield Violation(f"{path}.loss.type", message)


def _trainer(trainer: TrainerSpec, known: tuple[str, ...]) -> Iterator[Violation]:
    for key in type(trainer).model_fields:
        value = getattr(trainer, key)
        if key not in (*known, "boosting") and value not in (None, False, 0, []) and value != type(value)():
            yield Violation(f"trainer.{key}", f"is for layers that are trained by steps; {_ECD}")


def _boosting(boosting: BoostingSpec) -> Iterator[Violation]:
    if (boosting.bagging_fraction or 1.0) < 1.0 and not boosting.bagging_freq:
        yield Violation(
            "trainer.boosting.bagging_fraction",
            "has no effect without bagging_freq: set after how many rounds rows are drawn, e.g. 1, or leave it out",
        )
    if boosting.bagging_freq and (boosting.bagging_fraction or 1.0) == 1.0:
        message = "has no effect without a bagging_fraction below 1; set that, or leave it out"
        yield Violation("trainer.boosting.bagging_freq", message)
