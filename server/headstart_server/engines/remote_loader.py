"""Images loaded by hands: processes elsewhere, on idle cores of other machines, ahead of the training and in its order.

Batches that are ready wait where they were made; nobody loads more of them ahead than a bound. A hand that is lost
takes nothing with it: others load its batches again, and where there are none, whoever asked does, as it does what a
hand's machine cannot read.
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
from headstart_server.engines.arrival import assignment_of, workplace_of

_log = structlog.get_logger()
_AHEAD = 2
"""Batches asked of each hand."""
_MOST_BYTES = 1 << 30
"""Of batches asked for."""


class HandLost(Exception):  # noqa: N818 - no error of the program's
    """The process is gone, or no use."""


class Hands(Protocol):
    """Processes that load batches, by number."""

    def ready(self) -> Sequence[int]:
        """Those that have started and are not known to be lost."""

    def ask(self, hand: int, rows: list[int], epoch: int | None) -> Any:
        """Has one load a batch; returns a ticket for it."""

    def unfinished(self, tickets: Sequence[Any]) -> list[Any]:
        """Those of some tickets whose batches are not ready yet."""

    def take(self, ticket: Any) -> LoadedImages:
        """Waits for a batch; raises HandLost."""

    def lose(self, hand: int) -> None:
        """Takes note that one is lost."""

    def close(self) -> None:
        """Ends all."""


@dataclass(frozen=True)
class Recipe:
    """How the images of an input are read, wherever they are."""

    keys: npt.NDArray[np.uint64]
    transform: ImageTransform
    augmentation: Augmentation | None
    seed: int

    @classmethod
    def of(cls, reader: ImageReader) -> "Recipe":
        """That of a training's reader."""
        return cls(reader.images.keys, reader.transform, reader.augmentation, reader.seed)


class Hand:
    """What one of the processes does: opens a job's images by itself, and loads batches of them."""

    def __init__(self, job: dict[str, Any], recipes: Mapping[str, Recipe]) -> None:
        workplace = workplace_of(job, use_gpu=False)
        assignment = assignment_of(job, workplace.storage)
        columns = {feature.name: feature.source for feature in assignment.spec.input_features}
        self._readers = {}
        for name, recipe in recipes.items():
            column = ImageColumn(assignment.sources.tables, columns[name], workplace.image_limits)
            images = ScannedImages(column, recipe.keys)
            self._readers[name] = ImageReader(images, recipe.transform, recipe.augmentation, recipe.seed)

    def load(self, rows: list[int], epoch: int | None) -> LoadedImages:
        """One batch."""
        return load(self._readers, rows, epoch)


@dataclass(frozen=True)
class _Asked:
    """A batch that is to come; without a hand, from the worker's own loader."""

    rows: list[int]
    hand: int | None = None
    ticket: Any = None


class RemoteLoader:
    """Loads batches by hands, in order; by `own` as long as none has started, and what none of them can load."""

    def __init__(self, hands: Hands, own: ImageLoader) -> None:
        self._hands, self._own = hands, own
        self._busy: dict[int, list[Any]] = {}
        self._largest = 1
        self.seconds = 0.0

    @property
    def workers(self) -> int:
        """Hands that are there."""
        return len(self._hands.ready())

    def stream(self, batches: Iterable[Sequence[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """See Loader."""
        wanted = (list(batch) for batch in batches)
        while (first := next(wanted, None)) is not None:
            rest = chain([first], wanted)
            for loaded in self._by_hands(rest, epoch) if self._hands.ready() else self._by_itself(rest, epoch):
                self.seconds += loaded.seconds
                yield loaded

    def close(self) -> None:
        """Ends the hands."""
        self._hands.close()
        self._own.close()

    def _by_itself(self, wanted: Iterator[list[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """Batches until there are hands."""

        def until_then() -> Iterator[list[int]]:
            for rows in wanted:
                yield rows
                if self._hands.ready():
                    return

        yield from self._own.stream(until_then(), epoch)
        self._own.close()  # its processes

    def _by_hands(self, wanted: Iterator[list[int]], epoch: int | None) -> Iterator[LoadedImages]:
        """Batches until there are no hands any more."""
        asked: deque[_Asked] = deque()
        while True:
            while len(asked) < self._most_ahead() and (rows := next(wanted, None)) is not None:
                self._largest = max(self._largest, len(rows))
                asked.append(self._ask(rows, epoch))
            if not asked:
                return
            yield self._taken(asked.popleft(), epoch)

    def _most_ahead(self) -> int:
        """Batches asked for at once: at least one, where there is a hand."""
        sides = (reader.transform.crop for reader in self._own.readers.values())
        size = self._largest * sum(3 * height * width for height, width in sides)
        return min(_AHEAD * len(self._hands.ready()), max(1, _MOST_BYTES // size))

    def _ask(self, rows: list[int], epoch: int | None) -> _Asked:
        """Asks the hand with the least to do."""
        for hand, tickets in self._busy.items():
            self._busy[hand] = self._hands.unfinished(tickets)
        ready = self._hands.ready()
        if not ready:
            return _Asked(rows)
        hand = min(ready, key=lambda each: len(self._busy.get(each, ())))
        ticket = self._hands.ask(hand, rows, epoch)
        self._busy.setdefault(hand, []).append(ticket)
        return _Asked(rows, hand, ticket)

    def _taken(self, asked: _Asked, epoch: int | None) -> LoadedImages:
        """A batch, whoever has to load it in the end. What a hand cannot read, this machine may."""
        while asked.hand is not None:
            try:
                return _sound(self._hands.take(asked.ticket))
            except HandLost as error:
                _log.warning("a process that loaded images is no use; others load its batches", error=str(error))
                self._hands.lose(asked.hand)
                self._busy.pop(asked.hand, None)
                asked = self._ask(asked.rows, epoch)
        return load(self._own.readers, asked.rows, epoch)


def _sound(loaded: LoadedImages) -> LoadedImages:
    """Raises HandLost for a batch with images that the hand's machine could not read."""
    for name, bad in loaded.bad.items():
        for row, reason in bad.items():
            raise HandLost(f"it cannot read the image of {name!r} in row {row + 1}: {reason}")
    return loaded
