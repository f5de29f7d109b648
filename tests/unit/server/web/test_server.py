"""Connections are held for requests that come, not for halves of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from headstart_server.web import server as server_module
from headstart_server.web.server import HttpServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
SECONDS = 0.3


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await request.body())


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of a server that gives back what it gets."""
    monkeypatch.setattr(server_module, "_HEAD_SECONDS", SECONDS)
    server = HttpServer(Starlette(routes=[Route("/", _echo, methods=["POST"])]), "127.0.0.1", 0)
    server.bind()
    server.start()
    yield server.port
    await server.stop(1.0)


@pytest.mark.parametrize("sent", [b"", HEAD[:20]])
async def test_a_connection_without_a_whole_head_is_ended(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()


async def test_a_request_takes_as_long_as_it_takes_and_the_next_head_is_bounded(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(HEAD + b"ab")
    await asyncio.sleep(3 * SECONDS)
    writer.write(b"cd")
    assert (await reader.readuntil(b"abcd")).startswith(b"HTTP/1.1 200")
    writer.write(HEAD[:20])
    assert await asyncio.wait_for(reader.read(), 30) == b""
    writer.close()
