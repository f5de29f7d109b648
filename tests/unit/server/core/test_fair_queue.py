"""The queue: in order within a tenant, in turn between them."""

from __future__ import annotations

from headstart_server.core.fair_queue import FairQueue
from hypothesis import given
from hypothesis import strategies as st


def queue_of(*items: tuple[str, int]) -> FairQueue[tuple[str, int]]:
    queue: FairQueue[tuple[str, int]] = FairQueue()
    for item in items:
        queue.add(item[0], item)
    return queue


def test_tenants_take_turns() -> None:
    queue = queue_of(("a", 1), ("a", 2), ("a", 3), ("b", 1), ("c", 1), ("c", 2))
    assert list(queue) == [("a", 1), ("b", 1), ("c", 1), ("a", 2), ("c", 2), ("a", 3)]


def test_who_had_its_turn_comes_after_the_others() -> None:
    queue = queue_of(("a", 1), ("a", 2), ("b", 1))
    queue.remove({("a", 1)})
    assert list(queue) == [("b", 1), ("a", 2)]
    queue.remove({("b", 1), ("a", 2)})
    assert not queue


def test_small_items_and_large_ones_take_turns() -> None:
    queue: FairQueue[int] = FairQueue()
    for item, large in ((1, True), (2, True), (3, False), (4, False), (5, False)):
        queue.add("a", item, large=large)
    assert list(queue) == [3, 1, 4, 2, 5]
    queue.remove({3, 4})
    assert list(queue) == [1, 5, 2]
    queue.remove({1})
    assert list(queue) == [5, 2]


@given(st.lists(st.sampled_from("abc"), max_size=30), st.integers(0, 2**30))
def test_nothing_is_lost_and_each_tenants_items_stay_in_order(tenants: list[str], chosen: int) -> None:
    items = [(tenant, number) for number, tenant in enumerate(tenants)]
    queue = queue_of(*items)
    taken = {item for item in items if chosen >> item[1] & 1}
    queue.remove(taken)
    left = list(queue)
    assert sorted(left, key=lambda item: item[1]) == [item for item in items if item not in taken]
    for tenant in "abc":
        numbers = [number for name, number in left if name == tenant]
        assert numbers == sorted(numbers)
