"""Eviction keeps the store small and never takes a shard that somebody has open; the inventory is read from disk."""

import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.embedding_store.eviction import Evicted, delete_space, evict
from headstart_server.embedding_store.inventory import summarise
from headstart_server.embedding_store.shard_storage import FolderShardStorage
from headstart_server.embedding_store.store import EmbeddingStore

from tests.support.stores import gathered, keys_of, small_shards, space_of, store_at


def test_the_least_recently_used_shards_go_first(tmp_path: Path) -> None:
    paths = small_shards(tmp_path, 4)
    size = paths[0].stat().st_size
    assert evict([tmp_path], 2 * size) == Evicted(2, 2 * size)
    assert [path.exists() for path in paths] == [False, False, True, True]
    assert evict([tmp_path], 2 * size) == Evicted(0, 0)


def test_a_gather_is_a_use(tmp_path: Path) -> None:
    paths = small_shards(tmp_path, 3)
    store = store_at(tmp_path)
    gathered_first = keys_of(["row 0"])
    store.refresh()
    gathered(store, gathered_first)
    store.close()
    evict([tmp_path], paths[0].stat().st_size)
    assert [path.exists() for path in paths] == [True, False, False]


def test_all_spaces_share_the_limit(tmp_path: Path) -> None:
    one, other = small_shards(tmp_path, 2), small_shards(tmp_path, 2, pooling="cls")
    evict([tmp_path], 0)
    assert not any(path.exists() for path in one + other)


def _hold(root: Path, pipe: Connection) -> None:
    store = store_at(root)
    store.refresh()
    pipe.send(len(store))
    pipe.recv()
    out = gathered(store, keys_of([f"row {number}" for number in range(3)]))[1]
    pipe.send(out)


def test_a_shard_that_another_process_has_open_stays(tmp_path: Path) -> None:
    paths = small_shards(tmp_path, 3)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_hold, args=(tmp_path, there), daemon=True)
    process.start()
    assert here.recv() == 3
    assert evict([tmp_path], 0) == Evicted(0, 0)
    with pytest.raises(FailedPreconditionError, match="in use by a job"):
        delete_space(paths[0].parent.parent)
    here.send("go on")
    assert here.recv() == []
    process.join()
    assert evict([tmp_path], 0).shards == 3


def test_a_shard_open_in_this_process_stays_until_it_is_released(tmp_path: Path) -> None:
    small_shards(tmp_path, 2)
    store = EmbeddingStore(tmp_path)
    space = store.space(space_of())
    space.refresh()
    assert evict([tmp_path], 0).shards == 0
    store.release_idle(0)
    assert evict([tmp_path], 0).shards == 2
    assert not space.contains(keys_of(["row 0"])).any()


def test_a_deletion_takes_everything_or_nothing(tmp_path: Path) -> None:
    paths = small_shards(tmp_path, 3)
    folder = paths[0].parent.parent
    in_use = FolderShardStorage(folder).open(paths[2].name)
    with pytest.raises(FailedPreconditionError):
        delete_space(folder)
    del in_use
    assert all(path.exists() for path in paths)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert delete_space(folder) == size
    assert not folder.exists()


def test_a_space_that_is_being_filled_is_not_deleted(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with store.claims.claim(keys_of(["a"])), pytest.raises(FailedPreconditionError, match="encoding"):
        delete_space(store.folder)
    delete_space(store.folder)


def test_a_shard_that_goes_by_itself_is_no_crash(tmp_path: Path) -> None:
    paths = small_shards(tmp_path, 2)

    class Losing(type(tmp_path)):  # type: ignore[misc]
        """A folder from which the first shard goes as soon as it has been listed."""

        def glob(self, pattern: str) -> Iterator[Path]:
            for path in list(super().glob(pattern)):
                paths[0].unlink(missing_ok=True)
                yield path

    assert evict([Losing(tmp_path)], 0).shards == 1
    assert not any(path.exists() for path in paths)


def test_half_written_files_of_killed_writers_go_after_a_day(tmp_path: Path) -> None:
    [path] = small_shards(tmp_path, 1)
    old, new = path.with_name(".x.safetensors.1.tmp"), path.with_name(".y.safetensors.2.tmp")
    for temporary in (old, new):
        temporary.write_bytes(b"half")
    os.utime(old, (1, 1))
    evict([tmp_path], 10**9)
    assert (path.exists(), old.exists(), new.exists()) == (True, False, True)


def test_the_inventory_is_read_from_disk(tmp_path: Path) -> None:
    paths = small_shards(tmp_path, 3)
    small_shards(tmp_path, 1, pooling="cls")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "space.json").write_text("{")
    found = {summary.description["pooling"]: summary for summary in summarise(tmp_path)}
    mean = found["mean"]
    assert set(found) == {"mean", "cls"}
    assert (mean.rows, mean.shards, mean.quarantined) == (3, 3, 0)
    assert mean.bytes == sum(path.stat().st_size for path in paths)
    assert mean.identifier == space_of().identifier
    assert mean.last_use_time.timestamp() == pytest.approx(mean.last_use)
    assert summarise(tmp_path / "nowhere") == []
