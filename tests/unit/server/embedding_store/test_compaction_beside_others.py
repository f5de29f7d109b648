"""No reader, eviction, deletion or other compaction loses a row to shards that are merged."""

import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.embedding_store import compaction
from headstart_server.embedding_store import shard_storage as shard_storage_module
from headstart_server.embedding_store.compaction import Compacted, compact
from headstart_server.embedding_store.eviction import delete_space, evict, remove_open
from headstart_server.embedding_store.inventory import summarise
from headstart_server.embedding_store.listing import shard_names
from headstart_server.embedding_store.shard import Shard, write_shard

from tests.support.stores import gathered, holds, one_row_shards, shards_below, space_of, store_at


def test_a_reader_that_holds_old_shards_goes_on_and_takes_the_merged_one_at_its_next_refresh(tmp_path: Path) -> None:
    keys = one_row_shards(tmp_path, 5)
    reader = store_at(tmp_path)
    reader.refresh()
    assert compact(tmp_path, 2) == Compacted(parts=5, merged=1, removed=0)
    assert gathered(reader, keys)[1] == []
    assert summarise(tmp_path)[0].rows == 5
    assert holds(reader, keys)
    assert len(reader) == 5
    one_row_shards(tmp_path, 1, 100)
    assert compact(tmp_path, 100).removed == 5
    assert len(shards_below(tmp_path)) == 2


def test_parts_of_parts_are_remembered_while_somebody_reads_them(tmp_path: Path) -> None:
    keys = one_row_shards(tmp_path, 3)
    reader = store_at(tmp_path)
    reader.refresh()
    compact(tmp_path, 2)
    more = one_row_shards(tmp_path, 1, 10)
    compact(tmp_path, 2)
    late = store_at(tmp_path)
    assert holds(late, np.concatenate([keys, more]))
    assert len(late) == 4
    reader.close()
    one_row_shards(tmp_path, 1, 20)
    compact(tmp_path, 100)
    assert len(shards_below(tmp_path)) == 2


def test_two_compactions_do_not_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = one_row_shards(tmp_path, 4)
    found: list[Compacted] = []

    def publish(*arguments: Any, **options: Any) -> None:
        found.append(compact(tmp_path, 2))
        write_shard(*arguments, **options)

    monkeypatch.setattr(compaction, "write_shard", publish)
    assert compact(tmp_path, 2).merged == 1
    assert found == [Compacted()]
    assert holds(store_at(tmp_path), keys)


def test_neither_eviction_nor_deletion_comes_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = one_row_shards(tmp_path, 4)
    folder = tmp_path / space_of().identifier
    real = remove_open

    def publish(*arguments: Any, **options: Any) -> None:
        assert evict([tmp_path], 0).shards == 0
        with pytest.raises(FailedPreconditionError, match="in use"):
            delete_space(folder)
        write_shard(*arguments, **options)

    def remove(path: Path, descriptor: int) -> bool:
        removed = real(path, descriptor)
        merged = [name for name in shard_names(folder / "shards") if "merged" in name]
        evict([tmp_path], 0)
        assert all((folder / "shards" / name).exists() for name in merged)
        return removed

    monkeypatch.setattr(compaction, "write_shard", publish)
    monkeypatch.setattr(compaction, "remove_open", remove)
    assert compact(tmp_path, 2).merged == 1
    assert holds(store_at(tmp_path), keys)


def test_a_deleted_space_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_row_shards(tmp_path, 4)
    folder = tmp_path / space_of().identifier
    real = Shard.open

    def open_too_late(path: Path) -> Shard:
        shard = real(path)
        shutil.rmtree(folder, ignore_errors=True)
        return shard

    monkeypatch.setattr(Shard, "open", open_too_late)
    assert compact(tmp_path, 2) == Compacted()
    assert not folder.exists()


def test_a_reader_never_misses_a_row_while_shards_are_merged(tmp_path: Path) -> None:
    keys = one_row_shards(tmp_path, 60)
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
        one_row_shards(tmp_path, 4, start)
        compact(tmp_path, 2)
    stop.set()
    for reader in readers:
        reader.join()
    assert missed and sum(missed) == 0


def test_a_listing_from_just_before_a_merge_is_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = one_row_shards(tmp_path, 4)
    listings = 0

    def merged_since(folder: Path) -> set[str]:
        nonlocal listings
        listings += 1
        names = shard_names(folder)
        compact(tmp_path, 2)
        return names

    monkeypatch.setattr(shard_storage_module, "shard_names", merged_since)
    assert holds(store_at(tmp_path), keys)
    assert listings == 2


def test_a_listing_during_which_the_folder_changed_is_taken_again(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").touch()

    class Changing(type(tmp_path)):  # type: ignore[misc]
        """A folder in which somebody publishes as soon as it has been listed."""

        def glob(self, pattern: str) -> Iterator[Path]:
            yield from list(super().glob(pattern))
            (tmp_path / "b.safetensors").touch()
            os.utime(tmp_path, ns=(1, 1))  # clocks of file systems may stand still for milliseconds

    assert shard_names(Changing(tmp_path)) == {"a.safetensors", "b.safetensors"}
