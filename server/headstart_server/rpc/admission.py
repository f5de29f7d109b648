"""Turns requests into specs and files, refusing what cannot be trained before a job exists."""

import shutil
from pathlib import Path

import pyarrow as pa
from headstart.v1 import training_pb2 as pb

from headstart_server.core.digests import file_digest
from headstart_server.core.errors import invalid
from headstart_server.core.files import published_file, resolve_below
from headstart_server.core.names import id_of
from headstart_server.data.formats import CONTAINERS, Format, format_of
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.source import SourceRecord, open_sources, remote_root
from headstart_server.data.tables import Sources, table_of_arrow
from headstart_server.data.uploads import Uploads
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.preview import check_spec, preview
from headstart_server.rpc.messages import spec_values
from headstart_server.rpc.tables import arrow_table
from headstart_server.spec.ludwig.rewriting import Reading
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.parse import parse_values, read_spec
from headstart_server.storage.storage import Storage

_ROLES = ("dataset", "validation_dataset", "test_dataset")
_CHECKED_BYTES = 64 << 20
_CHECKED_IMAGES = 2_000
"""Rows with images that are looked at before a job is accepted; more are looked at by the job."""


class Admission:
    """Turns a request into a spec and files, refusing what cannot be trained before a job exists."""

    def __init__(
        self,
        storage: Storage,
        data_root: str | None,
        uploads: Uploads,
        sources: ModelSources,
        device_type: str,
        image_limits: ImageLimits,
    ) -> None:
        self._storage, self._uploads = storage, uploads
        self._remote = data_root if data_root is not None and "://" in data_root else ""
        self._data_root = Path(data_root).resolve() if data_root is not None and not self._remote else None
        self.sources, self.device_type, self.image_limits = sources, device_type, image_limits

    def read(self, request: pb.TrainJobRequest) -> tuple[TrainSpec, Reading]:
        """The parsed spec, and how it was read; raises InvalidInputError."""
        match request.WhichOneof("spec_source"):
            case "spec":
                return parse_values(spec_values(request.spec)), Reading()
            case "spec_yaml":
                return read_spec(request.spec_yaml)
            case _:
                raise invalid("spec", "is missing; set spec or spec_yaml")

    def files(self, request: pb.TrainJobRequest, folder: Path) -> list[SourceRecord]:
        """The files of a request; inline tables are written below `folder`."""
        records = [self._file(getattr(request, role), role, folder) for role in given_roles(request)]
        if not request.HasField("dataset"):
            raise invalid(
                "dataset", "is missing; name an uploaded data set, a path below the data root, or send a table"
            )
        return records

    def discard(self, identifier: str) -> None:
        """Removes what was written for a job that does not come to be."""
        shutil.rmtree(self._storage.layout.job(identifier), ignore_errors=True)
        self._storage.forget_job(identifier)

    def tables(self, records: list[SourceRecord]) -> Sources:
        """The opened files."""
        return open_sources(records, self._storage)

    def check(self, spec: TrainSpec, records: list[SourceRecord]) -> None:
        """Raises InvalidInputError for a spec or data that cannot be trained. Large files are checked by the job."""
        check_spec(spec, self.sources, self.device_type)
        if sum(item.size_bytes() for item in records) > _CHECKED_BYTES:
            return
        tables = self.tables(records)
        if tables.rows.row_count <= _CHECKED_IMAGES or all(item.type != "image" for item in spec.input_features):
            preview(spec, tables, self.sources, self.device_type, self.image_limits)

    def _file(self, source: pb.DatasetSource, role: str, folder: Path) -> SourceRecord:
        match source.WhichOneof("source"):
            case "dataset":
                dataset = self._uploads.get(id_of("datasets", source.dataset, f"{role}.dataset"))
                file = str(self._uploads.path(dataset))
                _require_container(source.table_file, Format(dataset.format), role)
                return SourceRecord(
                    role, file, dataset.format, dataset.identifier, source.table_file, sha256=dataset.sha256
                )
            case "path":
                return self._below_root(source.path, source.table_file, role)
            case "table":
                table = table_of_arrow(arrow_table(source.table, f"{role}.table"), f"{role}.table").rows
                path = folder / f"{role}.arrow"
                with published_file(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
                    writer.write_table(table)
                _require_container(source.table_file, Format.ARROW, role)
                shared, digest = self._share(path), file_digest(path)
                return SourceRecord(
                    role, str(path), Format.ARROW, folders=self._folders(), shared=shared, sha256=digest
                )
            case _:
                raise invalid(role, "is empty; set dataset, path or table")

    def _share(self, path: Path) -> str:
        """Publishes a file of the state directory where machines share storage; returns its name there."""
        if self._storage.object_store is None:
            return ""
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
            return SourceRecord(role, path, found, "", table_file, root=self._remote)
        if self._data_root is None:
            raise invalid(field, "the server has no data root (start it with --data-root); upload the file instead")
        file = resolve_below(self._data_root, path, field)
        if not file.is_file() and not file.is_dir():
            raise invalid(field, f"{path[:200]!r} is no file below the data root; check the name")
        file_format = Format.FOLDER if file.is_dir() else format_of(file.name, field)
        _require_container(table_file, file_format, role)
        return SourceRecord(role, str(file), file_format, "", table_file, self._folders(file.parent))


def given_roles(request: pb.TrainJobRequest) -> list[str]:
    """Which data sets a request names."""
    return [role for role in _ROLES if request.HasField(role)]


def _require_container(table_file: str, file_format: Format, role: str) -> None:
    if table_file and file_format not in CONTAINERS:
        message = f"{table_file[:200]!r} is given, but the data is a table itself; leave it out"
        raise invalid(f"{role}.table_file", message)
