"""Compaction makes one shard of many, and no reader, crash, eviction or neighbour loses a row to it."""

import fcntl
import os
import resource
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import FailedPreconditionError, StoreFullError
from headstart_server.embedding_store import compaction, listing
from headstart_server.embedding_store import store as store_module
from headstart_server.embedding_store.compaction import Compacted, compact
from headstart_server.embedding_store.eviction import delete_space, evict
from headstart_server.embedding_store.inventory import summarise
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.listing import shard_names
from headstart_server.embedding_store.shard import Shard, write_shard
from headstart_server.embedding_store.store import SpaceStore

from tests.support.stores import embedding_of, gathered, keys_of, space_of, store_at


def _fill(root: Path, count: int, start: int = 0, **changes: object) -> Keys:
    """Shards of one row each that nobody has open afterwards; returns the keys."""
    keys = keys_of([f"row {number}" for number in range(start, start + count)])
    for row in range(count):
        store_at(root, **changes).add(keys[row : row + 1], embedding_of(keys[row : row + 1]))
    return keys


def _shards(root: Path) -> list[Path]:
    return sorted(root.glob("*/shards/*"))


def _holds(store: SpaceStore, keys: Keys) -> bool:
    store.refresh()
    found, unreadable = gathered(store, keys)
    return unreadable == [] and np.array_equal(found, embedding_of(keys))


def test_many_small_shards_become_one_with_every_row(tmp_path: Path) -> None:
    keys = _fill(tmp_path, 20)
    assert compact(tmp_path) == Compacted(parts=20, merged=1, removed=20)
    [merged] = _shards(tmp_path)
    assert Shard.open(merged).rows == 20
    assert _holds(store_at(tmp_path), keys)
    assert compact(tmp_path) == Compacted()


def test_few_shards_stay_as_they_are(tmp_path: Path) -> None:
    _fill(tmp_path, compaction.LEAST_SHARDS - 1)
    before = _shards(tmp_path)
    assert compact(tmp_path) == Compacted()
    assert _shards(tmp_path) == before


def test_large_shards_stay_as_they_are_and_no_merged_one_grows_past_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = _fill(tmp_path, 8)
    size = _shards(tmp_path)[0].stat().st_size
    large = keys_of([f"more {number}" for number in range(100)])
    store = store_at(tmp_path)
    store.add(large, embedding_of(large))
    store.close()
    [kept] = [path for path in _shards(tmp_path) if path.stat().st_size > 2 * size]
    monkeypatch.setattr(compaction, "SMALL_BYTES", 2 * size)
    monkeypatch.setattr(compaction, "MERGED_BYTES", 3 * size)
    assert compact(tmp_path, 2) == Compacted(parts=8, merged=3, removed=8)
    assert kept.exists()
    assert _holds(store_at(tmp_path), np.concatenate([keys, large]))


def test_spaces_are_not_mixed(tmp_path: Path) -> None:
    one, other = _fill(tmp_path, 3), _fill(tmp_path, 4, 10, pooling="cls")
    assert compact(tmp_path, 2) == Compacted(parts=7, merged=2, removed=7)
    assert _holds(store_at(tmp_path), one) and _holds(store_at(tmp_path, pooling="cls"), other)


def test_rows_kept_twice_are_kept_once(tmp_path: Path) -> None:
    keys = _fill(tmp_path, 3)
    _fill(tmp_path, 3)
    compact(tmp_path, 2)
    assert Shard.open(_shards(tmp_path)[0]).rows == 3
    assert _holds(store_at(tmp_path), keys)


def test_an_overflowed_shard_keeps_its_wide_numbers(tmp_path: Path) -> None:
    narrow = _fill(tmp_path, 2, precision="fp16")
    wide = keys_of(["wide", "wider"])
    store = store_at(tmp_path, precision="fp16")
    for row in range(2):
        store.add(wide[row : row + 1], np.full((1, 8), 1e6 + row, np.float32))
    store.close()
    assert compact(tmp_path, 2) == Compacted(parts=4, merged=2, removed=4)
    store.refresh()
    assert gathered(store, wide)[0][:, 0].tolist() == [1e6, 1e6 + 1]
    assert _holds(store, narrow)
    assert {np.dtype(Shard.open(path).dtype) for path in _shards(tmp_path)} == {np.dtype("f2"), np.dtype("f4")}


def test_a_merged_shard_is_as_lately_used_as_its_parts(tmp_path: Path) -> None:
    _fill(tmp_path, 3)
    for number, path in enumerate(_shards(tmp_path)):
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    compact(tmp_path, 2)
    assert _shards(tmp_path)[0].stat().st_mtime == 1_000_002


def test_a_reader_that_holds_old_shards_goes_on_and_takes_the_merged_one_at_its_next_refresh(tmp_path: Path) -> None:
    keys = _fill(tmp_path, 5)
    reader = store_at(tmp_path)
    reader.refresh()
    assert compact(tmp_path, 2) == Compacted(parts=5, merged=1, removed=0)
    assert gathered(reader, keys)[1] == []
    assert summarise(tmp_path)[0].rows == 5
    assert _holds(reader, keys)
    assert len(reader) == 5
    _fill(tmp_path, 1, 100)
    assert compact(tmp_path, 100).removed == 5
    assert len(_shards(tmp_path)) == 2


def test_parts_of_parts_are_remembered_while_somebody_reads_them(tmp_path: Path) -> None:
    keys = _fill(tmp_path, 3)
    reader = store_at(tmp_path)
    reader.refresh()
    compact(tmp_path, 2)
    more = _fill(tmp_path, 1, 10)
    compact(tmp_path, 2)
    late = store_at(tmp_path)
    assert _holds(late, np.concatenate([keys, more]))
    assert len(late) == 4
    reader.close()
    _fill(tmp_path, 1, 20)
    compact(tmp_path, 100)
    assert len(_shards(tmp_path)) == 2


@pytest.mark.parametrize("when", ["before it is published", "before its parts go"])
def test_a_crash_loses_nothing_and_the_next_round_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    keys = _fill(tmp_path, 4)

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(compaction, "write_shard" if when == "before it is published" else "remove_open", crash)
        compact(tmp_path, 2)
    store = store_at(tmp_path)
    assert _holds(store, keys) and len(store) == 4
    store.close()
    compact(tmp_path, 2)
    assert len(_shards(tmp_path)) == 1
    assert _holds(store_at(tmp_path), keys)


def test_a_full_disk_leaves_every_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _fill(tmp_path, 4)

    def full(*_: object, **__: object) -> None:
        raise StoreFullError("no space left")

    monkeypatch.setattr(compaction, "write_shard", full)
    with pytest.raises(StoreFullError):
        compact(tmp_path, 2)
    assert _holds(store_at(tmp_path), keys)


def test_two_compactions_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _fill(tmp_path, 4)
    found: list[Compacted] = []

    def publish(*arguments: object, **options: object) -> None:
        found.append(compact(tmp_path, 2))
        write_shard(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(compaction, "write_shard", publish)
    assert compact(tmp_path, 2).merged == 1
    assert found == [Compacted()]
    assert _holds(store_at(tmp_path), keys)


def test_neither_eviction_nor_deletion_comes_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _fill(tmp_path, 4)
    folder = tmp_path / space_of().identifier
    real = compaction.remove_open

    def publish(*arguments: object, **options: object) -> None:
        assert evict(tmp_path, 0).shards == 0
        with pytest.raises(FailedPreconditionError, match="in use"):
            delete_space(folder)
        write_shard(*arguments, **options)  # type: ignore[arg-type]

    def remove(path: Path, descriptor: int) -> bool:
        removed = real(path, descriptor)
        merged = [name for name in shard_names(folder / "shards") if "merged" in name]
        evict(tmp_path, 0)
        assert all((folder / "shards" / name).exists() for name in merged)
        return removed

    monkeypatch.setattr(compaction, "write_shard", publish)
    monkeypatch.setattr(compaction, "remove_open", remove)
    assert compact(tmp_path, 2).merged == 1
    assert _holds(store_at(tmp_path), keys)


def test_a_deleted_space_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path, 4)
    folder = tmp_path / space_of().identifier
    real = Shard.open

    def open_too_late(path: Path) -> Shard:
        shard = real(path)
        shutil.rmtree(folder, ignore_errors=True)
        return shard

    monkeypatch.setattr(Shard, "open", open_too_late)
    assert compact(tmp_path, 2) == Compacted()
    assert not folder.exists()


def test_a_damaged_part_is_left_to_the_next_reader(tmp_path: Path) -> None:
    keys = _fill(tmp_path, 5)
    damaged = _shards(tmp_path)[2]
    data = bytearray(damaged.read_bytes())
    data[-20] ^= 1
    damaged.write_bytes(data)
    compact(tmp_path, 2)
    assert len(_shards(tmp_path)) == 2 and damaged.exists()
    sound = np.delete(keys, 2, axis=0)
    assert _holds(store_at(tmp_path), sound)


def test_without_locks_nothing_is_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fill(tmp_path, 4)

    def unsupported(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert compact(tmp_path, 2) == Compacted()
    assert len(_shards(tmp_path)) == 4


def test_a_reader_never_misses_a_row_while_shards_are_merged(tmp_path: Path) -> None:
    keys = _fill(tmp_path, 60)
    stop = threading.Event()
    missed: list[int] = []

    def read() -> None:
        while not stop.is_set():
            store = store_at(tmp_path)
            store.refresh()
            missed.append(int((~store.contains(keys)).sum()))
            store.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(60, 120, 4):
        _fill(tmp_path, 4, start)
        compact(tmp_path, 2)
    stop.set()
    for reader in readers:
        reader.join()
    assert missed and sum(missed) == 0


def test_a_merged_shard_opens_without_its_parts(tmp_path: Path) -> None:
    keys = _fill(tmp_path, 40)
    reader = store_at(tmp_path)
    reader.refresh()
    compact(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) + 20, hard))
    try:
        assert _holds(store_at(tmp_path), keys)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(_shards(tmp_path)) == 41


def test_a_listing_from_just_before_a_merge_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = _fill(tmp_path, 4)
    listings = 0

    def merged_since(folder: Path) -> set[str]:
        nonlocal listings
        listings += 1
        names = shard_names(folder)
        compact(tmp_path, 2)
        return names

    monkeypatch.setattr(store_module, "shard_names", merged_since)
    assert _holds(store_at(tmp_path), keys)
    assert listings == 2


def test_a_listing_during_which_the_folder_changed_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.safetensors").touch()
    real, changes = listing._changed, [1, 2]

    def changed(folder: Path) -> int:
        if len(changes) == 1:
            (tmp_path / "b.safetensors").touch()
        return changes.pop(0) if changes else real(folder)

    monkeypatch.setattr(listing, "_changed", changed)
    assert shard_names(tmp_path) == {"a.safetensors", "b.safetensors"}
