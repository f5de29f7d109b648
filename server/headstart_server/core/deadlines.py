"""Until when a caller waits for an answer, known to whatever works for the call: to its tasks and to its threads."""

import time
from contextvars import ContextVar

from headstart_server.core.errors import DeadlineExceededError

_END: ContextVar[float | None] = ContextVar("deadline", default=None)


def begin(seconds: float | None) -> None:
    """Says how long the caller of this task waits from now on; None: as long as it takes."""
    _END.set(None if seconds is None else time.monotonic() + seconds)


def end() -> float | None:
    """When the caller stops waiting, by `time.monotonic`; None: never."""
    return _END.get()


def seconds_left() -> float | None:
    """How long the caller still waits; negative where it has stopped, None where it waits as long as it takes."""
    found = _END.get()
    return None if found is None else found - time.monotonic()


def require_time() -> None:
    """Raises DeadlineExceededError where the caller has stopped waiting."""
    left = seconds_left()
    if left is not None and left <= 0:
        raise DeadlineExceededError("the call's deadline passed before its turn; allow more time, or send fewer rows")
