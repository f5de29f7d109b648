"""The same job on the workers of a Ray cluster: the same losses and the same model, though one of them is killed.

One is killed where fp32 is taken for fast; there is nothing about starting again that asks for the arithmetic.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import headstart
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from headstart.v1 import training_pb2 as pb
from torchvision.models import get_model

from tests.support import reviews
from tests.support.images import broken_jpeg, png
from tests.support.ray_jobs import HALF, follow, members, server_with_ray, spec, train
from tests.support.running_server import RunningServer

pytest.importorskip("ray", reason="Ray is not installed: pip install 'headstart[ray]'")

pytestmark = pytest.mark.timeout(900)  # a cluster and six processes import torch
ROWS = reviews.columns(reviews.make_rows(20, seed=3), "review", "price", "category")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, arithmetic: str) -> Iterator[RunningServer]:
    root = tmp_path_factory.mktemp("ray")
    with server_with_ray(root) as running:
        torch.manual_seed(0)
        torch.save(get_model("squeezenet1_1", weights=None).state_dict(), root / "models" / "tiny.pth")
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[headstart.Client]:
    with server.client() as found:
        yield found


def kill_after_checkpoint(job: Path) -> None:
    """Kills a worker when there is something to go on from."""
    while not any(job.glob("checkpoints/epoch-*")):
        time.sleep(0.02)
    os.kill(members()[-1], signal.SIGKILL)


@pytest.mark.both_arithmetics
def test_workers_train_what_one_process_trains_though_one_is_killed(
    server: RunningServer, client: headstart.Client, arithmetic: str
) -> None:
    killed = arithmetic == "fp32"
    epochs = 36 if killed else 3
    local = train(client, spec(epochs=epochs, early_stop=-1))
    run = client.train(spec(2, epochs=epochs, early_stop=-1), headstart.ServerPath("reviews.csv"))
    job = server.state / run.name.replace("trainJobs", "jobs")
    if killed:
        killer = threading.Thread(target=kill_after_checkpoint, args=(job,), daemon=True)
        killer.start()
    found = follow(run)
    assert ("RESUMED" in found.warnings) == killed
    assert found.losses.keys() == local.losses.keys()
    for epoch, losses in local.losses.items():
        assert found.losses[epoch] == pytest.approx(losses, abs=1e-5)
    assert found.workers == [2] * len(found.workers)
    predicted, expected = (
        np.array(client.predict(model, ROWS)["verdict"].probabilities) for model in (found.model, local.model)
    )
    np.testing.assert_allclose(predicted, expected, atol=1e-5)


def test_more_workers_than_the_cluster_holds_are_refused(client: headstart.Client) -> None:
    run = client.train(spec(1_000, batch=1_000), headstart.ServerPath("reviews.csv"))
    with pytest.raises(headstart.JobFailed, match=r"nodes for \d+ workers of 0.5 CPU each, and 1000 are needed; lower"):
        follow(run)
    assert client.jobs.get(run.name).state == pb.TrainJob.STATE_FAILED


def test_workers_encode_the_rows_of_a_file_of_predictions(
    server: RunningServer, client: headstart.Client, tmp_path: Path
) -> None:
    """The file is as one process makes it; what was encoded is in the store, and not encoded again."""
    model = train(client, reviews.spec(epochs=1)).model
    path = reviews.write_csv(tmp_path / "rows.csv", reviews.make_rows(300, seed=9))
    backend = {"type": "ray", "trainer": {"num_workers": 2, "resources_per_worker": HALF}}
    told: list[str] = []
    known = sum(space.row_count for space in client.embedding_spaces.list())
    cluster, alone = (
        client.predict_to_file(
            model,
            path,
            probabilities=True,
            output_dir=tmp_path / name,
            on_progress=lambda progress: told.append(f"{progress.stage}: {progress.message}"),
            **options,
        )
        for name, options in (("ray", {"backend": backend}), ("alone", {"embedding_reuse": "none"}))
    )
    assert any(each.startswith("encode: ") and "rows of 'review' are stored" in each for each in told), told
    assert sum(space.row_count for space in client.embedding_spaces.list()) > known
    tables = [pq.read_table(exported.files[0]) for exported in (cluster, alone)]
    found, expected = (
        np.stack([table.column(name).to_numpy() for name in table.column_names if "_probability_" in name])
        for table in tables
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    job = next(job for job in client.export_jobs.list(model) if job.predictions.HasField("backend"))
    assert job.predictions.backend.trainer.num_workers == 2


def test_workers_encode_the_images_of_a_file_of_predictions(client: headstart.Client, tmp_path: Path) -> None:
    """As one process makes it, the image that cannot be read named in its row."""
    encoder = {"type": "squeezenet", "model_variant": "1_1", "pretrained_model_name_or_path": "tiny.pth"}
    photos = {
        "input_features": [{"name": "photo", "type": "image", "encoder": encoder}],
        "output_features": [{"name": "label", "type": "category"}],
        "trainer": {"epochs": 2},
    }
    files = [png(seed) for seed in range(40)]
    model = client.train(photos, {"photo": files, "label": ["a", "b"] * 20}).result().model
    files = [png(seed) for seed in range(30, 70)]
    files[7] = broken_jpeg()
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"photo": pa.array(files, pa.binary())}), path)
    backend = {"type": "ray", "trainer": {"num_workers": 2, "resources_per_worker": HALF}}
    tables = [
        pq.read_table(
            client.predict_to_file(model, path, probabilities=True, output_dir=tmp_path / name, **options).files[0]
        )
        for name, options in (("ray", {"backend": backend}), ("alone", {"embedding_reuse": "none"}))
    ]
    for table in tables:
        errors = table.column("error").to_pylist()
        assert [row for row, error in enumerate(errors) if error] == [7] and "row 8" in errors[7]
    found, expected = (np.array(table.column("label_probability_a").drop_null()) for table in tables)
    assert len(found) == 39
    np.testing.assert_allclose(found, expected, atol=1e-5)
