"""The boundary: what goes wrong inside is logged with its trace, and never told to a caller."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from headstart.v1 import (
    dataset_pb2_grpc,
    export_pb2,
    export_pb2_grpc,
    prediction_pb2,
    prediction_pb2_grpc,
    server_pb2,
    server_pb2_grpc,
)
from headstart_server.core.calls import Calls
from headstart_server.core.errors import CancelledError, NotFoundError
from headstart_server.rpc.connection_options import ConnectionLimits
from headstart_server.rpc.datasets import DatasetServicer
from headstart_server.rpc.interceptor import Boundary
from headstart_server.rpc.prediction import PredictionServicer

from tests.support.measured import Growth
from tests.support.serving_here import served, serving
from tests.support.stubs import stub_of

NOBODY: Any = None


class Failing(server_pb2_grpc.ServerServiceServicer):
    """Fails as told."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise self._error


async def answer_to(error: Exception) -> tuple[grpc.StatusCode, str]:
    async with served(ServerService=Failing(error)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub_of(server_pb2_grpc.ServerServiceStub, channel).GetServerInfo(server_pb2.GetServerInfoRequest())
    return failed.value.code(), failed.value.details() or ""


async def test_methods_that_there_are_not_are_unimplemented_and_not_remembered() -> None:
    boundary = Boundary(NOBODY, Calls(1))

    async def unknown(call: Any) -> None:
        return None

    for number in range(3):
        assert await boundary.intercept_service(unknown, SimpleNamespace(method=f"/a.Service/M{number}")) is None
    assert boundary._methods == {}
    async with served(ServerService=Failing(NotFoundError("gone"))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_unary("/headstart.v1.ServerService/GetNothing")(b"")
    assert failed.value.code() is grpc.StatusCode.UNIMPLEMENTED


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


NO_MESSAGES = {"no message": b"\xff\xff", "text that is not UTF-8": b"\x0a\x02\xff\xfe", "cut": b"\x0a\x7fa"}
METHODS = [
    "/inference.GRPCInferenceService/ModelInfer",
    "/headstart.v1.ServerService/GetServerInfo",
    "/headstart.v1.ModelService/GetModel",
    "/headstart.v1.TrainingService/WatchTrainJob",
    "/headstart.v1.PredictionService/PredictStream",
    "/headstart.v1.DatasetService/UploadDataset",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


@pytest.mark.parametrize("method", METHODS)
async def test_a_body_that_is_no_message_is_the_callers_mistake(method: str, caplog: pytest.LogCaptureFixture) -> None:
    services: dict[str, Any] = {
        "PredictionService": PredictionServicer(NOBODY, NOBODY, NOBODY, NOBODY),
        "DatasetService": DatasetServicer(NOBODY),
    }
    # A request without fields takes any field for one of a later release.
    bodies = [body for kind, body in NO_MESSAGES.items() if "UTF-8" not in kind or not method.endswith("GetServerInfo")]
    with structlog.testing.capture_logs() as logs:
        async with served(**services) as channel:
            for body in bodies:
                with pytest.raises(grpc.aio.AioRpcError) as failed:
                    await asyncio.wait_for(channel.unary_stream(method)(body).read(), 60)
                assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
                assert f"the request body of {len(body)} bytes is no message" in (failed.value.details() or "")
    assert {entry["log_level"] for entry in logs} <= {"debug", "warning"}
    assert not [record for record in caplog.records if record.exc_info]


class Endless(export_pb2_grpc.ExportServiceServicer):
    """Sends until nobody listens."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def DownloadArtifact(self, request: Any, context: Any) -> Any:  # noqa: N802
        try:
            while True:
                yield export_pb2.DownloadArtifactResponse(data=bytes(1 << 20))
        finally:
            self.ended.set()


async def test_a_caller_who_leaves_a_stream_leaves_no_trace_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    service = Endless()
    with structlog.testing.capture_logs() as logs:
        async with served(ExportService=service) as channel:
            for _ in range(20):
                service.ended.clear()
                stream = stub_of(export_pb2_grpc.ExportServiceStub, channel).DownloadArtifact(
                    export_pb2.DownloadArtifactRequest()
                )
                await stream.read()
                stream.cancel()
                await asyncio.wait_for(service.ended.wait(), 60)
    assert {entry["code"] for entry in logs if entry["event"] == "rpc"} == {"CANCELLED"}
    assert not [record for record in caplog.records if record.exc_info]


class Patient(dataset_pb2_grpc.DatasetServiceServicer, prediction_pb2_grpc.PredictionServiceServicer):
    """Reads until nobody sends, and answers each request where answers are a stream."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def UploadDataset(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        try:
            async for _ in request_iterator:
                pass
            await asyncio.sleep(600)
        finally:
            self.ended.set()

    async def PredictStream(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        try:
            async for _ in request_iterator:
                yield prediction_pb2.PredictStreamResponse()
            await asyncio.sleep(600)
        finally:
            self.ended.set()


@pytest.mark.parametrize("done_writing", [False, True])
@pytest.mark.parametrize("rpc", ["DatasetService/UploadDataset", "PredictionService/PredictStream"])
async def test_a_caller_who_leaves_a_stream_of_requests_leaves_no_trace_in_the_log(
    rpc: str, done_writing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    service = Patient()
    with structlog.testing.capture_logs() as logs:
        async with served(DatasetService=service, PredictionService=service) as channel:
            for _ in range(20):
                service.ended.clear()
                call: Any = channel.stream_stream(f"/headstart.v1.{rpc}")()
                await call.write(b"")
                if done_writing:
                    await call.done_writing()
                await asyncio.sleep(0.005)
                call.cancel()
                await asyncio.wait_for(service.ended.wait(), 60)
    assert {entry["code"] for entry in logs if entry["event"] == "rpc"} == {"CANCELLED"}
    assert not [record for record in caplog.records if record.exc_info]


async def test_what_was_cancelled_on_request_is_told_with_its_reason() -> None:
    async with served(ServerService=Failing(CancelledError("exportJobs/e1 was cancelled"))) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await stub_of(server_pb2_grpc.ServerServiceStub, channel).GetServerInfo(server_pb2.GetServerInfoRequest())
    assert (failed.value.code(), failed.value.details()) == (
        grpc.StatusCode.CANCELLED,
        "exportJobs/e1 was cancelled",
    )
    assert b"CANCELLED" in dict(failed.value.trailing_metadata() or ())["grpc-status-details-bin"]


class Waiting(server_pb2_grpc.ServerServiceServicer):
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def GetServerInfo(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.asked.set()
        await self.go_on.wait()
        return server_pb2.ServerInfo()


async def test_calls_are_counted_while_they_run_and_when_they_end() -> None:
    method = {"service": "headstart.v1.ServerService", "method": "GetServerInfo"}
    ended, timed = Growth("headstart_rpcs_total", **method, code="OK"), Growth("headstart_rpc_seconds_count", **method)
    flying, waiting = Growth("headstart_rpcs_in_flight", **method), Waiting()
    async with served(ServerService=waiting) as channel:
        request = server_pb2.GetServerInfoRequest()
        call = stub_of(server_pb2_grpc.ServerServiceStub, channel).GetServerInfo(request)
        await waiting.asked.wait()
        assert (flying(), ended(), timed()) == (1, 0, 0)
        waiting.go_on.set()
        await call
    assert (flying(), ended(), timed()) == (0, 1, 1)


async def test_a_server_that_stops_lets_calls_in_hand_end_and_refuses_others_with_when_to_come_back() -> None:
    waiting = Waiting()
    async with (
        serving(ServerService=waiting) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=[("grpc.enable_retries", 0)]) as channel,
    ):
        stub = stub_of(server_pb2_grpc.ServerServiceStub, channel)
        health = stub_of(health_pb2_grpc.HealthStub, channel)
        first = asyncio.ensure_future(stub.GetServerInfo(server_pb2.GetServerInfoRequest()))
        await waiting.asked.wait()
        stopping = asyncio.create_task(server.stop(30))
        await asyncio.sleep(0.05)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetServerInfo(server_pb2.GetServerInfoRequest())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "the server is stopping" in (refused.value.details() or "")
        assert int(dict(refused.value.trailing_metadata())["grpc-retry-pushback-ms"]) > 0
        answer = await health.Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not stopping.done()
        waiting.go_on.set()
        await first
        await asyncio.wait_for(stopping, 60)


async def test_more_calls_than_the_bound_are_refused() -> None:
    waiting = Waiting()
    async with served(ServerService=waiting, calls=Calls(1)) as channel:
        stub = stub_of(server_pb2_grpc.ServerServiceStub, channel)
        first = asyncio.ensure_future(stub.GetServerInfo(server_pb2.GetServerInfoRequest()))
        await waiting.asked.wait()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.GetServerInfo(server_pb2.GetServerInfoRequest())
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        waiting.go_on.set()
        await first


async def test_metadata_above_the_bound_is_refused_always_and_below_it_never() -> None:
    waiting = Waiting()
    waiting.go_on.set()
    async with served(ServerService=waiting) as channel:
        stub = stub_of(server_pb2_grpc.ServerServiceStub, channel)
        for _ in range(20):
            await stub.GetServerInfo(server_pb2.GetServerInfoRequest(), metadata=[("x-filling", "x" * 15_000)])
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetServerInfo(server_pb2.GetServerInfoRequest(), metadata=[("x-filling", "x" * 17_000)])
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_client_is_asked_to_connect_anew_and_its_calls_go_on() -> None:
    service = Endless()
    limits = ConnectionLimits(max_age=0.3, max_age_grace=30)
    async with serving(ExportService=service, limits=limits) as server:  # noqa: SIM117 - the channel needs its port
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = stub_of(export_pb2_grpc.ExportServiceStub, channel)
            stream = stub.DownloadArtifact(export_pb2.DownloadArtifactRequest())
            end = asyncio.get_running_loop().time() + 1.5
            while asyncio.get_running_loop().time() < end:
                assert await stream.read() is not grpc.aio.EOF
                await asyncio.sleep(0.01)
                other = stub.DownloadArtifact(export_pb2.DownloadArtifactRequest())
                assert await other.read() is not grpc.aio.EOF
                other.cancel()
            stream.cancel()
