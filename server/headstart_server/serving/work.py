"""What waits for its turn on the computing thread."""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from headstart_server.core import deadlines
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.limiter import Permit
from headstart_server.serving.predictor import Predictor
from headstart_server.serving.rows import Answer, Rows


@dataclass(eq=False)
class Work(ABC):
    """One piece of a call's work."""

    permit: Permit
    done: "asyncio.Future[Any]"
    since: float = field(default_factory=time.perf_counter)
    end: float | None = field(default_factory=deadlines.end)
    """When its caller stops waiting, by `time.monotonic`."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Its rows, as far as they are known."""

    @property
    def expired(self) -> bool:
        """Whether its caller has stopped waiting."""
        return self.end is not None and self.end <= time.monotonic()

    @property
    def sheddable(self) -> bool:
        """Whether it may be refused after all: it is all of its call, which would be answered late."""
        return False

    @abstractmethod
    def shares_with(self, other: "Work") -> bool:
        """Whether both can be computed as one batch."""

    @abstractmethod
    def rows_of(self, result: Any) -> int:
        """How many rows a result is of."""

    @abstractmethod
    def compute(self, batch: Sequence["Work"]) -> list[Any]:
        """Computes a batch that begins with this; returns the result of each."""


@dataclass(eq=False)
class Prediction(Work):
    """Rows for a model."""

    predictor: Predictor = field(kw_only=True)
    reuse: Reuse = field(kw_only=True)
    rows: Rows = field(kw_only=True)

    @property
    def sheddable(self) -> bool:
        """See Work."""
        return self.rows.count == self.permit.rows and not self.permit.however_long and not self.done.done()

    @property
    def count(self) -> int:
        """See Work."""
        return self.rows.count

    def shares_with(self, other: Work) -> bool:
        """See Work."""
        return isinstance(other, Prediction) and other.predictor is self.predictor and other.reuse is self.reuse

    def rows_of(self, result: Any) -> int:
        """See Work."""
        return self.count

    def compute(self, batch: Sequence[Work]) -> list[Answer]:
        """See Work."""
        # joined here, not where the batch is put together: what cannot be joined then fails this batch's callers alone
        rows = [each.rows for each in batch if isinstance(each, Prediction)]
        answer = self.predictor.predict(Rows.join(rows), self.reuse)
        answers, start = [], 0
        for part in rows:
            answers.append(answer.slice(start, start + part.count))
            start += part.count
        return answers


@dataclass(eq=False)
class Step(Work):
    """A function, which computes alone."""

    function: Callable[[], Any] = field(kw_only=True)
    rows: Callable[[Any], int] = field(kw_only=True)
    """Of a result."""

    @property
    def count(self) -> int:
        """See Work: unknown until it has run."""
        return 0

    def shares_with(self, other: Work) -> bool:
        """See Work."""
        return False

    def rows_of(self, result: Any) -> int:
        """See Work."""
        return self.rows(result)

    def compute(self, batch: Sequence[Work]) -> list[Any]:
        """See Work."""
        return [self.function()]
