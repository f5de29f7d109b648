"""Passes what a training says from one process to another, as plain values."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from headstart_server.engines.listener import Listener, RowCounts, Silent
from headstart_server.planning.resolution import Origin, ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import EpochReport, StepReport

Say = Callable[[str, dict[str, Any]], None]
"""Takes the name of a listener's method, and its arguments as plain values."""


class Relay(Silent):
    """A listener that says everything on. Of the embedding pass it says nothing: that is the driver's."""

    def __init__(self, say: Say, check: Callable[[], None]) -> None:
        self._say, self._check = say, check

    def check(self) -> None:
        """Raises CancelledError when the job was cancelled."""
        self._check()

    def state(self, state: str) -> None:
        """Says it on."""
        self._say("state", {"state": state})

    def resolved(self, spec: TrainSpec, values: Sequence[ResolvedValue], rows: RowCounts) -> None:
        """Says it on."""
        plain = [asdict(value) for value in values]
        self._say("resolved", {"spec": spec.compact(), "values": plain, "rows": asdict(rows)})

    def step(self, report: StepReport) -> None:
        """Says it on."""
        self._say("step", {"report": asdict(report)})

    def epoch(self, report: EpochReport) -> None:
        """Says it on."""
        self._say("epoch", {"report": asdict(report)})

    def past(self, report: EpochReport) -> None:
        """Says it on."""
        self._say("past", {"report": asdict(report)})

    def warning(self, reason: str, message: str) -> None:
        """Says it on."""
        self._say("warning", {"reason": reason, "message": message})

    def model(self, identifier: str, report: EpochReport) -> None:
        """Says it on."""
        self._say("model", {"identifier": identifier, "report": asdict(report)})


def replay(listener: Listener, kind: str, said: dict[str, Any]) -> None:
    """Tells a listener what a relay said."""
    match kind:
        case "resolved":
            values = [ResolvedValue(**{**value, "origin": Origin(value["origin"])}) for value in said["values"]]
            listener.resolved(TrainSpec.model_validate(said["spec"]), values, RowCounts(**said["rows"]))
        case "step":
            listener.step(StepReport(**said["report"]))
        case "epoch":
            listener.epoch(EpochReport(**said["report"]))
        case "past":
            listener.past(EpochReport(**said["report"]))
        case "model":
            listener.model(said["identifier"], EpochReport(**said["report"]))
        case _:
            getattr(listener, kind)(**said)
