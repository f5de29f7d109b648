"""Admission of jobs: finds their files, and refuses what cannot be trained before a job exists."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from headstart_server.core.digests import file_digest
from headstart_server.core.errors import invalid
from headstart_server.core.files import published_file, resolve_below
from headstart_server.core.reasons import Reason
from headstart_server.data.formats import CONTAINERS, Format, format_of
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.source import SourceRecord, open_sources, remote_root
from headstart_server.data.tables import Sources, Table, table_of_arrow
from headstart_server.data.uploads import Uploads
from headstart_server.encoders.sources import ModelSources
from headstart_server.jobs.records import JobDetails
from headstart_server.planning.initial_model import InitialModel
from headstart_server.planning.job_plan import JobPlan, check_spec, plan_job
from headstart_server.planning.sweep import check_sweep
from headstart_server.spec.ludwig.rewriting import Reading
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import paths_as_written
from headstart_server.storage.storage import Storage

ROLES = ("dataset", "validation_dataset", "test_dataset")
_CHECKED_BYTES = 64 << 20
_CHECKED_IMAGES = 2_000
"""Rows with images that are looked at before a job is accepted; more are looked at by the job."""


@dataclass(frozen=True)
class UploadedData:
    """A data set that was uploaded before."""

    dataset: str
    """Its id."""
    table_file: str = ""
    """The table within it, where it is an archive."""


@dataclass(frozen=True)
class DataPath:
    """A file or folder below the data root."""

    path: str
    table_file: str = ""


@dataclass(frozen=True)
class InlineData:
    """Rows that came with the request."""

    read: Callable[[], pa.Table]
    """Raises InvalidInputError for what is no table."""
    table_file: str = ""


DataSource = UploadedData | DataPath | InlineData


@dataclass(frozen=True)
class TrainOrder:
    """What a caller wants to be trained."""

    request_id: str
    digest: str
    """Of the request's body, to know a repeated one by."""
    display_name: str
    spec: TrainSpec
    reading: Reading = field(default_factory=Reading)
    """How the spec was read."""
    data: Mapping[str, DataSource] = field(default_factory=dict)
    """By role."""
    details: JobDetails = field(default_factory=JobDetails)


class Admission:
    """Turns an order into files, refusing what cannot be trained."""

    def __init__(
        self,
        storage: Storage,
        data_root: str | None,
        uploads: Uploads,
        sources: ModelSources,
        device_type: str,
        image_limits: ImageLimits,
        max_plan_bytes: int,
    ) -> None:
        self._storage, self._uploads = storage, uploads
        self._remote = data_root if data_root is not None and "://" in data_root else ""
        self._data_root = Path(data_root).resolve() if data_root is not None and not self._remote else None
        self._sources, self._device_type, self._image_limits = sources, device_type, image_limits
        self._max_plan_bytes = max_plan_bytes

    def files(self, data: Mapping[str, DataSource], folder: Path) -> list[SourceRecord]:
        """The files of an order's data, by role; inline tables are written below `folder`."""
        records = [self._file(source, role, folder) for role, source in data.items()]
        if "dataset" not in data:
            raise invalid(
                "dataset", "is missing; name an uploaded data set, a path below the data root, or send a table"
            )
        return records

    def discard(self, identifier: str) -> None:
        """Removes what was written for a job that does not come to be."""
        shutil.rmtree(self._storage.layout.job(identifier), ignore_errors=True)
        self._storage.forget_job(identifier)

    def check(
        self, order: TrainOrder, records: list[SourceRecord], initial: InitialModel | None = None
    ) -> JobPlan | None:
        """The job's plan, from the model that it begins from; None for large files, which the job checks.

        Raises InvalidInputError for a spec or data that cannot be trained.
        """
        with paths_as_written(order.reading):
            check_sweep(order.spec, self._sources, self._device_type, initial)
            if sum(item.size_bytes() for item in records) <= _CHECKED_BYTES:
                tables = self._tables(records)
                images = any(item.type == "image" for item in order.spec.input_features)
                if tables.rows.row_count <= _CHECKED_IMAGES or not images:
                    return self._planned(order.spec, tables, initial)
            check_spec(order.spec, self._sources, self._device_type, initial)
            return None

    def plan(self, order: TrainOrder, records: list[SourceRecord], initial: InitialModel | None = None) -> JobPlan:
        """What the job would do. Raises InvalidInputError as `check`, and for more data than is read for a plan."""
        self._require_little(
            records,
            "a plan",
            "plan with a part of the rows, or start the job, which reports the same while it prepares",
        )
        with paths_as_written(order.reading):
            check_sweep(order.spec, self._sources, self._device_type, initial)
            return self._planned(order.spec, self._tables(records), initial)

    def stored_file(self, field: str, source: DataSource) -> SourceRecord:
        """The file of rows that outlive their request; raises InvalidInputError naming `field` for any other."""
        if isinstance(source, InlineData):
            raise invalid(f"{field}.table", "goes with the request, which the export outlives; upload the rows first")
        return self._file(source, field, self._storage.layout.jobs)

    def small_table(self, records: list[SourceRecord]) -> Table | None:
        """The only table of an order, unless it is so large that a job had better look at it."""
        size = sum(item.size_bytes() for item in records)
        return self._tables(records).tables[0] if size <= _CHECKED_BYTES else None

    def table(self, records: list[SourceRecord]) -> Table:
        """The only table of an order that is looked at; raises InvalidInputError for more data than a plan reads."""
        self._require_little(records, "a call that reads a whole data set", "use a part of the rows")
        return self._tables(records).tables[0]

    def _require_little(self, records: list[SourceRecord], what: str, remedy: str) -> None:
        size = sum(item.size_bytes() for item in records)
        if size > self._max_plan_bytes:
            raise invalid(
                "dataset",
                f"holds {size:,} bytes, and {what} reads at most {self._max_plan_bytes:,}; {remedy}",
                reason=Reason.TOO_LARGE_TO_PLAN,
            )

    def _planned(self, spec: TrainSpec, tables: Sources, initial: InitialModel | None) -> JobPlan:
        return plan_job(spec, tables, self._sources, self._device_type, self._image_limits, initial=initial)

    def _tables(self, records: list[SourceRecord]) -> Sources:
        return open_sources(records, self._storage)

    def _file(self, source: DataSource, role: str, folder: Path) -> SourceRecord:
        match source:
            case UploadedData():
                return self._uploaded(source, role)
            case DataPath():
                return self._below_root(source.path, source.table_file, role)
            case InlineData():
                return self._written(source, role, folder)

    def _uploaded(self, source: UploadedData, role: str) -> SourceRecord:
        dataset = self._uploads.get(source.dataset)
        file, file_format = str(self._uploads.path(dataset)), Format(dataset.format)
        _require_container(source.table_file, file_format, role)
        return SourceRecord(role, file, file_format, dataset.identifier, source.table_file, sha256=dataset.sha256)

    def _written(self, source: InlineData, role: str, folder: Path) -> SourceRecord:
        table = table_of_arrow(source.read(), f"{role}.table").rows
        path = folder / f"{role}.arrow"
        with published_file(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
            writer.write_table(table)
        _require_container(source.table_file, Format.ARROW, role)
        shared, digest = self._share(path), file_digest(path)
        return SourceRecord(role, str(path), Format.ARROW, folders=self._folders(), shared=shared, sha256=digest)

    def _share(self, path: Path) -> str:
        """Publishes a file of the state directory where machines share storage; returns its name there."""
        if self._storage.object_store is None:
            return ""
        # its place below every machine's state directory, where `Storage.fetched` puts it
        name = path.relative_to(self._storage.layout.root).as_posix()
        self._storage.object_store.publish(path, name)
        return name

    def _folders(self, *first: Path) -> list[str]:
        """Where image paths may lead: these folders, then the data root."""
        return [str(folder) for folder in (*first, self._data_root) if folder is not None]

    def _below_root(self, path: str, table_file: str, role: str) -> SourceRecord:
        field = f"{role}.path"
        if self._remote:
            found = remote_root(self._remote).format_of(path, field)
            _require_container(table_file, found, role)
            return SourceRecord(role, path, found, "", table_file, root=self._remote, given=path)
        if self._data_root is None:
            raise invalid(field, "the server has no data root (start it with --data-root); upload the file instead")
        file = resolve_below(self._data_root, path, field)
        if not file.is_file() and not file.is_dir():
            raise invalid(field, f"{path[:200]!r} is no file below the data root; check the name")
        file_format = Format.FOLDER if file.is_dir() else format_of(file.name, field)
        _require_container(table_file, file_format, role)
        folders = self._folders(file.parent)
        return SourceRecord(role, str(file), file_format, "", table_file, folders, given=path)


def _require_container(table_file: str, file_format: Format, role: str) -> None:
    if table_file and file_format not in CONTAINERS:
        message = f"{table_file[:200]!r} is given, but the data is a table itself; leave it out"
        raise invalid(f"{role}.table_file", message)
