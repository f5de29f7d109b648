"""Print resources: tables or indented JSON for people, JSON lines for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from google.protobuf.message import Message

from headstart.cli.json_lines import dict_of, print_json
from headstart.cli.tables import (
    print_aliases,
    print_datasets,
    print_exports,
    print_jobs,
    print_models,
    print_spaces,
)

PRINTERS: dict[str, Callable[[Iterable[Any]], None]] = {
    "jobs": print_jobs,
    "models": print_models,
    "aliases": print_aliases,
    "datasets": print_datasets,
    "export_jobs": print_exports,
    "embedding_spaces": print_spaces,
}


def show_all(kind: str, items: Iterable[Message], as_json: bool) -> None:
    """Print items as a table, or as JSON lines."""
    if not as_json:
        PRINTERS[kind](items)
        return
    for item in items:
        print_json(item)


def show(item: Message, as_json: bool) -> None:
    """Print one item, indented for people."""
    print_json(item) if as_json else print(json.dumps(dict_of(item), indent=2, ensure_ascii=False))


def show_deleted(name: str, as_json: bool) -> None:
    """Say that something is gone."""
    print_json({"deleted": name}) if as_json else print(f"{name} deleted")
