"""What each tenant may use of a server that it shares with others."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from headstart_server.core.errors import QuotaError

_MOST_TENANTS = 10_000
"""Whose rates are remembered; one that is forgotten begins anew."""


@dataclass(frozen=True)
class TenantQuotas:
    """Of one tenant; None: no limit but the server's own."""

    running_jobs: int | None = None
    queued_jobs: int | None = None
    dataset_rows: int | None = None
    """Stored, of all its data sets."""
    dataset_bytes: int | None = None
    predict_rows_per_second: float | None = None
    """Of Predict and Embed, averaged over ten seconds."""


@dataclass(frozen=True)
class QuotaTable:
    """What an operator has written down."""

    defaults: TenantQuotas = field(default_factory=TenantQuotas)
    tenants: Mapping[str, TenantQuotas] = field(default_factory=dict)
    """Those that differ, whole."""


class Quotas:
    """The quotas of a server, which may change while it runs."""

    def __init__(self, table: QuotaTable | None = None) -> None:
        self.table = table or QuotaTable()
        self._rates: OrderedDict[str, _Bucket] = OrderedDict()

    def of(self, tenant: str) -> TenantQuotas:
        """Those of one tenant."""
        return self.table.tenants.get(tenant, self.table.defaults)

    def running_limit(self, tenant: str) -> int | None:
        """How many of a tenant's jobs may run at the same time; None: as many as the server runs."""
        return self.of(tenant).running_jobs

    def require_queued(self, tenant: str, queued: int) -> None:
        """Raises QuotaError where a tenant with so many queued jobs may queue no more."""
        most = self.of(tenant).queued_jobs
        if most is not None and queued >= most:
            raise _used_up(
                tenant, "queued_jobs", f"{queued:,} jobs wait", most, "wait until one starts, or cancel one", 30.0
            )

    def require_stored(self, tenant: str, rows: int, size: int) -> None:
        """Raises QuotaError where a tenant's data sets would have so many rows or bytes."""
        quotas = self.of(tenant)
        for name, used, most in (
            ("dataset_rows", rows, quotas.dataset_rows),
            ("dataset_bytes", size, quotas.dataset_bytes),
        ):
            if most is not None and used > most:
                what = f"the data sets would hold {used:,} {name.removeprefix('dataset_')}"
                raise _used_up(tenant, name, what, most, "delete data sets that no job needs", 60.0)

    async def taken_rows(self, tenant: str, rows: int, *, patient: bool = False) -> None:
        """Counts rows to predict; raises QuotaError where a tenant has had too many lately, or waits, if it is patient.

        Who has kept below the rate may go above it for ten seconds' worth of rows, or by one request.
        """
        while True:
            try:
                return self._take_rows(tenant, rows)
            except QuotaError as error:
                if not patient:
                    raise
                await asyncio.sleep(error.retry_after)

    def _take_rows(self, tenant: str, rows: int) -> None:
        rate = self.of(tenant).predict_rows_per_second
        if rate is None:
            return
        bucket = self._rates.setdefault(tenant, _Bucket(rate * _Bucket.seconds, time.monotonic()))
        self._rates.move_to_end(tenant)
        if len(self._rates) > _MOST_TENANTS:
            self._rates.popitem(last=False)
        if (wait := bucket.take(rows, rate)) > 0:
            what = "too many rows came to Predict and Embed lately"
            raise _used_up(tenant, "predict_rows_per_second", what, rate, "send fewer rows at a time", wait)


@dataclass
class _Bucket:
    """A token bucket: rows that a tenant has left."""

    left: float
    time: float

    seconds = 10.0
    """Of the rate that it holds."""

    def take(self, rows: int, rate: float) -> float:
        """Takes rows out; returns 0, or the seconds after which it may be tried again."""
        now, most = time.monotonic(), rate * self.seconds
        self.left = min(most, self.left + (now - self.time) * rate)
        self.time = now
        # a request above the bucket's size is taken when it is full, and paid back
        needed = min(rows, most)
        if self.left < needed:
            return (needed - self.left) / rate
        self.left -= rows
        return 0.0


def _used_up(tenant: str, quota: str, used: str, most: float, remedy: str, retry_after: float) -> QuotaError:
    return QuotaError(
        f"{used}, and the quota {quota} of your tenant is {most:,}; {remedy}, or ask the server's operator for more",
        tenant=tenant,
        quota=quota,
        retry_after=retry_after,
    )
