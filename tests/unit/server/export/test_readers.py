"""The compiled model reads a CSV file's cells exactly as training and Predict do."""

from __future__ import annotations

import math
import random
import warnings
from typing import Any

import pytest
import torch
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.category import CategoryStatistics
from headstart_server.data.features.cells import numbers
from headstart_server.data.features.text import TextStatistics
from headstart_server.export.readers import BinaryReader, CategoryReader, NumberReader, TextReader
from headstart_server.export.torchscript import readers_of
from torch import nn

from tests.support.tables import WHERE, cells
from tests.support.training import feature_of
from tests.unit.server.export.test_wordpiece import preparation_of

NUMBERS = (
    *("5", "+5", "-.5e-3", "5.", ".5", ".", "e5", "1e", "1e+", "1E+5", "0x10", "1_0", "1 5", "٣", "1d5", "abc", "--5"),
    *("nan", "NaN", "-nan", "+NAN", "inf", "-Infinity", "NA", "n/a", " none ", "?", "-", "", " ", "#N/A", "missing"),
    *("1e308", "9e308", "1.7976931348623157e308", "-1.7976931348623159e308", "0.00017976931348623157e312", "99e307"),
    *("1e309", "1e400", "1e-400", "1e-310", "1e99999999999", "0e999999", "9" * 400, "0." + "0" * 400 + "1"),
    *("0" * 400 + "1", "000", "0.000", "-0", "\u00a05\u3000", "\x1f5", "\x855", "\u200b5", "\ufeff5", "1,5", "5\n"),
    *("1" + "0" * 300 + "e-300", "0.00012e-3", "1e000000005", "1.5e+0005"),
)


def scripted(reader: nn.Module) -> Any:
    """A reader as it leaves."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(reader)


def as_the_server(cell: str) -> float | None:
    """A cell's number, NaN if missing, None if refused."""
    try:
        return float(numbers(cells([cell, "x"]).slice(0, 1), 0, WHERE)[0])
    except InvalidInputError:
        return None


def test_numbers_are_those_that_the_server_reads() -> None:
    reader = scripted(NumberReader("price"))
    generator = random.Random(5)
    made = ["".join(generator.choices("0019..+-eE naif_", k=generator.randrange(1, 6))) for _ in range(3_000)]
    for cell in (*NUMBERS, *made):
        expected = as_the_server(cell)
        try:
            found = float(reader([cell], 1)[0][0])
        except torch.jit.Error:
            found = None
        if expected is None or found is None:
            assert found is expected, ascii(cell)
        else:
            assert (
                math.isclose(found, expected, rel_tol=0, abs_tol=1e-306)
                or found == expected
                or (math.isnan(found) and math.isnan(expected))
            ), ascii(cell)


def test_a_bad_number_is_named_by_column_row_and_value() -> None:
    reader = scripted(NumberReader("price"))
    with pytest.raises(torch.jit.Error, match="column 'price', row 12: 'cheap' is no finite number"):
        reader(["1", "", "cheap"], 10)
    with pytest.raises(torch.jit.Error, match=f"'{'é' * 40}' is no"):
        reader(["é" * 1_000], 1)


@pytest.mark.parametrize("labels", [("yes", "no"), ("TRUE", "FALSE"), ("a", "b"), ("true", "maybe"), ("1", "0")])
def test_truth_values_are_those_that_the_server_reads(labels: tuple[str, str]) -> None:
    feature = feature_of("watched", "binary", list(labels) * 3, preprocessing={"fallback_true_label": labels[0]})
    assert isinstance(feature.statistics, BinaryStatistics)
    reader = scripted(BinaryReader("watched", feature.statistics))
    for cell in ("", *labels, "Yes", " yes ", "NO", "on", "\u00a0on", "A", " a ", "t", "0.0", "perhaps", "maybe", "2"):
        try:
            expected = float(feature.transform(cells([cell, "x"]).slice(0, 1), WHERE)[0])
        except InvalidInputError:
            with pytest.raises(torch.jit.Error, match=f"column 'watched', row 4: '{cell}' is neither '{labels[0]}'"):
                reader([cell], 4)
        else:
            assert reader([cell], 4)[0].tolist() == [expected], cell


@pytest.mark.parametrize("strategy", [{}, {"missing_value_strategy": "fill_with_mode"}])
def test_categories_are_those_that_the_server_reads(strategy: dict[str, str]) -> None:
    feature = feature_of("kind", "category", ["a", "b", "b", "ü"], preprocessing=strategy)
    given = ["a", "b", "ü", "", "never seen", " a", "A"]
    assert isinstance(feature.statistics, CategoryStatistics)
    found = scripted(CategoryReader(feature.statistics))(given, 1)[0]
    assert found.tolist() == feature.transform(cells(given), WHERE).tolist()


class Lengths(nn.Module):
    """Tells the texts that it is given by their lengths and first bytes."""

    def forward(self, texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor([len(text) for text in texts]), torch.tensor([ord((text + " ")[0]) for text in texts])


def test_texts_are_those_that_the_server_reads() -> None:
    feature = feature_of("review", "text", ["a"], preprocessing={"fill_value": "nothing said"})
    given = ["plain", "", " ", "two\x1fitems", "one item\x1f", "\x1f"]
    expected = feature.texts(cells(given)).to_pylist()
    assert expected == ["plain", "nothing said", " ", "two items", "one item", ""]
    assert isinstance(feature.statistics, TextStatistics)
    lengths, first = scripted(TextReader(Lengths(), feature.statistics))(given, 1)
    assert lengths.tolist() == [len(text) for text in expected]
    assert first.tolist() == [ord((text + " ")[0]) for text in expected]


@pytest.mark.parametrize(("kind", "values"), [("category", ["a", "b"]), ("binary", ["yes", "no"])])
def test_a_text_of_a_column_of_labels_is_not_read_by_the_module(kind: str, values: list[str]) -> None:
    """Its cells would come spelled as the labels are."""
    preparation, _ = preparation_of()
    review = feature_of("review", "text", values, column="said")
    labels = feature_of("label", kind, values, column="said")
    assert readers_of((review, labels), {"review": preparation}) is None
    elsewhere = feature_of("label", kind, values, column="other")
    assert readers_of((review, elsewhere), {"review": preparation}) is not None


def test_a_text_and_a_number_of_one_column_are_both_read() -> None:
    preparation, _ = preparation_of()
    review = feature_of("review", "text", ["1", "2"], column="said")
    number = feature_of("amount", "number", ["1", "2"], column="said")
    found = readers_of((review, number), {"review": preparation})
    assert found is not None and [type(reader) for reader in found] == [TextReader, NumberReader]
