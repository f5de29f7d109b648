"""Embeddings of rows, and the spaces that hold them."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headstart_server.core.errors import CancelledError, invalid
from headstart_server.core.executors import Executors
from headstart_server.core.names import name_of
from headstart_server.core.principal import Principal, Scope
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.text import unfitted
from headstart_server.data.images.column import ImageColumn
from headstart_server.data.images.policy import require_usable_images
from headstart_server.data.images.scan import ScannedImages, scan
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import Encoded
from headstart_server.embedding_store.inventory import SpaceSummary
from headstart_server.embedding_store.key import Keys, keys_of_chunks
from headstart_server.encoders.precision import DTYPES
from headstart_server.encoding.encoder_cache import EncoderCache
from headstart_server.encoding.images import ImageEncode
from headstart_server.encoding.texts import TextEncode, embed
from headstart_server.engines.runtime_context import RuntimeContext
from headstart_server.planning.image_inputs import ImagePlan, plan_image
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.resolution import Resolution
from headstart_server.planning.text_inputs import TextPlan, plan_text
from headstart_server.serving.batcher import Batcher
from headstart_server.spec.model import FeatureSpec, TrainSpec

_PIECE_ROWS = 256
"""Texts that are tokenised and encoded before others get their turn."""
SCRATCH = "embed"
"""The folder beside those of jobs in which large answers are kept."""


@dataclass(frozen=True)
class EmbedOrder:
    """One column to embed."""

    feature: FeatureSpec
    space: str
    """Id of the space to take embeddings from; empty: the feature's own."""
    read: Callable[[], pa.Table]
    """Raises InvalidInputError for what is no table."""


@dataclass(frozen=True)
class Embeddings:
    """The answer to an order."""

    values: npt.NDArray[np.float32]
    """[rows, dimension]"""
    rows_found: int
    """Rows that the store had."""
    space: str
    precision: str


class _Encode(Protocol):
    """The pass of one encoder."""

    def load(self) -> object:
        """Loads the encoder, unless it is in the cache."""

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Encodes rows batch by batch."""


class EmbeddingService:
    """Use cases of embeddings. Runs on the server's event loop."""

    def __init__(self, runtime: RuntimeContext, batcher: Batcher, max_rows: int, executors: Executors) -> None:
        self._runtime, self._batcher, self._max_rows, self._executors = runtime, batcher, max_rows, executors
        self._encoder_cache = EncoderCache()

    async def embed(self, caller: Principal, order: EmbedOrder) -> Embeddings:
        """Embeds rows, which are encoded in turn with those of other callers and with predictions.

        Raises InvalidInputError, or OverloadedError. Nothing more is encoded for a caller who goes.
        """
        caller.require(Scope.PREDICT)
        gone = threading.Event()
        try:
            return await self._executors.embedding.run(self._embed, order, gone)
        except asyncio.CancelledError:
            gone.set()
            raise

    async def spaces(self, caller: Principal) -> list[SpaceSummary]:
        """Every space of the store."""
        caller.require(Scope.READ)
        return await self._executors.files.run(lambda: list(self._runtime.store.summaries()))

    async def delete(self, caller: Principal, identifier: str) -> None:
        """Deletes a space; raises NotFoundError, or FailedPreconditionError while it is used."""
        caller.require(Scope.MANAGE)
        await self._executors.files.run(self._runtime.store.delete, identifier)

    def _embed(self, order: EmbedOrder, gone: threading.Event) -> Embeddings:
        feature = order.feature
        _require_frozen(feature)
        table = table_of_arrow(order.read(), "table")
        if table.row_count > self._max_rows:
            raise invalid("table", f"holds {table.row_count} rows, at most {self._max_rows} fit one request")
        table.require(feature.source, "feature.name")
        plan = self._plan(feature)
        if order.space:
            plan = _in_space(plan, order.space)
        keys, encode = (self._texts if feature.type == "text" else self._images)(feature, plan, table)
        reports: list[int] = []
        matrix = embed(
            self._runtime.store.space(plan.space),
            keys,
            _InTurn(encode, self._batcher, gone),
            lambda progress: reports.append(progress.found),
            self._runtime.layout.job(SCRATCH),
        )
        return Embeddings(matrix.numpy().astype(np.float32), reports[0], plan.space.identifier, plan.precision)

    def _plan(self, feature: FeatureSpec) -> PretrainedPlan:
        sources, device = self._runtime.sources, self._runtime.device
        resolution = Resolution.of(TrainSpec(input_features=[feature]))
        if feature.type == "text":
            return plan_text(feature, "feature", sources, resolution, device.type)
        return plan_image(feature, "feature", sources, resolution, device.type, seed=0)

    def _texts(self, feature: FeatureSpec, plan: PretrainedPlan, table: Table) -> tuple[Keys, _Encode]:
        assert isinstance(plan, TextPlan)
        fitted = FittedFeature(feature, unfitted(feature.preprocessing), output=False)
        column = TextColumn((start, fitted.texts(values)) for start, values in table.chunks(feature.source))
        return keys_of_chunks(column.chunks), TextEncode(plan, column.texts, self._runtime.device, self._encoder_cache)

    def _images(self, feature: FeatureSpec, plan: PretrainedPlan, table: Table) -> tuple[Keys, _Encode]:
        assert isinstance(plan, ImagePlan)
        column = ImageColumn([table], feature.source, self._runtime.image_limits)
        images = scan(column, np.arange(table.row_count))
        where = Where("table", feature.source, lambda row: f"row {row + 1}")
        require_usable_images(images.bad, where)
        encode = ImageEncode(plan, images, self._runtime.device, self._encoder_cache, lambda: None)
        return images.keys, _UsableImages(encode, images, where)


class _UsableImages:
    """The pass of an image encoder; raises InvalidInputError, by row, for images that cannot be decoded."""

    def __init__(self, encode: ImageEncode, images: ScannedImages, where: Where) -> None:
        self._encode, self._images, self._where = encode, images, where

    def load(self) -> object:
        """See ImageEncode."""
        return self._encode.load()

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Encodes rows."""
        yield from self._encode(rows)
        if self._images.bad:
            self._images.spread_bad()
            require_usable_images(self._images.bad, self._where)


class _InTurn:
    """An encoder whose batches are computed in turn with predictions."""

    def __init__(self, encode: _Encode, batcher: Batcher, gone: threading.Event) -> None:
        self._encode, self._batcher, self._gone = encode, batcher, gone

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """Encodes rows; raises CancelledError once the caller has gone."""
        self._encode.load()
        size = _PIECE_ROWS if isinstance(self._encode, TextEncode) else max(1, len(rows))
        for start in range(0, len(rows), size):
            batches = self._encode(rows[start : start + size])
            while (batch := self._next(batches)) is not None:
                yield batch

    def _next(self, batches: Iterator[Encoded]) -> Encoded | None:
        if self._gone.is_set():
            raise CancelledError("the caller has gone")
        return self._batcher.run_between(lambda: next(batches, None))


def _require_frozen(feature: FeatureSpec) -> None:
    if feature.type not in ("text", "image"):
        raise invalid("feature.type", f"{feature.type!r} has no pretrained encoder; use text or image")
    if feature.encoder.trainable or feature.encoder.use_pretrained is False:
        raise invalid(
            "feature.encoder", "must be pretrained and frozen to be embedded; leave trainable and use_pretrained out"
        )


def _in_space(plan: PretrainedPlan, identifier: str) -> PretrainedPlan:
    """The plan in the precision of the space named; raises InvalidInputError where it is another encoder's."""
    for precision in DTYPES:
        found = replace(plan, precision=precision)
        if found.space.identifier == identifier:
            return found
    raise invalid(
        "embedding_space",
        f"{name_of('embeddingSpaces', identifier)!r} is no space of this feature: it has other weights, another "
        "tokenizer or transform, pooling or length limit; ListEmbeddingSpaces describes it",
    )
