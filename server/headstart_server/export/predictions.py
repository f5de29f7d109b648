"""Predictions of a whole data set as one Parquet file.

Rows are read, encoded and answered some thousands at a time. What a frozen encoder computes goes into the embedding
store, and what is answered into a part of the file, so that a process that dies loses the rows that it was at.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from headstart_server.core.cached_files import is_sound, seal
from headstart_server.core.digests import fingerprint
from headstart_server.core.errors import InvalidInputError, invalid
from headstart_server.core.files import published_file
from headstart_server.core.versions import own_version
from headstart_server.data.features.binary import BinaryStatistics
from headstart_server.data.features.cells import BadCells, Where
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.tables import Table
from headstart_server.embedding_store.fill import Encoded
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoding.matrix import embed
from headstart_server.engines.envelopes import PREDICTIONS, PredictionsOrder
from headstart_server.export.artifacts import Artifact, ArtifactRegistry, files_of
from headstart_server.serving.columns import ImageFiles, InputColumn, TokenisedTexts
from headstart_server.serving.decode import Decoded, decode
from headstart_server.serving.inputs import Embeddings, Reuse, ServedInput
from headstart_server.serving.predictor import Predictor
from headstart_server.serving.rows import Answer
from headstart_server.serving.table_rows import TableReader, TableRows

FILE = "predictions.parquet"
ERROR = "error"
"""The column that says why a row could not be read."""
MOST_COLUMNS, MOST_PROBABILITIES = 100, 1_000
_ROWS = 8_192
_TOLD_SECONDS = 1.0
Say = Callable[[str, str, int, int], None]
"""Takes (stage, message, rows done, rows of all)."""


def check_predictions(order: PredictionsOrder, outputs: Sequence[FittedFeature]) -> None:
    """Raises InvalidInputError where a file cannot have what is asked for."""
    # first: what follows takes time with the number of columns and classes
    if len(order.columns) > MOST_COLUMNS:
        message = f"names {len(order.columns)} columns, and at most {MOST_COLUMNS} are kept; join the files afterwards"
        raise invalid("predictions.columns", message)
    classes = sum(len(feature.classes) for feature in outputs)
    if order.probabilities and classes > MOST_PROBABILITIES:
        message = f"the model has {classes:,} classes, and a file has probabilities of at most {MOST_PROBABILITIES:,}"
        raise invalid("predictions.probabilities", f"{message}; leave it out, or call PredictDataset with top_k")
    named = {ERROR, *_schema(outputs, {}, probabilities=order.probabilities).names}
    for index, column in enumerate(order.columns):
        where = f"predictions.columns[{index}]"
        if column in named:
            raise invalid(where, f"{column!r} is a column of predictions; rename it in the data set, or leave it out")
        if column in order.columns[:index]:
            raise invalid(where, f"{column!r} is named twice")


def check_rows(order: PredictionsOrder, table: Table, inputs: Sequence[FittedFeature]) -> None:
    """Raises InvalidInputError where a data set lacks columns."""
    table.require_all(
        (feature.spec.source for feature in inputs if not feature.optional),
        {f"predictions.columns[{index}]": column for index, column in enumerate(order.columns)},
    )


@dataclass(frozen=True)
class PredictionsFile:
    """What one file is made of."""

    model: str
    """Its id."""
    predictor: Predictor
    order: PredictionsOrder
    table: Table
    store: EmbeddingStore
    limits: ImageLimits
    folder: Path
    """Where parts and scratch files lie meanwhile."""
    say: Say

    def write(self, artifacts: ArtifactRegistry, identifier: str) -> Artifact:
        """Predicts all rows and publishes the file; raises InvalidInputError where none could be read."""
        check_rows(self.order, self.table, self.predictor.inputs)
        parts = list(self._parts())
        total = self.table.row_count
        left_out = sum(pq.read_table(part, columns=[ERROR]).column(ERROR).is_valid().to_numpy().sum() for part in parts)
        if left_out == total:
            first = pq.read_table(parts[0], columns=[ERROR]).column(ERROR)[0].as_py()
            raise invalid("predictions.dataset", f"none of its {total:,} rows can be read; the first: {first}")
        self.say("publish", f"{total:,} rows, of which {left_out:,} could not be read", 0, 0)
        with artifacts.publish(identifier) as folder:
            _join(parts, folder / FILE, self._description())
            now, files = datetime.now(UTC).isoformat(), files_of(folder)
            artifact = Artifact(
                identifier, self.model, PREDICTIONS, False, now, files, 0.0, self.order.digest, total, int(left_out)
            )
            artifacts.describe(folder, artifact)
        shutil.rmtree(self.folder, ignore_errors=True)
        return artifact

    def _description(self) -> dict[bytes, bytes]:
        source = self.order.source
        told = {"model": f"models/{self.model}", "dataset": source.dataset or source.given, "version": own_version()}
        return {b"headstart": json.dumps(told).encode()}

    def _parts(self) -> Iterator[Path]:
        """The parts of the file in order, those made that are not there."""
        reader = TableReader(self.table, self.predictor.inputs, self.limits, _ROWS)
        start = 0
        while start < self.table.row_count:
            path = self.folder / f"{start:012d}.parquet"
            if not is_sound(path):
                done = self._predicted(reader.rows(start), start)
                with published_file(path) as temporary:
                    pq.write_table(done, temporary)
                seal(path)
            yield path
            start += pq.read_metadata(path).num_rows
            self._tell(start)

    def _predicted(self, rows: TableRows, start: int) -> pa.Table:
        """Some rows of the file."""
        table = Table(rows.cells, "dataset", first_row=start)
        everything = np.arange(rows.count)
        if not rows.bad:
            # which rows cannot be read is looked for below, where there are any: it takes longer than reading them
            with suppress(InvalidInputError):
                return self._columns(rows.count, start, everything, self._answer(table, start), {})
        bad = self.predictor.refused(table) | rows.bad
        good = np.setdiff1d(everything, list(bad))
        answer = self._answer(replace(table, rows=table.rows.take(pa.array(good))), start) if len(good) else None
        return self._columns(rows.count, start, good, answer, bad)

    def _answer(self, table: Table, start: int) -> Answer:
        """The model's answer; embeddings as far as they may be reused from the store, which gets the others."""
        rows = self.predictor.rows(table)
        embeddings = list[Embeddings]()
        sources = {feature.name: feature.spec.source for feature in self.predictor.inputs}
        for name, (item, column) in zip(rows.columns, self.predictor.wanted(rows, self._reuse), strict=True):
            where = Where("dataset", sources[name], lambda row: f"row {start + row + 1}")

            def tell(done: int) -> None:
                # a row is done when every column of it is
                self._tell(start + (len(embeddings) * rows.count + done) // len(rows.columns))

            embeddings.append(self._embeddings(item, column, where, tell))
        return self.predictor.answer(rows, embeddings)

    @property
    def _reuse(self) -> Reuse:
        return Reuse(self.order.reuse)

    def _embeddings(
        self, item: ServedInput, column: InputColumn, where: Where, tell: Callable[[int], None]
    ) -> Embeddings:
        """Those of one column; `tell` is told how many rows have theirs."""
        assert isinstance(column, TokenisedTexts | ImageFiles)
        values, present = item.stored(column.keys, self._reuse)
        rows = np.flatnonzero(~present)
        if not len(rows):
            return values, present
        missing = column.select(rows) if len(rows) < len(present) else column
        space, done = self._space(item), len(present) - len(rows)
        if space is None:
            for places, encoded in item.encoded(missing, where):
                values[rows[places]] = encoded
                done += len(places)
                tell(done)
            return values, present

        def encode(wanted: npt.NDArray[np.int64]) -> Iterator[Encoded]:
            for places, encoded in item.encoded(missing.select(wanted), where):
                yield wanted[places], encoded

        scratch = self.folder / "scratch"
        found = embed(space, missing.keys, encode, lambda progress: tell(done + progress.seen), scratch)
        values[rows] = found.float().numpy()
        return values, present

    def _space(self, item: ServedInput) -> SpaceStore | None:
        """Where embeddings of an input are looked for and put as Predict computes them; None: nowhere."""
        if item.store is None or self._reuse is Reuse.NONE:
            return None
        return self.store.space(replace(item.store.space, precision=item.precision))

    def _tell(self, done: int) -> None:
        total = self.table.row_count
        self.say("predict", f"{done:,} of {total:,} rows", done, total)

    def _columns(
        self, count: int, start: int, good: npt.NDArray[np.int64], answer: Answer | None, bad: BadCells
    ) -> pa.Table:
        """The columns of the file for some rows, null where a row could not be read."""
        kept = {column: self.table.rows.column(column).slice(start, count) for column in self.order.columns}
        fields = {column: cells.type for column, cells in kept.items()}
        schema = _schema(self.predictor.outputs, fields, probabilities=self.order.probabilities)
        found: dict[str, Any] = dict(kept)
        places = np.full(count, -1)
        places[good] = np.arange(len(good))
        taken = pa.array(places, mask=places < 0)
        for feature in self.predictor.outputs:
            told: dict[str, Any] = {}
            if answer is not None:
                told = _told(decode(feature, answer.outputs[feature.name]), probabilities=self.order.probabilities)
            for name in _named(feature, probabilities=self.order.probabilities):
                values = pa.array(told.get(name, []), schema.field(name).type)
                found[name] = values.take(taken) if answer is not None else pa.nulls(count, values.type)
        found[ERROR] = pa.array([bad[row].message if row in bad else None for row in range(count)], pa.string())
        return pa.table(found, schema=schema)


class Told:
    """Says progress once a second at most, and each step that is another."""

    def __init__(self, say: Say) -> None:
        self._say, self._stage, self._time = say, "", 0.0

    def __call__(self, stage: str, message: str, done: int, total: int) -> None:
        """See Say."""
        now = time.monotonic()
        if stage != self._stage or now - self._time >= _TOLD_SECONDS:
            self._stage, self._time = stage, now
            self._say(stage, message, done, total)


def parts_name(order: PredictionsOrder, model: str, table: Table, predictor: Predictor, identifier: str) -> str:
    """The name of the folder for parts, which another attempt finds where its rows are the same for sure."""
    images = any(feature.spec.type == "image" for feature in predictor.inputs)
    # the name of the Arrow file is a digest of the cells, of which those of images may be paths
    rows = identifier if table.file is None or images else table.file.name
    content = {"model": model, "order": order.digest, "rows": rows, "precision": predictor.served.precision}
    return f"predictions-{fingerprint(content)}"


def _schema(outputs: Sequence[FittedFeature], kept: dict[str, pa.DataType], *, probabilities: bool) -> pa.Schema:
    fields = [pa.field(name, kind) for name, kind in kept.items()]
    for feature in outputs:
        fields += [
            pa.field(name, pa.float32() if place else _kind(feature))
            for place, name in enumerate(_named(feature, probabilities=probabilities))
        ]
    return pa.schema([*fields, pa.field(ERROR, pa.string())])


def _named(feature: FittedFeature, *, probabilities: bool) -> list[str]:
    """The columns of an output, the prediction first, as the client calls them."""
    classes = feature.classes if probabilities else ()
    return [f"{feature.name}_prediction", *(f"{feature.name}_probability_{name}" for name in classes)]


def _kind(feature: FittedFeature) -> pa.DataType:
    """Of an output's predictions."""
    match feature.spec.type:
        case "binary":
            assert isinstance(feature.statistics, BinaryStatistics)
            return pa.bool_() if feature.statistics.truth_values else pa.string()
        case "number":
            return pa.float64()
        case "set":
            return pa.list_(pa.string())
        case "category":
            return pa.string()
        case _:
            return pa.list_(pa.float32())


def _told(decoded: Decoded, *, probabilities: bool) -> dict[str, Any]:
    """The columns of an output."""
    prediction, *classes = _named(decoded.feature, probabilities=probabilities)
    found: dict[str, Any] = {prediction: decoded.values}
    for place, name in enumerate(classes):
        assert decoded.probabilities is not None
        found[name] = np.ascontiguousarray(decoded.probabilities[:, place])
    return found


def _join(parts: list[Path], path: Path, description: dict[bytes, bytes]) -> None:
    """One file of all parts."""
    schema = pq.read_schema(parts[0])
    with pq.ParquetWriter(path, schema.with_metadata({**(schema.metadata or {}), **description})) as writer:
        for part in parts:
            writer.write_table(pq.read_table(part))
