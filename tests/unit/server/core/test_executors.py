"""Threads by purpose: bounded lines, the caller's context, and nothing for those who have gone."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from headstart_server.core.errors import OverloadedError
from headstart_server.core.executors import Executor, Executors, FairExecutor
from headstart_server.core.principal import Principal, set_caller

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


def _as_tenant(executor: Executor, tenant: str, function: Callable[..., Any], *args: Any) -> asyncio.Task[Any]:
    async def call() -> Any:
        set_caller(Principal(tenant))
        return await executor.run(function, *args)

    return asyncio.create_task(call())


async def test_tenants_take_turns_and_one_of_which_none_runs_has_a_thread() -> None:
    executor, made = FairExecutor("test", 1, 50, spare=1), list[str]()
    go_on = {name: threading.Event() for name in ("a0", "a1", "a2", "b0", "b1", "c0")}

    def work(name: str) -> None:
        made.append(name)
        go_on[name].wait()

    async def begun(count: int) -> None:
        async with asyncio.timeout(20):
            while len(made) < count:
                await asyncio.sleep(0.001)

    calls = [_as_tenant(executor, "a", work, name) for name in ("a0", "a1", "a2")]
    await begun(1)
    calls += [_as_tenant(executor, name[0], work, name) for name in ("b0", "b1", "c0")]
    await begun(2)
    assert made == ["a0", "b0"]  # the first thread is anybody's, the other that of a tenant without any
    go_on["a0"].set()
    await begun(3)
    assert made[2] in ("a1", "c0")  # while one of b's runs, none of b's is begun on the thread that is spare
    for event in go_on.values():
        event.set()
    await asyncio.gather(*calls)
    assert sorted(made) == sorted(go_on)
    assert (executor.calls, executor._own, executor._running) == (0, {}, {})
    executor.close()


async def test_a_full_line_takes_those_of_whom_few_wait() -> None:
    executor, go_on = FairExecutor("test", 1, 8, spare=1), threading.Event()
    calls = [_as_tenant(executor, "a", go_on.wait) for _ in range(10)]
    await asyncio.sleep(0.05)
    with pytest.raises(OverloadedError):
        await _as_tenant(executor, "a", int)
    calls += [_as_tenant(executor, "b", go_on.wait) for _ in range(5)]
    await asyncio.sleep(0.05)
    with pytest.raises(OverloadedError):
        await _as_tenant(executor, "b", int)
    go_on.set()
    assert await asyncio.gather(*calls) == [True] * 15
    executor.close()


def _blocking(executor: Executor) -> tuple[asyncio.Task[bool], threading.Event, threading.Event]:
    """A call that runs until it is told to go on; set once it runs, and to be set."""
    started, go_on = threading.Event(), threading.Event()

    def work() -> bool:
        started.set()
        return go_on.wait()

    return asyncio.create_task(executor.run(work)), started, go_on


async def test_a_caller_who_goes_as_a_thread_becomes_free_takes_nobodys_turn() -> None:
    executor, made = FairExecutor("test", 1, 9, spare=0), list[int]()
    running, started, go_on = _blocking(executor)
    waits = [asyncio.create_task(executor.run(made.append, number)) for number in range(3)]
    assert await asyncio.to_thread(started.wait, 60)
    waits[0].cancel()
    executor._leave("")  # as in the same turn of the loop
    waits[1].cancel()
    executor._running[""] += 1
    go_on.set()
    async with asyncio.timeout(60):
        await asyncio.gather(running, *waits, return_exceptions=True)
        await executor.run(made.append, 3)
    assert made == [2, 3]
    executor.close()


async def test_a_call_that_is_cancelled_holds_its_thread_until_it_ends() -> None:
    executor, made = FairExecutor("test", 1, 9, spare=0), list[int]()
    running, started, go_on = _blocking(executor)
    gone, waits = asyncio.create_task(executor.run(made.append, 1)), asyncio.create_task(executor.run(made.append, 2))
    assert await asyncio.to_thread(started.wait, 60)
    for task in (running, gone):
        task.cancel()
    await asyncio.gather(running, gone, return_exceptions=True)
    assert made == [] and executor._running.total() == 1
    go_on.set()
    async with asyncio.timeout(60):
        await waits
    assert made == [2]
    executor.close()


async def test_nobody_waits_for_threads_that_are_closed() -> None:
    executor = FairExecutor("test", 1, 9, spare=0)
    running, started, go_on = _blocking(executor)
    waits = [asyncio.create_task(executor.run(int)) for _ in range(3)]
    assert await asyncio.to_thread(started.wait, 60)
    executor.close()
    go_on.set()
    async with asyncio.timeout(60):
        found = await asyncio.gather(running, *waits, return_exceptions=True)
    assert found[0] is True and all(isinstance(each, RuntimeError) for each in found[1:])
