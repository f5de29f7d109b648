"""Exports and their artifacts: export, get, list, download, delete."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from headstart_server.core.errors import DataLossError, NotFoundError
from headstart_server.core.executors import Executors
from headstart_server.core.principal import Principal, Scope
from headstart_server.export.artifacts import Artifact, ArtifactRegistry
from headstart_server.jobs.exports import ExportOrder, Exports, Stage
from headstart_server.service.tenants import Tenants

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


class ExportService:
    """Use cases of exports, of which a caller finds those of its tenant alone. A caller who leaves ends its export."""

    def __init__(self, exports: Exports, tenants: Tenants, executors: Executors) -> None:
        self._exports, self._tenants, self._executors = exports, tenants, executors

    async def export(self, caller: Principal, order: ExportOrder) -> AsyncGenerator[Stage | Artifact, None]:
        """Stages, then the artifact; raises NotFoundError, and what `Exports.run` does."""
        caller.require(Scope.TRAIN)
        # a model that does not exist is refused now, not after the wait for its turn
        await self._executors.files.run(self._tenants.of(caller.tenant).models.get, order.model)
        async with aclosing(self._exports.run(caller.tenant, order)) as found:
            async for item in found:
                yield item

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
