"""Reports: tables of raw values that print as aligned Markdown and are kept as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RECORDED = "recorded elsewhere"
"""Marks columns whose numbers come from another machine: never part of a ratio."""


@dataclass(frozen=True)
class Column:
    """One column: the key of its values, its title, and a format that may hold a unit, e.g. `{:.1f} ms`."""

    key: str
    title: str
    form: str = "{}"

    def text(self, row: Mapping[str, Any]) -> str:
        """A row's value for people; empty where it has none."""
        value = row.get(self.key)
        return "" if value is None else self.form.format(value)


@dataclass(frozen=True)
class Table:
    """Rows of raw values under columns."""

    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    caption: str = ""

    def markdown(self) -> str:
        """The table, its columns padded to one width so that it reads well in a terminal too."""
        cells = [[column.title for column in self.columns]]
        cells += [[column.text(row) for column in self.columns] for row in self.rows]
        widths = [max(len(line[index]) for line in cells) for index in range(len(self.columns))]
        lines = [_line(line, widths) for line in cells]
        rule = "|" + "|".join("-" * (width + 1) + (":" if index else "-") for index, width in enumerate(widths)) + "|"
        caption = [f"**{self.caption}**", ""] if self.caption else []
        return "\n".join([*caption, lines[0], rule, *lines[1:]])


@dataclass(frozen=True)
class Report:
    """What one benchmark found."""

    name: str
    question: str
    """What it measures, in a sentence."""
    data: str
    """Which rows: the real ones or the stand-in."""
    tables: Sequence[Table]
    notes: Sequence[str] = field(default_factory=tuple)

    def markdown(self) -> str:
        """The whole report."""
        parts = [f"## {self.name}", f"{self.question}\nData: {self.data}."]
        parts += [table.markdown() for table in self.tables]
        if self.notes:
            parts.append("\n".join(f"- {note}" for note in self.notes))
        return "\n\n".join(parts) + "\n"

    def save(self, folder: Path, machine: Mapping[str, Any]) -> None:
        """Writes `NAME.md` and `NAME.json`, the latter with the machine it ran on."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{self.name}.md").write_text(self.markdown(), encoding="utf-8")
        content = {"machine": dict(machine), **asdict(self)}
        (folder / f"{self.name}.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One line: the first column to the left, numbers to the right."""
    padded = [
        cell.rjust(width) if index else cell.ljust(width)
        for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"
