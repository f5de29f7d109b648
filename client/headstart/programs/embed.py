"""Embed one column with a frozen pretrained encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headstart.v1.embedding_pb2 import EmbedRequest
from headstart.v1.spec_pb2 import Feature
from headstart.v1.table_pb2 import Table
from headstart.values.embeddings import Embeddings
from headstart.values.feature import FeatureLike, feature_of
from headstart.values.table import Rows, table_of
from headstart.wire.methods import EMBED
from headstart.wire.steps import Program, call


def embed(feature: FeatureLike, rows: Rows | Sequence[Any]) -> Program[Embeddings]:
    """Embed the feature's column of a table, or a plain list of its values."""
    message = feature_of(feature)
    request = EmbedRequest(feature=message, table=_table(message, rows))
    return Embeddings.of((yield from call(EMBED, request)))


def _table(feature: Feature, rows: Any) -> Table:
    if isinstance(rows, list | tuple) and not any(isinstance(row, Mapping) for row in rows):
        return table_of({feature.column or feature.name: rows})
    return table_of(rows)
