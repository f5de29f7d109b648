"""A space store: what is added is found and gathered, by anybody; what is damaged is missing, not wrong."""

import threading
from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import NotFoundError
from headstart_server.embedding_store.index import Index
from headstart_server.embedding_store.key import Keys
from headstart_server.embedding_store.shard_storage import FolderShardStorage
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.embedding_store.store import EmbeddingStore
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stores import embedding_of, filled, gathered, keys_of, shards_below, space_of, store_at, texts_of


@given(st.lists(st.integers(0, 60), max_size=80))
def test_any_request_is_gathered_in_its_order_and_what_it_lacks_is_said(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[int]
) -> None:
    store, _ = filled(tmp_path_factory.mktemp("store"), 20, 1, 25)
    keys = keys_of([f"row {number}" for number in wanted])
    found, unreadable = gathered(store, keys)
    assert unreadable == [position for position, number in enumerate(wanted) if number >= 46]
    present = [position for position, number in enumerate(wanted) if number < 46]
    assert np.array_equal(found[present], embedding_of(keys)[present])
    assert store.contains(keys).tolist() == [number < 46 for number in wanted]


@pytest.mark.usefixtures("small_blocks")
def test_many_blocks_are_gathered_as_one(tmp_path: Path) -> None:
    store, keys = filled(tmp_path, 50, 50)
    order = np.random.default_rng(0).permutation(100)
    found, unreadable = gathered(store, keys[order])
    assert unreadable == [] and np.array_equal(found, embedding_of(keys)[order])


def test_another_opening_of_the_folder_finds_everything(tmp_path: Path) -> None:
    _, keys = filled(tmp_path, 10, 10)
    again = store_at(tmp_path)
    assert len(again) == 0
    again.refresh()
    assert len(again) == 20
    assert np.array_equal(gathered(again, keys)[0], embedding_of(keys))


def test_other_spaces_find_nothing(tmp_path: Path) -> None:
    _, keys = filled(tmp_path, 10)
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
    assert shards_below(tmp_path) == []


def test_a_shard_removed_between_listing_and_opening_is_a_miss(tmp_path: Path) -> None:
    store, keys = filled(tmp_path, 5, 5)

    class Losing(FolderShardStorage):
        """From which a shard goes as soon as it has been listed."""

        def names(self) -> set[str]:
            found = super().names()
            if len(found) == 2:
                shards_below(tmp_path)[0].unlink()
            return found

    again = SpaceStore(store.space, store.folder, 2, Losing(store.folder))
    again.refresh()
    assert again.contains(keys).tolist() == [False] * 5 + [True] * 5
    assert again.quarantined == 0


def test_shards_that_went_are_forgotten_and_new_ones_found(tmp_path: Path) -> None:
    store, keys = filled(tmp_path, 5, 5)
    other = store_at(tmp_path)
    other.refresh()
    shards_below(tmp_path)[0].unlink()
    more = keys_of(texts_of(5, 10))
    store.add(more, embedding_of(more))
    other.refresh()
    assert other.contains(np.concatenate([keys, more])).tolist() == [False] * 5 + [True] * 10
    assert np.array_equal(gathered(other, more)[0], embedding_of(more))


def test_a_key_in_two_shards_is_found_while_one_of_them_is_there(tmp_path: Path) -> None:
    first, keys = filled(tmp_path, 5)
    second = store_at(tmp_path)
    second.add(keys, embedding_of(keys))
    first.refresh()
    assert len(first) == 10
    shards_below(tmp_path)[0].unlink()
    first.refresh()
    assert first.contains(keys).all()
    assert gathered(first, keys)[1] == []


def test_a_closed_store_opens_again_when_it_is_used(tmp_path: Path) -> None:
    store = EmbeddingStore(tmp_path)
    space, keys = store.space(space_of()), keys_of(texts_of(5))
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
    store, keys = filled(tmp_path, *[5] * 12)
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
    for path in shards_below(tmp_path)[:-1]:
        path.unlink()
        store.refresh()
        more = keys_of([path.name])
        store.add(more, embedding_of(more))
    done.set()
    for reader in readers:
        reader.join()
    assert failures == []
    assert store.quarantined == 0


def test_keys_that_were_looked_up_are_found_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = filled(tmp_path, 20)
    asked: list[int] = []
    find = Index.find

    def counted(self: Index, keys: Keys) -> np.ndarray:
        asked.append(len(keys))
        return find(self, keys)

    monkeypatch.setattr(Index, "find", counted)
    keys = keys_of([f"row {number}" for number in range(30)])
    assert store.contains(keys).sum() == 20
    found, unreadable = gathered(store, keys)
    assert unreadable == list(range(20, 30)) and asked == [30]
    assert np.array_equal(found[:20], embedding_of(keys)[:20])
    # once, and not where the store has changed since
    gathered(store, keys)
    store.contains(keys)
    store.add(keys[20:], embedding_of(keys[20:]))
    found, unreadable = gathered(store, keys)
    assert unreadable == [] and np.array_equal(found, embedding_of(keys)) and asked == [30] * 4
    store.contains(keys)
    del keys
    assert store._looked_up is None
