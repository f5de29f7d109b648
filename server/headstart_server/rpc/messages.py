"""Conversions that every servicer needs: specs, times, pages."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from headstart.v1 import spec_pb2

from headstart_server.core.errors import invalid

T = TypeVar("T")
_DEFAULT_PAGE, _MAX_PAGE = 50, 1_000
_CHECK_DIGITS = 8


def spec_values(message: spec_pb2.TrainSpec) -> dict[str, Any]:
    """The plain values of a spec message: what is set, nothing else."""
    values: dict[str, Any] = _values(message)
    return values


def feature_values(message: spec_pb2.Feature) -> dict[str, Any]:
    """The plain values of a feature message, below `feature` as the spec's section would be."""
    values: dict[str, Any] = _values(message)
    return values


def backend_values(message: spec_pb2.Backend) -> dict[str, Any]:
    """The plain values of a backend message."""
    values: dict[str, Any] = _values(message)
    return values


def backend_message(values: dict[str, Any]) -> spec_pb2.Backend:
    """A backend message of plain values."""
    return ParseDict(values, spec_pb2.Backend())


def spec_message(values: dict[str, Any]) -> spec_pb2.TrainSpec:
    """A spec message of plain values."""
    return ParseDict(values, spec_pb2.TrainSpec())


def timestamp(value: datetime | str | None) -> Timestamp | None:
    """A protobuf timestamp; None stays None."""
    if value is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(datetime.fromisoformat(value) if isinstance(value, str) else value)
    return stamp


def page_limit(page_size: int) -> int:
    """The number of items to return; raises InvalidInputError for negative sizes."""
    if page_size < 0:
        raise invalid("page_size", f"{page_size} is negative; use 0 for the default or 1 to {_MAX_PAGE}")
    return min(page_size or _DEFAULT_PAGE, _MAX_PAGE)


def page(items: Iterable[T], name: Any, page_size: int, token: str) -> tuple[list[T], str]:
    """One page of items in descending order of `name(item)`, and the next page's token."""
    limit, before = page_limit(page_size), page_start(token)
    rest = [item for item in items if before is None or name(item) < before]
    return rest[:limit], page_token(name(rest[limit - 1])) if len(rest) > limit else ""


def page_token(last: str, scope: str = "") -> str:
    """The token of the page after the item called `last`; its check digits tell it from made-up ones, and from those of
    lists of another scope."""
    return f"{last}~{hashlib.sha256((scope + last).encode()).hexdigest()[:_CHECK_DIGITS]}"


def page_start(token: str, scope: str = "") -> str | None:
    """What `page_token` was made of; None for the first page. Raises InvalidInputError for any other token."""
    last = token.rpartition("~")[0]
    if token and page_token(last, scope) != token:
        raise invalid(
            "page_token",
            f"{token[:200]!r} is no token of this list; send the last next_page_token",
        )
    return last or None


def check_length(field: str, text: str, most: int) -> None:
    """Raises InvalidInputError for a text for people that is too long to show, or that databases do not hold."""
    if len(text) > most:
        raise invalid(field, f"is {len(text):,} characters long; use at most {most:,}")
    if "\0" in text:
        raise invalid(field, "holds the character NUL; leave it out")


def _values(message: Message) -> Any:
    if isinstance(message, Value):
        try:
            plain: Any = MessageToDict(message)
        except ValueError:
            raise invalid("spec", "holds a value that is not a finite number; JSON has none") from None
        return plain
    found: dict[str, Any] = {}
    # not protobuf's MessageToDict, which writes 64-bit numbers as texts
    for field, value in message.ListFields():
        # a map is a repeated field as well, so it is asked for first
        if _is_map(field):
            entry = field.message_type
            assert entry is not None
            item = entry.fields_by_name["value"]
            found[field.name] = {key: _values(value[key]) if item.message_type else value[key] for key in value}
        elif field.is_repeated:
            found[field.name] = [_values(item) if field.message_type else item for item in value]
        else:
            found[field.name] = _values(value) if field.message_type else value
    return found


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry
