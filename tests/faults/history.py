"""What clients of a faulty system saw, and what it shows in the end: all that the checker may know."""

from __future__ import annotations

from dataclasses import dataclass, field

from headstart.v1 import training_pb2 as pb

Curve = dict[tuple[int, int], dict[str, float]]
"""Metrics by (epoch, evaluation), as they were told: bit for bit."""


@dataclass
class Created:
    """A job that a client was told is stored."""

    request_id: str
    name: str
    spec: str
    """Which of the specs it trains."""


@dataclass
class Seen:
    """Events that one stream delivered, in the order of their coming, after a sequence number."""

    job: str
    after: int
    events: list[pb.TrainJobEvent] = field(default_factory=list)


@dataclass
class History:
    """Everything acknowledged, in no particular order."""

    created: list[Created] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    """Jobs whose cancellation was acknowledged, or may have been heard."""
    seen: list[Seen] = field(default_factory=list)
    datasets: set[str] = field(default_factory=set)

    @property
    def names(self) -> set[str]:
        """The jobs that clients were told of."""
        return {created.name for created in self.created}


@dataclass
class Ending:
    """What the system shows once nothing goes wrong any more, to any client of any server."""

    jobs: dict[str, pb.TrainJob] = field(default_factory=dict)
    logs: dict[str, list[pb.TrainJobEvent]] = field(default_factory=dict)
    models: list[str] = field(default_factory=list)
    """Names, each as often as it is listed."""
    answers: dict[str, list[list[float]]] = field(default_factory=dict)
    """By model: what each server predicts for the same rows."""
    datasets: set[str] = field(default_factory=set)
    processes: list[str] = field(default_factory=list)
    """Those of the system that live on after its servers have stopped."""
    files: list[str] = field(default_factory=list)
    """Open files of each server that are more than before the first call."""


def curve_of(events: list[pb.TrainJobEvent]) -> Curve:
    """The loss curve of a log; raises AssertionError where one evaluation was told twice and differently."""
    found: Curve = {}
    for event in events:
        if event.HasField("epoch_finished"):
            epoch = event.epoch_finished
            told = {f"train {name}": value for name, value in epoch.train.items()}
            told |= {f"validation {name}": value for name, value in epoch.validation.items()}
            known = found.setdefault((epoch.epoch, epoch.evaluation), told)
            assert known == told, f"{event.job}: evaluation {epoch.evaluation} was told as {known} and as {told}"
    return found
