"""Decides whether a call's rows are taken, before anything is done for it: bounded in rows, bytes and time.

A burst may wait for a while; in an overload that lasts, what is taken waits for one batch at most
(docs/decisions/0038-load.md).
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from headstart_server import metrics
from headstart_server.core import deadlines
from headstart_server.core.errors import OverloadedError
from headstart_server.serving.pressure import Pressure
from headstart_server.serving.speeds import Speeds

PIECE_SECONDS = 0.1
"""How long a piece of a large call may compute, for which a small one may have to wait."""
_UNMEASURED_PIECE = 32
"""Rows of a call above which it is taken for a large one while nobody knows how long they take."""
_LATE_SHARE = 1.5
"""How many rows that fit the next batch come, for each, in the part of a batch in which an overload's are taken."""
_UNMEASURED_SMALL, _UNMEASURED_LARGE = 256, 4
"""Calls of one kind that wait at most while nobody knows how long they take."""


@dataclass(frozen=True)
class Limits:
    """What may be in hand at a time, of all callers together; one tenant gets at most as much as it leaves free."""

    rows: int = 65_536
    size: int = 256 << 20
    """Bytes of requests."""
    wait: float = 0.75
    """Seconds for which a call may have to wait in a burst."""


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
    however_long: bool = False
    """Whether it was taken however long it waits."""
    read_once: bool = False
    """Whether several models are asked about its rows, of which encoders read each once: what a batch with them takes
    tells nothing of other rows."""


class Limiter:
    """Everything that was taken and is not answered yet. Used on one event loop."""

    def __init__(self, limits: Limits, speeds: Speeds) -> None:
        self._limits, self.speeds = limits, speeds
        self._permits: dict[str, dict[Permit, None]] = {}
        """By tenant, in order."""
        self._rows = self._size = 0
        self._pressures: dict[str, Pressure] = {}
        """Of tenants that were refused lately."""
        self.busy_until = 0.0
        """When the batch that runs will have ended, by `time.monotonic`, as far as can be told."""
        self.shed: Callable[[str], None] = lambda tenant: None
        """Called when an overload begins: what waits of the tenant is more than will be computed in time."""

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
        permit = Permit(tenant, kind, rows, size, rows, however_long)
        self._require_room(permit)
        if not however_long:
            self._require_time(permit)
        self._permits.setdefault(tenant, {})[permit] = None
        self._rows, self._size = self._rows + rows, self._size + size
        metrics.ADMITTED_ROWS.set(self._rows)
        try:
            yield permit
        finally:
            self._release(permit)

    def counted(self, permit: Permit, rows: int) -> None:
        """Says how many rows a call has, where that was not known before they were read; nothing of one that has ended,
        as a call may while a thread reads its rows."""
        if permit not in self._permits.get(permit.tenant, {}):
            return
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
        for what, mine, everybodys, more, most in (
            ("rows", rows, self._rows, permit.rows, self._limits.rows),
            ("bytes", size, self._size, permit.size, self._limits.size),
        ):
            if mine + more > most - everybodys:
                raise self.refusal(
                    permit,
                    f"{mine:,} {what} of yours are in hand, and {more:,} more are too many: a caller may have as many "
                    f"as all together leave free of {most:,}; send fewer at a time",
                )

    def _require_time(self, permit: Permit) -> None:
        """Raises OverloadedError where the call would wait too long, or longer than its deadline."""
        if not self.speeds.knows(permit.kind):
            self._require_few_unmeasured(permit)
        if not self.is_large(permit):
            self._require_late(permit)
        waiting, cost = self._ahead(permit), self._cost(permit)
        if waiting == 0:
            return  # it is computed next: nobody could do better
        bound, left = self._bound(permit), deadlines.seconds_left()
        if waiting > bound:
            self._begin_overload(permit)
            raise self.refusal(
                permit, f"rows wait that take {waiting:.2g} s to compute, and this call may wait {bound:.2g} s"
            )
        if left is not None and waiting + cost > left:
            if cost < left:
                self._begin_overload(permit)
            raise self.refusal(
                permit, f"the answer would take {waiting + cost:.2g} s, and the call's deadline leaves {left:.2g} s"
            )

    def _require_late(self, permit: Permit) -> None:
        """Raises OverloadedError in an overload for a call that comes early in a batch.

        So many come then that those of its last part fill the next one, and they wait the least.
        """
        if self.overloaded(permit.tenant):
            load = 1 + self._pressures[permit.tenant].lately
            left = self.busy_until - time.monotonic()
            if left > self.speeds.batch_seconds(permit.kind) * min(1.0, _LATE_SHARE / load):
                raise self.refusal(
                    permit, f"a batch runs that takes {left:.2g} s more, and more calls come than fit the next"
                )

    def _bound(self, permit: Permit) -> float:
        """Seconds of rows that may wait before a call: in a burst as the limits say, in an overload those that leave
        room for it in the next batch, or as many as it has itself but for one."""
        cost, row = self._cost(permit), self.speeds.seconds(permit.kind, 1)
        shortest = self.speeds.batch_seconds(permit.kind)
        # rows may stand for half of one more: measured times are not exact
        if self.overloaded(permit.tenant):
            batch = row * self.speeds.rows_within(permit.kind, shortest, self._limits.rows)
            return max(batch - cost, cost - row) + row / 2
        return max(shortest, self._limits.wait, 1.5 * cost) - cost / 2

    def _begin_overload(self, permit: Permit) -> None:
        """A small call finds more waiting than a burst may bring. (A large one waits its time whatever the rest do.)"""
        if not self.is_large(permit):
            overload = self.overloaded(permit.tenant)
            self._pressures.setdefault(permit.tenant, Pressure()).begin_overload()
            if not overload:
                self.shed(permit.tenant)

    def overloaded(self, tenant: str) -> bool:
        """Whether a tenant sends more than a burst."""
        pressure = self._pressures.get(tenant)
        if pressure is not None and pressure.over:
            del self._pressures[tenant]
        return pressure is not None and pressure.overload

    def refusal(self, permit: Permit, message: str) -> OverloadedError:
        """What a refused call is told; counts it."""
        metrics.PREDICT_ROWS.labels("refused").inc(permit.rows)
        pressure = self._pressures.setdefault(permit.tenant, Pressure())
        delay = pressure.refuse(self._cost(permit), self.speeds.batch_seconds(permit.kind))
        return OverloadedError(f"{message}; try again later", retry_after=delay)

    def _ahead(self, permit: Permit) -> float:
        """Seconds that others' rows will be computed before this call is answered.

        Callers take turns, and so do tenants: of larger calls, and of what other tenants have waiting, no more comes
        before it than it has itself. Small calls wait for no more than a piece of a large one, whatever the rest.
        """
        cost_of = self.speeds.seconds if self.overloaded(permit.tenant) else self.speeds.burst_seconds
        cost, large = cost_of(permit.kind, permit.waiting), self.is_large(permit)
        ahead = {
            tenant: [
                min(cost_of(each.kind, each.waiting), cost) for each in permits if large or not self.is_large(each)
            ]
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

    def _require_few_unmeasured(self, permit: Permit) -> None:
        """Raises OverloadedError where too many calls wait of which nobody knows how long they take.

        Those of a model that is being loaded, say.
        """
        own, large = self._permits.get(permit.tenant, {}), self.is_large(permit)
        same = sum(1 for each in own if each.kind == permit.kind and self.is_large(each) == large)
        if same >= (_UNMEASURED_LARGE if large else _UNMEASURED_SMALL):
            raise self.refusal(permit, f"{same} calls wait for a model or encoder that is not ready yet")
