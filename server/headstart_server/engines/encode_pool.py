"""The embedding pass in many processes: what the driver hands out, and what each of them does with it.

Every process reads the rows it is given by itself, encodes them and publishes them to the shared store. What travels is
row numbers on the way out and counts on the way back, never rows or embeddings.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.scan import ScannedImages
from headstart_server.data.tables import Sources
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import Encode, Encoded
from headstart_server.embedding_store.key import Keys, keys_of_texts
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.engines.embedding import text_encode
from headstart_server.engines.encoder_cache import EncoderCache
from headstart_server.engines.envelopes import JobEnvelope
from headstart_server.engines.image_embedding import ImageEncode
from headstart_server.engines.job_context import job_context_of
from headstart_server.engines.retention import tend_machine
from headstart_server.engines.runtime_context import RuntimeContext, runtime_of
from headstart_server.planning.image_inputs import ImagePlan
from headstart_server.planning.inputs import plan_inputs
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.spec.defaults import apply_defaults

LEAST_ROWS, MOST_ROWS = 64, 16_384
"""Rows of one piece of work."""
PIECES = 8
"""Pieces for each process: enough that none of them waits long for the slowest."""


@dataclass(frozen=True)
class EncodeTask:
    """One pass: which input, and which of its stored views; `served` is of test rows, as Predict reads them."""

    feature: FittedFeature
    view: int | None = None
    keys: Keys | None = None
    """Of an image input's files, by row."""
    served: bool = False


@dataclass(frozen=True)
class EncodeResult:
    """A piece of work that is in the store."""

    rows: npt.NDArray[np.int64]
    worker: str
    """Which process did it."""
    seconds: float
    waited: float
    """Part of them in which the encoder waited for images."""
    bad: dict[int, str] = field(default_factory=dict)
    """Rows whose image turned out to be unusable."""


class EncodePool(Protocol):
    """Processes that encode and publish."""

    def work(self, task: EncodeTask, rows: npt.NDArray[np.int64], check: Callable[[], None]) -> Iterator[EncodeResult]:
        """Has rows encoded and published; yields each result as it comes, in any order.

        Calls `check`, which may raise to stop it, once in a while.
        """


def pieces(rows: npt.NDArray[np.int64], processes: int) -> list[npt.NDArray[np.int64]]:
    """Rows in pieces, of which every process gets several."""
    size = min(max(LEAST_ROWS, len(rows) // (PIECES * processes)), MOST_ROWS)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@dataclass
class _Tally:
    """What one process did."""

    rows: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    def report(self) -> dict[str, float]:
        speed = self.rows / self.seconds if self.seconds else 0.0
        return {"rows": self.rows, "rows_per_second": speed, "data_wait_seconds": self.waited}


class PoolEncode:
    """An encoder for `fill` that leaves the work to an encode pool. Rows found unusable are noted in `bad`."""

    def __init__(
        self, encode_pool: EncodePool, task: EncodeTask, check: Callable[[], None], bad: dict[int, str]
    ) -> None:
        self._encode_pool, self._task, self._check, self._bad = encode_pool, task, check, bad
        self._tallies: dict[str, _Tally] = {}

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Yields rows that are published."""
        for result in self._encode_pool.work(self._task, rows, self._check):
            tally = self._tallies.setdefault(result.worker, _Tally())
            tally.rows += len(result.rows)
            tally.seconds += result.seconds
            tally.waited += result.waited
            self._bad.update(result.bad)
            yield result.rows, None

    @property
    def workers(self) -> tuple[dict[str, float], ...]:
        """What each process did."""
        return tuple(tally.report() for _, tally in sorted(self._tallies.items()))

    @property
    def waited(self) -> float:
        """Seconds in which an encoder waited for images: the mean of all processes."""
        return sum(tally.waited for tally in self._tallies.values()) / max(1, len(self._tallies))


class EncodeWorker:
    """One process of an encode pool, for one task."""

    def __init__(self, envelope: JobEnvelope, task: EncodeTask, *, use_gpu: bool, cores: int) -> None:
        runtime = runtime_of(envelope.runtime, use_gpu=use_gpu)
        if envelope.runtime.state_dir is None:  # this machine has no server to tidy up
            tend_machine(runtime.storage, envelope.runtime.limits)
        job = job_context_of(envelope, runtime.storage)
        spec, resolution = apply_defaults(job.spec), Resolution.of(job.spec)
        plan = plan_inputs(spec, runtime.sources, resolution, runtime.device.type)[task.feature.name]
        plan = plan.as_served() if task.served else plan
        if isinstance(plan, ImagePlan):
            self._input: _Input = _Images(plan, task, job.sources, runtime, cores)
        else:
            assert isinstance(plan, TextPlan)
            self._input = _Texts(plan, task, job.sources, runtime)

    def __call__(self, rows: npt.NDArray[np.int64], worker: str) -> EncodeResult:
        """Encodes rows and publishes them as one shard."""
        started, source = time.monotonic(), self._input
        encoded = [batch for batch in source.encode(rows) if batch[1] is not None]
        if encoded:
            found = np.concatenate([batch for batch, _ in encoded])
            order = np.argsort(found)
            embeddings = np.concatenate([values for _, values in encoded if values is not None])
            source.store.add(source.keys(found[order]), embeddings[order])
            rows = found[order]
        else:
            rows = rows[:0]
        waited, bad = source.since_last_call()
        return EncodeResult(rows, worker, time.monotonic() - started, waited, bad)


class _Input(Protocol):
    """The rows of one input, as a member of an encode pool reads them."""

    store: SpaceStore
    encode: Encode

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """Of what this process has read."""

    def since_last_call(self) -> tuple[float, dict[int, str]]:
        """(seconds waited, rows found unusable), since the last call."""


class _Texts:
    def __init__(self, plan: TextPlan, task: EncodeTask, sources: Sources, runtime: RuntimeContext) -> None:
        chunks = sources.rows.chunks(task.feature.spec.source)
        self._column = TextColumn((start, task.feature.texts(values)) for start, values in chunks)
        self.store = runtime.store.space(plan.space)
        self.encode: Encode = text_encode(plan, self._column.texts, runtime.device)

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See _Input."""
        return keys_of_texts(pa.array(self._column.texts(rows), pa.large_string()))

    def since_last_call(self) -> tuple[float, dict[int, str]]:
        """See _Input."""
        return 0.0, {}


class _Images:
    def __init__(
        self, plan: ImagePlan, task: EncodeTask, sources: Sources, runtime: RuntimeContext, cores: int
    ) -> None:
        assert task.keys is not None
        column = ImageColumn(sources.tables, task.feature.spec.source, runtime.image_limits)
        self._images = ScannedImages(column, task.keys)
        space = plan.space if task.view is None else plan.view_space(task.view)
        self.store = runtime.store.space(space)
        self._encode = ImageEncode(
            plan, self._images, runtime.device, EncoderCache(), lambda: None, task.view, most_loaders=cores - 1
        )
        self.encode: Encode = self._encode

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See _Input."""
        return self._images.keys[rows]

    def since_last_call(self) -> tuple[float, dict[int, str]]:
        """See _Input."""
        waited, self._encode.waited = self._encode.waited, 0.0
        bad, self._images.bad = self._images.bad, {}
        return waited, bad
