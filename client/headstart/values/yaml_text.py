"""Write Python values as YAML that every YAML 1.1 and 1.2 reader takes alike, so that the client needs no YAML library.

JSON is nearly that, with two traps: YAML 1.1 reads `1e-05` as text (its floats want a point), and some characters that
JSON leaves bare are line breaks or forbidden in YAML.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

DEEPEST = 100
ODD_CHARACTERS = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")


def yaml_of(value: Any, path: str = "spec", depth: int = 0) -> str:
    """Return the value as one line of YAML.

    Raises:
        ValueError: not finite, or nested deeper than 100, naming the path.
        TypeError: a type that a spec cannot hold, naming the path.
    """
    if depth > DEEPEST:
        raise ValueError(f"{path[:60]}...: nested deeper than {DEEPEST}")
    match value:
        case None | bool() | int():
            return json.dumps(value)
        case float():
            return _float(value, path)
        case str() | PurePath():
            return _text(str(value))
        case Mapping():
            return "{" + ", ".join(_entry(key, item, path, depth) for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(yaml_of(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)) + "]"
        case _:
            raise TypeError(
                f"{path}: a spec holds text, numbers, booleans, lists and dicts, not {type(value).__name__}"
            )


def _entry(key: Any, value: Any, path: str, depth: int) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{path}: key {key!r} is not a text")
    return f"{_text(key)}: {yaml_of(value, f'{path}.{key}', depth + 1)}"


def _float(value: float, path: str) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{path}: {value} is not a finite number")
    text = repr(float(value))
    return text.replace("e", ".0e") if "e" in text and "." not in text else text


def _text(text: str) -> str:
    return ODD_CHARACTERS.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))
