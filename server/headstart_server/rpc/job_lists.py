"""Lists of jobs and of their events, and the watch of all jobs."""

from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar

from google.protobuf.message import Message
from headstart.v1 import training_pb2 as pb

from headstart_server.core.errors import invalid
from headstart_server.core.filters import Node, parse
from headstart_server.core.names import id_of, name_of
from headstart_server.core.principal import Principal
from headstart_server.core.states import State
from headstart_server.jobs.filtering import FIELDS, SEARCHED
from headstart_server.jobs.listing import JobList, Order
from headstart_server.jobs.records import JobRecord, LogEntry
from headstart_server.rpc.jobs import JOBS, event_message, job_message
from headstart_server.rpc.messages import page_limit, page_start, page_token
from headstart_server.rpc.streams import heartbeat_seconds
from headstart_server.service.training import TrainingService

MOST_BYTES = 1 << 20
"""Of a page, but for one item that is larger. Clients take 4 MiB by default."""
_FEW = 10
_ORDERS = ("create_time", "update_time", "end_time")
M = TypeVar("M", bound=Message)


async def list_jobs(
    training: TrainingService, caller: Principal, request: pb.ListTrainJobsRequest
) -> pb.ListTrainJobsResponse:
    """A page of jobs."""
    limit, full = page_limit(request.page_size), view_of(request.view, pb.JOB_VIEW_BASIC) == pb.JOB_VIEW_FULL
    order = _order(request.order_by)
    # a token is good for the list that it was made of
    scope = f"{request.filter}|{request.order_by}|{sorted(request.states)}" if _special(request) else ""
    wanted = JobList(
        states=_states(request),
        condition=filter_of(request.filter),
        order=order,
        after=_position(page_start(request.page_token, scope)),
        whole=full,
    )

    jobs, messages = await _page(training, caller, limit, wanted)
    last = jobs[len(messages) - 1] if len(jobs) > len(messages) else None
    token = page_token("|".join(order.position(last)).removeprefix("|"), scope) if last is not None else ""
    return pb.ListTrainJobsResponse(train_jobs=messages, next_page_token=token)


async def _page(
    training: TrainingService, caller: Principal, limit: int, wanted: JobList
) -> tuple[list[JobRecord], list[pb.TrainJob]]:
    """The jobs of a page and at least one more, if there is any, and the messages of the page.

    They are made where the jobs are read, on a thread: that of a job of hundreds of columns takes milliseconds, for
    which no other call shall wait. Large ones are read a few at a time, as a page may be full of them.
    """
    jobs: list[JobRecord] = []
    made: dict[str, pb.TrainJob] = {}
    size, step = 0, _FEW if wanted.whole else limit + 1

    def make(job: JobRecord) -> None:
        made[job.identifier] = job_message(job, full=wanted.whole)

    while len(jobs) <= limit and size <= MOST_BYTES:
        found = await training.listed(caller, min(step, limit + 1 - len(jobs)), wanted, make)
        jobs += found
        size += sum(made[job.identifier].ByteSize() for job in found)
        if len(found) < step:
            break
        wanted = replace(wanted, after=wanted.order.position(jobs[-1]))
    return jobs, list(within(MOST_BYTES, (made[job.identifier] for job in jobs[:limit])))


async def list_events(
    training: TrainingService, caller: Principal, request: pb.ListTrainJobEventsRequest
) -> pb.ListTrainJobEventsResponse:
    """A page of a job's log."""
    if request.after_sequence < 0:
        raise invalid("after_sequence", f"{request.after_sequence} is negative; use 0 to list all")
    identifier, limit = id_of(JOBS, request.name), page_limit(request.page_size)
    entries: list[LogEntry] = await training.events(caller, identifier, request.after_sequence, limit + 1)
    events = list(within(MOST_BYTES, (event_message(identifier, entry) for entry in entries[:limit])))
    return pb.ListTrainJobEventsResponse(events=events, more=len(entries) > len(events))


async def watch_jobs(
    training: TrainingService, caller: Principal, request: pb.WatchTrainJobsRequest
) -> AsyncGenerator[pb.WatchTrainJobsResponse, None]:
    """Jobs as they are, and after each change."""
    condition, idle = filter_of(request.filter), heartbeat_seconds(request.heartbeat_seconds)
    synced = False
    async with aclosing(training.changes(caller, condition, idle)) as changes:
        async for changed in changes:
            for item in changed:
                if isinstance(item, JobRecord):
                    yield pb.WatchTrainJobsResponse(train_job=job_message(item, full=False))
                else:
                    yield pb.WatchTrainJobsResponse(removed=name_of(JOBS, item))
            if not synced:
                synced = True
                yield pb.WatchTrainJobsResponse(synced=True)
            elif not changed:
                yield pb.WatchTrainJobsResponse(heartbeat=pb.Heartbeat())


def filter_of(text: str) -> Node | None:
    """A filter of jobs; raises InvalidInputError."""
    return parse(text, FIELDS, SEARCHED)


def view_of(given: int, default: int) -> int:
    """How much to tell; raises InvalidInputError."""
    if given not in pb.JobView.values():
        raise invalid("view", f"{given} is no view; use the values of JobView")
    return given or default


def within(most: int, messages: Iterable[M]) -> Iterator[M]:
    """The first messages, of so many bytes together; one at the least."""
    size = 0
    for message in messages:
        size += message.ByteSize()
        if size > most and size > message.ByteSize():
            return
        yield message


def _special(request: pb.ListTrainJobsRequest) -> bool:
    return bool(request.filter or request.order_by or request.states)


def _states(request: pb.ListTrainJobsRequest) -> list[State]:
    unknown = [value for value in request.states if value not in pb.TrainJob.State.values()]
    if unknown:
        raise invalid("states", f"{unknown[0]} is no state; use the values of TrainJob.State")
    return [State(pb.TrainJob.State.Name(value).removeprefix("STATE_")) for value in request.states if value]


def _order(given: str) -> Order:
    if not given.strip():
        return Order()
    field, _, direction = given.strip().partition(" ")
    if field not in _ORDERS or direction.strip().lower() not in ("", "asc", "desc"):
        raise invalid(
            "order_by", f"{given[:80]!r} is no order; use one of {', '.join(_ORDERS)}, with ' desc' or without"
        )
    return Order(field, descending=direction.strip().lower() == "desc")


def _position(last: str | None) -> tuple[str, str] | None:
    if last is None:
        return None
    value, _, identifier = last.rpartition("|")
    return value, identifier
