"""Images loaded by loader workers: processes on idle cores of any machine, ahead of the training and in its order.

Batches that are ready wait where they were made; nobody loads more of them ahead than a bound. A loader worker that is
lost takes nothing with it: others load its batches again, and where there are none, whoever asked does, as it does what
the machine of a loader worker cannot read.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import structlog

from headstart_server.data.images.augmentation import Augmentation
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.loader import ImageLoader, LoadedImages, load
from headstart_server.data.images.reader import ImageReader
from headstart_server.data.images.scan import ScannedImages
from headstart_server.data.images.transform import ImageTransform
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.runtime_context import runtime_of

_log = structlog.get_logger()
_AHEAD = 2
"""Batches asked of each loader worker."""
MOST_BYTES = 1 << 30
"""Of batches asked for."""


class WorkerLost(Exception):  # noqa: N818 - no error of the program's
    """The process is gone, or no use."""


class LoaderWorkers(Protocol):
    """Processes that load batches, by number."""

    def ready(self) -> Sequence[int]:
        """Those that have started and are not known to be lost."""

    def ask(self, worker: int, rows: list[int], epoch: int | None) -> Any:
        """Has one load a batch; returns a ticket for it."""

    def unfinished(self, tickets: Sequence[Any]) -> list[Any]:
        """Those of some tickets whose batches are not ready yet."""

    def take(self, ticket: Any) -> LoadedImages:
        """Waits for a batch; raises WorkerLost."""

    def lose(self, worker: int) -> None:
        """Takes note that one is lost."""

    def close(self) -> None:
        """Ends all."""


@dataclass(frozen=True)
class ImageReaderConfig:
    """How the images of an input are read, wherever they are."""

    keys: npt.NDArray[np.uint64]
    transform: ImageTransform
    augmentation: Augmentation | None
    seed: int

    @classmethod
    def of(cls, reader: ImageReader) -> "ImageReaderConfig":
        """That of a training's reader."""
        return cls(reader.images.keys, reader.transform, reader.augmentation, reader.seed)


class LoaderWorker:
    """What one of the processes does: opens a job's images by itself, and loads batches of them."""

    def __init__(self, envelope: JobEnvelope, configs: Mapping[str, ImageReaderConfig]) -> None:
        runtime = runtime_of(envelope.runtime, use_gpu=False)
        job = job_context_of(envelope, runtime.storage)
        columns = {feature.name: feature.source for feature in job.spec.input_features}
        self._readers = {}
        for name, config in configs.items():
            column = ImageColumn(job.sources.tables, columns[name], runtime.image_limits)
            images = ScannedImages(column, config.keys)
            self._readers[name] = ImageReader(images, config.transform, config.augmentation, config.seed)

    def load(self, rows: list[int], epoch: int | None) -> LoadedImages:
        """One batch."""
        return load(self._readers, rows, epoch)


@dataclass(frozen=True)
class _Asked:
    """A batch that is to come; without a loader worker, from the loader of the process that trains."""

    rows: list[int]
    worker: int | None = None
    ticket: Any = None


class RemoteLoader:
    """Loads batches by loader workers, in order; by `own` until one has started, and what none of them can load."""

    def __init__(self, workers: LoaderWorkers, own: ImageLoader, most_bytes: int = MOST_BYTES) -> None:
        self._workers, self._own, self._most_bytes = workers, own, most_bytes
        self._busy: dict[int, list[Any]] = {}
        self._largest = 1
        self.seconds = 0.0

    @property
    def workers(self) -> int:
        """Loader workers that are there."""
        return len(self._workers.ready())

    def stream(self, batches: Iterable[Sequence[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """See Loader."""
        wanted = (list(batch) for batch in batches)
        # either way ends when workers have come, or all have gone; the other goes on with what it has not asked for
        while (first := next(wanted, None)) is not None:
            rest = chain([first], wanted)
            for loaded in self._by_workers(rest, epoch) if self._workers.ready() else self._by_itself(rest, epoch):
                self.seconds += loaded.seconds
                yield loaded

    def close(self) -> None:
        """Ends the loader workers."""
        self._workers.close()
        self._own.close()

    def _by_itself(self, wanted: Iterator[list[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """Batches until there are loader workers."""

        def until_then() -> Iterator[list[int]]:
            for rows in wanted:
                yield rows
                if self._workers.ready():
                    return

        yield from self._own.stream(until_then(), epoch)
        self._own.close()  # its processes

    def _by_workers(self, wanted: Iterator[list[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """Batches until there are no loader workers any more."""
        asked: deque[_Asked] = deque()
        while True:
            while len(asked) < self._most_ahead() and (rows := next(wanted, None)) is not None:
                self._largest = max(self._largest, len(rows))
                asked.append(self._ask(rows, epoch))
            if not asked:
                return
            yield self._taken(asked.popleft(), epoch)

    def _most_ahead(self) -> int:
        """Batches asked for at once: at least one, where there is a loader worker."""
        sides = (reader.transform.crop for reader in self._own.readers.values())
        # in bytes: crops are uint8
        size = self._largest * sum(3 * height * width for height, width in sides)
        return min(_AHEAD * len(self._workers.ready()), max(1, self._most_bytes // size))

    def _ask(self, rows: list[int], epoch: int | None) -> _Asked:
        """Asks the loader worker with the least to do."""
        # batches that are ready are no work any more, also those of a stream that was given up
        for worker, tickets in self._busy.items():
            self._busy[worker] = self._workers.unfinished(tickets)
        ready = self._workers.ready()
        if not ready:
            return _Asked(rows)
        worker = min(ready, key=lambda each: len(self._busy.get(each, ())))
        ticket = self._workers.ask(worker, rows, epoch)
        self._busy.setdefault(worker, []).append(ticket)
        return _Asked(rows, worker, ticket)

    def _taken(self, asked: _Asked, epoch: int | None) -> LoadedImages:
        """A batch, whoever has to load it in the end. What a loader worker cannot read, this machine may."""
        # every turn but the last loses a worker, so this ends in one that answers, or here
        while asked.worker is not None:
            try:
                return _sound(self._workers.take(asked.ticket))
            except WorkerLost as error:
                _log.warning("a process that loaded images is no use; others load its batches", error=str(error))
                self._workers.lose(asked.worker)
                self._busy.pop(asked.worker, None)
                asked = self._ask(asked.rows, epoch)
        return self._own.load(asked.rows, epoch)


def _sound(loaded: LoadedImages) -> LoadedImages:
    """Raises WorkerLost for a batch with images that the loader worker's machine could not read."""
    for name, bad in loaded.bad.items():
        for row, reason in bad.items():
            raise WorkerLost(f"it cannot read the image of {name!r} in row {row + 1}: {reason}")
    return loaded
