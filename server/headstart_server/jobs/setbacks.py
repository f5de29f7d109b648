"""How attempts end: what a worker says at the end, and what becomes of a job whose worker has died or lacks memory."""

from dataclasses import dataclass
from typing import Any

from headstart_server.core.reasons import Notice, Reason
from headstart_server.engines.events import JobFailure, ModelPublished, from_plain, kind_of
from headstart_server.jobs.process import WorkerProcess, WorkerStartError
from headstart_server.jobs.records import JobRecord
from headstart_server.training.reports import JobWarning

_RESTARTS = 3
"""How often a job goes on after its worker has died, unless it has made progress meanwhile."""
_WAITS = 20
"""The same, where the disk was full or the storage away."""
_HALVINGS = 1
"""How often its passes are halved: half of half a batch, and so on, would hide that the memory is too small for it."""


@dataclass(frozen=True)
class Setback:
    """An attempt ended so that the job may go on from its last checkpoint."""

    what: str
    """For people, with the worker process as its subject."""
    cause: str
    """Of the metric of restarts."""
    notice: Notice
    reason: Reason
    """Of the job's failure, where it may not go on."""
    halves: bool = False
    """Whether it goes on with half as many rows per pass."""
    waits: bool = False
    """Whether it goes on once there is room, or the storage is back."""

    def may_go_on(self, job: JobRecord) -> bool:
        """Whether the job was not set back so too often already."""
        if self.halves:
            return job.halvings < _HALVINGS
        return job.restarts < (_WAITS if self.waits else _RESTARTS)

    @property
    def warning(self) -> JobWarning:
        """What the log says where the job goes on."""
        how = ", with half as many rows per pass" if self.halves else ""
        how += ", once that is over" if self.waits else ""
        message = f"the worker process {self.what}; the job goes on from its last checkpoint{how}"
        return JobWarning(self.notice, message)

    @property
    def failure(self) -> JobFailure:
        """What the job fails of where it does not."""
        if not self.halves:
            message = f"the worker process {self.what}; what was encoded is kept, start the job again"
            return JobFailure(self.reason, message)
        message = f"the worker process {self.what}, with half as many rows per pass as before, too; lower "
        message += "trainer.batch_size or max_sequence_length, or use a machine with more memory"
        return JobFailure(self.reason, message, "trainer.batch_size")


async def setback_of(worker: WorkerProcess, done: dict[str, Any] | None, silent: float | None) -> Setback | None:
    """That of an attempt whose worker died, ran out of memory, or was killed after so many seconds of silence; None for
    all others."""
    if done is None:
        how = await worker.how_it_died()
        if silent is not None:
            what = f"showed no sign of life for {silent:g} seconds and was ended"
            return Setback(what, "hang", Notice.WORKER_RESTARTED, Reason.WORKER_HUNG)
        if not how.memory:
            return Setback(how.text, "worker", Notice.WORKER_RESTARTED, Reason.WORKER_DIED)
        return Setback(how.text, "memory", Notice.MEMORY_RAN_OUT, Reason.OUT_OF_MEMORY, halves=True)
    error = done.get("error", {})
    match error.get("reason"):
        case Reason.OUT_OF_MEMORY:
            return Setback("ran out of memory", "memory", Notice.MEMORY_RAN_OUT, Reason.OUT_OF_MEMORY, halves=True)
        case Reason.DISK_FULL | Reason.STORAGE_UNAVAILABLE as reason:
            what = f"could not write or read: {error['message']}"
            return Setback(what, "storage", Notice.STORAGE_AWAY, Reason[reason], waits=True)
    return None


def not_started(error: WorkerStartError) -> Setback:
    """That of an attempt for which no worker started: a machine short of memory kills them, and is not for ever so."""
    what = f"did not start, several times in a row: the last one {error.how}"
    return Setback(what, "worker", Notice.WORKER_RESTARTED, Reason.WORKER_DIED, waits=True)


def is_clean(done: dict[str, Any]) -> bool:
    """Whether a worker that ended a job so may run another: its own errors leave nothing behind, unknown ones may."""
    return done.get("error", {}).get("reason") not in {Reason.INTERNAL, Reason.OUT_OF_MEMORY}


def failure_in(done: dict[str, Any]) -> JobFailure | None:
    """What a worker says that its job failed of."""
    return JobFailure(**done["error"]) if "error" in done else None


def published_in(done: dict[str, Any]) -> ModelPublished | None:
    """The model that a worker says it has published."""
    if "published" not in done:
        return None
    event = from_plain(kind_of(ModelPublished), done["published"])
    assert isinstance(event, ModelPublished)
    return event
