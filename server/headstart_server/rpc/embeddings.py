"""EmbeddingService."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from headstart.v1 import embedding_pb2 as pb
from headstart.v1 import embedding_pb2_grpc

from headstart_server.core.errors import invalid
from headstart_server.core.names import id_of, name_of
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.text import unfitted
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.policy import require_usable_images
from headstart_server.data.images.scan import scan
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import Encode, Encoded
from headstart_server.embedding_store.inventory import SpaceSummary
from headstart_server.embedding_store.key import Keys, keys_of_chunks
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.encoding.images import ImageEncode
from headstart_server.encoding.texts import embed, text_encode
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.planning.image_inputs import ImagePlan, plan_image
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.text_inputs import TextPlan, plan_text
from headstart_server.rpc.jobs import SPACES
from headstart_server.rpc.messages import feature_values, page, timestamp
from headstart_server.rpc.tables import arrow_table
from headstart_server.spec.model import FeatureSpec, TrainSpec
from headstart_server.spec.parse import parse_feature


class EmbeddingServicer(embedding_pb2_grpc.EmbeddingServiceServicer):
    """Embeds rows, and looks after the store."""

    def __init__(self, runtime: RuntimeContext, max_rows: int) -> None:
        self._runtime, self._max_rows = runtime, max_rows
        self._encoder_cache = EncoderCache()

    async def Embed(self, request: pb.EmbedRequest, context: Any) -> pb.EmbedResponse:  # noqa: N802
        """Embeds one column."""
        return await asyncio.to_thread(self._embed, request)

    async def ListEmbeddingSpaces(  # noqa: N802
        self, request: pb.ListEmbeddingSpacesRequest, context: Any
    ) -> pb.ListEmbeddingSpacesResponse:
        """Lists."""
        summaries = await asyncio.to_thread(self._runtime.store.summaries)
        ordered = sorted(summaries, key=_page_key, reverse=True)
        found, token = page(ordered, _page_key, request.page_size, request.page_token)
        return pb.ListEmbeddingSpacesResponse(embedding_spaces=map(_message, found), next_page_token=token)

    async def DeleteEmbeddingSpace(  # noqa: N802
        self, request: pb.DeleteEmbeddingSpaceRequest, context: Any
    ) -> pb.DeleteEmbeddingSpaceResponse:
        """Deletes."""
        await asyncio.to_thread(self._runtime.store.delete, id_of(SPACES, request.name))
        return pb.DeleteEmbeddingSpaceResponse()

    def _embed(self, request: pb.EmbedRequest) -> pb.EmbedResponse:
        feature, named = _feature(request)
        if feature.type not in ("text", "image"):
            raise invalid("feature.type", f"{feature.type!r} has no pretrained encoder; use text or image")
        if feature.encoder.trainable or feature.encoder.use_pretrained is False:
            raise invalid(
                "feature.encoder",
                "must be pretrained and frozen to be embedded; leave trainable and use_pretrained out",
            )
        table = table_of_arrow(arrow_table(request.table, "table"), "table")
        if table.row_count > self._max_rows:
            raise invalid("table", f"holds {table.row_count} rows, at most {self._max_rows} fit one request")
        table.require(feature.source, "feature.name")
        plan = self._plan(feature)
        if named:
            plan = _in_space(plan, named)
        keys, encode = (self._texts if feature.type == "text" else self._images)(feature, plan, table)
        store = self._runtime.store.space(plan.space)
        reports: list[int] = []
        matrix = embed(
            store,
            keys,
            encode,
            lambda progress: reports.append(progress.found),
            self._runtime.layout.job("embed"),
        )
        return pb.EmbedResponse(
            dimension=plan.dimension,
            embeddings=matrix.numpy().astype(np.float32).ravel().tolist(),
            rows_found=reports[0],
            embedding_space=name_of(SPACES, plan.space.identifier),
            precision=plan.precision,
        )

    def _plan(self, feature: FeatureSpec) -> PretrainedPlan:
        sources, device = self._runtime.sources, self._runtime.device
        resolution = Resolution.of(TrainSpec(input_features=[feature]))
        if feature.type == "text":
            return plan_text(feature, "feature", sources, resolution, device.type)
        return plan_image(feature, "feature", sources, resolution, device.type, seed=0)

    def _texts(self, feature: FeatureSpec, plan: PretrainedPlan, table: Table) -> tuple[Keys, Encode]:
        assert isinstance(plan, TextPlan)
        fitted = FittedFeature(feature, unfitted(feature.preprocessing), output=False)
        column = TextColumn((start, fitted.texts(values)) for start, values in table.chunks(feature.source))
        return keys_of_chunks(column.chunks), text_encode(plan, column.texts, self._runtime.device, self._encoder_cache)

    def _images(self, feature: FeatureSpec, plan: PretrainedPlan, table: Table) -> tuple[Keys, Encode]:
        assert isinstance(plan, ImagePlan)
        column = ImageColumn([table], feature.source, self._runtime.image_limits)
        images = scan(column, np.arange(table.row_count))
        require_usable_images(images.bad, _where(feature))
        encode = ImageEncode(plan, images, self._runtime.device, self._encoder_cache, lambda: None)

        def encode_all(rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
            yield from encode(rows)
            if images.bad:
                images.spread_bad()
                require_usable_images(images.bad, _where(feature))

        return images.keys, encode_all


def _feature(request: pb.EmbedRequest) -> tuple[FeatureSpec, str]:
    """The feature to embed, in fp32 unless the request says otherwise, and the identifier of the space it names."""
    values = feature_values(request.feature)
    preprocessing = values.get("preprocessing", {})
    feature = parse_feature(values, "feature")
    named = id_of(SPACES, request.embedding_space, "embedding_space") if request.embedding_space else ""
    if "embedding_precision" in preprocessing:
        if named:
            raise invalid("embedding_space", "excludes feature.preprocessing.embedding_precision; send one of them")
        return feature, ""
    exact = feature.preprocessing.model_copy(update={"embedding_precision": "fp32"})
    return feature.model_copy(update={"preprocessing": exact}), named


def _in_space(plan: PretrainedPlan, identifier: str) -> PretrainedPlan:
    """The plan in the precision of the space named; raises InvalidInputError where the space is none of its encoder."""
    for precision in DTYPES:
        found = replace(plan, precision=precision)
        if found.space.identifier == identifier:
            return found
    raise invalid(
        "embedding_space",
        f"{name_of(SPACES, identifier)!r} is no space of this feature: it has other weights, another tokenizer or "
        "transform, pooling or length limit; ListEmbeddingSpaces describes it",
    )


def _where(feature: FeatureSpec) -> Where:
    return Where("table", feature.source, lambda row: f"row {row + 1}")


def _page_key(summary: SpaceSummary) -> str:
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
