"""Messages as JSON for machines: the protos' own field names, one object a line."""

from __future__ import annotations

import json
import sys
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message


def dict_of(message: Message) -> dict[str, Any]:
    """Return proto JSON. Numbers, booleans and enums are there even at their defaults; empty text and lists are not.

    As in all proto JSON, 64-bit integers are strings.
    """
    whole = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    pruned = _pruned(whole)
    assert isinstance(pruned, dict)
    return pruned


def print_json(value: Message | dict[str, Any]) -> None:
    """Print one line and let it go at once, so that readers follow along."""
    sys.stdout.write(json.dumps(dict_of(value) if isinstance(value, Message) else value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(item) for key, item in value.items() if item not in ("", [], {})}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value
