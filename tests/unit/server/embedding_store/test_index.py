"""The index finds what a dictionary would, however many keys share a half."""

import numpy as np
from headstart_server.embedding_store.index import Index
from hypothesis import given
from hypothesis import strategies as st

HALF = st.one_of(st.integers(0, 2), st.sampled_from([2**64 - 1, 2**63]))
KEY = st.tuples(HALF, HALF)
SHARDS = st.lists(st.lists(KEY, max_size=8, unique=True), max_size=5)


def _keys(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array(pairs, np.uint64).reshape(-1, 2)


def _filled(shards: list[list[tuple[int, int]]]) -> Index:
    index = Index()
    index.add([(number, _keys(pairs)) for number, pairs in enumerate(shards[:2])])
    for number, pairs in enumerate(shards[2:], 2):
        index.add([(number, _keys(pairs))])
    return index


def _places(shards: list[list[tuple[int, int]]]) -> dict[tuple[int, int], set[tuple[int, int]]]:
    places: dict[tuple[int, int], set[tuple[int, int]]] = {}
    for number, pairs in enumerate(shards):
        for row, pair in enumerate(pairs):
            places.setdefault(pair, set()).add((number, row))
    return places


@given(SHARDS, st.lists(KEY, max_size=12))
def test_every_key_is_found_where_it_lies_and_no_other(
    shards: list[list[tuple[int, int]]], wanted: list[tuple[int, int]]
) -> None:
    index, places = _filled(shards), _places(shards)
    entries = index.find(_keys(wanted))
    assert len(index) == sum(map(len, shards))
    for pair, entry in zip(wanted, entries.tolist(), strict=True):
        if entry < 0:
            assert pair not in places
        else:
            assert (int(index.shard[entry]), int(index.row[entry])) in places[pair]


@given(SHARDS, st.integers(0, 4))
def test_a_removed_shard_is_found_no_more_and_the_others_still_are(
    shards: list[list[tuple[int, int]]], gone: int
) -> None:
    index = _filled(shards)
    index.remove(gone)
    left = _places([pairs if number != gone else [] for number, pairs in enumerate(shards)])
    wanted = [pair for pairs in shards for pair in pairs]
    found = index.find(_keys(wanted)) >= 0
    assert found.tolist() == [pair in left for pair in wanted]


def test_a_large_index_agrees_with_a_dictionary() -> None:
    generator = np.random.default_rng(0)
    keys = generator.integers(0, 2**64, (50_000, 2), np.uint64)
    index = Index()
    index.add([(number, part) for number, part in enumerate(np.array_split(keys, 7))])
    order = generator.permutation(len(keys))
    entries = index.find(keys[order])
    starts = np.cumsum([0, *(len(part) for part in np.array_split(keys, 7))])
    assert (starts[index.shard[entries]] + index.row[entries] == order).all()
    assert (index.find(keys + np.uint64(1)) == -1).all()
