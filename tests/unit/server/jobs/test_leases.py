"""How long the database has been silent is measured by what it answers, not by what it is not asked."""

from __future__ import annotations

import asyncio

import pytest
from headstart_server.core.errors import UnavailableError
from headstart_server.jobs import leases

from tests.support.supervised import Start, until


async def test_a_server_without_jobs_notices_that_the_database_is_away(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []

    def away(database: object) -> None:
        calls.append(database)
        raise UnavailableError("the job database does not answer")

    supervisor, _ = await start(lease_seconds=0.9)
    await until(lambda: supervisor.silent_seconds > 0)
    monkeypatch.setattr(leases, "end_overdue", away)
    await until(lambda: len(calls) > 3)
    last_answer = asyncio.get_running_loop().time() - supervisor.silent_seconds
    await until(lambda: len(calls) > 6)
    assert asyncio.get_running_loop().time() - supervisor.silent_seconds == pytest.approx(last_answer, abs=0.3)
