"""Spellings of features as a whole: types, encoders, and which of them there are."""

from __future__ import annotations

import copy
from typing import Any

from headstart_server.spec.ludwig import unsupported_keys as instead
from headstart_server.spec.ludwig.rewriting import (
    DEFAULTS,
    ENCODERS,
    FEATURES,
    Reading,
    Section,
    Spelling,
    as_type,
    kind_of,
    moved_to,
    refused,
    renamed,
    without_effect,
)

_ON_INPUT = (
    *("pretrained_model_name_or_path", "use_pretrained", "trainable", "reduce_output", "model_variant"),
    *("embedding_size", "num_layers", "dropout", "output_size", "activation", "fc_layers", "fc_size"),
    *("representation", "embeddings_trainable", "embeddings_on_cpu", "pretrained_embeddings", "resnet_size"),
    *("use_bias", "weights_initializer", "bias_initializer", "pretrained_model"),
)
_LEARNED = "learned encoders are not shared between inputs; leave tied out, or join the columns into one"
_TRAINED = (
    "encoders that are trained are not shared between inputs; set encoder.trainable to false, with pretrained weights, "
    "or leave tied out"
)


def _active(section: Section, path: str, reading: Reading) -> None:
    """Features with `active: false` are left out: at the end, so that paths are those of the file."""
    for side in ("input_features", "output_features"):
        features = section.get(side)
        if not isinstance(features, list):
            continue
        kept = [index for index, item in enumerate(features) if not _left_out(item, f"{side}[{index}]", reading)]
        if len(kept) < len(features):
            section[side] = [features[index] for index in kept]
            reading.kept[side] = kept


def _left_out(feature: Any, path: str, reading: Reading) -> bool:
    if not isinstance(feature, dict) or "active" not in feature:
        return False
    active = feature.pop("active")
    if not isinstance(active, bool):
        reading.refuse(f"{path}.active", f"{str(active)[:80]!r} must be true or false")
    elif active:
        reading.note(f"{path}.active", "has no effect: features are active")
    else:
        reading.note(f"{path}.active", "false: the feature is left out")
    return active is False


def _tied(section: Section, path: str, reading: Reading) -> None:
    features = section["input_features"]
    by_name = {
        str(item.get("name")): item
        for item in (features if isinstance(features, list) else [])
        if isinstance(item, dict)
    }
    for index, feature in enumerate(features if isinstance(features, list) else []):
        for key in ("tied", "tied_weights"):
            if isinstance(feature, dict) and key in feature:
                _tie(feature, feature.pop(key), by_name, section, f"{path}[{index}].{key}", reading)


def _tie(feature: Section, name: Any, by_name: dict[str, Section], spec: Section, path: str, reading: Reading) -> None:
    """A frozen encoder that another input has is the same encoder: it is set the same."""
    if name is None:
        return reading.note(path, "has no effect: it is unset")
    other = by_name.get(name) if isinstance(name, str) else None
    if other is None or other is feature or other.get("type") != feature.get("type"):
        return reading.refuse(path, f"{str(name)[:80]!r} must be the name of another input of the same type")
    encoder = other.get("encoder")
    kind, encoder = other.get("type"), encoder if isinstance(encoder, dict) else {}
    if kind not in ("text", "image"):
        plain = ("passthrough", None) if kind in ("number", "binary", "vector") else ("onehot",)
        if encoder.get("type") not in plain:
            return reading.refuse(path, _LEARNED)
        return reading.note(path, "has no effect: the encoder learns nothing")
    shared = spec.get("defaults", {})
    shared = shared.get(kind, {}) if isinstance(shared, dict) else {}
    shared = shared.get("encoder", {}) if isinstance(shared, dict) else {}
    merged = {**(shared if isinstance(shared, dict) else {}), **encoder}
    if merged.get("trainable") is True or merged.get("use_pretrained") is False:
        return reading.refuse(path, _TRAINED)
    feature["encoder"] = copy.deepcopy(encoder)
    reading.note(path, f"read as the encoder of {name[:80]!r}, which is frozen, so that its weights are those of both")


def _sparse(section: Section, path: str, reading: Reading) -> None:
    """A category's one-hot vectors were called `sparse`, or `representation: sparse`."""
    encoder = section["encoder"]
    if kind_of(section, path) != "category" or not isinstance(encoder, dict):
        return
    sparse = encoder.get("representation") == "sparse"
    if encoder.get("type") == "sparse" or (sparse and encoder.get("type") in (None, "dense")):
        encoder["type"] = "onehot"
        for key in ("representation", "embeddings_trainable"):
            encoder.pop(key, None)
        reading.note(path, "'sparse' read as type: onehot")


def _old_images(section: Section, path: str, reading: Reading) -> None:
    encoder = section["encoder"]
    if kind_of(section, path) != "image" or not isinstance(encoder, dict):
        return
    if "resnet_size" in encoder:
        encoder.setdefault("model_variant", str(encoder.pop("resnet_size")))
        reading.moves[f"{path}.model_variant"] = f"{path}.resnet_size"
        reading.note(
            f"{path}.resnet_size", "read as model_variant; with pretrained weights, unless use_pretrained is false"
        )
    if "pretrained_model" in encoder and encoder.get("type") in (None, "vit"):
        encoder |= {"type": "auto_transformer", "pretrained_model_name_or_path": encoder.pop("pretrained_model")}
        reading.moves[f"{path}.pretrained_model_name_or_path"] = f"{path}.pretrained_model"
        reading.note(f"{path}.pretrained_model", "read as auto_transformer with pretrained_model_name_or_path")
    for key in ("height", "width", "num_channels"):
        if key in encoder:
            del encoder[key]
            reading.note(f"{path}.{key}", "has no effect: images get the size and channels of the pretrained encoder")


def _encoder_type(section: Section, path: str, reading: Reading) -> None:
    encoder, words = section["encoder"], instead.ENCODERS.get(str(kind_of(section, path)), {})
    if isinstance(encoder, dict) and "type" in encoder:
        refused(words)(encoder, f"{path}.type", reading)


def _no_reduction(section: Section, path: str, reading: Reading) -> None:
    if section["reduce_output"] is None:
        reading.refuse(path, "null: a combiner takes one vector per row; use mean, or leave it out")


FEATURE_SPELLINGS: tuple[Spelling, ...] = (
    *(Spelling(side, "type", "`numerical`: `number`", renamed({"numerical": "number"}), "0.5") for side in FEATURES),
    Spelling("input_features[]", "type", "types that there are not: refused", refused(instead.INPUT_TYPES)),
    Spelling("output_features[]", "type", "types that there are not: refused", refused(instead.OUTPUT_TYPES)),
    *(Spelling(side, "proc_column", "no effect", without_effect("columns are read as they are")) for side in FEATURES),
    *(
        Spelling(side, "encoder", "a word is its `type`", as_type("encoder"), "0.6")
        for side in ("input_features[]", *DEFAULTS)
    ),
    *(Spelling("input_features[]", key, f"`encoder.{key}`", moved_to("encoder", key), "0.6") for key in _ON_INPUT),
    *(
        Spelling(side, "encoder", meaning, write, until)
        for side in ("input_features[]", *DEFAULTS)
        for meaning, write, until in (
            ("category's `sparse`, and `representation: sparse`: `onehot`", _sparse, ""),
            (
                "image's `resnet_size`: `model_variant`; `pretrained_model` of `vit`: `auto_transformer`",
                _old_images,
                "0.7",
            ),
            ("encoders without pretrained weights: refused", _encoder_type, ""),
        )
    ),
    *(
        Spelling(side, key, meaning, write)
        for side in ENCODERS
        for key, meaning, write in (
            ("reduce_output", "`avg`: `mean`", renamed({"avg": "mean"})),
            ("reduce_output", "`null` is refused", _no_reduction),
            ("representation", "no effect if `dense`", without_effect("vectors are dense", "dense")),
            ("embeddings_trainable", "no effect if true", without_effect("learned vectors are trained", True)),
            ("pretrained_embeddings", "no effect unless set", without_effect("it is unset", None)),
            ("embeddings_on_cpu", "no effect", without_effect("vectors are where the model is")),
            ("embedding_initializer", "no effect", without_effect("vectors begin as torch's do")),
            ("vocab", "no effect unless set", without_effect("it is unset", None)),
            ("skip", "no effect if false", without_effect("the encoder is used", False)),
            ("adapter", "no effect unless set", without_effect("it is unset", None)),
            ("quantization", "no effect unless set", without_effect("it is unset", None)),
            ("pretrained_kwargs", "no effect unless set", without_effect("it is unset", None)),
            ("saved_weights_in_checkpoint", "no effect", without_effect("models hold what they need")),
            ("model_cache_dir", "no effect", without_effect("weights are where the server keeps them")),
            ("gradient_checkpointing", "no effect", without_effect("it saves memory and changes no result")),
        )
    ),
    Spelling("", "input_features", "`tied`: the encoder of another input, where that is frozen", _tied),
)
LAST_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("", "input_features", "`active: false`: the feature is left out", _active),
)
