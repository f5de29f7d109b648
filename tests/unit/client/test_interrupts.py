"""Ctrl-C is Ctrl-C, though a lock that it left untaken raises another error on the way out."""

from __future__ import annotations

import threading

import pytest
from headstart.wire.interrupts import interrupts_kept


def test_an_interrupt_that_a_lock_has_hidden_comes_out_as_one() -> None:
    lock = threading.Lock()
    with pytest.raises(KeyboardInterrupt), interrupts_kept(), lock:
        lock.release()  # as a condition does while it waits
        raise KeyboardInterrupt


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="why"), interrupts_kept():
        raise RuntimeError("why")
