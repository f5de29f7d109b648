"""The rows that a model gets most wrong, as people find them in their data."""

from dataclasses import replace

import pyarrow as pa

from headstart_server.data.canonical import as_strings
from headstart_server.data.dataset import PreparedData
from headstart_server.data.embedded_files import path_of
from headstart_server.training.output_evaluation import OutputEvaluation, RowEvaluation

_CHARACTERS = 200


def with_rows(evaluation: OutputEvaluation, data: PreparedData) -> OutputEvaluation:
    """The evaluation with the place and the inputs of each of its rows."""
    return replace(evaluation, worst_rows=[_found(row, data) for row in evaluation.worst_rows])


def _found(found: RowEvaluation, data: PreparedData) -> RowEvaluation:
    source, number = data.sources.place(found.row)
    rows = data.sources.rows.rows
    columns = dict.fromkeys(feature.spec.source for feature in data.inputs)
    inputs = {column: cell_text(rows.column(column).slice(found.row, 1)) for column in columns}
    return replace(found, row=number, source=source, inputs=inputs)


def cell_text(cell: pa.ChunkedArray) -> str:
    """A cell; of an image its path, or nothing where its bytes lie in the table."""
    if pa.types.is_large_binary(cell.type) or pa.types.is_binary(cell.type):
        value = path_of(cell[0].as_py() or b"")
    else:
        value = as_strings(cell.combine_chunks())[0].as_py()
    text = value or ""
    return text if len(text) <= _CHARACTERS else f"{text[: _CHARACTERS - 3]}..."
