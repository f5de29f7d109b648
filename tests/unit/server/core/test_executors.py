"""Threads by purpose: bounded lines, the caller's context, and nothing for those who have gone."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest
from headstart_server.core.errors import OverloadedError
from headstart_server.core.executors import Executor, Executors

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="")


async def test_a_full_line_is_refused_and_moves_on() -> None:
    executor, go_on = Executor("test", 1, 1), threading.Event()
    calls = [asyncio.create_task(executor.run(go_on.wait)) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(OverloadedError, match="2 calls wait for the server's test threads"):
        await executor.run(int)
    go_on.set()
    assert await asyncio.gather(*calls) == [True, True]
    assert await executor.run(int, "7") == 7
    executor.close()


async def test_a_call_whose_caller_has_gone_is_never_made() -> None:
    executor, go_on, made = Executor("test", 1, 9), threading.Event(), list[int]()
    running = asyncio.create_task(executor.run(go_on.wait))
    waiting = asyncio.create_task(executor.run(made.append, 1))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    go_on.set()
    await running
    await executor.run(made.append, 2)
    assert made == [2]
    executor.close()


async def test_a_call_sees_the_callers_context_and_raises_to_the_caller() -> None:
    executor = Executor("test", 2, 9)
    NAME.set("mine")
    assert await executor.run(NAME.get) == "mine"
    with pytest.raises(ZeroDivisionError):
        await executor.run(lambda: 1 / 0)
    executor.close()


async def test_slow_work_of_one_kind_holds_up_no_other() -> None:
    executors, go_on = Executors(), threading.Event()
    slow = [asyncio.create_task(executors.planning.run(go_on.wait)) for _ in range(20)]
    slow += [asyncio.create_task(executors.embedding.run(go_on.wait)) for _ in range(40)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(20):
        assert await executors.store.run(int, "1") + await executors.files.run(int, "2") == 3
    go_on.set()
    await asyncio.gather(*slow)
    executors.close()


async def test_all_threads_are_there_from_the_start_and_still_work() -> None:
    executor = Executor("early", 5, 10)
    # by name: threads of another test's executors may end meanwhile
    assert len(_threads_named("early")) == 0
    executor.start()
    assert len(_threads_named("early")) == 5
    assert await executor.run(lambda: 7) == 7
    assert len(_threads_named("early")) == 5
    executor.close()


def _threads_named(prefix: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(prefix)]
