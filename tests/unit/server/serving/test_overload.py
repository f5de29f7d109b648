"""What callers get at each load, in virtual time: a model whose batches take as long as MiniLM's on two cores."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
from headstart_server.core.errors import OverloadedError
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.rows import Answer, Rows

from tests.support.virtual_time import Clock, ComputingThread, run

T = TypeVar("T")
CAPACITY = 100.0
"""Rows per second in large batches, about."""


class TimedPredictor:
    """Takes 9.5 ms for a batch and 8.5 ms for each row of it, more or less."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._random = clock, random.Random(1)
        self.reads = frozenset[object]()

    def wanted(self, rows: Rows, reuse: Reuse) -> list[object]:
        return []

    def answer(self, rows: Rows, embeddings: Sequence[object]) -> Answer:
        self._clock.computing += (0.0095 + 0.0085 * rows.count) * self._random.uniform(0.8, 1.3)
        return Answer({"y": np.zeros(rows.count, np.float32)}, np.ones(rows.count, bool))


@dataclass
class Served:
    """What became of calls."""

    accepted: list[float] = field(default_factory=list)
    """Seconds of each."""
    refused: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        return float(np.percentile(self.accepted, share))


class Scene:
    """A batcher and its callers."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._random = clock, random.Random(2)
        self._predictor: Any = TimedPredictor(clock)
        self._batcher = Batcher()
        self._batcher.close()
        self._batcher._executor = ComputingThread(clock)  # type: ignore[assignment]

    async def call(self, served: Served, rows: int = 1, tenant: str = "") -> float:
        """Makes a call; returns the seconds after which it is to be made again, 0 where it was answered."""
        start = self._clock.now
        try:
            with self._batcher.limiter.admitted(tenant, "m", rows, 1) as permit:
                arrays: dict[str, npt.NDArray[np.generic]] = {"x": np.zeros(rows, np.float32)}
                await self._batcher.predict(self._predictor, Rows(rows, arrays), Reuse.EXACT, permit)
        except OverloadedError as error:
            served.refused.append(self._clock.now - start)
            assert error.retry_after > 0
            return error.retry_after
        served.accepted.append(self._clock.now - start)
        return 0.0

    async def alone(self, calls: int = 300) -> Served:
        """One caller, who asks again when it is answered."""
        served = Served()
        for _ in range(calls):
            await self.call(served)
        return served

    async def patient(self, callers: int, seconds: float) -> Served:
        """Callers who ask again when they are answered, or as late as they are told to."""
        served, end = Served(), self._clock.now + seconds

        async def caller() -> None:
            while self._clock.now < end:
                await asyncio.sleep(await self.call(served))

        await asyncio.gather(*(caller() for _ in range(callers)))
        return served

    async def offered(self, rate: float, seconds: float, tenant: str = "") -> Served:
        """Calls at random times, whatever has become of those before."""
        served, calls, end = Served(), [], self._clock.now + seconds
        while self._clock.now < end:
            await asyncio.sleep(self._random.expovariate(rate))
            calls.append(asyncio.create_task(self.call(served, tenant=tenant)))
        await asyncio.gather(*calls)
        return served


Play = Callable[[Callable[[Scene], Awaitable[T]]], T]


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Play[Any]:
    """Plays a scene in virtual time."""

    def played(scene: Callable[[Scene], Awaitable[T]]) -> T:
        clock = Clock()

        async def begun() -> T:
            return await scene(Scene(clock))

        return run(clock, begun(), monkeypatch)

    return played


def test_at_four_times_the_capacity_the_accepted_are_answered_in_twice_the_time(play: Play[Any]) -> None:
    async def scene(scene: Scene) -> tuple[Served, Served, Served]:
        # a quarter of a second goes by until it is told from a burst
        return await scene.alone(), await scene.offered(4 * CAPACITY, 1), await scene.offered(4 * CAPACITY, 60)

    alone, begins, overload = play(scene)
    assert overload.percentile(99) <= 2 * alone.percentile(99)
    assert sum(seconds > 2 * alone.percentile(99) for seconds in begins.accepted) <= 50
    assert len(overload.accepted) / 60 > 0.5 * CAPACITY
    assert float(np.percentile(overload.refused, 99)) == 0.0


def test_callers_who_wait_for_their_answers_are_a_burst_and_get_all_that_there_is(play: Play[Any]) -> None:
    async def scene(scene: Scene) -> Served:
        await scene.alone(50)
        return await scene.patient(64, 20)

    found = play(scene)
    assert found.refused == []
    assert len(found.accepted) / 20 > 0.95 * CAPACITY


def test_half_the_capacity_is_answered_whole(play: Play[Any]) -> None:
    async def scene(scene: Scene) -> Served:
        await scene.alone(50)
        return await scene.offered(0.5 * CAPACITY, 60)

    assert play(scene).refused == []


def test_a_tenant_that_floods_costs_another_no_call(play: Play[Any]) -> None:
    async def scene(scene: Scene) -> tuple[Served, Served, Served]:
        alone = await scene.alone()
        flood = asyncio.create_task(scene.offered(4 * CAPACITY, 30, tenant="flood"))
        return alone, await scene.offered(0.1 * CAPACITY, 30, tenant="other"), await flood

    alone, other, flood = play(scene)
    assert len(flood.refused) > len(flood.accepted)
    assert other.refused == []
    assert other.percentile(95) <= 4 * alone.percentile(99)


def test_once_an_overload_has_ended_a_burst_is_taken_again(play: Play[Any]) -> None:
    async def scene(scene: Scene) -> Served:
        await scene.offered(4 * CAPACITY, 10)
        await asyncio.sleep(15)
        return await scene.patient(32, 1)

    assert play(scene).refused == []
