"""Damaged resources are counted over all whose readers there are."""

from __future__ import annotations

from headstart_server.core.errors import DataLossError
from headstart_server.storage.listing import SoundResources

from tests.support.measured import Growth

KIND = "kind of this test"


def _damaged(name: str) -> str:
    raise DataLossError(f"{name} is damaged")


def test_the_damaged_of_all_tenants_are_counted_together() -> None:
    one, another = SoundResources(KIND), SoundResources(KIND)
    assert list(one.read(["a", "b"], _damaged)) == list(another.read(["c"], _damaged)) == []
    assert Growth("headstart_damaged_resources", kind=KIND).now == 3
    assert list(one.read(["b"], str.upper, whole=False)) == ["B"]
    assert Growth("headstart_damaged_resources", kind=KIND).now == 3
    assert list(one.read(["a"], str.upper)) == ["A"]
    assert Growth("headstart_damaged_resources", kind=KIND).now == 1
