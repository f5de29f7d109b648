"""A space store: what is added is found and gathered, by anybody; what is damaged is missing, not wrong."""

import threading
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import NotFoundError, StoreFullError
from headstart_server.embedding_store import shard as shard_module
from headstart_server.embedding_store import shard_storage as shard_storage_module
from headstart_server.embedding_store.shard import Shard
from headstart_server.embedding_store.shard_storage import FolderShardStorage
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.embedding_store.store import EmbeddingStore
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stores import embedding_of, gathered, keys_of, space_of, store_at


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_module, "BLOCK_BYTES", 96)


def _texts(count: int, start: int = 0) -> list[str]:
    return [f"row {number}" for number in range(start, start + count)]


def _filled(root: Path, *sizes: int) -> tuple[SpaceStore, np.ndarray]:
    store, start = store_at(root), 0
    for size in sizes:
        keys = keys_of(_texts(size, start))
        store.add(keys, embedding_of(keys))
        start += size
    return store, keys_of(_texts(start))


def _shards(root: Path) -> list[Path]:
    return sorted(root.glob("*/shards/*"))


def _damage(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@given(st.lists(st.integers(0, 60), max_size=80))
def test_any_request_is_gathered_in_its_order_and_what_it_lacks_is_said(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[int]
) -> None:
    store, _ = _filled(tmp_path_factory.mktemp("store"), 20, 1, 25)
    keys = keys_of([f"row {number}" for number in wanted])
    found, unreadable = gathered(store, keys)
    assert unreadable == [position for position, number in enumerate(wanted) if number >= 46]
    present = [position for position, number in enumerate(wanted) if number < 46]
    assert np.array_equal(found[present], embedding_of(keys)[present])
    assert store.contains(keys).tolist() == [number < 46 for number in wanted]


@pytest.mark.usefixtures("small_blocks")
def test_many_blocks_are_gathered_as_one(tmp_path: Path) -> None:
    store, keys = _filled(tmp_path, 50, 50)
    order = np.random.default_rng(0).permutation(100)
    found, unreadable = gathered(store, keys[order])
    assert unreadable == [] and np.array_equal(found, embedding_of(keys)[order])


def test_another_opening_of_the_folder_finds_everything(tmp_path: Path) -> None:
    _, keys = _filled(tmp_path, 10, 10)
    again = store_at(tmp_path)
    assert len(again) == 0
    again.refresh()
    assert len(again) == 20
    assert np.array_equal(gathered(again, keys)[0], embedding_of(keys))


def test_other_spaces_find_nothing(tmp_path: Path) -> None:
    _, keys = _filled(tmp_path, 10)
    for change in ("weights", "preparation", "pooling", "kind"):
        other = store_at(tmp_path, **{change: "other"})
        other.refresh()
        assert not other.contains(keys).any()
    assert (
        len({space_of(**{name: 7}).identifier for name in ("max_length", "dimension")} | {space_of().identifier}) == 3
    )


def test_a_space_is_described_on_disk_and_read_back(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    spaces = [space_of(), space_of(pooling="cls", precision="bf16", max_length=0)]
    for space in spaces:
        assert store.space(space) is store.space(space)
    assert sorted(store.spaces(), key=repr) == sorted(spaces, key=repr)
    assert [Space.from_description(space.describe()) for space in spaces] == spaces


def test_an_unreadable_description_hides_its_space_alone(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    store.space(space_of())
    (tmp_path / "broken").mkdir()
    for text in ("{", "[]", "{}"):
        (tmp_path / "broken" / "space.json").write_text(text)
        assert store.spaces() == [space_of()]


def test_a_damaged_description_is_mended_when_its_space_is_used_and_deleted_before(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    identifier, other = (store.space(space_of(**changes)).space.identifier for changes in ({}, {"max_length": 3}))
    path = tmp_path / identifier / "space.json"
    sound = path.read_text()
    for text in ("{", "[]", "{}", sound.replace("mean", "cls"), sound.replace('"16"', '"17"')):
        path.write_text(text)
        assert [summary.identifier for summary in store.summaries()] == [other]
    assert EmbeddingStore(tmp_path).space(space_of()).space.identifier == identifier
    assert path.read_text() == sound
    path.unlink()
    store.delete(identifier)
    with pytest.raises(NotFoundError):
        store.delete(identifier)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", np.float32), ("bf16", np.float16), ("fp16", np.float16)])
def test_the_precision_decides_the_storage(tmp_path: Path, precision: str, dtype: type) -> None:
    store, keys = store_at(tmp_path, precision=precision), keys_of(["a", "b"])
    store.add(keys, embedding_of(keys))
    assert store.dtype == dtype
    assert np.array_equal(gathered(store, keys)[0], embedding_of(keys))


def test_values_that_overflow_float16_are_kept_in_float32(tmp_path: Path) -> None:
    store, keys = store_at(tmp_path, precision="bf16"), keys_of(["a", "b"])
    large = embedding_of(keys) * np.float32(1e6)
    store.add(keys, large)
    assert store.dtype == np.float32
    assert np.array_equal(gathered(store, keys)[0], large)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_never_stored(tmp_path: Path, value: float) -> None:
    store, keys = store_at(tmp_path), keys_of(["a"])
    with pytest.raises(ValueError, match="not finite"):
        store.add(keys, np.full((1, 8), value, np.float32))
    assert _shards(tmp_path) == []


@pytest.mark.usefixtures("small_blocks")
def test_a_damaged_block_is_missing_and_the_other_blocks_stay(tmp_path: Path) -> None:
    store, keys = _filled(tmp_path, 30)
    [path] = _shards(tmp_path)
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
    _, keys = _filled(tmp_path, 10, 5)
    first = _shards(tmp_path)[0]
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
    _, keys = _filled(tmp_path, 5)
    other = store_at(tmp_path, weights="other")
    [path] = _shards(tmp_path)
    (other.folder / "shards").mkdir()
    ((other.folder / "shards") / path.name).write_bytes(path.read_bytes())
    other.refresh()
    assert not other.contains(keys).any()
    assert other.quarantined == 1


def test_a_damaged_shard_on_a_full_disk_is_still_no_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, keys = _filled(tmp_path, 5)
    [path] = _shards(tmp_path)
    shard = Shard.open(path)
    _damage(path, shard.embeddings_start)

    def full(*_: object) -> None:
        raise StoreFullError("full")

    monkeypatch.setattr(shard_storage_module, "write_shard", full)
    assert gathered(store, keys)[1] == [0, 1, 2, 3, 4]
    assert store.quarantined == 1


def test_keys_damaged_after_opening_do_not_stop_a_gather(tmp_path: Path) -> None:
    store, keys = _filled(tmp_path, 5)
    [path] = _shards(tmp_path)
    shard = Shard.open(path)
    _damage(path, shard.keys_start)
    _damage(path, shard.embeddings_start)
    assert gathered(store, keys)[1] == [0, 1, 2, 3, 4]


def test_a_shard_removed_between_listing_and_opening_is_a_miss(tmp_path: Path) -> None:
    store, keys = _filled(tmp_path, 5, 5)

    class Losing(FolderShardStorage):
        """From which a shard goes as soon as it has been listed."""

        def names(self) -> set[str]:
            found = super().names()
            if len(found) == 2:
                _shards(tmp_path)[0].unlink()
            return found

    again = SpaceStore(store.space, store.folder, 2, Losing(store.folder))
    again.refresh()
    assert again.contains(keys).tolist() == [False] * 5 + [True] * 5
    assert again.quarantined == 0


def test_shards_that_went_are_forgotten_and_new_ones_found(tmp_path: Path) -> None:
    store, keys = _filled(tmp_path, 5, 5)
    other = store_at(tmp_path)
    other.refresh()
    _shards(tmp_path)[0].unlink()
    more = keys_of(_texts(5, 10))
    store.add(more, embedding_of(more))
    other.refresh()
    assert other.contains(np.concatenate([keys, more])).tolist() == [False] * 5 + [True] * 10
    assert np.array_equal(gathered(other, more)[0], embedding_of(more))


def test_a_key_in_two_shards_is_found_while_one_of_them_is_there(tmp_path: Path) -> None:
    first, keys = _filled(tmp_path, 5)
    second = store_at(tmp_path)
    second.add(keys, embedding_of(keys))
    first.refresh()
    assert len(first) == 10
    _shards(tmp_path)[0].unlink()
    first.refresh()
    assert first.contains(keys).all()
    assert gathered(first, keys)[1] == []


def test_a_closed_store_opens_again_when_it_is_used(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    space, keys = store.space(space_of()), keys_of(_texts(5))
    space.add(keys, embedding_of(keys))
    store.release_idle(3600)
    assert len(space) == 5
    store.release_idle(0)
    assert len(space) == 0
    assert gathered(space, keys)[1] == []
    store.release_idle(0)
    assert space.contains(keys).all()


def test_a_deleted_space_is_made_anew(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    first = store.space(space_of())
    store.delete(space_of().identifier)
    assert store.summaries() == []
    with pytest.raises(NotFoundError):
        store.delete(space_of().identifier)
    assert store.space(space_of()) is not first


def test_gathers_and_refreshes_may_run_beside_each_other(tmp_path: Path) -> None:
    store, keys = _filled(tmp_path, *[5] * 12)
    failures: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found, unreadable = gathered(store, keys)
            sound = np.setdiff1d(np.arange(len(keys)), unreadable)
            if not np.array_equal(found[sound], embedding_of(keys)[sound]):
                failures.append("wrong embedding")

    def guarded() -> None:
        try:
            read()
        except Exception as error:  # noqa: BLE001 - a thread's failure is told to the test
            failures.append(repr(error))

    readers = [threading.Thread(target=guarded) for _ in range(2)]
    for reader in readers:
        reader.start()
    for path in _shards(tmp_path)[:-1]:
        path.unlink()
        store.refresh()
        more = keys_of([path.name])
        store.add(more, embedding_of(more))
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert store.quarantined == 0
