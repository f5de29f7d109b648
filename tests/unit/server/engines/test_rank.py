"""One process of those that an elastic job asks for trains what all of them would."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from headstart_server.engines.events import JobEvent, SpecResolved
from headstart_server.engines.listener import Silent
from headstart_server.engines.rank import train_together
from headstart_server.engines.tuning import BatchFit
from headstart_server.model.world import World
from headstart_server.planning.backend import BackendPlan, plan_backend
from headstart_server.planning.resolution import Resolution, ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import EpochReport

from tests.support import reviews
from tests.support.envelopes import job_of
from tests.support.tiny_models import save_bert


@dataclass
class Recorded(Silent):
    """Losses by epoch, and what became of the batch size."""

    losses: list[tuple[float, float]] = field(default_factory=list)
    batch: ResolvedValue | None = None

    def report(self, event: JobEvent) -> None:
        match event:
            case EpochReport():
                self.losses.append((event.train["loss"], event.validation["loss"]))
            case SpecResolved():
                self.batch = next(value for value in event.values if value.path == "trainer.batch_size")


def _trained(root: Path, data: Path, backend: dict[str, Any]) -> tuple[Recorded, BackendPlan]:
    spec = reviews.spec(epochs=2, learning_rate=1e-3, validation_metric="loss")
    encoder = {"type": "bert", "pretrained_model_name_or_path": "tiny-bert", "trainable": True}
    spec["input_features"][0]["encoder"] = encoder
    spec["backend"] = backend
    recorded, parsed = Recorded(), TrainSpec.model_validate(spec)
    plan = plan_backend(parsed, Resolution.of(parsed), "cpu")
    train_together(job_of(root, data, spec), World(), plan, recorded)
    return recorded, plan


def test_an_automatic_batch_stays_whole_however_little_memory_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray")
    save_bert(tmp_path / "models" / "tiny-bert", dropout=False)
    data = reviews.write_csv(tmp_path / "reviews.csv", reviews.make_rows(200))
    local, _ = _trained(tmp_path / "local", data, {"type": "local"})
    monkeypatch.setattr("headstart_server.engines.fitting.fitting_batch_size", lambda *_: BatchFit(3, 1))
    elastic, plan = _trained(
        tmp_path / "elastic", data, {"type": "ray", "trainer": {"num_workers": 2, "min_workers": 1, "use_gpu": False}}
    )
    assert plan.elastic
    assert local.batch is not None and elastic.batch is not None
    assert 2 * elastic.batch.value == local.batch.value
    assert elastic.batch.reason.endswith("so it takes several passes of 3")
    for found, expected in zip(elastic.losses, local.losses, strict=True):
        assert found == pytest.approx(expected, abs=1e-5)
