"""The statuses that the contract says a method may end with: its comments name them."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import grpc

_PROTOS = Path(__file__).resolve().parents[2] / "protos"
_COMMENTED = re.compile(r"((?:^[ \t]*//.*\n)*)^[ \t]*(service|rpc) (\w+)", re.MULTILINE)
_ANY = frozenset({"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "CANCELLED"})
"""Of any call, as docs/errors.md says."""


@lru_cache(maxsize=1)
def documented() -> dict[str, frozenset[str]]:
    """Names of statuses, by method."""
    names = {code.name for code in grpc.StatusCode}
    found: dict[str, frozenset[str]] = {}
    for path in sorted(_PROTOS.rglob("*.proto")):
        shared: frozenset[str] = frozenset()
        for comment, kind, name in _COMMENTED.findall(path.read_text(encoding="utf-8")):
            told = frozenset(re.findall(r"\b[A-Z_]{4,}\b", comment)) & names
            if kind == "service":
                shared = told
            else:
                found[name] = _ANY | shared | told
    return found
