"""Who may ask what over HTTP: every route with and without its scopes, and what is everybody's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from headstart_server.auth.audit import AuditLog
from headstart_server.core.principal import Scope
from headstart_server.rpc.access import ACCESS
from headstart_server.rpc.gate import Gate
from headstart_server.web.routes import ROOT, ROUTES, Route

from tests.support.gates import principal, token_gate, without
from tests.unit.server.web.test_site import JSON, FakeServicer, app_of

EVENTS = Route("GET", "/trainJobs/{id}/events", "TrainingService", "WatchTrainJob")
EVERY = pytest.mark.parametrize("route", [*ROUTES, EVENTS], ids=lambda route: f"{route.verb} {route.path}")
SECRET = "headstart_a-token-that-nobody-may-see"


async def answer(gate: Gate, route: Route, token: str = "", servicer: FakeServicer | None = None) -> httpx.Response:
    return await asked(gate, route.verb, ROOT + route.path.replace("{id}", "known"), token, servicer, body=route.body)


async def asked(
    gate: Gate, verb: str, path: str, token: str = "", servicer: FakeServicer | None = None, *, body: bool = False
) -> httpx.Response:
    transport = httpx.ASGITransport(app_of(servicer or FakeServicer(), gate=gate))
    headers = {} if verb == "GET" else dict(JSON)
    if token:
        headers["Authorization"] = f"Bearer {token}"
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.request(verb, path, headers=headers, content="{}" if body else None)


@EVERY
async def test_nobody_is_let_in_without_credentials(route: Route) -> None:
    servicer = FakeServicer()
    for token in ("", SECRET):
        found = await answer(token_gate({}), route, token, servicer)
        assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
        assert found.json()["error"]["status"] == "UNAUTHENTICATED"
        assert SECRET not in found.text
    assert servicer.asked == []


@EVERY
async def test_who_lacks_a_scope_is_told_which(route: Route) -> None:
    servicer = FakeServicer()
    for scope in ACCESS[f"{route.service_name}/{route.rpc}"].scopes:
        found = await answer(token_gate({"t": without([scope])}), route, "t", servicer)
        assert found.status_code == 403
        assert f"needs the scope '{scope}'" in found.json()["error"]["message"]
    assert servicer.asked == []


@EVERY
async def test_who_has_the_scopes_is_answered(route: Route) -> None:
    scopes = ACCESS[f"{route.service_name}/{route.rpc}"].scopes
    assert (await answer(token_gate({"t": principal(*scopes)}), route, "t")).status_code == 200


async def test_a_request_that_is_refused_is_not_read() -> None:
    transport = httpx.ASGITransport(app_of(FakeServicer(), gate=token_gate({})))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        found = await client.post(f"{ROOT}/models/a:predict", headers=JSON, content="x" * 10_000)
    assert found.status_code == 401


@pytest.mark.parametrize(("scopes", "status"), [((), 401), ((Scope.READ, Scope.ADMIN), 403), ((Scope.METRICS,), 200)])
async def test_metrics_have_a_scope_of_their_own(scopes: tuple[Scope, ...], status: int) -> None:
    gate = token_gate({"t": principal(*scopes)} if scopes else {})
    found = await asked(gate, "GET", "/metrics", "t")
    assert (found.status_code, "headstart_rpcs_total" in found.text) == (status, status == 200)


@pytest.mark.parametrize("path", ["/", "/livez", "/static/app.js", "/static/index.html"])
async def test_the_page_without_data_and_health_are_everybodys(path: str) -> None:
    found = await asked(token_gate({}), "GET", path)
    assert found.status_code == 200
    assert "www-authenticate" not in found.headers


async def test_what_is_no_route_is_nothing_to_anybody() -> None:
    assert (await asked(token_gate({}), "GET", f"{ROOT}/nothing")).status_code == 404


async def test_calls_are_in_the_audit_log_as_those_of_grpc_are(tmp_path: Path) -> None:
    log = AuditLog.at(str(tmp_path / "audit"))
    gate = token_gate({SECRET: without([Scope.PREDICT], name="ada")}, log)
    for verb, path in (("DELETE", "/models/known"), ("POST", "/trainJobs/known:cancel"), ("GET", "/models/known")):
        await asked(gate, verb, ROOT + path, SECRET)
    await asked(gate, "DELETE", f"{ROOT}/models/a%0A{SECRET}", SECRET)
    await asked(gate, "POST", f"{ROOT}/models/known:predict", SECRET, body=True)
    await asked(gate, "GET", "/metrics", "wrong")
    log.close()
    text = (tmp_path / "audit").read_text()
    assert SECRET not in text
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    kept = ("method", "principal", "resource", "outcome", "status")
    services = "headstart.v1"
    assert [tuple(line[key] for key in kept) for line in lines] == [
        (f"{services}.ModelService/DeleteModel", "ada", "models/known", "done", "OK"),
        (f"{services}.TrainingService/CancelTrainJob", "ada", "trainJobs/known", "done", "OK"),
        (f"{services}.ModelService/DeleteModel", "ada", "", "done", "OK"),
        (f"{services}.PredictionService/Predict", "ada", "", "refused", "PERMISSION_DENIED"),
        ("/metrics", "", "", "refused", "UNAUTHENTICATED"),
    ]
    assert {line["transport"] for line in lines} == {"http"}
