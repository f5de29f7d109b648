"""Loads images ahead of whoever computes with them: decoded, resized and augmented by other processes.

What comes out depends on seed, epoch and row (or on seed, view and content), never on the number of processes.
"""

import multiprocessing
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from multiprocessing import connection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import structlog
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from headstart_server.core.errors import TrainingFailedError
from headstart_server.core.reasons import Reason
from headstart_server.data.images.decode import BadImageError
from headstart_server.data.images.reader import ImageReader

_log = structlog.get_logger()
FEW_IMAGES = 1_024
"""Below this, starting the first process takes longer than decoding: it imports torch."""
FEW_IMAGES_MORE = 128
"""The same for further ones, which are forked at once."""
_FORKS = threading.Event()
"""Whether the server that forks them runs."""
MOST_WORKERS = 16
_AHEAD = 2
_DYING_SECONDS = 2.0
_SHARED = Path("/dev/shm")
_SPARE = 2
"""Times the shared memory that this pass needs: others use it too, and later passes may have larger batches."""


class LoadedImages(NamedTuple):
    """One batch: rows that could be loaded, their crops uint8 [n, 3, h, w] by input, and what is wrong with others."""

    rows: list[int]
    crops: dict[str, Tensor]
    bad: dict[str, dict[int, str]]
    seconds: float
    """How long whoever loaded them was at it."""


class Loader(Protocol):
    """Loads batches of images ahead."""

    @property
    def workers(self) -> int:
        """Processes that load; 0 where whoever asks does it."""

    @property
    def seconds(self) -> float:
        """For how long, in sum, what came out of `stream` was being loaded."""

    def stream(self, batches: Iterable[Sequence[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """The batches one after the other, augmented where `epoch` is given; some are asked for and loaded ahead.

        A stream ends the one before it. Raises TrainingFailedError where images cannot be loaded any more.
        """

    def close(self) -> None:
        """Ends the processes."""


class ImageLoader:
    """Loads batches of rows of several inputs in order. Processes, if any, live until `close`."""

    def __init__(self, readers: Mapping[str, ImageReader], workers: int) -> None:
        self.readers = readers
        self.workers = workers
        self.seconds = 0.0
        self._requests = _Requests(())
        self._loader: DataLoader[LoadedImages] | None = None

    def stream(self, batches: Iterable[Sequence[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """See Loader. Raises TrainingFailedError where a process dies."""
        for loaded in self._stream(batches, epoch):
            self.seconds += loaded.seconds
            yield loaded

    def load(self, rows: Sequence[int], epoch: int | None) -> LoadedImages:
        """One batch, by this process."""
        return load(self.readers, rows, epoch)

    def _stream(self, batches: Iterable[Sequence[int]], epoch: int | None) -> Iterator[LoadedImages]:
        asked = (_Request(list(batch), epoch) for batch in batches)
        # The first request tells how much room crops need before any process is started.
        first = next(asked, None)
        if first is None:
            return
        requests = chain([first], asked)
        if not self.workers or not _has_room(self._ahead() * self._bytes(first)):
            yield from (self.load(request.rows, request.epoch) for request in requests)
            return
        self._requests.pending = requests
        try:
            yield from self._started()
        except (RuntimeError, OSError, EOFError) as error:  # torch notices, or a crop's memory cannot be fetched
            if not self._lost_a_process():
                raise
            self.close()
            raise TrainingFailedError(
                "a process that loads images died, which is what happens when the machine runs out of memory",
                reason=Reason.OUT_OF_MEMORY,
            ) from error

    def _started(self) -> Iterator[LoadedImages]:
        """The processes at work on the pending requests; they start with the first of them."""
        if self._loader is None:
            self._loader = DataLoader(
                _Rows(self.readers),
                # The sampler gives whole batches.
                batch_size=None,
                sampler=self._requests,
                num_workers=self.workers,
                prefetch_factor=_AHEAD,
                collate_fn=_as_it_is,
                multiprocessing_context=_processes(),
                worker_init_fn=_end_with_parent,
                persistent_workers=True,
                generator=torch.Generator(),  # else each pass would draw from the generator of the training
            )
        with _main_module_hidden():
            loading = iter(self._loader)
        _FORKS.set()
        return loading

    def _lost_a_process(self) -> bool:
        """Whether one ended; the server that forked them takes a moment to tell."""
        iterator = getattr(self._loader, "_iterator", None)
        ends = [worker.sentinel for worker in iterator._workers] if iterator is not None else []
        return bool(connection.wait(ends, timeout=_DYING_SECONDS))

    def _ahead(self) -> int:
        """Batches that lie in memory at most: those asked for, and one in use."""
        return self.workers * _AHEAD + 1

    def _bytes(self, request: "_Request") -> int:
        pixels = sum(3 * reader.transform.crop[0] * reader.transform.crop[1] for reader in self.readers.values())
        return len(request.rows) * pixels

    def close(self) -> None:
        """Ends the processes."""
        iterator = getattr(self._loader, "_iterator", None)
        if iterator is not None:
            iterator._shutdown_workers()
        self._loader = None


def workers_for(images: int, cores: int = 0) -> int:
    """How many processes load so many images: none for a few; otherwise half of the cores, for the rest compute.

    Without `cores`, of those that this process may use: a container may be held to some of the machine's.
    """
    return 0 if few(images) else max(1, min(MOST_WORKERS, (cores or len(os.sched_getaffinity(0))) // 2))


def few(images: int) -> bool:
    """Whether so many images are not worth a process."""
    return images < (FEW_IMAGES_MORE if _FORKS.is_set() else FEW_IMAGES)


def local_loader(readers: Mapping[str, ImageReader], images: int) -> Loader:
    """Loads so many images by processes of this machine."""
    return ImageLoader(readers, workers_for(images))


@dataclass(frozen=True)
class _Request:
    rows: list[int]
    epoch: int | None


class _Requests:
    """A sampler whose requests change from pass to pass while the processes stay."""

    def __init__(self, pending: Iterable[_Request]) -> None:
        self.pending = pending

    def __iter__(self) -> Iterator[_Request]:
        return iter(self.pending)


class _Rows(Dataset[LoadedImages]):
    """What a process holds: the readers."""

    def __init__(self, readers: Mapping[str, ImageReader]) -> None:
        self._readers = dict(readers)

    def __getitem__(self, request: _Request) -> LoadedImages:
        return load(self._readers, request.rows, request.epoch)


def load(readers: Mapping[str, ImageReader], rows: Sequence[int], epoch: int | None) -> LoadedImages:
    """One batch, by the process that asks for it."""
    started = time.perf_counter()
    bad: dict[str, dict[int, str]] = {name: {} for name in readers}
    crops: dict[str, dict[int, Tensor]] = {name: {} for name in readers}
    for name, reader in readers.items():
        for row in rows:
            try:
                crops[name][row] = reader.crop(row, epoch)
            except BadImageError as error:
                bad[name][row] = str(error)
    kept = [row for row in rows if all(row in found for found in crops.values())]
    stacked = {name: torch.stack([found[row] for row in kept]) for name, found in crops.items() if kept}
    return LoadedImages(kept, stacked, bad, time.perf_counter() - started)


def _as_it_is(item: Any) -> Any:
    return item


def _processes() -> Any:
    """A server that forks processes which have torch and Pillow imported; the process with the training never forks."""
    context = torch.multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _end_with_parent(worker: int) -> None:
    """Ends this process when the one that it loads for is gone, however that ended.

    torch watches a worker's parent, which is the server that forked it; and that lives while its workers do.
    """
    del worker
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)  # sys.exit would end this thread alone

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Lets processes start without importing the main module again, of which they need nothing."""
    main = sys.modules["__main__"]
    # What multiprocessing tells a new process to import as its main module it takes from these two.
    hidden: dict[str, Any] = {
        name: main.__dict__.pop(name) for name in ("__spec__", "__file__") if name in main.__dict__
    }
    main.__spec__ = None
    try:
        yield
    finally:
        main.__dict__.update(hidden)


def _has_room(needed: int) -> bool:
    """Whether the shared memory through which crops travel has room: containers often have 64 MB of it."""
    if not _SHARED.is_dir():
        return True
    free = shutil.disk_usage(_SHARED).free
    enough = free > _SPARE * needed
    if not enough:
        _log.warning(
            "images are loaded by the training's own process: too little shared memory",
            free_bytes=free,
            needed_bytes=_SPARE * needed,
        )
    return enough
