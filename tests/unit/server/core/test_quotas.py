"""Quotas: each names itself, what is used and when to try again, and binds its own tenant alone."""

from __future__ import annotations

import asyncio
import time

import pytest
from google.rpc.error_details_pb2 import ErrorInfo, QuotaFailure, RetryInfo
from headstart_server.core.errors import QuotaError
from headstart_server.core.quotas import Quotas, QuotaTable, TenantQuotas
from headstart_server.rpc.errors import status_of


def quotas(**limits: float) -> Quotas:
    return Quotas(QuotaTable(TenantQuotas(running_jobs=3), {"small": TenantQuotas(**limits)}))  # type: ignore[arg-type]


def test_who_is_not_named_has_the_defaults() -> None:
    found = quotas(running_jobs=1)
    assert (found.running_limit("small"), found.running_limit("other"), Quotas().running_limit("")) == (1, 3, None)


def test_queued_jobs_are_bounded() -> None:
    found = quotas(queued_jobs=5)
    found.require_queued("small", 4)
    found.require_queued("other", 1_000)
    with pytest.raises(QuotaError, match="5 jobs wait, and the quota queued_jobs of your tenant is 5") as refused:
        found.require_queued("small", 5)
    assert refused.value.retry_after > 0


@pytest.mark.parametrize(
    ("limits", "name"), [({"dataset_rows": 10}, "dataset_rows"), ({"dataset_bytes": 10}, "dataset_bytes")]
)
def test_stored_rows_and_bytes_are_bounded(limits: dict[str, int], name: str) -> None:
    found = quotas(**limits)
    found.require_stored("small", 10, 10)
    found.require_stored("other", 1_000, 1_000)
    with pytest.raises(QuotaError, match=f"would hold 11 .*quota {name}"):
        found.require_stored("small", 11, 11)


async def test_rows_to_predict_come_at_a_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    found = quotas(predict_rows_per_second=10.0)
    await found.taken_rows("other", 1_000_000)
    for _ in range(10):
        await found.taken_rows("small", 10)
    with pytest.raises(QuotaError, match="predict_rows_per_second") as refused:
        await found.taken_rows("small", 10)
    assert refused.value.retry_after == pytest.approx(1.0)
    now[0] += 1.0
    await found.taken_rows("small", 10)
    now[0] += 1_000.0
    await found.taken_rows("small", 500)  # more than ever fit: taken when the bucket is full, and paid back
    with pytest.raises(QuotaError) as refused:
        await found.taken_rows("small", 1)
    assert refused.value.retry_after == pytest.approx(40.1)


async def test_a_stream_waits_for_its_rate() -> None:
    found = quotas(predict_rows_per_second=1_000.0)
    await found.taken_rows("small", 10_000)
    started = time.monotonic()
    await asyncio.wait_for(found.taken_rows("small", 100, patient=True), 30)
    assert time.monotonic() - started > 0.05


def test_the_status_of_a_quota_names_it_for_programs() -> None:
    with pytest.raises(QuotaError) as refused:
        quotas(queued_jobs=0).require_queued("small", 0)
    _, message, status = status_of(refused.value)
    info, failure, retry = ErrorInfo(), QuotaFailure(), RetryInfo()
    for detail, kind in zip(status.details, (info, failure, retry), strict=True):
        assert detail.Unpack(kind)
    assert info.reason == "QUOTA_EXCEEDED"
    assert [(each.subject, each.description) for each in failure.violations] == [("small", "queued_jobs")]
    assert retry.retry_delay.seconds == 30
    assert "queued_jobs" in message
