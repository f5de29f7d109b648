"""What is on the server can be listed, read and deleted; where and how it is reached is settled in one place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import headstart
import pytest
from headstart.v1 import (
    dataset_pb2,
    embedding_pb2,
    export_pb2,
    model_pb2,
    prediction_pb2,
    server_pb2,
    training_pb2,
)
from headstart.v1.training_pb2 import TrainJob
from headstart.wire import methods
from headstart.wire.connection import Connection

from tests.support.fake_server import FakeServer

HEAVY = {"torch", "numpy", "pandas", "pyarrow", "transformers", "headstart_server", "yaml", "pydantic"}
FILES = (dataset_pb2, embedding_pb2, export_pb2, model_pb2, prediction_pb2, server_pb2, training_pb2)


def test_every_rpc_of_the_contract_is_declared_as_the_contract_has_it() -> None:
    declared = {
        method.path: (
            method.request.DESCRIPTOR.full_name,
            method.response.DESCRIPTOR.full_name,
            method.client_streams,
            method.server_streams,
        )
        for method in vars(methods).values()
        if isinstance(method, methods.Method)
    }
    contract = {
        f"/{service.full_name}/{rpc.name}": (
            rpc.input_type.full_name,
            rpc.output_type.full_name,
            rpc.client_streaming,
            rpc.server_streaming,
        )
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for rpc in service.methods
    }
    assert declared == contract


def test_lists_fetch_every_page(client: headstart.Client) -> None:
    assert [job.name for job in client.jobs.list()] == [f"trainJobs/j{number}" for number in range(5)]


async def test_async_lists_fetch_every_page(async_client: headstart.AsyncClient) -> None:
    names = [job.name async for job in async_client.jobs.list([TrainJob.STATE_SUCCEEDED])]
    assert names == [f"trainJobs/j{number}" for number in range(5)]


def test_bare_names_are_completed(server: FakeServer, client: headstart.Client) -> None:
    assert client.models.get("m1") == client.models.get("models/m1")
    client.models.delete("m1")
    assert server.models.deleted == ["models/m1"]
    assert client.jobs.cancel("j1").state == TrainJob.STATE_CANCELLING
    assert [artifact.name for artifact in client.artifacts.list("m1")] == ["artifacts/a1"]
    assert list(client.artifacts.list("m2")) == []


async def test_the_asyncio_client_reads_and_deletes(server: FakeServer, async_client: headstart.AsyncClient) -> None:
    assert (await async_client.models.get("m1")).display_name == "reviews"
    await async_client.embedding_spaces.delete("s1")
    assert server.embedding.deleted == ["embeddingSpaces/s1"]
    assert (await async_client.jobs.cancel("j1")).name == "trainJobs/j1"
    assert (await async_client.server_info()).version == "9.9.9"
    assert (await async_client.plan({"a": 1}, {"b": [1]})).encode[0].rows_encoded == 3
    with pytest.raises(headstart.NotFound):
        await async_client.models.get("m2")


def test_what_the_server_lacks_is_not_found(client: headstart.Client) -> None:
    with pytest.raises(headstart.NotFound, match="models/m2"):
        client.models.get("m2")


def test_what_the_release_lacks_is_unimplemented(client: headstart.Client) -> None:
    with pytest.raises(headstart.Unimplemented):
        client.jobs.pause("j1")


def test_the_token_goes_with_every_call(server: FakeServer) -> None:
    with headstart.Client(server.address, token="secret") as client:
        client.predict("m1", {"review": ["a"]})
    assert server.prediction.metadata["authorization"] == "Bearer secret"


def test_arguments_win_over_the_environment_and_the_environment_over_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SERVER", "TOKEN", "ROOT_CERTIFICATES"):
        monkeypatch.delenv(f"HEADSTART_{name}", raising=False)
    assert Connection.resolve() == Connection("localhost:50051")
    (tmp_path / "ca.pem").write_bytes(b"PEM")
    monkeypatch.setenv("HEADSTART_SERVER", "far:1")
    monkeypatch.setenv("HEADSTART_TOKEN", "t")
    monkeypatch.setenv("HEADSTART_ROOT_CERTIFICATES", str(tmp_path / "ca.pem"))
    assert Connection.resolve() == Connection("far:1", "t", tls=True, root_certificates=b"PEM")
    assert Connection.resolve("near:2", token="u").address == "near:2"
    assert not Connection.resolve(tls=False, plaintext_token=True).tls


@pytest.mark.parametrize(
    ("script", "absent"),
    [
        ("import headstart; [getattr(headstart, name) for name in headstart.__all__]", HEAVY),
        ("import headstart.cli; headstart.cli.main(['--help'])", {*HEAVY, "grpc"}),
        ("import headstart.cli; headstart.cli.main(['info', '--server', 'localhost:1'])", HEAVY - {"pydantic"}),
    ],
    ids=["client", "help", "command"],
)
def test_nothing_heavy_is_imported(script: str, absent: set[str]) -> None:
    check = f"{script}; import sys; found = {absent!r} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", check], check=True, timeout=60, capture_output=True)


def test_every_public_name_can_be_imported() -> None:
    assert set(headstart.__all__) <= set(dir(headstart))
    assert all(getattr(headstart, name).__name__ == name for name in headstart.__all__)
    with pytest.raises(AttributeError):
        _ = headstart.Nothing
