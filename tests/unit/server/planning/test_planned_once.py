"""A job is planned once where it is admitted, and once in each process that runs it; what admission found is kept."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.core.errors import InvalidInputError
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.core.principal import ANONYMOUS
from headstart_server.engines import preparing
from headstart_server.engines.listener import Silent
from headstart_server.engines.rank import train_together
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.worker import run_job
from headstart_server.model.world import World
from headstart_server.planning.backend import BackendPlan
from headstart_server.service import admission as admission_module
from headstart_server.service.admission import InlineData, TrainOrder
from headstart_server.service.training import TrainingService
from headstart_server.spec.model import TrainSpec

from tests.support.envelopes import job_of
from tests.support.model_names import plain_names
from tests.support.tenancy import tenants_of

ROWS = 60
SPEC = {
    "input_features": [{"name": "x", "type": "number"}],
    "output_features": [{"name": "y", "type": "category"}],
    "trainer": {"epochs": 1},
}


class AnySupervisor:
    """Takes every job."""

    interrupted = False

    async def submit(self, job: JobRecord) -> tuple[JobRecord, bool]:
        return job, True


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who planned."""
    made: list[str] = []
    for module in (admission_module, preparing):
        plan_job = module.plan_job

        def counted(*args: Any, plan_job: Any = plan_job, name: str = module.__name__, **kwargs: Any) -> Any:
            made.append(name.rpartition(".")[2])
            return plan_job(*args, **kwargs)

        monkeypatch.setattr(module, "plan_job", counted)
    return made


def _columns() -> dict[str, list[Any]]:
    return {"x": [float(row) for row in range(ROWS)], "y": ["a" if row % 2 else "b" for row in range(ROWS)]}


def _training(root: Path, max_plan_bytes: int = 1 << 30) -> TrainingService:
    anybody: Any = AnySupervisor()
    tenants = tenants_of(root, max_plan_bytes=max_plan_bytes)
    store: Any = SimpleNamespace(known=lambda *_: None)
    return TrainingService(tenants, anybody, store, Layout(root), Executors(), plain_names())


def _order() -> TrainOrder:
    rows = InlineData(lambda: pa.table(_columns()))
    return TrainOrder("", "digest", "", TrainSpec.model_validate(SPEC), data={"dataset": rows})


async def test_admission_plans_once_and_keeps_what_it_found(tmp_path: Path, plans: list[str]) -> None:
    job = await _training(tmp_path).create(ANONYMOUS, _order)
    assert plans == ["admission"]
    assert job.resolved is not None
    rows = job.resolved.rows
    assert (rows.train + rows.validation + rows.test, rows.train > rows.test) == (ROWS, True)
    assert {"trainer.batch_size", "trainer.learning_rate"} <= {value.path for value in job.resolved.values}


async def test_more_data_than_is_read_for_a_plan_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match=r"a plan reads at most 100; .* or start the job") as refused:
        await _training(tmp_path, max_plan_bytes=100).plan(ANONYMOUS, _order)
    assert (refused.value.reason, refused.value.field) == ("TOO_LARGE_TO_PLAN", "dataset")
    assert not list(tmp_path.rglob("*.arrow"))


def _rows_file(tmp_path: Path) -> Path:
    columns = _columns()
    path = tmp_path / "rows.csv"
    path.write_text("x,y\n" + "".join(f"{x},{y}\n" for x, y in zip(columns["x"], columns["y"], strict=True)))
    return path


def test_the_process_that_trains_plans_once(tmp_path: Path, plans: list[str]) -> None:
    listener: Any = Silent()
    assert run_job(job_of(tmp_path / "state", _rows_file(tmp_path), SPEC), listener)
    assert plans == ["preparing"]


def test_a_rank_plans_once(tmp_path: Path, plans: list[str]) -> None:
    train_together(job_of(tmp_path / "state", _rows_file(tmp_path), SPEC), World(), BackendPlan(), Silent())
    assert plans == ["preparing"]
