"""The boundary: what goes wrong inside is logged with its trace, and never told to a caller."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
import structlog
from headstart.v1 import server_pb2, server_pb2_grpc
from headstart_server.core.errors import NotFoundError

from tests.support.serving_here import served


class Failing(server_pb2_grpc.ServerServiceServicer):
    """Fails as told."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise self._error


async def answer_to(error: Exception) -> tuple[grpc.StatusCode, str]:
    async with served(ServerService=Failing(error)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await server_pb2_grpc.ServerServiceStub(channel).GetServerInfo(server_pb2.GetServerInfoRequest())
    return failed.value.code(), failed.value.details() or ""


async def test_an_unforeseen_error_is_internal_and_keeps_its_secrets() -> None:
    with structlog.testing.capture_logs() as logs:
        code, message = await answer_to(ValueError("/secret/path of a row"))
    assert (code, "secret" in message) == (grpc.StatusCode.INTERNAL, False)
    assert [entry["log_level"] for entry in logs if entry["event"] == "rpc failed unexpectedly"] == ["error"]


async def test_a_domain_error_is_its_status_and_its_words() -> None:
    assert await answer_to(NotFoundError("models/x does not exist")) == (
        grpc.StatusCode.NOT_FOUND,
        "models/x does not exist",
    )
