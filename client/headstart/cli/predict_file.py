"""Predict a file, streamed from end to end: neither its rows nor its answers are ever held as a whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from headstart.cli.json_lines import print_json
from headstart.cli.prediction_files import Write, csv_writer, json_writer, published
from headstart.cli.prediction_rows import PredictionRows
from headstart.client import Client
from headstart.errors import InvalidArgument
from headstart.files.row_files import BATCH_ROWS
from headstart.programs.predict import PredictOptions
from headstart.values.names import full_name
from headstart.values.predictions import Predictions

Answer = tuple[Predictions, dict[str, list[str]]]


def predict_to_stdout(client: Client, options: PredictOptions, data: Path, as_json: bool) -> None:
    """Print predictions as CSV or JSON lines."""
    _write(_answers(client, options, data), json_writer(sys.stdout) if as_json else csv_writer(sys.stdout), data)


def predict_to_file(client: Client, options: PredictOptions, data: Path, output: Path, as_json: bool) -> None:
    """Write predictions as CSV to a file that appears only when it is whole, and print what was done."""
    progress = sys.stderr.isatty() and not as_json
    with published(output) as file:
        rows, found = _write(_answers(client, options, data), csv_writer(file), data, progress)
    if as_json:
        model = full_name("models", options.model)
        print_json({"model": model, "rows": rows, "rows_found": found, "output": str(output)})
    else:
        print(f"{rows:,} rows predicted ({found:,} found in the store): {output}")


def _answers(client: Client, options: PredictOptions, data: Path) -> Iterator[Answer]:
    """Yield the predictions of each batch with the columns that name its rows."""
    limit = client.server_info().limits.max_predict_rows or BATCH_ROWS
    rows = PredictionRows(data, client.models.get(options.model), min(limit, BATCH_ROWS))
    stream = client.predict_stream(
        options.model,
        rows.batches(),
        probabilities=options.probabilities,
        top_k=options.top_k,
        embedding_reuse=options.embedding_reuse,
    )
    try:
        for predictions in stream:
            yield predictions, rows.answered()
    except InvalidArgument as error:
        raise rows.named(error) from None


def _write(answers: Iterator[Answer], write: Write, data: Path, progress: bool = False) -> tuple[int, int]:
    """Write all answers and return the rows predicted and the rows found in the store."""
    rows = found = 0
    warned: set[str] = set()
    start = time.monotonic()
    for predictions, names in answers:
        write({**names, **predictions.columns()})
        for warning in predictions.warnings:
            if warning not in warned:
                warned.add(warning)
                print(f"warning: {warning}", file=sys.stderr)
        rows += predictions.row_count
        found += predictions.rows_found
        if progress:
            speed = rows / max(time.monotonic() - start, 1e-9)
            print(f"\r{rows:,} rows, {speed:,.0f} rows/s", end="", file=sys.stderr)
    if progress and rows:
        print(file=sys.stderr)
    if not rows:
        raise InvalidArgument(f"{data} holds no rows")
    return rows, found
