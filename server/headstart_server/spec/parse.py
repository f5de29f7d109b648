"""Turns plain values into a `TrainSpec`, and every mistake into a violation with its path and fix."""

import types
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headstart_server.core.errors import MOST_VIOLATIONS, InvalidInputError, Violation
from headstart_server.core.suggest import choices, did_you_mean
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.json_reader import read_json
from headstart_server.spec.ludwig.rewriting import Reading
from headstart_server.spec.ludwig.table import with_current_spelling, with_long_forms
from headstart_server.spec.ludwig.unsupported_keys import KEYS
from headstart_server.spec.model import FeatureSpec, TrainSpec
from headstart_server.spec.sweep_rules import sweep_rules
from headstart_server.spec.training_sections import BackendSpec
from headstart_server.spec.validate import validate
from headstart_server.spec.yaml_reader import read_yaml


def parse_yaml(text: str) -> TrainSpec:
    """Parses a spec in YAML or JSON; raises InvalidInputError with the violations found, by the paths of the text."""
    return read_spec(text)[0]


def read_spec(text: str) -> tuple[TrainSpec, Reading]:
    """The spec of a text in YAML or JSON, and how it was read; raises InvalidInputError as `parse_yaml` does."""
    values, reading = with_current_spelling(read_json(text) or read_yaml(text))
    with paths_as_written(reading):
        return parse_values({**values, **({"notes": reading.notes} if reading.notes else {})}), reading


@contextmanager
def paths_as_written(reading: Reading) -> Iterator[None]:
    """Violations within name the paths at which the user wrote what they are about."""
    try:
        yield
    except InvalidInputError as error:
        named = [_as_written(item, reading) for item in error.everything]
        raise InvalidInputError(named, reason=error.reason, unlisted=error.left_out) from None


def _as_written(item: Violation, reading: Reading) -> Violation:
    path = reading.written(item.field)
    return item if path == item.field else Violation(path, f"{item.message} (read as {item.field})")


def parse_values(values: dict[str, Any]) -> TrainSpec:
    """Parses plain values in the current spelling (from YAML, JSON or the proto message)."""
    try:
        spec = TrainSpec.model_validate(with_long_forms(values))
    except ValidationError as error:
        raise _refused([_violation(detail) for detail in _first(error)], error) from None
    violations = validate(spec, apply_defaults(spec))
    if not violations:
        violations = [*sweep_rules(spec)]
    if violations:
        raise InvalidInputError(violations)
    return spec


def parse_feature(values: dict[str, Any], field: str) -> FeatureSpec:
    """Parses one feature on its own; raises InvalidInputError with paths below `field`."""
    try:
        return FeatureSpec.model_validate(with_long_forms({"input_features": [values]})["input_features"][0])
    except ValidationError as error:
        found = [_violation({**detail, "loc": ("input_features", 0, *detail["loc"])}) for detail in _first(error)]
        named = [Violation(item.field.replace("input_features[0]", field, 1), item.message) for item in found]
        raise _refused(named, error) from None


def parse_backend(values: dict[str, Any], field: str) -> BackendSpec:
    """Parses a backend on its own; raises InvalidInputError with paths below `field`."""
    try:
        return TrainSpec.model_validate(with_long_forms({"backend": values})).backend
    except ValidationError as error:
        found = [_violation(detail) for detail in _first(error)]
        named = [Violation(item.field.replace("backend", field, 1), item.message) for item in found]
        raise _refused(named, error) from None


def _first(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_url=False)[:MOST_VIOLATIONS]


def _refused(listed: list[Violation], error: ValidationError) -> InvalidInputError:
    return InvalidInputError(listed, unlisted=error.error_count() - len(listed))


def _violation(detail: ErrorDetails) -> Violation:
    location = [part for part in detail["loc"] if part != "[key]"]  # pydantic's mark of an error in a mapping's key
    path = _path(location)
    given = _shown(detail.get("input"))
    match detail["type"]:
        case "extra_forbidden":
            return Violation(path, _unknown_key(location))
        case "literal_error":
            expected = detail["ctx"]["expected"]
            words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
            guess = did_you_mean(detail["input"], words) if isinstance(detail["input"], str) else ""
            return Violation(path, f"{given} is not known; use {expected}{guess}")
        case "model_type" | "model_attributes_type" | "dict_type":
            return Violation(path, f"{given} must be a mapping, e.g. {{type: ...}}")
        case "string_type" if isinstance(detail.get("input"), bool | int | float):
            return Violation(path, f"{given} must be text; write it in quotes: {str(detail['input']).lower()!r}")
        case "list_type":
            return Violation(path, f"{given} must be a list")
        case _:
            return Violation(path, f"{given}: {detail['msg'][0].lower()}{detail['msg'][1:]}")


def _unknown_key(location: list[int | str]) -> str:
    key = str(location[-1])
    unsupported = KEYS.get(key)
    if unsupported:
        return f"key {key!r} is not supported: {unsupported}"
    known = sorted(_known_keys(location[:-1]))
    return f"unknown key {key[:80]!r}{choices(key, known, 'known keys')}"


def _known_keys(location: list[int | str]) -> list[str]:
    """The keys of the section that a location leads to."""
    annotation: Any = TrainSpec
    for part in location:
        annotation = _inner(annotation, part)
    model = _inner(annotation, None)
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []


def _inner(annotation: Any, part: int | str | None) -> Any:
    """The type one step below `annotation`; with `part` None, the type itself without `| None`."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        annotation = next(item for item in typing.get_args(annotation) if item is not type(None))
        origin = typing.get_origin(annotation)
    if part is None:
        return annotation
    if origin in (list, dict):
        return typing.get_args(annotation)[-1]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and part in annotation.model_fields:
        return annotation.model_fields[str(part)].annotation
    return None


def _path(location: list[int | str]) -> str:
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{str(part)[:80]}" if text else str(part)[:80]
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
