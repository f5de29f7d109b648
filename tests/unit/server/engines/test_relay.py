"""What a training says arrives in another process as it was said."""

from __future__ import annotations

import json
from typing import Any

from headstart_server.engines.listener import RowCounts
from headstart_server.engines.relay import Relay, replay
from headstart_server.planning.resolution import Origin, ResolvedValue
from headstart_server.spec.model import TrainSpec
from headstart_server.training.reports import EpochReport, StepReport

from tests.support import reviews


class Heard:
    """Remembers every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self.calls.append((name, (*arguments, *named.values())))


def test_every_report_arrives_whole_over_plain_values() -> None:
    report = EpochReport(2, 8, {"loss": 0.5}, {"loss": 0.6}, workers=[{"rows": 4, "rows_per_second": 2.0}], best=True)
    value = ResolvedValue("trainer.batch_size", 16, Origin.MEASURED, "it fits")
    calls: list[tuple[str, tuple[Any, ...]]] = [
        ("state", ("PUBLISHING",)),
        ("resolved", (TrainSpec.model_validate(reviews.spec()), [value], RowCounts(10, 2, 3))),
        ("step", (StepReport(1, 2, 3, 0.5, 1e-3, 100.0, 4.0),)),
        ("epoch", (report,)),
        ("past", (report,)),
        ("warning", ("RESUMED", "after epoch 1")),
        ("model", ("m1", report)),
    ]
    heard, direct = Heard(), Heard()
    relay = Relay(lambda kind, said: replay(heard, kind, json.loads(json.dumps(said))), lambda: None)  # type: ignore[arg-type]
    for name, arguments in calls:
        getattr(relay, name)(*arguments)
        getattr(direct, name)(*arguments)
    assert heard.calls == direct.calls == calls
