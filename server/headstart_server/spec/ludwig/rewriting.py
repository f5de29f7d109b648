"""Rows of the table of spellings: what one reads, what it writes instead, and what it tells."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from headstart_server.core.errors import Violation

MAX_NOTES = 100
Section = dict[str, Any]
TYPES = ("text", "image", "number", "category", "binary", "set", "vector")
FEATURES = ("input_features[]", "output_features[]")
DEFAULTS = tuple(f"defaults.{kind}" for kind in TYPES)
ENCODERS = tuple(f"{side}.encoder" for side in ("input_features[]", *DEFAULTS))
DECODERS = tuple(f"{side}.decoder" for side in ("output_features[]", *DEFAULTS))
LOSSES = tuple(f"{side}.loss" for side in ("output_features[]", *DEFAULTS))
PREPROCESSINGS = tuple(f"{side}.preprocessing" for side in (*FEATURES, *DEFAULTS))
_FEATURE = re.compile(r"(input_features|output_features)\[(\d+)\]")


@dataclass
class Reading:
    """What rewriting a spec found: notes on what was read otherwise than written, violations, and where things went."""

    notes: list[str] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    moves: dict[str, str] = field(default_factory=dict)
    """Where each thing that moved was written, by where it is now."""
    kept: dict[str, list[int]] = field(default_factory=dict)
    """Of a side some of whose features were left out: the place at which each of the others was written."""

    def note(self, path: str, message: str) -> None:
        """Keeps a note; beyond the first hundred they say nothing new."""
        if len(self.notes) < MAX_NOTES:
            self.notes.append(f"{path}: {message}"[:900])

    def refuse(self, path: str, message: str) -> None:
        """Keeps a violation."""
        self.violations.append(Violation(path, message))

    def written(self, path: str) -> str:
        """The path at which the user wrote what is at `path` now."""
        if (found := _FEATURE.match(path)) and found[1] in self.kept:
            kept = self.kept[found[1]]
            path = f"{found[1]}[{kept[int(found[2])]}]{path[found.end() :]}"
        # bounded, so that moves which led to each other would end as well
        for _ in range(len(self.moves)):
            now = max((item for item in self.moves if _leads(item, path)), key=len, default=None)
            if now is None:
                break
            path = self.moves[now] + path[len(now) :]
        return path


def _leads(prefix: str, path: str) -> bool:
    return path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", ".", "[")


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


def rewritten(values: Section, rows: Iterable[Spelling]) -> tuple[Section, Reading]:
    """A copy of the values on which each row has written, in order, and what they found.

    Neighbouring rows of one section walk a spec of thousands of features together.
    """
    written, reading = copy.deepcopy(values), Reading()
    for name, neighbours in groupby(rows, lambda row: row.section):
        together = list(neighbours)
        for section, path in sections(written, name):
            for row in together:
                if row.key in section:
                    row.write(section, f"{path}.{row.key}" if path else row.key, reading)
    return written, reading


def kind_of(section: Section, path: str) -> Any:
    """The type of a feature, or of the features whose defaults a section holds."""
    return path.split(".")[1] if path.startswith("defaults.") else section.get("type")


def put(section: Section, inner: str, key: str, value: Any, path: str, reading: Reading, at: str | None = None) -> None:
    """Sets `section[inner][key]`, and refuses to choose between two values.

    `path` is where the value was written, `at` the section's own path; by default that of the key.
    """
    named = f"{inner}.{key}" if inner else key
    target = section
    for part in inner.split(".") if inner else []:
        if target.get(part) in (None, "auto"):
            target[part] = {}
        if not isinstance(target[part], dict):
            return reading.refuse(path, f"is given here and as {named}; keep {named}")
        target = target[part]
    if target.get(key, value) != value:
        return reading.refuse(path, f"is given here and as {named}; keep {named}")
    target[key] = value
    place = path.rpartition(".")[0] if at is None else at
    now = f"{place}.{named}" if place else named
    if now != path:
        reading.moves[now] = path


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
        # types, too: to Python 0 is False and 1 is True
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
            reading.moves[f"{path}.type"] = path

    return write


def refused(instead: Mapping[str, str]) -> Write:
    """Words that Headstart does not have, each with what to use instead."""

    def write(section: Section, path: str, reading: Reading) -> None:
        value = section[path.rpartition(".")[2]]
        if isinstance(value, str) and value in instead:
            reading.refuse(path, f"{value!r} is not implemented: {instead[value]}")

    return write


def renamed(words: Mapping[str, str]) -> Write:
    """Words that are called otherwise here."""

    def write(section: Section, path: str, reading: Reading) -> None:
        key = path.rpartition(".")[2]
        if isinstance(section[key], str) and section[key] in words:
            reading.note(path, f"{section[key]!r} read as {words[section[key]]!r}")
            section[key] = words[section[key]]

    return write
