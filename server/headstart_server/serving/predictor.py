"""The live model: raw columns to predictions, encoder restored, embeddings reused from the store."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from headstart_server.core.errors import InvalidInputError
from headstart_server.data.features.cells import Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.tables import Table
from headstart_server.embedding_store.key import Keys, keys_of_texts
from headstart_server.embedding_store.space import Space
from headstart_server.embedding_store.store import EmbeddingStore, SpaceStore
from headstart_server.encoders.passes import encode_batches
from headstart_server.encoders.text import TextEncoder, TextPreparation
from headstart_server.encoders.tokens import TokenColumn
from headstart_server.model.ecd import ECD

_WASTE = 0.1
_REFRESH_SECONDS = 10.0


class Reuse(Enum):
    """Which stored embeddings may stand in for the encoder."""

    EXACT = "exact"
    ANY = "any"
    NONE = "none"


@dataclass(frozen=True)
class Rows:
    """Rows ready for the model: arrays of tabular inputs; tokens and keys of text inputs."""

    count: int
    arrays: dict[str, npt.NDArray[np.generic]]
    tokens: dict[str, TokenColumn]
    keys: dict[str, Keys]

    @classmethod
    def join(cls, parts: Sequence["Rows"]) -> "Rows":
        """Rows of several callers, one after the other."""
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        return cls(
            sum(part.count for part in parts),
            {name: np.concatenate([part.arrays[name] for part in parts]) for name in first.arrays},
            {name: TokenColumn.join([part.tokens[name] for part in parts]) for name in first.tokens},
            {name: np.concatenate([part.keys[name] for part in parts]) for name in first.keys},
        )

    def pieces(self, most: int) -> Iterator["Rows"]:
        """The rows in pieces of at most `most`."""
        if self.count <= most:
            yield self
            return
        for start in range(0, self.count, most):
            rows = np.arange(start, min(start + most, self.count))
            yield Rows(
                len(rows),
                {name: values[rows] for name, values in self.arrays.items()},
                {name: column.select(rows) for name, column in self.tokens.items()},
                {name: keys[rows] for name, keys in self.keys.items()},
            )


@dataclass(frozen=True)
class Answer:
    """Predictions of some rows: per output, probabilities [n, classes] or [n], or values [n] or [n, d]."""

    outputs: dict[str, npt.NDArray[np.float32]]
    rows_found: npt.NDArray[np.bool_]
    """Rows none of whose texts needed the encoder."""

    @classmethod
    def join(cls, parts: Sequence["Answer"]) -> "Answer":
        """The answers to several pieces, one after the other."""
        if len(parts) == 1:
            return parts[0]
        names = parts[0].outputs
        outputs = {name: np.concatenate([part.outputs[name] for part in parts]) for name in names}
        return cls(outputs, np.concatenate([part.rows_found for part in parts]))

    def slice(self, start: int, end: int) -> "Answer":
        """The answer to rows `start` to `end`."""
        return Answer({name: values[start:end] for name, values in self.outputs.items()}, self.rows_found[start:end])


@dataclass(frozen=True)
class TextInput:
    """A text input as it is served."""

    encoder: TextEncoder
    preparation: TextPreparation
    space: Space | None
    """Its embedding space; None for fine-tuned encoders."""


class Predictor:
    """One model on one device. `rows` may run on any thread; `predict` on one at a time."""

    def __init__(
        self,
        inputs: Sequence[FittedFeature],
        outputs: Sequence[FittedFeature],
        head: ECD,
        texts: dict[str, TextInput],
        store: EmbeddingStore,
        device: torch.device,
    ) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._head, self._texts, self._device = head.to(device).eval(), texts, device
        self._stores: dict[str, SpaceStore] = {
            name: store.space(item.space) for name, item in texts.items() if item.space is not None
        }
        self._refresh()

    def _refresh(self) -> None:
        """Reads which embeddings the store has by now."""
        self._refreshed = time.monotonic()
        for space in self._stores.values():
            space.refresh()

    def rows(self, table: Table) -> Rows:
        """Cleans and tokenises raw columns; raises InvalidInputError naming column and row."""
        violations = []
        for feature in self.inputs:
            try:
                table.require(feature.spec.source, table.field)
            except InvalidInputError as error:
                violations.extend(error.violations)
        if violations:
            raise InvalidInputError(violations, reason="MISSING_COLUMN")
        arrays, tokens, keys = {}, {}, {}
        for feature in self.inputs:
            values = table.rows.column(feature.spec.source).combine_chunks()
            if feature.name in self._texts:
                texts = feature.texts(values)
                keys[feature.name] = keys_of_texts(texts)
                tokens[feature.name] = self._texts[feature.name].preparation.tokenize(texts.to_pylist())
            else:
                where = Where(table.field, feature.spec.source, lambda row: f"row {row + 1}")
                arrays[feature.name] = feature.transform(values, where)
        return Rows(table.row_count, arrays, tokens, keys)

    def predict(self, rows: Rows, reuse: Reuse) -> Answer:
        """Runs the model; rows in the store skip the encoder as far as `reuse` allows."""
        batch: dict[str, Tensor] = {
            name: torch.from_numpy(values).to(self._device) for name, values in rows.arrays.items()
        }
        found = np.ones(rows.count, bool)
        if reuse is not Reuse.NONE and time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refresh()
        for name, tokens in rows.tokens.items():
            embeddings, present = self._embed(name, tokens, rows.keys[name], reuse)
            batch[name] = torch.from_numpy(embeddings).to(self._device)
            found &= present
        with torch.inference_mode():
            probabilities = self._head.probabilities(self._head(batch))
        outputs = {name: values.float().cpu().numpy() for name, values in probabilities.items()}
        return Answer(outputs, found if rows.tokens else np.zeros(rows.count, bool))

    def embeddings(self, name: str, rows: Rows) -> npt.NDArray[np.float32]:
        """Embeddings of a text input, [n, d], by the encoder."""
        return self._embed(name, rows.tokens[name], rows.keys[name], Reuse.NONE)[0]

    def padding(self, name: str) -> int:
        """The id that pads a text input."""
        return self._texts[name].preparation.padding

    def _embed(
        self, name: str, tokens: TokenColumn, keys: Keys, reuse: Reuse
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """Embeddings [n, d] and which of them came from the store."""
        item = self._texts[name]
        embeddings = np.empty((len(tokens), item.encoder.dimension), np.float32)
        present = np.zeros(len(tokens), bool)
        store = self._stores.get(name)
        usable = store is not None and (
            reuse is Reuse.ANY or (reuse is Reuse.EXACT and store.space.precision == "fp32")
        )
        if store is not None and usable:
            present[:] = True
            present[store.gather(keys, embeddings).unreadable] = False
        missing = np.flatnonzero(~present)
        if len(missing):
            part = tokens if len(missing) == len(tokens) else tokens.select(missing)
            for positions, encoded in encode_batches(
                item.encoder, part, item.preparation.padding, self._device, waste=_WASTE
            ):
                embeddings[missing[positions]] = encoded
        return embeddings, present
