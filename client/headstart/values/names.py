"""Resource names, completed, so that `models/m1` and `m1` mean the same to people."""

from __future__ import annotations


def full_name(collection: str, name: str) -> str:
    """Return `collection/name`, or the name itself where it has a collection already."""
    return name if "/" in name else f"{collection}/{name}"
