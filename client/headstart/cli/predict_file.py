"""Predict a file, streamed from end to end: neither its rows nor its answers are ever held as a whole."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headstart.cli.json_lines import print_json
from headstart.cli.prediction_files import Write, csv_writer, json_writer, published
from headstart.cli.prediction_rows import PredictionRows
from headstart.client import Client
from headstart.errors import InvalidArgument
from headstart.files.row_files import BATCH_ROWS
from headstart.programs.predict import PredictOptions
from headstart.values.names import full_name
from headstart.values.predictions import Predictions

Answer = tuple[Predictions, dict[str, list[Any]]]
_TOLD = 20
"""Rows that were left out of which is said why."""


def predict_to_stdout(client: Client, options: PredictOptions, data: Path, as_json: bool, skip: bool = False) -> None:
    """Print predictions as CSV or JSON lines; `skip` leaves out rows that cannot be read."""
    _write(_answers(client, options, data, skip), json_writer(sys.stdout) if as_json else csv_writer(sys.stdout), data)


def predict_to_file(
    client: Client, options: PredictOptions, data: Path, output: Path, as_json: bool, skip: bool = False
) -> None:
    """Write predictions as CSV to a file that appears only when it is whole, and print what was done."""
    progress = sys.stderr.isatty() and not as_json
    with published(output) as file:
        done = _write(_answers(client, options, data, skip), csv_writer(file), data, progress)
    if as_json:
        model, left_out = full_name("models", options.model), {"rows_left_out": done.left_out} if skip else {}
        print_json({"model": model, "rows": done.rows, "rows_found": done.found, **left_out, "output": str(output)})
    else:
        left_out_too = f", {done.left_out:,} left out" if done.left_out else ""
        print(f"{done.rows:,} rows predicted ({done.found:,} found in the store){left_out_too}: {output}")


@dataclass
class _Done:
    """Rows so far."""

    rows: int = 0
    found: int = 0
    left_out: int = 0


def _answers(client: Client, options: PredictOptions, data: Path, skip: bool) -> Iterator[Answer]:
    """Yield the predictions of each batch with the columns that name its rows."""
    limit = client.server_info().limits.max_predict_rows or BATCH_ROWS
    rows = PredictionRows(data, client.models.get(options.model), min(limit, BATCH_ROWS))
    stream = client.predict_stream(
        options.model,
        rows.batches(),
        probabilities=options.probabilities,
        top_k=options.top_k,
        embedding_reuse=options.embedding_reuse,
        skip_bad_rows=skip,
    )
    told = 0
    try:
        for predictions in stream:
            for message in rows.left_out(predictions)[: _TOLD - told]:
                told += 1
                print(f"left out: {message}", file=sys.stderr)
            yield predictions, rows.answered(predictions, numbered=skip)
    except InvalidArgument as error:
        raise rows.named(error) from None


def _write(answers: Iterator[Answer], write: Write, data: Path, progress: bool = False) -> _Done:
    """Write all answers and return what was done."""
    done = _Done()
    warned: set[str] = set()
    start = time.monotonic()
    for predictions, names in answers:
        if predictions.row_count:
            write({**names, **predictions.columns()})
        for warning in predictions.warnings:
            if warning not in warned:
                warned.add(warning)
                print(f"warning: {warning}", file=sys.stderr)
        done.rows += predictions.row_count
        done.found += predictions.rows_found
        done.left_out += len(predictions.row_errors)
        if progress:
            speed = done.rows / max(time.monotonic() - start, 1e-9)
            print(f"\r{done.rows:,} rows, {speed:,.0f} rows/s", end="", file=sys.stderr)
    if progress and done.rows:
        print(file=sys.stderr)
    if not done.rows:
        why = f"holds no rows that can be read, of {done.left_out:,}" if done.left_out else "holds no rows"
        raise InvalidArgument(f"{data} {why}")
    if done.left_out > _TOLD:
        print(f"left out: {done.left_out:,} rows, of which these are the first {_TOLD}", file=sys.stderr)
    return done
