"""Whole data sets predicted into files: what is asked of the server, and what is brought home."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest
from headstart.v1 import export_pb2 as pb
from headstart.v1.prediction_pb2 import PredictRequest

from tests.support.command_line import Run
from tests.support.fake_server import FakeServer

DATA = headstart.ServerPath("shop/rows.csv")


def test_the_order_names_rows_columns_and_what_may_stand_in(
    server: FakeServer, client: headstart.Client, tmp_path: Path
) -> None:
    done = client.predict_to_file(
        "m1", DATA, columns=["id"], probabilities=True, embedding_reuse="any", output_dir=tmp_path
    )
    [request] = server.export.requests
    assert (request.model, request.format) == ("models/m1", pb.Artifact.FORMAT_PREDICTIONS)
    wanted = request.predictions
    assert (wanted.dataset.path, list(wanted.columns), wanted.probabilities) == ("shop/rows.csv", ["id"], True)
    assert wanted.embedding_reuse == PredictRequest.EMBEDDING_REUSE_ANY
    assert [path.read_bytes() for path in done.files] == list(server.export.files.values())


async def test_the_asyncio_client_does_the_same_over_a_stream_that_breaks(
    server: FakeServer, async_client: headstart.AsyncClient
) -> None:
    server.export.export_drops = 1
    assert (await async_client.predict_to_file("m1", DATA)).artifact.name == "artifacts/a1"
    assert server.export.watched == ["exportJobs/e1"]


def test_rows_in_memory_are_refused_before_a_call(server: FakeServer, client: headstart.Client) -> None:
    with pytest.raises(headstart.InvalidArgument, match="an export outlives; save them, or call predict_dataset"):
        client.predict_to_file("m1", {"review": ["good"]})
    assert not server.export.requests


def test_a_backend_goes_with_the_order(server: FakeServer, client: headstart.Client) -> None:
    client.predict_to_file("m1", DATA, backend={"type": "ray", "trainer": {"num_workers": 4}})
    [request] = server.export.requests
    assert (request.predictions.backend.type, request.predictions.backend.trainer.num_workers) == ("ray", 4)


def test_what_is_no_backend_is_refused_before_a_call(server: FakeServer, client: headstart.Client, rows: Path) -> None:
    with pytest.raises(headstart.InvalidArgument, match=r'backend: .*"workers"'):
        client.predict_to_file("m1", rows, backend={"type": "ray", "workers": 4})
    assert not server.export.requests and not server.datasets.contents


def test_the_command_asks_for_workers(server: FakeServer, run: Run, rows: Path, tmp_path: Path) -> None:
    done = run("predict-dataset", "m1", "--data", rows, "--output", tmp_path / "out", "--ray-workers", "3")
    assert done.code == 0, done.err
    assert server.export.requests[0].predictions.backend.trainer.num_workers == 3


def test_the_command_uploads_predicts_and_downloads(server: FakeServer, run: Run, rows: Path, tmp_path: Path) -> None:
    done = run("predict-dataset", "m1", "--data", rows, "--output", tmp_path / "out", "--column", "a", "--column", "b")
    assert done.code == 0, done.err
    [request] = server.export.requests
    assert request.predictions.dataset.dataset.startswith("datasets/")
    assert list(request.predictions.columns) == ["a", "b"]
    assert "artifacts/a1: models/m1, 7 rows, 2 of them could not be read" in done.out and "loading" in done.err
    assert (
        '"row_count": "7"' in run("predict-dataset", "m1", "--data", rows, "--output", tmp_path / "out", "--json").out
    )
