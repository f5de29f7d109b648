"""Ludwig's spellings of what the typed spec says in one way, as one table: older names, and keys without effect here.

Each row reads one section of a spec's plain values, changes it in place, and tells what it did. A key that neither a
row nor the typed spec knows stays where it is, and is refused there.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from headstart_server.core.errors import InvalidInputError, Violation

MAX_NOTES = 100
_TYPES = ("text", "image", "number", "category", "binary", "set", "vector")
_DECODERS = {
    "category": "classifier",
    "binary": "regressor",
    "number": "regressor",
    "set": "classifier",
    "vector": "projector",
}
_ON_INPUT = (
    *("pretrained_model_name_or_path", "use_pretrained", "trainable", "reduce_output", "model_variant"),
    *("embedding_size", "num_layers", "dropout", "output_size"),
)
_ON_OUTPUT = ("num_fc_layers", "output_size", "dropout", "threshold", "fc_layers", "fc_size")
_SEPARATORS = {"space": " ", "comma": ",", "underscore": "_"}


@dataclass
class Reading:
    """What rewriting a spec found: notes on what was read otherwise than written, and violations."""

    notes: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)

    def note(self, path: str, message: str) -> None:
        """Keeps a note; beyond the first hundred they say nothing new."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(f"{path}: {message}"[:900])

    def refuse(self, path: str, message: str) -> None:
        """Keeps a violation."""
        self.violations.append(Violation(path, message))


Section = dict[str, Any]


@dataclass(frozen=True)
class Spelling:
    """One row: the section (`""` is the whole spec), the key, what it means here, and how it is written out.

    `until` is the version of Ludwig that renamed the key, empty where it is current.
    """

    section: str
    key: str
    meaning: str
    write: Callable[[Section, str, Reading], None]
    until: str = ""


def with_current_spelling(values: Section) -> tuple[Section, list[str]]:
    """The values in the typed spec's spelling, and a note for each thing that was read otherwise than written.

    Raises InvalidInputError for spellings that contradict each other or mean nothing here.
    """
    written, reading = copy.deepcopy(values), Reading()
    for row in SPELLINGS:
        for section, path in _sections(written, row.section):
            if row.key in section:
                row.write(section, f"{path}.{row.key}" if path else row.key, reading)
    if reading.violations:
        raise InvalidInputError(reading.violations)
    return written, reading.notes


def _sections(values: Section, name: str) -> Iterator[tuple[Section, str]]:
    """Each mapping that a row's section names: `trainer.optimizer`, `input_features[]`."""
    found: list[tuple[Any, str]] = [(values, "")]
    for part in name.split(".") if name else []:
        key, many = part.removesuffix("[]"), part.endswith("[]")
        inner = [(item.get(key), f"{path}.{key}" if path else key) for item, path in found if isinstance(item, dict)]
        found = [
            (item, f"{path}[{index}]")
            for items, path in inner
            if many and isinstance(items, list)
            for index, item in enumerate(items)
        ] or ([] if many else inner)
    yield from ((item, path) for item, path in found if isinstance(item, dict))


def _put(section: Section, inner: str, key: str, value: Any, path: str, reading: Reading) -> None:
    """Sets `section[inner][key]`, and refuses to choose between two values."""
    if inner and section.get(inner) in (None, "auto"):
        section[inner] = {}
    target = section[inner] if inner else section
    if isinstance(target, dict) and target.get(key, value) == value:
        target[key] = value
    else:
        named = f"{inner}.{key}" if inner else key
        reading.refuse(path, f"is given here and as {named}; keep {named}")


def _to(inner: str, key: str) -> Callable[[Section, str, Reading], None]:
    """The key under another name, or in a section of its own."""

    def write(section: Section, path: str, reading: Reading) -> None:
        _put(section, inner, key, section.pop(path.rpartition(".")[2]), path, reading)
        reading.note(path, f"read as {inner}.{key}" if inner else f"read as {key}")

    return write


def _idle(reason: str, *only: Any) -> Callable[[Section, str, Reading], None]:
    """The key has no effect, for a reason; with `only`, where its value is one of these, and otherwise it is left."""

    def write(section: Section, path: str, reading: Reading) -> None:
        key = path.rpartition(".")[2]
        if only and not any(type(section[key]) is type(value) and section[key] == value for value in only):
            return
        section.pop(key)
        reading.note(path, f"has no effect: {reason}")

    return write


def _word(key: str) -> Callable[[Section, str, Reading], None]:
    """A section written as the word that is its type."""

    def write(section: Section, path: str, reading: Reading) -> None:
        if isinstance(section[key], str) and section[key] != "auto":
            section[key] = {"type": section[key]}

    return write


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


def _numerical(section: Section, path: str, reading: Reading) -> None:
    if section["type"] == "numerical":
        section["type"] = "number"
        reading.note(path, "'numerical' read as 'number'")


def _typed_preprocessing(kind: str) -> Callable[[Section, str, Reading], None]:
    def write(section: Section, path: str, reading: Reading) -> None:
        settings = section["preprocessing"].pop(kind)
        name = "number" if kind == "numerical" else kind
        defaults = section.setdefault("defaults", {})
        if not isinstance(settings, dict) or not isinstance(defaults, dict):
            return reading.refuse(f"preprocessing.{kind}", "must be a mapping; see defaults")
        target = defaults.setdefault(name, {})
        for key, value in settings.items():
            _put(target, "preprocessing", key, value, f"preprocessing.{kind}.{key}", reading)
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
        _put(section, "split", "type", "stratify", path, reading)
        _put(section, "split", "column", column, path, reading)
        reading.note(path, "read as split.type: stratify and split.column")


def _fixed_split(section: Section, path: str, reading: Reading) -> None:
    if section["type"] == "fixed" and section.get("column") is None:
        section["column"] = "split"
        reading.note(path, "'fixed' reads the column 'split'")


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
        _put(section, "decoder", "calibration", bool(kind), path, reading)
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
    _put(section, "", "num_fc_layers", len(layers), path, reading)
    for key, value in sizes[0].items():
        _put(section, "", key, value, path, reading)
    reading.note(path, "read as num_fc_layers and the sizes that all layers share")


def _kind(section: Section, path: str) -> Any:
    """The type of a feature, or of the features whose defaults a section holds."""
    return path.split(".")[1] if path.startswith("defaults.") else section.get("type")


def _tokenizer(section: Section, path: str, reading: Reading) -> None:
    settings = section["preprocessing"]
    if _kind(section, path) == "set" and isinstance(settings, dict) and "tokenizer" in settings:
        word = settings.get("tokenizer")
        if separator := _SEPARATORS.get(word if isinstance(word, str) else ""):
            del settings["tokenizer"]
            _put(settings, "", "separator", separator, f"{path}.tokenizer", reading)
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


def _validation_field(section: Section, path: str, reading: Reading) -> None:
    trainer, outputs = section["trainer"], section.get("output_features")
    if not isinstance(trainer, dict) or "validation_field" not in trainer:
        return
    path = f"{path}.validation_field"
    output, metric = trainer.pop("validation_field"), trainer.get("validation_metric")
    if output in (None, "combined", "auto"):
        return
    if not isinstance(output, str) or not isinstance(metric, str | None):
        reading.refuse(path, "must be the name of an output")
    elif metric not in (None, "auto", "loss"):
        trainer["validation_metric"] = f"{output}.{metric}"
        reading.note(path, f"read as validation_metric: {output}.{metric}"[:300])
    elif not isinstance(outputs, list) or len(outputs) != 1:
        reading.refuse(path, "needs a validation_metric that is not the loss: that is taken of all outputs together")


_FEATURES = ("input_features[]", "output_features[]")
_DEFAULTS = tuple(f"defaults.{kind}" for kind in _TYPES)
SPELLINGS: tuple[Spelling, ...] = (
    Spelling("", "model_type", "`ecd` is what every model here is; `gbm` and `llm` are refused", _model_type),
    Spelling("", "ludwig_version", "no effect", _idle("the spec is read by its own rules")),
    Spelling("", "training", "`trainer`", _to("", "trainer"), "0.5"),
    *(
        Spelling("", "preprocessing", f"`preprocessing.{kind}`: `defaults`", _typed_preprocessing(kind), "0.5")
        for kind in (*_TYPES, "numerical")
    ),
    Spelling("preprocessing", "stratify", "`split.type: stratify` with `split.column`", _stratify, "0.5"),
    Spelling("preprocessing", "force_split", "`split.type: random`", _force_split, "0.5"),
    Spelling("preprocessing", "split_probabilities", "`split.probabilities`", _to("split", "probabilities"), "0.5"),
    Spelling("preprocessing.split", "type", "`fixed` reads the column `split` unless told otherwise", _fixed_split),
    Spelling("preprocessing", "oversample_minority", "no effect unless set", _idle("it is unset", None)),
    Spelling("preprocessing", "undersample_majority", "no effect unless set", _idle("it is unset", None)),
    Spelling("preprocessing", "sample_size", "no effect unless set", _idle("it is unset", None)),
    *(Spelling(side, "type", "`numerical`: `number`", _numerical, "0.5") for side in _FEATURES),
    *(Spelling(side, "active", "no effect if true", _idle("features are active", True)) for side in _FEATURES),
    Spelling("input_features[]", "tied", "no effect unless set", _idle("it is unset", None)),
    Spelling("input_features[]", "encoder", "a word is its `type`", _word("encoder"), "0.6"),
    *(Spelling("input_features[]", key, f"`encoder.{key}`", _to("encoder", key), "0.6") for key in _ON_INPUT),
    Spelling("output_features[]", "decoder", "a word is its `type`", _word("decoder"), "0.6"),
    Spelling("output_features[]", "decoder", "`decoder.type`: the one that there is", _decoder_type),
    *(Spelling("output_features[]", key, f"`decoder.{key}`", _to("decoder", key), "0.6") for key in _ON_OUTPUT),
    Spelling("output_features[]", "calibration", "`decoder.calibration`", _calibration),
    *(
        Spelling(section, key, meaning, write)
        for section in ("combiner", "output_features[].decoder")
        for key, meaning, write in (
            ("fc_layers", "`num_fc_layers`, `output_size`, `dropout`, where all layers are alike", _fc_layers),
            ("fc_size", "`output_size`", _to("", "output_size")),
        )
    ),
    *(
        Spelling(
            f"{side}.preprocessing",
            "computed_fill_value",
            "no effect",
            _idle("it is computed from the training rows"),
        )
        for side in (*_FEATURES, *_DEFAULTS)
    ),
    *(
        Spelling(side, "preprocessing", "`tokenizer` of sets: `separator`", _tokenizer)
        for side in (*_FEATURES, "defaults.set")
    ),
    *(
        Spelling(side, "preprocessing", "`height`, `width`, ... of images: no effect", _image_sizes)
        for side in ("input_features[]", "defaults.image")
    ),
    Spelling("trainer", "optimizer", "a word is its `type`", _word("optimizer")),
    Spelling(
        "",
        "trainer",
        "`validation_field`: `validation_metric: field.metric`; of one output, its loss",
        _validation_field,
    ),
    Spelling("trainer", "bucketing_field", "no effect", _idle("batches are grouped by length automatically"), "0.7"),
    Spelling("trainer", "should_shuffle", "no effect if true", _idle("rows are shuffled in each epoch", True)),
    Spelling(
        "trainer",
        "enable_gradient_checkpointing",
        "no effect; memory only",
        _idle("it saves memory and changes no result; on Ray, set backend.trainer.activation_checkpointing"),
    ),
    *(
        Spelling("trainer", key, "no effect at the value that switches it off", _idle("it is switched off", *off))
        for key, off in (
            ("increase_batch_size_on_plateau", (0, None)),
            ("reduce_on_plateau", (0, None)),
            ("regularization_lambda", (0, 0.0)),
            ("regularization_type", (None,)),
            ("train_steps", (None,)),
            ("steps_per_checkpoint", (0,)),
            ("checkpoints_per_epoch", (0, 1)),
        )
    ),
    *(
        Spelling("trainer.learning_rate_scheduler", key, "no effect if 0", _idle("it is switched off", 0, None))
        for key in ("reduce_on_plateau", "warmup_evaluations")
    ),
)
