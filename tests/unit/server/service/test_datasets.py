"""Uploads: a tenant stores as much as its quota says, and only so many files are received at a time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from headstart_server.core.errors import DeadlineExceededError, NotFoundError, OverloadedError, QuotaError
from headstart_server.core.executors import Executors
from headstart_server.core.principal import ANONYMOUS
from headstart_server.core.quotas import Quotas, QuotaTable, TenantQuotas
from headstart_server.data.uploads import Dataset, Uploads
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


async def test_uploads_at_the_same_time_do_not_each_take_what_is_left_for_one(tmp_path: Path) -> None:
    service = service_of(tmp_path, dataset_rows=10)
    sending = [asyncio.Event(), asyncio.Event()]

    async def slowly(number: int) -> AsyncIterator[bytes]:
        yield rows(6, "ab"[number])
        await sending[number].wait()

    uploads = [asyncio.create_task(service.upload(ANONYMOUS, HEADER, slowly(number))) for number in range(2)]
    await asyncio.sleep(0.2)  # both are under way
    sending[0].set()
    await uploads[0]
    sending[1].set()
    with pytest.raises(QuotaError, match="would hold 12 rows"):
        await uploads[1]


async def test_an_upload_that_brings_nothing_more_makes_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.service.datasets._SILENT_SECONDS", 0.05)
    service = service_of(tmp_path)

    async def silent() -> AsyncIterator[bytes]:
        yield rows(3)
        await asyncio.Event().wait()

    with pytest.raises(DeadlineExceededError, match=r"no chunk has come for 0\.05 seconds; call again with the same"):
        await service.upload(ANONYMOUS, HEADER, silent())
    assert not await service.all(ANONYMOUS)


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


async def test_known_bytes_in_another_format_are_read_and_are_another_data_set(tmp_path: Path) -> None:
    service, data = service_of(tmp_path), b"a,b\n1,2\n"
    digest = hashlib.sha256(data).hexdigest()
    first = await service.upload(ANONYMOUS, UploadHeader("rows.csv", "", digest), sent(data))
    other = await service.upload(ANONYMOUS, UploadHeader("rows.csv", "tsv", digest), sent(data))
    again = await service.upload(ANONYMOUS, UploadHeader("rows.tsv", "", digest), sent())
    assert (first.format, first.columns) == ("csv", ["a", "b"])
    assert (other.format, other.columns) == ("tsv", ["a,b"])
    assert again == other != first


async def broken(service: DatasetService, data: bytes, upload_id: str = "u", offset: int = 0) -> None:
    """An upload whose caller goes once some bytes have arrived."""

    async def chunks() -> AsyncIterator[bytes]:
        yield data
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await service.upload(ANONYMOUS, UploadHeader("rows.csv", "", "", upload_id, offset), chunks())


async def test_a_broken_upload_is_gone_on_with_and_forgotten_once_its_bytes_are_known(tmp_path: Path) -> None:
    service, data = service_of(tmp_path), rows(30)
    digest = hashlib.sha256(data).hexdigest()
    await broken(service, data[:20])
    assert (await service.broken_upload(ANONYMOUS, "u")).size == 20
    header = UploadHeader("rows.csv", "", digest, "u", 20)
    found = await service.upload(ANONYMOUS, header, sent(data[20:]))
    assert (found.sha256, found.row_count) == (digest, 30)
    await broken(service, data[:20], "v")
    assert await service.upload(ANONYMOUS, UploadHeader("rows.csv", "", digest, "v", 20), sent()) == found
    for upload_id in ("u", "v"):
        with pytest.raises(NotFoundError):
            await service.broken_upload(ANONYMOUS, upload_id)


async def test_what_is_kept_of_broken_uploads_counts_for_the_quota(tmp_path: Path) -> None:
    service = service_of(tmp_path, dataset_bytes=100)
    await broken(service, rows(30))
    with pytest.raises(QuotaError, match="quota dataset_bytes of your tenant is 100"):
        await service.upload(ANONYMOUS, HEADER, sent(rows(25)))
    with pytest.raises(QuotaError):
        await service.upload(ANONYMOUS, UploadHeader("rows.csv", "", "", "u", 62), sent(rows(25)))
    with pytest.raises(NotFoundError):  # what is refused is not kept
        await service.broken_upload(ANONYMOUS, "u")


async def test_an_upload_that_was_published_meanwhile_is_found_in_place_of_its_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, data = service_of(tmp_path), rows(30)
    header = UploadHeader("rows.csv", "", hashlib.sha256(data).hexdigest(), "u", 10)
    first = await service.upload(ANONYMOUS, HEADER, sent(data))
    known, asked = service._known, []

    async def late(*given: Any) -> Dataset | None:
        asked.append(given)
        return await known(*given) if len(asked) > 1 else None

    monkeypatch.setattr(service, "_known", late)
    assert await service.upload(ANONYMOUS, header, sent()) == first
    assert len(asked) == 2
