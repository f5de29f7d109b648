"""Jobs and events as values."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from headstart_server.data.source import SourceRecord
from headstart_server.jobs.states import State


@dataclass(frozen=True)
class JobRecord:
    """A job as it is stored. JSON-like fields keep plain values."""

    identifier: str
    request_id: str
    request_digest: str
    display_name: str
    state: State
    create_time: datetime
    update_time: datetime
    spec: dict[str, Any]
    sources: list[SourceRecord]
    start_time: datetime | None = None
    end_time: datetime | None = None
    resolved: dict[str, Any] = field(default_factory=dict)
    """`spec`, `values` and `rows` of the last SpecResolved event."""
    model: str = ""
    best_epoch: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] = field(default_factory=dict)
    encode: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Last encode progress by feature."""
    last_sequence: int = 0


@dataclass(frozen=True)
class Event:
    """One entry of a job's log. `kind` is state, encode, step, epoch, warning, model or resolved."""

    sequence: int
    time: datetime
    kind: str
    data: dict[str, Any]


def apply(job: JobRecord, kind: str, data: dict[str, Any], now: datetime) -> JobRecord:
    """The job after an event."""
    match kind:
        case "state":
            state = State(data["to"])
            starts = state is State.PREPARING and job.start_time is None
            return replace(
                job,
                state=state,
                start_time=now if starts else job.start_time,
                end_time=now if state.terminal else None,
                error=data.get("error", {}),
            )
        case "resolved":
            return replace(job, resolved=data)
        case "encode":
            return job if data.get("test") else replace(job, encode={**job.encode, data["feature"]: data})
        case "epoch":
            return replace(job, best_epoch=data) if data["best"] else job
        case "model":
            return replace(job, model=data["model"], best_epoch=data["best_epoch"])
        case _:
            return job
