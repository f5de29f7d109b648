"""CPU cores as streams of their own: batches side by side, each on one core, never waiting for one another."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar

import torch

T = TypeVar("T")
R = TypeVar("R")


def streamed(encode: Callable[[T], R], batches: Iterable[T], streams: int) -> Iterator[R]:
    """Encodes batches on several threads of one core each, in order, a few of them ahead.

    Cores that work on batches of their own never wait for each other, as they do at every operation when they share a
    batch.
    """
    with threads(1):
        pool = ThreadPoolExecutor(streams, "encode", initializer=torch.set_num_threads, initargs=(1,))
        try:
            yield from ahead(pool, encode, batches, 2 * streams)
        finally:
            # Who leaves early waits for the batches that run, not for those in line.
            pool.shutdown(cancel_futures=True)


def ahead(pool: ThreadPoolExecutor, work: Callable[[T], R], items: Iterable[T], most: int) -> Iterator[R]:
    """What a function returns for some items, in order, called on a pool's threads for at most so many ahead."""
    running: deque[Future[R]] = deque()
    try:
        for item in items:
            running.append(pool.submit(work, item))
            if len(running) > most:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        for future in running:
            future.cancel()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Runs with so many threads per operation, then with as many as the process began with."""
    whole = cores()
    if count == whole:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(whole)


@lru_cache(maxsize=1)
def cores() -> int:
    """Threads per operation that the process began with: one per core, or as OMP_NUM_THREADS says."""
    return torch.get_num_threads()
