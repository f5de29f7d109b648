"""The embedding pass in many processes: what the driver hands out, and what each of them does with it.

Every process reads the rows it is given by itself, encodes them and publishes them to the shared store. What travels is
row numbers on the way out and counts on the way back, never rows or embeddings.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

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
from headstart_server.engines.arrival import assignment_of, workplace_of
from headstart_server.engines.embedding import text_encode
from headstart_server.engines.image_embedding import ImageEncode
from headstart_server.engines.shelf import EncoderShelf
from headstart_server.engines.tidying import Limits, tend_machine
from headstart_server.engines.workplace import Workplace
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
class Errand:
    """One pass: which input, and which of its stored views; `served` is of test rows, as Predict reads them."""

    feature: FittedFeature
    view: int | None = None
    keys: Keys | None = None
    """Of an image input's files, by row."""
    served: bool = False


@dataclass(frozen=True)
class Done:
    """A piece of work that is in the store."""

    rows: npt.NDArray[np.int64]
    worker: str
    """Which process did it."""
    seconds: float
    waited: float
    """Part of them in which the encoder waited for images."""
    bad: dict[int, str] = field(default_factory=dict)
    """Rows whose image turned out to be unusable."""


class Crew(Protocol):
    """Processes that encode and publish."""

    def work(self, errand: Errand, rows: npt.NDArray[np.int64], check: Callable[[], None]) -> Iterator[Done]:
        """Has rows encoded and published; yields what is done as it gets done, in any order.

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


class CrewEncode:
    """An encoder for `fill` that leaves the work to a crew. Rows found unusable are noted in `bad`."""

    def __init__(self, crew: Crew, errand: Errand, check: Callable[[], None], bad: dict[int, str]) -> None:
        self._crew, self._errand, self._check, self._bad = crew, errand, check, bad
        self._tallies: dict[str, _Tally] = {}

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Yields rows that are published."""
        for done in self._crew.work(self._errand, rows, self._check):
            tally = self._tallies.setdefault(done.worker, _Tally())
            tally.rows += len(done.rows)
            tally.seconds += done.seconds
            tally.waited += done.waited
            self._bad.update(done.bad)
            yield done.rows, None

    @property
    def workers(self) -> tuple[dict[str, float], ...]:
        """What each process did."""
        return tuple(tally.report() for _, tally in sorted(self._tallies.items()))

    @property
    def waited(self) -> float:
        """Seconds in which an encoder waited for images: the mean of all processes."""
        return sum(tally.waited for tally in self._tallies.values()) / max(1, len(self._tallies))


class CrewMember:
    """One process of a crew, for one errand."""

    def __init__(self, job: dict[str, Any], errand: Errand, *, use_gpu: bool, cores: int) -> None:
        workplace = workplace_of(job, use_gpu=use_gpu)
        if not job["state_dir"]:  # this machine has no server to tidy up
            tend_machine(workplace.storage, Limits(**job["limits"]))
        assignment = assignment_of(job, workplace.storage)
        spec, resolution = apply_defaults(assignment.spec), Resolution.of(assignment.spec)
        plan = plan_inputs(spec, workplace.sources, resolution, workplace.device.type)[errand.feature.name]
        plan = plan.as_served() if errand.served else plan
        if isinstance(plan, ImagePlan):
            self._input: _Input = _Images(plan, errand, assignment.sources, workplace, cores)
        else:
            assert isinstance(plan, TextPlan)
            self._input = _Texts(plan, errand, assignment.sources, workplace)

    def __call__(self, rows: npt.NDArray[np.int64], worker: str) -> Done:
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
        waited, bad = source.told()
        return Done(rows, worker, time.monotonic() - started, waited, bad)


class _Input(Protocol):
    """The rows of one input, as a member of a crew reads them."""

    store: SpaceStore
    encode: Encode

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """Of what this process has read."""

    def told(self) -> tuple[float, dict[int, str]]:
        """(seconds waited, rows found unusable), since the last call."""


class _Texts:
    def __init__(self, plan: TextPlan, errand: Errand, sources: Sources, workplace: Workplace) -> None:
        chunks = sources.rows.chunks(errand.feature.spec.source)
        self._column = TextColumn((start, errand.feature.texts(values)) for start, values in chunks)
        self.store = workplace.store.space(plan.space)
        self.encode: Encode = text_encode(plan, self._column.texts, workplace.device)

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See _Input."""
        return keys_of_texts(pa.array(self._column.texts(rows), pa.large_string()))

    def told(self) -> tuple[float, dict[int, str]]:
        """See _Input."""
        return 0.0, {}


class _Images:
    def __init__(self, plan: ImagePlan, errand: Errand, sources: Sources, workplace: Workplace, cores: int) -> None:
        assert errand.keys is not None
        column = ImageColumn(sources.tables, errand.feature.spec.source, workplace.image_limits)
        self._images = ScannedImages(column, errand.keys)
        space = plan.space if errand.view is None else plan.view_space(errand.view)
        self.store = workplace.store.space(space)
        self._encode = ImageEncode(
            plan, self._images, workplace.device, EncoderShelf(), lambda: None, errand.view, most_loaders=cores - 1
        )
        self.encode: Encode = self._encode

    def keys(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See _Input."""
        return self._images.keys[rows]

    def told(self) -> tuple[float, dict[int, str]]:
        """See _Input."""
        waited, self._encode.waited = self._encode.waited, 0.0
        bad, self._images.bad = self._images.bad, {}
        return waited, bad
