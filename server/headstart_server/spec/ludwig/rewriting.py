"""Rows of the table of spellings: what one reads, what it writes instead, and what it tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from headstart_server.core.errors import Violation

MAX_NOTES = 100
Section = dict[str, Any]
TYPES = ("text", "image", "number", "category", "binary", "set", "vector")
FEATURES = ("input_features[]", "output_features[]")
DEFAULTS = tuple(f"defaults.{kind}" for kind in TYPES)


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


Write = Callable[[Section, str, Reading], None]
"""Changes one section of a spec in place; the path leads to the key, for notes and violations."""


@dataclass(frozen=True)
class Spelling:
    """One row: the section (`""` is the whole spec), the key, what it means here, and how it is written out.

    `until` is the version of Ludwig that renamed the key, empty where it is current.
    """

    section: str
    key: str
    meaning: str
    write: Write
    until: str = ""


def sections(values: Section, name: str) -> Iterator[tuple[Section, str]]:
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


def put(section: Section, inner: str, key: str, value: Any, path: str, reading: Reading) -> None:
    """Sets `section[inner][key]`, and refuses to choose between two values."""
    if inner and section.get(inner) in (None, "auto"):
        section[inner] = {}
    target = section[inner] if inner else section
    if isinstance(target, dict) and target.get(key, value) == value:
        target[key] = value
    else:
        named = f"{inner}.{key}" if inner else key
        reading.refuse(path, f"is given here and as {named}; keep {named}")


def moved_to(inner: str, key: str) -> Write:
    """The key under another name, or in a section of its own."""

    def write(section: Section, path: str, reading: Reading) -> None:
        put(section, inner, key, section.pop(path.rpartition(".")[2]), path, reading)
        reading.note(path, f"read as {inner}.{key}" if inner else f"read as {key}")

    return write


def without_effect(reason: str, *only: Any) -> Write:
    """The key has no effect, for a reason; with `only`, where its value is one of these, and otherwise it is left."""

    def write(section: Section, path: str, reading: Reading) -> None:
        key = path.rpartition(".")[2]
        if only and not any(type(section[key]) is type(value) and section[key] == value for value in only):
            return
        section.pop(key)
        reading.note(path, f"has no effect: {reason}")

    return write


def as_type(key: str) -> Write:
    """A section written as the word that is its type."""

    def write(section: Section, path: str, reading: Reading) -> None:
        if isinstance(section[key], str) and section[key] != "auto":
            section[key] = {"type": section[key]}

    return write
