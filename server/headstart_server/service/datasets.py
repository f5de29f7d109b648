"""Data sets: upload, find, list, delete."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from headstart_server import metrics
from headstart_server.core.errors import FailedPreconditionError, NotFoundError
from headstart_server.core.executors import Executors
from headstart_server.core.principal import Principal, Scope
from headstart_server.core.states import State
from headstart_server.data.formats import Format
from headstart_server.data.uploads import Dataset
from headstart_server.jobs.store import JobStore
from headstart_server.service.tenants import Tenants


@dataclass(frozen=True)
class UploadHeader:
    """What an upload announces."""

    display_name: str
    format: str
    """Empty: by the name's ending."""
    sha256: str
    """Empty: unknown."""


class DatasetService:
    """Use cases of uploaded files. A caller finds those of its tenant alone."""

    def __init__(self, tenants: Tenants, jobs: JobStore, executors: Executors) -> None:
        self._tenants, self._jobs, self._executors = tenants, jobs, executors

    async def upload(self, caller: Principal, header: UploadHeader, chunks: AsyncIterator[bytes]) -> Dataset:
        """Receives a file, unless its bytes are here in this format: then no chunk is read.

        Raises InvalidInputError for what is no data set, and TooLargeError.
        """
        caller.require(Scope.TRAIN)
        files, uploads = self._executors.files, self._tenants.of(caller.tenant).uploads
        file_format = uploads.format_of(header.display_name, header.format)
        if header.sha256:
            known = await files.run(uploads.find, header.sha256.lower(), file_format)
            if known is not None:
                return known
        receiving = await files.run(uploads.receive, header.display_name, header.format, header.sha256)
        with metrics.UPLOADS.track_inprogress(), receiving as upload:
            async for chunk in chunks:
                await files.run(upload.write, chunk)
            return await files.run(upload.finish)

    async def get(self, caller: Principal, identifier: str) -> Dataset:
        """One data set; raises NotFoundError or DataLossError."""
        caller.require(Scope.READ)
        return await self._executors.files.run(self._tenants.of(caller.tenant).uploads.get, identifier)

    async def find(self, caller: Principal, sha256: str, file_format: Format | None) -> Dataset:
        """The data set with these bytes, in any format unless one is given; raises NotFoundError."""
        caller.require(Scope.READ)
        found = await self._executors.files.run(self._tenants.of(caller.tenant).uploads.find, sha256, file_format)
        if found is None:
            raise NotFoundError("no data set has these bytes; upload them", field="name")
        return found

    async def all(self, caller: Principal) -> list[Dataset]:
        """Every data set, newest first."""
        caller.require(Scope.READ)
        uploads = self._tenants.of(caller.tenant).uploads
        return await self._executors.files.run(lambda: list(uploads.all()))

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes a data set; raises FailedPreconditionError where an unfinished job needs it, or NotFoundError."""
        caller.require(Scope.TRAIN)
        uploads = self._tenants.of(caller.tenant).uploads
        # first: whether a job needs another tenant's is not for this caller to know
        await self._executors.files.run(uploads.require, identifier)
        unfinished = [state for state in State if not state.terminal]
        if job := await self._executors.store.run(self._jobs.user_of, identifier, unfinished):
            raise FailedPreconditionError(f"datasets/{identifier} is in use by trainJobs/{job}; wait or cancel it")
        await self._executors.files.run(uploads.delete, identifier)
