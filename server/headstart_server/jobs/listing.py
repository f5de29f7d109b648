"""Which jobs a list has, in which order, and where a page of it begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.engine import RowMapping

from headstart_server.core.filters import Node
from headstart_server.core.states import State
from headstart_server.jobs.database import LARGE, in_states
from headstart_server.jobs.filtering import clause
from headstart_server.jobs.records import JobRecord
from headstart_server.jobs.tables import JOBS


@dataclass(frozen=True)
class Order:
    """An order of jobs; of jobs that are equal in it, the id decides."""

    field: str = "create_time"
    """`create_time`, `update_time` or `end_time`; of jobs that have not ended, the last is before all others."""
    descending: bool = True

    def position(self, job: JobRecord) -> tuple[str, str]:
        """Where a job stands in it."""
        value = None if self.field == "create_time" else getattr(job, self.field)
        return value.isoformat() if value else "", job.identifier

    def row_position(self, row: RowMapping) -> tuple[str, str]:
        """The same of a row, which may be damaged."""
        value = None if self.field == "create_time" else row[self.field]
        return value or "", row["identifier"]


@dataclass(frozen=True)
class JobList:
    """What is asked for."""

    tenant: str | None = None
    """None: jobs of all tenants."""
    states: Sequence[State] = ()
    """Empty: all."""
    condition: Node | None = None
    order: Order = Order()
    after: tuple[str, str] | None = None
    """The position of the last job of the page before."""
    whole: bool = True
    """Whether jobs come with their specs, which are most of their bytes."""

    def query(self, limit: int) -> Select[Any]:
        """At most so many rows of JOBS."""
        columns = [column for column in JOBS.c if self.whole or column.name not in LARGE]
        keys = self._keys()
        found = select(*columns).order_by(*(key.desc() if self.order.descending else key.asc() for key in keys))
        if self.tenant is not None:
            found = found.where(JOBS.c.tenant == self.tenant)
        if self.states:
            found = found.where(in_states(self.states))
        if self.condition is not None:
            found = found.where(clause(self.condition))
        if self.after is not None:
            found = found.where(self._behind(keys, self.after))
        return found.limit(limit)

    def _keys(self) -> list[ColumnElement[Any]]:
        if self.order.field == "create_time":
            return [JOBS.c.identifier]  # ids begin with their time
        return [func.coalesce(JOBS.c[self.order.field], ""), JOBS.c.identifier]

    def _behind(self, keys: list[ColumnElement[Any]], after: tuple[str, str]) -> ColumnElement[bool]:
        behind = [
            key < value if self.order.descending else key > value
            for key, value in zip(keys, after[-len(keys) :], strict=True)
        ]
        return behind[0] if len(keys) == 1 else or_(behind[0], and_(keys[0] == after[0], behind[1]))
