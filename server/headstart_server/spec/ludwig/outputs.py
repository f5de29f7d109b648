"""Spellings of outputs, and of the fully connected layers of combiners, decoders and dense encoders."""

from __future__ import annotations

from headstart_server.spec.ludwig import unsupported_keys as instead
from headstart_server.spec.ludwig.rewriting import (
    DECODERS,
    DEFAULTS,
    ENCODERS,
    LOSSES,
    Reading,
    Section,
    Spelling,
    as_type,
    kind_of,
    moved_to,
    put,
    refused,
    renamed,
    without_effect,
)

_TO_DECODER = (
    *("num_fc_layers", "output_size", "dropout", "norm", "activation", "threshold", "fc_layers", "fc_size", "clip"),
    *(
        "fc_output_size",
        "fc_dropout",
        "fc_norm",
        "fc_activation",
        "use_bias",
        "weights_initializer",
        "bias_initializer",
    ),
    *("num_classes",),
)
_TYPES = {
    "category": "classifier",
    "binary": "regressor",
    "number": "regressor",
    "set": "classifier",
    "vector": "projector",
}
_STACKS = ("combiner", *DECODERS, *ENCODERS)
_LAYERS = (*_STACKS, *(f"{section}.fc_layers[]" for section in _STACKS))
_BEGIN = "layers begin as torch's do"


def _decoder_type(section: Section, path: str, reading: Reading) -> None:
    decoder, kind = section["decoder"], str(kind_of(section, path))
    if not isinstance(decoder, dict) or "type" not in decoder:
        return
    given, expected = decoder.pop("type"), _TYPES.get(kind)
    if expected is not None and given not in (expected, "auto", None):
        reading.refuse(
            f"{path}.type", f"{str(given)[:80]!r} is not for {kind} outputs; use {expected!r}, or leave it out"
        )


def _on_output(section: Section, path: str, reading: Reading) -> None:
    """`calibration` of the output, and as the mapping or word that Ludwig writes."""
    value = section.pop("calibration")
    put(section, "decoder", "calibration", value, path, reading)
    reading.note(path, "read as decoder.calibration")


def _calibration(section: Section, path: str, reading: Reading) -> None:
    value = section["calibration"]
    kind = value.get("type") if isinstance(value, dict) else value
    if kind == "temperature_scaling":
        section["calibration"] = True
        reading.note(path, "'temperature_scaling' read as true")
    elif kind is None:
        del section["calibration"]
    elif not isinstance(kind, bool):
        reading.refuse(path, f"{str(kind)[:80]!r} is not known; use true, false or temperature_scaling")


def _class_weights(section: Section, path: str, reading: Reading) -> None:
    """Labels that YAML reads as numbers or truth values are the words that they were; a list has no labels."""
    value = section["class_weights"]
    if isinstance(value, list) and value:
        reading.refuse(path, "a list depends on the order of the labels; write a mapping, e.g. {spam: 2.0, ham: 1.0}")
    elif isinstance(value, list):
        del section["class_weights"]
    elif isinstance(value, dict):
        section["class_weights"] = {
            (str(key).lower() if isinstance(key, bool) else str(key)): weight for key, weight in value.items()
        }


def _layer_list(section: Section, path: str, reading: Reading) -> None:
    if section["fc_layers"] in (None, []):
        del section["fc_layers"]


def _layer_count(section: Section, path: str, reading: Reading) -> None:
    """Ludwig takes the list of layers where both are given."""
    layers, count = section.get("fc_layers"), section["num_fc_layers"]
    if isinstance(layers, list) and layers and isinstance(count, int) and count != len(layers):
        del section["num_fc_layers"]
        reading.note(path, f"has no effect: fc_layers lists {len(layers)}")


OUTPUT_SPELLINGS: tuple[Spelling, ...] = (
    *(
        Spelling(side, key, "a word is its `type`", as_type(key), "0.6")
        for side in ("output_features[]", *DEFAULTS)
        for key in ("decoder", "loss")
    ),
    *(
        Spelling(side, "decoder", "`decoder.type`: the one that there is", _decoder_type)
        for side in ("output_features[]", *DEFAULTS)
    ),
    *(Spelling("output_features[]", key, f"`decoder.{key}`", moved_to("decoder", key), "0.6") for key in _TO_DECODER),
    Spelling("output_features[]", "calibration", "`decoder.calibration`", _on_output),
    *(Spelling(side, "calibration", "`temperature_scaling`: true", _calibration) for side in DECODERS),
    *(
        Spelling("output_features[]", key, meaning, write)
        for key, meaning, write in (
            ("dependencies", "no effect if empty", without_effect("there are none", [], None)),
            ("reduce_input", "no effect", without_effect("encoders give one vector per row")),
            ("reduce_dependencies", "no effect", without_effect("outputs do not feed each other")),
            ("default_validation_metric", "no effect", without_effect("trainer.validation_metric says it")),
            ("softmax", "no effect if false", without_effect("answers are the values themselves", False)),
            ("vector_size", "`preprocessing.vector_size`", moved_to("preprocessing", "vector_size")),
            ("class_similarities", "no effect unless set", without_effect("it is unset", None)),
            ("input_size", "no effect", without_effect("it is that of the combiner")),
        )
    ),
    *(
        Spelling(section, key, f"`{name}`", moved_to("", name))
        for section in DECODERS
        for key, name in (
            ("fc_output_size", "output_size"),
            ("fc_dropout", "dropout"),
            ("fc_norm", "norm"),
            ("fc_activation", "activation"),
        )
    ),
    *(
        Spelling(section, key, meaning, write)
        for section in DECODERS
        for key, meaning, write in (
            ("input_size", "no effect", without_effect("it is that of the combiner")),
            ("num_classes", "no effect", without_effect("classes are those of the training rows")),
            ("clip", "no effect unless set", without_effect("it is unset", None)),
            ("multiplier", "no effect if 1", without_effect("it is 1", 1, 1.0)),
            ("fc_use_bias", "no effect if true", without_effect("layers have a bias", True)),
            ("fc_weights_initializer", "no effect", without_effect(_BEGIN)),
            ("fc_bias_initializer", "no effect", without_effect(_BEGIN)),
            ("fc_norm_params", "no effect unless set", without_effect("it is unset", None, {})),
        )
    ),
    *(
        Spelling(section, key, meaning, write)
        for section in LOSSES
        for key, meaning, write in (
            ("type", "`cross_entropy` of binary outputs", renamed({"cross_entropy": "binary_weighted_cross_entropy"})),
            ("type", "losses that there are not: refused", refused(instead.LOSSES)),
            ("class_weights", "by label; a list is refused", _class_weights),
            ("labels_smoothing", "`label_smoothing`", moved_to("", "label_smoothing")),
            ("robust_lambda", "no effect if 0", without_effect("it is switched off", 0, 0.0, None)),
            ("confidence_penalty", "no effect if 0", without_effect("it is switched off", 0, 0.0, None)),
            ("class_similarities", "no effect unless set", without_effect("it is unset", None, [])),
            ("class_similarities_temperature", "no effect if 0", without_effect("it is switched off", 0, 0.0, None)),
            ("unique", "no effect if false", without_effect("it is switched off", False)),
        )
    ),
    Spelling("", "combiner", "a word is its `type`", as_type("combiner")),
    Spelling("combiner", "type", "combiners other than `concat`: refused", refused(instead.COMBINERS)),
    Spelling("combiner", "flatten_inputs", "no effect", without_effect("encoders give one vector per row")),
    *(Spelling(section, "fc_size", "`output_size`", moved_to("", "output_size"), "0.5") for section in _LAYERS),
    *(Spelling(section, "fc_layers", "empty: none", _layer_list) for section in _STACKS),
    *(
        Spelling(section, "num_fc_layers", "no effect beside `fc_layers`", _layer_count)
        for section in ("combiner", *DECODERS)
    ),
    *(
        Spelling(section, key, meaning, write)
        for section in _LAYERS
        for key, meaning, write in (
            ("use_bias", "no effect if true", without_effect("layers have a bias", True)),
            ("weights_initializer", "no effect", without_effect(_BEGIN)),
            ("bias_initializer", "no effect", without_effect(_BEGIN)),
            ("norm_params", "no effect unless set", without_effect("it is unset", None, {})),
            ("residual", "no effect if false", without_effect("layers have no residual connections", False)),
        )
    ),
)
