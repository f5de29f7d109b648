"""Heads that are fitted in one go: as others fit them, reported as one epoch, and kept."""

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
from headstart_server.model.neighbor_head import NeighborHead
from headstart_server.model.ridge_head import PENALTIES, RidgeHead
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage
from headstart_server.training.reports import EpochReport
from sklearn.linear_model import Ridge, RidgeCV

from tests.support.spelled import Training, columns
from tests.support.tables import sources_of


def _trained(
    folder: Path, kind: str, *outputs: dict[str, Any], **preprocessing: Any
) -> tuple[Prepared, ECD, EpochReport, Training]:
    spec = {
        "model_type": kind,
        "input_features": [{"name": name, "type": "number"} for name in ("x", "y")],
        "output_features": outputs,
        "preprocessing": {"split": {"type": "fixed", "column": "part"}, **preprocessing},
    }
    found = columns()
    pairs = list(zip(found["x"], found["y"], strict=True))
    found["height"] = [x for x, _ in pairs]
    found["rare"] = ["yes" if x + y > 1.5 else "no" for x, y in pairs]
    found["price"] = [3 * x - y + 10 for x, y in pairs]
    found["signs"] = [";".join(name for name, value in zip("ab", pair, strict=True) if value > 0) for pair in pairs]
    found["high"] = ["yes" if x + y > 0 else "no" for x, y in pairs]
    found["turned"] = [f"{x + y} {x - y}" for x, y in pairs]
    runtime, done = RuntimeContext.at(Storage(Layout(folder)), ModelSources(), use_gpu=False), Training()
    job = JobContext("job", "", parse_yaml(json.dumps(spec)), sources_of(**found))
    prepared = prepare_job(job, runtime, done)
    fitted = Fitting(prepared, {}, runtime, done).run()
    return prepared, fitted.model, fitted.report, done


def _numbers(prepared: Prepared, rows: Any) -> Any:
    """The inputs of some rows, [n, 2]."""
    return np.stack([prepared.plan.data.arrays[name] for name in ("x", "y")], 1)[rows].astype(np.float64)


def test_a_ridge_regression_is_scikit_learns_and_reported_as_one_epoch(tmp_path: Path) -> None:
    prepared, model, report, done = _trained(tmp_path, "ridge", {"name": "price", "type": "number"})
    rows = prepared.plan.data.rows(Part.TRAIN)
    wanted = prepared.plan.data.arrays["price"][rows]
    expected = RidgeCV(PENALTIES).fit(_numbers(prepared, rows), wanted)
    head = model.head
    assert isinstance(head, RidgeHead)
    assert head.penalty.item() == pytest.approx(expected.alpha_)
    assert head.weight.flatten().tolist() == pytest.approx(expected.coef_.tolist(), rel=1e-4)
    assert head.bias.item() == pytest.approx(expected.intercept_, abs=1e-5)
    assert report.validation["price.r2"] > 0.95
    assert [each.epoch for each in done.reports] == [1] and done.reports[0].best


@pytest.mark.parametrize("kind", ["ridge", "knn"])
def test_labels_are_told_and_what_was_fitted_is_kept(tmp_path: Path, kind: str) -> None:
    prepared, model, report, _ = _trained(tmp_path, kind, {"name": "label", "type": "category"})
    data = prepared.plan.data
    again = ECD(data.inputs, data.outputs, prepared.plan.spec.combiner, {}, kind)
    again.load_learned_state(model.learned_state())
    rows = data.rows(Part.TEST)
    batch = {name: torch.from_numpy(data.arrays[name][rows]) for name in ("x", "y")}
    found, before = again.probabilities(again(batch))["label"], model.probabilities(model(batch))["label"]
    assert torch.equal(found, before)
    accuracy = (found.argmax(1).numpy() == data.arrays["label"][rows]).mean()
    assert accuracy == pytest.approx(report.test["label.accuracy"])
    assert accuracy >= 0.8


def test_labels_are_scored_as_a_regression_on_their_indicators_scores_them(tmp_path: Path) -> None:
    prepared, model, _, _ = _trained(tmp_path, "ridge", {"name": "label", "type": "category"})
    data, head = prepared.plan.data, model.head
    assert isinstance(head, RidgeHead)
    rows = data.rows(Part.TRAIN)
    expected = Ridge(float(head.penalty)).fit(_numbers(prepared, rows), np.eye(2)[data.arrays["label"][rows]])
    scale = (head.weight.T.double().numpy() / expected.coef_).ravel()
    assert scale == pytest.approx(scale[0]) and scale[0] > 0
    assert head.bias.tolist() == pytest.approx((scale[0] * expected.intercept_).tolist(), rel=1e-4)


def test_neighbours_of_a_number_are_weighed_by_how_near_they_are(tmp_path: Path) -> None:
    prepared, model, report, _ = _trained(tmp_path, "knn", {"name": "price", "type": "number"})
    data, head = prepared.plan.data, model.head
    assert isinstance(head, NeighborHead)
    rows, tested = data.rows(Part.TRAIN), data.rows(Part.TEST)
    known, wanted = _numbers(prepared, rows), data.arrays["price"][rows]
    found = model({name: torch.from_numpy(data.arrays[name][tested]) for name in ("x", "y")})["price"]
    for row, value in zip(_numbers(prepared, tested), found.tolist(), strict=True):
        distances = ((known - row) ** 2).sum(1)
        reach = np.sort(distances)[int(head.neighbors) - 1]
        closeness = (distances <= reach) * (1 - distances / (2 * reach))
        assert value == pytest.approx(closeness @ wanted / closeness.sum(), abs=2e-3)
    assert report.validation["price.r2"] > 0.9


@pytest.mark.parametrize("kind", ["ridge", "knn"])
def test_every_type_of_output_is_learned_beside_the_others(tmp_path: Path, kind: str) -> None:
    outputs = (
        {"name": "high", "type": "binary"},
        {"name": "signs", "type": "set", "preprocessing": {"separator": ";"}},
        {"name": "turned", "type": "vector"},
        {"name": "price", "type": "number"},
    )
    _, model, report, _ = _trained(tmp_path, kind, *outputs)
    found = report.validation
    assert found["high.accuracy"] >= 0.9
    assert found["signs.jaccard"] > 0.6
    assert found["turned.mean_squared_error"] < 0.4
    assert found["price.r2"] > 0.9
    assert all(torch.isfinite(tensor).all() for tensor in model.state_dict().values())


@pytest.mark.parametrize("kind", ["ridge", "knn"])
def test_a_class_that_hardly_counts_is_told_of_no_row(tmp_path: Path, kind: str) -> None:
    output = {"name": "label", "type": "category", "loss": {"class_weights": {"spam": 1e-6}}}
    prepared, model, _, _ = _trained(tmp_path, kind, output)
    data = prepared.plan.data
    found = model({name: torch.from_numpy(data.arrays[name]) for name in ("x", "y")})["label"]
    assert torch.isfinite(found).all()
    assert {data.outputs[0].classes[each] for each in found.argmax(1).tolist()} == {"ham"}


@pytest.mark.parametrize("kind", ["ridge", "knn"])
def test_rows_count_as_much_as_their_class(tmp_path: Path, kind: str) -> None:
    plain = {"name": "label", "type": "category"}
    recalls = []
    for folder, output in (("plain", plain), ("weighed", {**plain, "loss": {"balance_classes": True}})):
        prepared, model, _, _ = _trained(tmp_path / folder, kind, output)
        data = prepared.plan.data
        rare = data.outputs[0].classes.index("spam")
        rows = np.flatnonzero(data.arrays["label"] == rare)
        found = model({name: torch.from_numpy(data.arrays[name][rows]) for name in ("x", "y")})["label"]
        recalls.append(float((found.argmax(1) == rare).float().mean()))
    assert recalls[1] > recalls[0]


@pytest.mark.parametrize("kind", ["ridge", "knn"])
def test_a_row_that_is_oversampled_is_left_out_with_its_copies(tmp_path: Path, kind: str) -> None:
    """Judged by a fit that has its copies, a row is told however little the others say of it."""
    rare = {"name": "rare", "type": "binary"}
    prepared, model, _, _ = _trained(tmp_path, kind, rare, oversample_minority=0.9)
    data, head = prepared.plan.data, model.head
    rows, times = np.unique(data.epoch_rows(), return_counts=True)
    assert times.max() > 1
    alone: Any = _trained(tmp_path / "other", kind, rare)[1].head
    known = torch.from_numpy(_numbers(prepared, rows)).float()
    targets = {"rare": torch.from_numpy(data.arrays["rare"][rows])}
    alone.fit(known, targets, {"rare": torch.from_numpy(times).double()})
    learned = {name: value for name, value in alone.state_dict().items() if "temperature" not in name}
    assert learned
    for name, value in learned.items():
        torch.testing.assert_close(head.state_dict()[name], value, rtol=1e-5, atol=1e-5)


def _neighbor_head(folder: Path, *names: str) -> NeighborHead:
    head = _trained(folder, "knn", *({"name": name, "type": "number"} for name in names))[1].head
    assert isinstance(head, NeighborHead)
    return head


def test_neighbours_are_told_apart_wherever_they_lie(tmp_path: Path) -> None:
    """The squares of 1,000 leave float32 no digits for what lies within 1 of each other."""
    head, generator = _neighbor_head(tmp_path, "price"), torch.Generator().manual_seed(1)
    rows, others = (torch.rand(400, 2, generator=generator) * 4 for _ in range(2))
    targets = {"price": torch.sin(2 * rows[:, 0])}
    head.fit(rows, targets)
    near, k = head.scores(others), int(head.neighbors)
    head.fit(rows + 1_000, targets)
    assert int(head.neighbors) == k
    # the rows themselves have lost digits: 1,000.1234 has three of them behind the point
    torch.testing.assert_close(head.scores(others + 1_000), near, rtol=0, atol=2e-3)


def test_each_output_has_as_many_neighbours_as_it_does_best_with(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(2)
    rows = torch.rand(300, 2, generator=generator)
    clear, noise = rows[:, 0] * 3, torch.randn(300, generator=generator)
    alone, both = _neighbor_head(tmp_path / "a", "price"), _neighbor_head(tmp_path / "b", "price", "height")
    alone.fit(rows, {"price": clear})
    both.fit(rows, {"price": clear, "height": noise})
    assert both.neighbors[0] == alone.neighbors and both.neighbors[1] > both.neighbors[0]
    torch.testing.assert_close(both.scores(rows)[:, :1], alone.scores(rows))


def test_a_row_that_counts_twice_is_one_that_is_there_twice(tmp_path: Path) -> None:
    head, generator = _neighbor_head(tmp_path, "price"), torch.Generator().manual_seed(3)
    rows = torch.rand(200, 2, generator=generator)
    targets = rows.sum(1) + 0.3 * torch.randn(200, generator=generator)
    times = torch.randint(1, 6, (200,), generator=generator)
    head.fit(rows, {"price": targets}, {"price": times.float()})
    weighed = dict(head.state_dict())
    head.fit(rows.repeat_interleave(times, 0), {"price": targets.repeat_interleave(times)})
    assert torch.equal(head.neighbors, weighed["neighbors"])


def test_models_of_earlier_releases_are_read(tmp_path: Path) -> None:
    head = _neighbor_head(tmp_path, "price")
    rows = torch.rand(50, 2)
    head.fit(rows, {"price": rows[:, 0]})
    state = dict(head.state_dict())
    points, k = state["points"] + state.pop("center"), state["neighbors"][0]
    before = head.scores(rows)
    head.load_state_dict({**state, "points": points, "neighbors": k})
    torch.testing.assert_close(head.scores(rows), before, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["ridge", "knn"])
def test_numbers_beyond_all_measure_are_answered_as_large_ones(tmp_path: Path, kind: str) -> None:
    """Such as a word for a missing number that is the largest of its type."""
    _, model, _, _ = _trained(tmp_path, kind, {"name": "high", "type": "binary"}, {"name": "price", "type": "number"})
    largest = float(np.finfo(np.float32).max)
    for far in (10.0, 1e15, 1e20, largest):
        rows = torch.tensor([far, -far, far], dtype=torch.float32), torch.tensor([far, -far, -far], dtype=torch.float32)
        logits = model(dict(zip(("x", "y"), rows, strict=True)))
        found = model.probabilities(logits)
        assert all(torch.isfinite(each).all() for each in found.values())
        if kind == "ridge":
            assert found["high"].flatten()[:2].round().tolist() == [1.0, 0.0]
