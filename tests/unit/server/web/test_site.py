"""What the HTTP port answers: the contract as JSON, errors, events that go on where they ended, and who is let in."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import httpx
import pytest
from headstart.v1 import training_pb2 as pb
from headstart_server import metrics
from headstart_server.core.calls import Calls
from headstart_server.core.errors import DataLossError, NotFoundError, OutOfRangeError, OverloadedError, StoppingError
from headstart_server.core.executors import Executors
from headstart_server.rpc.gate import Gate
from headstart_server.web.bodies import Bodies
from headstart_server.web.health import Health
from headstart_server.web.routes import ROOT, ROUTES
from headstart_server.web.site import site
from headstart_server.web.transcoding import Bounds
from prometheus_client import REGISTRY
from starlette.types import ASGIApp
from structlog.testing import capture_logs

from tests.support.gates import open_gate

JSON = {"Content-Type": "application/json"}
LAST = 4


class FakeServicer:
    """Answers every RPC with an empty message, but for jobs: there is one, with four events."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.stops_after = LAST
        self.stops_with: Exception = StoppingError("the server is stopping", retry_after=1)

    def __getattr__(self, name: str) -> Any:
        async def answer(request: Any, _: Any) -> Any:
            self.asked.append(request)
            return pb.ListTrainJobsResponse(next_page_token="more")

        return answer

    async def GetTrainJob(self, request: pb.GetTrainJobRequest, _: Any) -> pb.TrainJob:  # noqa: N802
        match request.name:
            case "trainJobs/known":
                return pb.TrainJob(name=request.name, last_sequence=LAST)
            case "trainJobs/broken":
                raise RuntimeError("a secret")
            case "trainJobs/busy":
                raise OverloadedError("too many", retry_after=2)
        raise NotFoundError(f"{request.name} does not exist")

    async def ListTrainJobEvents(self, request: pb.ListTrainJobEventsRequest, _: Any) -> Any:  # noqa: N802
        self.asked.append(request)
        if request.name == "trainJobs/old":
            raise OutOfRangeError("the events up to 7 are no longer kept")
        await self.GetTrainJob(pb.GetTrainJobRequest(name=request.name), None)
        return pb.ListTrainJobEventsResponse()

    async def watched(self, request: pb.WatchTrainJobRequest, _: Any) -> AsyncIterator[list[pb.TrainJobEvent]]:
        for sequence in range(request.after_sequence + 1, self.stops_after + 1):
            event = pb.TrainJobEvent(job=request.name, sequence=sequence, warning=pb.JobWarning(message="line\nfeed"))
            yield [event]
        if self.stops_after < LAST:
            raise self.stops_with


@pytest.fixture
def servicer() -> FakeServicer:
    return FakeServicer()


def app_of(
    servicer: FakeServicer,
    health: Health | None = None,
    gate: Gate | None = None,
    *,
    only_local: bool = True,
    calls: Calls | None = None,
) -> ASGIApp:
    servicers = {route.service: servicer for route in ROUTES}
    bounds = Bounds(calls or Calls(100), Bodies(1_000, 10_000), 30.0)
    return site(servicers, health or Health(), Executors(), gate or open_gate(), bounds, only_local=only_local)


@pytest.fixture
async def client(servicer: FakeServicer) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_of(servicer))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as found:
        yield found


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.verb} {route.path}")
async def test_each_route_calls_its_rpc_with_the_resource_of_its_path(
    route: Any, client: httpx.AsyncClient, servicer: FakeServicer
) -> None:
    path, headers = route.path.replace("{id}", "known"), {} if route.verb == "GET" else JSON
    answer = await client.request(route.verb, ROOT + path, headers=headers, content="{}" if route.body else None)
    assert answer.status_code == 200
    if route.rpc != "GetTrainJob":
        [asked] = servicer.asked
        assert type(asked) is type(route.request())
        if route.has_resource:
            assert attrgetter(route.resource)(asked) == f"{route.collection}/known"


async def test_parameters_are_the_fields_of_the_request(client: httpx.AsyncClient, servicer: FakeServicer) -> None:
    query = "pageSize=10&pageToken=next&states=STATE_FAILED&states=STATE_QUEUED"
    answer = await client.get(f"{ROOT}/trainJobs?{query}")
    assert answer.json() == {"nextPageToken": "more"}
    states = [pb.TrainJob.STATE_FAILED, pb.TrainJob.STATE_QUEUED]
    assert servicer.asked == [pb.ListTrainJobsRequest(page_size=10, page_token="next", states=states)]


@pytest.mark.parametrize(
    ("verb", "path", "body", "headers", "status", "said"),
    [
        ("GET", "/trainJobs/none", None, {}, 404, "trainJobs/none does not exist"),
        ("GET", "/trainJobs/busy", None, {}, 429, "too many"),
        ("GET", "/trainJobs/broken", None, {}, 500, "its log has the details"),
        ("GET", "/trainJobs?pageSize=ten", None, {}, 400, "ListTrainJobsRequest"),
        ("GET", "/trainJobs?size=10", None, {}, 400, "known: pageSize, pageToken, states"),
        ("GET", "/nothing", None, {}, 404, "docs/http.md"),
        ("POST", "/models/a:predict", "{", JSON, 400, "PredictRequest"),
        ("POST", "/models/a:predict", '{"tabel": {}}', JSON, 400, "tabel"),
        ("POST", "/models/a:predict", "{}", {}, 400, "send application/json"),
        ("POST", "/trainJobs/known:cancel", "", {"Content-Type": "text/plain"}, 400, "send application/json"),
        ("DELETE", "/models/a", None, {}, 400, "send application/json"),
        ("POST", "/models/a:predict", json.dumps({"model": "x" * 1_000}), JSON, 429, "larger than 1,000 bytes"),
        ("GET", "/trainJobs/known/events?afterSequence=-1", None, {}, 400, "is no number of an event"),
        ("GET", "/trainJobs/known/events", None, {"Last-Event-ID": "two"}, 400, "is no number of an event"),
        ("GET", "/trainJobs/none/events", None, {}, 404, "trainJobs/none does not exist"),
        ("GET", "/trainJobs/old/events", None, {}, 400, "the events up to 7 are no longer kept"),
    ],
)
async def test_a_refusal_is_a_status_with_its_message(
    verb: str,
    path: str,
    body: str | None,
    headers: dict[str, str],
    status: int,
    said: str,
    client: httpx.AsyncClient,
) -> None:
    answer = await client.request(verb, ROOT + path, content=body, headers=headers)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, status)
    assert said in error["message"]
    assert "secret" not in answer.text
    assert "default-src 'self'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("headers", "query", "first"), [({}, "", 1), ({"Last-Event-ID": "2"}, "", 3), ({}, "?afterSequence=4", 5)]
)
async def test_events_go_on_after_the_last_one_seen(
    headers: dict[str, str], query: str, first: int, client: httpx.AsyncClient
) -> None:
    answer = await client.get(f"{ROOT}/trainJobs/known/events{query}", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    blocks = answer.text.removesuffix("\n\n").split("\n\n")
    assert blocks[0] == "retry: 1000"
    assert blocks[-1] == "event: end\ndata: {}"
    found = [re.fullmatch(r"id: (\d+)\ndata: (.*)", block) for block in blocks[1:-1]]
    events = [(int(each[1]), json.loads(each[2])) for each in found if each is not None]
    assert [number for number, _ in events] == list(range(first, LAST + 1))
    assert all(
        event == {"job": "trainJobs/known", "sequence": str(number), "warning": {"message": "line\nfeed"}}
        for number, event in events
    )


async def test_a_stream_that_the_server_ends_has_no_end(client: httpx.AsyncClient, servicer: FakeServicer) -> None:
    servicer.stops_after = 2
    answer = await client.get(f"{ROOT}/trainJobs/known/events")
    assert answer.text.count("id: ") == 2
    assert "event: end" not in answer.text


@pytest.mark.parametrize("error", [DataLossError("trainJobs/known is damaged"), RuntimeError("unforeseen")])
async def test_a_stream_that_fails_midway_is_cut_and_logged(error: Exception, servicer: FakeServicer) -> None:
    servicer.stops_after, servicer.stops_with = 2, error
    transport = httpx.ASGITransport(app_of(servicer), raise_app_exceptions=False)
    with capture_logs() as logs:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = await client.get(f"{ROOT}/trainJobs/known/events")
    assert answer.text.count("id: ") == 2
    assert "event: end" not in answer.text
    [logged] = [line for line in logs if line["event"] == "http response was cut short"]
    assert error in (logged["exc_info"], logged["exc_info"].__cause__)


@pytest.mark.parametrize(
    ("host", "only_local", "status"),
    [
        ("localhost:8080", True, 200),
        ("127.0.0.1", True, 200),
        ("[::1]:80", True, 200),
        ("elsewhere.example:8080", True, 421),
        ("elsewhere.example:8080", False, 200),
    ],
)
async def test_a_server_on_loopback_answers_to_no_other_name(
    host: str, only_local: bool, status: int, servicer: FakeServicer
) -> None:
    transport = httpx.ASGITransport(app_of(servicer, only_local=only_local))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(f"{ROOT}/trainJobs", headers={"Host": host})
    assert answer.status_code == status


@pytest.mark.parametrize(("ready", "status"), [(True, 200), (False, 503)])
async def test_readiness_follows_the_server_and_life_does_not(ready: bool, status: int, servicer: FakeServicer) -> None:
    health = Health()
    health.ready = ready
    transport = httpx.ASGITransport(app_of(servicer, health))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await client.get("/readyz")).status_code == status
        assert (await client.get("/livez")).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("", 503, "not ready: database: it does not answer"),
        ("?service=PredictionService", 200, "ready"),
        ("?service=TrainingService", 503, "not ready: database: it does not answer"),
        ("?service=PredictionService&service=TrainingService", 503, "not ready: database: it does not answer"),
        ("?service=Nonsense", 400, "service: 'Nonsense' is none of PredictionService, TrainingService"),
    ],
)
async def test_readiness_of_one_service_is_that_of_what_it_needs(
    query: str, status: int, words: str, servicer: FakeServicer
) -> None:
    health = Health()
    health.ready, health.missing = True, ["database: it does not answer"]
    health.services = {"PredictionService": True, "TrainingService": False}
    transport = httpx.ASGITransport(app_of(servicer, health))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        answer = await client.get(f"/readyz{query}")
        assert (answer.status_code, answer.text) == (status, f"{words}\n")
        health.ready = False
        assert (await client.get(f"/readyz{query}")).status_code == 503


@pytest.mark.parametrize(
    ("accept", "kind"), [("", "text/plain"), ("application/openmetrics-text; version=1.0.0", "openmetrics")]
)
async def test_metrics_come_in_the_format_that_is_asked_for(accept: str, kind: str, client: httpx.AsyncClient) -> None:
    metrics.WAITING_ROWS.set(0)
    answer = await client.get("/metrics", headers={"Accept": accept})
    assert kind in answer.headers["content-type"]
    assert "\nheadstart_predict_waiting_rows 0.0" in answer.text


@pytest.mark.parametrize(
    ("path", "method", "code"),
    [
        ("trainJobs/known", "GetTrainJob", "OK"),
        ("trainJobs/other", "GetTrainJob", "NOT_FOUND"),
        ("trainJobs/broken", "GetTrainJob", "INTERNAL"),
        ("trainJobs/known/events", "WatchTrainJob", "OK"),
    ],
)
async def test_calls_over_http_are_counted_as_calls(
    path: str, method: str, code: str, client: httpx.AsyncClient
) -> None:
    labels = {"service": "headstart.v1.TrainingService", "method": method, "code": code}
    before = REGISTRY.get_sample_value("headstart_rpcs_total", labels) or 0
    await client.get(f"{ROOT}/{path}")
    assert REGISTRY.get_sample_value("headstart_rpcs_total", labels) == before + 1


async def test_the_page_is_served_with_what_it_needs(client: httpx.AsyncClient) -> None:
    answer = await client.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    for name in re.findall(r'(?:src|href)="(/?static/[^"]+)"', answer.text):
        assert (await client.get(f"/{name.removeprefix('/')}")).status_code == 200, name


def test_every_route_is_documented() -> None:
    text = (Path(__file__).parents[4] / "docs" / "http.md").read_text()
    documented = re.findall(r"^\| `(\w+) /api/v1(\S*)` \| `(\w+)\.(\w+)`", text, re.MULTILINE)
    calls = [(route.verb, route.path, route.service, route.rpc) for route in ROUTES]
    assert documented == [*calls, ("GET", "/trainJobs/{id}/events", "TrainingService", "WatchTrainJob")]
