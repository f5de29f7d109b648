"""Batches: rows of many callers together, and no caller pays for another."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from headstart_server.serving import batcher as batching
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.columns import ImageFiles
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.rows import Answer, Rows

from tests.support.fake_predictor import FakePredictor, predictions, rows_of
from tests.support.measured import Growth
from tests.support.supervised import until


@pytest.fixture(autouse=True)
def in_a_burst(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are as long as in a burst from the beginning: how an overload begins is test_overload's."""
    monkeypatch.setattr(batching, "_BURST_AFTER_SECONDS", 0.0)


@pytest.fixture
async def batcher() -> AsyncIterator[Batcher]:
    opened = Batcher()
    yield opened
    opened.close()


async def started(predictor: FakePredictor) -> None:
    """Once a batch runs."""
    assert await asyncio.to_thread(predictor.started.acquire, timeout=30)


async def predicted(batcher: Batcher, predictor: Any, rows: Rows, reuse: Reuse, tenant: str) -> Answer:
    with batcher.limiter.admitted(tenant, f"model {id(predictor)}", rows.count, 1, however_long=True) as permit:
        return await batcher.predict(predictor, rows, reuse, permit)


def ask(
    batcher: Batcher, predictor: Any, rows: Rows, reuse: Reuse = Reuse.EXACT, tenant: str = ""
) -> asyncio.Task[Any]:
    return asyncio.create_task(predicted(batcher, predictor, rows, reuse, tenant))


async def answered(batcher: Batcher, predictor: Any, rows: Rows) -> list[float]:
    return predictions(await ask(batcher, predictor, rows))


async def one_running(batcher: Batcher, predictor: FakePredictor) -> asyncio.Task[Any]:
    """A caller whose batch is held."""
    predictor.hold()
    first = ask(batcher, predictor, rows_of(0))
    await started(predictor)
    return first


async def test_rows_that_arrive_while_a_batch_runs_share_the_next(batcher: Batcher) -> None:
    predictor = FakePredictor()
    first = await one_running(batcher, predictor)
    others = [ask(batcher, predictor, rows_of(number, -number)) for number in (1, 2, 3)]
    await asyncio.sleep(0)
    predictor.release()
    assert predictions(await first) == [0]
    assert [predictions(await other) for other in others] == [[2, -2], [4, -4], [6, -6]]
    assert predictor.batches == [[0], [1, -1, 2, -2, 3, -3]]


async def test_nobody_alone_waits_for_company(batcher: Batcher) -> None:
    predictor = FakePredictor()
    for number in (1, 2):
        assert await answered(batcher, predictor, rows_of(number)) == [2 * number]
    assert predictor.batches == [[1], [2]]


async def test_models_that_the_same_encoders_read_for_share_a_batch(batcher: Batcher) -> None:
    one, other, third = (FakePredictor(reads=frozenset(names)) for names in ("a", "a", "ab"))
    first = await one_running(batcher, one)
    asked = [ask(batcher, model, rows_of(number)) for number, model in enumerate((other, third, one, other), start=1)]
    await asyncio.sleep(0)
    one.release()
    await first
    assert [predictions(await each) for each in asked] == [[2], [4], [6], [8]]
    # the two in one batch, in which each model answers its own rows; the third in one of its own
    assert (one.batches, other.batches, third.batches) == ([[0], [3]], [[1, 4]], [[2]])


async def test_rows_that_are_read_once_for_many_models_tell_no_other_kind_how_fast_rows_are(batcher: Batcher) -> None:
    reads = frozenset("a")
    models, limiter = [FakePredictor(reads) for _ in range(3)], batcher.limiter
    first = await one_running(batcher, models[0])
    with (
        limiter.admitted("", "many", 1, 1, however_long=True) as many,
        limiter.admitted("", "one", 1, 1, however_long=True) as one,
    ):
        many.read_once = True
        asked = [
            asyncio.create_task(batcher.predict(cast(Any, model), rows_of(1), Reuse.EXACT, permit))
            for model, permit in zip(models, (many, many, one), strict=True)
        ]
        await asyncio.sleep(0)
        models[0].release()
        await first
        assert [predictions(await each) for each in asked] == [[2]] * 3
    assert [len(model.batches) for model in models] == [2, 1, 1]
    assert (limiter.speeds.knows("many"), limiter.speeds.knows("one")) == (True, False)


async def test_a_head_that_fails_fails_no_other_models_callers(batcher: Batcher) -> None:
    reads = frozenset("a")
    one, other = FakePredictor(reads), FakePredictor(reads)
    first = await one_running(batcher, one)
    other.fails = ValueError("not finite")
    good, bad = ask(batcher, one, rows_of(1)), ask(batcher, other, rows_of(2))
    await asyncio.sleep(0)
    one.release()
    await first
    assert predictions(await good) == [2]
    with pytest.raises(ValueError, match="not finite"):
        await bad


async def test_a_batch_holds_rows_of_one_model_and_one_reuse(batcher: Batcher) -> None:
    one, other = FakePredictor(), FakePredictor()
    first = await one_running(batcher, one)
    asked = [
        ask(batcher, one, rows_of(1)),
        ask(batcher, other, rows_of(2)),
        ask(batcher, one, rows_of(3), Reuse.NONE),
        ask(batcher, one, rows_of(4)),
    ]
    await asyncio.sleep(0)
    one.release()
    await asyncio.gather(first, *asked)
    assert (one.batches, other.batches) == ([[0], [1, 4], [3]], [[2]])
    assert one.reuse == [Reuse.EXACT, Reuse.EXACT, Reuse.NONE]


async def test_many_rows_are_answered_in_pieces_between_those_of_others(batcher: Batcher) -> None:
    predictor = FakePredictor()
    numbers = list(range(600))
    predictor.hold()
    large = ask(batcher, predictor, rows_of(*numbers))
    await started(predictor)
    small = ask(batcher, predictor, rows_of(-1))
    await asyncio.sleep(0)
    predictor.release()
    assert predictions(await small) == [-2]
    assert not large.done()
    assert predictions(await large) == [2 * number for number in numbers]
    assert max(map(len, predictor.batches)) <= 256
    assert predictor.batches[1][0] == -1


async def test_rows_of_a_caller_who_has_gone_are_not_computed(batcher: Batcher) -> None:
    predictor = FakePredictor()
    first = await one_running(batcher, predictor)
    leaving, staying = ask(batcher, predictor, rows_of(1)), ask(batcher, predictor, rows_of(2))
    await asyncio.sleep(0)
    leaving.cancel()
    predictor.release()
    await first
    assert predictions(await staying) == [4]
    assert predictor.batches == [[0], [2]]


async def test_a_large_request_whose_caller_has_gone_stops_after_its_piece(batcher: Batcher) -> None:
    predictor = FakePredictor()
    predictor.hold()
    large = ask(batcher, predictor, rows_of(*range(2_000)))
    await started(predictor)
    large.cancel()
    predictor.release()
    await asyncio.gather(large, return_exceptions=True)
    assert await answered(batcher, predictor, rows_of(7)) == [14]
    assert [len(batch) for batch in predictor.batches] == [256, 1]


async def test_an_error_reaches_every_caller_of_its_batch_and_nobody_else(batcher: Batcher) -> None:
    predictor, healthy = FakePredictor(), FakePredictor()
    first = await one_running(batcher, healthy)
    predictor.fails = ValueError("broken")
    failing = [ask(batcher, predictor, rows_of(number)) for number in (1, 2)]
    fine = ask(batcher, healthy, rows_of(3))
    await asyncio.sleep(0)
    healthy.release()
    errors = await asyncio.gather(*failing, return_exceptions=True)
    assert [str(error) for error in errors] == ["broken", "broken"]
    assert predictions(await first) == [0]
    assert predictions(await fine) == [6]
    predictor.fails = None
    assert predictions(await ask(batcher, predictor, rows_of(4))) == [8]


async def test_rows_that_cannot_be_joined_fail_their_callers_and_stop_nobody_after_them(batcher: Batcher) -> None:
    predictor = FakePredictor()
    first = await one_running(batcher, predictor)
    odd = [ask(batcher, predictor, rows) for rows in (rows_of(1), Rows(1, {}))]
    await asyncio.sleep(0)
    predictor.release()
    await first
    assert all(isinstance(error, KeyError) for error in await asyncio.gather(*odd, return_exceptions=True))
    assert await answered(batcher, predictor, rows_of(5)) == [10]


class FakeImagePredictor(FakePredictor):
    """Counts the rows whose images are loaded and not yet answered; row -1 has a bad image."""

    def __init__(self) -> None:
        super().__init__()
        self.in_hand = self.most = 0
        self._lock = threading.Lock()

    def loaded(self, rows: Rows, reuse: Reuse) -> Rows:
        if -1 in rows.arrays["x"]:
            raise ValueError("a bad image")
        with self._lock:
            self.in_hand += rows.count
            self.most = max(self.most, self.in_hand)
        return replace(rows, columns={})

    def answer(self, rows: Rows, embeddings: Sequence[object]) -> Answer:
        answer = super().answer(rows, embeddings)
        with self._lock:
            self.in_hand -= rows.count
        return answer


def images_of(*numbers: float) -> Rows:
    """Rows of one number and one image each."""
    files: Any = None
    return replace(rows_of(*numbers), columns={"image": ImageFiles(files, np.arange(len(numbers)))})


async def test_images_of_any_number_of_callers_lie_decoded_in_bounded_number(batcher: Batcher) -> None:
    predictor = FakeImagePredictor()
    asked = [ask(batcher, predictor, images_of(*range(500))) for _ in range(20)]
    assert [len(predictions(answer)) for answer in await asyncio.gather(*asked)] == [500] * 20
    assert 64 <= predictor.most <= 512


async def test_a_bad_image_fails_its_own_caller_only(batcher: Batcher) -> None:
    predictor = FakeImagePredictor()
    good, bad = ask(batcher, predictor, images_of(1, 2)), ask(batcher, predictor, images_of(3, -1))
    with pytest.raises(ValueError, match="a bad image"):
        await bad
    assert predictions(await good) == [2, 4]


async def test_room_of_callers_who_have_gone_is_free_again(batcher: Batcher) -> None:
    predictor = FakeImagePredictor()
    predictor.hold()
    leaving = [ask(batcher, predictor, images_of(*range(500))) for _ in range(20)]
    await started(predictor)
    for task in leaving:
        task.cancel()
    predictor.release()
    await asyncio.gather(*leaving, return_exceptions=True)
    assert predictions(await ask(batcher, predictor, images_of(7))) == [14]


def between(batcher: Batcher, function: Callable[[], Any]) -> asyncio.Task[Any]:
    """Calls a function in its turn, from a thread."""

    async def called() -> Any:
        with batcher.limiter.admitted("", "other", 1, 1, however_long=True) as permit:
            loop = asyncio.get_running_loop()
            return await asyncio.to_thread(batcher.run_between, function, permit, lambda _: 1, loop)

    return asyncio.create_task(called())


async def test_other_computing_has_its_turn_in_the_order_of_asking(batcher: Batcher) -> None:
    predictor, order = FakePredictor(), list[str]()
    first = await one_running(batcher, predictor)
    others = [between(batcher, partial(order.append, str(n))) for n in (1, 2)]
    await until(lambda: len(list(batcher._queue)) == 2)
    assert order == []  # a batch is computed
    second = ask(batcher, predictor, rows_of(7))
    second.add_done_callback(lambda _: order.append("batch"))
    predictor.release()
    await asyncio.gather(first, second, *others)
    await asyncio.sleep(0)
    assert sorted(order[:2]) == ["1", "2"]
    assert order[2:] == ["batch"]


async def test_an_error_of_other_computing_reaches_its_caller_alone(batcher: Batcher) -> None:
    with pytest.raises(ZeroDivisionError):
        await between(batcher, lambda: 1 // 0)
    assert await answered(batcher, FakePredictor(), rows_of(1)) == [2]


async def test_waiting_rows_and_batches_are_measured(batcher: Batcher) -> None:
    waiting, computed = Growth("headstart_predict_waiting_rows"), Growth("headstart_predict_compute_seconds_count")
    predictor = FakePredictor()
    first = await one_running(batcher, predictor)
    second = ask(batcher, predictor, rows_of(1, 2, 3))
    await asyncio.sleep(0)
    assert waiting() == 3
    predictor.release()
    await asyncio.gather(first, second)
    assert (waiting(), computed()) == (0, 2)
