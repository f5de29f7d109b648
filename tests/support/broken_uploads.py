"""An upload whose call breaks once some of its bytes have arrived."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import pytest
from headstart.v1 import dataset_pb2 as pb

from tests.support.any_rpc import Metadata, answers_of, called

_SECONDS = 60.0


def broken_upload(channel: grpc.Channel, metadata: Metadata, upload_id: str = "0123456789abcdefghij") -> str:
    """The id of such an upload."""

    def arrived() -> bool:
        answers = called(
            channel, "DatasetService.GetUpload", pb.GetUploadRequest(upload_id=upload_id), metadata=metadata
        )
        return any(upload.committed_bytes for upload in answers.answers)

    def parts() -> Iterator[pb.UploadDatasetRequest]:
        header = pb.DatasetHeader(display_name="broken.csv", upload_id=upload_id)
        yield pb.UploadDatasetRequest(header=header)
        yield pb.UploadDatasetRequest(chunk=b"a,b")
        deadline = time.monotonic() + _SECONDS
        while not arrived():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        raise ConnectionError

    with pytest.raises(grpc.RpcError):
        list(answers_of(channel, "DatasetService.UploadDataset", parts(), metadata))
    return upload_id
