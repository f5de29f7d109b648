"""Claims of every kind keep two passes from the same row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import StorageError
from headstart_server.embedding_store.claims import Claims, FolderClaims
from headstart_server.embedding_store.object_store_claims import ObjectStoreClaims
from headstart_server.storage.object_store import FolderObjectStore, ObjectStore

from tests.support.object_store import OBJECT_STORES, object_store_of
from tests.support.stores import keys_of

Make = Callable[[], Claims]
KEYS = keys_of([f"row {number}" for number in range(60)])


class Impatient(ObjectStoreClaims):
    """Whose claims beat often, and die soon."""

    beat_seconds = 0.01
    dead_seconds = 1.0


class Distrustful(ObjectStoreClaims):
    """To whom every claim is dead."""

    dead_seconds = -1.0


@pytest.fixture(params=["locks", *OBJECT_STORES])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Claims over one place, as another process would open them."""
    if request.param == "locks":
        return lambda: FolderClaims(tmp_path / "claims")
    object_store = object_store_of(request.param, request, tmp_path)
    return lambda: ObjectStoreClaims(object_store)


def test_a_claim_takes_what_nobody_has_and_gives_it_back(make: Make) -> None:
    with make().claim(KEYS[:2]) as mine:
        assert mine.tolist() == [True, True]
        with make().claim(KEYS[1:3]) as theirs:
            assert theirs.tolist() == [False, True]
            with make().claim(KEYS[:3]) as none:
                assert not none.any()
            assert make().living() == 3
    with make().claim(KEYS[:3]) as now:
        assert now.all()
    assert make().living() == 0


def test_no_keys_are_no_claim(make: Make) -> None:
    with make().claim(KEYS[:0]) as mine:
        assert mine.tolist() == []
    assert make().living() == 0


def test_an_error_releases_a_claim(make: Make) -> None:
    with pytest.raises(RuntimeError), make().claim(KEYS):
        raise RuntimeError
    assert make().living() == 0


def test_no_key_is_ever_claimed_by_two_at_once(make: Make) -> None:
    held = np.zeros(len(KEYS), int)
    most = np.zeros(len(KEYS), int)
    taken = np.zeros(len(KEYS), int)
    lock = threading.Lock()
    start = threading.Barrier(4)

    def run(seed: int) -> None:
        generator = np.random.default_rng(seed)
        claims = make()
        start.wait()
        for _ in range(4):
            wanted = generator.permutation(len(KEYS))[:40]
            with claims.claim(KEYS[wanted]) as mine:
                with lock:
                    held[wanted[mine]] += 1
                    taken[wanted[mine]] += 1
                    np.maximum(most, held, out=most)
                with lock:
                    held[wanted[mine]] -= 1

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most.max() == 1
    assert taken.sum() > len(KEYS)


def test_a_claim_whose_process_was_killed_counts_for_a_minute(object_store: ObjectStore) -> None:
    for name, content in (("0dead", b"H"), ("zdead", b"A")):
        object_store.write(f"{name}.claim", content + KEYS[:10].tobytes())
        object_store.write(f"{name}.beat", b"")
    assert ObjectStoreClaims(object_store).living() == 10
    assert Distrustful(object_store).living() == 0
    with Distrustful(object_store).claim(KEYS) as mine:
        assert mine.all()
        assert not any("dead" in name for name in object_store.files())


def test_one_that_died_undecided_is_waited_for_no_longer_than_it_counts(tmp_path: Path) -> None:
    object_store = FolderObjectStore(tmp_path)
    object_store.write("zdead.claim", b"A" + KEYS[:10].tobytes())
    object_store.write("zdead.beat", b"")
    with Impatient(object_store).claim(KEYS) as mine:
        assert mine.all()


def test_a_heart_that_cannot_be_heard_is_told_and_beats_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recorded = threading.Semaphore(0)

    class Deaf(FolderObjectStore):
        def write(self, name: str, data: bytes) -> None:
            if name.endswith(".beat") and threading.current_thread() is not threading.main_thread():
                recorded.release()
                raise StorageError("cannot be reached")
            super().write(name, data)

    with Impatient(Deaf(tmp_path)).claim(KEYS) as mine:
        assert mine.all()
        for _ in range(3):
            assert recorded.acquire(timeout=30)
    assert "a claim could not be kept alive" in capsys.readouterr().out
