"""Every kind of write, on a disk that is full: refused by name or waited for, nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import pytest
from headstart.v1 import export_pb2
from headstart.v1 import training_pb2 as pb

from tests.integration.test_job_lifecycle import epochs_of
from tests.integration.test_outages import until_ready
from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.small_disk import SmallDisk, small_disk_at

DATA = headstart.ServerPath("reviews.csv")
ROWS = reviews.columns(reviews.make_rows(3), "review", "price", "category")
TEXT = {
    "name": "review",
    "type": "text",
    "encoder": {"type": "auto_transformer", "pretrained_model_name_or_path": "tiny-bert"},
}
_REFUSED = ("DISK_FULL", "DATABASE_UNAVAILABLE", "OVERLOADED")


@dataclass
class Scene:
    """A server on a small disk, and a model that it has published."""

    server: RunningServer
    client: headstart.Client
    disk: SmallDisk
    work: Path
    """A folder on another disk."""
    model: str

    def file(self, name: str) -> Path:
        """Rows that nobody has seen."""
        path = self.work / f"{name}.csv"
        reviews.write_csv(path, reviews.make_rows(60, seed=sum(name.encode())))
        return path

    def texts(self, name: str) -> list[str]:
        """Texts that nobody has seen."""
        return [f"{name} {number} was as good as it could be" for number in range(200)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, model_root: Path, data_root: Path) -> Iterator[Scene]:
    work = tmp_path_factory.mktemp("full")
    with small_disk_at(work / "small", 48) as disk:
        flags = ["--state-dir", str(disk.folder), "--data-root", str(data_root), "--model-root", str(model_root)]
        server = RunningServer(work / "log", *flags, http=True)
        with server, server.client() as client:
            model = client.train(reviews.spec(epochs=2), DATA).result().model
            yield Scene(server, client, disk, work, model)


Settled = Callable[[], Any]
"""Waits for what was acknowledged; returns what it came to, and raises where it is lost."""


def _upload(scene: Scene, name: str) -> Settled:
    dataset = scene.client.upload_dataset(scene.file(name)).name
    return lambda: scene.client.datasets.get(dataset).row_count


def _inline_job(scene: Scene, name: str) -> Settled:
    rows = reviews.columns(reviews.make_rows(60, seed=sum(name.encode())), "review", "price", "category", "verdict")
    run = scene.client.train(reviews.spec(epochs=1), rows)
    return lambda: run.result().state


def _job(scene: Scene, name: str) -> Settled:
    run = scene.client.train(reviews.spec(epochs=1, random_seed=len(name)), DATA)
    return lambda: run.result().state


def _sweep(scene: Scene, name: str) -> Settled:
    sweep = {"search": "grid", "parameters": {"trainer.learning_rate": [0.001, 0.01]}}
    run = scene.client.train({**reviews.spec(epochs=1, random_seed=len(name)), "sweep": sweep}, DATA)
    return lambda: run.result().state


def _plan(scene: Scene, name: str) -> Settled:
    scene.client.plan(reviews.spec(epochs=1), scene.file(name))
    return lambda: True


def _suggestion(scene: Scene, name: str) -> Settled:
    scene.client.suggest(scene.file(name), "verdict", sweep_seconds=0)
    return lambda: True


def _embeddings(scene: Scene, name: str) -> Settled:
    texts = scene.texts(name)
    scene.client.embed(TEXT, texts)
    return lambda: scene.client.embed(TEXT, texts).rows_found


def _export(scene: Scene, name: str) -> Settled:
    job = scene.client.export_jobs.create(scene.model, "onnx" if "again" not in name else "torchscript")
    return lambda: list(scene.client.export_jobs.watch(job.name))[-1].state


def _predictions(scene: Scene, name: str) -> Settled:
    found = scene.client.predict_to_file(scene.model, scene.file(name))
    return lambda: scene.client.artifacts.get(found.artifact.name).row_count


def _alias(scene: Scene, name: str) -> Settled:
    scene.client.models.set_alias(f"full@{name}", scene.model)
    return lambda: scene.client.models.alias(f"full@{name}").model


def _description(scene: Scene, name: str) -> Settled:
    scene.client.models.update(scene.model, description=name)
    return lambda: scene.client.models.get(scene.model).description


def _dataset_prediction(scene: Scene, name: str) -> Settled:
    rows = sum(len(each) for each in scene.client.predict_dataset(scene.model, scene.file(name)))
    return lambda: rows


KINDS = {
    "upload": _upload,
    "inline rows of a job": _inline_job,
    "job": _job,
    "sweep": _sweep,
    "plan": _plan,
    "suggestion": _suggestion,
    "embeddings": _embeddings,
    "export": _export,
    "file of predictions": _predictions,
    "alias": _alias,
    "description": _description,
    "prediction of a data set": _dataset_prediction,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_written_is_refused_by_name_or_waited_for(scene: Scene, kind: str) -> None:
    name = kind.replace(" ", "-")
    until_ready(scene.server, 200)
    before = {job.name for job in scene.client.jobs.list()}
    settled: Settled | None = None
    try:
        scene.disk.fill()
        try:
            settled = KINDS[kind](scene, name)
        except (headstart.ResourceExhausted, headstart.Unavailable) as refused:
            assert refused.reason in _REFUSED, refused
        assert scene.client.predict(scene.model, ROWS)["verdict"].values
        scene.disk.fill()
        assert "no space left" in until_ready(scene.server, 503)
    finally:
        scene.disk.empty()
    until_ready(scene.server, 200)
    if settled is None:
        assert {job.name for job in scene.client.jobs.list()} == before  # a refused job is none
        settled = KINDS[kind](scene, f"{name}-again")
    ended = settled()
    assert ended not in (None, 0, "", pb.TrainJob.STATE_FAILED)
    if kind == "export":  # one that fails for want of room says so, and may be asked for again
        again = scene.client.export_jobs.create(scene.model, "onnx").name
        assert list(scene.client.export_jobs.watch(again))[-1].state == export_pb2.ExportJob.STATE_SUCCEEDED


def _begins(event: pb.TrainJobEvent, what: str) -> bool:
    """Whether it is an event of this kind, or enters this state."""
    return event.WhichOneof("event") == what or event.state_change.state == getattr(pb.TrainJob, f"STATE_{what}", -1)


@pytest.mark.parametrize("begun", ["encode_progress", "epoch_finished", "PUBLISHING"])
def test_a_job_that_meets_a_full_disk_goes_on_as_if_nothing_had_been(scene: Scene, begun: str) -> None:
    """Whatever it writes then: embeddings, a checkpoint, its model, or its events."""
    spec = reviews.spec(epochs=300, early_stop=-1, random_seed=len(begun))
    until_ready(scene.server, 200)
    run = scene.client.train(spec, DATA)
    try:
        next(event for event in run if _begins(event, begun))
        for _ in range(20):  # what the job gives back in between is taken as well
            scene.disk.fill()
            scene.client.predict(scene.model, ROWS)
    finally:
        scene.disk.empty()
    events = list(scene.client.watch(run.name))
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    job = scene.client.jobs.get(run.name)
    assert job.state == pb.TrainJob.STATE_SUCCEEDED
    unbroken = scene.client.train(spec, DATA).result()
    assert epochs_of(scene.client, run.name) == epochs_of(scene.client, unbroken.name)
    answers = [scene.client.predict(model, ROWS)["verdict"].probabilities for model in (job.model, unbroken.model)]
    assert np.allclose(answers[0], answers[1], atol=1e-6)  # texts may be read on another number of threads
    for each in (job, unbroken):
        scene.client.models.delete(each.model)
        scene.client.jobs.delete(each.name)
    until_ready(scene.server, 200)
