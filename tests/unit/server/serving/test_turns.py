"""Whose rows are computed when, and whose are not computed at all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest
from headstart_server.core import deadlines
from headstart_server.core.errors import DeadlineExceededError, OverloadedError
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.limiter import Limits
from headstart_server.serving.rows import Answer, Rows

from tests.support.fake_predictor import FakePredictor, predictions, rows_of
from tests.support.measured import Growth
from tests.unit.server.serving.test_batcher import answered, ask, batcher, in_a_burst, one_running, started

__all__ = ["batcher", "in_a_burst"]


async def test_tenants_take_turns_however_much_one_of_them_sends() -> None:
    batcher, predictor = Batcher(max_batch_rows=2), FakePredictor()
    first = await one_running(batcher, predictor)
    flood = [ask(batcher, predictor, rows_of(number), tenant="one") for number in range(1, 7)]
    await asyncio.sleep(0)
    others = [ask(batcher, predictor, rows_of(number), tenant=name) for name, number in (("two", -1), ("three", -2))]
    await asyncio.sleep(0)
    predictor.release()
    await asyncio.gather(first, *flood, *others)
    assert predictor.batches == [[0], [1, -1], [-2, 2], [3, 4], [5, 6]]
    batcher.close()


async def test_rows_whose_deadline_passed_while_they_waited_are_not_computed(batcher: Batcher) -> None:
    predictor, dropped = FakePredictor(), Growth("headstart_predict_rows_total", outcome="dropped")
    first = await one_running(batcher, predictor)

    async def hasty() -> None:
        deadlines.begin(0.05)
        await ask(batcher, predictor, rows_of(1, 2))

    late, patient = asyncio.create_task(hasty()), ask(batcher, predictor, rows_of(3))
    await asyncio.sleep(0.1)
    predictor.release()
    with pytest.raises(DeadlineExceededError):
        await late
    await asyncio.gather(first, patient)
    assert predictor.batches == [[0], [3]]
    assert dropped() == 2


async def test_what_waits_beyond_one_batch_is_refused_once_an_overload_begins() -> None:
    batcher, predictor = Batcher(limits=Limits(wait=1.0)), FakePredictor()
    for _ in range(50):
        batcher.limiter.speeds.observe("m", 1, 0.1)

    async def call(number: float, tenant: str) -> float:
        with batcher.limiter.admitted(tenant, "m", 1, 1) as permit:
            answer: Any = predictor
            return predictions(await batcher.predict(answer, rows_of(number), Reuse.EXACT, permit))[0]

    predictor.hold()
    other = asyncio.create_task(call(-1, "other"))
    await started(predictor)
    flood = [asyncio.create_task(call(number, "flood")) for number in range(20)]
    await asyncio.sleep(0.05)
    refused = [task for task in flood if task.done()]
    assert len(refused) >= 18
    assert all(isinstance(task.exception(), OverloadedError) for task in refused)
    predictor.release()
    assert await other == -2
    found = await asyncio.gather(*flood, return_exceptions=True)
    kept = [number for number in found if not isinstance(number, OverloadedError)]
    assert kept[0] == 0 and len(kept) <= 2
    batcher.close()


async def test_rows_computed_for_a_caller_who_has_gone_are_counted(batcher: Batcher) -> None:
    predictor, wasted = FakePredictor(), Growth("headstart_predict_rows_total", outcome="wasted")
    leaving = await one_running(batcher, predictor)
    leaving.cancel()
    predictor.release()
    assert await answered(batcher, predictor, rows_of(7)) == [14]
    assert wasted() == 1


async def test_one_request_may_hold_any_number_of_rows() -> None:
    batcher, predictor = Batcher(max_batch_rows=4, limits=Limits(rows=6)), FakePredictor()
    assert predictions(await ask(batcher, predictor, rows_of(*range(30)))) == [2 * number for number in range(30)]
    batcher.close()


class SlowPredictor(FakePredictor):
    """Takes a millisecond for each row, and ten for each batch."""

    def answer(self, rows: Rows, embeddings: Sequence[object]) -> Answer:
        time.sleep(0.01 + 0.001 * rows.count)
        return super().answer(rows, embeddings)


async def test_batches_and_pieces_take_no_longer_than_others_can_wait(batcher: Batcher) -> None:
    predictor = SlowPredictor()
    for number in range(20):
        await answered(batcher, predictor, rows_of(number))
    await asyncio.gather(*(ask(batcher, predictor, rows_of(number)) for number in range(100)))
    assert 2 <= max(map(len, predictor.batches)) <= 60  # a quarter of a second, as far as was known
    await answered(batcher, predictor, rows_of(*range(2_000)))
    assert max(map(len, predictor.batches)) <= 130
