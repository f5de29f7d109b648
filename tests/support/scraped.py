"""Metrics as who scrapes them sees them."""

from __future__ import annotations

from prometheus_client import REGISTRY


def damaged(collection: str) -> float:
    """How many resources of a collection count as damaged."""
    found = REGISTRY.get_sample_value("headstart_damaged_resources", {"kind": collection})
    assert found is not None
    return found
