"""The log of a whole job, with all that sinks take from one, and sinks that keep it or fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from google.protobuf.struct_pb2 import NULL_VALUE, ListValue, Value
from headstart.sinks import Parameter, Point, Sink
from headstart.v1 import training_pb2 as pb

from tests.support.fake_training import script_of

CREATED = 1_700_000_000
JOB = pb.TrainJob(name="trainJobs/j1", display_name="reviews")
JOB.create_time.seconds = CREATED
Origin = pb.ResolvedValue.Origin


def _betas() -> ListValue:
    found = ListValue()
    found.extend([0.9, 0.99])
    return found


def resolved(batch_size: int) -> pb.TrainJobEvent:
    """A spec, resolved with this batch size."""
    value = pb.ResolvedValue
    return pb.TrainJobEvent(
        spec_resolved=pb.SpecResolved(
            values=[
                value(
                    path="trainer.batch_size",
                    value=Value(number_value=batch_size),
                    origin=Origin.ORIGIN_MEASURED,
                    reason="fastest | of three",
                ),
                value(
                    path="input_features[0].encoder.type", value=Value(string_value="bert"), origin=Origin.ORIGIN_GIVEN
                ),
                value(path="trainer.compile", value=Value(bool_value=True), origin=Origin.ORIGIN_DEFAULT),
                value(path="trainer.betas", value=Value(list_value=_betas()), origin=Origin.ORIGIN_RULE),
                value(path="trainer.early_stop", value=Value(null_value=NULL_VALUE), origin=Origin.ORIGIN_DEFAULT),
            ],
            train_rows=80,
            validation_rows=10,
            test_rows=10,
        )
    )


def encoded(seen: int, again: bool = False) -> pb.TrainJobEvent:
    """An embedding pass that has seen so many of 100 rows."""
    progress = pb.EncodeProgress(feature="review", rows_total=100, rows_seen=seen, rows_encoded=seen)
    progress.rows_per_second, progress.test_rows_again = 7.5, again
    return pb.TrainJobEvent(encode_progress=progress)


def stepped(step: int, loss: float) -> pb.TrainJobEvent:
    """A report of an optimizer step."""
    progress = pb.StepProgress(epoch=1, step=step, loss=loss, learning_rate=0.001, rows_per_second=50)
    return pb.TrainJobEvent(step_progress=progress)


def metrics(epoch: int, accuracy: float, best: bool = True) -> pb.EpochMetrics:
    """The metrics of an epoch of ten steps."""
    return pb.EpochMetrics(
        epoch=epoch,
        evaluation=epoch,
        epochs=epoch,
        step=10 * epoch,
        train={"label.accuracy": accuracy + 0.05, "loss": 0.125},
        validation={"label.accuracy": accuracy, "label.loss": 1 - accuracy},
        test={"label.accuracy": accuracy - 0.05},
        train_seconds=2.5,
        best=best,
    )


def finished(epoch: int, accuracy: float, best: bool = True) -> pb.TrainJobEvent:
    """An epoch's end."""
    return pb.TrainJobEvent(epoch_finished=metrics(epoch, accuracy, best))


def warned(reason: str, message: str) -> pb.TrainJobEvent:
    """A warning."""
    return pb.TrainJobEvent(warning=pb.JobWarning(reason=reason, message=message))


def published(epoch: int, accuracy: float) -> pb.TrainJobEvent:
    """The model, made of this epoch."""
    best = metrics(epoch, accuracy)
    return pb.TrainJobEvent(model_published=pb.ModelPublished(model="models/m1", best_epoch=best))


def timed(script: Sequence[pb.TrainJobEvent]) -> list[pb.TrainJobEvent]:
    """Give each event the time of CREATED and a second per event, and the job's name."""
    for event in script:
        event.job = JOB.name
        event.time.FromMilliseconds(1000 * CREATED + 1000 * event.sequence + 250)
    return list(script)


def whole_job(end: pb.TrainJob.State = pb.TrainJob.STATE_SUCCEEDED) -> list[pb.TrainJobEvent]:
    """A job that was interrupted after its second epoch's sixth step, and told its first epoch and that step again."""
    succeeded = end == pb.TrainJob.STATE_SUCCEEDED
    steps = [
        resolved(32),
        encoded(50),
        encoded(100),
        encoded(10, again=True),
        resolved(64),
        stepped(5, 0.9),
        stepped(10, 0.8),
        finished(1, 0.7),
        warned("ROWS_DROPPED", "3 rows\nwere left out"),
        stepped(16, 0.6),
        finished(1, 0.7),
        stepped(16, 0.6),
        stepped(20, float("nan")),
        finished(2, 0.9),
        warned("ROWS_DROPPED", "1 more"),
        finished(3, 0.8, best=False),
        *([published(2, 0.91)] if succeeded else []),
    ]
    return timed(script_of(*steps, end=end))


def play(sink: Sink, events: Iterable[pb.TrainJobEvent], job: pb.TrainJob = JOB) -> None:
    """Have a sink take events, as a recorder does."""
    sink.check()
    sink.begin(job)
    for event in events:
        sink.take(event)
    sink.close()


class KeptSink(Sink):
    """Keeps what it is asked to write; `fail` is called first with the name of what it is asked for."""

    title = "Kept"
    option = "--kept here"

    def __init__(self, fail: Callable[[str], object] = str) -> None:
        self.calls: list[str] = []
        self.points: list[tuple[str, int, float]] = []
        self.times: list[float] = []
        self.parameters: list[Parameter] = []
        self.texts: list[tuple[str, str]] = []
        self.best: dict[str, float] = {}
        self.state: pb.TrainJob.State | None = None
        self.job = pb.TrainJob()
        self._fail = fail

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self._fail(call)

    def check(self) -> None:
        """Note it."""
        self._note("check")

    def open(self, job: pb.TrainJob) -> None:
        """Note it."""
        self._note("open")
        self.job = job

    def write(self, points: Sequence[Point], event: pb.TrainJobEvent) -> None:
        """Keep them."""
        self._note("write")
        self.points += [(point.key, point.position, point.value) for point in points]
        self.times.append(event.time.seconds + event.time.nanos / 1e9)

    def write_parameters(self, parameters: Sequence[Parameter], event: pb.TrainJobEvent) -> None:
        """Keep them."""
        self._note("parameters")
        self.parameters += parameters

    def write_text(self, tag: str, text: str, event: pb.TrainJobEvent) -> None:
        """Keep it."""
        self._note("text")
        self.texts.append((tag, text))

    def write_best(self, points: Sequence[Point], event: pb.TrainJobEvent) -> None:
        """Keep them."""
        self._note("best")
        assert not self.best, "the best evaluation is written once"
        self.best = {point.key: point.value for point in points}

    def end(self, state: pb.TrainJob.State, event: pb.TrainJobEvent) -> None:
        """Keep it."""
        self._note("end")
        self.state = state

    def close(self) -> None:
        """Note it."""
        self._note("close")


def failing(at: str, error: Exception) -> KeptSink:
    """Return a sink that raises when it is asked for something."""

    def fail(call: str) -> Any:
        if call == at:
            raise error

    return KeptSink(fail)
