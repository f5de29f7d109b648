"""An upload goes on where it broke, over a server that is killed, and the bytes that are sent again are few."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import headstart
import pytest
from headstart.v1 import dataset_pb2 as pb
from headstart.v1 import dataset_pb2_grpc

from tests.support.running_server import RunningServer
from tests.support.stubs import stub_of

MIB = 1 << 20
DATA = b"review,verdict\n" + b"a fine film that one may see twice,good\n" * 600_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "state") as running:
        yield running


def test_a_client_goes_on_with_its_upload_after_its_server_was_killed(server: RunningServer, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(DATA)
    port, told = server.port, list[int]()
    restarted = threading.Thread(target=lambda: server.start(port))

    def tell(sent: int, _: int) -> None:
        told.append(sent)
        if sent >= 16 * MIB and restarted.ident is None:
            server.kill()
            restarted.start()

    with headstart.Client(server.address) as client:
        dataset = client.upload_dataset(path, on_upload=tell)
    restarted.join()
    assert (dataset.size_bytes, dataset.sha256) == (len(DATA), hashlib.sha256(DATA).hexdigest())
    assert told[-1] == len(DATA)
    # none where all that the client had sent had arrived before the server was killed
    again = max((one - (other - MIB) for one, other in itertools.pairwise(told) if other <= one), default=0)
    # what was under way when the server was killed: no more than connections hold
    print(f"sent again: {again:,} of {len(DATA):,} bytes")
    assert again < 8 * MIB < len(DATA) // 2
    assert not list((server.state / "datasets").glob(".*.part"))


@pytest.mark.parametrize("upload_id", ["", "u/1"])
def test_a_call_that_is_cut_publishes_nothing(server: RunningServer, upload_id: str) -> None:
    """Though its rows would be a data set, and nobody has said what the whole is."""

    def parts() -> Iterator[pb.UploadDatasetRequest]:
        yield pb.UploadDatasetRequest(header=pb.DatasetHeader(display_name="rows.csv", upload_id=upload_id))
        yield pb.UploadDatasetRequest(chunk=DATA[:4015])
        if upload_id:
            until_arrived(stub, upload_id, 4015)
        else:
            time.sleep(0.02)  # so that it has arrived
        raise ConnectionError

    with grpc.insecure_channel(server.address) as channel:
        stub = stub_of(dataset_pb2_grpc.DatasetServiceStub, channel)
        for _ in range(25):
            with pytest.raises(grpc.RpcError):
                stub.UploadDataset(parts())
        time.sleep(0.5)
        assert not stub.ListDatasets(pb.ListDatasetsRequest()).datasets
    assert len(list((server.state / "datasets").glob(".*.part"))) == bool(upload_id)


def until_arrived(stub: Any, upload_id: str, count: int) -> None:
    """Returns once the server has so many bytes of an upload."""
    deadline = time.monotonic() + 60
    while arrived(stub, upload_id) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def arrived(stub: Any, upload_id: str) -> int:
    """How many bytes the server has of an upload."""
    try:
        return int(stub.GetUpload(pb.GetUploadRequest(upload_id=upload_id)).committed_bytes)
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return 0


def test_a_call_goes_on_from_an_offset_and_says_how_much_there_is(server: RunningServer) -> None:
    digest = hashlib.sha256(DATA).hexdigest()

    def parts(offset: int, end: int) -> Iterator[pb.UploadDatasetRequest]:
        header = pb.DatasetHeader(display_name="rows.csv", sha256=digest, upload_id="u/1", offset=offset)
        yield pb.UploadDatasetRequest(header=header)
        for start in range(offset, end, MIB):
            yield pb.UploadDatasetRequest(chunk=DATA[start : min(start + MIB, end)])
        if end < len(DATA):
            until_arrived(stub, "u/1", end)
            raise ConnectionError

    with grpc.insecure_channel(server.address) as channel:
        stub = stub_of(dataset_pb2_grpc.DatasetServiceStub, channel)
        assert arrived(stub, "u/1") == 0
        for offset, end in ((0, 3 * MIB), (3 * MIB, 5 * MIB)):
            with pytest.raises(grpc.RpcError):
                stub.UploadDataset(parts(offset, end))
            assert arrived(stub, "u/1") == end
        with pytest.raises(grpc.RpcError) as failed:
            stub.UploadDataset(parts(6 * MIB, len(DATA)))
        assert failed.value.code() is grpc.StatusCode.OUT_OF_RANGE
        server.kill()
        server.start(server.port)
        assert arrived(stub, "u/1") == 5 * MIB
        dataset = stub.UploadDataset(parts(5 * MIB, len(DATA)))
        assert (dataset.sha256, arrived(stub, "u/1")) == (digest, 0)
