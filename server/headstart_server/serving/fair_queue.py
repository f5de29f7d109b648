"""A queue in which tenants take turns, so that none waits for all that another one has sent."""

from collections import deque
from collections.abc import Container, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items by tenant. Each tenant's come in order, and the first of each before the second of any."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, tenant: str, item: T) -> None:
        """Puts an item behind those of its tenant; a tenant that had none has its turn last."""
        self._queues.setdefault(tenant, deque()).append(item)

    def __iter__(self) -> Iterator[T]:
        """All items in their order."""
        waiting = [iter(queue) for queue in self._queues.values()]
        while waiting:
            left = []
            for items in waiting:
                for item in items:
                    yield item
                    left.append(items)
                    break
            waiting = left

    def remove(self, items: Container[T]) -> None:
        """Takes items out. The tenant whose turn it was has its next one after all others."""
        for place, tenant in enumerate(list(self._queues)):
            queue = self._queues[tenant]
            kept = deque(item for item in queue if item not in items)
            taken = len(kept) < len(queue)
            if kept and taken and place == 0:
                del self._queues[tenant]
            if kept:
                self._queues[tenant] = kept
            else:
                del self._queues[tenant]
