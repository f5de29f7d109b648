"""Calls about data sets are counted."""

from __future__ import annotations

import asyncio
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from headstart_server.core.errors import OverloadedError
from headstart_server.core.executors import Executors
from headstart_server.core.layout import Layout
from headstart_server.core.principal import ANONYMOUS
from headstart_server.data.images.decode import ImageLimits
from headstart_server.service.admission import Admission, InlineData
from headstart_server.service.dataset_prediction import DatasetOrder, DatasetPredictionService
from headstart_server.storage.storage import Storage

NOBODY: Any = None


def test_a_tenant_has_so_many_calls_and_all_together_some_more() -> None:
    service = DatasetPredictionService(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, 512)
    with ExitStack() as calls:
        for tenant in "aaaabbbbccccdddd":
            calls.enter_context(service._counted(tenant))
        for tenant in "ae":
            with pytest.raises(OverloadedError, match="at most 4 data sets") as caught, service._counted(tenant):
                pass
            assert caught.value.retry_after == 5.0
    with service._counted("a"):
        pass


async def test_a_call_that_is_cancelled_leaves_nothing_however_late_its_rows_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, begun, go_on = Storage(Layout(tmp_path)), threading.Event(), threading.Event()
    made: Any = Admission
    admission = made(storage, None, None, None, "cpu", ImageLimits(), 1 << 30)
    tenants: Any = SimpleNamespace(of=lambda tenant: SimpleNamespace(admission=admission))
    pool: Any = SimpleNamespace(get=lambda tenant, model: SimpleNamespace(inputs=(), outputs=()))
    executors = Executors()
    service = DatasetPredictionService(NOBODY, pool, tenants, storage.layout, executors, ImageLimits(), 512)

    def read() -> pa.Table:
        begun.set()
        assert go_on.wait(30)
        return pa.table({"x": ["a" * 100] * 100})

    def table(*given: Any) -> Any:
        try:
            return written(*given)
        finally:
            done.set()

    written, done = service._table, threading.Event()
    monkeypatch.setattr(service, "_table", table)

    async def call() -> None:
        async for _ in service.predict(ANONYMOUS, DatasetOrder("m1", lambda: InlineData(read))):
            pass

    running = asyncio.create_task(call())
    await asyncio.to_thread(begun.wait, 30)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    go_on.set()
    assert await asyncio.to_thread(done.wait, 30)
    executors.close()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "jobs" in path.parts]
