"""What is damaged in a shard is missing, not wrong: it goes to quarantine, and the sound blocks stay."""

from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import StoreFullError
from headstart_server.embedding_store import shard_storage as shard_storage_module
from headstart_server.embedding_store.shard import Shard

from tests.support.stores import embedding_of, filled, gathered, shards_below, store_at


def _damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.usefixtures("small_blocks")
def test_a_damaged_block_is_missing_and_the_other_blocks_stay(tmp_path: Path) -> None:
    store, keys = filled(tmp_path, 30)
    [path] = shards_below(tmp_path)
    shard = Shard.open(path)
    _damage(path, shard.embeddings_start + 4 * shard.row_bytes)
    found, unreadable = gathered(store, keys)
    assert unreadable == [3, 4, 5]
    sound = np.setdiff1d(np.arange(30), unreadable)
    assert np.array_equal(found[sound], embedding_of(keys)[sound])
    assert store.quarantined == 1
    assert [item.name for item in (store.folder / "quarantine").iterdir()] == [path.name]
    again = store_at(tmp_path)
    again.refresh()
    assert np.flatnonzero(~again.contains(keys)).tolist() == [3, 4, 5]
    assert gathered(again, keys)[1] == [3, 4, 5]


@pytest.mark.parametrize("data", [b"", b"garbage", None])
def test_a_broken_shard_is_quarantined_when_it_is_found(tmp_path: Path, data: bytes | None) -> None:
    _, keys = filled(tmp_path, 10, 5)
    first = shards_below(tmp_path)[0]
    if data is None:
        _damage(first, first.stat().st_size - 1)
    else:
        first.write_bytes(data)
    again = store_at(tmp_path)
    again.refresh()
    assert again.quarantined == 1
    assert again.contains(keys).tolist() == [False] * 10 + [True] * 5
    again.refresh()
    assert again.quarantined == 1


def test_a_shard_of_another_space_is_not_believed(tmp_path: Path) -> None:
    _, keys = filled(tmp_path, 5)
    other = store_at(tmp_path, weights="other")
    [path] = shards_below(tmp_path)
    (other.folder / "shards").mkdir()
    ((other.folder / "shards") / path.name).write_bytes(path.read_bytes())
    other.refresh()
    assert not other.contains(keys).any()
    assert other.quarantined == 1


def test_a_damaged_shard_on_a_full_disk_is_still_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, keys = filled(tmp_path, 5)
    [path] = shards_below(tmp_path)
    shard = Shard.open(path)
    _damage(path, shard.embeddings_start)

    def full(*_: object) -> None:
        raise StoreFullError("full")

    monkeypatch.setattr(shard_storage_module, "write_shard", full)
    assert gathered(store, keys)[1] == [0, 1, 2, 3, 4]
    assert store.quarantined == 1


def test_keys_damaged_after_opening_do_not_stop_a_gather(tmp_path: Path) -> None:
    store, keys = filled(tmp_path, 5)
    [path] = shards_below(tmp_path)
    shard = Shard.open(path)
    _damage(path, shard.keys_start)
    _damage(path, shard.embeddings_start)
    assert gathered(store, keys)[1] == [0, 1, 2, 3, 4]
