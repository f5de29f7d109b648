"""Keys are content and nothing else; duplicates are found whatever their order."""

import hashlib

import numpy as np
import pyarrow as pa
from headstart_server.embedding_store.key import distinct, keys_of_chunks, keys_of_texts, keys_of_tokens, pack, unpack
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stores import keys_of

TEXTS = st.lists(st.text(max_size=6), max_size=20)
SMALL = st.integers(0, 2)
PAIRS = st.lists(st.tuples(SMALL, SMALL), max_size=25)


@given(TEXTS)
def test_a_key_is_the_blake2b_of_the_rows_bytes(texts: list[str]) -> None:
    expected = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
    assert [row.tobytes() for row in pack(keys_of(texts))] == expected


@given(TEXTS, st.integers(0, 5), st.integers(0, 5))
def test_keys_of_a_slice_are_a_slice_of_the_keys(texts: list[str], start: int, length: int) -> None:
    array = pa.array(texts, pa.large_string())
    assert (keys_of_texts(array.slice(start, length)) == keys_of_texts(array)[start : start + length]).all()


@given(TEXTS, TEXTS)
def test_keys_do_not_depend_on_chunks(one: list[str], other: list[str]) -> None:
    chunks = [pa.array(one, pa.large_string()), pa.array(other, pa.large_string())]
    assert (keys_of_chunks(chunks) == keys_of(one + other)).all()
    assert keys_of_chunks([]).shape == (0, 2)


@given(PAIRS)
def test_distinct_finds_each_key_once_at_its_first_row(pairs: list[tuple[int, int]]) -> None:
    keys = np.array(pairs, np.uint64).reshape(-1, 2)
    first = distinct(keys)
    assert sorted(map(tuple, keys[first].tolist())) == sorted(set(pairs))
    assert [pairs.index(pair) for pair in map(tuple, keys[first].astype(int).tolist())] == first.tolist()


@given(PAIRS)
def test_packed_keys_unpack_to_themselves(pairs: list[tuple[int, int]]) -> None:
    keys = np.array(pairs, np.uint64).reshape(-1, 2)
    assert (unpack(pack(keys)) == keys).all()
    assert pack(keys).shape == (len(pairs), 16)


LENGTHS = st.dictionaries(st.text(max_size=8), st.integers(0, 40), min_size=1, max_size=6)


@given(LENGTHS)
def test_each_token_has_a_key_of_its_own_which_its_text_and_place_decide(rows: dict[str, int]) -> None:
    texts, lengths = keys_of(list(rows)), np.array(list(rows.values()))
    keys = keys_of_tokens(texts, lengths)
    assert len(keys) == len({key.tobytes() for key in keys}) == lengths.sum()
    last = keys_of_tokens(texts[-1:], lengths[-1:])
    np.testing.assert_array_equal(keys[len(keys) - len(last) :], last)
