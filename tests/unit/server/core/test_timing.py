"""Waiting is what passes while the next item is made, not while it is used."""

from collections.abc import Iterator

import pytest
from headstart_server.core.timing import Waited


def test_only_the_making_of_items_counts_the_end_and_errors_too() -> None:
    clock = [100.0]

    def now() -> float:
        return clock[0]

    def items() -> Iterator[int]:
        for item in range(3):
            clock[0] += 2
            yield item
        clock[0] += 5

    waited = Waited(items(), now)
    for item in waited:
        clock[0] += 10
        assert waited.seconds == 2 * (item + 1)
    assert waited.seconds == 11

    def broken() -> Iterator[int]:
        clock[0] += 3
        raise ValueError("no more")
        yield 0

    failed = Waited(broken(), now)
    with pytest.raises(ValueError, match="no more"):
        next(failed)
    assert failed.seconds == 3
