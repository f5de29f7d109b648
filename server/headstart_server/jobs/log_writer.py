"""Writes events to a job's log, and to its record what they change of it, within a transaction of the store."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.engine import Connection

from headstart_server.engines.events import JobEvent, StateChange, kind_of, to_plain
from headstart_server.jobs.connections import notify
from headstart_server.jobs.database import to_row
from headstart_server.jobs.records import JobRecord, LogEntry, News, apply
from headstart_server.jobs.tables import EVENTS, JOBS
from headstart_server.jobs.transitions import check_transition
from headstart_server.training.reports import EpochReport, PastEpoch

Appended = tuple[JobRecord, list[LogEntry]]
"""A job after some events, and those events as they were stored."""


def unlogged(connection: Connection, identifier: str, events: Sequence[JobEvent]) -> Sequence[JobEvent]:
    """The events, each past epoch as an epoch or, where the log has it, left out."""
    if not any(isinstance(event, PastEpoch) for event in events):
        return events
    query = select(EVENTS.c.data).where(EVENTS.c.job == identifier, EVENTS.c.kind == kind_of(EpochReport))
    logged = {_evaluation(json.loads(data)) for data in connection.execute(query).scalars()}
    found: list[JobEvent] = []
    for event in events:
        epoch = event.report if isinstance(event, PastEpoch) else event
        if isinstance(epoch, EpochReport):
            evaluation = (epoch.epoch, epoch.evaluation)
            if isinstance(event, PastEpoch) and evaluation in logged:
                continue
            logged.add(evaluation)
        found.append(epoch)
    return found


def append(connection: Connection, job: JobRecord, events: Sequence[JobEvent], **changes: Any) -> Appended:
    """Writes events, and what they and `changes` change of the job, and tells every server.

    A state's `before` is the one that the store knows.
    """
    now, before = datetime.now(UTC), job
    job = replace(job, **changes)
    appended: list[LogEntry] = []
    rows = []
    for event in events:
        if isinstance(event, StateChange):
            # without an entry so far it is the job's creation, which comes from no state
            event = replace(event, before=job.state if job.last_sequence else None)
            if job.last_sequence:
                check_transition(job.state, event.to)
        job = apply(replace(job, last_sequence=job.last_sequence + 1, update_time=now), event, now)
        kind, data = to_plain(event)
        entry = {"job": job.identifier, "sequence": job.last_sequence, "time": now.isoformat(), "kind": kind}
        rows.append({**entry, "data": json.dumps(data)})
        appended.append(LogEntry(job.last_sequence, now, event))
    if rows:
        connection.execute(insert(EVENTS), rows)
    if changed := to_row(job, since=before):
        connection.execute(update(JOBS).where(JOBS.c.identifier == job.identifier).values(changed))
        notify(connection, News(job.identifier, job.last_sequence, job.state).text)
    return job, appended


def _evaluation(data: dict[str, Any]) -> tuple[int, int]:
    """Which evaluation of a run an epoch's report is of; those of earlier versions do not count them."""
    return data["epoch"], data.get("evaluation", 0)
