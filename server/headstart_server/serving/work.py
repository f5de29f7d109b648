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
from headstart_server.serving.predictor import Predictor, predict_together
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
    def units(self) -> int:
        """What its time goes by: tokens of texts, else rows."""
        return self.count

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
        """Computes a batch that begins with this; returns the result of each, or the exception that it ends with."""


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

    @property
    def units(self) -> int:
        """See Work."""
        return sum(column.units or self.count for column in self.rows.columns.values()) or self.count

    def shares_with(self, other: Work) -> bool:
        """See Work: rows of one model, or of models whose rows the same encoders read."""
        if not isinstance(other, Prediction) or other.reuse is not self.reuse:
            return False
        return other.predictor is self.predictor or bool(
            self.predictor.reads and self.predictor.reads == other.predictor.reads
        )

    def rows_of(self, result: Any) -> int:
        """See Work."""
        return self.count

    def compute(self, batch: Sequence[Work]) -> list[Answer | Exception]:
        """See Work."""
        by_model: dict[Predictor, list[Prediction]] = {}
        for each in batch:
            assert isinstance(each, Prediction)
            by_model.setdefault(each.predictor, []).append(each)
        # joined here, not where the batch is put together: what cannot be joined then fails this batch's callers alone
        joined = [(model, Rows.join([each.rows for each in works])) for model, works in by_model.items()]
        found: dict[Work, Answer | Exception] = {}
        answers = predict_together(joined, self.reuse)
        for works, answer in zip(by_model.values(), answers, strict=True):
            start = 0
            for each in works:
                end = start + each.count
                found[each] = answer if isinstance(answer, Exception) else answer.slice(start, end)
                start = end
        return [found[each] for each in batch]


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
