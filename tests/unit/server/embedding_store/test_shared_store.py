"""A store shared by object storage: what one machine encodes every other has, whatever is damaged, lost or killed."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.embedding_store import fill as fill_module
from headstart_server.embedding_store import shard as shard_module
from headstart_server.embedding_store.fill import FillProgress, fill
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.storage.object_store import ObjectStore

from tests.support.stores import FakeEncoder, embedding_of, gathered, keys_of, space_of

KEYS = keys_of([f"row {number}" for number in range(40)])


def silent(_: FillProgress) -> None:
    return None


class Machines:
    """Each with a disk of its own, over one object store."""

    def __init__(self, root: Path, object_store: ObjectStore) -> None:
        self._root, self.object_store = root, object_store

    def __call__(self, name: str) -> SpaceStore:
        return EmbeddingStore(self._root / name, self.object_store, threads=2).space(space_of())

    @property
    def shards(self) -> list[str]:
        return [name for name in self.object_store.files() if "/shards/" in name]

    @property
    def quarantined(self) -> list[str]:
        return [name for name in self.object_store.files() if "/quarantine/" in name]

    def copies(self, name: str) -> list[Path]:
        return sorted((self._root / name).glob("*/shards/*.safetensors"))


@pytest.fixture
def machines(tmp_path: Path, object_store: ObjectStore) -> Machines:
    return Machines(tmp_path, object_store)


def damage(data: bytes) -> bytes:
    """One bit of the first embedding."""
    place = 8 + int.from_bytes(data[:8], "little") + 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_what_one_machine_encodes_another_finds_and_fetches_when_it_needs_it(machines: Machines) -> None:
    fill(machines("one"), KEYS, FakeEncoder(KEYS), silent)
    other, encoder = machines("other"), FakeEncoder(KEYS)
    assert fill(other, KEYS, encoder, silent).found == 40
    assert encoder.rows == []
    assert machines.copies("other") == []
    assert np.array_equal(gathered(other, KEYS[::-1])[0], embedding_of(KEYS[::-1]))
    assert len(machines.copies("other")) == len(machines.shards) == 1
    machines.object_store.remove(*machines.shards)
    assert gathered(other, KEYS)[1] == []
    assert gathered(machines("other"), KEYS)[1] == list(range(40))  # before it has looked
    again = machines("other")
    again.refresh()
    assert gathered(again, KEYS)[1] == []


def test_spaces_are_known_by_their_description_in_the_object_store(machines: Machines) -> None:
    machines("one")
    [name] = machines.object_store.files()
    assert name == f"{space_of().identifier}/space.json"


def test_two_machines_that_fill_one_space_encode_each_row_once(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill_module, "SHARD_BYTES", 4 * 8 * 4)
    monkeypatch.setattr("headstart_server.embedding_store.object_store_claims.ObjectStoreClaims.poll_seconds", 0.05)
    encoders = [FakeEncoder(KEYS, batch=2) for _ in range(3)]
    done: list[FillProgress] = []

    def run(number: int) -> None:
        order = np.random.default_rng(number).permutation(40)
        encoder = encoders[number]
        encoder.keys = KEYS[order]
        done.append(fill(machines(f"machine {number}"), KEYS[order], encoder, silent))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 3
    assert sum(progress.encoded for progress in done) == 40
    assert all(progress.found + progress.shared + progress.encoded == 40 for progress in done)
    reader = machines("reader")
    reader.refresh()
    assert np.array_equal(gathered(reader, KEYS)[0], embedding_of(KEYS))
    assert not any("/claims/" in name for name in machines.object_store.files())


def test_a_damaged_copy_is_fetched_again_and_the_object_store_keeps_what_it_has(machines: Machines) -> None:
    fill(machines("one"), KEYS, FakeEncoder(KEYS), silent)
    other = machines("other")
    other.refresh()
    gathered(other, KEYS)
    other.close()
    [copy] = machines.copies("other")
    copy.write_bytes(damage(copy.read_bytes()))
    later = machines("other")
    later.refresh()
    assert gathered(later, KEYS)[1] != []
    found, bad = gathered(later, KEYS)
    assert bad == []
    assert np.array_equal(found, embedding_of(KEYS))
    assert (len(machines.shards), machines.quarantined) == (1, [])


def test_what_is_damaged_in_the_object_store_goes_to_quarantine_and_is_encoded_again(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_module, "BLOCK_BYTES", 10 * 8 * 4)
    fill(machines("one"), KEYS, FakeEncoder(KEYS), silent)
    [name] = machines.shards
    machines.object_store.write(name, damage(machines.object_store.read(name)))
    other = machines("other")
    other.refresh()
    assert len(gathered(other, KEYS)[1]) == 10
    assert len(machines.quarantined) == 1
    assert name not in machines.shards
    encoder = FakeEncoder(KEYS)
    assert fill(other, KEYS, encoder, silent).encoded == 10  # the sound blocks are published again
    assert np.array_equal(gathered(other, KEYS)[0], embedding_of(KEYS))


@pytest.mark.parametrize("left", [0, 5, 200, -1])
def test_what_is_no_shard_in_the_object_store_is_quarantined_when_it_is_opened(machines: Machines, left: int) -> None:
    fill(machines("one"), KEYS, FakeEncoder(KEYS), silent)
    [name] = machines.shards
    machines.object_store.write(name, machines.object_store.read(name)[:left])
    other, encoder = machines("other"), FakeEncoder(KEYS)
    assert fill(other, KEYS, encoder, silent).encoded == 40
    assert len(machines.quarantined) == 1
    assert np.array_equal(gathered(other, KEYS)[0], embedding_of(KEYS))


def test_a_shard_that_goes_between_look_up_and_gather_is_a_miss(machines: Machines) -> None:
    fill(machines("one"), KEYS, FakeEncoder(KEYS), silent)
    other = machines("other")
    other.refresh()
    machines.object_store.remove(*machines.shards)
    assert gathered(other, KEYS)[1] == list(range(40))
    assert fill(other, KEYS, FakeEncoder(KEYS), silent).encoded == 40
    assert np.array_equal(gathered(other, KEYS)[0], embedding_of(KEYS))


def test_what_a_machine_had_before_the_object_store_it_still_has(tmp_path: Path, object_store: ObjectStore) -> None:
    alone = EmbeddingStore(tmp_path / "one", threads=2).space(space_of())
    fill(alone, KEYS, FakeEncoder(KEYS), silent)
    machines = Machines(tmp_path, object_store)
    assert fill(machines("one"), KEYS, FakeEncoder(KEYS), silent).found == 40
    assert np.array_equal(gathered(machines("one"), KEYS[:0])[0], embedding_of(KEYS[:0]))


def test_spaces_are_listed_and_deleted_for_every_machine(tmp_path: Path, machines: Machines) -> None:
    fill(machines("one"), KEYS, FakeEncoder(KEYS), silent)
    there = EmbeddingStore(tmp_path / "there", machines.object_store)
    [summary] = there.summaries()
    assert (summary.identifier, summary.rows, summary.shards) == (space_of().identifier, 40, 1)
    assert summary.description == space_of().describe()
    assert summary.bytes == sum(
        stored.size for name, stored in machines.object_store.files().items() if "/shards/" in name
    )
    with machines("one").claims.claim(KEYS), pytest.raises(FailedPreconditionError, match="encoding"):
        there.delete(summary.identifier)
    there.delete(summary.identifier)
    assert machines.object_store.files() == {}
    assert there.summaries() == []
    with pytest.raises(NotFoundError):
        there.delete(summary.identifier)


def test_what_is_damaged_and_only_here_goes_to_quarantine_here(tmp_path: Path, object_store: ObjectStore) -> None:
    alone = EmbeddingStore(tmp_path / "one", threads=2).space(space_of())
    fill(alone, KEYS, FakeEncoder(KEYS), silent)
    alone.close()
    machines = Machines(tmp_path, object_store)
    [copy] = machines.copies("one")
    copy.write_bytes(copy.read_bytes()[:200])
    encoder = FakeEncoder(KEYS)
    assert fill(machines("one"), KEYS, encoder, silent).encoded == 40
    assert [path.name for path in tmp_path.glob("one/*/quarantine/*")] == [copy.name]
    assert machines.quarantined == []
