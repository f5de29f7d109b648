"""A queue in which tenants take turns, and small calls with pieces of large ones: none waits for all of another's."""

from collections import deque
from collections.abc import Container, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Items by tenant. Each tenant's come in order, and the first of each before the second of any."""

    def __init__(self) -> None:
        self._queues: dict[str, _TenantQueue[T]] = {}

    def __bool__(self) -> bool:
        return bool(self._queues)

    def add(self, tenant: str, item: T, *, large: bool = False) -> None:
        """Puts an item behind those of its tenant and size; a tenant that had none has its turn last."""
        if tenant not in self._queues:
            self._queues[tenant] = _TenantQueue()
        self._queues[tenant].lines[large].append(item)

    def __iter__(self) -> Iterator[T]:
        """All items in their order."""
        return _in_turn(self._queues.values())

    def remove(self, items: Container[T]) -> None:
        """Takes items out. The tenant whose turn it was has its next one after all others."""
        for place, tenant in enumerate(list(self._queues)):
            queue = self._queues[tenant]
            taken = queue.remove(items)
            if not queue:
                del self._queues[tenant]
            elif taken and place == 0:
                self._queues[tenant] = self._queues.pop(tenant)


class _TenantQueue(Generic[T]):
    """Items of one tenant: small and large ones in turn."""

    def __init__(self) -> None:
        self.lines: dict[bool, deque[T]] = {False: deque(), True: deque()}
        """The one whose turn it is comes first."""

    def __bool__(self) -> bool:
        return any(self.lines.values())

    def __iter__(self) -> Iterator[T]:
        return _in_turn(self.lines.values())

    def remove(self, items: Container[T]) -> bool:
        """Takes items out; returns whether there were any."""
        found = False
        for place, (large, line) in enumerate(list(self.lines.items())):
            kept = deque(item for item in line if item not in items)
            taken = len(kept) < len(line)
            if taken and place == 0:
                del self.lines[large]  # so that it comes last
            self.lines[large] = kept
            found = found or taken
        return found


def _in_turn(queues: Iterable[Iterable[T]]) -> Iterator[T]:
    """The first item of each, then the second of each, and so on."""
    waiting = [iter(queue) for queue in queues]
    while waiting:
        left = []
        for items in waiting:
            for item in items:
                yield item
                left.append(items)
                break
        waiting = left
