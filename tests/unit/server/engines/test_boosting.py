"""Boosted trees learn every type of output, are evaluated as they grow, kept, and exported in both formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from headstart_server.core.errors import CancelledError
from headstart_server.core.layout import Layout
from headstart_server.data.parts import Part
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.events import JobEvent
from headstart_server.engines.fitting import Fitting
from headstart_server.engines.job_context import JobContext
from headstart_server.engines.preparing import Prepared, prepare_job
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.export.graph import ExportGraph
from headstart_server.export.onnx import export_onnx
from headstart_server.export.torchscript import export_torchscript, load_torchscript
from headstart_server.model.ecd import ECD
from headstart_server.model.tree_head import TreeHead
from headstart_server.model.trees import Trees
from headstart_server.spec.parse import parse_yaml
from headstart_server.storage.storage import Storage
from headstart_server.training.boosters import Booster
from headstart_server.training.reports import EpochReport
from sklearn.metrics import r2_score

from tests.support.spelled import Training
from tests.support.tables import sources_of

ROWS = 600
INPUTS = (
    {"name": "x", "type": "number"},
    {"name": "kind", "type": "category"},
    {"name": "tags", "type": "set"},
    {"name": "open", "type": "binary"},
    {"name": "place", "type": "vector"},
)
OUTPUTS: dict[str, dict[str, Any]] = {
    "category": {"name": "colour", "type": "category"},
    "binary": {"name": "sold", "type": "binary"},
    "number": {"name": "price", "type": "number"},
    "set": {"name": "labels", "type": "set"},
    "vector": {"name": "target", "type": "vector"},
}


def _columns() -> dict[str, list[Any]]:
    """Columns of which every output can be told, and validation rows (a sixth) and test rows among them."""
    random = np.random.default_rng(11)
    x, kind = random.normal(size=ROWS), random.integers(4, size=ROWS)
    first, second = random.integers(2, size=ROWS), random.integers(2, size=ROWS)
    is_open, place = random.integers(2, size=ROWS), random.normal(size=(ROWS, 2))
    score = x + 2.0 * (kind == 1) + first - is_open + place[:, 0]
    return {
        "x": [None if row % 50 == 0 else value for row, value in enumerate(x.tolist())],
        "kind": [f"k{value}" for value in kind],
        "tags": [" ".join(["red"] * a + ["blue"] * b) for a, b in zip(first, second, strict=True)],
        "open": [bool(value) for value in is_open],
        "place": [f"{a} {b}" for a, b in place.tolist()],
        "colour": [("cyan", "grey", "pink")[int(value)] for value in np.digitize(score, [0.0, 2.0])],
        "sold": ["yes" if value else "no" for value in score > 1],
        "price": (10 * score + 100).tolist(),
        "labels": [" ".join(["up"] * int(a > 1) + ["odd"] * int(b)) for a, b in zip(score, first, strict=True)],
        "target": [f"{a} {3 * b}" for a, b in zip(score, place[:, 1], strict=True)],
        "part": [("train", "train", "train", "train", "validation", "test")[row % 6] for row in range(ROWS)],
    }


def _trained(
    folder: Path, outputs: list[dict[str, Any]], done: Training | None = None, **sections: Any
) -> tuple[Prepared, ECD, EpochReport, Training]:
    spec = {
        "model_type": "gbm",
        "input_features": list(INPUTS),
        "output_features": outputs,
        "preprocessing": {"split": {"type": "fixed", "column": "part"}},
        "trainer": {"epochs": 60, "learning_rate": 0.2, "boosting": {"num_leaves": 8}},
    } | sections
    runtime, done = RuntimeContext.at(Storage(Layout(folder)), ModelSources(), use_gpu=False), done or Training()
    job = JobContext("job", "", parse_yaml(json.dumps(spec)), sources_of(**_columns()))
    prepared = prepare_job(job, runtime, done)
    fitted = Fitting(prepared, {}, runtime, done).run()
    return prepared, fitted.model, fitted.report, done


def _batch(prepared: Prepared, rows: npt.NDArray[np.int64]) -> dict[str, torch.Tensor]:
    return {str(item["name"]): torch.from_numpy(prepared.plan.data.arrays[str(item["name"])][rows]) for item in INPUTS}


@pytest.mark.parametrize(
    ("kind", "metric", "least"),
    [
        ("category", "colour.accuracy", 0.8),
        ("binary", "sold.accuracy", 0.85),
        ("number", "price.r2", 0.85),
        ("set", "labels.jaccard", 0.8),
        ("vector", "target.mean_squared_error", None),
    ],
)
def test_every_type_of_output_is_learned(tmp_path: Path, kind: str, metric: str, least: float | None) -> None:
    prepared, model, report, _ = _trained(tmp_path, [OUTPUTS[kind]])
    if least is not None:
        assert report.test[metric] > least, report.test
        return
    rows = prepared.plan.data.rows(Part.TEST)
    found = model(_batch(prepared, rows))["target"].detach().numpy()
    assert r2_score(prepared.plan.data.arrays["target"][rows], found) > 0.8


@pytest.mark.parametrize("kind", ["mean_squared_error", "mean_absolute_error", "huber"])
def test_vectors_are_learned_whatever_they_are_counted_in(tmp_path: Path, kind: str) -> None:
    """A round moves what is told by its rate at most where gradients are bounded: of thousands, by nothing."""
    output = {**OUTPUTS["vector"], "loss": {"type": kind}}
    prepared, _, _, _ = _trained(tmp_path, [output], trainer={"epochs": 1, "learning_rate": 0.2})
    data, settings, unused = prepared.plan.data, prepared.plan.trainer.boosting, cast(Any, None)
    assert settings is not None
    train, test = data.rows(Part.TRAIN), data.rows(Part.TEST)
    rows = np.column_stack([data.arrays[item.name] for item in data.inputs]).astype(np.float32)
    errors = []
    for scale in (1.0, 5_000.0):
        wanted = data.arrays["target"].astype(np.float64) * scale
        booster = Booster(data.outputs[0], unused, rows[train], wanted[train], settings, 1)
        for _ in range(100):
            booster.grow()
        found = booster.bias + booster.scores(rows[test], 0, 100)
        errors.append(np.abs(found - wanted[test]).mean() / np.abs(wanted[test] - np.median(wanted[train], 0)).mean())
        trees = Trees(booster.columns)
        trees.set(booster.trees(100, 0), booster.bias)
        assert trees(torch.from_numpy(rows[test])).numpy() == pytest.approx(found, rel=1e-4, abs=1e-4 * scale)
    assert errors[0] < 0.6 and errors[1] < 0.6


def test_several_outputs_grow_together_and_the_best_round_of_all_is_kept(tmp_path: Path) -> None:
    outputs = [OUTPUTS["binary"], OUTPUTS["number"], OUTPUTS["set"]]
    _, model, report, done = _trained(tmp_path, outputs)
    assert [each.step for each in done.reports] == [each.epoch for each in done.reports]
    assert done.reports[0].step == 10
    best = min(done.reports, key=lambda each: each.validation["loss"])
    assert (report.step, report.validation) == (best.step, best.validation)
    head = model.head
    assert isinstance(head, TreeHead)
    per_round = 1 + 1 + 2
    assert len(head.trees.root) == per_round * best.step


def test_without_improvement_no_more_rounds_are_made(tmp_path: Path) -> None:
    trainer = {"learning_rate": 0.8, "early_stop": 2, "steps_per_checkpoint": 3, "epochs": 500}
    _, _, report, done = _trained(tmp_path, [OUTPUTS["binary"]], trainer=trainer)
    assert done.reports[-1].step == report.step + 2 * 3 < 500
    assert [each.best for each in done.reports[-2:]] == [False, False]


def test_what_is_reported_is_what_the_kept_trees_answer(tmp_path: Path) -> None:
    prepared, model, report, _ = _trained(tmp_path, [OUTPUTS["category"]])
    rows = prepared.plan.data.rows(Part.VALIDATION)
    found = model(_batch(prepared, rows))["colour"].argmax(1).numpy()
    right = found == prepared.plan.data.arrays["colour"][rows]
    assert report.validation["colour.accuracy"] == pytest.approx(right.mean())


def test_weights_of_classes_move_the_answers(tmp_path: Path) -> None:
    trainer = {"epochs": 20, "learning_rate": 0.05}
    recalls = []
    for weight in (1.0, 50.0):
        output = {**OUTPUTS["binary"], "loss": {"positive_class_weight": weight}}
        _, _, report, _ = _trained(tmp_path / str(weight), [output], trainer=trainer)
        recalls.append(report.validation["sold.recall"])
    assert recalls[1] > recalls[0]


def test_the_same_rows_and_seed_give_the_same_trees(tmp_path: Path) -> None:
    boosting = {"bagging_fraction": 0.5, "bagging_freq": 1, "feature_fraction": 0.5}
    states = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer = {"epochs": 10, "random_seed": seed, "boosting": boosting}
        _, model, _, _ = _trained(tmp_path / folder, [OUTPUTS["number"]], trainer=trainer)
        states.append(model.learned_state()["head.trees.threshold"])
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_a_cancelled_job_ends_between_two_rounds(tmp_path: Path) -> None:
    class Cancelling(Training):
        def report(self, event: JobEvent) -> None:
            super().report(event)
            self.stop = isinstance(event, EpochReport)

        def check(self) -> None:
            if getattr(self, "stop", False):
                raise CancelledError("the job was cancelled")

    done = Cancelling()
    with pytest.raises(CancelledError):
        _trained(tmp_path, [OUTPUTS["number"]], done)
    assert len(done.reports) == 1


def test_labels_that_nothing_tells_apart_are_answered_by_their_share(tmp_path: Path) -> None:
    trainer = {"epochs": 5, "boosting": {"min_data_in_leaf": ROWS}}
    prepared, model, report, _ = _trained(tmp_path, [OUTPUTS["binary"]], trainer=trainer)
    rows = prepared.plan.data.rows(Part.TRAIN)
    share = prepared.plan.data.arrays["sold"][rows].mean()
    head = model.head
    assert isinstance(head, TreeHead)
    head.calibrate("sold", 1.0)
    found = model.probabilities(model(_batch(prepared, rows[:3])))["sold"]
    assert found.tolist() == pytest.approx([share] * 3, abs=1e-4)
    assert report.step <= 5


def test_both_formats_answer_as_the_model_and_know_nothing_of_lightgbm(tmp_path: Path) -> None:
    outputs = list(OUTPUTS.values())
    prepared, model, _, _ = _trained(tmp_path, outputs, trainer={"epochs": 30})
    data = prepared.plan.data
    graph = ExportGraph(model, data.inputs, data.outputs, head_only=False).eval()
    random = np.random.default_rng(3)
    numbers = torch.from_numpy(np.where(np.arange(90) % 9 == 0, np.nan, random.normal(size=90)))
    tensors = (
        numbers,
        torch.from_numpy(random.integers(4, size=90)),
        torch.from_numpy(random.integers(2, size=(90, 2)).astype(np.float32)),
        torch.from_numpy(random.integers(2, size=90).astype(np.float32)),
        torch.from_numpy(random.normal(size=(90, 2)).astype(np.float32)),
    )
    with torch.inference_mode():
        expected = [each.numpy() for each in graph(*tensors)]
    example = tuple(each[:3] for each in tensors)
    export_onnx(graph, example, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    assert {item.name for item in session.get_inputs()} == {item.name for item in graph.inputs}
    feeds = {item.name: tensor.numpy() for item, tensor in zip(graph.inputs, tensors, strict=True)}
    export_torchscript(graph, example, {}, tmp_path / "model.pt")
    scripted = load_torchscript(tmp_path / "model.pt")(list(tensors))
    for feature, live, onnx, script in zip(
        data.outputs, expected, session.run(None, feeds), [each.numpy() for each in scripted], strict=True
    ):
        scale = max(1.0, float(np.abs(live).max()))
        assert np.abs(onnx - live).max() / scale < 1e-5, feature.name
        assert np.abs(script - live).max() / scale < 1e-5, feature.name


@pytest.mark.parametrize("outputs", [["number"], ["number", "binary"]])
def test_rounds_that_find_nothing_to_split_end_nothing_and_are_counted_as_rounds(
    tmp_path: Path, outputs: list[str]
) -> None:
    boosting = {"feature_fraction": 0.15, "min_gain_to_split": 20.0, "num_leaves": 4}
    trainer = {"epochs": 60, "learning_rate": 0.1, "early_stop": 0, "steps_per_checkpoint": 5, "boosting": boosting}
    prepared, model, report, done = _trained(tmp_path, [OUTPUTS[each] for each in outputs], trainer=trainer)
    head = model.head
    assert isinstance(head, TreeHead)
    assert done.reports[-1].step == 60 and len(head.trees.root) < len(outputs) * 60
    rows = prepared.plan.data.rows(Part.VALIDATION)
    found = model(_batch(prepared, rows))["price"].detach().numpy()
    away = found - prepared.plan.data.arrays["price"][rows]
    assert report.validation["price.loss"] == pytest.approx((away**2).mean(), rel=1e-4)
