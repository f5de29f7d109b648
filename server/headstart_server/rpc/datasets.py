"""DatasetService."""

from collections.abc import AsyncIterator
from typing import Any

from headstart.v1 import dataset_pb2 as pb
from headstart.v1 import dataset_pb2_grpc

from headstart_server.core.errors import invalid
from headstart_server.core.names import id_of, name_of
from headstart_server.data.formats import Format, format_of
from headstart_server.data.uploads import Dataset
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.messages import check_length, page, timestamp
from headstart_server.service.datasets import DatasetService, UploadHeader

DATASETS = "datasets"
_BY_DIGEST = f"{DATASETS}/sha256:"
_MAX_NAME = 255
"""As long as a file's name may be."""
_MAX_UPLOAD_ID = 128


class DatasetServicer(dataset_pb2_grpc.DatasetServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, datasets: DatasetService) -> None:
        self._datasets = datasets

    async def UploadDataset(self, request_iterator: AsyncIterator[pb.UploadDatasetRequest], context: Any) -> pb.Dataset:  # noqa: N802
        """Receives a header, then chunks."""
        header = await _header(request_iterator)
        return dataset_message(await self._datasets.upload(caller_of(context), header, _chunks(request_iterator)))

    async def GetUpload(self, request: pb.GetUploadRequest, context: Any) -> pb.Upload:  # noqa: N802
        """Says what has arrived."""
        if not request.upload_id:
            raise invalid("upload_id", "is missing; it is that of the upload's header")
        check_length("upload_id", request.upload_id, _MAX_UPLOAD_ID)
        found = await self._datasets.broken_upload(caller_of(context), request.upload_id)
        return pb.Upload(
            upload_id=request.upload_id, committed_bytes=found.size, expire_time=timestamp(found.expire_time)
        )

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Any) -> pb.Dataset:  # noqa: N802
        """Reads, by id or by digest."""
        caller = caller_of(context)
        if request.name.startswith(_BY_DIGEST):
            digest, _, ending = request.name.removeprefix(_BY_DIGEST).lower().partition(".")
            return dataset_message(await self._datasets.find(caller, digest, _format_called(ending)))
        return dataset_message(await self._datasets.get(caller, id_of(DATASETS, request.name)))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Any) -> pb.ListDatasetsResponse:  # noqa: N802
        """Lists."""
        everything = await self._datasets.all(caller_of(context))
        datasets, token = page(everything, lambda item: item.identifier, request.page_size, request.page_token)
        return pb.ListDatasetsResponse(datasets=map(dataset_message, datasets), next_page_token=token)

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Any) -> pb.DeleteDatasetResponse:  # noqa: N802
        """Deletes, unless an unfinished job needs it."""
        await self._datasets.delete(caller_of(context), id_of(DATASETS, request.name))
        return pb.DeleteDatasetResponse()


def dataset_message(dataset: Dataset) -> pb.Dataset:
    """A data set."""
    return pb.Dataset(
        name=name_of(DATASETS, dataset.identifier),
        display_name=dataset.display_name,
        format=f"FORMAT_{dataset.format.upper()}",
        size_bytes=dataset.size_bytes,
        sha256=dataset.sha256,
        create_time=timestamp(dataset.create_time),
        row_count=dataset.row_count,
        columns=dataset.columns,
        table_files=dataset.table_files,
    )


async def _header(requests: AsyncIterator[pb.UploadDatasetRequest]) -> UploadHeader:
    request = await anext(requests, None)
    if request is None:
        raise invalid("header", "is missing; the first message describes the file")
    if request.WhichOneof("part") != "header":
        raise invalid("header", "must be the first message")
    header = request.header
    check_length("header.display_name", header.display_name, _MAX_NAME)
    check_length("header.upload_id", header.upload_id, _MAX_UPLOAD_ID)
    if header.offset < 0:
        raise invalid("header.offset", f"{header.offset} is negative; use the committed_bytes of GetUpload, or less")
    if header.offset and not header.upload_id:
        raise invalid("header.offset", "needs the upload_id of the upload that is gone on with")
    return UploadHeader(
        header.display_name, _format_name(header.format), header.sha256, header.upload_id, header.offset
    )


async def _chunks(requests: AsyncIterator[pb.UploadDatasetRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "chunk":
            raise invalid("header", "may only be the first message")
        yield request.chunk


def _format_name(value: int) -> str:
    if value not in pb.Dataset.Format.values():
        raise invalid("header.format", f"{value} is no format; use the values of Dataset.Format")
    return pb.Dataset.Format.Name(value).removeprefix("FORMAT_").lower() if value else ""


def _format_called(ending: str) -> Format | None:
    return format_of(f"data.{ending}", "name") if ending else None
