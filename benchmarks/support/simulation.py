"""A small simulator of one job on a cluster, fed with measured costs: which stage takes how long, and what fills up.

Each stage is what the code does, with one machine's measured seconds per row. The embedding pass is simulated event by
event, for its pieces go to whoever is free; the others are sums.
"""

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from headstart_server.encoding.encode_pool import LEAST_ROWS, MOST_ROWS, PIECES

_KEY_BYTES, _INDEX_BYTES = 16, 24
_JITTER = 0.15
"""Standard deviation of the logarithm of a piece's time: machines differ, and are shared."""


@dataclass(frozen=True)
class Costs:
    """Seconds on one core, per row unless it says otherwise."""

    read: float
    """From a data file to an Arrow table."""
    hash: float
    find: float
    """Of one row among as many stored ones."""
    gather: float
    encode: float
    train: float
    """One row through the head, forwards and backwards."""
    step: float
    """One optimizer step, whatever its rows."""
    shard: float
    """Publishing one shard."""
    row_bytes: int
    """Of a row's text."""
    embedding_bytes: int


@dataclass(frozen=True)
class Cluster:
    """What surrounds the workers. Nobody measured these: they are given, and written above the table."""

    workers: int
    cores: int = 16
    """Of each worker."""
    memory: float = 64e9
    """Of each worker, and of the driver."""
    start: float = 20.0
    """Seconds until a worker has imported torch and loaded its weights."""
    link: float = 1.25e9
    """Bytes per second of one machine."""
    store: float = 50e9
    """Bytes per second of the object store, all machines together."""
    latency: float = 1e-4
    """Seconds of one message between workers."""
    core_hour: float = 0.05
    """Price of one core for an hour, in dollars."""


@dataclass(frozen=True)
class Stage:
    """One part of a job."""

    name: str
    seconds: float
    memory: float
    """Bytes that one process needs."""


@dataclass(frozen=True)
class Simulated:
    """One job."""

    rows: int
    cluster: Cluster
    stages: tuple[Stage, ...]

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(stage.seconds for stage in self.stages)

    @property
    def bottleneck(self) -> Stage:
        """The stage that takes longest."""
        return max(self.stages, key=lambda stage: stage.seconds)

    @property
    def too_large(self) -> list[str]:
        """Stages that need more memory than a process has."""
        return [stage.name for stage in self.stages if stage.memory > self.cluster.memory]

    @property
    def dollars(self) -> float:
        """For the workers, from the first to the last second."""
        return self.seconds / 3600 * self.cluster.workers * self.cluster.cores * self.cluster.core_hour


def simulate(
    costs: Costs, cluster: Cluster, rows: int, epochs: int, batch_size: Callable[[int], int], *, parted: bool = False
) -> Simulated:
    """A job over `rows` distinct texts, none of them stored.

    As the code is, the driver reads, hashes and looks up every row, and every worker gathers all of them. `parted` is
    how it could be: each worker reads, hashes and gathers its own part.
    """
    share = rows / cluster.workers if parted else rows
    processes = cluster.workers if parted else 1
    survey = Stage(
        "survey",
        rows * (costs.read + costs.hash + costs.find) / processes,
        share * (_KEY_BYTES + _INDEX_BYTES + costs.row_bytes),
    )
    gather = Stage(
        "gather",
        max(
            share * (costs.hash + costs.find + costs.gather / cluster.cores) + (0 if parted else rows * costs.read),
            share * costs.embedding_bytes / cluster.link,
            share * cluster.workers * costs.embedding_bytes / cluster.store,
        ),
        share * (costs.embedding_bytes + _KEY_BYTES + _INDEX_BYTES),
    )
    steps = epochs * math.ceil(rows / batch_size(rows))
    talk = 2 * math.ceil(math.log2(cluster.workers)) * cluster.latency if cluster.workers > 1 else 0.0
    train = Stage("train", epochs * rows * costs.train / cluster.workers + steps * (costs.step + talk), gather.memory)
    return Simulated(rows, cluster, (survey, _encode(costs, cluster, rows), gather, train))


def _encode(costs: Costs, cluster: Cluster, rows: int) -> Stage:
    """Pieces go to whoever is free."""
    size = min(max(LEAST_ROWS, rows // (PIECES * cluster.workers)), MOST_ROWS)
    count = math.ceil(rows / size)
    random = np.random.default_rng(0)
    free = [cluster.start * factor for factor in np.exp(random.normal(0, _JITTER, cluster.workers))]
    heapq.heapify(free)
    each = size * costs.encode / cluster.cores + costs.shard
    for factor in np.exp(random.normal(0, _JITTER, min(count, 200_000))):
        heapq.heapreplace(free, free[0] + each * factor * max(1.0, count / 200_000))
    return Stage("encode", max(free), size * (costs.row_bytes + costs.embedding_bytes) * 2)
