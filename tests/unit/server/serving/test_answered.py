"""An evaluation keeps no more of very many rows than memory has room for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.fitted import FittedFeature, fit_feature
from headstart_server.data.tables import Table
from headstart_server.serving.answered import MOST_VALUES, Answered, most_rows
from headstart_server.serving.decode import decode
from headstart_server.spec.model import FeatureSpec

from tests.support.tables import WHERE, chunks


def _fitted(kind: str, values: list[Any]) -> FittedFeature:
    spec = FeatureSpec.model_validate({"name": "y", "type": kind})
    return fit_feature(spec, chunks(values), WHERE, output=True)


def test_wide_outputs_leave_room_for_fewer_rows() -> None:
    category = _fitted("category", ["a", "b", "c"])
    items = _fitted("set", [" ".join(f"i{number}" for number in range(500)), "i1"])
    assert most_rows([category]) == MOST_VALUES // 8
    assert most_rows([items]) == MOST_VALUES // 1_500
    assert most_rows([category, items]) == MOST_VALUES // 1_508


def test_metrics_are_those_of_the_answers_whatever_the_chunks() -> None:
    feature = _fitted("category", ["a", "b", "c", "b"])
    random = np.random.default_rng(2)
    probabilities = random.dirichlet(np.ones(3), 50).astype(np.float32)
    labels = random.choice(feature.classes, 50).tolist()
    table = Table(pa.table({"y": pa.array(labels, pa.large_string())}), "dataset")
    found = []
    for sizes in ([50], [1, 20, 29]):
        answered, start = Answered([], [feature], table), 0
        for size in sizes:
            rows = np.arange(start, start + size)
            answered.add(rows, [decode(feature, probabilities[rows])])
            start += size
        found.append((answered.metrics(), answered.evaluations()))
    truths = np.array([feature.classes.index(label) for label in labels])
    metrics = found[0][0]
    assert metrics["y.accuracy"] == pytest.approx((probabilities.argmax(1) == truths).mean())
    assert metrics["y.loss"] == pytest.approx(-np.log(probabilities[np.arange(50), truths]).mean(), rel=1e-5)
    assert found[0][0] == pytest.approx(found[1][0]) and found[0][1][0].classes == found[1][1][0].classes


def test_a_target_that_the_model_has_never_seen_is_named_by_its_row() -> None:
    feature = _fitted("category", ["a", "b"])
    table = Table(pa.table({"y": pa.array(["a", "b", "z"], pa.large_string())}), "dataset")
    answered = Answered([], [feature], table)
    with pytest.raises(InvalidInputError, match=r"column 'y', row 3: .*'z'"):
        answered.add(np.array([0, 2]), [decode(feature, np.full((2, 2), 0.5, np.float32))])


def test_words_for_missing_numbers_are_no_targets() -> None:
    feature = _fitted("number", ["1", "2", "3", "4"])
    cells = ["1", "NA", "3", "?", None, "n/a"]
    answered = Answered([], [feature], Table(pa.table({"y": pa.array(cells, pa.large_string())}), "dataset"))
    answer = decode(feature, np.array([2.0, 9.0, 3.0, 9.0, 9.0, 9.0], np.float32))
    answered.add(np.arange(6), [answer])
    errors = [abs(answer.values[0] - 1), abs(answer.values[2] - 3)]
    assert answered.metrics()["y.mean_absolute_error"] == pytest.approx(sum(errors) / 2, abs=1e-5)
    [evaluation] = answered.evaluations()
    assert {row.row for row in evaluation.worst_rows} == {1, 3}
