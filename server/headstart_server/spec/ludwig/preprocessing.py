"""Spellings of the whole spec, of its preprocessing and of that of its features."""

from __future__ import annotations

from typing import Any

from headstart_server.spec.ludwig.rewriting import (
    DEFAULTS,
    FEATURES,
    TYPES,
    Reading,
    Section,
    Spelling,
    Write,
    moved_to,
    put,
    without_effect,
)

_SEPARATORS = {"space": " ", "comma": ",", "underscore": "_"}


def _model_type(section: Section, path: str, reading: Reading) -> None:
    value = section.pop("model_type")
    match value:
        case "ecd":
            return
        case "gbm":
            reading.refuse(path, "'gbm' is not implemented; use 'ecd', or a library of boosted trees for tables alone")
        case "llm":
            reading.refuse(path, "'llm' is not implemented; use 'ecd' with a text input and a category output")
        case _:
            reading.refuse(path, f"{str(value)[:80]!r} is not known; every model here is 'ecd'")


def _typed_preprocessing(kind: str) -> Write:
    def write(section: Section, path: str, reading: Reading) -> None:
        settings = section["preprocessing"].pop(kind)
        name = "number" if kind == "numerical" else kind
        defaults = section.setdefault("defaults", {})
        if not isinstance(settings, dict) or not isinstance(defaults, dict):
            return reading.refuse(f"preprocessing.{kind}", "must be a mapping; see defaults")
        target = defaults.setdefault(name, {})
        for key, value in settings.items():
            put(target, "preprocessing", key, value, f"preprocessing.{kind}.{key}", reading)
        reading.note(f"preprocessing.{kind}", f"read as defaults.{name}.preprocessing")

    def guarded(section: Section, path: str, reading: Reading) -> None:
        if isinstance(section["preprocessing"], dict) and kind in section["preprocessing"]:
            write(section, path, reading)

    return guarded


def _force_split(section: Section, path: str, reading: Reading) -> None:
    section.pop("force_split")
    split = section.setdefault("split", {})
    if isinstance(split, dict):
        split.setdefault("type", "random")
        reading.note(path, f"read as split.type: {split['type']}, as Ludwig reads it since 0.5")


def _stratify(section: Section, path: str, reading: Reading) -> None:
    column = section.pop("stratify")
    if column is not None:
        put(section, "split", "type", "stratify", path, reading)
        put(section, "split", "column", column, path, reading)
        reading.note(path, "read as split.type: stratify and split.column")


def _fixed_split(section: Section, path: str, reading: Reading) -> None:
    if section["type"] == "fixed" and section.get("column") is None:
        section["column"] = "split"
        reading.note(path, "'fixed' reads the column 'split'")


def _kind(section: Section, path: str) -> Any:
    """The type of a feature, or of the features whose defaults a section holds."""
    return path.split(".")[1] if path.startswith("defaults.") else section.get("type")


def _tokenizer(section: Section, path: str, reading: Reading) -> None:
    settings = section["preprocessing"]
    if _kind(section, path) == "set" and isinstance(settings, dict) and "tokenizer" in settings:
        word = settings.get("tokenizer")
        if separator := _SEPARATORS.get(word if isinstance(word, str) else ""):
            del settings["tokenizer"]
            put(settings, "", "separator", separator, f"{path}.tokenizer", reading)
            reading.note(f"{path}.tokenizer", f"read as separator: {separator!r}")
        else:
            reading.refuse(f"{path}.tokenizer", f"{str(word)[:80]!r} is not known; use {', '.join(_SEPARATORS)}")


def _image_sizes(section: Section, path: str, reading: Reading) -> None:
    settings = section["preprocessing"]
    if _kind(section, path) != "image" or not isinstance(settings, dict):
        return
    for key in ("height", "width", "resize_method", "num_channels"):
        if key in settings:
            del settings[key]
            reading.note(f"{path}.{key}", "has no effect: images get the size and channels of the pretrained encoder")


PREPROCESSING_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("", "model_type", "`ecd` is what every model here is; `gbm` and `llm` are refused", _model_type),
    Spelling("", "ludwig_version", "no effect", without_effect("the spec is read by its own rules")),
    *(
        Spelling("", "preprocessing", f"`preprocessing.{kind}`: `defaults`", _typed_preprocessing(kind), "0.5")
        for kind in (*TYPES, "numerical")
    ),
    Spelling("preprocessing", "stratify", "`split.type: stratify` with `split.column`", _stratify, "0.5"),
    Spelling("preprocessing", "force_split", "`split.type: random`", _force_split, "0.5"),
    Spelling(
        "preprocessing", "split_probabilities", "`split.probabilities`", moved_to("split", "probabilities"), "0.5"
    ),
    Spelling("preprocessing.split", "type", "`fixed` reads the column `split` unless told otherwise", _fixed_split),
    *(
        Spelling(
            f"{side}.preprocessing",
            "computed_fill_value",
            "no effect",
            without_effect("it is computed from the training rows"),
        )
        for side in (*FEATURES, *DEFAULTS)
    ),
    *(
        Spelling(side, "preprocessing", "`tokenizer` of sets: `separator`", _tokenizer)
        for side in (*FEATURES, "defaults.set")
    ),
    *(
        Spelling(side, "preprocessing", "`height`, `width`, ... of images: no effect", _image_sizes)
        for side in ("input_features[]", "defaults.image")
    ),
)
