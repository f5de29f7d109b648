"""GRPCInferenceService."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import pyarrow as pa

from headstart_server.core.errors import DataLossError, HeadstartError, NotFoundError, invalid
from headstart_server.core.names import name_of
from headstart_server.core.principal import Principal
from headstart_server.core.versions import version_of
from headstart_server.data.features.cells import BadCells
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.inference import grpc_service_pb2 as pb
from headstart_server.rpc.inference.failures import ENDS_STREAM, failed_answer, of_request
from headstart_server.rpc.inference.inputs import announced, input_table
from headstart_server.rpc.inference.outputs import add_outputs, wanted_outputs
from headstart_server.rpc.inference.parameters import check_parameters, ignored, reuse_of
from headstart_server.rpc.inference.signature import VERSION, config_message, metadata_message
from headstart_server.rpc.jobs import MODELS
from headstart_server.rpc.ordered import answered_in_order
from headstart_server.service.model_names import ModelNames
from headstart_server.service.models import ModelService, Signature
from headstart_server.service.prediction import PredictionService, PredictOrder
from headstart_server.serving.predictor import Predictor

EXTENSIONS = ("classification", "model_configuration")
_MOST_LISTED = 1_000
_FEW_ROWS, _FEW_BYTES = 16, 16 << 10


class InferenceServicer:
    """Parses, calls the use cases, converts. `ready` says whether the server takes requests."""

    def __init__(
        self, models: ModelService, predictions: PredictionService, names: ModelNames, ready: Callable[[], bool]
    ) -> None:
        self._models, self._predictions, self._names, self._ready = models, predictions, names, ready

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Any) -> pb.ServerLiveResponse:  # noqa: N802
        """Answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Any) -> pb.ServerReadyResponse:  # noqa: N802
        """Says whether the server takes requests."""
        return pb.ServerReadyResponse(ready=self._ready())

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Any) -> pb.ModelReadyResponse:  # noqa: N802
        """Says whether a model can be used."""
        try:
            await self._signature(request, caller_of(context))
        except DataLossError:
            return pb.ModelReadyResponse(ready=False)
        return pb.ModelReadyResponse(ready=True)

    async def ServerMetadata(  # noqa: N802
        self, request: pb.ServerMetadataRequest, context: Any
    ) -> pb.ServerMetadataResponse:
        """Describes the server."""
        return pb.ServerMetadataResponse(name="headstart", version=version_of("headstart"), extensions=EXTENSIONS)

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> pb.ModelMetadataResponse:  # noqa: N802
        """Describes a model's tensors."""
        signature = await self._signature(request, caller_of(context))
        return metadata_message(request.name, signature.inputs, signature.outputs)

    async def ModelConfig(self, request: pb.ModelConfigRequest, context: Any) -> pb.ModelConfigResponse:  # noqa: N802
        """Describes a model as a configuration does."""
        signature = await self._signature(request, caller_of(context))
        return pb.ModelConfigResponse(config=config_message(request.name, signature.inputs, signature.outputs))

    async def RepositoryIndex(  # noqa: N802
        self, request: pb.RepositoryIndexRequest, context: Any
    ) -> pb.RepositoryIndexResponse:
        """Lists models."""
        if request.repository_name:
            raise invalid("repository_name", f"{request.repository_name[:80]!r} is not here; leave it empty")
        response = pb.RepositoryIndexResponse()
        for bundle in await self._models.newest(caller_of(context), _MOST_LISTED, ""):
            response.models.add(name=bundle.folder.name, version=VERSION, state="READY")
        return response

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:  # noqa: N802
        """Predicts."""
        return await self._infer(request, caller_of(context), begun=False)

    async def ModelStreamInfer(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.ModelInferRequest], context: Any
    ) -> AsyncIterator[pb.ModelStreamInferResponse]:
        """Predicts in order; a request that fails is answered in its place."""
        caller, ends = caller_of(context), ENDS_STREAM in (context.invocation_metadata() or ())

        async def answer(request: pb.ModelInferRequest, begun: bool) -> pb.ModelStreamInferResponse:
            try:
                response = await self._infer(request, caller, begun=begun)
            except HeadstartError as error:
                if ends:
                    raise
                return failed_answer(request, error)
            response.parameters["triton_final_response"].bool_param = True
            return pb.ModelStreamInferResponse(infer_response=response)

        async with aclosing(answered_in_order(request_iterator, answer)) as answers:
            async for response in answers:
                yield response

    async def _signature(
        self, request: pb.ModelReadyRequest | pb.ModelMetadataRequest | pb.ModelConfigRequest, caller: Principal
    ) -> Signature:
        name = _checked_name(request.name, request.version, "version")
        return await self._models.signature(caller, await self._names.identifier(caller, name))

    async def _infer(self, request: pb.ModelInferRequest, caller: Principal, *, begun: bool) -> pb.ModelInferResponse:
        try:
            name = _checked_name(request.model_name, request.model_version, "model_version")
            identifier = await self._names.identifier(caller, name, "model_name")
            rows, size = announced(request)
            few = rows <= _FEW_ROWS and size <= _FEW_BYTES
            order = PredictOrder(identifier, partial(_read, request), rows, size, reuse_of(request), few, begun)
            prediction = await self._predictions.predict(caller, order)
        except HeadstartError as error:
            raise of_request(error, "model_name") from None
        response = pb.ModelInferResponse(model_name=request.model_name, model_version=VERSION, id=request.id)
        features = [decoded.feature for decoded in prediction.outputs]
        add_outputs(response, wanted_outputs(request, features), prediction.outputs)
        warnings = [*prediction.warnings, *ignored(request)]
        if warnings:
            response.parameters["warnings"].string_param = "\n".join(warnings)
        return response


def _read(request: pb.ModelInferRequest, model: Predictor, _: BadCells | None) -> pa.Table:
    """The rows of a request, all or none, whose outputs are looked at as well before anything is computed for them."""
    wanted_outputs(request, model.outputs)
    table = input_table(request, model.inputs)
    check_parameters(request)
    return table


def _checked_name(name: str, version: str, field: str) -> str:
    """The whole name of a model, or of an alias; raises NotFoundError naming `field` for a version that none has."""
    if version not in ("", VERSION):
        message = f"{version[:80]!r} is no version of {name[:200]!r}: models have the version {VERSION!r} alone"
        raise NotFoundError(message, field=field)
    return name if "/" in name else name_of(MODELS, name)
