"""Values of any kind, as JSON has them."""

from __future__ import annotations

from typing import Any

from google.protobuf.struct_pb2 import Value


def plain(value: Value) -> Any:
    """Return what a Value holds: None, bool, int, float, str, list or dict. Whole numbers, held as floats, are ints."""
    match value.WhichOneof("kind"):
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "list_value":
            return [plain(item) for item in value.list_value.values]
        case "struct_value":
            return {name: plain(item) for name, item in value.struct_value.fields.items()}
        case "string_value" | "bool_value" as kind:
            return getattr(value, kind)
        case _:
            return None
