"""What a plan warns of, a job warns of when it begins: what the labels of its split show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.data.parts import Part
from headstart_server.data.splits import assign
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.encoders.sources import ModelSources
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.preparing import prepare_job
from headstart_server.engines.runtime_context import runtime_of
from headstart_server.planning.job_plan import plan_job
from headstart_server.spec.model import TrainSpec

from tests.support.envelopes import job_of
from tests.support.image_jobs import RecordingListener

TRAIN = {"x": [float(row) for row in range(12)]}


def notes(output: dict[str, Any], metric: str, values: list[Any], parts: str) -> list[str]:
    """Reasons of what a plan warns of; parts are t, v and e."""
    spec = {
        "input_features": [{"name": "x", "type": "number"}],
        "output_features": [output],
        "preprocessing": {"split": {"type": "fixed", "column": "part"}},
        "trainer": {"validation_metric": metric},
    }
    columns = {**TRAIN, output["name"]: values, "part": ["tve".index(part) for part in parts]}
    sources = Sources((table_of_arrow(pa.table(columns), "dataset"),), ("dataset",))
    return [reason for reason, _ in plan_job(TrainSpec.model_validate(spec), sources, ModelSources(), "cpu").notes]


@pytest.mark.parametrize(
    ("output", "metric", "values", "expected"),
    [
        ({"name": "y", "type": "binary"}, "roc_auc", ["no", "yes"] * 4 + ["no"] * 4, True),
        ({"name": "y", "type": "binary"}, "roc_auc", ["no", "yes"] * 6, False),
        ({"name": "y", "type": "binary"}, "accuracy", ["no", "yes"] * 4 + ["no"] * 4, False),
        ({"name": "y", "type": "number"}, "y.r2", [*range(8), 7, 7, 7, 7], True),
        ({"name": "y", "type": "number"}, "y.r2", [*range(12)], False),
        ({"name": "y", "type": "number"}, "loss", [*range(8), 7, 7, 7, 7], False),
    ],
)
def test_a_plan_tells_a_metric_that_the_validation_rows_do_not_define(
    output: dict[str, Any], metric: str, values: list[Any], expected: bool
) -> None:
    assert notes(output, metric, values, "t" * 8 + "v" * 4) == ["VALIDATION_METRIC_UNDEFINED"] * expected


def spec_of_groups(**split: Any) -> dict[str, Any]:
    return {
        "input_features": [{"name": "x", "type": "number"}],
        "output_features": [{"name": "y", "type": "binary"}],
        "preprocessing": {"split": split},
    }


@pytest.mark.parametrize("seed", range(4))
def test_what_is_moved_to_training_is_told_by_the_plan_and_by_the_job(tmp_path: Path, seed: int) -> None:
    rows = ["x,y,user", *(f"{row},{'yes' if row // 10 == 4 else 'no'},u{row // 10}" for row in range(100))]
    (tmp_path / "rows.csv").write_text("\n".join(rows))
    spec = spec_of_groups(type="hash", column="user", probabilities=[0.4, 0.5, 0.1])
    spec["trainer"] = {"random_seed": seed}
    envelope = job_of(tmp_path / "state", tmp_path / "rows.csv", spec)
    runtime, recorded = runtime_of(envelope.runtime), RecordingListener()
    job = job_context_of(envelope, runtime.storage)
    prepared = prepare_job(job, runtime, recorded)
    planned = plan_job(job.spec, job.sources, ModelSources(), "cpu")
    assert planned.notes == recorded.warnings
    told = [message for reason, message in recorded.warnings if reason == "LABELS_KEPT_IN_TRAINING"]
    split = assign(job.sources.tables[0], job.spec.preprocessing.split, [0.4, 0.5, 0.1], seed)
    moved = bool(split[40] != Part.TRAIN)
    assert ["10 rows were moved to training, with all rows of the same 'user'" in each for each in told] == [
        True
    ] * moved
    assert prepared.plan.data.parts[40:50].tolist() == [0] * 10
