"""The Open Inference Protocol over a real connection: who is told what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from headstart_server.auth.audit import AuditLog
from headstart_server.core.calls import Calls
from headstart_server.core.principal import Scope
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.serving.batcher import Batcher
from headstart_server.serving.inputs import Reuse
from prometheus_client import REGISTRY

from tests.support.fake_predictor import OUTPUT, FakePredictor
from tests.support.gates import principal, token_gate
from tests.support.inference_stub import Stub, numbers, request, servicer_of
from tests.support.serving_here import served
from tests.support.statuses import without_request_id


@pytest.mark.parametrize("model", ["m1", "models/m1"])
@pytest.mark.parametrize("version", ["", "1"])
async def test_a_model_is_called_by_its_id_or_its_whole_name(stub: Stub, model: str, version: str) -> None:
    response = await stub.call("ModelInfer", request(1, 2, model=model, model_version=version, id="7"))
    assert numbers(response) == [2, 4]
    assert (response.model_name, response.model_version, response.id) == (model, "1", "7")
    assert not response.parameters
    for rpc, kind in (("ModelMetadata", pb.ModelMetadataRequest), ("ModelConfig", pb.ModelConfigRequest)):
        assert model in str(await stub.call(rpc, kind(name=model, version=version)))
    assert (await stub.call("ModelReady", pb.ModelReadyRequest(name=model, version=version))).ready


async def test_an_error_has_the_details_of_all_errors_and_names_the_requests_own_field(stub: Stub) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.call("ModelInfer", request(1, 2, model="No Model"))
    trailers: Any = dict(refused.value.trailing_metadata() or ())
    status = without_request_id(Status.FromString(trailers["grpc-status-details-bin"]))
    info, violations = ErrorInfo(), BadRequest()
    assert status.details[0].Unpack(info) and status.details[1].Unpack(violations)
    assert (info.reason, info.metadata["field"]) == ("INVALID_INPUT", "model_name")
    assert violations.field_violations[0].field == "model_name"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.call("ModelInfer", request(*range(101)))
    assert (refused.value.details() or "").startswith("inputs: holds 101 rows, at most 100 fit one request")


NOT_FOUND, INVALID, LOST = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.DATA_LOSS,
)
WRONG: list[tuple[str, Any, grpc.StatusCode, str]] = [
    ("ModelInfer", request(1, model_version="2"), NOT_FOUND, "'2' is no version of 'm1'"),
    (
        "ModelMetadata",
        pb.ModelMetadataRequest(name="m1", version="v1"),
        NOT_FOUND,
        "'v1' is no version",
    ),
    ("ModelInfer", request(), INVALID, "inputs: holds no rows"),
    ("ModelReady", pb.ModelReadyRequest(name="nobodys"), NOT_FOUND, "models/nobodys does not exist"),
    ("ModelConfig", pb.ModelConfigRequest(name="jobs/x"), INVALID, "expected 'models/ID'"),
    ("ModelMetadata", pb.ModelMetadataRequest(name="damaged"), LOST, "models/damaged is damaged"),
    (
        "RepositoryIndex",
        pb.RepositoryIndexRequest(repository_name="x"),
        INVALID,
        "leave it empty",
    ),
]


@pytest.mark.parametrize(("rpc", "wrong", "code", "said"), WRONG)
async def test_what_is_not_there_is_said(stub: Stub, rpc: str, wrong: Any, code: grpc.StatusCode, said: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.call(rpc, wrong)
    assert refused.value.code() is code and said in (refused.value.details() or "")


async def test_a_damaged_model_is_not_ready(stub: Stub) -> None:
    assert not (await stub.call("ModelReady", pb.ModelReadyRequest(name="damaged"))).ready


async def test_stored_embeddings_are_used_as_a_parameter_says(stub: Stub, predictor: FakePredictor) -> None:
    for given in ("any", "none", "exact"):
        chosen = request(1)
        chosen.parameters["embedding_reuse"].string_param = given
        await stub.call("ModelInfer", chosen)
    await stub.call("ModelInfer", request(1))
    assert predictor.reuse == [Reuse.ANY, Reuse.NONE, Reuse.EXACT, Reuse.EXACT]
    chosen.parameters["embedding_reuse"].string_param = "all"
    with pytest.raises(grpc.aio.AioRpcError, match="set string_param to one of exact, any, none"):
        await stub.call("ModelInfer", chosen)


async def test_parameters_without_effect_are_told_of_and_hints_are_not(stub: Stub) -> None:
    given = request(1)
    for name in ("priority", "sequence_id", "timeout", "triton_enable_empty_final_response", "content_type"):
        given.parameters[name].int64_param = 1
    given.inputs[0].parameters["binary_data_size"].int64_param = 8
    given.outputs.add(name=OUTPUT).parameters["clasification"].int64_param = 1
    warned = (await stub.call("ModelInfer", given)).parameters["warnings"].string_param
    assert warned.splitlines() == [
        "parameters['content_type'] has no effect",
        "inputs[0].parameters['binary_data_size'] has no effect",
        "outputs[0].parameters['clasification'] has no effect; did you mean 'classification'?",
    ]


async def test_more_parameters_than_anybody_reads_are_refused(stub: Stub) -> None:
    for place in ("parameters", "inputs[0].parameters", "outputs[0].parameters"):
        given = request(1)
        given.outputs.add(name=OUTPUT)
        owner: Any = {"parameters": given, "inputs[0].parameters": given.inputs[0]}.get(place, given.outputs[0])
        for number in range(101):
            owner.parameters[f"p{number}"].bool_param = True
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.call("ModelInfer", given)
        assert refused.value.details() == f"{place}: holds 101 parameters; send at most 100"


async def test_liveness_and_readiness_need_no_credentials_and_are_told_by_a_server_that_stops(tmp_path: Path) -> None:
    calls, batcher, audit = Calls(10), Batcher(), AuditLog.at(str(tmp_path / "audit"))
    service = servicer_of(FakePredictor(), batcher, calls)
    gate = token_gate({"t": principal(Scope.PREDICT, tenant="")}, audit)
    async with served(calls=calls, gate=gate, GRPCInferenceService=service) as channel:
        nobody, known = Stub(channel), Stub(channel, "t")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await nobody.call("ModelInfer", request(1))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert numbers(await known.call("ModelInfer", request(1))) == [2]
        with pytest.raises(grpc.aio.AioRpcError, match="this needs the scope 'read'"):
            await known.call("RepositoryIndex", pb.RepositoryIndexRequest())
        assert (await nobody.call("ServerReady", pb.ServerReadyRequest())).ready
        calls.stop()
        assert (await nobody.call("ServerLive", pb.ServerLiveRequest())).live
        assert not (await nobody.call("ServerReady", pb.ServerReadyRequest())).ready
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await known.call("ModelInfer", request(1))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    batcher.close()
    audit.close()
    lines = (tmp_path / "audit").read_text().splitlines()
    told = [(line["method"], line["status"]) for line in map(json.loads, lines)]
    assert [(method.split("/")[-1], status) for method, status in told] == [
        ("ModelInfer", "UNAUTHENTICATED"),
        ("RepositoryIndex", "PERMISSION_DENIED"),
    ]


async def test_calls_are_counted_under_their_service(stub: Stub) -> None:
    labels = {"service": "inference.GRPCInferenceService", "method": "ModelInfer", "code": "OK"}
    before = REGISTRY.get_sample_value("headstart_rpcs_total", labels) or 0
    await stub.call("ModelInfer", request(1))
    assert REGISTRY.get_sample_value("headstart_rpcs_total", labels) == before + 1


async def test_health_knows_the_service(stub: Stub) -> None:
    asked = health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService")
    check = stub._channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    assert (await check(asked)).status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_describes_the_protocol_beside_our_own(stub: Stub) -> None:
    ask = reflection_pb2.ServerReflectionRequest
    wanted = ["inference.GRPCInferenceService", "headstart.v1.PredictionService", "inference.Nothing"]
    call = stub._channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        request_serializer=ask.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )(iter([ask(list_services=""), *(ask(file_containing_symbol=symbol) for symbol in wanted)]))
    listed, inference, own, nothing = [answer async for answer in call]
    assert wanted[0] in [item.name for item in listed.list_services_response.service]
    [file] = inference.file_descriptor_response.file_descriptor_proto
    assert FileDescriptorProto.FromString(file).package == "inference"
    assert own.file_descriptor_response.file_descriptor_proto
    assert nothing.HasField("error_response")
