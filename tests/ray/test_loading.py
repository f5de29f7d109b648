"""Images of an encoder that trains are loaded by processes anywhere in the cluster, and one that dies is not missed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import headstart
import pyarrow as pa
import pytest

from tests.support.images import png
from tests.support.running_server import RunningServer
from tests.support.tiny_vision import save_vit

ROWS, EPOCHS = 480, 40


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[headstart.Client]:
    root = tmp_path_factory.mktemp("loading")
    save_vit(root / "models" / "tiny-vit")
    with (
        RunningServer(root / "state", "--model-root", str(root / "models")) as running,
        running.client() as found,
    ):
        yield found


def _spec(**backend: Any) -> dict[str, Any]:
    encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": "tiny-vit", "trainable": True}
    image = {"name": "image", "type": "image", "encoder": encoder, "augmentation": ["random_horizontal_flip"]}
    found: dict[str, Any] = {
        "input_features": [image],
        "output_features": [{"name": "label", "type": "category"}],
        "trainer": {
            "optimizer": {"type": "sgd"},
            "epochs": EPOCHS,
            "batch_size": 16 // max(1, backend.get("num_workers", 1)),
            "learning_rate": 1e-3,
            "learning_rate_scaling": "constant",
            "early_stop": -1,
        },
    }
    if backend:
        found["backend"] = {"type": "ray", "trainer": {"resources_per_worker": {"CPU": 0.5}, **backend}}
    return found


def _table() -> pa.Table:
    return pa.table({"image": [png(row) for row in range(ROWS)], "label": [f"l{row % 2}" for row in range(ROWS)]})


def _workers() -> list[int]:
    found = subprocess.run(["pgrep", "-f", "ray::_LoaderActor"], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def _epochs(client: headstart.Client, wanted: dict[str, Any], *, kill: bool = False) -> list[Any]:
    found = []
    for event in client.train(wanted, _table()):
        if event.WhichOneof("event") != "epoch_finished":
            continue
        found.append(event.epoch_finished)
        if kill and event.epoch_finished.workers[0].image_workers:
            kill = False
            os.kill(_workers()[0], signal.SIGKILL)
    assert not kill
    return found


def test_training_is_the_same_whoever_loads_its_images(client: headstart.Client) -> None:
    local = _epochs(client, _spec())
    workers = _epochs(client, _spec(num_workers=2, image_workers=1), kill=True)
    own = _epochs(client, _spec(num_workers=2, image_workers=0))
    for one, other, third in zip(local, workers, own, strict=True):
        assert other.train["loss"] == pytest.approx(one.train["loss"], abs=1e-5)
        assert third.train["loss"] == pytest.approx(one.train["loss"], abs=1e-5)
        assert min(one.load_seconds, other.load_seconds, third.load_seconds) > 0
    first, second = zip(*([worker.image_workers for worker in epoch.workers] for epoch in workers), strict=True)
    assert set(second) == {1}, "its own"
    assert 0 in first[first.index(1) :], "the other's was killed"
    assert first[-1] == 1, "and replaced"
    assert not _workers()
