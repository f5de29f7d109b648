"""Who may call which RPC, over a real connection: every RPC of the protos, with and without what it asks for."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from headstart.v1 import model_pb2, training_pb2
from headstart_server.auth.audit import AuditLog
from headstart_server.core.errors import FailedPreconditionError, KeysUnavailableError, NotFoundError
from headstart_server.core.principal import Principal, Scope
from headstart_server.rpc.access import ACCESS, OPEN
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.gate import Gate

from tests.support.gates import principal, token_gate, without
from tests.support.rpcs import Rpc, every_rpc
from tests.support.serving_here import served

GUARDED = [rpc for rpc in every_rpc() if rpc.method not in OPEN]
EVERY = pytest.mark.parametrize("rpc", GUARDED, ids=str)
NEEDED = [(rpc, scope) for rpc in GUARDED for scope in ACCESS[rpc.method].scopes]
SECRET = "headstart_a-token-that-nobody-may-see"
HEALTH = "/grpc.health.v1.Health/Check"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
UNREADABLE = b"\xff\xff"


async def answer(
    channel: grpc.aio.Channel, method: str, token: str = "", body: bytes = b""
) -> tuple[grpc.StatusCode, str]:
    """What a call of any kind ends with, once its first answer or its end is there.

    One request sent whole, which is on the wire what a stream of one is: a write of grpc.aio's own streams that the
    refusal overtakes ends them as INTERNAL, whatever the server said.
    """
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    call = channel.unary_stream(f"/{method.strip('/')}")(body, metadata=metadata, timeout=30)
    try:
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or ""
    if not call.done():
        call.cancel()
        return grpc.StatusCode.OK, ""
    return await call.code(), await call.details() or ""


@EVERY
async def test_nobody_is_let_in_without_credentials(rpc: Rpc) -> None:
    """And the body is not even looked at: one that no message is would be INVALID_ARGUMENT."""
    async with served(gate=token_gate({})) as channel:
        for token in ("", SECRET):
            code, said = await answer(channel, rpc.method, token, UNREADABLE)
            assert code is grpc.StatusCode.UNAUTHENTICATED
            assert SECRET not in said and ("Bearer TOKEN" in said or "not known" in said)


@pytest.mark.parametrize(("rpc", "scope"), NEEDED, ids=str)
async def test_who_lacks_a_scope_is_told_which(rpc: Rpc, scope: Scope) -> None:
    async with served(gate=token_gate({"t": without([scope])})) as channel:
        code, said = await answer(channel, rpc.method, "t", UNREADABLE)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert f"this needs the scope '{scope}'; the caller's scopes: " in said


class Reached:
    """Says who calls, and does nothing."""

    def __getattr__(self, name: str) -> Any:
        async def says(request: Any, context: Any) -> Any:
            raise FailedPreconditionError(f"{caller_of(context).name} of {caller_of(context).tenant}")

        return says


@EVERY
async def test_who_has_the_scopes_reaches_the_servicer(rpc: Rpc) -> None:
    reached: dict[str, Any] = {rpc.service: Reached()}
    async with served(gate=token_gate({"t": principal(*ACCESS[rpc.method].scopes)}), **reached) as channel:
        code, said = await answer(channel, rpc.method, "t")
    assert (code, said) == (grpc.StatusCode.FAILED_PRECONDITION, "somebody of search")


async def test_health_is_everybodys_and_reflection_of_those_who_are_known() -> None:
    asked = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
    async with served(gate=token_gate({"t": principal()})) as channel:
        health = health_pb2.HealthCheckRequest().SerializeToString()
        assert (await answer(channel, HEALTH, body=health))[0] is grpc.StatusCode.OK
        assert (await answer(channel, REFLECTION, body=asked))[0] is grpc.StatusCode.UNAUTHENTICATED
        assert (await answer(channel, REFLECTION, "t", asked))[0] is grpc.StatusCode.OK


async def test_keys_that_cannot_be_had_are_no_fault_of_the_caller() -> None:
    class Away:
        async def principal(self, _: Any) -> Principal:
            raise KeysUnavailableError("the keys cannot be fetched; try again")

    gate: Any = Gate(Away())  # type: ignore[arg-type]
    async with served(gate=gate) as channel:
        assert (await answer(channel, "headstart.v1.ModelService/GetModel"))[0] is grpc.StatusCode.UNAVAILABLE


async def test_what_fails_in_the_gate_is_the_servers_fault_and_lets_nobody_in() -> None:
    class Broken:
        async def principal(self, _: Any) -> Principal:
            raise ValueError(SECRET)

    gate: Any = Gate(Broken())  # type: ignore[arg-type]
    async with served(gate=gate) as channel:
        code, said = await answer(channel, "headstart.v1.ModelService/GetModel")
    assert (code, SECRET in said) == (grpc.StatusCode.INTERNAL, False)


def test_a_servicer_that_nobody_guards_answers_nobody() -> None:
    with pytest.raises(LookupError):
        caller_of(None)


class Jobs:
    """Makes one job, and follows it for as long as somebody listens; knows no other."""

    async def TrainJob(self, request: Any, context: Any) -> AsyncIterator[training_pb2.TrainJobEvent]:  # noqa: N802
        for sequence in (1, 2):
            yield training_pb2.TrainJobEvent(job="trainJobs/new", sequence=sequence)

    async def CancelTrainJob(self, request: Any, context: Any) -> training_pb2.TrainJob:  # noqa: N802
        raise NotFoundError(f"{request.name} does not exist")

    async def GetTrainJob(self, request: Any, context: Any) -> training_pb2.TrainJob:  # noqa: N802
        return training_pb2.TrainJob(name=request.name)

    def __getattr__(self, name: str) -> Any:
        async def unused(request: Any, context: Any) -> Any:
            raise AssertionError(name)

        return unused


class Models:
    """Deletes whatever it is asked to."""

    def __init__(self) -> None:
        self.callers: list[Principal] = []

    async def DeleteModel(self, request: Any, context: Any) -> model_pb2.DeleteModelResponse:  # noqa: N802
        self.callers.append(caller_of(context))
        return model_pb2.DeleteModelResponse()

    def __getattr__(self, name: str) -> Any:
        async def unused(request: Any, context: Any) -> Any:
            raise AssertionError(name)

        return unused


def named(message: Any, name: str) -> bytes:
    body: bytes = message(name=name).SerializeToString()
    return body


async def test_each_call_that_changes_something_or_is_refused_is_in_the_audit_log(tmp_path: Path) -> None:
    log, models = AuditLog.at(str(tmp_path / "audit")), Models()
    ada = principal(Scope.TRAIN, Scope.READ, Scope.ADMIN, name="ada")
    gate = token_gate({SECRET: ada, "reader": principal(name="reader", tenant="ads")}, log)
    async with served(gate=gate, TrainingService=Jobs(), ModelService=models) as channel:
        training, model = "headstart.v1.TrainingService", "headstart.v1.ModelService"
        await answer(channel, f"{training}/TrainJob", SECRET)
        await answer(
            channel, f"{training}/CancelTrainJob", SECRET, named(training_pb2.CancelTrainJobRequest, "trainJobs/x")
        )
        await answer(channel, f"{training}/GetTrainJob", SECRET, named(training_pb2.GetTrainJobRequest, "trainJobs/x"))
        await answer(channel, f"{model}/DeleteModel", SECRET, named(model_pb2.DeleteModelRequest, "models/m"))
        await answer(channel, f"{model}/DeleteModel", SECRET, named(model_pb2.DeleteModelRequest, f"models/\n{SECRET}"))
        await answer(channel, f"{model}/GetModel", "reader")
        await answer(channel, f"{model}/GetModel", "wrong")
        await answer(channel, HEALTH)
    log.close()
    text = (tmp_path / "audit").read_text()
    assert SECRET not in text
    lines = [json.loads(line) for line in text.splitlines()]
    kept = ("method", "principal", "tenant", "resource", "outcome", "status", "reason")
    assert [tuple(line[key] for key in kept) for line in lines] == [
        (f"{training}/TrainJob", "ada", "search", "trainJobs/new", "done", "OK", ""),
        (f"{training}/CancelTrainJob", "ada", "search", "trainJobs/x", "failed", "NOT_FOUND", "NOT_FOUND"),
        (f"{model}/DeleteModel", "ada", "search", "models/m", "done", "OK", ""),
        (f"{model}/DeleteModel", "ada", "search", "", "done", "OK", ""),
        (f"{model}/GetModel", "reader", "ads", "", "refused", "PERMISSION_DENIED", "PERMISSION_DENIED"),
        (f"{model}/GetModel", "", "", "", "refused", "UNAUTHENTICATED", "UNAUTHENTICATED"),
    ]
    assert all(line["transport"] == "grpc" and line["peer"].startswith("ipv4:127.0.0.1") for line in lines)
    assert len({line["request_id"] for line in lines}) == len(lines)
    assert models.callers == [ada, ada]


async def test_callers_of_one_connection_are_told_apart() -> None:
    models = Models()
    ada, bob = principal(Scope.ADMIN, name="ada"), principal(Scope.ADMIN, name="bob")
    async with served(gate=token_gate({"a": ada, "b": bob}), ModelService=models) as channel:
        for token in ("a", "b", "wrong", "a"):
            await answer(channel, "headstart.v1.ModelService/DeleteModel", token)
    assert models.callers == [ada, bob, ada]
