"""Images loaded on a Ray cluster's idle CPUs, for the workers that train."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import ray
import structlog
import torch
from ray.exceptions import GetTimeoutError, RayError

from headstart_server.data.images.loader import ImageLoader, LoadedImages, Loader, few
from headstart_server.data.images.reader import ImageReader
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.ray.cluster import brief
from headstart_server.engines.remote_loader import ImageReaderConfig, LoaderWorker, RemoteLoader, WorkerLost
from headstart_server.model.world import World

_log = structlog.get_logger()
_REPLACED = 3
"""How often each is replaced, on average."""


class ClusterLoading:
    """Makes the loader of one rank: its share of `workers`, which load on other cores, and processes of its own."""

    def __init__(self, envelope: JobEnvelope, world: World, workers: int, cores: int) -> None:
        self._envelope, self._cores = envelope, cores
        self._workers = workers // world.size + (world.rank < workers % world.size)

    def __call__(self, readers: Mapping[str, ImageReader], images: int) -> Loader:
        """A loader of so many images."""
        if few(images):
            return ImageLoader(readers, 0)
        own = ImageLoader(readers, max(1, self._cores - 1))
        if not self._workers:
            return own
        configs = {name: ImageReaderConfig.of(reader) for name, reader in readers.items()}
        return RemoteLoader(RayLoaderWorkers(self._envelope, configs, self._workers), own)


class RayLoaderWorkers:
    """Actors of one CPU each, wherever the cluster has one; they live as long as this process."""

    def __init__(self, envelope: JobEnvelope, configs: Mapping[str, ImageReaderConfig], count: int) -> None:
        self._envelope, self._configs = envelope, ray.put(dict(configs))
        self._actors: list[Any] = []
        self._starting: dict[int, Any] = {}
        self._ready: list[int] = []
        self._spare = _REPLACED * count
        for _ in range(count):
            self._start()

    def ready(self) -> Sequence[int]:
        """See LoaderWorkers."""
        for worker, started in list(self._starting.items()):
            try:
                ray.get(started, timeout=0)
            except GetTimeoutError:
                continue
            except RayError as error:
                _log.warning("a process that was to load images did not start", error=brief(error))
                del self._starting[worker]
                continue
            del self._starting[worker]
            self._ready.append(worker)
        return self._ready

    def ask(self, worker: int, rows: list[int], epoch: int | None) -> Any:
        """See LoaderWorkers."""
        return self._actors[worker].load.remote(rows, epoch)

    def unfinished(self, tickets: Sequence[Any]) -> list[Any]:
        """See LoaderWorkers."""
        if not tickets:
            return []
        unfinished: list[Any] = ray.wait(list(tickets), num_returns=len(tickets), timeout=0, fetch_local=False)[1]
        return unfinished

    def take(self, ticket: Any) -> LoadedImages:
        """See LoaderWorkers."""
        try:
            answer: tuple[LoadedImages, dict[str, Any]] = ray.get(ticket)
        except RayError as error:  # its process or its machine has gone, what it made with it, or it failed
            raise WorkerLost(brief(error)) from error
        loaded, crops = answer
        # copied: Ray's arrays are read-only, which torch.from_numpy warns of
        return loaded._replace(crops={name: torch.from_numpy(np.array(values)) for name, values in crops.items()})

    def lose(self, worker: int) -> None:
        """See LoaderWorkers. Another one takes its place."""
        # once each: whatever else was asked of it raises WorkerLost, too
        if worker in self._ready:
            self._ready.remove(worker)
            ray.kill(self._actors[worker])  # it may live, and come back
            if self._spare:
                self._spare -= 1
                self._start()

    def _start(self) -> None:
        actor = (
            ray.remote(_LoaderActor)
            .options(num_cpus=1, scheduling_strategy="SPREAD")
            .remote(self._envelope, self._configs)
        )
        self._starting[len(self._actors)] = actor.started.remote()
        self._actors.append(actor)

    def close(self) -> None:
        """See LoaderWorkers."""
        for actor in self._actors:
            ray.kill(actor)


class _LoaderActor:
    """One of the actors."""

    def __init__(self, envelope: JobEnvelope, configs: Mapping[str, ImageReaderConfig]) -> None:
        self._worker = LoaderWorker(envelope, configs)

    def started(self) -> None:
        """Answers once it can load."""

    def load(self, rows: list[int], epoch: int | None) -> tuple[LoadedImages, dict[str, Any]]:
        """One batch; crops as arrays, which Ray need not copy."""
        loaded = self._worker.load(rows, epoch)
        return loaded._replace(crops={}), {name: values.numpy() for name, values in loaded.crops.items()}
