"""The script of an ONNX artifact reads a CSV file's cells exactly as training and Predict do."""

from __future__ import annotations

import importlib
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import headstart_server.export
import numpy as np
import pytest
from headstart.files import delimiters
from headstart_server.core.errors import InvalidInputError
from headstart_server.data import spellings
from headstart_server.data.features.fitted import FittedFeature
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.support.tables import WHERE, cells
from tests.support.training import feature_of
from tests.unit.server.export.test_readers import NUMBERS, as_the_server

RUNTIME = Path(headstart_server.export.__file__).parent / "runtime"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`predict.py` as it lies in an artifact."""
    monkeypatch.syspath_prepend(RUNTIME)
    for module in (spellings, delimiters):  # of which an artifact holds copies
        monkeypatch.setitem(sys.modules, module.__name__.rpartition(".")[2], module)
    return importlib.import_module("predict_onnx")


def read(script: ModuleType, feature: FittedFeature, given: list[str], first_row: int = 1) -> Any:
    """What the script makes of cells."""
    where = script.Where(feature.spec.source, first_row)
    return script.values(feature.spec.type, asdict(feature.statistics), given, where)


@pytest.mark.parametrize("cell", NUMBERS, ids=ascii)
def test_numbers_are_those_that_the_server_reads(script: ModuleType, cell: str) -> None:
    feature = feature_of("price", "number", [1.0, 2.0])
    expected = as_the_server(cell)
    if expected is None:
        with pytest.raises(script.BadRowsError, match=r"column 'price', row 7: .* is no finite number"):
            read(script, feature, ["1", cell], 6)
    else:
        np.testing.assert_array_equal(read(script, feature, [cell]), [expected])


FEATURES = {
    "category": feature_of("kind", "category", ["a", "b", "b"]),
    "filled category": feature_of(
        "kind", "category", ["a", "b", "b"], preprocessing={"missing_value_strategy": "fill_with_mode"}
    ),
    "usual words": feature_of("watched", "binary", ["Yes", "No", "Yes"]),
    "other words": feature_of("watched", "binary", ["a", "b", "b"]),
    "set": feature_of("tags", "set", ["a b", "b, c", "a"]),
    "separated set": feature_of("tags", "set", ["a b;c", "c"], preprocessing={"separator": ";"}),
    "vector": feature_of("point", "vector", ["1 2", "3 4"]),
    "separated vector": feature_of("point", "vector", ["1;2", "3;4"], preprocessing={"separator": ";"}),
}
CELLS = (
    *("", " ", "a", "b", "A", " a ", "yes", "NO", "on", "0.0", "perhaps", "a b", "b,c", "a b;c", "c ; a b", "never"),
    *("a\x1fb", "a b\x1f", "1 2", "[1, 2]", " (3,4) ", "1;2", "1 ; 2", "1", "1 2 3", "1 x", "nan 1", "inf 1", "1e39 1"),
    *("1e-50 1", "1_0 2", "1\x1f2", "٣ 4"),
)


@pytest.mark.parametrize("name", FEATURES)
@pytest.mark.parametrize("cell", CELLS, ids=ascii)
def test_cells_are_those_that_the_server_reads(script: ModuleType, name: str, cell: str) -> None:
    feature = FEATURES[name]
    try:
        expected = feature.transform(cells([cell, "x"]).slice(0, 1), WHERE)
    except InvalidInputError:
        with pytest.raises(script.BadRowsError) as caught:
            read(script, feature, ["", cell], 6)
        message = str(caught.value)
        assert message.startswith(f"column {feature.spec.source!r}, row 7: {cell!r} ")
        assert "\n" not in message
    else:
        np.testing.assert_array_equal(read(script, feature, [cell]), expected)


def tokenizer() -> Tokenizer:
    """Words to ids, without special tokens, padded with 0."""
    found = Tokenizer(models.WordLevel({"<pad>": 0, "?": 1, "nothing": 2, "ias": 3, "σσ": 4}, unk_token="?"))
    found.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    found.enable_padding(pad_id=0, pad_token="<pad>")
    return found


def test_texts_are_those_that_the_server_reads(script: ModuleType) -> None:
    feature = feature_of("review", "text", ["a"], preprocessing={"fill_value": "nothing", "lowercase": True})
    given = ["", "Nothing", "İAS", "ΣΣ", "nothing\x1fias", "nothing\x1f"]
    ids, mask = script.tokens(tokenizer(), asdict(feature.statistics), given)
    texts = feature.texts(cells(given)).to_pylist()
    expected = tokenizer().encode_batch(texts)
    assert ids.tolist() == [row.ids for row in expected] == [[2, 0], [2, 0], [3, 0], [4, 0], [2, 3], [2, 0]]
    assert mask.tolist() == [row.attention_mask for row in expected]


@pytest.mark.parametrize("others", [[], ["nothing ias"]])
def test_a_text_without_any_token_is_one_padding_token_as_for_the_live_model(
    script: ModuleType, others: list[str]
) -> None:
    ids, mask = script.tokens(tokenizer(), {"fill": "", "lowercase": False}, ["", *others])
    assert ids[0, 0] == 0
    assert mask[0].tolist() == [1] + [0] * len(others)
