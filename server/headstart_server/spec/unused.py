"""Settings that nothing would read are refused: a spec that says what is not done misleads whoever reads it.

A setting that switches something off (`false`, 0) says what is done anyway, and may stay.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from headstart_server.core.errors import Violation
from headstart_server.spec.layers import fc_layers
from headstart_server.spec.model import FeatureDefaultsSpec, FeatureSpec, TrainSpec
from headstart_server.spec.section import Section

_PRETRAINED = "type pretrained_model_name_or_path revision use_pretrained trainable reduce_output"
_DENSE = "type output_size num_layers dropout activation fc_layers"
_EMBED = "type embedding_size dropout"
_ENCODER = {
    "text": f"{_PRETRAINED} adapter trainable_layers",
    "image": f"{_PRETRAINED} model_variant",
    "number": _DENSE,
    "binary": _DENSE,
    "vector": _DENSE,
    "category": _EMBED,
    "set": _EMBED,
}
_PREPROCESSING = {
    "text": "max_sequence_length lowercase embedding_precision missing_value_strategy fill_value",
    "image": "embedding_precision missing_value_strategy cached_views bad_image_policy",
    "number": "missing_value_strategy fill_value normalization",
    "category": "missing_value_strategy fill_value most_common min_frequency",
    "binary": "missing_value_strategy fill_value fallback_true_label",
    "set": "missing_value_strategy most_common min_frequency separator",
    "vector": "missing_value_strategy vector_size separator",
}
_STACK = "num_fc_layers output_size dropout norm activation fc_layers"
_DECODER = {
    "category": f"{_STACK} calibration",
    "binary": f"{_STACK} calibration threshold",
    "set": f"{_STACK} threshold",
    "number": _STACK,
    "vector": _STACK,
}
_LOSS = {
    "category": "type weight class_weights balance_classes label_smoothing",
    "binary": "type weight balance_classes positive_class_weight",
    "set": "type weight",
    "number": "type weight delta",
    "vector": "type weight delta",
}
_Uses = Mapping[str, Mapping[str, str]]
INPUT_USES: _Uses = {"encoder": _ENCODER, "preprocessing": _PREPROCESSING}
OUTPUT_USES: _Uses = {
    "preprocessing": {kind: _PREPROCESSING[kind] for kind in _DECODER}
    | {"category": "missing_value_strategy fill_value"},
    "decoder": _DECODER,
    "loss": _LOSS,
}
_ELSEWHERE = {"cache_encoder_embeddings"}
"""Has its own rule in `validate`."""


@dataclass(frozen=True)
class _Need:
    """Settings of some feature types that have an effect only together with another one, `by`."""

    types: tuple[str, ...]
    section: str
    keys: tuple[str, ...]
    by: str
    met: Callable[[FeatureSpec], bool]
    fix: str


_NEEDS = (
    _Need(
        ("number", "binary", "vector"),
        "encoder",
        ("output_size", "num_layers", "dropout", "activation", "fc_layers"),
        "type",
        lambda feature: feature.encoder.type not in (None, "passthrough"),
        "has no effect on a passthrough encoder; set encoder.type to dense, or leave it out",
    ),
    _Need(
        ("category",),
        "encoder",
        ("embedding_size", "dropout"),
        "type",
        lambda feature: feature.encoder.type not in ("onehot", "ordinal"),
        "is for an encoder that is learned; set encoder.type to dense, or leave it out",
    ),
    _Need(
        ("set",),
        "encoder",
        ("embedding_size", "dropout"),
        "type",
        lambda feature: feature.encoder.type != "multihot",
        "is for an encoder that is learned; set encoder.type to embed, or leave it out",
    ),
    _Need(
        ("number", "category", "binary"),
        "preprocessing",
        ("fill_value",),
        "missing_value_strategy",
        lambda feature: feature.preprocessing.missing_value_strategy == "fill_with_const",
        "has no effect without missing_value_strategy: fill_with_const; set that, or leave it out",
    ),
    _Need(
        ("text",),
        "preprocessing",
        ("fill_value",),
        "missing_value_strategy",
        lambda feature: feature.preprocessing.missing_value_strategy in (None, "fill_with_const"),
        "has no effect where cells are not filled; set missing_value_strategy: fill_with_const, or leave it out",
    ),
    _Need(
        ("text", "image"),
        "preprocessing",
        ("embedding_precision",),
        "",
        lambda feature: not feature.encoder.learns,
        "has no effect on an encoder that is trained; set trainer.use_mixed_precision, or leave it out",
    ),
    _Need(
        ("image",),
        "preprocessing",
        ("cached_views",),
        "",
        lambda feature: bool(feature.augmentation),
        "has no effect without augmentation: every view would be the same; add some, or leave it out",
    ),
    _Need(
        ("image",),
        "encoder",
        ("model_variant",),
        "type",
        lambda feature: feature.encoder.type != "auto_transformer",
        "is for torchvision's families; name the weights in pretrained_model_name_or_path, or leave it out",
    ),
    _Need(
        ("image",),
        "encoder",
        ("reduce_output",),
        "type",
        lambda feature: feature.encoder.type == "auto_transformer",
        "is for auto_transformer: torchvision's models pool by themselves; leave it out",
    ),
    _Need(
        tuple(_DECODER),
        "decoder",
        ("output_size", "dropout", "norm", "activation"),
        "num_fc_layers",
        lambda feature: bool(fc_layers(feature.decoder)),
        "has no effect without decoder.num_fc_layers; set that, or leave it out",
    ),
    _Need(
        ("number", "vector"),
        "loss",
        ("delta",),
        "type",
        lambda feature: feature.loss.type == "huber",
        "is for loss.type: huber; set that, or leave it out",
    ),
)


def unused_by_features(spec: TrainSpec, merged: TrainSpec) -> Iterator[Violation]:
    """Settings of features that their type, or another of their settings, makes meaningless."""
    for side, uses in (("input_features", INPUT_USES), ("output_features", OUTPUT_USES)):
        pairs = zip(getattr(spec, side), getattr(merged, side), strict=True)
        for index, (own, feature) in enumerate(pairs):
            path = f"{side}[{index}]"
            for section, by_type in uses.items():
                what = side.replace("_features", "s")
                yield from _unused(getattr(own, section), f"{path}.{section}", own.type, by_type, what)
            yield from _alone(own, feature, path, uses)


def unused_by_defaults(spec: TrainSpec) -> Iterator[Violation]:
    """Settings of the `defaults` of a type that neither its inputs nor its outputs read."""
    for kind, defaults in spec.defaults.items():
        for section in FeatureDefaultsSpec.model_fields:
            by_type = {
                name: " ".join(uses.get(section, {}).get(name, "") for uses in (INPUT_USES, OUTPUT_USES))
                for name in _PREPROCESSING
            }
            yield from _unused(getattr(defaults, section), f"defaults.{kind[:80]}.{section}", kind, by_type, "features")


def given(value: object) -> bool:
    """Whether a setting asks for anything."""
    return value is not None and value is not False and value not in (0, {}, [])


def _unused(values: Section, path: str, kind: str, by_type: Mapping[str, str], what: str) -> Iterator[Violation]:
    if kind not in _PREPROCESSING:
        return  # an unknown type is a violation of its own
    known = by_type.get(kind, "").split()
    for key in type(values).model_fields:
        value = getattr(values, key)
        # `trainable: false` is no matter of course where the key is unknown: a dense encoder learns all the same
        if key in known or key in _ELSEWHERE or not (given(value) or (key == "trainable" and value is False)):
            continue
        suited = [name for name in by_type if key in by_type[name].split()]
        reason = f"is for {', '.join(suited)} {what}, not {kind}" if suited else f"is not for {kind} {what}"
        yield Violation(f"{path}.{key}", f"{reason}; leave it out")


def _alone(own: FeatureSpec, feature: FeatureSpec, path: str, uses: _Uses) -> Iterator[Violation]:
    """Settings without the one that they need; a default that the feature's own choice puts aside is no mistake."""
    for need in _NEEDS:
        if feature.type not in need.types or need.section not in uses or need.met(feature):
            continue
        mine, merged = getattr(own, need.section), getattr(feature, need.section)
        chosen = bool(need.by) and getattr(mine, need.by) is not None
        for key in need.keys:
            if given(getattr(mine, key)) or (given(getattr(merged, key)) and not chosen):
                yield Violation(f"{path}.{need.section}.{key}", need.fix)
