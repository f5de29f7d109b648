"""Passes of several threads and processes encode each row once in total, and take over from the dead."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from headstart_server.embedding_store.fill import FillProgress, fill
from headstart_server.embedding_store.key import Keys

from tests.support.stores import FakeEncoder, embedding_of, gathered, keys_of, store_at


def _silent(_: FillProgress) -> None:
    return None


def _fill_in_a_process(root: Path, texts: list[str], log: Path, ready: Path, halt_after: int | None) -> None:
    """Fills, writing every row it encodes to `log`; stops dead after some if told so."""
    keys = keys_of(texts)
    fake = FakeEncoder(keys, batch=2)

    def encode(rows: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        for batch, embeddings in fake(rows):
            with log.open("a") as file:
                file.writelines(f"{texts[row]}\n" for row in batch)
            ready.touch()
            if halt_after is not None and len(fake.rows) >= halt_after:
                signal.pause()
            yield batch, embeddings

    fill(store_at(root), keys, encode, _silent)


def _process(*arguments: object) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("spawn").Process(target=_fill_in_a_process, args=arguments, daemon=True)
    process.start()
    return process


def _log(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("shared", [2, 3])
def test_rows_published_between_the_survey_and_the_claim_are_not_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: int
) -> None:
    keys = keys_of(["a", "b", "c"])
    store, other = store_at(tmp_path), store_at(tmp_path)
    real = store.claims.claim

    def claim_too_late(wanted: Keys) -> contextlib.AbstractContextManager[npt.NDArray[np.bool_]]:
        other.add(keys[:shared], embedding_of(keys[:shared]))
        return real(wanted)

    monkeypatch.setattr(store.claims, "claim", claim_too_late)
    encoder = FakeEncoder(keys)
    told: list[FillProgress] = []
    progress = fill(store, keys, encoder, told.append)
    assert encoder.rows == [2][: 3 - shared]
    assert (progress.encoded, progress.shared, progress.seen) == (3 - shared, shared, 3)
    assert told[-1] == progress


def test_two_threads_encode_each_row_once_in_total(tmp_path: Path) -> None:
    texts = [f"row {number}" for number in range(60)]
    keys = [keys_of(texts), keys_of(texts[::-1])]
    encoders = [FakeEncoder(part) for part in keys]
    threads = [
        threading.Thread(target=fill, args=(store_at(tmp_path), part, encoder, _silent))
        for part, encoder in zip(keys, encoders, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    encoded = [texts[row] for row in encoders[0].rows] + [texts[::-1][row] for row in encoders[1].rows]
    assert sorted(encoded) == sorted(texts)


def test_two_processes_encode_each_row_once_in_total(tmp_path: Path) -> None:
    root, texts = tmp_path / "store", [f"row {number}" for number in range(300)]
    jobs = [
        _process(root, texts[:200], tmp_path / "log0", tmp_path / "ready0", None),
        _process(root, texts[::-1], tmp_path / "log1", tmp_path / "ready1", None),
        _process(root, texts[100:] * 2, tmp_path / "log2", tmp_path / "ready2", None),
    ]
    for job in jobs:
        job.join()
    assert [job.exitcode for job in jobs] == [0, 0, 0]
    encoded = [line for number in range(3) for line in _log(tmp_path / f"log{number}")]
    assert sorted(encoded) == sorted(texts)
    store = store_at(root)
    store.refresh()
    assert np.array_equal(gathered(store, keys_of(texts))[0], embedding_of(keys_of(texts)))


def test_rows_of_a_killed_process_are_taken_over(tmp_path: Path) -> None:
    root, texts = tmp_path / "store", [f"row {number}" for number in range(20)]
    victim = _process(root, texts, tmp_path / "log", tmp_path / "ready", 4)
    while not (tmp_path / "ready").exists() or len(_log(tmp_path / "log")) < 4:
        assert victim.is_alive()
    store, keys = store_at(root), keys_of(texts)
    assert store.claims.living() == 20
    encoder, reports = FakeEncoder(keys), list[FillProgress]()

    def kill_once_waiting(progress: FillProgress) -> None:
        reports.append(progress)
        if len(reports) == 2:
            assert encoder.rows == []
            os.kill(victim.pid or 0, signal.SIGKILL)

    fill(store, keys, encoder, kill_once_waiting)
    victim.join()
    assert victim.exitcode == -signal.SIGKILL
    assert sorted(encoder.rows) == list(range(20))
    assert np.array_equal(gathered(store, keys)[0], embedding_of(keys))
    assert list((store.folder / "claims").glob("*.claim")) == []


def test_a_space_deleted_under_a_job_is_filled_again(tmp_path: Path) -> None:
    import shutil

    store, keys = store_at(tmp_path), keys_of(["a", "b"])
    fill(store, keys, FakeEncoder(keys), _silent)
    shutil.rmtree(store.folder)
    assert fill(store, keys, FakeEncoder(keys), _silent).encoded == 2
    assert gathered(store, keys)[1] == []
