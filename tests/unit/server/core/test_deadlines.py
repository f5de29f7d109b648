"""Deadlines: known to tasks and threads of their call, and to no other."""

from __future__ import annotations

import asyncio

import pytest
from headstart_server.core import deadlines
from headstart_server.core.errors import DeadlineExceededError
from headstart_server.core.executors import Executor


async def test_a_deadline_is_its_calls_alone_and_goes_with_its_work() -> None:
    threads = Executor("test", 1, 10)

    async def call(seconds: float | None) -> float | None:
        deadlines.begin(seconds)
        await asyncio.sleep(0)
        return await threads.run(deadlines.seconds_left)

    left = await asyncio.gather(*(asyncio.create_task(call(seconds)) for seconds in (10.0, None, 100.0)))
    assert left[1] is None
    assert 0 < (left[0] or 0) <= 10 < (left[2] or 0) <= 100
    assert deadlines.end() is None
    threads.close()


async def test_what_comes_too_late_is_refused() -> None:
    async def call(seconds: float | None) -> None:
        deadlines.begin(seconds)
        deadlines.require_time()

    await asyncio.create_task(call(10))
    await asyncio.create_task(call(None))
    with pytest.raises(DeadlineExceededError, match="allow more time"):
        await asyncio.create_task(call(-1))
