"""Files travel once, whole, and verified."""

from __future__ import annotations

import hashlib
from pathlib import Path

import grpc
import headstart
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from headstart.v1 import export_pb2
from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.training_pb2 import DatasetSource

from tests.support.fake_server import FakeServer
from tests.support.refusals import Refusal

SPEC = {"input_features": [{"name": "review", "type": "text"}]}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_bytes(b"review,label\n" + b"good,1\n" * 400_000)
    return path


def test_an_upload_is_sent_in_chunks_of_a_mebibyte(server: FakeServer, client: headstart.Client, table: Path) -> None:
    dataset = client.upload_dataset(table)
    assert dataset.sha256 == hashlib.sha256(table.read_bytes()).hexdigest()
    assert server.datasets.contents[dataset.sha256] == table.read_bytes()
    assert server.datasets.chunk_sizes[:2] == [1 << 20, 1 << 20]
    assert server.datasets.headers[0].display_name == "reviews.csv"


def test_a_broken_upload_goes_on_from_what_has_arrived(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    size = table.stat().st_size
    server.datasets.drops = 1
    server.datasets.breaks.extend([1 << 20, 2 << 20])
    told: list[int] = []
    dataset = client.upload_dataset(table, on_upload=lambda sent, _: told.append(sent))
    assert server.datasets.contents[dataset.sha256] == table.read_bytes()
    assert [header.offset for header in server.datasets.headers] == [0, 0, 1 << 20, 2 << 20]
    assert len({header.upload_id for header in server.datasets.headers}) == 1
    assert sum(server.datasets.chunk_sizes) == size, "no byte twice"
    assert told[-1] == size


async def test_an_upload_of_which_the_server_has_less_than_it_said_begins_anew(
    server: FakeServer, async_client: headstart.AsyncClient, table: Path
) -> None:
    server.datasets.breaks.append(1 << 20)
    server.datasets.promised = 2 << 20
    dataset = await async_client.upload_dataset(table)
    assert server.datasets.contents[dataset.sha256] == table.read_bytes()
    assert [header.offset for header in server.datasets.headers] == [0, 2 << 20, 0]


def test_two_uploads_have_two_ids(server: FakeServer, client: headstart.Client, table: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(b"a\n1\n")
    client.upload_dataset(table)
    client.upload_dataset(other)
    assert len({header.upload_id for header in server.datasets.headers}) == 2


async def test_known_bytes_are_not_sent_again(
    server: FakeServer, client: headstart.Client, async_client: headstart.AsyncClient, table: Path
) -> None:
    first = client.upload_dataset(table)
    copy = table.rename(table.with_name("renamed.csv"))
    assert await async_client.upload_dataset(copy) == first
    assert len(server.datasets.headers) == 1


async def test_a_dropped_upload_is_sent_again(
    server: FakeServer, async_client: headstart.AsyncClient, table: Path
) -> None:
    server.datasets.drops = 2
    dataset = await async_client.upload_dataset(table)
    assert server.datasets.contents[dataset.sha256] == table.read_bytes()
    assert len(server.datasets.headers) == 3


async def test_an_upload_refused_at_its_header_says_why_however_much_is_under_way(
    server: FakeServer, client: headstart.Client, async_client: headstart.AsyncClient, table: Path
) -> None:
    server.datasets.refusal = Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than 1 MiB", reason="TOO_LARGE")
    for _ in range(10):
        with pytest.raises(headstart.ResourceExhausted, match="larger than 1 MiB"):
            await async_client.upload_dataset(table)
        with pytest.raises(headstart.ResourceExhausted, match="larger than 1 MiB"):
            client.upload_dataset(table)


def test_an_upload_tells_how_far_it_is(client: headstart.Client, table: Path) -> None:
    told: list[tuple[int, int]] = []
    client.upload_dataset(table, on_upload=lambda sent, total: told.append((sent, total)))
    assert told[-1] == (table.stat().st_size, table.stat().st_size)


@pytest.mark.parametrize(
    ("data", "source"),
    [
        (headstart.ServerPath("x.csv"), DatasetSource(path="x.csv")),
        ("datasets/d1", DatasetSource(dataset="datasets/d1")),
        (Dataset(name="datasets/d1"), DatasetSource(dataset="datasets/d1")),
        (DatasetSource(path="y.csv"), DatasetSource(path="y.csv")),
    ],
    ids=["ServerPath", "name", "Dataset", "DatasetSource"],
)
def test_data_is_named_without_an_upload(
    server: FakeServer, client: headstart.Client, data: object, source: DatasetSource
) -> None:
    client.train(SPEC, data, test=data).close()
    assert server.training.requests[0].dataset == source
    assert server.training.requests[0].test_dataset == source
    assert not server.training.requests[0].HasField("validation_dataset")
    assert not server.datasets.headers


def test_local_files_are_uploaded_and_rows_are_sent_inline(
    server: FakeServer, client: headstart.Client, table: Path
) -> None:
    client.train(SPEC, str(table), validation=table, test=[{"review": "a"}]).close()
    request = server.training.requests[0]
    assert request.dataset == request.validation_dataset
    assert request.dataset.dataset.startswith("datasets/")
    assert request.test_dataset.table.columns[0].strings.values == ["a"]
    assert len(server.datasets.headers) == 1


def test_a_missing_local_file_says_how_to_name_one_on_the_server(client: headstart.Client) -> None:
    with pytest.raises(FileNotFoundError, match="ServerPath"):
        client.train(SPEC, "nowhere.csv")


def test_a_bad_spec_uploads_nothing(server: FakeServer, client: headstart.Client, table: Path) -> None:
    with pytest.raises(headstart.InvalidArgument):
        client.train({"trainer": object()}, table)
    assert not server.datasets.headers


def test_an_export_brings_every_file_home(server: FakeServer, client: headstart.Client, tmp_path: Path) -> None:
    stages: list[str] = []
    exported = client.export("m1", output_dir=tmp_path / "out", on_progress=lambda step: stages.append(step.stage))
    assert server.export.requests[0].model == "models/m1"
    assert stages == ["load", "check"]
    found = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert found == server.export.files
    assert exported.files == tuple(tmp_path / "out" / path for path in server.export.files)


async def test_an_export_without_a_directory_downloads_nothing(
    server: FakeServer, async_client: headstart.AsyncClient
) -> None:
    exported = await async_client.export("models/m1", "torchscript", head_only=True)
    assert exported.files == ()
    assert server.export.requests[0].head_only
    assert not server.export.downloads


def test_a_dropped_export_is_watched_over_any_number_of_drops(server: FakeServer, client: headstart.Client) -> None:
    server.export.export_drops, server.export.watch_drops = 1, 2
    stages: list[str] = []
    assert client.export("m1", on_progress=lambda step: stages.append(step.stage)).artifact.name == "artifacts/a1"
    assert len(server.export.requests) == 1
    assert server.export.watched == ["exportJobs/e1"] * 3
    assert stages == ["load", "check"], "each step once"


def test_an_export_that_failed_meanwhile_raises_what_it_failed_of(server: FakeServer, client: headstart.Client) -> None:
    server.export.export_drops = 1
    server.export.job.state = export_pb2.ExportJob.STATE_FAILED
    failure = server.export.job.error
    failure.code, failure.message = grpc.StatusCode.FAILED_PRECONDITION.value[0], "it differs"
    failure.details.add().Pack(ErrorInfo(reason="PARITY"))
    with pytest.raises(headstart.FailedPrecondition, match="it differs") as caught:
        client.export("m1")
    assert caught.value.reason == "PARITY"


def test_an_export_that_failed_of_what_is_away_is_not_taken_for_a_broken_connection(
    server: FakeServer, client: headstart.Client
) -> None:
    server.export.export_drops = 1
    server.export.job.state = export_pb2.ExportJob.STATE_FAILED
    server.export.job.error.code = grpc.StatusCode.UNAVAILABLE.value[0]
    server.export.job.error.message = "the shared storage cannot be reached"
    with pytest.raises(headstart.Unavailable, match="the shared storage cannot be reached"):
        client.export("m1")
    assert (len(server.export.requests), len(server.export.watched)) == (1, 1)


def test_an_export_that_was_cancelled_is_not_asked_for_again(server: FakeServer, client: headstart.Client) -> None:
    server.export.export_drops = 1
    server.export.job.state = export_pb2.ExportJob.STATE_CANCELLED
    with pytest.raises(headstart.HeadstartError, match="exportJobs/e1 was cancelled"):
        client.export("m1")
    assert (len(server.export.requests), len(server.export.watched)) == (1, 1)


def test_export_jobs_are_created_listed_watched_and_cancelled(server: FakeServer, client: headstart.Client) -> None:
    server.export.watch_drops = 1
    assert client.export_jobs.create("m1").name == "exportJobs/e1"
    assert [job.name for job in client.export_jobs.list("m1")] == ["exportJobs/e1"]
    assert list(client.export_jobs.list("m2")) == []
    assert client.export_jobs.get("e1").artifact == "artifacts/a1"
    states = [job.state for job in client.export_jobs.watch("e1")]
    assert states == [export_pb2.ExportJob.STATE_RUNNING, export_pb2.ExportJob.STATE_SUCCEEDED], "each change once"
    assert client.export_jobs.cancel("exportJobs/e1").state == export_pb2.ExportJob.STATE_CANCELLED


async def test_export_jobs_are_for_asyncio_too(async_client: headstart.AsyncClient) -> None:
    assert (await async_client.export_jobs.create("m1")).name == "exportJobs/e1"
    assert [job.name async for job in async_client.export_jobs.list()] == ["exportJobs/e1"]
    assert [job.state async for job in async_client.export_jobs.watch("e1")][-1] == export_pb2.ExportJob.STATE_SUCCEEDED
    assert (await async_client.export_jobs.cancel("e1")).name == (await async_client.export_jobs.get("e1")).name


def test_an_unknown_format_is_refused_before_any_call(server: FakeServer, client: headstart.Client) -> None:
    with pytest.raises(headstart.InvalidArgument, match="onnx, torchscript"):
        client.export("m1", "pickle")
    assert not server.export.requests


def test_a_dropped_download_goes_on_where_it_stopped(
    server: FakeServer, client: headstart.Client, tmp_path: Path
) -> None:
    server.export.breaks.extend([2, 0, 1])
    client.export("m1", output_dir=tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == server.export.files["model.onnx"]
    offsets = [download.offset for download in server.export.downloads if download.path == "model.onnx"]
    assert offsets == [0, 2000, 2000, 3000]


async def test_a_download_goes_on_where_an_earlier_run_stopped(
    server: FakeServer, async_client: headstart.AsyncClient, tmp_path: Path
) -> None:
    content = server.export.files["model.onnx"]
    partial = tmp_path / f".model.onnx.{hashlib.sha256(content).hexdigest()[:16]}.part"
    partial.write_bytes(content[:1500])
    await async_client.export("m1", output_dir=tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == content
    assert server.export.downloads[0].offset == 1500


def test_a_spoilt_partial_file_is_downloaded_afresh(
    server: FakeServer, client: headstart.Client, tmp_path: Path
) -> None:
    content = server.export.files["model.onnx"]
    partial = tmp_path / f".model.onnx.{hashlib.sha256(content).hexdigest()[:16]}.part"
    partial.write_bytes(b"x" * 1500)
    client.export("m1", output_dir=tmp_path)
    assert (tmp_path / "model.onnx").read_bytes() == content


@pytest.mark.parametrize("kept", [0, 1000, 5000])
def test_a_file_that_is_shorter_on_the_server_than_promised_ends_the_download(
    kept: int, server: FakeServer, client: headstart.Client, tmp_path: Path
) -> None:
    server.export.lengths["model.onnx"] = kept
    with pytest.raises(headstart.DataLoss, match=rf"at byte {kept} of 5120, model\.onnx ends there"):
        client.export("m1", output_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_there_already_are_not_downloaded(
    server: FakeServer, client: headstart.Client, tmp_path: Path
) -> None:
    client.export("m1", output_dir=tmp_path)
    before = len(server.export.downloads)
    client.export("m1", output_dir=tmp_path)
    assert len(server.export.downloads) == before


async def test_bytes_with_another_digest_are_refused_and_nothing_is_left(
    server: FakeServer, async_client: headstart.AsyncClient, tmp_path: Path
) -> None:
    server.export.promised["model.onnx"] = "0" * 64
    with pytest.raises(headstart.DataLoss, match=r"model\.onnx"):
        await async_client.export("m1", output_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:evil", ""])
def test_a_server_cannot_write_outside_the_output_directory(
    server: FakeServer, client: headstart.Client, tmp_path: Path, path: str
) -> None:
    server.export.files = {path: b"evil"}
    with pytest.raises(headstart.DataLoss, match="outside"):
        client.export("m1", output_dir=tmp_path / "out")
    assert not server.export.downloads
