"""A head that is fitted in one go trains, is measured and is kept as any other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from headstart_server.core.layout import Layout
from headstart_server.data.parts import Part
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.preparing import Prepared, prepare_job
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.model.ecd import ECD
from headstart_server.model.heads import HEADS
from headstart_server.model.neural_head import NeuralHead
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import EpochReport
from sklearn.linear_model import Ridge

from tests.support.ridge import ALPHA, RidgeHead
from tests.support.spelled import Training, columns
from tests.support.tables import sources_of


@pytest.fixture(autouse=True)
def fitted_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Specs have no word for a head's kind: this one takes the place of the usual one."""
    monkeypatch.setitem(HEADS, NeuralHead.kind, RidgeHead)


def _trained(folder: Path, output: dict[str, Any]) -> tuple[Prepared, ECD, EpochReport, Training]:
    spec = {
        "input_features": [{"name": name, "type": "number"} for name in ("x", "y")],
        "output_features": [output],
        "preprocessing": {"split": {"type": "fixed", "column": "part"}},
    }
    found = columns()
    found["price"] = [3 * x - y + 10 for x, y in zip(found["x"], found["y"], strict=True)]
    runtime, done = RuntimeContext.at(Storage(Layout(folder)), ModelSources(), use_gpu=False), Training()
    job = JobContext("job", "", parse_yaml(json.dumps(spec)), sources_of(**found))
    prepared = prepare_job(job, runtime, done)
    fitted = Fitting(prepared, {}, runtime, done).run()
    return prepared, fitted.model, fitted.report, done


def _numbers(prepared: Prepared, rows: Any) -> Any:
    """The inputs of some rows, [n, 2]."""
    return np.stack([prepared.plan.data.arrays[name] for name in ("x", "y")], 1)[rows]


def test_it_is_fitted_to_all_training_rows_and_reported_as_one_epoch(tmp_path: Path) -> None:
    prepared, model, report, done = _trained(tmp_path, {"name": "price", "type": "number"})
    rows = prepared.plan.data.rows(Part.TRAIN)
    expected = Ridge(ALPHA).fit(_numbers(prepared, rows), prepared.plan.data.arrays["price"][rows])
    head = model.head
    assert isinstance(head, RidgeHead)
    assert head.weight.flatten().tolist() == pytest.approx(expected.coef_.tolist(), rel=1e-4)
    assert head.bias.item() == pytest.approx(expected.intercept_, abs=1e-5)
    assert report.validation["price.r2"] > 0.95
    assert [each.epoch for each in done.reports] == [1] and done.reports[0].best


def test_labels_are_scored_as_scikit_learn_scores_them_and_what_was_fitted_is_kept(tmp_path: Path) -> None:
    prepared, model, _, _ = _trained(tmp_path, {"name": "label", "type": "category"})
    data = prepared.plan.data
    rows = data.rows(Part.TRAIN)
    expected = Ridge(ALPHA).fit(_numbers(prepared, rows), np.eye(2)[data.arrays["label"][rows]])
    again = ECD(data.inputs, data.outputs, prepared.plan.spec.combiner, {})
    again.load_learned_state(model.learned_state())
    for part in (Part.VALIDATION, Part.TEST):
        rows = data.rows(part)
        found = again({name: torch.from_numpy(data.arrays[name][rows]) for name in ("x", "y")})["label"]
        np.testing.assert_allclose(found.numpy(), expected.predict(_numbers(prepared, rows)), atol=1e-5)
