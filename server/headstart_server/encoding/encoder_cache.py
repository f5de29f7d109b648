"""The cache: the frozen encoder that was used last, at hand for the next call on the same space."""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

Encoder = TypeVar("Encoder")


class EncoderCache:
    """Holds one encoder: a search embeds a text per call, and loading weights takes far longer. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._space = ""
        self._encoder: Any = None

    def get(self, space: str, load: Callable[[], Encoder]) -> Encoder:
        """The encoder of a space, loaded unless it is the one in the cache; whoever holds the one before keeps it."""
        with self._lock:
            # under the lock: who asks for the same space meanwhile waits for it, and loads no second one
            if self._encoder is None or self._space != space:
                self._encoder = None
                # the one before is let go first, so that memory holds one at a time
                self._encoder, self._space = load(), space
            encoder: Encoder = self._encoder
            return encoder
