"""A server whose jobs may train on Ray, and what such jobs say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import headstart
from headstart.v1 import training_pb2 as pb

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

HALF = {"CPU": 0.5}
"""What a worker reserves, so that machines of two cores hold four."""


@contextmanager
def server_with_ray(root: Path, *more: str) -> Iterator[RunningServer]:
    """A server with reviews, and a BERT without dropout."""
    save_bert(root / "models" / "tiny-bert", dropout=False)
    (root / "data").mkdir()
    reviews.write_csv(root / "data" / "reviews.csv", reviews.make_rows(240))
    flags = ("--model-root", str(root / "models"), "--data-root", str(root / "data"), *more)
    eager = {"RAY_worker_niceness": "0"}  # Ray lets its workers wait for whatever else the machine does
    with mock.patch.dict(os.environ, eager), RunningServer(root / "state", *flags) as running:
        yield running


@dataclass
class Followed:
    """What a job said."""

    name: str = ""
    losses: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    """Of training, validation and test, by epoch."""
    warnings: list[str] = field(default_factory=list)
    workers: list[int] = field(default_factory=list)
    """How many said what they did, epoch by epoch; one alone says nothing."""
    model: str = ""

    @property
    def sizes(self) -> list[int]:
        """How many workers trained, one after another, as often as that changed."""
        sizes = [max(1, workers) for workers in self.workers]
        return [size for before, size in zip([0, *sizes], sizes, strict=False) if size != before]

    def add(self, event: pb.TrainJobEvent) -> None:
        """Takes note of one event."""
        match event.WhichOneof("event"):
            case "epoch_finished":
                report = event.epoch_finished
                self.losses[report.epoch] = (report.train["loss"], report.validation["loss"], report.test["loss"])
                self.workers.append(len(report.workers))
            case "warning":
                self.warnings.append(event.warning.reason)
            case "model_published":
                self.model = event.model_published.model


def follow(run: headstart.TrainRun) -> Followed:
    """Reads a job to its end."""
    found = Followed(run.name)
    for event in run:
        found.add(event)
    run.result()
    return found


def spec(workers: int = 0, strategy: str = "ddp", batch: int = 16, **trainer: Any) -> dict[str, Any]:
    """An encoder that trains, on so many workers of a global batch; locally for 0."""
    encoder = {"type": "bert", "pretrained_model_name_or_path": "tiny-bert", "trainable": True}
    found = reviews.spec(
        batch_size=batch // max(1, workers),
        learning_rate=1e-3,
        learning_rate_scaling="constant",
        validation_metric="loss",
        **trainer,
    )
    found["input_features"][0]["encoder"] = encoder
    if workers:
        found["backend"] = {
            "type": "ray",
            "trainer": {"strategy": strategy, "num_workers": workers, "resources_per_worker": HALF},
        }
    return found


def train(client: headstart.Client, wanted: dict[str, Any]) -> Followed:
    return follow(client.train(wanted, headstart.ServerPath("reviews.csv")))


def members() -> list[int]:
    """Processes of the workers that train."""
    found = subprocess.run(["pgrep", "-f", "ray::RayTrainWorker"], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]
