"""The embedding pass: each distinct row once, whoever asks, whatever happens in between."""

import contextlib
import errno
import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from headstart_server.core.errors import CancelledError, StoreFullError
from headstart_server.embedding_store import fill as fill_module
from headstart_server.embedding_store import locks
from headstart_server.embedding_store import store as store_module
from headstart_server.embedding_store.claims import Claims
from headstart_server.embedding_store.fill import FillProgress, fill, survey
from headstart_server.embedding_store.key import Keys
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stores import FakeEncoder, embedding_of, gathered, keys_of, store_at

ROWS = st.lists(st.sampled_from("abcdefgh"), max_size=25)


def _silent(_: FillProgress) -> None:
    return None


def _sums_up(progress: FillProgress) -> bool:
    parts = progress.found + progress.repeated + progress.encoded + progress.shared
    return progress.seen == parts <= progress.total


@given(ROWS, ROWS)
def test_each_distinct_row_is_encoded_once_ever(
    tmp_path_factory: pytest.TempPathFactory, one: list[str], other: list[str]
) -> None:
    root = tmp_path_factory.mktemp("store")
    for texts, known in ((one, set()), (other, set(one))):
        keys = keys_of(texts)
        encoder, reports = FakeEncoder(keys), list[FillProgress]()
        store = store_at(root)
        progress = fill(store, keys, encoder, reports.append)
        encoded = [texts[row] for row in encoder.rows]
        assert sorted(encoded) == sorted(set(texts) - known)
        assert np.array_equal(gathered(store, keys)[0], embedding_of(keys))
        assert all(map(_sums_up, reports)) and _sums_up(progress)
        assert progress.seen == progress.total == len(texts)
        assert (progress.encoded, progress.shared) == (len(encoded), 0)
        assert progress.found == sum(text in known for text in texts)
        seen = [report.seen for report in reports]
        assert seen == sorted(seen)


def test_second_job_encodes_no_row_twice_whatever_its_order(tmp_path: Path) -> None:
    texts = [f"row {number}" for number in range(50)]
    fill(store_at(tmp_path), keys_of(texts), FakeEncoder(keys_of(texts)), _silent)
    again = keys_of([*texts[::-1], "new"])
    encoder = FakeEncoder(again)
    assert fill(store_at(tmp_path), again, encoder, _silent).encoded == 1
    assert encoder.rows == [50]


def test_a_survey_counts_and_changes_nothing(tmp_path: Path) -> None:
    store, keys = store_at(tmp_path), keys_of(["a", "b", "a", "c", "c", "c"])
    store.add(keys[:1], embedding_of(keys[:1]))
    progress, missing = survey(store, keys)
    assert (progress.found, progress.repeated, progress.seen) == (2, 2, 4)
    assert missing.tolist() == [1, 3]
    assert len(store) == 1


def test_nothing_to_do_is_done_at_once(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    assert fill(store, keys_of([]), FakeEncoder(keys_of([])), _silent) == FillProgress(0)
    assert not store.shard_folder.exists()


def test_speed_and_time_left_follow_from_the_counts() -> None:
    progress = FillProgress(total=100, seen=60, found=40, encoded=20, seconds=2.0)
    assert (progress.rows_per_second, progress.eta_seconds) == (10.0, 4.0)
    assert (FillProgress(5).rows_per_second, FillProgress(5).eta_seconds) == (0.0, 0.0)


def test_windows_and_shards_cover_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "WINDOW_ROWS", 7)
    monkeypatch.setattr(fill_module, "SHARD_BYTES", 5 * 8 * 4)
    keys = keys_of([f"row {number}" for number in range(40)])
    store, encoder = store_at(tmp_path), FakeEncoder(keys, batch=2)
    fill(store, keys, encoder, _silent)
    assert sorted(encoder.rows) == list(range(40))
    assert len(list(store.shard_folder.iterdir())) > 6
    assert np.array_equal(gathered(store, keys)[0], embedding_of(keys))


@pytest.mark.parametrize("stop", [CancelledError("stop"), KeyboardInterrupt(), MemoryError()])
def test_what_was_encoded_before_an_interruption_stays(tmp_path: Path, stop: BaseException) -> None:
    keys = keys_of([f"row {number}" for number in range(20)])
    encoder = FakeEncoder(keys)

    def report(progress: FillProgress) -> None:
        if progress.encoded >= 8:
            raise stop

    with pytest.raises(type(stop)):
        fill(store_at(tmp_path), keys, encoder, report)
    again = FakeEncoder(keys)
    assert fill(store_at(tmp_path), keys, again, _silent).found == len(encoder.rows) == 8
    assert sorted(encoder.rows + again.rows) == list(range(20))


def test_a_failing_encoder_releases_its_claim(tmp_path: Path) -> None:
    keys = keys_of(["a", "b"])

    def broken(rows: npt.NDArray[np.int64]) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
        raise RuntimeError("broken")
        yield

    store = store_at(tmp_path)
    with pytest.raises(RuntimeError, match="broken"):
        fill(store, keys, broken, _silent)
    assert store.claims.living() == 0
    assert fill(store, keys, FakeEncoder(keys), _silent).encoded == 2


def test_a_full_disk_fails_clearly_and_loses_nothing_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "SHARD_BYTES", 1)
    keys = keys_of([f"row {number}" for number in range(12)])
    store, real, left = store_at(tmp_path), store_module.write_shard, [2]

    def filling(*arguments: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise StoreFullError("no space left")
        real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module, "write_shard", filling)
    with pytest.raises(StoreFullError):
        fill(store, keys, FakeEncoder(keys), _silent)
    again = store_at(tmp_path)
    assert survey(again, keys)[0].found == 8
    assert gathered(again, keys[4:])[1] == []


def test_rows_published_between_the_survey_and_the_claim_are_not_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of(["a", "b", "c"])
    store, other = store_at(tmp_path), store_at(tmp_path)
    real = store.claims.claim

    def claim_too_late(wanted: Keys) -> contextlib.AbstractContextManager[npt.NDArray[np.bool_]]:
        other.add(keys[:2], embedding_of(keys[:2]))
        return real(wanted)

    monkeypatch.setattr(store.claims, "claim", claim_too_late)
    encoder = FakeEncoder(keys)
    progress = fill(store, keys, encoder, _silent)
    assert encoder.rows == [2]
    assert (progress.encoded, progress.shared, progress.seen) == (1, 2, 3)


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


def test_a_claim_takes_what_nobody_has_and_gives_it_back(tmp_path: Path) -> None:
    claims, other = Claims(tmp_path), Claims(tmp_path)
    with claims.claim(keys_of(["a", "b"])) as mine:
        assert mine.tolist() == [True, True]
        with other.claim(keys_of(["b", "c"])) as theirs:
            assert theirs.tolist() == [False, True]
            with claims.claim(keys_of(["a", "b", "c"])) as none:
                assert not none.any()
            assert claims.living() == 3
    with other.claim(keys_of(["a", "b", "c"])) as now:
        assert now.all()
    assert claims.living() == 0


def test_keys_that_end_in_zeros_are_told_apart(tmp_path: Path) -> None:
    keys = np.array([[1, 0], [1, 1 << 56], [0, 0], [256, 0]], np.uint64)
    claims = Claims(tmp_path)
    with claims.claim(keys[:1]), claims.claim(keys) as mine:
        assert mine.tolist() == [False, True, True, True]


def test_a_claim_released_while_it_is_looked_at_is_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    claims = Claims(tmp_path)
    stack = contextlib.ExitStack()
    stack.enter_context(claims.claim(keys_of(["a"])))
    real = locks.try_exclusive

    def released_meanwhile(descriptor: int) -> locks.Lock:
        found = real(descriptor)
        stack.close()
        return found

    monkeypatch.setattr("headstart_server.embedding_store.claims.try_exclusive", released_meanwhile)
    with Claims(tmp_path).claim(keys_of(["a", "b"])) as mine:
        assert mine.tolist()[1]


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


def test_a_space_deleted_under_a_job_is_filled_again(tmp_path: Path) -> None:
    import shutil

    store, keys = store_at(tmp_path), keys_of(["a", "b"])
    fill(store, keys, FakeEncoder(keys), _silent)
    shutil.rmtree(store.folder)
    assert fill(store, keys, FakeEncoder(keys), _silent).encoded == 2
    assert gathered(store, keys)[1] == []
