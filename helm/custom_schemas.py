"""Writes the JSON schemas of custom resource definitions, strict as the API server's field validation is.

Usage: python helm/custom_schemas.py FOLDER DEFINITION.yaml ...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml


def strict(schema: Any) -> Any:
    """The schema with no other keys than it names, unless it says that it keeps them."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    closed = isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema
    if closed and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        found = {key: value for key, value in found.items() if key != "type"}
    return found


def main() -> None:
    """One file per kind: of the version that is stored."""
    folder = Path(sys.argv[1])
    for path in map(Path, sys.argv[2:]):
        for definition in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            [version] = [item for item in definition["spec"]["versions"] if item["storage"]]
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"]["metadata"] = {"type": "object"}
            kind = definition["spec"]["names"]["kind"].lower()
            (folder / f"{kind}.json").write_text(json.dumps(schema), encoding="utf-8")


if __name__ == "__main__":
    main()
