"""Spellings of features: encoders, decoders and the layers of combiners."""

from __future__ import annotations

from headstart_server.spec.ludwig.rewriting import (
    FEATURES,
    Reading,
    Section,
    Spelling,
    as_type,
    moved_to,
    put,
    without_effect,
)

_ON_INPUT = (
    *("pretrained_model_name_or_path", "use_pretrained", "trainable", "reduce_output", "model_variant"),
    *("embedding_size", "num_layers", "dropout", "output_size"),
)


_ON_OUTPUT = ("num_fc_layers", "output_size", "dropout", "threshold", "fc_layers", "fc_size")


_DECODERS = {
    "category": "classifier",
    "binary": "regressor",
    "number": "regressor",
    "set": "classifier",
    "vector": "projector",
}


def _numerical(section: Section, path: str, reading: Reading) -> None:
    if section["type"] == "numerical":
        section["type"] = "number"
        reading.note(path, "'numerical' read as 'number'")


def _decoder_type(section: Section, path: str, reading: Reading) -> None:
    decoder = section["decoder"]
    if not isinstance(decoder, dict) or "type" not in decoder:
        return
    given, expected = decoder.pop("type"), _DECODERS.get(str(section.get("type")))
    if expected is not None and given not in (expected, "auto", None):
        reading.refuse(f"{path}.type", f"{str(given)[:80]!r} is not for {section['type']} outputs; use {expected!r}")


def _calibration(section: Section, path: str, reading: Reading) -> None:
    value = section.pop("calibration")
    kind = value.get("type") if isinstance(value, dict) else value
    if isinstance(kind, bool) or kind == "temperature_scaling":
        put(section, "decoder", "calibration", bool(kind), path, reading)
        reading.note(path, "read as decoder.calibration")
    elif kind is not None:
        reading.refuse(path, f"{str(kind)[:80]!r} is not known; use true, false or temperature_scaling")


def _fc_layers(section: Section, path: str, reading: Reading) -> None:
    layers = section.pop("fc_layers")
    if layers is None or layers == []:
        return
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        return reading.refuse(path, "must be a list of layers, e.g. [{output_size: 128}]")
    sizes = [{("output_size" if key == "fc_size" else key): item for key, item in layer.items()} for layer in layers]
    if any(layer != sizes[0] for layer in sizes) or sizes[0].keys() - {"output_size", "dropout", "activation"}:
        return reading.refuse(
            path, "layers must be alike, of output_size, dropout and activation; use num_fc_layers and these"
        )
    put(section, "", "num_fc_layers", len(layers), path, reading)
    for key, value in sizes[0].items():
        put(section, "", key, value, path, reading)
    reading.note(path, "read as num_fc_layers and the sizes that all layers share")


FEATURE_SPELLINGS: tuple[Spelling, ...] = (
    *(Spelling(side, "type", "`numerical`: `number`", _numerical, "0.5") for side in FEATURES),
    *(Spelling(side, "active", "no effect if true", without_effect("features are active", True)) for side in FEATURES),
    Spelling("input_features[]", "tied", "no effect unless set", without_effect("it is unset", None)),
    Spelling("input_features[]", "encoder", "a word is its `type`", as_type("encoder"), "0.6"),
    *(Spelling("input_features[]", key, f"`encoder.{key}`", moved_to("encoder", key), "0.6") for key in _ON_INPUT),
    Spelling("output_features[]", "decoder", "a word is its `type`", as_type("decoder"), "0.6"),
    Spelling("output_features[]", "decoder", "`decoder.type`: the one that there is", _decoder_type),
    *(Spelling("output_features[]", key, f"`decoder.{key}`", moved_to("decoder", key), "0.6") for key in _ON_OUTPUT),
    Spelling("output_features[]", "calibration", "`decoder.calibration`", _calibration),
    *(
        Spelling(section, key, meaning, write)
        for section in ("combiner", "output_features[].decoder")
        for key, meaning, write in (
            ("fc_layers", "`num_fc_layers`, `output_size`, `dropout`, where all layers are alike", _fc_layers),
            ("fc_size", "`output_size`", moved_to("", "output_size")),
        )
    ),
)
