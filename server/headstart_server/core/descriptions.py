"""Descriptions of resources: JSON with its own digest, so that a damaged one is noticed and never believed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import DataLossError
from headstart_server.core.files import write_json

_DIGEST = "digest"


def write_description(path: Path, values: Mapping[str, Any]) -> None:
    """Publishes values as JSON, with the digest of all of them as one more key."""
    write_json(path, {**values, _DIGEST: fingerprint(values)})


def read_description(data: bytes, owner: str, remedy: str) -> dict[str, Any]:
    """The values that `write_description` wrote; those of a release that wrote no digest are taken as they are.

    Raises DataLossError naming the resource that they describe, and what to do about it.
    """
    try:
        values = json.loads(data)
        digest = values.pop(_DIGEST, None)
        if digest is not None and digest != fingerprint(values):
            raise ValueError("its digest is another")
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise damaged_description(owner, remedy) from error
    found: dict[str, Any] = values
    return found


def damaged_description(owner: str, remedy: str) -> DataLossError:
    """The error of a resource whose description is gone or not what was written."""
    return DataLossError(f"{owner} is damaged: its description is not what was written; {remedy}", field="name")
