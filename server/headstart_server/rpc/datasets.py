"""DatasetService."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from headstart.v1 import dataset_pb2 as pb
from headstart.v1 import dataset_pb2_grpc

from headstart_server.core.errors import FailedPreconditionError, NotFoundError, invalid
from headstart_server.core.names import id_of, name_of
from headstart_server.core.states import State
from headstart_server.data.uploads import Dataset, Uploads
from headstart_server.jobs.store import JobStore
from headstart_server.rpc.messages import check_name, page, timestamp

DATASETS = "datasets"
_BY_DIGEST = f"{DATASETS}/sha256:"
_MAX_NAME = 255
"""As long as a file's name may be."""


class DatasetServicer(dataset_pb2_grpc.DatasetServiceServicer):
    """Keeps uploaded files."""

    def __init__(self, uploads: Uploads, jobs: JobStore) -> None:
        self._uploads, self._jobs = uploads, jobs

    async def UploadDataset(self, request_iterator: AsyncIterator[pb.UploadDatasetRequest], context: Any) -> pb.Dataset:  # noqa: N802
        """Receives a header, then chunks."""
        upload = None
        try:
            async for request in request_iterator:
                if upload is None:
                    if request.WhichOneof("part") != "header":
                        raise invalid("header", "must be the first message")
                    header = request.header
                    check_name("header.display_name", header.display_name, _MAX_NAME)
                    digest = header.sha256.lower()
                    known = await asyncio.to_thread(self._uploads.find, digest) if digest else None
                    if known is not None:
                        return dataset_message(known)
                    upload = self._uploads.receive(header.display_name, _format_name(header.format), header.sha256)
                elif request.WhichOneof("part") == "chunk":
                    await asyncio.to_thread(upload.write, request.chunk)
                else:
                    raise invalid("header", "may only be the first message")
            if upload is None:
                raise invalid("header", "is missing; the first message describes the file")
            return dataset_message(await asyncio.to_thread(upload.finish))
        finally:
            if upload is not None:
                upload.__exit__(None, None, None)

    async def GetDataset(self, request: pb.GetDatasetRequest, context: Any) -> pb.Dataset:  # noqa: N802
        """Reads, by id or by digest."""
        if request.name.startswith(_BY_DIGEST):
            found = await asyncio.to_thread(self._uploads.find, request.name.removeprefix(_BY_DIGEST).lower())
            if found is None:
                raise NotFoundError("no data set has these bytes; upload them", field="name")
            return dataset_message(found)
        return dataset_message(await asyncio.to_thread(self._uploads.get, id_of(DATASETS, request.name)))

    async def ListDatasets(self, request: pb.ListDatasetsRequest, context: Any) -> pb.ListDatasetsResponse:  # noqa: N802
        """Lists."""
        everything = await asyncio.to_thread(lambda: list(self._uploads.all()))
        datasets, token = page(everything, lambda item: item.identifier, request.page_size, request.page_token)
        return pb.ListDatasetsResponse(datasets=map(dataset_message, datasets), next_page_token=token)

    async def DeleteDataset(self, request: pb.DeleteDatasetRequest, context: Any) -> pb.DeleteDatasetResponse:  # noqa: N802
        """Deletes, unless an unfinished job needs it."""
        identifier = id_of(DATASETS, request.name)
        unfinished = [state for state in State if not state.terminal]
        if job := await asyncio.to_thread(self._jobs.user_of, identifier, unfinished):
            raise FailedPreconditionError(f"{request.name} is in use by trainJobs/{job}; wait or cancel it")
        await asyncio.to_thread(self._uploads.delete, identifier)
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


def _format_name(value: int) -> str:
    if value not in pb.Dataset.Format.values():
        raise invalid("header.format", f"{value} is no format; use the values of Dataset.Format")
    return pb.Dataset.Format.Name(value).removeprefix("FORMAT_").lower() if value else ""
