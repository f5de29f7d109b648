"""Generates the chart's values.schema.json and README.md from its values.yaml and the server's settings.

Usage: python helm/generate.py [--check]

A comment above a key describes it. `# @schema KEY: VALUE` adds to the JSON schema of the key below; `# @schema
settings` stands for the flags of `headstart serve` that no other value sets.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from headstart_server.settings import Settings

CHART = Path(__file__).parent / "headstart"
SET_BY_CHART = {
    "state_dir": "persistence",
    "data_root": "data.volume, data.url",
    "model_root": "models.volume",
    "storage_url": "storage.url",
    "host": "host",
    "port": "service.port",
    "port_file": "",
    "http": "",
    "http_port": "service.httpPort",
    "http_port_file": "",
    "database_url": "database",
    "ray_address": "ray",
    "ray_grows": "ray.autoscaling",
    "stop_grace": "stopGraceSeconds",
    "tls_certificate": "tls",
    "tls_key": "tls",
    "tls_client_ca": "tls.clientCaSecret",
    "insecure": "tls.enabled",
    "token_file": "auth.existingSecret",
    "quotas": "quotas",
    "log_json": "",
}
"""Flags that are not in `config`, with the values that set them; those with none are the container's own affair."""
_KEY = re.compile(r"^( *)([A-Za-z_][\w.-]*):(?: |$)")
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


@dataclass
class Entry:
    """One key of values.yaml."""

    path: tuple[str, ...]
    description: str
    schema: dict[str, Any] = field(default_factory=dict)
    settings: bool = False


def entries(text: str) -> Iterator[Entry]:
    """Every key of nested mappings, in order, with what its comment says."""
    comment: list[str] = []
    path: list[tuple[int, str]] = []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("#"):
            comment.append(stripped.removeprefix("#").strip())
            continue
        if found := _KEY.match(line):
            indent = len(found[1])
            path = [(depth, name) for depth, name in path if depth < indent] + [(indent, found[2])]
            yield _entry(tuple(name for _, name in path), comment)
        comment = []


def _entry(path: tuple[str, ...], comment: list[str]) -> Entry:
    words = [line for line in comment if not line.startswith("@schema")]
    found = Entry(path, " ".join(words))
    for line in comment:
        if line == "@schema settings":
            found.settings = True
        elif line.startswith("@schema "):
            found.schema |= yaml.safe_load(line.removeprefix("@schema "))
    return found


def schema_of(values: dict[str, Any], found: dict[tuple[str, ...], Entry]) -> dict[str, Any]:
    """The JSON schema of the chart: no key that values.yaml does not have, no value of another type."""
    schema = _object(values, (), found)
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the Headstart chart", **schema}


def _object(values: dict[str, Any], path: tuple[str, ...], found: dict[tuple[str, ...], Entry]) -> dict[str, Any]:
    properties = {key: _property(value, (*path, key), found) for key, value in values.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(value: Any, path: tuple[str, ...], found: dict[tuple[str, ...], Entry]) -> dict[str, Any]:
    entry = found.get(path, Entry(path, ""))
    described = {"description": entry.description} if entry.description else {}
    if entry.settings:
        return {"type": "object", **described, "properties": settings_schema(), "additionalProperties": False}
    if isinstance(value, dict) and value and "additionalProperties" not in entry.schema:
        return {**described, **_object(value, path, found)}
    kind: dict[str, Any] = {"type": _TYPES[type(value)]}
    if kind["type"] == "object" and "additionalProperties" not in entry.schema:  # labels, annotations
        kind["additionalProperties"] = {"type": "string"}
    return {**kind, **described, **entry.schema}


def settings_schema() -> dict[str, Any]:
    """The flags that `config` takes."""
    properties = Settings.model_json_schema()["properties"]
    return {name: _flag(item) for name, item in properties.items() if name not in SET_BY_CHART}


def _flag(item: dict[str, Any]) -> dict[str, Any]:
    kept = ("type", "enum", "pattern", "minimum", "maximum", "description")
    found = {key: item[key] for key in kept if key in item}
    return {**found, "description": f"{found['description']} (default: {item['default']})"}


def readme_of(values: dict[str, Any], found: dict[tuple[str, ...], Entry]) -> str:
    """The README: what README.head.md says, then every value."""
    lines = [(CHART / "README.head.md").read_text(encoding="utf-8").rstrip(), "", "## Values", ""]
    lines += ["| key | default | what it is |", "|---|---|---|"]
    for path, value in leaves(values, (), found):
        text = found[path].description if path in found else ""
        lines.append(f"| `{'.'.join(path)}` | `{_plain(value)}` | {_cell(text)} |")
    lines += ["", "### Flags in `config`", "", "| flag | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {_cell(item['description'])} |" for name, item in settings_schema().items()]
    lines += ["", "Set by other values:", ""]
    lines += [f"- `{name}`: {_given(place)}" for name, place in SET_BY_CHART.items()]
    return "\n".join(lines) + "\n"


def _given(place: str) -> str:
    return f"`{place}`" if place else "by the chart"


def leaves(
    values: dict[str, Any], path: tuple[str, ...], found: dict[tuple[str, ...], Entry]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value with its path: objects that may hold any key are one value."""
    for key, value in values.items():
        entry = found.get((*path, key))
        if isinstance(value, dict) and value and (entry is None or "additionalProperties" not in entry.schema):
            yield from leaves(value, (*path, key), found)
        else:
            yield (*path, key), value


def _plain(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def generated() -> dict[Path, str]:
    """The files, with what is to be in them."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values, found = yaml.safe_load(text), {entry.path: entry for entry in entries(text)}
    schema = json.dumps(schema_of(values, found), indent=1, ensure_ascii=False) + "\n"
    return {CHART / "values.schema.json": schema, CHART / "README.md": readme_of(values, found)}


def main() -> int:
    """Writes the files, or with `--check` says which differ."""
    parser = argparse.ArgumentParser(description="Generate the chart's schema and README.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file differs")
    check = parser.parse_args().check
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(CHART.parent.parent)} is not what `make chart` writes", file=sys.stderr)
        else:
            path.write_text(generated()[path], encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
