"""Token columns pack, select, join and pad as lists would; the cache gives back what it was given or nothing."""

from pathlib import Path

import numpy as np
import pytest
from headstart_server.core.errors import StoreFullError
from headstart_server.encoders import tokens as tokens_module
from headstart_server.encoders.tokens import TokenCache, TokenColumn
from hypothesis import given
from hypothesis import strategies as st

ROW = st.lists(st.integers(1, 2**31 - 1), min_size=1, max_size=6)
ROWS = st.lists(ROW, min_size=1, max_size=12)
KEYS = np.array([[1, 2], [3, 4]], np.uint64)


def _lists(column: TokenColumn) -> list[list[int]]:
    return [column.ids[start:end].tolist() for start, end in zip(column.offsets, column.offsets[1:], strict=False)]


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), max_size=10))
def test_a_column_keeps_its_rows(rows: list[list[int]]) -> None:
    column = TokenColumn.of(rows)
    assert _lists(column) == rows
    assert len(column) == len(rows)
    assert column.lengths.tolist() == [len(row) for row in rows]


@given(ROWS, st.data())
def test_selected_rows_are_those_asked_for(rows: list[list[int]], data: st.DataObject) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    assert _lists(TokenColumn.of(rows).select(np.array(wanted, np.int64))) == [rows[row] for row in wanted]


@given(st.lists(ROWS, min_size=1, max_size=4))
def test_joined_columns_lie_one_after_the_other(parts: list[list[list[int]]]) -> None:
    joined = TokenColumn.join([TokenColumn.of(part) for part in parts])
    assert _lists(joined) == [row for part in parts for row in part]


@given(ROWS, st.integers(0, 9), st.sampled_from([1, 2, 8]), st.one_of(st.none(), st.integers(1, 12)), st.data())
def test_padding_never_touches_a_token_and_the_mask_marks_it(
    rows: list[list[int]], padding: int, multiple: int, limit: int | None, data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=8))
    ids, mask = TokenColumn.of(rows).padded(np.array(wanted, np.int64), padding, multiple, limit)
    longest = max(len(rows[row]) for row in wanted)
    rounded = -(-longest // multiple) * multiple
    assert ids.shape[1] == (rounded if limit is None else max(longest, min(rounded, limit)))
    assert ids.dtype == np.int64
    full = mask if mask is not None else np.ones_like(ids)
    for position, row in enumerate(wanted):
        length = len(rows[row])
        assert ids[position, :length].tolist() == rows[row]
        assert (ids[position, length:] == padding).all()
        assert full[position].tolist() == [1] * length + [0] * (ids.shape[1] - length)
    assert (mask is None) == bool((full == 1).all())


def test_the_cache_gives_back_what_it_was_given(tmp_path: Path) -> None:
    cache, column = TokenCache(tmp_path / "tokens"), TokenColumn.of([[1, 2], [], [3]])
    path = cache.path("tokenizer", 16, KEYS)
    assert cache.load(path) is None
    cache.save(path, column)
    found = cache.load(path)
    assert found is not None and _lists(found) == [[1, 2], [], [3]]


def test_another_tokenizer_limit_row_or_order_is_another_file(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)
    paths = {
        cache.path("t", 16, KEYS),
        cache.path("u", 16, KEYS),
        cache.path("t", 17, KEYS),
        cache.path("t", 16, KEYS[::-1]),
        cache.path("t", 16, KEYS[:1]),
    }
    assert len(paths) == 5
    assert cache.path("t", 16, KEYS.copy()) in paths


def test_a_damaged_file_is_a_miss_whatever_byte_was_hit(tmp_path: Path) -> None:
    cache, column = TokenCache(tmp_path), TokenColumn.of([[1, 2, 3], [4]])
    path = cache.path("t", 16, KEYS)
    cache.save(path, column)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        found = cache.load(path)
        assert found is None or (place < header and _lists(found) == [[1, 2, 3], [4]])
        if found is None:
            assert not path.exists()


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_truncated_file_is_a_miss(tmp_path: Path, kept: int) -> None:
    cache = TokenCache(tmp_path)
    path = cache.path("t", 16, KEYS)
    cache.save(path, TokenColumn.of([[1, 2, 3], [4]]))
    path.write_bytes(path.read_bytes()[:kept])
    assert cache.load(path) is None


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tokens_module, "save_file", full)
    cache = TokenCache(tmp_path)
    with pytest.raises(StoreFullError):
        cache.save(cache.path("t", 16, KEYS), TokenColumn.of([[1]]))
