"""How long HTTP requests wait, for whom nothing more is done, and what they may hold meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from headstart.v1 import training_pb2 as pb
from headstart_server.core.calls import Calls
from headstart_server.core.errors import OverloadedError, TooLargeError
from headstart_server.web.bodies import Bodies
from headstart_server.web.routes import ROOT

from tests.support.measured import Growth
from tests.unit.server.web.test_site import FakeServicer, app_of


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_of(FakeServicer()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
        yield found


class SlowServicer(FakeServicer):
    """Answers after a while, and notes what became of each call."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.ended: list[str] = []
        self.began = asyncio.Event()
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        async def answer(request: Any, _: Any) -> Any:
            self.began.set()
            try:
                await asyncio.sleep(self._seconds)
            except asyncio.CancelledError:
                self.ended.append("cancelled")
                raise
            return pb.ListTrainJobsResponse()

        return answer


async def test_a_request_waits_as_long_as_it_prefers_and_is_then_told_so() -> None:
    servicer = SlowServicer(30)
    method = {"service": "headstart.v1.ModelService", "method": "ListModels"}
    late = Growth("headstart_rpcs_total", **method, code="DEADLINE_EXCEEDED")
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app_of(servicer)), base_url="http://localhost"
    ) as client:
        answer = await client.get(f"{ROOT}/models", headers={"Prefer": "respond-async, wait=1"})
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (504, "DEADLINE_EXCEEDED")
    assert "no answer within 1 s" in error["message"]
    assert (servicer.ended, late()) == (["cancelled"], 1)


async def test_what_was_preferred_is_said_back(client: httpx.AsyncClient) -> None:
    answer = await client.get(f"{ROOT}/models", headers={"Prefer": 'handling=lenient, wait="7"'})
    assert (answer.status_code, answer.headers["preference-applied"]) == (200, "wait=7")
    assert "preference-applied" not in (await client.get(f"{ROOT}/models", headers={"Prefer": "wait=soon"})).headers


async def test_nothing_goes_on_for_a_client_who_has_gone() -> None:
    servicer, gone = SlowServicer(30), asyncio.Event()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": f"{ROOT}/models",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    serving = asyncio.ensure_future(app_of(servicer)(scope, receive, send))
    await asyncio.wait_for(servicer.began.wait(), 60)
    gone.set()
    await asyncio.wait_for(serving, 60)
    assert servicer.ended == ["cancelled"]


async def test_a_server_that_stops_says_when_to_come_back() -> None:
    calls = Calls(10)
    calls.stop()
    transport = httpx.ASGITransport(app_of(FakeServicer(), calls=calls))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(f"{ROOT}/models")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["error"]["details"][0]["reason"] == "STOPPING"


async def test_bodies_hold_bounded_memory_together() -> None:
    bodies = Bodies(100, 150)
    with bodies.one() as first, bodies.one() as second:
        bodies.take(first, 100)
        bodies.take(second, 50)
        with pytest.raises(OverloadedError):
            bodies.take(second, 1)
        with pytest.raises(TooLargeError):
            bodies.take(first, 1)
    with bodies.one() as third:
        bodies.take(third, 100)


async def test_a_body_that_does_not_go_on_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstart_server.web.bodies._SILENT_SECONDS", 0.1)

    async def stalls() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    transport = httpx.ASGITransport(app_of(FakeServicer()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"Content-Type": "application/json"}
        answer = await client.post(f"{ROOT}/trainJobs", content=stalls(), headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    assert "no more of the request body has come" in answer.json()["error"]["message"]
