"""One value is one value, however it is spelled; texts that only look alike stay apart."""

from decimal import Decimal

import pyarrow as pa
import pytest
from headstart_server.data.canonical import as_strings
from headstart_server.data.spellings import Spellings, spelling
from hypothesis import given
from hypothesis import strategies as st

from tests.support.canonical import canonical_batch

SAME = [
    ("1", "1.0", "1.00", "1e0", "+1"),
    ("0", "-0.0", "0.0"),
    ("1.5", "1.50", "15e-1"),
    ("100000000000000000000", "1e+20"),
    ("true", "True", "TRUE"),
    ("2020-01-01", "2020-01-01 00:00:00", "2020-01-01T00:00:00.000000"),
    ("2020-01-01 10:00:00Z", "2020-01-01 12:00:00+02:00", "2020-01-01T12:00:00.000+0200", "2020-01-01T10:00Z"),
    ("03:04:05.5", "03:04:05.500000"),
]
TEXTS = ["007", "tRUE", "2020-13-01", "1_000", "0x10", "", "word", "2020-01-01 00:00:00 UTC", "1" * 100]


@pytest.mark.parametrize("texts", SAME)
def test_each_spelling_of_a_value_finds_the_label(texts: tuple[str, ...]) -> None:
    for label in texts:
        assert {Spellings([label, "other"]).find(text) for text in texts} == {label}


@pytest.mark.parametrize("text", TEXTS)
def test_texts_have_one_spelling(text: str) -> None:
    assert spelling(text) is None


def test_versions_are_texts() -> None:
    versions = Spellings(["1.1", "1.10", "1.2", "true"])
    assert [versions.find(text) for text in ("1.1", "1.10", "1.20", "True")] == ["1.1", "1.10", None, "true"]


def test_identifiers_above_what_a_double_holds_stay_apart() -> None:
    known = Spellings([str(2**53), str(2**53 + 1)])
    assert known.find(f"{2**53 + 1}.0") == str(2**53 + 1)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_decimal_column_is_spelled_exactly(value: Decimal) -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([value], pa.decimal128(30, 6))], ["a"])
    [text] = as_strings(canonical_batch(batch, "f").column(0)).to_pylist()
    assert Decimal(text) == value and spelling(text) == ("number", text)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_moment_has_one_text_in_every_unit(unit: str) -> None:
    day = pa.array([18262 * 86400]).cast(pa.timestamp("s")).cast(pa.timestamp(unit))
    zoned = day.cast(pa.timestamp(unit, "Europe/Berlin"))
    batch = canonical_batch(pa.RecordBatch.from_arrays([day, zoned], ["a", "b"]), "f")
    assert [column.to_pylist() for column in batch.columns] == [["2020-01-01"], ["2020-01-01 00:00:00Z"]]


def test_float32_is_what_its_own_shortest_text_says() -> None:
    batch = pa.RecordBatch.from_arrays([pa.array([0.1, 0.2, 3.0, None], pa.float32())], ["a"])
    assert as_strings(canonical_batch(batch, "f").column(0)).to_pylist() == ["0.1", "0.2", "3", None]
