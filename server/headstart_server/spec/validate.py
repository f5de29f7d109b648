"""What types alone cannot say: rules across the fields of a spec. Returns violations, never raises."""

from collections.abc import Iterator
from typing import get_args

from headstart_server.core.errors import Violation
from headstart_server.core.suggest import did_you_mean
from headstart_server.spec.model import FeatureSpec, InputType, TrainSpec

INPUT_TYPES: tuple[str, ...] = get_args(InputType)
OUTPUT_TYPES = ("category", "binary", "number", "set", "vector")
PRETRAINED_TYPES = ("text", "image")
LOSSES: dict[str, tuple[str, ...]] = {
    "category": ("softmax_cross_entropy",),
    "binary": ("binary_weighted_cross_entropy",),
    "number": ("mean_squared_error", "mean_absolute_error", "huber"),
    "set": ("sigmoid_cross_entropy",),
    "vector": ("mean_squared_error", "mean_absolute_error", "huber"),
}


def validate(spec: TrainSpec, merged: TrainSpec) -> list[Violation]:
    """Every rule that the spec breaks, in the spec's order; `merged` is the spec with its `defaults` applied."""
    return [*_features(merged), *_defaults(spec), *_trainer(spec), *_split(spec)]


def _features(spec: TrainSpec) -> Iterator[Violation]:
    seen: dict[str, str] = {}
    for side, features, types in (
        ("input_features", spec.input_features, INPUT_TYPES),
        ("output_features", spec.output_features, OUTPUT_TYPES),
    ):
        if not features:
            yield Violation(side, "is empty; name at least one column with its type")
        for index, feature in enumerate(features):
            path = f"{side}[{index}]"
            yield from _names(feature, path, seen)
            yield from _type(feature, path, types)
            yield from (_output if side == "output_features" else _input)(feature, path)
    outputs = {feature.source for feature in spec.output_features}
    for index, feature in enumerate(spec.input_features):
        if feature.source and feature.source in outputs:
            yield Violation(
                f"input_features[{index}].column",
                f"column {feature.source!r} is also an output: the model would read its own answer; remove one of them",
            )


def _names(feature: FeatureSpec, path: str, seen: dict[str, str]) -> Iterator[Violation]:
    if not feature.name.strip():
        yield Violation(f"{path}.name", "is missing; give the column's name")
    elif feature.name in seen:
        yield Violation(
            f"{path}.name", f"{feature.name!r} is taken by {seen[feature.name]}; use 'column' to read it twice"
        )
    elif "." in feature.name and len(feature.name) > 200:
        yield Violation(f"{path}.name", "is longer than 200 characters")
    seen.setdefault(feature.name, path)


def _type(feature: FeatureSpec, path: str, types: tuple[str, ...]) -> Iterator[Violation]:
    if feature.type not in types:
        given = repr(feature.type[:80]) if feature.type else "nothing"
        yield Violation(
            f"{path}.type", f"{given} is not known here; use {', '.join(types)}{did_you_mean(feature.type, types)}"
        )


def _input(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    encoder, preprocessing = feature.encoder, feature.preprocessing
    if feature.type == "image":
        yield Violation(f"{path}.type", "image features are not available in this release; use text and tabular types")
    if preprocessing.cache_encoder_embeddings:
        if feature.type not in PRETRAINED_TYPES:
            yield Violation(
                f"{path}.preprocessing.cache_encoder_embeddings",
                f"true, but {feature.type} encoders learn while training, so their embeddings change; leave it out",
            )
        elif encoder.trainable:
            yield Violation(
                f"{path}.preprocessing.cache_encoder_embeddings",
                "true, but encoder.trainable is true: every step would make the stored embeddings wrong; "
                "set encoder.trainable to false or cache_encoder_embeddings to false",
            )
    if encoder.use_pretrained is False and encoder.trainable is False:
        yield Violation(
            f"{path}.encoder.trainable",
            "false, but use_pretrained is false: a frozen random encoder learns nothing; set one of them to true",
        )
    for name in ("decoder", "loss", "top_k"):
        if name in feature.model_fields_set and getattr(feature, name) not in (None, type(getattr(feature, name))()):
            yield Violation(f"{path}.{name}", "belongs to output features")


def _output(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    if feature.encoder != type(feature.encoder)():
        yield Violation(f"{path}.encoder", "belongs to input features")
    losses = LOSSES.get(feature.type, ())
    loss = feature.loss
    if loss.type is not None and losses and loss.type not in losses:
        yield Violation(
            f"{path}.loss.type", f"{loss.type!r} is not for {feature.type} outputs; use {', '.join(losses)}"
        )
    if loss.class_weights and feature.type != "category":
        yield Violation(f"{path}.loss.class_weights", f"is for category outputs, not {feature.type}")
    if loss.class_weights and loss.balance_classes:
        yield Violation(f"{path}.loss.balance_classes", "excludes class_weights; keep one of them")
    if loss.positive_class_weight is not None and feature.type != "binary":
        yield Violation(f"{path}.loss.positive_class_weight", f"is for binary outputs, not {feature.type}")


def _defaults(spec: TrainSpec) -> Iterator[Violation]:
    for name in spec.defaults:
        if name not in INPUT_TYPES:
            yield Violation(
                f"defaults.{name[:80]}",
                f"is no feature type; use {', '.join(INPUT_TYPES)}{did_you_mean(name, INPUT_TYPES)}",
            )


def _trainer(spec: TrainSpec) -> Iterator[Violation]:
    betas = spec.trainer.optimizer.betas
    if betas and len(betas) != 2:
        yield Violation("trainer.optimizer.betas", f"{betas} must be two numbers in [0, 1)")
    clipping = spec.trainer.gradient_clipping
    if sum(value is not None for value in (clipping.clipglobalnorm, clipping.clipnorm, clipping.clipvalue)) > 1:
        yield Violation("trainer.gradient_clipping", "takes one of clipglobalnorm, clipnorm and clipvalue")
    if spec.backend.type == "ray":
        yield Violation("backend.type", "'ray' is not available in this release; use 'local'")


def _split(spec: TrainSpec) -> Iterator[Violation]:
    split = spec.preprocessing.split
    path = "preprocessing.split"
    if split.probabilities:
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
