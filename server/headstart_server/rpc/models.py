"""ModelService."""

from typing import Any

from headstart.v1 import model_pb2 as pb
from headstart.v1 import model_pb2_grpc

from headstart_server.core.names import id_of, name_of
from headstart_server.engines.events import evaluation_of
from headstart_server.model.bundle import Bundle
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.evaluation import evaluation_message
from headstart_server.rpc.jobs import JOBS, MODELS, epoch_message
from headstart_server.rpc.messages import page_limit, page_start, page_token, spec_message, timestamp
from headstart_server.service.models import ModelService
from headstart_server.training.reports import EpochReport


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, models: ModelService) -> None:
        self._models = models

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.Model:  # noqa: N802
        """Reads."""
        bundle, size = await self._models.get(caller_of(context), id_of(MODELS, request.name))
        message = model_message(bundle, size)
        message.evaluation.extend(map(evaluation_message, evaluation_of(bundle.details)))
        return message

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        """Lists."""
        caller, limit = caller_of(context), page_limit(request.page_size)
        # one more than a page, which tells whether there is another
        bundles = await self._models.newest(caller, limit + 1, page_start(request.page_token) or "")
        token = page_token(bundles[limit - 1].folder.name) if len(bundles) > limit else ""
        models = [model_message(bundle, size) for bundle, size in await self._models.sized(caller, bundles[:limit])]
        return pb.ListModelsResponse(models=models, next_page_token=token)

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Any) -> pb.DeleteModelResponse:  # noqa: N802
        """Deletes."""
        await self._models.delete(caller_of(context), id_of(MODELS, request.name))
        return pb.DeleteModelResponse()


def model_message(bundle: Bundle, size_bytes: int) -> pb.Model:
    """A model."""
    details = bundle.details
    return pb.Model(
        name=name_of(MODELS, bundle.folder.name),
        display_name=details["display_name"],
        job=name_of(JOBS, details["job"]),
        create_time=timestamp(details["create_time"]),
        spec=spec_message(bundle.spec.compact()),
        metrics=epoch_message(EpochReport(**details["metrics"])),
        inputs=[
            pb.InputColumn(column=item.spec.source, type=item.spec.type, feature=item.name) for item in bundle.inputs
        ],
        outputs=[
            pb.OutputColumn(feature=item.name, type=item.spec.type, classes=item.classes) for item in bundle.outputs
        ],
        size_bytes=size_bytes,
        digest=details["digest"],
        encoder_digests={name: item.digest for name, item in bundle.encoders.items() if item.digest},
    )
