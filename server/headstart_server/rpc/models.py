"""ModelService."""

from functools import partial
from typing import Any

from headstart.v1 import model_pb2 as pb
from headstart.v1 import model_pb2_grpc

from headstart_server.core.errors import invalid
from headstart_server.core.filters import parse
from headstart_server.core.names import alias_of
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.changes import changes_of
from headstart_server.rpc.job_lists import MOST_BYTES, within
from headstart_server.rpc.messages import page_limit, page_start, page_token
from headstart_server.rpc.model_messages import alias_message, model_message
from headstart_server.service.model_names import ModelNames
from headstart_server.service.models import FIELDS, SEARCHED, ModelService


class ModelServicer(model_pb2_grpc.ModelServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, models: ModelService, names: ModelNames) -> None:
        self._models, self._names = models, names

    async def GetModel(self, request: pb.GetModelRequest, context: Any) -> pb.Model:  # noqa: N802
        """Reads."""
        caller, full = caller_of(context), _is_full(request.view, pb.MODEL_VIEW_FULL)
        identifier = await self._names.identifier(caller, request.name)
        return model_message(await self._models.get(caller, identifier), full=full)

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        """Lists."""
        caller, limit = caller_of(context), page_limit(request.page_size)
        full = _is_full(request.view, pb.MODEL_VIEW_BASIC)
        condition = parse(request.filter, FIELDS, SEARCHED)
        before = page_start(request.page_token, request.filter) or ""
        # one more than a page, which tells whether there is another
        found = await self._models.listed(caller, limit + 1, before, condition)
        messages = list(within(MOST_BYTES, (model_message(model, full=full) for model in found[:limit])))
        more = len(found) > len(messages)
        token = page_token(found[len(messages) - 1].bundle.folder.name, request.filter) if more else ""
        return pb.ListModelsResponse(models=messages, next_page_token=token)

    async def UpdateModel(self, request: pb.UpdateModelRequest, context: Any) -> pb.Model:  # noqa: N802
        """Changes what people say of a model."""
        caller = caller_of(context)
        identifier = await self._names.identifier(caller, request.model.name, "model.name")
        changes = partial(changes_of, request.model, request.update_mask, field="model")
        return model_message(await self._models.update(caller, identifier, changes), full=True)

    async def DeleteModel(self, request: pb.DeleteModelRequest, context: Any) -> pb.DeleteModelResponse:  # noqa: N802
        """Deletes."""
        caller = caller_of(context)
        await self._models.delete(caller, await self._names.identifier(caller, request.name))
        return pb.DeleteModelResponse()

    async def SetModelAlias(self, request: pb.SetModelAliasRequest, context: Any) -> pb.ModelAlias:  # noqa: N802
        """Has an alias name a model."""
        caller, alias = caller_of(context), alias_of(request.name)
        model = await self._names.identifier(caller, request.model, "model")
        given = request.expected_model
        expected = await self._names.identifier(caller, given, "expected_model") if given else ""
        return alias_message(await self._models.set_alias(caller, alias, model, expected))

    async def GetModelAlias(self, request: pb.GetModelAliasRequest, context: Any) -> pb.ModelAlias:  # noqa: N802
        """Reads an alias."""
        return alias_message(await self._models.alias(caller_of(context), alias_of(request.name)))

    async def ListModelAliases(  # noqa: N802
        self, request: pb.ListModelAliasesRequest, context: Any
    ) -> pb.ListModelAliasesResponse:
        """Lists aliases."""
        caller, limit = caller_of(context), page_limit(request.page_size)
        model = await self._names.identifier(caller, request.model, "model") if request.model else ""
        after = page_start(request.page_token, model) or ""
        found = await self._models.aliases(caller, limit + 1, after, model)
        token = page_token(found[limit - 1].alias, model) if len(found) > limit else ""
        return pb.ListModelAliasesResponse(model_aliases=map(alias_message, found[:limit]), next_page_token=token)

    async def DeleteModelAlias(  # noqa: N802
        self, request: pb.DeleteModelAliasRequest, context: Any
    ) -> pb.DeleteModelAliasResponse:
        """Deletes an alias."""
        await self._models.delete_alias(caller_of(context), alias_of(request.name))
        return pb.DeleteModelAliasResponse()


def _is_full(given: int, default: int) -> bool:
    """Whether everything is to be told; raises InvalidInputError for what is no view."""
    if given not in pb.ModelView.values():
        raise invalid("view", f"{given} is no view; use the values of ModelView")
    return (given or default) == pb.MODEL_VIEW_FULL
