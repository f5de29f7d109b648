"""What types alone cannot say: rules across the fields of a spec. Returns violations, never raises."""

import unicodedata
from collections.abc import Iterator
from typing import get_args

from headstart_server.core.errors import Violation
from headstart_server.core.suggest import did_you_mean
from headstart_server.spec.augmentations import augmentation_rules
from headstart_server.spec.head_rules import head_rules
from headstart_server.spec.layers import layer_rules
from headstart_server.spec.missing_values import missing_value_rules
from headstart_server.spec.model import EncoderSpec, FeatureSpec, TrainSpec
from headstart_server.spec.training_rules import training_rules
from headstart_server.spec.unused import unused_by_defaults, unused_by_features
from headstart_server.spec.values import InputType

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
MAX_NAME = 200
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
_RENAME = "give a plain name, and the column's in 'column'"


def validate(spec: TrainSpec, merged: TrainSpec) -> list[Violation]:
    """Every rule that the spec breaks, in the spec's order; `merged` is the spec with its `defaults` applied."""
    return [
        *_features(merged),
        *missing_value_rules(merged),
        *layer_rules(spec),
        *unused_by_features(spec, merged),
        *_defaults(spec),
        *unused_by_defaults(spec),
        *training_rules(spec),
        *head_rules(spec, merged),
    ]


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
            if spec.backend.type == "ray" and feature.encoder.trainable_layers is not None:
                message = (
                    "is not there on Ray, whose workers read what encoders read; use backend.type local, or adapter"
                )
                yield Violation(f"{path}.encoder.trainable_layers", message)
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
    elif len(feature.name) > MAX_NAME:
        yield Violation(f"{path}.name", f"is longer than {MAX_NAME} characters; {_RENAME}")
    elif any(unicodedata.category(character) in _UNPRINTABLE for character in feature.name):
        yield Violation(f"{path}.name", f"{feature.name!r} holds control characters or line ends; {_RENAME}")
    seen.setdefault(feature.name, path)


def _type(feature: FeatureSpec, path: str, types: tuple[str, ...]) -> Iterator[Violation]:
    if feature.type not in types:
        given = repr(feature.type[:80]) if feature.type else "nothing"
        yield Violation(
            f"{path}.type", f"{given} is not known here; use {', '.join(types)}{did_you_mean(feature.type, types)}"
        )


def _input(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    encoder, preprocessing = feature.encoder, feature.preprocessing
    if preprocessing.cache_encoder_embeddings:
        if feature.type not in PRETRAINED_TYPES:
            yield Violation(
                f"{path}.preprocessing.cache_encoder_embeddings",
                f"true, but {feature.type} encoders learn while training, so their embeddings change; leave it out",
            )
        elif encoder.trainable or (encoder.learns and encoder.use_pretrained is not False):
            learns = "encoder.trainable is true" if encoder.trainable else "a part of the encoder learns"
            fix = "set encoder.trainable to false" if encoder.trainable else "keep the encoder frozen"
            yield Violation(
                f"{path}.preprocessing.cache_encoder_embeddings",
                f"true, but {learns}: every step would make the stored embeddings wrong; "
                f"{fix} or cache_encoder_embeddings to false",
            )
    if feature.type == "text":
        yield from _partly_trained(encoder, f"{path}.encoder")
    if encoder.use_pretrained is False and encoder.trainable is False:
        yield Violation(
            f"{path}.encoder.trainable",
            "false, but use_pretrained is false: a frozen random encoder learns nothing; set one of them to true",
        )
    if feature.augmentation and feature.type != "image":
        yield Violation(f"{path}.augmentation", f"is for image inputs, not {feature.type}; leave it out")
    else:
        yield from augmentation_rules(feature, path)
    for name in ("decoder", "loss", "top_k"):
        if name in feature.model_fields_set and getattr(feature, name) not in (None, type(getattr(feature, name))()):
            yield Violation(f"{path}.{name}", "belongs to output features")


def _partly_trained(encoder: EncoderSpec, path: str) -> Iterator[Violation]:
    """Rules of adapters and last layers."""
    for key, what in (("adapter", "an adapter"), ("trainable_layers", "the last layers")):
        if getattr(encoder, key) is None:
            continue
        if encoder.trainable is False:
            message = f"false, but {what} would be trained; set it to true, or leave {key} out"
            yield Violation(f"{path}.trainable", message)
        if encoder.use_pretrained is False:
            message = f"false, but {what} would learn on pretrained weights; set it to true, or leave {key} out"
            yield Violation(f"{path}.use_pretrained", message)
    if encoder.adapter is not None and encoder.trainable_layers is not None:
        yield Violation(f"{path}.trainable_layers", "is set, and so is adapter; leave one of them out")


def _output(feature: FeatureSpec, path: str) -> Iterator[Violation]:
    if feature.encoder != type(feature.encoder)():
        yield Violation(f"{path}.encoder", "belongs to input features")
    if feature.augmentation:
        yield Violation(f"{path}.augmentation", "belongs to image inputs")
    losses = LOSSES.get(feature.type, ())
    loss = feature.loss
    if loss.type is not None and losses and loss.type not in losses:
        yield Violation(
            f"{path}.loss.type", f"{loss.type!r} is not for {feature.type} outputs; use {', '.join(losses)}"
        )
    if loss.class_weights and loss.balance_classes:
        yield Violation(f"{path}.loss.balance_classes", "excludes class_weights; keep one of them")
    if loss.positive_class_weight is not None and loss.balance_classes:
        yield Violation(f"{path}.loss.balance_classes", "excludes positive_class_weight; keep one of them")
    if feature.top_k is not None and feature.type != "category":
        yield Violation(f"{path}.top_k", f"is for category outputs, not {feature.type}; leave it out")


def _defaults(spec: TrainSpec) -> Iterator[Violation]:
    for name in spec.defaults:
        if name not in INPUT_TYPES:
            yield Violation(
                f"defaults.{name[:80]}",
                f"is no feature type; use {', '.join(INPUT_TYPES)}{did_you_mean(name, INPUT_TYPES)}",
            )
