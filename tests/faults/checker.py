"""Says what is wrong with a history, by the contract alone: it knows nothing of how the service works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pytest
from headstart.v1 import training_pb2 as pb

from tests.faults.history import Curve, Ending, History, curve_of

_ENDED = (pb.TrainJob.STATE_SUCCEEDED, pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_CANCELLED)


def faults_of(history: History, ending: Ending, unbroken: Mapping[str, Curve]) -> list[str]:
    """Every promise that was broken; `unbroken` are the loss curves of runs without faults, by spec."""
    checks = (_acknowledged, _repeated, _logs, _streams, _models, _leftovers)
    found = [fault for check in checks for fault in check(history, ending)]
    return found + list(_curves(history, ending, unbroken))


def _acknowledged(history: History, ending: Ending) -> Iterator[str]:
    """Nothing acknowledged is lost, and each job ended as it should."""
    for created in history.created:
        job = ending.jobs.get(created.name)
        if job is None:
            yield f"{created.name} was acknowledged and is gone"
        elif job.state == pb.TrainJob.STATE_CANCELLED and created.name not in history.cancelled:
            yield f"{created.name} was cancelled by nobody"
        elif job.state not in (pb.TrainJob.STATE_SUCCEEDED, pb.TrainJob.STATE_CANCELLED):
            yield f"{created.name} ended {pb.TrainJob.State.Name(job.state)}: {job.error.reason} {job.error.message}"
    for name in history.datasets - ending.datasets:
        yield f"{name} was acknowledged and is gone"


def _repeated(history: History, ending: Ending) -> Iterator[str]:
    """A request id stands for one job."""
    names: dict[str, str] = {}
    for created in history.created:
        known = names.setdefault(created.request_id, created.name)
        if known != created.name:
            yield f"request {created.request_id} made {known} and {created.name}"
    stored = Counter(job.request_id for job in ending.jobs.values() if job.request_id)
    yield from (f"request {request} is {count} jobs" for request, count in stored.items() if count > 1)


def _logs(history: History, ending: Ending) -> Iterator[str]:
    """A log counts from 1 without gaps, each state follows the one before it, and the last is the job's."""
    for name, log in ending.logs.items():
        if [event.sequence for event in log] != list(range(1, len(log) + 1)):
            yield f"{name}: its log has the numbers {[event.sequence for event in log]}"
        before = pb.TrainJob.STATE_UNSPECIFIED
        for event in log:
            if not event.HasField("state_change"):
                continue
            change = event.state_change
            if change.previous_state != before:
                yield f"{name}: event {event.sequence} does not follow {pb.TrainJob.State.Name(before)}"
            if before in _ENDED:
                yield f"{name}: event {event.sequence} comes after its end"
            before = change.state
        if before != ending.jobs[name].state:
            yield f"{name}: its log ends {pb.TrainJob.State.Name(before)}, and the job is another"


def _streams(history: History, ending: Ending) -> Iterator[str]:
    """What a stream delivered is what the log holds, from where it was asked for, and in order."""
    for seen in history.seen:
        log = ending.logs.get(seen.job, [])
        if seen.events != log[seen.after : seen.after + len(seen.events)]:
            yield f"{seen.job}: a stream after {seen.after} delivered other events than the log has"


def _models(history: History, ending: Ending) -> Iterator[str]:
    """No success without its model, no model without its success, and all servers answer alike."""
    published = {job.model for job in ending.jobs.values() if job.state == pb.TrainJob.STATE_SUCCEEDED}
    for name, job in ending.jobs.items():
        told = [event.model_published.model for event in ending.logs[name] if event.HasField("model_published")]
        wanted = [job.model] if job.state == pb.TrainJob.STATE_SUCCEEDED else []
        if told != wanted or bool(job.model) != bool(wanted):
            yield f"{name} is {pb.TrainJob.State.Name(job.state)} and told of the models {told}"
    for model, count in Counter(ending.models).items():
        if count > 1 or model not in published:
            yield f"{model} is listed {count} times, and {'a' if model in published else 'no'} job published it"
    yield from (f"{model} was published and is not listed" for model in published - set(ending.models))
    for model, answers in ending.answers.items():
        # what one server has stored the other may compute, in another batch: the same to rounding, as the contract says
        if any(value != pytest.approx(answers[0], abs=1e-5) for value in answers):
            yield f"{model} answers otherwise on another server"


def _leftovers(history: History, ending: Ending) -> Iterator[str]:
    yield from (f"a process is left: {process}" for process in ending.processes)
    yield from (f"a file is left open: {file}" for file in ending.files)


def _curves(history: History, ending: Ending, unbroken: Mapping[str, Curve]) -> Iterator[str]:
    """A job learns, bit for bit, what it learns where nothing goes wrong; a cancelled one the beginning of it."""
    specs = {created.name: created.spec for created in history.created}
    for name, job in ending.jobs.items():
        try:
            curve = curve_of(ending.logs[name])
        except AssertionError as error:
            yield str(error)
            continue
        wanted = unbroken[specs[name]]
        whole = job.state == pb.TrainJob.STATE_SUCCEEDED
        if curve != wanted if whole else any(wanted.get(key) != value for key, value in curve.items()):
            differing = [key for key, value in curve.items() if wanted.get(key) != value] or sorted(
                set(wanted) - set(curve)
            )
            yield f"{name}: its loss curve differs from an unbroken run's at {differing[:3]}"
