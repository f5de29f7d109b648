"""Compaction makes one shard of many with every row, and a crash at any moment loses none."""

import fcntl
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import StoreFullError
from headstart_server.embedding_store import compaction
from headstart_server.embedding_store.compaction import Compacted, compact
from headstart_server.embedding_store.shard import Shard

from tests.support.stores import (
    embedding_of,
    gathered,
    holds,
    keys_of,
    one_row_shards,
    shards_below,
    space_of,
    store_at,
)


def test_many_small_shards_become_one_with_every_row(tmp_path: Path) -> None:
    keys = one_row_shards(tmp_path, 20)
    assert compact(tmp_path) == Compacted(parts=20, merged=1, removed=20)
    [merged] = shards_below(tmp_path)
    assert Shard.open(merged).rows == 20
    assert holds(store_at(tmp_path), keys)
    assert compact(tmp_path) == Compacted()


def test_few_shards_stay_as_they_are(tmp_path: Path) -> None:
    one_row_shards(tmp_path, compaction.LEAST_SHARDS - 1)
    before = shards_below(tmp_path)
    assert compact(tmp_path) == Compacted()
    assert shards_below(tmp_path) == before


def test_large_shards_stay_as_they_are_and_no_merged_one_grows_past_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = one_row_shards(tmp_path, 8)
    size = shards_below(tmp_path)[0].stat().st_size
    large = keys_of([f"more {number}" for number in range(100)])
    store = store_at(tmp_path)
    store.add(large, embedding_of(large))
    store.close()
    [kept] = [path for path in shards_below(tmp_path) if path.stat().st_size > 2 * size]
    monkeypatch.setattr(compaction, "SMALL_BYTES", 2 * size)
    monkeypatch.setattr(compaction, "MERGED_BYTES", 3 * size)
    assert compact(tmp_path, 2) == Compacted(parts=8, merged=3, removed=8)
    assert kept.exists()
    assert holds(store_at(tmp_path), np.concatenate([keys, large]))


def test_spaces_are_not_mixed(tmp_path: Path) -> None:
    one, other = one_row_shards(tmp_path, 3), one_row_shards(tmp_path, 4, 10, pooling="cls")
    assert compact(tmp_path, 2) == Compacted(parts=7, merged=2, removed=7)
    assert holds(store_at(tmp_path), one) and holds(store_at(tmp_path, pooling="cls"), other)


def test_a_shard_that_strayed_into_another_space_is_not_merged(tmp_path: Path) -> None:
    keys, strayed = one_row_shards(tmp_path, 3), one_row_shards(tmp_path, 1, 10, pooling="cls")
    [stray] = (tmp_path / space_of(pooling="cls").identifier / "shards").iterdir()
    stray.rename(tmp_path / space_of().identifier / "shards" / stray.name)
    assert compact(tmp_path, 2).parts == 3
    store = store_at(tmp_path)
    assert holds(store, keys)
    assert not store.contains(strayed).any()


def test_rows_kept_twice_are_kept_once(tmp_path: Path) -> None:
    keys = one_row_shards(tmp_path, 3)
    one_row_shards(tmp_path, 3)
    compact(tmp_path, 2)
    assert Shard.open(shards_below(tmp_path)[0]).rows == 3
    assert holds(store_at(tmp_path), keys)


def test_an_overflowed_shard_keeps_its_wide_numbers(tmp_path: Path) -> None:
    narrow = one_row_shards(tmp_path, 2, precision="fp16")
    wide = keys_of(["wide", "wider"])
    store = store_at(tmp_path, precision="fp16")
    for row in range(2):
        store.add(wide[row : row + 1], np.full((1, 8), 1e6 + row, np.float32))
    store.close()
    assert compact(tmp_path, 2) == Compacted(parts=4, merged=2, removed=4)
    store.refresh()
    assert gathered(store, wide)[0][:, 0].tolist() == [1e6, 1e6 + 1]
    assert holds(store, narrow)
    assert {np.dtype(Shard.open(path).dtype) for path in shards_below(tmp_path)} == {np.dtype("f2"), np.dtype("f4")}


def test_a_merged_shard_is_as_lately_used_as_its_parts(tmp_path: Path) -> None:
    one_row_shards(tmp_path, 3)
    for number, path in enumerate(shards_below(tmp_path)):
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    compact(tmp_path, 2)
    assert shards_below(tmp_path)[0].stat().st_mtime == 1_000_002


@pytest.mark.parametrize("when", ["before it is published", "before its parts go"])
def test_a_crash_loses_nothing_and_the_next_round_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    keys = one_row_shards(tmp_path, 4)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(compaction, "write_shard" if when == "before it is published" else "remove_open", crash)
        compact(tmp_path, 2)
    store = store_at(tmp_path)
    assert holds(store, keys) and len(store) == 4
    store.close()
    compact(tmp_path, 2)
    assert len(shards_below(tmp_path)) == 1
    assert holds(store_at(tmp_path), keys)


def test_a_full_disk_leaves_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = one_row_shards(tmp_path, 4)

    def full(*_: object, **__: object) -> None:
        raise StoreFullError("no space left")

    monkeypatch.setattr(compaction, "write_shard", full)
    with pytest.raises(StoreFullError):
        compact(tmp_path, 2)
    assert holds(store_at(tmp_path), keys)


def test_a_damaged_part_is_left_to_the_next_reader(tmp_path: Path) -> None:
    keys = one_row_shards(tmp_path, 5)
    damaged = shards_below(tmp_path)[2]
    # not that of the third row: names of one millisecond are in no order
    lost = Shard.open(damaged).keys()
    data = bytearray(damaged.read_bytes())
    data[-20] ^= 1
    damaged.write_bytes(data)
    compact(tmp_path, 2)
    assert len(shards_below(tmp_path)) == 2 and damaged.exists()
    sound = keys[(keys != lost).any(axis=1)]
    assert len(sound) == 4
    assert holds(store_at(tmp_path), sound)


def test_without_locks_nothing_is_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_row_shards(tmp_path, 4)

    def unsupported(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert compact(tmp_path, 2) == Compacted()
    assert len(shards_below(tmp_path)) == 4


def test_a_merged_shard_opens_without_its_parts(tmp_path: Path) -> None:
    keys = one_row_shards(tmp_path, 40)
    reader = store_at(tmp_path)
    reader.refresh()
    compact(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
    try:
        assert holds(store_at(tmp_path), keys)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(shards_below(tmp_path)) == 41
