"""Jobs and their log as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from headstart_server.core.states import State
from headstart_server.data.source import SourceRecord
from headstart_server.engines.events import (
    EncodeReport,
    JobEvent,
    JobFailure,
    ModelPublished,
    SpecResolved,
    StateChange,
)
from headstart_server.training.reports import EpochReport, StepReport


@dataclass(frozen=True)
class JobDetails:
    """What a caller says of a job besides what it trains."""

    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    priority: int = 0
    timeout: float | None = None
    """Seconds from its creation to its end; None: any time."""
    ttl: float | None = None
    """Seconds for which it is kept after its end."""
    initial_model: str = ""
    """The model that it begins from, as the request names it."""


@dataclass(frozen=True)
class JobRecord:
    """A job as it is stored."""

    identifier: str
    request_id: str
    request_digest: str
    display_name: str
    state: State
    create_time: datetime
    update_time: datetime
    spec: dict[str, Any]
    """As it was given, as `TrainSpec.compact` gives it."""
    sources: list[SourceRecord]
    start_time: datetime | None = None
    end_time: datetime | None = None
    resolved: SpecResolved | None = None
    """The last."""
    model: str = ""
    best_epoch: EpochReport | None = None
    error: JobFailure | None = None
    encode: dict[str, EncodeReport] = field(default_factory=dict)
    """Last encode progress by feature."""
    last_sequence: int = 0
    tenant: str = ""
    owner: str = ""
    """The server that runs it; empty: none."""
    lease_until: float = 0.0
    """Until when it does, in seconds since 1970 by the database's clock."""
    attempt: int = 0
    """How often it was claimed: reports of an earlier attempt are refused."""
    restarts: int = 0
    """How often it went on after its process had died, since it last made progress."""
    halvings: int = 0
    """How often its batches were halved, because memory ran out."""
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    creator: str = ""
    """The name of the caller who made it; empty where the server asks nobody."""
    priority: int = 0
    """Of a tenant's jobs that wait, those of higher priority run first."""
    deadline: datetime | None = None
    """When it fails if it has not ended."""
    ttl: float | None = None
    """Seconds for which it is kept after its end; None: until somebody deletes it."""
    initial_model: str = ""
    """Id of the model whose weights it begins from."""
    step: StepReport | None = None
    """The last."""
    source_rows: dict[str, int] = field(default_factory=dict)
    """Rows of each data set, by its role, once they are read."""


def stopped(job: JobRecord) -> tuple[State, JobFailure | None]:
    """Where a job is once whoever ran it has stopped before its end: where it was asked to be, or in the queue."""
    if job.state is State.CANCELLING:
        # one that ran out of time was asked to stop because of an error
        return (State.FAILED, job.error) if job.error is not None else (State.CANCELLED, None)
    return (State.PAUSED if job.state is State.PAUSING else State.QUEUED), None


def released(job: JobRecord) -> JobRecord:
    """The job as nobody's: the next claim makes it somebody's again."""
    return replace(job, owner="", lease_until=0.0)


@dataclass(frozen=True)
class LogEntry:
    """One entry of a job's log; entries count from 1."""

    sequence: int
    time: datetime
    event: JobEvent


@dataclass(frozen=True)
class News:
    """A job's log has grown: what servers tell each other."""

    identifier: str
    last_sequence: int
    state: State

    @property
    def text(self) -> str:
        """As PostgreSQL carries it."""
        return f"{self.identifier} {self.last_sequence} {self.state}"

    @classmethod
    def of(cls, text: str) -> "News":
        """What was made a text; raises ValueError for what was not."""
        identifier, sequence, state = text.split()
        return cls(identifier, int(sequence), State(state))


@dataclass(frozen=True)
class QueuePosition:
    """Where a job waits, and for what."""

    jobs_before: int
    """Older ones that wait."""
    reason: str
    """For people."""


@dataclass(frozen=True)
class StateCount:
    """The jobs in one state."""

    jobs: int
    since: datetime
    """Of the job that has reported nothing for longest; of QUEUED: since when it waits."""


def apply(job: JobRecord, event: JobEvent, now: datetime) -> JobRecord:
    """The job after an event."""
    match event:
        case StateChange(to=state):
            # a job that goes on after a restart keeps the time of its first start
            starts = state is State.PREPARING and job.start_time is None
            job = released(job) if state.terminal or state in (State.QUEUED, State.PAUSED) else job
            return replace(
                job,
                state=state,
                start_time=now if starts else job.start_time,
                end_time=now if state.terminal else None,
                error=event.error,
            )
        case SpecResolved():
            return replace(job, resolved=event, source_rows=event.sources or job.source_rows)
        case StepReport():
            return replace(job, step=event)
        case EncodeReport():
            job = replace(job, restarts=0) if event.encoded else job
            return job if event.test else replace(job, encode={**job.encode, event.feature: event})
        case EpochReport():
            return replace(job, restarts=0, best_epoch=event if event.best else job.best_epoch)
        case ModelPublished():
            return replace(job, model=event.model, best_epoch=event.best_epoch)
        case _:
            return job
