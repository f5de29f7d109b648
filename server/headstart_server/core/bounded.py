"""A mapping that keeps what was used last: for caches whose keys callers choose."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class BoundedCache(Generic[Key, Value]):
    """At most so many values, each made by whoever asks for it first. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, Value] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Key) -> bool:
        with self._lock:
            return key in self._values

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value of a key; several threads that miss it at the same time may each make it, and one stays."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        made = make()
        with self._lock:
            kept = self._values.setdefault(key, made)
            self._values.move_to_end(key)
            while len(self._values) > self._most:
                self._values.popitem(last=False)
            return kept

    def forget(self, key: Key) -> None:
        """Forgets a value, if there is one."""
        with self._lock:
            self._values.pop(key, None)

    def keep(self, keys: Container[Key]) -> None:
        """Forgets the values of all other keys."""
        with self._lock:
            for key in [key for key in self._values if key not in keys]:
                del self._values[key]
