"""The parity check: an artifact's outputs against the live model's, on real rows, at several sizes and lengths."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn import functional

from headstart_server.data.canonical import as_strings
from headstart_server.data.features.fitted import FittedFeature
from headstart_server.data.features.number import NumberStatistics, restore
from headstart_server.data.tables import Table, table_of_arrow
from headstart_server.export.graph import ExportGraph
from headstart_server.serving.inputs import Reuse
from headstart_server.serving.predictor import Predictor
from headstart_server.serving.rows import Rows

TOLERANCE = 1e-4
BATCH_SIZES = (1, 7, 64)
_WORDS = (1, 3, 1_000_000)
_SHORT = 9
"""Tokens up to which every length is checked alone."""

_SIZES = ((1, 1), (37, 61), (300, 200), (224, 224), (480, 640))
"""Heights and widths of images in pixels."""

Run = Callable[[tuple[Tensor, ...], Table | None], list[list[npt.NDArray[np.floating]]]]
"""Runs the artifact in every way it can be run, on the graph's inputs and on the raw rows if given; outputs of each."""


@dataclass(frozen=True)
class Parity:
    """The largest difference of any output, and where it was."""

    max_difference: float
    checks: list[dict[str, object]]


def check_parity(predictor: Predictor, graph: ExportGraph, sample: pa.Table, run: Run) -> Parity:
    """Compares on the sample's rows; on its texts cut to a word and stretched past the length limit; on single rows of
    1 to 9 tokens and beyond the limit; and on images of several sizes, where the graph in torch stands for the live
    model, which gets its images resized.

    Probabilities are compared absolutely, values in the data's units relative to the training rows' spread.
    """
    checks: list[dict[str, object]] = []
    for name, table in (*_cases(sample, graph.features), *_short_cases(predictor, sample, graph)):
        rows = predictor.rows(table)
        live = predictor.predict(predictor.loaded(rows, Reuse.NONE), Reuse.NONE).outputs
        difference = 0.0
        for part in _alike(graph, rows, predictor):
            expected = {name: values[part.rows] for name, values in live.items()}
            found = run(part.tensors, _taken(table, part.rows))
            # Python's max would lose a NaN that comes second.
            difference = float(np.maximum(difference, _largest(graph, expected, found)))
        checks.append({"case": name, "rows": table.row_count, "max_difference": difference})
    for height, width in _SIZES if graph.images and not graph.head_only else ():
        checks.append(_check_size(predictor, graph, sample, run, (height, width)))
    worst = [difference_of(check) for check in checks]
    return Parity(float(np.max(worst)), checks)  # NaN where any is


def difference_of(check: dict[str, object]) -> float:
    """How far a check's outputs are from the live model's."""
    return float(str(check["max_difference"]))


@dataclass(frozen=True)
class GraphRows:
    """Some rows, by number, as the graph takes them: those whose images are of one size."""

    rows: npt.NDArray[np.int64]
    tensors: tuple[Tensor, ...]


def _alike(graph: ExportGraph, rows: Rows, predictor: Predictor) -> Iterator[GraphRows]:
    """The rows in groups whose images have the same size; all at once where there are no images."""
    if not graph.images or graph.head_only:
        yield GraphRows(np.arange(rows.count), graph_inputs(graph, rows, predictor))
        return
    sizes = list(zip(*(predictor.sizes(name, rows) for name in graph.images), strict=True))
    for size in dict.fromkeys(sizes):
        members = np.array([row for row in range(rows.count) if sizes[row] == size])
        yield GraphRows(members, graph_inputs(graph, rows.select(members), predictor))


def graph_inputs(graph: ExportGraph, rows: Rows, predictor: Predictor) -> tuple[Tensor, ...]:
    """The tensors of some rows, whose images are of one size, as the graph takes them."""
    tensors: list[Tensor] = []
    for item in graph.inputs:
        if item.role == "embedding":
            tensors.append(torch.from_numpy(predictor.embeddings(item.feature, rows)))
        elif item.role == "value":
            tensors.append(_value(graph, item.feature, rows))
        else:
            tensors.append(predictor.tensor(item.feature, item.role, rows))
    return tuple(tensors)


def _check_size(
    predictor: Predictor, graph: ExportGraph, sample: pa.Table, run: Run, size: tuple[int, int]
) -> dict[str, object]:
    """Compares the artifact with the graph in torch on two rows whose images are stretched to one size."""
    table = table_of_arrow(sample.take(pa.array([0, min(1, sample.num_rows - 1)])), "sample")
    rows = predictor.rows(table)
    first = rows.select(np.array([0]))
    tensors = []
    for item, tensor in zip(graph.inputs, graph_inputs(graph, first, predictor), strict=True):
        if item.role == "image":
            tensor = functional.interpolate(tensor.float(), size=size, mode="nearest").to(torch.uint8)
        tensors.append(torch.cat([tensor, tensor]))
    with torch.inference_mode():
        outputs = graph(*tensors)
    expected = {feature.name: output.numpy() for feature, output in zip(graph.outputs, outputs, strict=True)}
    found = run(tuple(tensors), None)
    difference = _largest(graph, expected, found, restored=True)
    return {"case": f"images of {size[0]} x {size[1]}", "rows": 2, "max_difference": difference}


def _largest(
    graph: ExportGraph,
    live: Mapping[str, npt.NDArray[np.floating]],
    found: list[list[npt.NDArray[np.floating]]],
    *,
    restored: bool = False,
) -> float:
    """The largest difference of any output in any way of running; `restored` says that numbers are in their units."""
    differences = [
        _difference(feature, live[feature.name], output, restored=restored)
        for outputs in found
        for feature, output in zip(graph.outputs, outputs, strict=True)
    ]
    return float(np.max(differences))


def _taken(table: Table, rows: npt.NDArray[np.int64]) -> Table:
    return table_of_arrow(table.rows.take(pa.array(rows)), table.field)


def raw_cells(graph: ExportGraph, table: Table) -> dict[str, list[str]]:
    """The cells of some rows as raw strings, missing ones empty, as an artifact's own reader takes them."""
    columns = dict.fromkeys(feature.spec.source for feature in graph.features if feature.name not in graph.images)
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
        # Repeats the sample where it has fewer rows.
        indices = np.resize(np.arange(sample.num_rows), size)
        yield f"{size} rows", table_of_arrow(sample.take(pa.array(indices)), "sample")
    texts = [feature.spec.source for feature in features if feature.spec.type == "text"]
    for words in _WORDS if texts else ():
        changed = sample.slice(0, 7)
        for column in dict.fromkeys(texts):
            cells = [_with_words(cell, words) for cell in _texts(changed, column)]
            changed = _with_cells(changed, column, cells)
        yield (
            (f"texts of {words} words" if words < 1_000 else "texts beyond the limit"),
            table_of_arrow(changed, "sample"),
        )


def _short_cases(predictor: Predictor, sample: pa.Table, graph: ExportGraph) -> Iterator[tuple[str, Table]]:
    """Single rows, which no padding lengthens: graphs break where a length is below a window, or is 1."""
    columns = list(dict.fromkeys(item.column for item in graph.inputs if item.role == "input_ids"))
    features = {item.column: item.feature for item in graph.inputs if item.role == "input_ids"}
    if not columns:
        return
    row = sample.slice(0, 1)
    candidates = {column: _prefixes(_texts(sample, column)) for column in columns}
    found = {column: _by_length(predictor, row, column, features, candidates[column]) for column in columns}
    for length in sorted({length for texts in found.values() for length in texts}):
        table = row
        for column in columns:
            nearest = min(found[column], key=lambda known: abs(known - length))
            table = _with_cells(table, column, [found[column][nearest]])
        yield f"one row of {length} tokens", table_of_arrow(table, "sample")
    longest = row
    for column in columns:
        longest = _with_cells(longest, column, [_with_words(_texts(row, column)[0], _WORDS[-1])])
    yield "one row beyond the limit", table_of_arrow(longest, "sample")


def _by_length(
    predictor: Predictor, row: pa.Table, column: str, features: Mapping[str, str], candidates: list[str]
) -> dict[int, str]:
    """For each number of tokens up to 9, a text that has it; always some."""
    table = _with_cells(row.take(pa.array([0] * len(candidates))), column, candidates)
    sizes = predictor.sizes(features[column], predictor.rows(table_of_arrow(table, "sample")))
    # Reversed, so that of several texts of one length the first stays.
    known = {length: text for (length,), text in zip(reversed(sizes), reversed(candidates), strict=True)}
    return {length: text for length, text in known.items() if length <= _SHORT} or {sizes[0][0]: candidates[0]}


def _prefixes(texts: list[str]) -> list[str]:
    """Texts from none to a few words, by characters and by words."""
    first = next((text for text in texts if text.strip()), "a")
    words = (first.split() * _SHORT)[: _SHORT + 1]
    by_words = [" ".join(words[:count]) for count in range(_SHORT + 2)]
    by_letters = [" ".join(["a"] * count) for count in range(1, _SHORT + 2)]
    return [*by_words, *by_letters, *(first[:count].strip() for count in range(1, 3 * _SHORT))]


def _texts(table: pa.Table, column: str) -> list[str]:
    """A column's cells, missing ones empty."""
    return [cell or "" for cell in as_strings(table.column(column).combine_chunks()).to_pylist()]


def _with_cells(table: pa.Table, column: str, cells: list[str]) -> pa.Table:
    return table.set_column(table.schema.get_field_index(column), column, pa.array(cells, pa.large_string()))


def _with_words(text: str, words: int) -> str:
    parts = text.split() or ["a"]
    return " ".join(parts[:words]) if words < 1_000 else " ".join((parts * 1_000)[:1_000])


def _difference(
    feature: FittedFeature, live: npt.NDArray[np.floating], found: npt.NDArray[np.floating], *, restored: bool
) -> float:
    if isinstance(feature.statistics, NumberStatistics):
        spread = max(feature.statistics.maximum - feature.statistics.minimum, 1e-12)
        expected = live if restored else restore(live.astype(np.float32), feature.statistics)
        return float(np.abs(expected - found).max() / spread)
    return float(np.abs(live.astype(np.float64) - found).max())
