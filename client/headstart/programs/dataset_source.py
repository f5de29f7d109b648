"""Turn whatever `data` a caller has into a DatasetSource, uploading files on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from headstart.errors import InvalidArgument
from headstart.files.content import Content, FileContent
from headstart.files.endings import within_archive
from headstart.files.packed_rows import rows_content, table_content
from headstart.files.packing import training_content
from headstart.programs.retry import RetryPolicy
from headstart.programs.upload import Progress, upload
from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.table_pb2 import Table
from headstart.v1.training_pb2 import DatasetSource, TrainJobRequest
from headstart.values.details import JobDetails
from headstart.values.image_columns import ImageColumns, image_columns_of
from headstart.values.names import full_name
from headstart.values.spec import Spec, request_of
from headstart.values.table import Rows, columns_of, table_of
from headstart.wire.steps import Program, compute

DATASETS = "datasets/"
LARGEST_INLINE_BYTES = 16 << 20
"""Rows in memory that take more are uploaded as a file: a message is limited."""


@dataclass(frozen=True)
class ServerPath:
    """A file or folder below the server's data root, relative to it, or a table within: nothing is uploaded."""

    path: str


Data: TypeAlias = str | Path | ServerPath | Dataset | DatasetSource | Rows
"""A local file or folder (str, Path), a ServerPath, a Dataset or its `datasets/...` name, or rows (see `Rows`).

Images that a local table names, relative to its own folder, travel with it. A folder holds one table, or images in a
folder per class. One table of several is named as if its folder, archive or data set were a folder:
`photos/train.csv`, `photos.zip/train.csv`, `datasets/ID/train.csv`.
"""


@dataclass(frozen=True)
class Sender:
    """How the data of one job is sent: which columns hold images, and how its uploads go."""

    images: ImageColumns
    policy: RetryPolicy
    progress: Progress | None = None

    def source_of(self, data: Data) -> Program[DatasetSource]:
        """Return where the rows are.

        Raises:
            FileNotFoundError: no such local file.
            InvalidArgument: rows that cannot be sent, images that are missing, a table that has to be chosen.
        """
        if isinstance(data, DatasetSource):
            return data
        if isinstance(data, ServerPath):
            return _on_server(data.path)
        if isinstance(data, Dataset):
            return DatasetSource(dataset=data.name)
        if isinstance(data, str) and data.startswith(DATASETS):
            name, _, table = data.removeprefix(DATASETS).partition("/")
            return DatasetSource(dataset=DATASETS + name, table_file=table)
        if isinstance(data, str | Path):
            return (yield from self._local(data))
        return (yield from self._rows(data))

    def _local(self, data: str | Path) -> Program[DatasetSource]:
        path, table = local_place(Path(data)) or (None, "")
        if path is None:
            raise FileNotFoundError(
                f"no file or folder {data} here; for one below the server's data root use ServerPath({str(data)!r})"
            )
        where = path
        content = yield from compute(lambda: FileContent(where) if table else training_content(where, self.images))
        return (yield from self._uploaded(content, where, table))

    def _uploaded(self, content: Content, path: Path, table: str) -> Program[DatasetSource]:
        dataset = yield from upload(content, self.policy, progress=self.progress)
        if len(dataset.table_files) > 1 and not table:
            shown = ", ".join(str(path / name) for name in dataset.table_files)
            message = f"{path} holds {len(dataset.table_files)} tables; name one of them: {shown}"
            raise InvalidArgument(message, reason="MISSING_TABLE")
        return DatasetSource(dataset=dataset.name, table_file=table)

    def _rows(self, rows: Rows) -> Program[DatasetSource]:
        if isinstance(rows, Table):
            return DatasetSource(table=rows)
        columns = columns_of(rows)
        content: Content | None = None
        if self.images.may_exist:
            content = yield from compute(lambda: rows_content(columns, self.images))
        if content is None:
            table = table_of(columns)
            large = table.ByteSize() > LARGEST_INLINE_BYTES
            content = (yield from compute(lambda: table_content(table))) if large else None
        if content is None:
            return DatasetSource(table=table)
        return DatasetSource(dataset=(yield from upload(content, self.policy, progress=self.progress)).name)


def local_place(path: Path) -> tuple[Path, str] | None:
    """Return a file or folder that is here, and the table within it where it is an archive; None if it is not here."""
    if path.exists():
        return path, ""
    archive, table = within_archive(path) or (None, "")
    return (Path(archive), table) if archive is not None and Path(archive).is_file() else None


def _on_server(path: str) -> DatasetSource:
    archive, table = within_archive(PurePosixPath(path)) or (path, "")
    return DatasetSource(path=str(archive), table_file=table)


@dataclass(frozen=True)
class TrainingData:
    """The rows of one job; a plan may do without."""

    train: Data | None
    validation: Data | None = None
    test: Data | None = None


def training_request(
    spec: Spec,
    data: TrainingData,
    policy: RetryPolicy,
    *,
    request_id: str = "",
    display_name: str | None = None,
    details: JobDetails | None = None,
    progress: Callable[[int, int], None] | None = None,
    initial_model: str = "",
) -> Program[TrainJobRequest]:
    """Return the request of one job, its files uploaded. The spec is read first: a bad one uploads nothing."""
    request = request_of(spec)
    request.request_id = request_id
    request.display_name = display_name or ""
    (details or JobDetails()).fill(request)
    request.initial_model = full_name("models", initial_model) if initial_model else ""
    sender = Sender(image_columns_of(request), policy, progress)
    if data.train is not None:
        request.dataset.CopyFrom((yield from sender.source_of(data.train)))
    if data.validation is not None:
        request.validation_dataset.CopyFrom((yield from sender.source_of(data.validation)))
    if data.test is not None:
        request.test_dataset.CopyFrom((yield from sender.source_of(data.test)))
    return request
