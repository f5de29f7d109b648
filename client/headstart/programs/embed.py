"""Embed one column with a frozen pretrained encoder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from headstart.files.memory_images import table_with_images
from headstart.programs.batches import Batches, answers
from headstart.v1.embedding_pb2 import EmbedRequest, EmbedStreamRequest, EmbedStreamResponse
from headstart.v1.spec_pb2 import Feature
from headstart.v1.table_pb2 import Table
from headstart.values.embeddings import Embeddings
from headstart.values.feature import FeatureLike, feature_of
from headstart.values.table import Rows
from headstart.wire.methods import EMBED, EMBED_STREAM
from headstart.wire.rpc_errors import error_from_status
from headstart.wire.steps import Flow, Program, call, compute


def embed(feature: FeatureLike, rows: Rows | Sequence[Any], embedding_space: str = "") -> Program[Embeddings]:
    """Embed the feature's column of a table, or a plain list of its values; images are bytes or paths of files."""
    message = feature_of(feature)
    table = yield from compute(lambda: _table(message, rows))
    request = EmbedRequest(feature=message, table=table, embedding_space=embedding_space)
    return Embeddings.of((yield from call(EMBED, request)))


def embed_stream(
    feature: FeatureLike, batches: Iterable[Rows | Sequence[Any]], embedding_space: str = "", errors: str = "raise"
) -> Flow[Embeddings]:
    """Emit the embeddings of each batch, in order. The first request alone says of what."""
    message = feature_of(feature)
    what = [EmbedRequest(feature=message, embedding_space=embedding_space)]

    def request(rows: Rows | Sequence[Any]) -> tuple[EmbedStreamRequest, Table]:
        table = _table(message, rows)
        made = what.pop() if what else EmbedRequest()
        made.table.CopyFrom(table)
        return EmbedStreamRequest(request=made), table

    yield from answers(EMBED_STREAM, Batches(batches, request, errors), _answer)


def _answer(response: EmbedStreamResponse) -> Embeddings:
    if response.WhichOneof("result") == "error":
        return Embeddings.failed(error_from_status(response.error))
    return Embeddings.of(response.response)


def _table(feature: Feature, rows: Any) -> Table:
    column = feature.column or feature.name
    if isinstance(rows, list | tuple) and not any(isinstance(row, Mapping) for row in rows):
        rows = {column: rows}
    return table_with_images(rows, (column,) if feature.type == "image" else ())
