"""EmbeddingService."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from functools import partial
from typing import Any

from google.rpc.status_pb2 import Status
from headstart.v1 import embedding_pb2 as pb
from headstart.v1 import embedding_pb2_grpc

from headstart_server.core.errors import invalid
from headstart_server.core.executors import Executor
from headstart_server.core.names import id_of, name_of
from headstart_server.embedding_store.inventory import SpaceSummary
from headstart_server.rpc.callers import caller_of
from headstart_server.rpc.jobs import SPACES
from headstart_server.rpc.messages import feature_values, page, timestamp
from headstart_server.rpc.request_streams import in_order, known_id, returned_id
from headstart_server.rpc.tables import announced, arrow_table
from headstart_server.service.embeddings import Embeddings, EmbeddingService, EmbedOrder
from headstart_server.spec.parse import parse_feature

_NUMBERS = 65_536
"""Of an answer that are converted at a time."""


class EmbeddingServicer(embedding_pb2_grpc.EmbeddingServiceServicer):
    """Parses, calls the use case, converts."""

    def __init__(self, embeddings: EmbeddingService, rows: Executor) -> None:
        self._embeddings, self._rows = embeddings, rows

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:  # noqa: N802
        """Embeds one column."""
        found = await self._embeddings.embed(caller_of(context), _order(request))
        return await self._rows.run(_response, found)

    async def EmbedStream(  # noqa: N802
        self, request_iterator: AsyncIterator[pb.EmbedStreamRequest], context: Any
    ) -> AsyncIterator[pb.EmbedStreamResponse]:
        """Embeds columns in order, each as soon as it is ready; see `in_order`."""
        caller = caller_of(context)

        async def answer(request: pb.EmbedStreamRequest, begun: bool) -> pb.EmbedStreamResponse:
            identifier = known_id(request.id)
            found = await self._embeddings.embed(caller, _order(request.request, begun=begun))
            return pb.EmbedStreamResponse(id=identifier, response=await self._rows.run(_response, found))

        def failed(request: pb.EmbedStreamRequest, error: Status) -> pb.EmbedStreamResponse:
            return pb.EmbedStreamResponse(id=returned_id(request.id), error=error)

        async with aclosing(in_order("EmbedStream", _completed(request_iterator), answer, failed)) as responses:
            async for response in responses:
                yield response

    async def ListEmbeddingSpaces(  # noqa: N802
        self, request: pb.ListEmbeddingSpacesRequest, context: Any
    ) -> pb.ListEmbeddingSpacesResponse:
        """Lists."""
        ordered = sorted(await self._embeddings.spaces(caller_of(context)), key=_page_key, reverse=True)
        found, token = page(ordered, _page_key, request.page_size, request.page_token)
        return pb.ListEmbeddingSpacesResponse(embedding_spaces=map(_message, found), next_page_token=token)

    async def DeleteEmbeddingSpace(  # noqa: N802
        self, request: pb.DeleteEmbeddingSpaceRequest, context: Any
    ) -> pb.DeleteEmbeddingSpaceResponse:
        """Deletes."""
        await self._embeddings.delete(caller_of(context), id_of(SPACES, request.name))
        return pb.DeleteEmbeddingSpaceResponse()


async def _completed(requests: AsyncIterator[pb.EmbedStreamRequest]) -> AsyncIterator[pb.EmbedStreamRequest]:
    """The requests of a stream; one that names no feature has the first one's, and its space unless it names one."""
    first: pb.EmbedRequest | None = None
    async for request in requests:
        if first is None:
            first = pb.EmbedRequest(feature=request.request.feature, embedding_space=request.request.embedding_space)
        elif not request.request.HasField("feature"):
            space = request.request.embedding_space or first.embedding_space
            request.request.MergeFrom(pb.EmbedRequest(feature=first.feature, embedding_space=space))
        yield request


def _order(request: pb.EmbedRequest, *, begun: bool = False) -> EmbedOrder:
    """The feature to embed, in fp32 unless the request says otherwise."""
    values = feature_values(request.feature)
    feature = parse_feature(values, "feature")
    named = id_of(SPACES, request.embedding_space, "embedding_space") if request.embedding_space else ""
    read, (rows, size) = partial(arrow_table, request.table, "table"), announced(request.table)
    if "embedding_precision" in values.get("preprocessing", {}):
        if named:
            raise invalid("embedding_space", "excludes feature.preprocessing.embedding_precision; send one of them")
        return EmbedOrder(feature, "", read, rows, size, begun)
    exact = feature.preprocessing.model_copy(update={"embedding_precision": "fp32"})
    return EmbedOrder(feature.model_copy(update={"preprocessing": exact}), named, read, rows, size, begun)


def _response(found: Embeddings) -> pb.EmbedResponse:
    response = pb.EmbedResponse(
        dimension=found.values.shape[1],
        rows_found=found.rows_found,
        embedding_space=name_of(SPACES, found.space),
        precision=found.precision,
    )
    values = found.values.ravel()
    for start in range(0, len(values), _NUMBERS):  # protobuf holds Python's lock for as long as it takes them
        response.embeddings.extend(values[start : start + _NUMBERS].tolist())
    return response


def _page_key(summary: SpaceSummary) -> str:
    # padded, so that texts sort as their times do
    return f"{summary.last_use:020.6f} {summary.identifier}"


def _message(summary: SpaceSummary) -> pb.EmbeddingSpace:
    return pb.EmbeddingSpace(
        name=name_of(SPACES, summary.identifier),
        description=summary.description,
        row_count=summary.rows,
        size_bytes=summary.bytes,
        dimension=int(summary.description["dimension"]),
        shard_count=summary.shards,
        last_use_time=timestamp(summary.last_use_time),
    )
