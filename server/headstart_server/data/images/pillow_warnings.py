"""Silence while images are decoded: what is odd but readable is read, on any number of threads."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_LOCK = threading.Lock()
_DECODER = r"PIL\."


class _Inside:
    """Threads within `silenced`, and how to undo what the first of them did."""

    threads = 0
    undo = warnings.catch_warnings()


@contextmanager
def silenced() -> Iterator[None]:
    """Drops Pillow's warnings. The first thread in sets the filter and the last one out removes it, for filters are the
    whole process's: `catch_warnings` on each thread would leave one thread's filter behind for good."""
    with _LOCK:
        if not _Inside.threads:
            _Inside.undo = warnings.catch_warnings()
            _Inside.undo.__enter__()
            warnings.filterwarnings("ignore", module=_DECODER)
        _Inside.threads += 1
    try:
        yield
    finally:
        with _LOCK:
            _Inside.threads -= 1
            if not _Inside.threads:
                _Inside.undo.__exit__(None, None, None)
