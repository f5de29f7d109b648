"""The bounded cache keeps what was used last."""

from __future__ import annotations

from headstart_server.core.bounded import BoundedCache


def test_what_was_used_longest_ago_goes_first() -> None:
    cache: BoundedCache[int, str] = BoundedCache(3)
    for number in (1, 2, 3, 1, 4):
        assert cache.get(number, lambda number=number: str(number)) == str(number)  # type: ignore[misc]
    made = [number for number in (1, 3, 4, 2) if cache.get(number, lambda: "made anew") == "made anew"]
    assert (made, len(cache)) == ([2], 3)


def test_what_is_forgotten_is_made_anew() -> None:
    cache: BoundedCache[int, str] = BoundedCache(10)
    for number in range(4):
        cache.get(number, lambda: "made")
    cache.forget(0)
    cache.forget(9)
    cache.keep({0, 1, 3})
    assert [cache.get(number, lambda: "anew") for number in range(4)] == ["anew", "made", "anew", "made"]
