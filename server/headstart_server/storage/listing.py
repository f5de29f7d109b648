"""Lists of resources on disk: one that is damaged is skipped, named and counted, and takes no other with it."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar
from weakref import WeakSet

import structlog

from headstart_server import metrics
from headstart_server.core.errors import DataLossError, NotFoundError

_log = structlog.get_logger()
T = TypeVar("T")
_READERS: "WeakSet[SoundResources]" = WeakSet()
"""Of this process."""
_LOCK = threading.Lock()


class SoundResources:
    """Reads the resources of one kind, such as `datasets`."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._named: set[str] = set()
        self._damaged = 0
        with _LOCK:
            _READERS.add(self)

    def read(self, names: Iterable[str], read: Callable[[str], T], *, whole: bool = True) -> Iterator[T]:
        """Yields what can be read, in the order of names.

        One that was deleted meanwhile (NotFoundError) is left out. So is a damaged one (DataLossError), which is logged
        when it is first seen; a full pass over the `whole` of the names sets the metric of how many there are.
        """
        damaged = 0
        for name in names:
            try:
                found = read(name)
            except NotFoundError:
                continue
            except DataLossError as error:
                damaged += 1
                if name not in self._named:
                    self._named.add(name)
                    _log.warning("left out of lists", resource=f"{self._kind}/{name}", error=error.message)
                continue
            yield found
        if not whole:
            return
        with _LOCK:
            self._damaged = damaged
            # each tenant's are read by themselves, and the metric is of all
            total = sum(each._damaged for each in _READERS if each._kind == self._kind)
            metrics.DAMAGED.labels(self._kind).set(total)
