"""Models that another server has deleted answer no more."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog
from headstart_server.core.errors import NotFoundError, StorageError
from headstart_server.core.executors import Executor
from headstart_server.service.live_models import drop_deleted

from tests.unit.server.serving.test_pool import opened, save


def test_a_model_that_another_server_deleted_answers_no_more(tmp_path: Path, tiny_bert: Path) -> None:
    save(tmp_path, tiny_bert, "a", "b")
    pool, _ = opened(tmp_path)
    _, elsewhere = opened(tmp_path)
    kept = pool.get("", "a")
    assert pool.get("", "b")
    pool.forget_deleted()
    assert pool.loaded("", "b") is not None
    elsewhere.delete("b")
    pool.forget_deleted()
    assert pool.loaded("", "b") is None and pool.loaded("", "a") is kept
    with pytest.raises(NotFoundError):
        pool.get("", "b")


async def test_the_loop_goes_on_after_whatever_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, _ = opened(tmp_path)
    loop = asyncio.get_running_loop()
    failures, looked = [StorageError("the storage is away"), ValueError("a name that nobody expects")], asyncio.Event()

    def look() -> None:
        if failures:
            raise failures.pop(0)
        loop.call_soon_threadsafe(looked.set)

    monkeypatch.setattr(pool, "forget_deleted", look)
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(drop_deleted(pool, Executor("look", 1, 10), period=0.01))
        await asyncio.wait_for(looked.wait(), 60)
    task.cancel()
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [
        ("deleted models could not be looked for", "warning"),
        ("deleted models could not be looked for", "error"),
    ]
