"""Servers with nothing but an object store in common: what one has made the other serves."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import pytest
from headstart.v1 import training_pb2 as pb
from headstart_server.storage.object_store import ObjectStore, object_store_at

from tests.support import reviews
from tests.support.object_store import s3_server
from tests.support.running_server import RunningServer

ROWS = reviews.columns(reviews.make_rows(20, seed=3), "review", "price", "category")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with s3_server() as url:
        yield url


@pytest.fixture(scope="module")
def object_store(bucket: str, data_root: Path) -> ObjectStore:
    found = object_store_at(bucket, "url")
    found.publish(data_root / "reviews.csv", "data/deep/reviews.csv")
    return found


def server_at(state: Path, bucket: str, model_root: Path) -> RunningServer:
    flags = ("--storage-url", f"{bucket}/state", "--data-root", f"{bucket}/data", "--model-root", str(model_root))
    return RunningServer(state, *flags)


@pytest.fixture(scope="module")
def pair(
    bucket: str, object_store: ObjectStore, model_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[headstart.Client, headstart.Client]]:
    states = [tmp_path_factory.mktemp(name) for name in ("here", "there")]
    with (
        server_at(states[0], bucket, model_root) as here,
        server_at(states[1], bucket, model_root) as there,
        here.client() as one,
        there.client() as other,
    ):
        yield one, other


def trained(client: headstart.Client, data: Any, **trainer: object) -> pb.TrainJob:
    return client.train(reviews.spec(**trainer), data).result()


def test_what_one_server_has_made_the_other_lists_serves_exports_and_deletes(
    pair: tuple[headstart.Client, headstart.Client], object_store: ObjectStore, tmp_path: Path
) -> None:
    here, there = pair
    job = trained(here, headstart.ServerPath("deep/reviews.csv"))
    assert job.encode_progress.rows_encoded > 0
    assert list(there.models.list()) == list(here.models.list())
    read = there.models.get(job.model)
    assert [item.output for item in read.evaluation] == ["verdict"]
    assert read == here.models.get(job.model)
    one, other = (np.array(client.predict(job.model, ROWS)["verdict"].probabilities) for client in (here, there))
    np.testing.assert_allclose(one, other, atol=1e-6)
    exported = there.export(job.model, "onnx").artifact
    assert here.export(job.model, "onnx").artifact.name == exported.name
    [space] = there.embedding_spaces.list()
    assert space.row_count == job.encode_progress.rows_encoded
    again = trained(there, headstart.ServerPath("deep/reviews.csv"), learning_rate=1e-3)
    assert (again.encode_progress.rows_encoded, again.encode_progress.rows_found) == (0, 240)
    here.models.delete(again.model)
    assert [model.name for model in there.models.list()] == [job.model]
    assert not any(again.model.removeprefix("models/") in name for name in object_store.files("state/models"))


def test_an_upload_to_one_server_is_trained_on_by_the_other(
    pair: tuple[headstart.Client, headstart.Client], data_root: Path
) -> None:
    here, there = pair
    dataset = here.upload_dataset(data_root / "reviews.csv")
    job = trained(there, dataset)
    assert job.encode_progress.rows_encoded == 0


def test_two_servers_that_fill_one_space_at_once_encode_each_row_once(
    pair: tuple[headstart.Client, headstart.Client],
) -> None:
    wanted = reviews.spec()
    wanted["input_features"][0]["preprocessing"] = {"max_sequence_length": 24}  # a space of its own
    data = headstart.ServerPath("deep/reviews.csv")
    with ThreadPoolExecutor(2) as pool:
        jobs = list(pool.map(lambda client: client.train(wanted, data).result(), pair))
    progress = [job.encode_progress for job in jobs]
    assert sum(item.rows_encoded for item in progress) == 240
    assert all(item.rows_encoded + item.rows_shared + item.rows_found == 240 for item in progress)


def test_a_file_that_is_not_in_the_bucket_is_named(pair: tuple[headstart.Client, headstart.Client]) -> None:
    here, _ = pair
    with pytest.raises(headstart.HeadstartError, match=r"dataset\.path: 'deep/nothing\.csv' is no file below the data"):
        trained(here, headstart.ServerPath("deep/nothing.csv"))
    with pytest.raises(headstart.HeadstartError, match=r"must be a relative path without"):
        trained(here, headstart.ServerPath("../state/headstart.json"))
