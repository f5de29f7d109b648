"""Worker processes: real ones, each a few lines of Python in place of `jobs.worker`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from headstart_server.jobs import process
from headstart_server.jobs.process import Death, ProcessSettings, WorkerPool, WorkerProcess

_READY = """
import json, os, sys, time
def say(**message):
    print(json.dumps(message), flush=True)
say(ready=True)
"""
_OBEDIENT = """
for line in sys.stdin:
    message = json.loads(line)
    if "run" in message:
        say(event="step", data=message["run"])
    else:
        say(done={"state": "CANCELLED"})
"""


def settings(program: str, **changes: Any) -> ProcessSettings:
    return ProcessSettings(command=(sys.executable, "-I", "-c", program), **changes)


@pytest.fixture
async def pools() -> AsyncIterator[list[WorkerPool]]:
    """Pools to close."""
    opened: list[WorkerPool] = []
    yield opened
    for pool in opened:
        await pool.close()


async def finish(worker: WorkerProcess, identifier: str = "j") -> list[dict[str, Any]]:
    """Runs a job that is cancelled at its first report."""
    messages = []
    async for message in worker.run({"identifier": identifier}):
        messages.append(message)
        worker.cancel()
    return messages


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            await asyncio.sleep(0.01)


async def test_a_worker_hears_its_job_and_its_cancellation(pools: list[WorkerPool]) -> None:
    pools.append(WorkerPool(0, process=settings(_READY + _OBEDIENT)))
    worker = await pools[0].take()
    assert await finish(worker, "naïve\n") == [
        {"event": "step", "data": {"identifier": "naïve\n"}},
        {"done": {"state": "CANCELLED"}},
    ]
    await worker.stop()
    assert not worker.alive


async def test_a_clean_worker_is_used_again_and_another_is_not(pools: list[WorkerPool]) -> None:
    pool = WorkerPool(1, process=settings(_READY + _OBEDIENT))
    pools.append(pool)
    first = await pool.take()
    await finish(first)
    await pool.give_back(first, clean=True)
    second = await pool.take()
    assert second is first
    await finish(second)
    await pool.give_back(second, clean=False)
    assert not second.alive
    third = await pool.take()
    assert third.pid != first.pid
    await pool.give_back(third, clean=True)


async def test_a_worker_is_replaced_after_many_jobs(pools: list[WorkerPool]) -> None:
    pool = WorkerPool(1, jobs_per_worker=2, process=settings(_READY + _OBEDIENT))
    pools.append(pool)
    pids = []
    for _ in range(4):
        worker = await pool.take()
        pids.append(worker.pid)
        await finish(worker)
        await pool.give_back(worker, clean=True)
    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_warm_workers_are_started_ahead_and_ended_with_the_pool(pools: list[WorkerPool]) -> None:
    pool = WorkerPool(2, process=settings(_READY + _OBEDIENT))
    pools.append(pool)
    await pool.start()
    workers = [await pool.take() for _ in range(2)]
    for worker in workers:
        await pool.give_back(worker, clean=True)
    await pool.close()
    assert [worker.alive for worker in workers] == [False, False]


async def test_a_worker_that_died_idle_is_not_handed_out(pools: list[WorkerPool]) -> None:
    pool = WorkerPool(1, process=settings(_READY + _OBEDIENT))
    pools.append(pool)
    worker = await pool.take()
    await pool.give_back(worker, clean=True)
    worker.kill()
    await worker.how_it_died()
    another = await pool.take()
    assert another.pid != worker.pid
    await pool.give_back(another, clean=True)


@pytest.mark.parametrize(
    ("program", "how"),
    [
        ("raise SystemExit(3)", "exited with code 3"),
        ("import os; os.abort()", "was killed by SIGABRT"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "was killed by SIGKILL"),
    ],
)
async def test_a_worker_that_dies_in_a_job_ends_its_messages_and_says_how(program: str, how: str) -> None:
    worker = await WorkerProcess.spawn(settings(_READY + "sys.stdin.readline()\nsay(event='step')\n" + program))
    assert await worker.wait_ready()
    assert [message async for message in worker.run({})] == [{"event": "step"}]
    assert await worker.how_it_died() == Death(how)


async def test_a_kill_is_told_from_memory_that_ran_out(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = iter((3, 3, 4))
    monkeypatch.setattr(process, "oom_kills", lambda: next(counted))
    worker = await WorkerProcess.spawn(settings(_READY + "sys.stdin.readline()\ntime.sleep(60)"))
    assert await worker.wait_ready()
    run = worker.run({})
    asyncio.get_running_loop().call_later(0.2, worker.kill)
    assert [message async for message in run] == []
    assert (await worker.how_it_died()).memory


@pytest.mark.parametrize("line", ["hello", "3", "[]", "null", '{"a":', "\\xff"])
async def test_a_line_that_is_no_message_is_an_error(line: str) -> None:
    program = f"sys.stdin.readline()\nsys.stdout.buffer.write(b'{line}\\n')\nsys.stdout.flush()\ntime.sleep(60)"
    worker = await WorkerProcess.spawn(settings(_READY + program))
    assert await worker.wait_ready()
    with pytest.raises(ValueError):
        await anext(aiter(worker.run({})))
    worker.kill()
    await worker.stop()


@pytest.mark.parametrize(
    "program",
    ["raise SystemExit(1)", "import time; time.sleep(60)", "print('hello', flush=True); import time; time.sleep(60)"],
    ids=["exits", "hangs", "garbage"],
)
async def test_workers_that_do_not_start_are_an_error_and_leave_no_process(
    program: str, pools: list[WorkerPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned: list[WorkerProcess] = []
    spawn = WorkerProcess.spawn

    async def remembered(wanted: ProcessSettings) -> WorkerProcess:
        spawned.append(await spawn(wanted))
        return spawned[-1]

    monkeypatch.setattr(WorkerProcess, "spawn", remembered)
    pools.append(WorkerPool(0, process=settings(program, ready_seconds=0.5)))
    with pytest.raises(RuntimeError, match="do not start"):
        await asyncio.wait_for(pools[0].take(), 30)
    assert [worker.alive for worker in spawned] == [False] * 3


async def test_no_more_workers_are_kept_warm_than_asked_for_whoever_fills_up(
    pools: list[WorkerPool], monkeypatch: pytest.MonkeyPatch
) -> None:
    spawned: list[WorkerProcess] = []
    spawn = WorkerProcess.spawn

    async def slowly(wanted: ProcessSettings) -> WorkerProcess:
        await asyncio.sleep(0.05)
        spawned.append(await spawn(wanted))
        return spawned[-1]

    monkeypatch.setattr(WorkerProcess, "spawn", slowly)
    pool = WorkerPool(1, process=settings(_READY + "sys.stdin.read()"))
    await asyncio.gather(pool.start(), pool.start())
    assert len(spawned) == 1
    filling = asyncio.create_task(
        WorkerPool.start(other := WorkerPool(1, process=settings(_READY + "sys.stdin.read()")))
    )
    await asyncio.sleep(0.01)
    await other.close()
    await filling
    await pool.close()
    assert [worker.alive for worker in spawned] == [False, False]


async def test_a_worker_that_is_no_longer_awaited_is_killed(pools: list[WorkerPool], tmp_path: Path) -> None:
    program = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n'); time.sleep(60)"
    pool = WorkerPool(1, process=settings(program))
    pools.append(pool)
    await pool.start()
    pid = await _written(tmp_path / "pid")
    taking = asyncio.create_task(pool.take())
    await asyncio.sleep(0.05)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await gone(pid)


async def test_a_worker_that_does_not_end_is_killed() -> None:
    worker = await WorkerProcess.spawn(settings(_READY + "time.sleep(60)", exit_seconds=0.1))
    assert await worker.wait_ready()
    await asyncio.wait_for(worker.stop(), 20)
    assert not worker.alive


async def test_killing_takes_what_the_worker_started() -> None:
    program = "import subprocess; child = subprocess.Popen(['sleep', '60']); say(child=child.pid); time.sleep(60)"
    worker = await WorkerProcess.spawn(settings(_READY + program))
    assert await worker.wait_ready()
    (child,) = [message["child"] async for message in _first(worker)]
    worker.kill()
    await worker.stop()
    async with asyncio.timeout(20):
        while _runs(child):
            await asyncio.sleep(0.01)


async def _written(path: Path) -> int:
    """The number in a file, once it is there and whole."""
    async with asyncio.timeout(20):
        while not (path.exists() and path.read_text(encoding="ascii").endswith("\n")):
            await asyncio.sleep(0.01)
    return int(path.read_text(encoding="ascii"))


async def _first(worker: WorkerProcess) -> AsyncIterator[dict[str, Any]]:
    async for message in worker.run({}):
        yield message
        return


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
