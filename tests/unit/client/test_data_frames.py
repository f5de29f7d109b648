"""Data frames of other libraries are sent as their columns, without those libraries."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from headstart import InvalidArgument
from headstart.values.column import column_of
from headstart.values.table import table_of

from tests.support.table_values import values_of


class Frame:
    """What the client knows of a pandas DataFrame."""

    columns = ("a",)

    def to_dict(self, orient: str) -> dict[str, list[Any]]:
        """Return columns."""
        assert orient == "list"
        return {"a": [1.0, 2.0]}


class Scalar:
    """What the client knows of numpy's scalars and arrays."""

    dtype = "float32"

    def __init__(self, value: Any) -> None:
        self._value = value

    def tolist(self) -> Any:
        """Return it as Python's."""
        return self._value


def test_data_frames_and_numpy_values_are_taken_without_their_libraries() -> None:
    assert values_of(table_of(Frame()).columns[0]) == [1.0, 2.0]
    assert values_of(column_of("v", [Scalar([1.0, 2.0]), Scalar([3.0, 4.0])])) == [[1, 2], [3, 4]]
    assert values_of(column_of("n", [Scalar(1), Scalar(2.5)])) == [1, 2.5]


def test_float32_of_a_data_frame_is_what_its_shortest_text_says() -> None:
    import pandas as pd

    frame = pd.DataFrame({"v": np.array([0.1, 3.0, np.nan, 16777216.0, 3.4e38], np.float32)})
    assert values_of(table_of(frame).columns[0]) == [0.1, 3.0, None, 16777216.0, 3.4e38]


class Odd:
    """An object of which `str` tells nothing but an address."""


def test_a_frame_of_polars_is_sent_as_its_columns() -> None:
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame(
        {"text": ["a", None], "price": [1.5, None], "tags": [["x", "y"], []], "ratio": [0.1, 2.0]},
        schema_overrides={"ratio": polars.Float32},
    )
    table = table_of(frame)
    assert [values_of(column) for column in table.columns] == [
        ["a", None],
        [1.5, None],
        [["x", "y"], []],
        [0.1, 2.0],
    ]


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_column_of_a_frame_that_has_no_text_is_left_out_with_a_warning(library: str) -> None:
    frames = pytest.importorskip(library, reason=f"{library} is not installed")
    odd = {"dtype": frames.Object} if library == "polars" else {"dtype": object}
    frame = frames.DataFrame({"text": ["a", "b"], "odd": frames.Series([Odd(), Odd()], **odd)})
    with pytest.warns(UserWarning, match="left out: column 'odd', row 0: Odd .* has no textual form"):
        table = table_of(frame)
    assert [column.name for column in table.columns] == ["text"]
    with pytest.raises(InvalidArgument, match="has no textual form"):
        table_of({"odd": [Odd()]})


def test_a_value_that_cannot_be_sent_is_refused_in_a_frame_too() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    with pytest.raises(InvalidArgument, match="is not a finite number"):
        table_of(pandas.DataFrame({"price": [1.0, float("inf")]}))


def test_a_dataframe_of_polars_is_the_table_of_its_columns() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {"t": ["a", None], "n": [1, 2], "f": polars.Series([0.1, None], dtype=polars.Float32), "l": [["x y"], []]}
    )

    assert table_of(frame) == table_of({"t": ["a", None], "n": [1, 2], "f": [0.1, None], "l": [["x y"], []]})
