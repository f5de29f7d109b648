"""The embedding pass encodes each distinct row once, and keeps what it did whatever interrupts it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from headstart_server.core.errors import CancelledError, StoreFullError
from headstart_server.embedding_store import fill as fill_module
from headstart_server.embedding_store import shard_storage as shard_storage_module
from headstart_server.embedding_store.fill import FillProgress, fill, survey
from headstart_server.embedding_store.shard import write_shard
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
    assert not (store.folder / "shards").exists()


def test_speed_and_time_left_follow_from_the_counts() -> None:
    progress = FillProgress(total=100, seen=60, found=40, encoded=20, seconds=2.0)
    assert (progress.rows_per_second, progress.eta_seconds) == (10.0, 4.0)
    assert (FillProgress(5).rows_per_second, FillProgress(5).eta_seconds) == (0.0, 0.0)


def test_windows_and_shards_cover_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "SHARD_BYTES", 5 * 8 * 4)
    keys = keys_of([f"row {number}" for number in range(40)])
    store, encoder = store_at(tmp_path), FakeEncoder(keys, batch=2)
    fill(store, keys, encoder, _silent, window_rows=7)
    assert sorted(encoder.rows) == list(range(40))
    assert len(list((store.folder / "shards").iterdir())) > 6
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
    store, real, left = store_at(tmp_path), write_shard, [2]

    def filling(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise StoreFullError("no space left")
        real(*arguments)

    monkeypatch.setattr(shard_storage_module, "write_shard", filling)
    with pytest.raises(StoreFullError):
        fill(store, keys, FakeEncoder(keys), _silent)
    again = store_at(tmp_path)
    assert survey(again, keys)[0].found == 8
    assert gathered(again, keys[4:])[1] == []
