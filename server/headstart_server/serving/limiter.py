"""Decides whether a call's rows are taken, before anything is done for it: bounded in rows, bytes and time.

What is taken waits for one batch at most, which docs/decisions/0038-load.md explains.
"""

import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headstart_server import metrics
from headstart_server.core import deadlines
from headstart_server.core.errors import OverloadedError
from headstart_server.serving.speeds import Speeds

PIECE_SECONDS = 0.1
"""How long a piece of a large call may compute, for which a small one may have to wait."""
_UNMEASURED_PIECE = 32
"""Rows of a call above which it is taken for a large one while nobody knows how long they take."""
_UNMEASURED_ROWS = 256
"""Of one kind that wait at most while nobody knows how long they take."""
_LONGEST_RETRY = 30.0
_REMEMBERED_SECONDS = 1.0
"""Over which refused work is averaged."""


@dataclass(frozen=True)
class Limits:
    """What may be in hand at a time, of all callers together; one tenant gets at most as much as it leaves free."""

    rows: int = 65_536
    size: int = 256 << 20
    """Bytes of requests."""
    wait: float = 0.0
    """Seconds for which a call may have to wait; 0: as long as one batch takes."""


@dataclass(eq=False)
class Permit:
    """The rows of one call, from when they are taken until they are answered."""

    tenant: str
    kind: str
    """A model, or an encoder that embeds: what takes about as long for any row."""
    rows: int
    size: int
    waiting: int
    """Rows of which nothing is computed yet."""


class Limiter:
    """Everything that was taken and is not answered yet. Used on one event loop."""

    def __init__(self, limits: Limits, speeds: Speeds) -> None:
        self._limits, self.speeds = limits, speeds
        self._permits: dict[str, dict[Permit, None]] = {}
        """By tenant, in order."""
        self._rows = self._size = 0
        self._refused = 0.0
        """Seconds of work that was refused lately."""
        self._refused_time = time.monotonic()

    @contextmanager
    def admitted(self, tenant: str, kind: str, rows: int, size: int, *, however_long: bool = False) -> Iterator[Permit]:
        """Takes the rows of a call, until it is left.

        Args:
            tenant: Whose call it is.
            kind: What its rows are computed by.
            rows: How many it has, as far as is known before they are read.
            size: Bytes of the request.
            however_long: Whether the rows are taken however long they will wait, within the bounds of rows and bytes.

        Raises:
            OverloadedError: Too much is in hand, or the answer would come too late.
        """
        permit = Permit(tenant, kind, rows, size, rows)
        try:
            self._require_room(permit)
            if not however_long:
                self._require_time(permit)
        except OverloadedError:
            metrics.PREDICT_ROWS.labels("refused").inc(rows)
            raise
        self._permits.setdefault(tenant, {})[permit] = None
        self._rows, self._size = self._rows + rows, self._size + size
        metrics.ADMITTED_ROWS.set(self._rows)
        try:
            yield permit
        finally:
            self._release(permit)

    def counted(self, permit: Permit, rows: int) -> None:
        """Says how many rows a call has, where that was not known before they were read."""
        self._rows += rows - permit.rows
        permit.rows = permit.waiting = rows

    def left(self, permit: Permit, rows: int) -> None:
        """Says of how many of a call's rows nothing is computed yet, where the others turned out to be stored."""
        permit.waiting = min(permit.waiting, rows)

    def _release(self, permit: Permit) -> None:
        own = self._permits[permit.tenant]
        del own[permit]
        if not own:
            del self._permits[permit.tenant]
        self._rows, self._size = self._rows - permit.rows, self._size - permit.size
        metrics.ADMITTED_ROWS.set(self._rows)

    def _require_room(self, permit: Permit) -> None:
        own = self._permits.get(permit.tenant, {})
        # whatever is above the bounds alone is taken where nobody else is, or it never would be
        if not self._permits:
            return
        rows, size = sum(each.rows for each in own), sum(each.size for each in own)
        for what, mine, all_of_them, more, most in (
            ("rows", rows, self._rows, permit.rows, self._limits.rows),
            ("bytes", size, self._size, permit.size, self._limits.size),
        ):
            if mine + more > most - all_of_them:
                raise OverloadedError(
                    f"{all_of_them:,} {what} are in hand already, {mine:,} of them yours, and {more:,} more are too "
                    f"many: at most {most:,}, of which a caller may take what it leaves free; send fewer at a time",
                    retry_after=self._retry_after(permit),
                )

    def _require_time(self, permit: Permit) -> None:
        """Raises OverloadedError where the call would wait too long, or longer than its deadline."""
        waiting, cost = self._ahead(permit), self._cost(permit)
        if waiting == 0 and not self._too_many_unmeasured(permit):
            return  # it is computed next: nobody could do better
        bound = self._limits.wait or self.speeds.batch_seconds(permit.kind)
        left = deadlines.seconds_left()
        if self._too_many_unmeasured(permit) or waiting > max(bound - cost, cost):
            raise OverloadedError(
                f"rows wait already that take {waiting:.2g} s to compute, and this call may wait "
                f"{max(bound - cost, cost):.2g} s; try again later, or raise --max-predict-wait",
                retry_after=self._retry_after(permit),
            )
        if left is not None and waiting + cost > left:
            raise OverloadedError(
                f"the answer would take {waiting + cost:.2g} s, and the call's deadline leaves {left:.2g} s; allow "
                "more time, or send fewer rows",
                retry_after=self._retry_after(permit),
            )

    def _ahead(self, permit: Permit) -> float:
        """Seconds that others' rows will be computed before this call is answered.

        Callers take turns, and so do tenants: of larger calls, and of what other tenants have waiting, no more comes
        before it than it has itself. Small calls wait for no more than a piece of a large one, whatever the rest.
        """
        cost, large = self._cost(permit), self.is_large(permit)
        ahead = {
            tenant: [min(self._cost(each), cost) for each in permits if large or not self.is_large(each)]
            for tenant, permits in self._permits.items()
        }
        own = sum(ahead.pop(permit.tenant, []))
        return own + sum(min(sum(costs), own + cost) for costs in ahead.values())

    def is_large(self, permit: Permit) -> bool:
        """Whether a call is computed in pieces, between which others have their turn."""
        if not self.speeds.knows(permit.kind):
            return permit.rows > _UNMEASURED_PIECE
        return self.speeds.seconds(permit.kind, permit.rows) > PIECE_SECONDS

    def _cost(self, permit: Permit) -> float:
        return self.speeds.seconds(permit.kind, permit.waiting)

    def _too_many_unmeasured(self, permit: Permit) -> bool:
        """Whether rows wait of which nobody knows how long they take: those of a model that is being loaded."""
        if self.speeds.knows(permit.kind):
            return False
        same = [each for each in self._permits.get(permit.tenant, {}) if each.kind == permit.kind]
        return bool(same) and sum(each.waiting for each in same) + permit.rows > _UNMEASURED_ROWS

    def _retry_after(self, permit: Permit) -> float:
        """Seconds after which to try again: as long as it takes to compute all that was refused lately."""
        now = time.monotonic()
        self._refused *= math.exp((self._refused_time - now) / _REMEMBERED_SECONDS)
        self._refused += self._cost(permit)
        self._refused_time = now
        bound = self._limits.wait or self.speeds.batch_seconds(permit.kind)
        # at random, so that those who were refused at the same time do not come back at the same time
        return min(_LONGEST_RETRY, max(bound, self._refused) * random.uniform(0.5, 1.5))
