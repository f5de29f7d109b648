"""Exports and their artifacts: create, follow, cancel; get, list, download, delete."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from headstart_server.core.errors import CancelledError, DataLossError, NotFoundError, StoppingError
from headstart_server.core.executors import Executors
from headstart_server.core.principal import Principal, Scope
from headstart_server.engines.envelopes import PredictionsOrder
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.export.prediction_backend import check_backend
from headstart_server.export.predictions import check_predictions, check_rows
from headstart_server.jobs.export_records import ExportOrder, ExportRecord, ExportState
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.exports import Exports
from headstart_server.model.bundle import Bundle
from headstart_server.service.admission import DataSource
from headstart_server.service.tenants import Tenants
from headstart_server.serving.inputs import Reuse
from headstart_server.spec.training_sections import BackendSpec

_CHUNK = 1 << 20


class ArtifactDownload:
    """One file of an artifact, from an offset to its end."""

    def __init__(self, artifact: str, path: str, source: BinaryIO, size_bytes: int, sha256: str) -> None:
        self._artifact, self._path, self._source = artifact, path, source
        self.size_bytes, self.sha256 = size_bytes, sha256

    def read(self, offset: int) -> bytes:
        """At most 1 MiB; raises DataLossError where the file ends early."""
        self._source.seek(offset)
        data = self._source.read(min(_CHUNK, self.size_bytes - offset))
        if not data and offset < self.size_bytes:
            raise DataLossError(f"artifacts/{self._artifact}: {self._path} ends at byte {offset} of {self.size_bytes}")
        return data

    def close(self) -> None:
        """Closes the file."""
        self._source.close()


@dataclass(frozen=True)
class RowsWanted:
    """Rows of which the predictions are to be written into a file."""

    source: DataSource
    columns: tuple[str, ...]
    probabilities: bool
    reuse: Reuse
    backend: BackendSpec = field(default_factory=BackendSpec)


@dataclass(frozen=True)
class ExportWanted:
    """What a caller wants to be exported."""

    model: str
    """Its id."""
    format: str
    head_only: bool
    rows: RowsWanted | None = None
    """Of the format `predictions`."""


class ExportService:
    """Use cases of exports, of which a caller finds those of its tenant alone. They outlive who asks for them."""

    def __init__(self, exports: Exports, store: ExportStore, tenants: Tenants, executors: Executors) -> None:
        self._exports, self._store, self._tenants, self._executors = exports, store, tenants, executors

    async def create(self, caller: Principal, wanted: ExportWanted) -> ExportRecord:
        """The export job that makes what is wanted, new or not; raises NotFoundError, InvalidInputError for rows that
        cannot be predicted, or OverloadedError."""
        caller.require(Scope.TRAIN)
        if wanted.rows is not None:
            caller.require(Scope.PREDICT)
        # a model that does not exist is refused now, not after the wait for its turn
        bundle = await self._executors.files.run(self._tenants.of(caller.tenant).models.get, wanted.model)
        predictions = None
        if wanted.rows is not None:
            predictions = await self._executors.planning.run(self._predictions, caller, wanted.rows, bundle)
        order = ExportOrder(wanted.model, wanted.format, wanted.head_only, predictions)
        return await self._exports.create(caller.tenant, order)

    def _predictions(self, caller: Principal, wanted: RowsWanted, bundle: Bundle) -> PredictionsOrder:
        admission = self._tenants.of(caller.tenant).admission
        source = admission.stored_file("predictions.dataset", wanted.source)
        order = PredictionsOrder(source, wanted.columns, wanted.probabilities, wanted.reuse.value, wanted.backend)
        check_predictions(order, bundle.outputs)
        check_backend(order, bundle)
        if (table := admission.small_table([source])) is not None:
            check_rows(order, table, bundle.inputs)
        return order

    async def export(self, caller: Principal, wanted: ExportWanted) -> AsyncGenerator[ExportRecord | Artifact, None]:
        """The export job after each change, then the artifact; raises as `create`, what the export ends with,
        CancelledError, or StoppingError where the server stops before."""
        job = await self.create(caller, wanted)
        async with aclosing(self._followed(job.identifier, 0.0)) as found:
            async for job in found:
                yield job
        if job.error is not None:
            raise job.error
        if job.state is ExportState.CANCELLED:
            raise CancelledError(f"exportJobs/{job.identifier} was cancelled; export again")
        yield await self._executors.files.run(self._tenants.of(caller.tenant).artifacts.get, job.artifact)

    async def watch(self, caller: Principal, identifier: str, idle: float) -> AsyncGenerator[ExportRecord, None]:
        """An export job as it is, and after each change, to its end; again after `idle` seconds without one, unless
        that is 0. Raises NotFoundError, or StoppingError where the server stops before."""
        caller.require(Scope.READ)
        await self._own(caller, identifier)
        async with aclosing(self._followed(identifier, idle)) as found:
            async for job in found:
                yield job

    async def job(self, caller: Principal, identifier: str) -> ExportRecord:
        """One export job; raises NotFoundError."""
        caller.require(Scope.READ)
        return await self._own(caller, identifier)

    async def jobs(self, caller: Principal, limit: int, before: str | None, model: str) -> list[ExportRecord]:
        """At most so many export jobs, newest first: those before one, of one model where it is named."""
        caller.require(Scope.READ)
        return await self._executors.store.run(self._store.newest, caller.tenant, limit, before, model)

    async def cancel(self, caller: Principal, identifier: str) -> ExportRecord:
        """Ends an export job; raises NotFoundError, or FailedPreconditionError if it has ended otherwise."""
        caller.require(Scope.TRAIN)
        await self._own(caller, identifier)
        return await self._exports.cancel(identifier)

    async def _own(self, caller: Principal, identifier: str) -> ExportRecord:
        """Raises NotFoundError for another tenant's, as for one that does not exist."""
        return await self._executors.store.run(self._store.get, identifier, caller.tenant)

    async def _followed(self, identifier: str, idle: float) -> AsyncGenerator[ExportRecord, None]:
        ended = False
        async with aclosing(self._exports.watch(identifier, idle)) as found:
            async for job in found:
                ended = job.state.terminal
                yield job
        if not ended:
            raise StoppingError("the server is stopping; watch the export job again when it is back", retry_after=1)

    async def get(self, caller: Principal, identifier: str) -> Artifact:
        """One artifact; raises NotFoundError or DataLossError."""
        caller.require(Scope.READ)
        return await self._executors.files.run(self._tenants.of(caller.tenant).artifacts.get, identifier)

    async def all(self, caller: Principal, model: str) -> list[Artifact]:
        """Every artifact, newest first; of one model where it is named."""
        caller.require(Scope.READ)
        artifacts = self._tenants.of(caller.tenant).artifacts
        return await self._executors.files.run(lambda: [item for item in artifacts.all() if model in ("", item.model)])

    async def download(
        self, caller: Principal, identifier: str, path: str, offset: int
    ) -> AsyncGenerator[tuple[int, bytes, ArtifactDownload], None]:
        """(offset, bytes, the file), piece by piece from an offset; at least one piece.

        Raises NotFoundError, OutOfRangeError, or DataLossError where the file ends early.
        """
        caller.require(Scope.TRAIN)
        files, artifacts = self._executors.files, self._tenants.of(caller.tenant).artifacts
        source = await files.run(_opened, artifacts, identifier, path, offset)
        try:
            while True:
                data = await files.run(source.read, offset)
                yield offset, data, source
                offset += len(data)
                if offset >= source.size_bytes:
                    return
        finally:
            source.close()

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes an artifact; raises NotFoundError."""
        caller.require(Scope.TRAIN)
        await self._executors.files.run(self._tenants.of(caller.tenant).artifacts.delete, identifier)


def _opened(artifacts: ArtifactRegistry, identifier: str, path: str, offset: int) -> ArtifactDownload:
    """The file, which a deletion meanwhile does not take away."""
    where, file = artifacts.file(identifier, path, offset)
    return ArtifactDownload(identifier, file.path, _open(where, identifier), file.size_bytes, file.sha256)


def _open(path: Path, identifier: str) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise NotFoundError(f"artifacts/{identifier} was deleted", field="name") from None
