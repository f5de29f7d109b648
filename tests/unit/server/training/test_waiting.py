"""An epoch says how long it waited for data and how long it computed."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from headstart_server.training.feed import Feed
from headstart_server.training.step_loss import StepLoss

from tests.support.training import Reports, Run, settings_of

SECONDS = 0.02
BATCHES = 4


def test_slow_data_is_waited_for_and_slow_arithmetic_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    load, compute = Feed.stream, StepLoss.__call__

    def slow_data(self: Feed, batches: Iterable[Any], epoch: int | None = None) -> Iterator[Any]:
        for item in load(self, batches, epoch):
            time.sleep(SECONDS)
            yield item

    def slow_arithmetic(self: StepLoss, *arguments: Any) -> Any:
        time.sleep(SECONDS)
        return compute(self, *arguments)

    def report() -> Any:
        reports = Reports()
        Run(settings_of(epochs=1, batch_size=16), reporter=reports).loop().run()
        return reports.epochs[0]

    with monkeypatch.context() as changed:
        changed.setattr(Feed, "stream", slow_data)
        waiting = report()
    monkeypatch.setattr(StepLoss, "__call__", slow_arithmetic)
    computing = report()
    assert waiting.data_wait_seconds >= BATCHES * SECONDS
    assert computing.compute_seconds >= BATCHES * SECONDS
    for found in (waiting, computing):
        assert found.data_wait_seconds + found.compute_seconds == pytest.approx(found.train_seconds)
        assert min(found.data_wait_seconds, found.compute_seconds) > 0
