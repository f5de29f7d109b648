"""Spellings of the whole spec, of its preprocessing and of that of its features."""

from __future__ import annotations

from headstart_server.spec.ludwig import unsupported_keys as instead
from headstart_server.spec.ludwig.rewriting import (
    DEFAULTS,
    FEATURES,
    PREPROCESSINGS,
    TYPES,
    Reading,
    Section,
    Spelling,
    Write,
    as_type,
    kind_of,
    moved_to,
    put,
    refused,
    without_effect,
)

_SEPARATORS = {"space": " ", "comma": ",", "underscore": "_"}


def _model_type(section: Section, path: str, reading: Reading) -> None:
    value = section.pop("model_type")
    match value:
        case "ecd":
            return
        case "gbm" | "ridge" | "knn":
            section["model_type"] = value
        case "llm":
            reading.refuse(path, "'llm' is not implemented; use 'ecd' with a text input and a category output")
        case _:
            reading.refuse(path, f"{str(value)[:80]!r} is not known; use 'ecd', 'gbm', 'ridge' or 'knn'")


def _typed_preprocessing(kind: str) -> Write:
    def write(section: Section, path: str, reading: Reading) -> None:
        settings = section["preprocessing"].pop(kind)
        name = "number" if kind == "numerical" else kind
        defaults = section.setdefault("defaults", {})
        if not isinstance(settings, dict) or not isinstance(defaults, dict):
            return reading.refuse(f"preprocessing.{kind}", "must be a mapping; see defaults")
        target = defaults.setdefault(name, {})
        for key, value in settings.items():
            put(target, "preprocessing", key, value, f"preprocessing.{kind}.{key}", reading, f"defaults.{name}")
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


def _tokenizer(section: Section, path: str, reading: Reading) -> None:
    settings = section["preprocessing"]
    if kind_of(section, path) == "set" and isinstance(settings, dict) and "tokenizer" in settings:
        word = settings.get("tokenizer")
        if separator := _SEPARATORS.get(word if isinstance(word, str) else ""):
            del settings["tokenizer"]
            put(settings, "", "separator", separator, f"{path}.tokenizer", reading)
            reading.note(f"{path}.tokenizer", f"read as separator: {separator!r}")
        else:
            reading.refuse(f"{path}.tokenizer", f"{str(word)[:80]!r} is not known; use {', '.join(_SEPARATORS)}")


_IMAGES = "images get the size, channels and scale of the pretrained encoder"
_LOADING = "the server decides how images are read"
_OWN_TOKENS = "texts are read by the tokenizer of their encoder"
_WITHOUT_EFFECT = {
    "image": {
        **dict.fromkeys(
            (
                *("height", "width", "resize_method", "num_channels", "resize_image", "scaling", "standardize_image"),
                *("infer_image_dimensions", "infer_image_num_channels", "infer_image_max_height"),
                *("infer_image_max_width", "infer_image_sample_size", "requires_equal_dimensions"),
            ),
            _IMAGES,
        ),
        **dict.fromkeys(("in_memory", "num_processes"), _LOADING),
    },
    "text": dict.fromkeys(
        (
            *("tokenizer", "word_tokenizer", "char_tokenizer", "most_common", "word_most_common", "char_most_common"),
            *("padding", "padding_symbol", "unknown_symbol", "ngram_size", "compute_idf"),
            *("pretrained_model_name_or_path", "char_sequence_length_limit"),
        ),
        _OWN_TOKENS,
    ),
}
"""Keys of some types' preprocessing that change nothing, each with the reason."""


def _by_type(section: Section, path: str, reading: Reading) -> None:
    settings = section["preprocessing"]
    if isinstance(settings, dict):
        for key, reason in _WITHOUT_EFFECT.get(str(kind_of(section, path)), {}).items():
            if key in settings:
                without_effect(reason)(settings, f"{path}.{key}", reading)


def _plain_numbers(section: Section, path: str, reading: Reading) -> None:
    """`normalization: null` is none, where leaving it out is `zscore`."""
    settings = section["preprocessing"]
    numbers = isinstance(settings, dict) and kind_of(section, path) == "number"
    if numbers and settings.get("normalization", "") is None:
        settings["normalization"] = "none"
        reading.note(f"{path}.normalization", "null read as 'none'")


def _fill_with_a_number(section: Section, path: str, reading: Reading) -> None:
    """The fill value of all numbers may be written as the number that it is, as that of one feature."""
    settings = section["preprocessing"]
    fill = settings.get("fill_value") if isinstance(settings, dict) else None
    if isinstance(fill, int | float) and not isinstance(fill, bool):
        settings["fill_value"] = repr(fill)


def _level(section: Section, path: str, reading: Reading) -> None:
    if section["level"] == "word":
        del section["level"]
        reading.note(path, f"has no effect: {_OWN_TOKENS}")


_ON_FEATURE = (
    *("missing_value_strategy", "fill_value", "lowercase", "height", "width", "num_channels", "resize_image"),
    *("resize_method", "in_memory", "normalization", "max_sequence_length", "tokenizer"),
)


PREPROCESSING_SPELLINGS: tuple[Spelling, ...] = (
    Spelling("", "model_type", "`llm` is refused", _model_type),
    Spelling("", "ludwig_version", "no effect", without_effect("the spec is read by its own rules")),
    *(
        Spelling(
            "",
            "preprocessing",
            "`preprocessing.<type>`: `defaults.<type>.preprocessing`",
            _typed_preprocessing(kind),
            "0.5",
        )
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
        Spelling("input_features[]", key, f"`preprocessing.{key}`", moved_to("preprocessing", key), "0.2")
        for key in _ON_FEATURE
    ),
    Spelling("defaults.number", "preprocessing", "`fill_value` may be a number", _fill_with_a_number),
    Spelling("input_features[]", "level", "no effect if `word`", _level, "0.5"),
    *(
        Spelling(side, "preprocessing", meaning, write)
        for side in (*FEATURES, *DEFAULTS)
        for meaning, write in (
            ("texts' `tokenizer`, `most_common`, `padding`, ..., images' `height`, `width`, ...: no effect", _by_type),
            ("numbers' `normalization: null`: `none`", _plain_numbers),
        )
    ),
    *(
        Spelling(side, key, meaning, write, until)
        for side in PREPROCESSINGS
        for key, meaning, write, until in (
            ("missing_value_strategy", "filling from neighbours: refused", refused(instead.MISSING_VALUES), ""),
            ("word_sequence_length_limit", "`max_sequence_length`", moved_to("", "max_sequence_length"), "0.5"),
            ("sequence_length_limit", "`max_sequence_length`", moved_to("", "max_sequence_length"), "0.5"),
            ("sequence_length", "no effect unless set", without_effect("it is unset", None), ""),
            ("vocab_file", "no effect unless set", without_effect("it is unset", None), ""),
            ("word_vocab_file", "no effect unless set", without_effect("it is unset", None), ""),
            ("char_vocab_file", "no effect unless set", without_effect("it is unset", None), ""),
            ("prompt", "no effect unless set", without_effect("it is unset", None), ""),
            ("outlier_strategy", "no effect unless set", without_effect("it is unset", None), ""),
            ("outlier_threshold", "no effect", without_effect("outliers are kept"), ""),
            ("computed_outlier_fill_value", "no effect", without_effect("outliers are kept"), ""),
        )
    ),
    *(
        Spelling("", key, "no effect unless set", without_effect("it is unset", None, {}))
        for key in ("hyperopt", "adapter", "quantization", "prompt", "generation", "base_model")
    ),
    Spelling("", "backend", "a word is its `type`", as_type("backend")),
    Spelling("backend", "processor", "no effect", without_effect("the server reads tables by itself")),
    Spelling("backend", "loader", "no effect", without_effect("the server reads rows by itself")),
    Spelling("backend", "cache_dir", "no effect", without_effect("embeddings are kept in the server's store")),
    Spelling("backend", "cache_format", "no effect", without_effect("embeddings are kept in the server's store")),
)
