"""Filters of lists in the language of https://google.aip.dev/160: read once, then matched, or made SQL of."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.labels import KEY

_MOST_CHARACTERS, _MOST_COMPARISONS, _MOST_DEPTH = 2_000, 100, 20
_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')|(?P<operator><=|>=|!=|[<>=:])|(?P<mark>[()]|-(?=\S))"""
    r"""|(?P<word>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)?|[^\s()<>=!:"']+))""",
    re.ASCII,
)


class Kind(Enum):
    """What a field holds."""

    TEXT = auto()
    NUMBER = auto()
    TIME = auto()
    CHOICE = auto()
    LABELS = auto()


_OPERATORS = {
    Kind.TEXT: ("=", "!=", ":"),
    Kind.NUMBER: ("=", "!=", "<", "<=", ">", ">="),
    Kind.TIME: ("=", "!=", "<", "<=", ">", ">="),
    Kind.CHOICE: ("=", "!="),
    Kind.LABELS: ("=", "!=", ":"),
}


_COMPARE = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}


@dataclass(frozen=True)
class Field:
    """A field that a filter may name."""

    kind: Kind
    choices: tuple[str, ...] = ()
    """Of a CHOICE."""
    prefix: str = ""
    """That a value may have in front of what is compared, as names of resources do."""


@dataclass(frozen=True)
class Comparison:
    """A field beside a value. What is unset fits nothing, not even `!=`."""

    field: str
    kind: Kind
    operator: str
    value: Any
    """A text, a number or a time; None: whether there is such a label."""
    key: str = ""
    """Of a label."""


@dataclass(frozen=True)
class Both:
    """All of them."""

    terms: tuple["Node", ...]


@dataclass(frozen=True)
class Either:
    """At least one of them."""

    terms: tuple["Node", ...]


@dataclass(frozen=True)
class Not:
    """The opposite."""

    term: "Node"


Node = Comparison | Both | Either | Not


def parse(text: str, fields: Mapping[str, Field], searched: str) -> Node | None:
    """What a filter asks for; None for an empty one.

    Args:
        text: The filter.
        fields: What it may name.
        searched: The field in which a bare word is looked for.

    Raises:
        InvalidInputError: What is no filter, with where and what could stand there.
    """
    if len(text) > _MOST_CHARACTERS:
        raise invalid("filter", f"is {len(text):,} characters long; use at most {_MOST_CHARACTERS:,}")
    if "\0" in text:
        raise invalid("filter", "holds the character NUL, which nothing does that it is compared with")
    return _Parser(text, fields, searched).whole() if text.strip() else None


def matches(node: Node | None, values: Mapping[str, Any]) -> bool:
    """Whether something with these values by field is what a filter asks for; everything is where there is none."""
    match node:
        case None:
            return True
        case Both(terms):
            return all(matches(term, values) for term in terms)
        case Either(terms):
            return any(matches(term, values) for term in terms)
        case Not(term):
            return not matches(term, values)
        case Comparison():
            return _compares(node, values[node.field])


def wildcards(value: str) -> tuple[str, bool, bool]:
    """A text of `=` without the `*` at its ends, and whether anything may stand before and after it."""
    before, after = value.startswith("*"), len(value) > 1 and value.endswith("*")
    return value[before : len(value) - after], before, after


def _compares(node: Comparison, found: Any) -> bool:
    if node.kind is Kind.LABELS:
        found = found.get(node.key)
    if found is None:
        return False
    if node.value is None:
        return True
    if node.operator == ":":
        return str(node.value).lower() in str(found).lower()
    if node.kind in (Kind.TEXT, Kind.LABELS):
        return _equals(node.value, found) is (node.operator == "=")
    return bool(_COMPARE[node.operator](found, node.value))


def _equals(value: str, found: str) -> bool:
    text, before, after = wildcards(value)
    if before and after:
        return text in found
    if before:
        return found.endswith(text)
    return found.startswith(text) if after else found == text


class _Parser:
    """Recursive descent over tokens. OR binds closer than AND, as the language has it."""

    def __init__(self, text: str, fields: Mapping[str, Field], searched: str) -> None:
        self._tokens, self._fields, self._searched = list(_tokens(text)), fields, searched
        self._next = self._comparisons = self._depth = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._next < len(self._tokens):
            raise self._wrong("ends a group that was not begun")
        return node

    def _expression(self) -> Node:
        terms = [self._factor()]
        while self._next < len(self._tokens) and self._peek() != ("mark", ")"):
            if self._peek() == ("word", "AND"):
                self._next += 1
            terms.append(self._factor())
        return terms[0] if len(terms) == 1 else Both(tuple(terms))

    def _factor(self) -> Node:
        terms = [self._term()]
        while self._peek() == ("word", "OR"):
            self._next += 1
            terms.append(self._term())
        return terms[0] if len(terms) == 1 else Either(tuple(terms))

    def _term(self) -> Node:
        if self._peek() in (("word", "NOT"), ("mark", "-")):
            self._next += 1
            return Not(self._simple())
        return self._simple()

    def _simple(self) -> Node:
        if self._peek() != ("mark", "("):
            return self._comparison()
        self._next += 1
        self._depth += 1
        if self._depth > _MOST_DEPTH:
            raise invalid("filter", f"has more than {_MOST_DEPTH} groups within each other; write it flatter")
        node = self._expression()
        if self._peek() != ("mark", ")"):
            raise self._wrong("is where a ')' is missing")
        self._next += 1
        self._depth -= 1
        return node

    def _comparison(self) -> Node:
        self._comparisons += 1
        if self._comparisons > _MOST_COMPARISONS:
            raise invalid("filter", f"has more than {_MOST_COMPARISONS} comparisons; list in parts")
        kind, name = self._take("a field or a word")
        if self._peek()[0] != "operator":
            return Comparison(self._searched, Kind.TEXT, ":", name)
        operator = self._take("an operator")[1]
        negative = self._peek() == ("mark", "-")
        self._next += negative
        value = negative * "-" + self._take(f"the value of {name!r}")[1]
        if kind == "string":
            raise invalid("filter", f"compares the text {name!r}; name a field, without quotes")
        return self._checked(name, operator, value)

    def _checked(self, path: str, operator: str, value: str) -> Comparison:
        name, _, key = path.partition(".")
        field = self._fields.get(name)
        if field is None or (key and field.kind is not Kind.LABELS):
            raise invalid("filter", f"names {path!r}; use one of {', '.join(_shown(self._fields))}")
        if operator not in _OPERATORS[field.kind]:
            raise invalid("filter", f"compares {path} by {operator!r}; use one of {' '.join(_OPERATORS[field.kind])}")
        if field.kind is Kind.LABELS:
            if not key and operator == ":":
                key, value = value, "*"
            if not KEY.fullmatch(key):
                raise invalid("filter", f"names the label {key!r}, which there cannot be; write labels.KEY = VALUE")
            return Comparison(name, field.kind, operator, None if value == "*" and operator == ":" else value, key)
        return Comparison(name, field.kind, operator, _value(path, field, value.removeprefix(field.prefix)))

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._next] if self._next < len(self._tokens) else ("end", "")

    def _take(self, wanted: str) -> tuple[str, str]:
        kind, text = self._peek()
        if kind not in ("word", "string") and (kind != "operator" or wanted != "an operator"):
            raise self._wrong(f"is where {wanted} is missing")
        self._next += 1
        return kind, text

    def _wrong(self, what: str) -> InvalidInputError:
        kind, text = self._peek()
        return invalid("filter", f"{'its end' if kind == 'end' else repr(text)} {what}; see https://google.aip.dev/160")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while text[position:].strip():
        found = _TOKEN.match(text, position)
        if found is None:
            raise invalid("filter", f'{text[position:].strip()[:40]!r} cannot be read; quote texts as "..."')
        kind, token = str(found.lastgroup), found.group(str(found.lastgroup))
        yield kind, re.sub(r"\\(.)", r"\1", token[1:-1]) if kind == "string" else token
        position = found.end()


def _value(path: str, field: Field, text: str) -> Any:
    try:
        match field.kind:
            case Kind.NUMBER:
                return float(text)
            case Kind.TIME:
                moment = datetime.fromisoformat(text)
                return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            case Kind.CHOICE:
                return next(choice for choice in field.choices if text.upper().removeprefix("STATE_") == choice)
            case _:
                return text
    except (ValueError, OverflowError, StopIteration):
        wanted = {
            Kind.NUMBER: "a number",
            Kind.TIME: 'a time as "2026-01-31T12:00:00Z"',
            Kind.CHOICE: f"one of {', '.join(field.choices)}",
        }[field.kind]
        raise invalid("filter", f"compares {path} with {text[:80]!r}; use {wanted}") from None


def _shown(fields: Mapping[str, Field]) -> Iterator[str]:
    for name, field in fields.items():
        yield f"{name}.KEY" if field.kind is Kind.LABELS else name
