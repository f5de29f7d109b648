"""Uploads: a tenant stores as much as its quota says, and only so many files are received at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from headstart_server.core.errors import OverloadedError, QuotaError
from headstart_server.core.executors import Executors
from headstart_server.core.principal import ANONYMOUS
from headstart_server.core.quotas import Quotas, QuotaTable, TenantQuotas
from headstart_server.data.uploads import Uploads
from headstart_server.service.datasets import MOST_UPLOADS, DatasetService, UploadHeader
from headstart_server.storage.folders import SharedFolders

HEADER = UploadHeader("rows.csv", "", "")


def service_of(root: Path, **limits: int) -> DatasetService:
    jobs: Any = None
    uploads = Uploads(SharedFolders(root / "datasets"), root / "tables", 1 << 20)
    quotas = Quotas(QuotaTable(TenantQuotas(**limits)))
    tenants: Any = SimpleNamespace(of=lambda _: SimpleNamespace(uploads=uploads))
    return DatasetService(tenants, jobs, Executors(), quotas)


async def sent(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def rows(count: int, of: str = "a") -> bytes:
    return ("x\n" + f"{of}\n" * count).encode()


async def test_bytes_above_the_quota_are_refused_while_they_come(tmp_path: Path) -> None:
    service = service_of(tmp_path, dataset_bytes=100)
    await service.upload(ANONYMOUS, HEADER, sent(rows(30)))
    read = []

    async def many() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            read.append(b"")
            yield b"x\n" * 10

    with pytest.raises(QuotaError, match="quota dataset_bytes of your tenant is 100; delete data sets"):
        await service.upload(ANONYMOUS, HEADER, many())
    assert len(read) == 2
    assert len(await service.all(ANONYMOUS)) == 1


async def test_rows_above_the_quota_are_not_kept(tmp_path: Path) -> None:
    service = service_of(tmp_path, dataset_rows=10)
    first = await service.upload(ANONYMOUS, HEADER, sent(rows(6)))
    with pytest.raises(QuotaError, match="would hold 11 rows, and the quota dataset_rows of your tenant is 10"):
        await service.upload(ANONYMOUS, HEADER, sent(rows(5, "b")))
    assert [found.identifier for found in await service.all(ANONYMOUS)] == [first.identifier]
    await service.upload(ANONYMOUS, HEADER, sent(rows(4, "b")))
    assert list((tmp_path / "datasets").glob(".*.upload")) == []


async def test_who_has_used_up_the_quota_is_told_before_a_byte_is_read(tmp_path: Path) -> None:
    service = service_of(tmp_path, dataset_rows=3)
    await service.upload(ANONYMOUS, HEADER, sent(rows(3)))

    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("nothing is read")
        yield b""

    with pytest.raises(QuotaError):
        await service.upload(ANONYMOUS, HEADER, never())


async def test_only_so_many_files_are_received_at_a_time(tmp_path: Path) -> None:
    service, go_on = service_of(tmp_path), asyncio.Event()

    async def slow(number: int) -> AsyncIterator[bytes]:
        yield rows(number + 1)
        await go_on.wait()

    running = [asyncio.create_task(service.upload(ANONYMOUS, HEADER, slow(number))) for number in range(MOST_UPLOADS)]
    await asyncio.sleep(0.5)
    with pytest.raises(OverloadedError, match="64 files are being received already"):
        await service.upload(ANONYMOUS, HEADER, sent(rows(100)))
    go_on.set()
    assert len(await asyncio.gather(*running)) == MOST_UPLOADS
    await service.upload(ANONYMOUS, HEADER, sent(rows(100)))
