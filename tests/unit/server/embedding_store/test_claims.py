"""Claims keep two passes from the same row, and go with the process that held them."""

import contextlib
import errno
import fcntl
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core import locks
from headstart_server.embedding_store.claims import FolderClaims
from headstart_server.embedding_store.fill import FillProgress, fill

from tests.support.stores import FakeEncoder, gathered, keys_of, store_at


def _silent(_: FillProgress) -> None:
    return None


def test_a_claim_released_while_it_is_looked_at_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = FolderClaims(tmp_path)
    stack = contextlib.ExitStack()
    stack.enter_context(claims.claim(keys_of(["a"])))
    real = locks.try_exclusive

    def released_meanwhile(descriptor: int) -> locks.Lock:
        found = real(descriptor)
        stack.close()
        return found

    monkeypatch.setattr("headstart_server.embedding_store.claims.try_exclusive", released_meanwhile)
    with FolderClaims(tmp_path).claim(keys_of(["a", "b"])) as mine:
        assert mine.tolist()[1]


def test_a_claim_that_is_being_made_is_not_taken_for_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever counts claims waits while another process has a claim's file and not yet its lock."""
    made, counted, wait = threading.Event(), list[int](), locks.wait_exclusive

    def slowly(descriptor: int) -> locks.Lock:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".claim":
            made.set()
            time.sleep(0.1)
        return wait(descriptor)

    monkeypatch.setattr("headstart_server.embedding_store.claims.wait_exclusive", slowly)

    def count() -> None:
        made.wait(20)
        counted.append(FolderClaims(tmp_path).living())

    counter = threading.Thread(target=count)
    counter.start()
    with FolderClaims(tmp_path).claim(keys_of(["a", "b"])) as mine:
        counter.join(20)
        assert mine.tolist() == [True, True]
    assert counted == [2]
    assert FolderClaims(tmp_path / "nowhere").living() == 0


def test_keys_that_end_in_zeros_are_told_apart(tmp_path: Path) -> None:
    keys = np.array([[1, 0], [1, 1 << 56], [0, 0], [256, 0]], np.uint64)
    claims = FolderClaims(tmp_path)
    with claims.claim(keys[:1]), claims.claim(keys) as mine:
        assert mine.tolist() == [False, True, True, True]


def test_without_locks_rows_may_be_encoded_twice_but_nothing_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    keys = keys_of(["a", "b"])
    store = store_at(tmp_path)
    with store.claims.claim(keys) as first, store.claims.claim(keys) as second:
        assert first.all() and second.all()
    assert fill(store, keys, FakeEncoder(keys), _silent).encoded == 2
    assert gathered(store, keys)[1] == []
