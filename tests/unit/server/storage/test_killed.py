"""A process that is killed while it uploads leaves nothing half there."""

from __future__ import annotations

import itertools
import multiprocessing
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from headstart_server.embedding_store import fill as fill_module
from headstart_server.embedding_store import shard_storage as shard_storage_module
from headstart_server.embedding_store.fill import fill
from headstart_server.embedding_store.object_store_claims import ObjectStoreClaims
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.object_store import object_store_at

from tests.support.stores import FakeEncoder, embedding_of, gathered, keys_of, space_of

KEYS = keys_of([f"row {number}" for number in range(60)])
BIG = b"x" * (8 << 20)


def _publish(url: str, root: Path) -> None:
    object_store, count, number = object_store_at(url, "url"), itertools.count(), 0
    publish = object_store.publish

    def halting(source: Path, name: str) -> None:
        if next(count) == 4:  # the second file of the second folder
            signal.pause()
        publish(source, name)

    object_store.publish = halting  # type: ignore[method-assign]
    folders = SharedFolders(root, object_store)
    while True:
        with folders.publish(f"f{number}") as folder:
            for part in range(3):
                (folder / f"{part}.bin").write_bytes(BIG)
        number += 1


def _fill(url: str, root: Path) -> None:
    fill_module.SHARD_BYTES = 1
    encoder = FakeEncoder(KEYS, batch=1)
    fill(EmbeddingStore(root, object_store_at(url, "url")).space(space_of()), KEYS, encoder, lambda _: time.sleep(0.05))


def _killed(work: Callable[[str, Path], None], url: str, root: Path, until: Callable[[], bool]) -> None:
    """Lets a process work until something is true, and then some of it is under way."""
    process = multiprocessing.get_context("spawn").Process(target=work, args=(url, root))
    process.start()
    deadline = time.monotonic() + 60
    while not until() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.join()


def test_folders_are_whole_or_not_there_though_their_publisher_is_killed(bucket: str, tmp_path: Path) -> None:
    url = f"{bucket}/killed-folders"
    object_store = object_store_at(url, "url")
    _killed(
        _publish,
        url,
        tmp_path / "here",
        lambda: len(object_store.files("names")) == 1 and len(object_store.files("files")) == 4,
    )
    there = SharedFolders(tmp_path / "there", object_store)
    names = there.names()
    assert names
    assert len(object_store.files("files")) > 3 * len(names)  # it was killed on the way
    for name in names:
        assert all((there.path(name) / f"{part}.bin").read_bytes() == BIG for part in range(3))
    assert there.tidy(time.time() + 25 * 3600) > 0
    assert len(object_store.files("files")) == 3 * len(names)


def test_what_a_killed_pass_had_published_stays_and_another_machine_encodes_the_rest(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{bucket}/killed-fill"
    object_store = object_store_at(url, "url")
    shards = f"{space_of().identifier}/shards"
    _killed(_fill, url, tmp_path / "here", lambda: len(object_store.files(shards)) >= 5)
    time.sleep(1)  # what was under way when it was killed arrives
    published = len(object_store.files(shards))
    assert 5 <= published < 60
    monkeypatch.setattr(ObjectStoreClaims, "dead_seconds", 1.5)
    encoder, store = FakeEncoder(KEYS), EmbeddingStore(tmp_path / "there", object_store).space(space_of())
    progress = fill(store, KEYS, encoder, lambda _: None)
    assert (progress.found, progress.encoded) == (published, 60 - published)
    assert np.array_equal(gathered(store, KEYS)[0], embedding_of(KEYS))
    assert shard_storage_module.RemoteShardStorage(
        tmp_path / "third", object_store.below(space_of().identifier)
    ).names()
