"""Rows of text inputs: tokenised, and encoded in batches of like lengths."""

from collections.abc import Iterator
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from torch import nn

from headstart_server.data.dataset import PreparedData
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.parts import Part, Parts
from headstart_server.data.tables import Sources, Table
from headstart_server.data.texts import TextColumn
from headstart_server.embedding_store.fill import Encoded
from headstart_server.embedding_store.key import Keys, keys_of_chunks, keys_of_texts
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.text import TextEncoder
from headstart_server.encoders.tokens import TokenCache, TokenColumn
from headstart_server.encoding.encode_pool import EncodeTask
from headstart_server.encoding.rows import (
    EncoderPass,
    EpochInputs,
    Found,
    InputRows,
    PassContext,
    require_finite_embeddings,
)
from headstart_server.encoding.states import StatesPass
from headstart_server.planning.pretrained import PretrainedPlan
from headstart_server.planning.text_inputs import TextPlan
from headstart_server.training.feed import TokenFeed


class TextPass(EncoderPass[TextEncoder]):
    """The pass of one text encoder."""

    piece_rows = 256

    def __init__(self, plan: TextPlan, column: TextColumn, context: PassContext) -> None:
        super().__init__(plan, context)
        self._plan, self._column = plan, column

    def _loaded(self) -> TextEncoder:
        return self._plan.load_whole().at(self._plan.precision, self._context.device)

    def __call__(self, rows: npt.NDArray[np.int64]) -> Iterator[Encoded]:
        """See EncoderPass."""
        encoder, plan = self.load(), self._plan
        tokens = plan.preparation.tokenize(self._column.texts(rows))
        for positions, embeddings in encode_batches(encoder, tokens, plan.preparation.padding, self._context.device):
            require_finite_embeddings(embeddings, plan)
            yield rows[positions], embeddings


class TextRows(InputRows):
    """The rows of one text input."""

    fallible = False

    def __init__(self, column: TextColumn, context: PassContext) -> None:
        self._column, self._context = column, context

    @classmethod
    def of_data(cls, data: PreparedData, feature: FittedFeature, context: PassContext) -> Self:
        """See InputRows."""
        return cls(TextColumn(data.texts(feature)), context)

    @classmethod
    def of_task(cls, sources: Sources, task: EncodeTask, context: PassContext) -> Self:
        """See InputRows."""
        chunks = sources.rows.chunks(task.feature.spec.source)
        return cls(TextColumn((start, task.feature.texts(values)) for start, values in chunks), context)

    @classmethod
    def of_table(cls, table: Table, feature: FittedFeature, where: Where, context: PassContext) -> Self:
        """See InputRows."""
        chunks = table.chunks(feature.spec.source)
        return cls(TextColumn((start, feature.texts(values)) for start, values in chunks), context)

    @cached_property
    def keys(self) -> Keys:
        """See InputRows."""
        return keys_of_chunks(self._column.chunks)

    def keys_of(self, rows: npt.NDArray[np.int64]) -> Keys:
        """See InputRows."""
        return keys_of_texts(pa.array(self._column.texts(rows), pa.large_string()))

    def encoder_pass(self, plan: PretrainedPlan, view: int | None = None) -> TextPass:
        """See InputRows."""
        return TextPass(_text(plan), self._column, self._context)

    def encoded(self, plan: PretrainedPlan, encoder: nn.Module, rows: npt.NDArray[np.int64]) -> Found:
        """See InputRows."""
        assert isinstance(encoder, TextEncoder)
        tokens = self._tokens(_text(plan)).select(rows)
        return encode_batches(encoder, tokens, _text(plan).preparation.padding, self._context.device)

    def embedding(self, plan: PretrainedPlan, encoder: nn.Module, row: int) -> npt.NDArray[np.float32]:
        """See InputRows."""
        assert isinstance(encoder, TextEncoder)
        preparation = _text(plan).preparation
        tokens = preparation.tokenize(self._column.texts(np.array([row])))
        [(_, found)] = encode_batches(encoder, tokens, preparation.padding, self._context.device)
        return found

    def join(self, inputs: EpochInputs, plan: PretrainedPlan) -> None:
        """See InputRows."""
        inputs.tokens[plan.name] = TokenFeed(self._tokens(_text(plan)), _text(plan).preparation.padding)

    def states_pass(self, plan: PretrainedPlan) -> StatesPass:
        """The pass of the layers below those that train, token by token."""
        return StatesPass(_text(plan), self._tokens(_text(plan)), self.keys, self._context)

    def readable(self, parts: Parts) -> npt.NDArray[np.int64]:
        """See InputRows. Rows that are left out hold another row's text here."""
        return np.flatnonzero(parts != Part.DROPPED)

    @property
    def bad(self) -> dict[int, str]:
        """See InputRows: none, for every text can be read."""
        return {}

    def find_bad(self, plan: PretrainedPlan, rows: npt.NDArray[np.int64]) -> None:
        """See InputRows."""

    def settle_bad(self, policy: str, parts: Parts, where: Where) -> str:
        """See InputRows."""
        return ""

    def require_usable(self, where: Where) -> None:
        """See InputRows."""

    def _tokens(self, plan: TextPlan) -> TokenColumn:
        """Token ids of every row, from the cache where this column was tokenised before."""
        cache = TokenCache(self._context.tokens)
        path = cache.path(plan.source.tokenizer_digest, plan.preparation.max_length, self.keys)
        tokens = cache.load(path)
        if tokens is None:
            tokens = plan.preparation.tokenize(self._column)
            cache.save(path, tokens)
        return tokens


def _text(plan: PretrainedPlan) -> TextPlan:
    assert isinstance(plan, TextPlan)
    return plan
