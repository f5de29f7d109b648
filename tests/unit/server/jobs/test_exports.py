"""Export jobs in processes: real ones, each a few lines of Python in place of `jobs.export_worker`."""

from __future__ import annotations

import asyncio
import os

import pytest
from headstart_server.core.errors import (
    DataLossError,
    FailedPreconditionError,
    HeadstartError,
    NotFoundError,
    OverloadedError,
)
from headstart_server.jobs.export_records import ExportState, error_of
from headstart_server.jobs.export_worker import error_message

from tests.support.begun_exports import (
    DEATHS,
    DIES,
    EXPORTS,
    HANGS,
    ORDER,
    OTHER,
    PUBLISHES,
    REFUSES,
    THIRD,
    Begin,
    gone,
    process_of,
)
from tests.support.measured import Growth


async def test_watchers_see_the_job_wait_run_and_end(begin: Begin) -> None:
    here = await begin(PUBLISHES)
    told = await here.followed(await here.create())
    assert told[-1].state is ExportState.SUCCEEDED
    assert told[-1].artifact and told[-1].end_time is not None and told[-1].start_time is not None
    states = [job.state for job in told]
    assert states == sorted(states, key=[*ExportState].index)
    assert told == [job for number, job in enumerate(told) if job not in told[:number]], "each change once"


async def test_a_process_that_exported_well_is_used_again(begin: Begin) -> None:
    here = await begin(EXPORTS)
    stages = []
    for order in (ORDER, OTHER):
        stages += [
            job.stage.message for job in await here.followed(await here.create(order)) if job.stage.stage == "load"
        ]
        assert len(here.exports.worker_pids) == 1
    assert len(set(stages)) <= 1, "the same process"


async def test_a_process_that_dies_is_a_failure_and_leaves_nothing_behind(begin: Begin) -> None:
    here = await begin(DIES)
    ended = (await here.followed(await here.create()))[-1]
    assert ended.state is ExportState.FAILED and ended.error is not None
    assert isinstance(ended.error, FailedPreconditionError)
    assert ended.error.reason == "EXPORT_DIED" and "head_only" in ended.error.message
    assert here.left == []


async def test_what_the_process_refuses_is_the_error_and_the_process_not_used_again(begin: Begin) -> None:
    here = await begin(REFUSES)
    first = (await here.followed(await here.create()))[-1]
    assert first.error is not None and (first.error.reason, first.error.message) == ("NOT_EXPORTABLE", "no")
    again = await here.create()
    assert again != first.identifier, "what has failed may be tried again"
    await here.followed(again)
    assert here.exports.worker_pids == []


async def test_a_watcher_who_leaves_does_not_end_the_export(begin: Begin) -> None:
    here = await begin(HANGS)
    identifier = await here.create()
    running = await here.until(identifier, "load")  # and leaves
    os.kill(process_of(running), 0)
    assert (await here.until(identifier, "load")).state is ExportState.RUNNING


async def test_cancelling_ends_the_process_and_what_it_wrote(begin: Begin) -> None:
    here = await begin(HANGS)
    counted = Growth("headstart_exports_total", format="onnx", outcome="cancelled")
    identifier = await here.create()
    running = await here.until(identifier, "load")
    assert len(here.left) == 1
    ended = await here.exports.cancel(identifier)
    assert ended.state is ExportState.CANCELLED and ended.end_time is not None
    await gone(process_of(running))
    assert await here.exports.cancel(identifier) == ended, "cancelling may be repeated"
    other = await here.create(OTHER)
    await here.until(other, "load")
    assert (here.store.get(identifier).state, counted()) == (ExportState.CANCELLED, 1)
    assert len(here.left) == 1


async def test_what_has_ended_cannot_be_cancelled(begin: Begin) -> None:
    here = await begin(PUBLISHES)
    identifier = await here.create()
    await here.followed(identifier)
    with pytest.raises(FailedPreconditionError, match="has ended"):
        await here.exports.cancel(identifier)


async def test_who_waits_is_told_at_once_and_whenever_it_moves_up(begin: Begin) -> None:
    here = await begin(HANGS)
    running, second, third = [await here.create(order) for order in (ORDER, OTHER, THIRD)]
    await here.until(running, "load")
    watch = here.exports.watch(third)
    async with asyncio.timeout(20):
        assert (await anext(watch)).jobs_before == 1
        await here.exports.cancel(second)
        assert (await anext(watch)).jobs_before == 0
        await here.exports.cancel(running)
        assert (await anext(watch)).state is ExportState.RUNNING
    await watch.aclose()


async def test_a_waiting_watcher_hears_that_nothing_has_changed(begin: Begin) -> None:
    here = await begin(HANGS)
    identifier = await here.create()
    running = await here.until(identifier, "load")
    watch = here.exports.watch(identifier, 0.01)
    assert [await anext(watch) for _ in range(3)] == [running] * 3
    await watch.aclose()


async def test_the_same_export_is_one_job_while_it_is_made_and_one_artifact_after(begin: Begin) -> None:
    here = await begin(PUBLISHES, concurrent=3)
    jobs = await asyncio.gather(*(here.create() for _ in range(3)))
    assert len(set(jobs)) == 1
    ended = (await here.followed(jobs[0]))[-1]
    again = await here.exports.create("", ORDER)
    assert again == ended, "which has been made"
    made = [path.name for path in here.root.iterdir()]
    assert made == [ended.artifact]


async def test_an_artifact_that_is_there_is_a_job_that_has_succeeded(begin: Begin) -> None:
    here = await begin(PUBLISHES)
    ended = (await here.followed(await here.create()))[-1]
    assert ended.end_time is not None
    assert here.store.expire(ended.end_time) == 0
    assert here.store.expire(ended.end_time.replace(year=9999)) == 1
    with pytest.raises(NotFoundError):
        here.store.get(ended.identifier)
    found = await here.exports.create("", ORDER)
    assert (found.state, found.artifact) == (ExportState.SUCCEEDED, ended.artifact)
    assert found.identifier != ended.identifier and found.end_time is not None


async def test_an_export_is_made_for_its_tenant_beside_anothers(begin: Begin) -> None:
    """The models have one name here, as ids never have."""
    here = await begin(EXPORTS)
    jobs = [await here.create(tenant=tenant) for tenant in ("a", "b")]
    assert len(set(jobs)) == 2 and here.asked == ["a", "b"]
    assert [(await here.followed(job))[-1].state for job in jobs] == [ExportState.SUCCEEDED] * 2


async def test_more_exports_than_the_bound_are_refused_until_one_ends(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("headstart_server.jobs.exports.MOST_EXPORTS", 4)
    here = await begin(HANGS)
    first = await here.create(ORDER)
    await here.create(OTHER)
    with pytest.raises(OverloadedError, match="2 exports of yours wait or run, 2 of all callers, and a "):
        await here.create(THIRD)
    assert await here.create(THIRD, tenant="another"), "another has room left"
    await here.exports.cancel((await here.exports.create("another", THIRD)).identifier)
    assert await here.create(OTHER), "the same export is no further one"
    await here.exports.cancel(first)
    await here.create(THIRD)
    assert here.exports.unfinished() == 2


@pytest.mark.parametrize("kind", [FailedPreconditionError, NotFoundError, DataLossError, HeadstartError])
def test_errors_cross_the_boundary_as_they_are(kind: type[HeadstartError]) -> None:
    error = kind("why", reason="R", field="model")
    found = error_of(error_message(error)["error"])
    assert (type(found), found.message, found.reason, found.field) == (kind, "why", "R", "model")


@pytest.mark.parametrize(
    ("end", "outcome", "deaths"), [(EXPORTS, "published", 0), (REFUSES, "failed", 0), (DIES, "died", 1)]
)
async def test_exports_are_counted_by_how_they_end(end: str, outcome: str, deaths: int, begin: Begin) -> None:
    here = await begin(end)
    counted, dead = Growth("headstart_exports_total", format="onnx", outcome=outcome), Growth(DEATHS, purpose="export")
    await here.followed(await here.create())
    assert (counted(), dead(), here.exports.unfinished()) == (1, deaths, 0)
