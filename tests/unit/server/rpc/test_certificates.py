"""TLS: certificates of clients say who calls, and changed files serve the next connection, on gRPC and HTTP."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import structlog
from cryptography import x509
from headstart.v1 import server_pb2, server_pb2_grpc
from headstart_server.auth.authenticator import Authenticator
from headstart_server.auth.token_file import TokenFile
from headstart_server.core.calls import Calls
from headstart_server.core.errors import FailedPreconditionError, HeadstartError
from headstart_server.core.principal import Principal, Scope
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.certificates import Certificates, certificates_of
from headstart_server.rpc.gate import Gate
from headstart_server.rpc.server import Endpoint, Server
from headstart_server.rpc.validity import end_of_certificate
from headstart_server.web.errors import domain_error
from headstart_server.web.gate import guarded
from headstart_server.web.server import HttpServer
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.support.certificates import Authority, Pair, server_pair
from tests.support.serving_here import _EMPTY
from tests.support.stubs import stub_of

BATCH = Principal("search", frozenset({Scope.METRICS}), "batch")
KNOWN = TokenFile(certificates={"spiffe://x/batch": BATCH})


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.named("ours")


class WhoAmI(server_pb2_grpc.ServerServiceServicer):
    """Answers with the caller's name for its version."""

    async def GetServerInfo(self, request: Any, context: Any) -> server_pb2.ServerInfo:  # noqa: N802
        return server_pb2.ServerInfo(version=caller_of(context).name)


def gate_of(*, asks: bool) -> Gate:
    return Gate(Authenticator(lambda: KNOWN, anonymous=not asks), certificates=asks)


@asynccontextmanager
async def grpc_server(certificates: Certificates, *, asks: bool = False) -> AsyncIterator[int]:
    servicers = {name: empty() for name, empty in _EMPTY.items()} | {"ServerService": WhoAmI()}
    endpoint = Endpoint("127.0.0.1", 0, certificates=certificates)
    server = Server(endpoint, servicers, gate_of(asks=asks), Calls(100))
    await server.start()
    yield server.port
    await server.stop(0)


@asynccontextmanager
async def http_server(certificates: Certificates, *, asks: bool = False) -> AsyncIterator[int]:
    async def answer(_: Request) -> PlainTextResponse:
        return PlainTextResponse(caller_of(None).name)

    routes = [Route("/metrics", guarded(gate_of(asks=asks), answer))]
    app = Starlette(routes=routes, exception_handlers={HeadstartError: domain_error})
    server = HttpServer(app, "127.0.0.1", 0, certificates)
    server.bind()
    server.start()
    yield server.port
    await server.stop(1)


def files_of(folder: Path, authority: Authority, client_ca: Authority | None = None) -> tuple[Pair, Certificates]:
    pair = Pair.written(folder, "server", server_pair(authority))
    trusted = folder / "clients.pem"
    if client_ca is not None:
        trusted.write_bytes(client_ca.pem)
    found = certificates_of(pair.certificate, pair.key, trusted if client_ca is not None else None)
    assert found is not None
    return pair, found


def served_certificate(port: int) -> bytes:
    """The certificate that a new connection is shown, as PEM."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", port), 10) as plain, context.wrap_socket(plain) as encrypted:
        shown = encrypted.getpeercert(binary_form=True)
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown).encode()


async def asked(port: int, authority: Authority, client: tuple[bytes, bytes] | None = None) -> str:
    """Who the gRPC server says calls."""
    certificate, key = client or (None, None)
    credentials = grpc.ssl_channel_credentials(authority.pem, key, certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials, options) as channel:
        stub = stub_of(server_pb2_grpc.ServerServiceStub, channel)
        return str((await stub.GetServerInfo(server_pb2.GetServerInfoRequest(), timeout=30)).version)


async def fetched(port: int, authority: Authority, client: Pair | None = None) -> httpx.Response:
    """What HTTP answers."""
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if client is not None:
        context.load_cert_chain(client.certificate, client.key)
    async with httpx.AsyncClient(verify=context) as http:
        return await http.get(f"https://localhost:{port}/metrics")


@pytest.mark.parametrize("server", [grpc_server, http_server])
async def test_changed_files_serve_the_next_connection(server: Any, authority: Authority, tmp_path: Path) -> None:
    pair, certificates = files_of(tmp_path, authority)
    first = pair.certificate.read_bytes()
    async with server(certificates) as port:
        assert await asyncio.to_thread(served_certificate, port) == first
        pair.write(server_pair(authority))
        certificates.look()
        assert await asyncio.to_thread(served_certificate, port) == pair.certificate.read_bytes() != first


@pytest.mark.parametrize("server", [grpc_server, http_server])
async def test_files_that_do_not_belong_together_change_nothing(
    server: Any, authority: Authority, tmp_path: Path
) -> None:
    pair, certificates = files_of(tmp_path, authority)
    first = pair.certificate.read_bytes()
    async with server(certificates) as port:
        pair.certificate.write_bytes(server_pair(authority)[0])
        with structlog.testing.capture_logs() as logs:
            certificates.look()
        assert await asyncio.to_thread(served_certificate, port) == first
    assert "cannot be used" in logs[0]["error"] and logs[0]["log_level"] == "error"
    assert REGISTRY.get_sample_value("headstart_reload_successful", {"kind": "certificates"}) == 0


async def test_a_certificate_of_our_authority_says_who_calls(authority: Authority, tmp_path: Path) -> None:
    _, certificates = files_of(tmp_path, authority, authority)
    batch = authority.signed("batch", "batch.svc", "spiffe://x/batch")
    async with grpc_server(certificates, asks=True) as port:
        assert await asked(port, authority, batch) == "batch"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await asked(port, authority, authority.signed("web", "web.svc"))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert "(web.svc, web)" in (refused.value.details() or "")
    async with http_server(certificates, asks=True) as port:
        pair = Pair.written(tmp_path, "batch", batch)
        assert (await fetched(port, authority, pair)).text == "batch"


async def test_a_certificate_of_somebody_else_makes_no_connection(authority: Authority, tmp_path: Path) -> None:
    _, certificates = files_of(tmp_path, authority, authority)
    forged = Authority.named("ours").signed("batch", "spiffe://x/batch")
    async with grpc_server(certificates, asks=True) as port:
        for client in (None, forged):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await asked(port, authority, client)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    async with http_server(certificates, asks=True) as port:
        with pytest.raises(httpx.HTTPError):
            await fetched(port, authority, Pair.written(tmp_path, "forged", forged))


async def test_over_http_a_client_may_come_without_a_certificate(authority: Authority, tmp_path: Path) -> None:
    """As probes do, and browsers with a token; what says nothing of itself is refused by the gate."""
    _, certificates = files_of(tmp_path, authority, authority)
    async with http_server(certificates, asks=True) as port:
        found = await fetched(port, authority)
        assert (found.status_code, "Bearer TOKEN" in found.text) == (401, True)


async def test_another_authority_for_clients_takes_the_place_of_the_first(authority: Authority, tmp_path: Path) -> None:
    other = Authority.named("theirs")
    _, certificates = files_of(tmp_path, authority, authority)
    old, new = authority.signed("batch", "spiffe://x/batch"), other.signed("batch", "spiffe://x/batch")
    async with grpc_server(certificates, asks=True) as port, http_server(certificates, asks=True) as http_port:
        (tmp_path / "clients.pem").write_bytes(other.pem)
        certificates.look()
        assert await asked(port, authority, new) == "batch"
        assert (await fetched(http_port, authority, Pair.written(tmp_path, "new", new))).text == "batch"
        with pytest.raises(grpc.aio.AioRpcError):
            await asked(port, authority, old)
        with pytest.raises(httpx.HTTPError):
            await fetched(http_port, authority, Pair.written(tmp_path, "old", old))


@pytest.mark.parametrize("life", [timedelta(days=1), timedelta(days=40_000), timedelta(days=-1)])
def test_the_end_of_a_certificate_is_measured(life: timedelta, authority: Authority, tmp_path: Path) -> None:
    """Of those as well that live beyond 2049, which is written otherwise, and of one that is over."""
    content = authority.signed("server", life=life)
    pair = Pair.written(tmp_path, "server", content)
    with structlog.testing.capture_logs() as logs:
        certificates_of(pair.certificate, pair.key)
    end = x509.load_pem_x509_certificate(content[0]).not_valid_after_utc
    assert end_of_certificate(content[0]) == end
    assert REGISTRY.get_sample_value("headstart_tls_certificate_expiry_timestamp_seconds") == end.timestamp()
    assert bool(logs) == (life < timedelta())


@pytest.mark.parametrize("content", [None, b"", b"no PEM"])
def test_an_authority_that_cannot_be_read_is_refused_by_its_flag(
    content: bytes | None, authority: Authority, tmp_path: Path
) -> None:
    pair, path = Pair.written(tmp_path, "server", server_pair(authority)), tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FailedPreconditionError, match=r"ca\.pem cannot be"):
        certificates_of(pair.certificate, pair.key, path)
