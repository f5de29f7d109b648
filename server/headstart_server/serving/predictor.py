"""The live model: raw columns to predictions, encoder restored, embeddings reused from the store."""

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from headstart_server.data.features.cells import BadCells, Where, missing
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.images.decode import ImageLimits
from headstart_server.data.tables import Table
from headstart_server.embedding_store.space_store import SpaceStore
from headstart_server.model.ecd import ECD
from headstart_server.serving.bad_rows import Read, refused_rows
from headstart_server.serving.columns import InputColumn
from headstart_server.serving.inputs import Embeddings, Reuse, ServedInput
from headstart_server.serving.precision import ServedPrecision
from headstart_server.serving.rows import Answer, Rows

_REFRESH_SECONDS = 10.0


class Predictor:
    """One model on one device. `rows` and `loaded` may run on any thread; `predict` on one at a time."""

    def __init__(
        self,
        inputs: Sequence[FittedFeature],
        outputs: Sequence[FittedFeature],
        head: ECD,
        pretrained: Mapping[str, ServedInput],
        device: torch.device,
        image_limits: ImageLimits | None = None,
    ) -> None:
        self.served = ServedPrecision()
        """In which arithmetic its encoders compute."""
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        self._head, self._device, self._image_limits = head.to(device).eval(), device, image_limits or ImageLimits()
        self.head_bytes = sum(tensor.nbytes for tensor in head.state_dict().values())
        """What the head takes: some kilobytes, or the training rows where it is one of nearest neighbours."""
        self._pretrained = dict(pretrained)
        self.reads = frozenset(item.reads for item in self._pretrained.values())
        """What reads the rows of its pretrained inputs: models that have all of it in common share passes."""
        self._refresh()

    @property
    def stores(self) -> dict[str, SpaceStore | None]:
        """Where embeddings of the pretrained inputs are, by name; None for encoders that were trained."""
        return {name: item.store for name, item in self._pretrained.items()}

    def _refresh(self) -> None:
        """Reads which embeddings the store has by now."""
        self._refreshed = time.monotonic()
        for item in self._pretrained.values():
            item.refresh()

    def rows(self, table: Table) -> Rows:
        """Cleans and tokenises raw columns, and looks at images; raises InvalidInputError naming column and row."""
        table = self._whole(table)
        arrays, columns = {}, {}
        warnings: list[str] = []
        for feature in self.inputs:
            where = _where(feature, table.field, table.first_row)
            if feature.name in self._pretrained:
                columns[feature.name] = self._pretrained[feature.name].read(table, feature, where, self._image_limits)
                continue
            values = table.rows.column(feature.spec.source).combine_chunks()
            arrays[feature.name] = feature.transform(values, where)
            if _knows_none(feature, values, arrays[feature.name]):
                warnings.append(
                    f"column {feature.spec.source!r}: none of its values occurs in the training data; check that "
                    "they are spelled as there"
                )
        return Rows(table.row_count, arrays, columns, tuple(warnings))

    def refused(self, table: Table) -> BadCells:
        """What is wrong with rows that `rows` or `loaded` would refuse; raises InvalidInputError for whole columns."""
        table = self._whole(table)
        bad: BadCells = {}
        for feature in self.inputs:
            where = _where(feature, table.field, table.first_row)
            if feature.name in self._pretrained:
                found = self._pretrained[feature.name].refused(table, feature, where, self._image_limits)
            else:
                found = refused_rows(_reader(feature, table, where), table.row_count)
            bad = found | bad
        return bad

    def _whole(self, table: Table) -> Table:
        """The table with the optional columns that it lacks, as long as it has one column that the model reads.

        Raises InvalidInputError naming every column that is missing.
        """
        required, absent = list[str](), dict[str, pa.Array]()
        needed = {feature.spec.source for feature in self.inputs if not feature.optional}
        knows_any = any(feature.spec.source in table.columns for feature in self.inputs)
        for feature in self.inputs:
            source = feature.spec.source
            if source not in table.columns and source not in needed and knows_any:
                kind = pa.large_binary() if feature.spec.type == "image" else pa.large_string()
                absent[source] = pa.nulls(table.row_count, kind)
            else:
                required.append(source)
        table.require_all(required)
        rows = table.rows
        for name, cells in absent.items():
            rows = rows.append_column(name, cells)
        return replace(table, rows=rows) if absent else table

    def loaded(self, rows: Rows, reuse: Reuse) -> Rows:
        """The rows with what is pending loaded: images decoded, or found in the store.

        Raises InvalidInputError naming column and row.
        """
        columns = dict(rows.columns)
        for feature in self.inputs:
            if feature.name in columns and columns[feature.name].pending:
                item, where = self._pretrained[feature.name], _where(feature, "table")
                columns[feature.name] = item.load(columns[feature.name], reuse, where)
        return replace(rows, columns=columns)

    def predict(self, rows: Rows, reuse: Reuse) -> Answer:
        """Runs the model; rows in the store skip the encoder as far as `reuse` allows."""
        [answer] = predict_together([(self, rows)], reuse)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def wanted(self, rows: Rows, reuse: Reuse) -> list[tuple[ServedInput, InputColumn]]:
        """The columns that encoders read, with their inputs, in the order of `Rows.columns`."""
        if reuse is not Reuse.NONE and time.monotonic() - self._refreshed > _REFRESH_SECONDS:
            self._refresh()
        return [(self._pretrained[name], column) for name, column in rows.columns.items()]

    def answer(self, rows: Rows, embeddings: Sequence[Embeddings]) -> Answer:
        """The head's answer; `embeddings` are those of `wanted`."""
        batch: dict[str, Tensor] = {
            name: torch.from_numpy(values).to(self._device) for name, values in rows.arrays.items()
        }
        found = np.full(rows.count, bool(rows.columns))
        for name, (values, present) in zip(rows.columns, embeddings, strict=True):
            batch[name] = torch.from_numpy(values).to(self._device)
            found &= present
        with torch.inference_mode():
            probabilities = self._head.probabilities(self._head(batch))
        outputs = {name: values.float().cpu().numpy() for name, values in probabilities.items()}
        return Answer(outputs, found)

    def embeddings(self, name: str, rows: Rows) -> npt.NDArray[np.float32]:
        """Embeddings of a pretrained input, [n, d], by the encoder."""
        column = self.loaded(rows, Reuse.NONE).columns[name]
        return self._pretrained[name].embed(column, Reuse.NONE)[0]

    def tensor(self, name: str, role: str, rows: Rows) -> Tensor:
        """What an exported graph takes of a pretrained input in this role; images must be of one size."""
        return self._pretrained[name].tensor(rows.columns[name], role)

    def sizes(self, name: str, rows: Rows) -> list[tuple[int, ...]]:
        """Rows of one size fit one tensor of an exported graph: the size of each."""
        return self._pretrained[name].sizes(rows.columns[name])


def predict_together(asked: Sequence[tuple[Predictor, Rows]], reuse: Reuse) -> list[Answer | Exception]:
    """The answers of several models, whose encoders read the rows of all in one pass each.

    A head that fails has its error in the place of its answer; what a pass raises is raised.
    """
    wanted = [predictor.wanted(rows, reuse) for predictor, rows in asked]
    places: dict[Hashable, list[tuple[int, int]]] = {}
    for number, columns in enumerate(wanted):
        for column, (item, _) in enumerate(columns):
            places.setdefault(item.reads, []).append((number, column))
    embeddings: dict[tuple[int, int], Embeddings] = {}
    for group in places.values():
        parts = [wanted[number][column] for number, column in group]
        embeddings.update(zip(group, parts[0][0].embed_together(parts, reuse), strict=True))
    answers: list[Answer | Exception] = []
    for number, (predictor, rows) in enumerate(asked):
        try:
            own = [embeddings[number, column] for column in range(len(wanted[number]))]
            answers.append(predictor.answer(rows, own))
        except Exception as error:  # noqa: BLE001 - raised to those whose model it is
            answers.append(error)
    return answers


def _where(feature: FittedFeature, field: str, first_row: int = 0) -> Where:
    return Where(field, feature.spec.source, lambda row: f"row {first_row + row + 1}")


def _reader(feature: FittedFeature, table: Table, where: Where) -> Read:
    values = table.rows.column(feature.spec.source).combine_chunks()
    return lambda start, end: feature.transform(values.slice(start, end - start), where, start)


def _knows_none(feature: FittedFeature, values: pa.Array, array: npt.NDArray[np.generic]) -> bool:
    """Whether a category or set column holds values, of which training saw none."""
    if feature.spec.type not in ("category", "set"):
        return False
    present = ~missing(values)
    return bool(present.any()) and not array[present].any()
