"""Accept a spec in the forms that people hold it in: a message, a dict, YAML text, or a YAML file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from headstart.errors import InvalidArgument, Violation
from headstart.v1.spec_pb2 import TrainSpec
from headstart.v1.training_pb2 import TrainJobRequest
from headstart.values.yaml_text import yaml_of

Spec: TypeAlias = TrainSpec | Mapping[str, Any] | str | Path
"""A TrainSpec, a dict of the same shape as the YAML, the YAML itself (str), or a file of it (Path)."""


def request_of(spec: Spec) -> TrainJobRequest:
    """Return a request that carries the spec and nothing else.

    Raises:
        InvalidArgument: a value in the dict that a spec cannot hold, or a file that is not UTF-8.
        OSError: the file cannot be read.
    """
    if isinstance(spec, TrainSpec):
        return TrainJobRequest(spec=spec)
    if isinstance(spec, Path):
        return TrainJobRequest(spec_yaml=_file(spec))
    if isinstance(spec, str):
        return TrainJobRequest(spec_yaml=_refuse_file_name(spec))
    if isinstance(spec, Mapping):
        try:
            return TrainJobRequest(spec_yaml=yaml_of(spec))
        except (TypeError, ValueError) as error:
            path, _, why = str(error).partition(": ")
            raise InvalidArgument(str(error), reason="BAD_SPEC", violations=[Violation(path, why)]) from None
    raise TypeError(f"a spec is a dict, YAML text, a Path or a TrainSpec, not {type(spec).__name__}")


def _file(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidArgument(f"{path} is not UTF-8 at byte {error.start}; save it as UTF-8") from None


def _refuse_file_name(text: str) -> str:
    """Return the text unless it is a file's name, which as YAML would only give a puzzling error."""
    if "\n" not in text and ":" not in text and text.endswith((".yaml", ".yml", ".json")):
        raise InvalidArgument(f"{text!r} is YAML text to the client; pass pathlib.Path({text!r}) for a file")
    return text
