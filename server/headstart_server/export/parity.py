"""The parity check: an artifact's outputs against the live model's, on real rows, at several sizes and lengths."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from headstart_server.data.canonical import as_strings
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics, restore
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.export.graph import ExportGraph
from headstart_server.serving.predictor import Predictor, Reuse, Rows

TOLERANCE = 1e-4
BATCH_SIZES = (1, 7, 64)
_WORDS = (1, 3, 1_000_000)

Run = Callable[[tuple[Tensor, ...], Table], list[list[npt.NDArray[np.floating]]]]
"""Runs the artifact in every way it can be run, on the graph's inputs and on the raw rows; the outputs of each."""


@dataclass(frozen=True)
class Parity:
    """The largest difference of any output, and where it was."""

    max_difference: float
    checks: list[dict[str, object]]


def check_parity(predictor: Predictor, graph: ExportGraph, sample: pa.Table, run: Run) -> Parity:
    """Compares on the sample's rows, and on its texts cut to a word and stretched past the length limit.

    Probabilities are compared absolutely, values in the data's units relative to the training rows' spread.
    """
    checks: list[dict[str, object]] = []
    for name, table in _cases(sample, graph.features):
        rows = predictor.rows(table)
        live = predictor.predict(rows, Reuse.NONE).outputs
        found = run(graph_inputs(graph, rows, predictor), table)
        difference = max(
            _difference(feature, live[feature.name], output)
            for outputs in found
            for feature, output in zip(graph.outputs, outputs, strict=True)
        )
        checks.append({"case": name, "rows": table.row_count, "max_difference": difference})
    return Parity(max(float(str(check["max_difference"])) for check in checks), checks)


def graph_inputs(graph: ExportGraph, rows: Rows, predictor: Predictor) -> tuple[Tensor, ...]:
    """The tensors of some rows as the graph takes them."""
    tensors: list[Tensor] = []
    for item in graph.inputs:
        if item.role == "embedding":
            tensors.append(torch.from_numpy(predictor.embeddings(item.feature, rows)))
        elif item.role in ("input_ids", "attention_mask"):
            column = rows.tokens[item.feature]
            ids, mask = column.padded(np.arange(len(column)), predictor.padding(item.feature))
            mask = np.ones_like(ids) if mask is None else mask
            tensors.append(torch.from_numpy(ids if item.role == "input_ids" else mask))
        else:
            tensors.append(_value(graph, item.feature, rows))
    return tuple(tensors)


def raw_cells(graph: ExportGraph, table: Table) -> dict[str, list[str]]:
    """The cells of some rows as raw strings, missing ones empty, as an artifact's own reader takes them."""
    columns = dict.fromkeys(feature.spec.source for feature in graph.features)
    return {
        name: [cell or "" for cell in as_strings(table.rows.column(name).combine_chunks()).to_pylist()]
        for name in columns
    }


def _value(graph: ExportGraph, name: str, rows: Rows) -> Tensor:
    """A tabular input; numbers go back to the data's units."""
    feature = next(feature for feature in graph.features if feature.name == name)
    values = rows.arrays[name]
    if isinstance(feature.statistics, NumberStatistics):
        return torch.from_numpy(restore(values.astype(np.float32), feature.statistics))
    return torch.from_numpy(values.astype(np.float32) if feature.spec.type == "set" else values)


def _cases(sample: pa.Table, features: tuple[FittedFeature, ...]) -> Iterator[tuple[str, Table]]:
    for size in BATCH_SIZES:
        indices = np.resize(np.arange(sample.num_rows), size)
        yield f"{size} rows", table_of_arrow(sample.take(pa.array(indices)), "sample")
    texts = [feature.spec.source for feature in features if feature.spec.type == "text"]
    for words in _WORDS if texts else ():
        changed = sample.slice(0, 7)
        for column in dict.fromkeys(texts):
            cells = [
                _with_words(cell or "", words)
                for cell in as_strings(changed.column(column).combine_chunks()).to_pylist()
            ]
            changed = changed.set_column(
                changed.schema.get_field_index(column), column, pa.array(cells, pa.large_string())
            )
        yield (
            (f"texts of {words} words" if words < 1_000 else "texts beyond the limit"),
            table_of_arrow(changed, "sample"),
        )


def _with_words(text: str, words: int) -> str:
    parts = text.split() or ["a"]
    return " ".join(parts[:words]) if words < 1_000 else " ".join((parts * 1_000)[:1_000])


def _difference(feature: FittedFeature, live: npt.NDArray[np.float32], found: npt.NDArray[np.floating]) -> float:
    if isinstance(feature.statistics, NumberStatistics):
        spread = max(feature.statistics.maximum - feature.statistics.minimum, 1e-12)
        return float(np.abs(restore(live, feature.statistics) - found).max() / spread)
    return float(np.abs(live.astype(np.float64) - found).max())
