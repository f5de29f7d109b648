"""Random messages of any type, and mutations of the bytes of valid ones. All follow from a seed."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_WORDS = [
    "",
    "a",
    "text",
    "review",
    "number",
    "bert",
    "tiny-bert",
    "datasets/x",
    "models/x",
    "../x",
    "\0",
    "é字🦆",
    "NaN",
]
_NUMBERS = [0, 1, -1, 2, 7, 100, 2**31 - 1, -(2**31), 2**63 - 1, -(2**63)]
_FLOATS = [0.0, -0.0, 0.5, 1.0, -1.0, 1e300, float("inf"), float("-inf"), float("nan")]
_DEPTH = 6


def random_message(kind: type[Message], generator: random.Random, depth: int = 0) -> Message:
    """A message with some of its fields set, each to something its type allows."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if generator.random() > 0.4 or (field.message_type is not None and depth >= _DEPTH):
            continue
        _fill(message, field, generator, depth)
    return message


def _fill(message: Message, field: Any, generator: random.Random, depth: int) -> None:
    target = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = field.message_type.fields_by_name["value"]
        for _ in range(generator.randrange(3)):
            if value.message_type is None:
                target[_scalar(field.message_type.fields_by_name["key"], generator)] = _scalar(value, generator)
            else:
                key = _scalar(field.message_type.fields_by_name["key"], generator)
                target[key].CopyFrom(random_message(GetMessageClass(value.message_type), generator, depth + 1))
    elif field.is_repeated and field.message_type is not None:
        for _ in range(generator.randrange(3)):
            target.append(random_message(GetMessageClass(field.message_type), generator, depth + 1))
    elif field.is_repeated:
        target.extend(_scalar(field, generator) for _ in range(generator.randrange(4)))
    elif field.message_type is not None:
        target.CopyFrom(random_message(GetMessageClass(field.message_type), generator, depth + 1))
    else:
        setattr(message, field.name, _scalar(field, generator))


def _scalar(field: FieldDescriptor, generator: random.Random) -> object:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return generator.random() < 0.5
        case FieldDescriptor.CPPTYPE_DOUBLE:
            return generator.choice(_FLOATS)
        case FieldDescriptor.CPPTYPE_FLOAT:
            return generator.choice([value for value in _FLOATS if abs(value) < 1e38 or value != value])
        case FieldDescriptor.CPPTYPE_ENUM:
            return generator.choice([0, 1, 2, 3, 77, -5])
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return generator.randbytes(generator.choice([0, 1, 9, 300]))
        case FieldDescriptor.CPPTYPE_STRING:
            return generator.choice(_WORDS) * generator.choice([1, 1, 1, 2, 400])
    wide = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)
    signed = field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_INT32)
    fitting = [value for value in _NUMBERS if (signed or value >= 0) and (wide or abs(value) < 2**31)]
    return generator.choice(fitting)


def mutated(body: bytes, generator: random.Random) -> bytes:
    """Bytes with some flipped, cut, repeated, or put elsewhere."""
    data = bytearray(body)
    for _ in range(generator.choice([1, 1, 2, 4, 16])):
        place = generator.randrange(len(data) + 1)
        match generator.randrange(6):
            case 0 | 1 if data:
                data[place % len(data)] ^= 1 << generator.randrange(8)
            case 2 if data:
                data[place % len(data)] = generator.choice([0, 1, 0x7F, 0x80, 0xFF])
            case 3:
                del data[place : place + generator.choice([1, 2, 8, len(data)])]
            case 4:
                data[place:place] = generator.randbytes(generator.choice([1, 2, 8]))
            case 5:
                start = generator.randrange(len(data) + 1)
                data[place:place] = data[start : start + generator.choice([1, 8, 64])]
    return bytes(data)
