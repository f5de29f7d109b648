"""Waiting is what passes while the next item is made, not while it is used."""

import time
from collections.abc import Iterator

import pytest
from headstart_server.core.timing import Waited


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes only where it is said to."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_only_the_making_of_items_counts_the_end_and_errors_too(clock: list[float]) -> None:
    def items() -> Iterator[int]:
        for item in range(3):
            clock[0] += 2
            yield item
        clock[0] += 5

    waited = Waited(items())
    for item in waited:
        clock[0] += 10
        assert waited.seconds == 2 * (item + 1)
    assert waited.seconds == 11

    def broken() -> Iterator[int]:
        clock[0] += 3
        raise ValueError("no more")
        yield 0

    failed = Waited(broken())
    with pytest.raises(ValueError, match="no more"):
        next(failed)
    assert failed.seconds == 3
