"""Prints what becomes of every kind of value on every path by which it may arrive.

    python -m tests.matrix.run

A column says how a path is read in training and, by every other path, how it is found when a model is asked: `same`,
`refused` with the reason, `not written` where the library does not hold such cells, or `DIFFERS` with an example. Ends
with 1 where anything differs.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart import HeadstartError as ClientError
from headstart_server.core.errors import HeadstartError
from headstart_server.data.features.cells import split_items
from headstart_server.data.spellings import Spellings

from tests.matrix.paths import Texts, Way, ways
from tests.matrix.vectors import KINDS, Kind

REFUSALS = (HeadstartError, ClientError)


@dataclass(frozen=True)
class Outcome:
    """What was read of a kind's cells on one path: per cell a text, a tuple of items, or None; or why nothing was."""

    path: str
    cells: tuple[Any, ...] = ()
    refused: str = ""
    failed: str = ""
    """An error that is no answer of the product's."""
    unwritten: str = ""
    """Why the library that writes such files does not hold such cells: then there is nothing to read."""


def outcomes(kind: Kind, folder: Path) -> list[Outcome]:
    """The kind on every path."""
    return [_outcome(kind, way) for way in ways(kind, folder)]


def _outcome(kind: Kind, way: Way) -> Outcome:
    try:
        written = way.written()
    except Exception as error:  # noqa: BLE001 - of any library; it is told, and no fault of ours
        return Outcome(way.name, unwritten=f"{type(error).__name__}: {error}".splitlines()[0])
    try:
        return Outcome(way.name, _cells(kind, way.read(written)))
    except REFUSALS as error:
        return Outcome(way.name, refused=str(error).splitlines()[0])
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what this looks for
        return Outcome(way.name, failed=f"{type(error).__name__}: {error}")


def _cells(kind: Kind, texts: Texts) -> tuple[Any, ...]:
    if not kind.items:
        return tuple(texts)
    return tuple(None if text is None else tuple(split_items(text, kind.separator)) for text in texts)


def differences(trained: Outcome, asked: Outcome) -> Iterator[str]:
    """Cells that a model trained on one path finds otherwise when they come by another; none where one is refused."""
    if asked.failed:
        yield asked.failed
    if any(side.refused or side.failed or side.unwritten for side in (trained, asked)):
        return
    known = Spellings({item for cell in trained.cells for item in _items(cell)})
    if len(asked.cells) != len(trained.cells):
        yield f"{len(asked.cells)} cells, not {len(trained.cells)}"
    for label, cell in zip(trained.cells, asked.cells, strict=False):
        found = [known.find(item) for item in _items(cell)]
        if found != list(_items(label)):
            yield f"{trained.path} {label!r}, {asked.path} {cell!r}"


def _items(cell: Any) -> tuple[str, ...]:
    if cell is None:
        return ()
    return cell if isinstance(cell, tuple) else (cell,)


def meant(kind: Kind) -> Outcome:
    """What the cells mean, as the table of kinds has it."""
    return Outcome("meant", kind.texts)


def report(kind: Kind, folder: Path) -> tuple[list[str], bool]:
    """Lines for one kind, and whether nothing differs."""
    found = outcomes(kind, folder)
    lines, good = [f"{kind.name}"], True
    for outcome in found:
        others = [meant(kind), *found]
        wrong = [line for other in others for line in differences(other, outcome)]
        good = good and not wrong
        lines.append(f"    {outcome.path:28}{_state(outcome, wrong)[:200]}")
    return lines, good


def _state(outcome: Outcome, wrong: list[str]) -> str:
    if outcome.unwritten:
        return f"not written: {outcome.unwritten}"
    if outcome.refused:
        return f"refused: {outcome.refused}"
    return f"DIFFERS: {wrong[0]}" if wrong else "same"


def main() -> int:
    """Prints the matrix; returns 1 where one path means another value than the others."""
    all_good = True
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number, kind in enumerate(KINDS):
            room = Path(folder) / str(number)
            room.mkdir()
            lines, good = report(kind, room)
            print("\n".join(lines), flush=True)
            all_good = all_good and good
    print("nothing differs" if all_good else "SOMETHING DIFFERS")
    return 0 if all_good else 1


if __name__ == "__main__":
    sys.exit(main())
