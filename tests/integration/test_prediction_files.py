"""Predictions of whole data sets as files: as Predict answers, whatever the rows hold and whoever is killed."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import grpc
import headstart
import numpy as np
import pyarrow.parquet as pq
import pytest
from headstart.v1 import export_pb2 as pb
from headstart.v1 import training_pb2
from headstart.v1.export_pb2_grpc import ExportServiceStub

from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

ROWS = 9_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """(a running server, a client, a model, the file that it is asked about)."""
    root = tmp_path_factory.mktemp("files")
    save_bert(root / "models" / "tiny-bert")
    reviews.write_csv(root / "train.csv", reviews.make_rows(300))
    reviews.write_csv(root / "rows.csv", reviews.make_rows(ROWS, seed=1))
    flags = ["--model-root", str(root / "models"), "--data-root", str(root)]
    with RunningServer(root / "state", *flags) as server, server.client() as client:
        job = client.train(reviews.EVERY_OUTPUT, root / "train.csv", test=root / "train.csv").result()
        yield server, client, job.model, root / "rows.csv"


def stored_rows(client: headstart.Client) -> int:
    return sum(space.row_count for space in client.embedding_spaces.list())


def test_a_file_has_each_row_as_predict_answers_it(served: Any, tmp_path: Path) -> None:
    _, client, model, path = served
    told: list[pb.ExportProgress] = []
    exported = client.predict_to_file(
        model, path, columns=["price"], probabilities=True, output_dir=tmp_path, on_progress=told.append
    )
    artifact, (file,) = exported.artifact, exported.files
    assert (artifact.row_count, artifact.rows_left_out) == (ROWS, 0)
    assert artifact.format == pb.Artifact.FORMAT_PREDICTIONS and file.name == "predictions.parquet"
    stages = [stage for stage, _ in itertools.groupby(each.stage for each in told)]
    # what passes between two looks is not told
    assert stages == [stage for stage in ("wait", "load", "predict", "publish") if stage in stages]
    assert stages[0] == "wait" and "predict" in stages
    assert {each.rows_total for each in told if each.stage == "predict"} == {ROWS}
    found, rows = pq.read_table(file), reviews.make_rows(ROWS, seed=1)
    assert found.column("price").to_pylist() == [row["price"] for row in rows]
    assert found.column("error").null_count == ROWS
    assert f"models/{model.removeprefix('models/')}".encode() in found.schema.metadata[b"headstart"]
    some = [0, 1, 8_191, 8_192, ROWS - 1]
    alone = client.predict(model, reviews.columns([rows[row] for row in some], "review", "price", "category"))
    for output in ("verdict", "watched", "tags"):
        classes = alone[output].classes
        whole = np.stack([found.column(f"{output}_probability_{name}").to_numpy() for name in classes], 1)
        assert np.abs(whole[some] - np.asarray(alone[output].probabilities)).max() < 1e-5
        values = found.column(f"{output}_prediction").to_pylist()
        assert [values[row] for row in some] == list(alone[output].values)
    scores = found.column("score_prediction").to_numpy()
    assert np.abs(scores[some] - np.asarray(alone["score"].values)).max() < 1e-4


def test_what_was_made_is_found_and_what_was_encoded_is_stored(served: Any) -> None:
    _, client, model, path = served
    first = client.predict_to_file(model, path).artifact
    known = stored_rows(client)
    assert client.predict_to_file(model, path).artifact == first
    other = client.predict_to_file(model, path, probabilities=True).artifact
    assert other.name != first.name and stored_rows(client) == known
    client.predict_to_file(model, path, columns=["price"], embedding_reuse="none")
    assert stored_rows(client) == known
    job = next(iter(client.export_jobs.list(model)))
    assert (list(job.predictions.columns), job.predictions.dataset.dataset.startswith("datasets/")) == (["price"], True)


def test_rows_that_cannot_be_read_have_their_place_and_the_reason(served: Any, tmp_path: Path) -> None:
    _, client, model, _ = served
    rows = reviews.make_rows(600, seed=2)
    rows[3]["price"], rows[550]["price"] = "cheap", "dear"
    reviews.write_csv(tmp_path / "bad.csv", rows)
    exported = client.predict_to_file(model, tmp_path / "bad.csv", output_dir=tmp_path)
    assert (exported.artifact.row_count, exported.artifact.rows_left_out) == (600, 2)
    found = pq.read_table(exported.files[0])
    errors = {row: error for row, error in enumerate(found.column("error").to_pylist()) if error is not None}
    assert list(errors) == [3, 550] and "row 4" in errors[3] and "'cheap'" in errors[3] and "row 551" in errors[550]
    verdicts = found.column("verdict_prediction").to_pylist()
    assert [row for row, verdict in enumerate(verdicts) if verdict is None] == [3, 550]
    for row in rows:
        row["price"] = "cheap"
    reviews.write_csv(tmp_path / "worse.csv", rows)
    with pytest.raises(headstart.InvalidArgument, match=r"none of its 600 rows can be read; the first: .*'cheap'"):
        client.predict_to_file(model, tmp_path / "worse.csv")


def test_a_file_below_the_data_root_is_predicted_as_it_is_now(served: Any, tmp_path: Path) -> None:
    _, client, model, path = served
    place = headstart.ServerPath("changing.csv")
    reviews.write_csv(path.parent / "changing.csv", reviews.make_rows(40, seed=3))
    assert client.predict_to_file(model, place).artifact.row_count == 40
    reviews.write_csv(path.parent / "changing.csv", reviews.make_rows(50, seed=3))
    assert client.predict_to_file(model, place).artifact.row_count == 50
    job = next(iter(client.export_jobs.list(model)))
    assert job.predictions.dataset.path == "changing.csv"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"predictions": None}, "predictions.dataset: .*is empty"),
        ({"columns": ["review", "nowhere"]}, r"predictions.columns\[1\]: column 'nowhere' is not in"),
        ({"columns": [f"c{number}" for number in range(101)]}, "predictions.columns: names 101 columns"),
        ({"columns": ["price", "price"]}, r"predictions.columns\[1\]: 'price' is named twice"),
        ({"columns": ["error"]}, r"predictions.columns\[0\]: 'error' is a column of predictions"),
        ({"head_only": True}, "head_only: is of graphs"),
        ({"format": pb.Artifact.FORMAT_ONNX}, "predictions: are of FORMAT_PREDICTIONS alone"),
        ({"reuse": 9}, "predictions.embedding_reuse: 9 is unknown"),
        ({"table": True}, "predictions.dataset.table: .*upload the rows first"),
    ],
)
def test_what_cannot_be_predicted_is_refused_at_once(served: Any, change: dict[str, Any], told: str) -> None:
    server, _, model, _ = served
    wanted = pb.DatasetPredictions(
        dataset=training_pb2.DatasetSource(path="rows.csv"),
        columns=change.get("columns", ()),
        embedding_reuse=change.get("reuse", 0),
    )
    if "table" in change:
        wanted.dataset.CopyFrom(training_pb2.DatasetSource(table={}))
    request = pb.CreateExportJobRequest(
        model=model,
        format=change.get("format", pb.Artifact.FORMAT_PREDICTIONS),
        head_only=change.get("head_only", False),
        predictions=None if "predictions" in change else wanted,
    )
    with pytest.raises(grpc.RpcError, match=told) as caught:
        created(server, request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_server_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    save_bert(tmp_path / "models" / "tiny-bert")
    reviews.write_csv(tmp_path / "train.csv", reviews.make_rows(300))
    reviews.write_csv(tmp_path / "rows.csv", reviews.make_rows(60_000, seed=4))
    flags = ["--model-root", str(tmp_path / "models"), "--data-root", str(tmp_path)]
    with RunningServer(tmp_path / "state", *flags) as server, server.client() as client:
        model = client.train(reviews.EVERY_OUTPUT, headstart.ServerPath("train.csv")).result().model
        wanted = pb.DatasetPredictions(dataset=training_pb2.DatasetSource(path="rows.csv"))
        request = pb.CreateExportJobRequest(model=model, format=pb.Artifact.FORMAT_PREDICTIONS, predictions=wanted)
        name = created(server, request).name
        while not list((tmp_path / "state" / "jobs").glob("predictions-*/*.parquet.sha256")):
            assert not client.export_jobs.get(name).HasField("end_time")
            time.sleep(0.02)
        server.kill()
        server.start()
        with server.client() as again:
            [*_, ended] = again.export_jobs.watch(name)
            assert ended.state == pb.ExportJob.STATE_SUCCEEDED, ended.error
            assert again.artifacts.get(ended.artifact).row_count == 60_000
        assert not list((tmp_path / "state" / "jobs").glob("predictions-*"))


def created(server: RunningServer, request: pb.CreateExportJobRequest) -> pb.ExportJob:
    with grpc.insecure_channel(server.address) as channel:
        job: pb.ExportJob = ExportServiceStub(channel).CreateExportJob(request)  # type: ignore[no-untyped-call]
        return job
