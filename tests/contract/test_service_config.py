"""The published service config: every RPC that may be repeated is in it and no other, and it works as it says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import headstart
import pytest
from google.protobuf.descriptor import MethodDescriptor
from headstart.v1 import model_pb2, model_pb2_grpc
from headstart.wire import methods
from headstart.wire.connection import SERVICE_CONFIG
from headstart.wire.methods import Method
from headstart_server.core.errors import OverloadedError, StorageError, TooLargeError
from headstart_server.rpc.inference import grpc_service_pb2 as inference_pb2
from headstart_server.rpc.server import _SERVICES

from tests.support.serving_here import serving
from tests.support.stubs import stub_of

CONFIG: dict[str, Any] = json.loads(SERVICE_CONFIG.read_text())
EVERY: dict[str, MethodDescriptor] = {
    method.name: method
    for name, (module, _) in _SERVICES.items()
    for method in module.DESCRIPTOR.services_by_name[name].methods
}


INFERENCE = {method.name for method in inference_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
"""Of the Open Inference Protocol, which our own client does not speak."""


def named(code: str) -> set[str]:
    """Methods that are repeated after a status."""
    return {
        name["method"]
        for entry in CONFIG["methodConfig"]
        if code in entry["retryPolicy"]["retryableStatusCodes"]
        for name in entry["name"]
    }


def test_what_may_be_repeated_is_what_the_client_repeats() -> None:
    found = [method for method in vars(methods).values() if isinstance(method, Method)]
    assert {method.name for method in found} == EVERY.keys() - INFERENCE
    repeatable = {method.name for method in found if method.repeatable}
    assert named("RESOURCE_EXHAUSTED") - INFERENCE == repeatable
    assert named("UNAVAILABLE") - INFERENCE == repeatable


def test_inference_changes_nothing_and_may_be_repeated_but_for_its_stream() -> None:
    assert named("RESOURCE_EXHAUSTED") & INFERENCE == INFERENCE - {"ModelStreamInfer"}


def test_every_name_is_a_method_of_the_contract() -> None:
    for entry in CONFIG["methodConfig"]:
        for name in entry["name"]:
            assert EVERY[name["method"]].containing_service.full_name == name["service"]


def test_the_page_of_limits_says_which_are_repeated() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "limits.md").read_text()
    for name in EVERY:
        assert f"`{name}`" in page, name


class Flaky(model_pb2_grpc.ModelServiceServicer):
    """Fails some times before it answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.calls = list(errors), 0

    async def GetModel(self, request: model_pb2.GetModelRequest, context: Any) -> model_pb2.Model:  # noqa: N802
        self._fail()
        return model_pb2.Model(name=request.name)

    async def DeleteModel(self, request: Any, context: Any) -> model_pb2.DeleteModelResponse:  # noqa: N802
        self._fail()
        return model_pb2.DeleteModelResponse()

    def _fail(self) -> None:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)


async def asked(servicer: Flaky, rpc: str = "GetModel") -> None:
    """Calls once, as any client does that has the config and nothing else."""
    async with serving(ModelService=servicer) as server:
        options = [("grpc.service_config", SERVICE_CONFIG.read_text())]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            stub = stub_of(model_pb2_grpc.ModelServiceStub, channel)
            kind = getattr(model_pb2, f"{rpc}Request")
            await asyncio.wait_for(getattr(stub, rpc)(kind(name="models/m")), 30)


@pytest.mark.parametrize("error", [StorageError("away"), OverloadedError("busy", retry_after=0.01)])
async def test_a_call_that_reads_gets_through_a_server_that_fails_first(error: Exception) -> None:
    servicer = Flaky(error, error, error)
    await asked(servicer)
    assert servicer.calls == 4


async def test_who_is_told_when_to_come_back_does_not_come_before() -> None:
    servicer, start = Flaky(OverloadedError("busy", retry_after=0.7)), asyncio.get_running_loop().time()
    await asked(servicer)
    assert servicer.calls == 2
    assert asyncio.get_running_loop().time() - start >= 0.7


@pytest.mark.parametrize(
    ("error", "rpc"), [(TooLargeError("too large"), "GetModel"), (StorageError("away"), "DeleteModel")]
)
async def test_what_repeating_does_not_help_or_might_do_twice_is_called_once(error: Exception, rpc: str) -> None:
    servicer = Flaky(error)
    with pytest.raises(grpc.aio.AioRpcError):
        await asked(servicer, rpc)
    assert servicer.calls == 1


async def test_a_server_that_stays_busy_is_given_up() -> None:
    servicer = Flaky(*[OverloadedError("busy", retry_after=0.01)] * 50)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await asked(servicer)
    assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert servicer.calls == 5


async def test_the_python_client_uses_it_and_is_more_patient_where_the_server_is_busy() -> None:
    servicer = Flaky(*[OverloadedError("busy", retry_after=0.01)] * 12)
    async with serving(ModelService=servicer) as server, headstart.AsyncClient(f"127.0.0.1:{server.port}") as client:
        found = await asyncio.wait_for(client.models.get("models/m"), 60)
    assert (found.name, servicer.calls) == ("models/m", 13)
