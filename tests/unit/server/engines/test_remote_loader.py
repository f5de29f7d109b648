"""Images that others load arrive in order and the same, no further ahead than allowed, and whoever is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from headstart_server.data.images.loader import ImageLoader, LoadedImages
from headstart_server.engines.remote_loader import RemoteLoader, WorkerLost

from tests.support.images import png, reader

ROWS = 24
BATCHES = [[3, 1], [0, 2, 4], [5], list(range(6, ROWS)), [23, 23], [7], [8, 9], [10]]
READERS = {"image": reader([png(seed) for seed in range(ROWS)], "random_horizontal_flip", "random_rotate")}
_TURNS = threading.Lock()


class OneAtATime(ImageLoader):
    """What is drawn comes from torch's own generator, of which a process has one for all threads."""

    def load(self, rows: Sequence[int], epoch: int | None) -> LoadedImages:
        with _TURNS:
            return super().load(rows, epoch)


OWN = OneAtATime(READERS, 0)
"""What loads where there are no loader workers: this process."""


@dataclass
class Threads:
    """LoaderWorkers that are threads. `mortal` says after how many batches which of them dies."""

    count: int
    mortal: dict[int, int] = field(default_factory=dict)
    late: int = 0
    """How often nobody is ready."""
    blind: bool = False
    """Whether none of them can read an image."""
    gate: threading.Event | None = None
    """Nobody loads before it is set."""

    def __post_init__(self) -> None:
        self.pools = [ThreadPoolExecutor(1) for _ in range(self.count)]
        self.alive = list(range(self.count))
        self.asked: list[int] = []

    def ready(self) -> Sequence[int]:
        if self.late > 0:
            self.late -= 1
            return []
        return self.alive

    def ask(self, worker: int, rows: list[int], epoch: int | None) -> Any:
        self.asked.append(worker)
        dies = self.mortal.get(worker, len(BATCHES) + 1) < self.asked.count(worker)
        return self.pools[worker].submit(self._load, dies, rows, epoch)

    def _load(self, dies: bool, rows: list[int], epoch: int | None) -> LoadedImages:
        if self.gate is not None:
            self.gate.wait(30)
        if dies:
            raise WorkerLost("killed")
        if self.blind:
            return LoadedImages([], {}, {"image": dict.fromkeys(rows, "there is no such file")}, 0.0)
        return OWN.load(rows, epoch)

    def unfinished(self, tickets: Sequence[Any]) -> list[Any]:
        return [ticket for ticket in tickets if not ticket.done()]

    def take(self, ticket: Future[LoadedImages]) -> LoadedImages:
        return ticket.result(30)

    def lose(self, worker: int) -> None:
        self.alive = [each for each in self.alive if each != worker]

    def close(self) -> None:
        for pool in self.pools:
            pool.shutdown()


def _require_same(found: Iterator[LoadedImages] | list[LoadedImages], epoch: int | None) -> None:
    for rows, loaded in zip(BATCHES, found, strict=True):
        assert loaded.rows == rows
        assert torch.equal(loaded.crops["image"], OWN.load(rows, epoch).crops["image"])


@pytest.mark.parametrize("epoch", [None, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_batches_come_in_order_and_are_shared(epoch: int | None, count: int) -> None:
    workers = Threads(count)
    loader = RemoteLoader(workers, OWN)
    _require_same(loader.stream(BATCHES, epoch), epoch)
    assert sorted(set(workers.asked)) == list(range(count))
    assert len(workers.asked) == len(BATCHES)
    assert loader.seconds > 0 and loader.workers == count
    loader.close()


def test_nobody_loads_further_ahead_than_two_batches_each() -> None:
    workers = Threads(2)
    loader = RemoteLoader(workers, OWN)
    stream = loader.stream(BATCHES, 1)
    next(stream)
    assert len(workers.asked) == 4
    next(stream)
    assert len(workers.asked) == 5
    list(stream)
    small = Threads(2)
    first = RemoteLoader(small, OWN, most_bytes=1).stream(BATCHES, 1)
    next(first)
    assert len(small.asked) == 1, "a batch's size counts before the next is asked for"
    for each in (workers, small):
        each.close()


def test_the_hand_with_the_least_to_do_is_asked() -> None:
    gate = threading.Event()
    workers = Threads(3, gate=gate)
    loader = RemoteLoader(workers, OWN)
    stream = loader.stream(BATCHES, 1)
    waiting = threading.Thread(target=next, args=(stream,))
    waiting.start()
    while len(workers.asked) < 6:
        waiting.join(0.01)
    assert workers.asked == [0, 1, 2, 0, 1, 2]
    gate.set()
    waiting.join()
    workers.close()


@pytest.mark.parametrize("mortal", [{0: 0}, {0: 1, 1: 2}, {0: 0, 1: 0, 2: 0}, {0: 1, 1: 1, 2: 1}])
def test_what_a_lost_hand_had_is_loaded_by_others_or_here(mortal: dict[int, int]) -> None:
    workers = Threads(3, mortal)
    loader = RemoteLoader(workers, OWN)
    _require_same(loader.stream(BATCHES, 1), 1)
    assert loader.workers == 3 - len(mortal)
    _require_same(loader.stream(BATCHES, 2), 2)
    loader.close()


def test_who_asks_loads_as_long_as_nobody_has_started() -> None:
    workers = Threads(2, late=7)
    loader = RemoteLoader(workers, OWN)
    _require_same(loader.stream(BATCHES, 1), 1)
    assert 0 < len(workers.asked) < len(BATCHES)
    loader.close()


def test_a_stream_that_is_given_up_leaves_the_next_one_whole() -> None:
    loader = RemoteLoader(Threads(2), OWN)
    next(loader.stream(BATCHES, 1))
    _require_same(loader.stream(BATCHES, 2), 2)
    assert list(loader.stream([], 3)) == []
    loader.close()


def test_what_a_hand_cannot_read_is_read_here() -> None:
    loader = RemoteLoader(Threads(2, blind=True), OWN)
    _require_same(loader.stream(BATCHES, 1), 1)
    loader.close()
