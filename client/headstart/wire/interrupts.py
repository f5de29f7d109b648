"""Ctrl-C while gRPC waits: an interrupt stays an interrupt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise KeyboardInterrupt where one was hidden by the error that it caused.

    grpcio waits on a condition of Python's. An interrupt that arrives while the condition takes its lock again leaves
    the lock untaken, and releasing it raises RuntimeError on the way out.
    """
    try:
        yield
    except RuntimeError as error:
        cause = error.__context__
        while cause is not None and not isinstance(cause, KeyboardInterrupt):
            cause = cause.__context__
        if cause is None:
            raise
        raise KeyboardInterrupt from error
