"""Data sets: upload, find, list, delete."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headstart_server import metrics
from headstart_server.core.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    NotFoundError,
    OutOfRangeError,
    OverloadedError,
)
from headstart_server.core.executors import Executors
from headstart_server.core.names import name_of
from headstart_server.core.principal import Principal, Scope
from headstart_server.core.quotas import Quotas
from headstart_server.core.reasons import Reason
from headstart_server.core.states import State
from headstart_server.data.formats import Format
from headstart_server.data.received import BrokenUpload
from headstart_server.data.uploads import Dataset, Upload, Uploads
from headstart_server.jobs.export_store import ExportStore
from headstart_server.jobs.store import JobStore
from headstart_server.service.tenants import Tenants

_CUT_TURNS, _CUT_SECONDS = 10, 0.005
"""Within which who waits after the last chunk is cancelled where the call was cut; 0.7 ms at most in 400 calls. In
turns: where the process stood still, what has happened meanwhile is heard of in the next one."""
_SILENT_SECONDS = 300.0
"""After which an upload that brings nothing more makes room for others."""
MOST_UPLOADS = 64
"""At the same time, each an open file and some messages in memory."""


@dataclass(frozen=True)
class Stored:
    """What a tenant has stored."""

    rows: int = 0
    size: int = 0


@dataclass(frozen=True)
class UploadHeader:
    """What an upload announces."""

    display_name: str
    format: str
    """Empty: by the name's ending."""
    sha256: str
    """Empty: unknown."""
    upload_id: str = ""
    """Empty: what arrives is not kept when the call breaks."""
    offset: int = 0
    """Bytes that are left out, because they have arrived before."""


class DatasetService:
    """Use cases of uploaded files. A caller finds those of its tenant alone."""

    def __init__(self, tenants: Tenants, jobs: JobStore, executors: Executors, quotas: Quotas | None = None) -> None:
        self._tenants, self._jobs, self._executors = tenants, jobs, executors
        self._quotas = quotas or Quotas()
        self._receiving = 0

    async def upload(self, caller: Principal, header: UploadHeader, chunks: AsyncIterator[bytes]) -> Dataset:
        """Receives a file, unless its bytes are here in this format: then no chunk is read.

        Raises InvalidInputError for what is no data set, OutOfRangeError for an offset past what has arrived,
        TooLargeError, QuotaError, or OverloadedError.
        """
        caller.require(Scope.TRAIN)
        files, uploads = self._executors.files, self._tenants.of(caller.tenant).uploads
        if (known := await self._known(uploads, header)) is not None:
            return known
        stored = await files.run(_stored, uploads, header.upload_id) if self._has_quota(caller) else Stored()
        # one more of each: a tenant that has all that it may have is told so before it sends anything
        self._quotas.require_stored(caller.tenant, stored.rows + 1, stored.size + header.offset + 1)
        with self._one_more():
            try:
                receiving = await self._begun(uploads, header)
            except OutOfRangeError:
                # the call before this one may have published it meanwhile
                if (known := await self._known(uploads, header)) is not None:
                    return known
                raise
            with metrics.UPLOADS.track_inprogress(), receiving as upload:
                async for chunk in _while_they_come(chunks):
                    self._quotas.require_stored(caller.tenant, stored.rows, stored.size + upload.size + len(chunk))
                    await files.run(upload.write, chunk)
                if not upload.has_announced_bytes:
                    # a call that its client cuts ends like a whole one, and is cancelled only then
                    for _ in range(_CUT_TURNS):
                        await asyncio.sleep(_CUT_SECONDS)

                def check(found: Dataset) -> None:
                    # once more: others of the tenant's may have ended meanwhile
                    now = _stored(uploads, header.upload_id) if self._has_quota(caller) else stored
                    self._quotas.require_stored(caller.tenant, now.rows + found.row_count, now.size + found.size_bytes)

                return await files.run(upload.finish, check)

    async def broken_upload(self, caller: Principal, upload_id: str) -> BrokenUpload:
        """What has arrived of an upload; raises NotFoundError."""
        caller.require(Scope.TRAIN)
        return await self._executors.files.run(self._tenants.of(caller.tenant).uploads.received.find, upload_id)

    async def _known(self, uploads: Uploads, header: UploadHeader) -> Dataset | None:
        """The data set with the bytes that an upload announces, in its format."""
        file_format = uploads.format_of(header.display_name, header.format)
        if not header.sha256:
            return None
        known = await self._executors.files.run(uploads.find, header.sha256.lower(), file_format)
        if known is not None:
            await self._executors.files.run(uploads.received.forget, header.upload_id)
        return known

    async def _begun(self, uploads: Uploads, header: UploadHeader) -> Upload:
        given = (header.display_name, header.format, header.sha256, header.upload_id, header.offset)
        return await self._executors.files.run(uploads.receive, *given)

    def _has_quota(self, caller: Principal) -> bool:
        quotas = self._quotas.of(caller.tenant)
        return quotas.dataset_rows is not None or quotas.dataset_bytes is not None

    @contextmanager
    def _one_more(self) -> Iterator[None]:
        """Counts an upload; raises OverloadedError where too many are under way."""
        if self._receiving >= MOST_UPLOADS:
            raise OverloadedError(f"{self._receiving} files are being received already; try again later", retry_after=5)
        self._receiving += 1
        try:
            yield
        finally:
            self._receiving -= 1

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
        if user := await self._executors.store.run(self._user_of, identifier):
            message = f"datasets/{identifier} is in use by {user}; wait or cancel it"
            raise FailedPreconditionError(message, reason=Reason.DATASET_IN_USE)
        await self._executors.files.run(uploads.delete, identifier)

    def _user_of(self, identifier: str) -> str:
        """The unfinished job that needs a data set; empty where none does."""
        unfinished = [state for state in State if not state.terminal]
        if job := self._jobs.user_of(identifier, unfinished):
            return name_of("trainJobs", job)
        export = ExportStore(self._jobs.database).user_of(identifier)
        return name_of("exportJobs", export) if export else ""


def _stored(uploads: Uploads, upload_id: str) -> Stored:
    """What a tenant's data sets, and its broken uploads but one, hold already."""
    found = list(uploads.all())
    size = sum(each.size_bytes for each in found) + uploads.received.size_bytes(but=upload_id)
    return Stored(sum(each.row_count for each in found), size)


async def _while_they_come(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks; raises DeadlineExceededError where none has come for a while."""
    while True:
        try:
            async with asyncio.timeout(_SILENT_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise DeadlineExceededError(
                f"no chunk has come for {_SILENT_SECONDS:g} seconds; call again with the same upload_id and an offset, "
                "and send the rest"
            ) from None
        if chunk is None:
            return
        yield chunk
