"""Resources of one kind on the server, for asyncio: list, get, delete, and what else each kind can do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Generic, TypeVar

from google.protobuf.message import Message

from headstart.programs import resources
from headstart.programs.resources import Kind
from headstart.v1.export_pb2 import Artifact
from headstart.v1.training_pb2 import TrainJob
from headstart.wire import methods
from headstart.wire.async_driver import AsyncDriver

M = TypeVar("M", bound=Message)


class AsyncListing(Generic[M]):
    """Resources that can be listed and deleted. Names may be full (`models/m1`) or bare (`m1`)."""

    def __init__(self, driver: AsyncDriver, kind: Kind[M]) -> None:
        self._driver = driver
        self._kind = kind

    def list(self) -> AsyncIterator[M]:
        """Yield every resource, fetching page after page."""
        return self._driver.stream(resources.list_all(self._kind))

    async def delete(self, name: str) -> None:
        """Delete one resource."""
        await self._driver.run(resources.delete(self._kind, name))


class AsyncCollection(AsyncListing[M]):
    """Resources that can be read one by one, too."""

    async def get(self, name: str) -> M:
        """Read one resource."""
        return await self._driver.run(resources.get(self._kind, name))


class AsyncJobs(AsyncCollection[TrainJob]):
    """Training jobs, newest first."""

    def list(self, states: Sequence[TrainJob.State] = ()) -> AsyncIterator[TrainJob]:
        """Yield every job, or those in some states."""
        return self._driver.stream(resources.list_all(self._kind, states=states))

    async def cancel(self, name: str) -> TrainJob:
        """Ask a job to stop."""
        return await self._driver.run(resources.named(self._kind, methods.CANCEL_JOB, name))

    async def pause(self, name: str) -> TrainJob:
        """Stop a job at its next checkpoint."""
        return await self._driver.run(resources.named(self._kind, methods.PAUSE_JOB, name))

    async def resume(self, name: str) -> TrainJob:
        """Go on with a paused job."""
        return await self._driver.run(resources.named(self._kind, methods.RESUME_JOB, name))


class AsyncArtifacts(AsyncCollection[Artifact]):
    """Exported models, newest first."""

    def list(self, model: str = "") -> AsyncIterator[Artifact]:
        """Yield every artifact, or those of one model."""
        return self._driver.stream(resources.artifacts_of(model))
