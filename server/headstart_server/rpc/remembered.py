"""Messages of what does not change, made once: a job's spec takes longer to convert than the rest of its answer."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")
Message = TypeVar("Message")


class Remembered(Generic[Value, Message]):
    """The last messages that were made, by name. Thread-safe."""

    def __init__(self, make: Callable[[Value], Message], most: int = 512) -> None:
        self._make, self._most = make, most
        self._made: OrderedDict[str, tuple[Value, Message]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str, value: Value) -> Message:
        """The message of a value; the one that was made for this name, if it was of an equal value."""
        with self._lock:
            known = self._made.get(name)
        if known is None or (known[0] is not value and known[0] != value):
            known = value, self._make(value)
        with self._lock:
            self._made[name] = known
            self._made.move_to_end(name)
            if len(self._made) > self._most:
                self._made.popitem(last=False)
        return known[1]

    def forget(self, name: str) -> None:
        """Forgets what was made for a name that is no more."""
        with self._lock:
            self._made.pop(name, None)
