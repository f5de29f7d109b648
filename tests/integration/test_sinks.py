"""A real job is in TensorBoard as it is in its log, whether it was followed from its start or afterwards."""

from __future__ import annotations

from pathlib import Path

import headstart
import pytest
from headstart.sinks import TensorBoard

from tests.support import reviews
from tests.support.event_files import HParams, accumulated


def test_tensorboard_shows_the_log_of_a_job(client: headstart.Client, tmp_path: Path) -> None:
    followed, afterwards = TensorBoard(tmp_path / "followed"), TensorBoard(tmp_path / "afterwards")
    run = client.train(
        reviews.spec(epochs=4), headstart.ServerPath("reviews.csv"), display_name="reviews", sinks=[followed]
    )
    events = list(run)
    assert client.watch(run.name, sinks=[afterwards]).result().state == run.job().state
    epochs = [event.epoch_finished for event in events if event.HasField("epoch_finished")]
    identifier = run.name.removeprefix("trainJobs/")
    for sink in (followed, afterwards):
        job = sink.directory / identifier
        for split in ("train", "validation", "test"):
            values = [item.value for item in accumulated(job / split).Scalars("epoch/verdict.accuracy")]
            assert values == pytest.approx([getattr(epoch, split)["verdict.accuracy"] for epoch in epochs])
        own = accumulated(job)
        steps = {item.step for item in own.Scalars("train/loss")} if "train/loss" in own.Tags()["scalars"] else set()
        assert steps == {event.step_progress.step for event in events if event.HasField("step_progress")}
        found = HParams(sink.directory).values[identifier]
        assert found["trainer.epochs"] == 4
        assert {value.path for value in run.job().resolved_values} <= set(found)
