"""Reads a spec that is JSON as JSON: half characters in escapes (`\\ud83d\\ude00`) and tabs are no YAML 1.1."""

import json
from typing import Any

from headstart_server.core.errors import invalid
from headstart_server.spec.yaml_reader import (
    FIELD,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    HalfCharacterError,
    check_characters,
    read_int,
)


def read_json(text: str) -> dict[str, Any] | None:
    """The mapping that a JSON document holds; None where the text is none, and `read_yaml` says what is wrong with it.

    Raises InvalidInputError for JSON that no spec is: repeated keys, half characters, too deep or too large.
    """
    text = text.removeprefix("\ufeff")
    if not text.lstrip().startswith("{") or len(text) > MAX_BYTES:
        return None
    try:
        # `parse_constant` sees NaN and Infinity, which Python takes for JSON
        value = json.loads(text, object_pairs_hook=_mapping, parse_int=read_int, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return _checked(value) if isinstance(value, dict) else None


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise invalid(FIELD, f"key {name[:80]!r} is repeated; keep one of them")
        found[name] = value
    return found


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _checked(value: dict[str, Any]) -> dict[str, Any]:
    """Walks without recursion: depth, number of values, and whole characters only."""
    stack: list[tuple[str, int, Any]] = [("", 0, value)]
    nodes = 0
    while stack:
        path, depth, item = stack.pop()
        nodes += 1
        if depth > MAX_DEPTH:
            raise invalid(FIELD, f"nested more than {MAX_DEPTH} deep; no spec needs that")
        if nodes > MAX_NODES:
            raise invalid(FIELD, f"holds more than {MAX_NODES} values; a spec is a page")
        if isinstance(item, str):
            _check_characters(item, path)
        elif isinstance(item, list):
            stack.extend((f"{path}[{index}]", depth + 1, child) for index, child in enumerate(item))
        elif isinstance(item, dict):
            # keys count, as they do in YAML
            nodes += len(item)
            for key, child in item.items():
                _check_characters(key, path or FIELD)
                stack.append((f"{path}.{key[:80]}" if path else key[:80], depth + 1, child))
    return value


def _check_characters(text: str, path: str) -> None:
    try:
        check_characters(text)
    except HalfCharacterError as error:
        raise invalid(path, str(error)) from None
