"""Rows from CSV and predictions to CSV, as `headstart predict` reads and writes them. Needs nothing but Python."""

import ast
import csv
import json
import os
import struct
import sys
from pathlib import Path

from delimiters import LEAD_CHARACTERS, delimiter_of

BATCH_ROWS = 64
LIST_SEPARATOR = "\x1f"
_LONGEST_LITERAL = 1 << 16
"""In characters: Python's own parser takes a hundred times the memory of what it reads, JSON's does not."""


class BadRowsError(ValueError):
    """What is wrong with the rows, in one line."""


def run(metadata, predict):
    """Predicts the CSV file that the command line names and prints CSV.

    `predict(columns, first_row)` takes cells by column, empty ones missing, and returns lists by output.
    """
    if len(sys.argv) != 2:
        sys.exit(_failed("usage: python predict.py rows.csv > predictions.csv"))
    try:
        columns = read_columns(sys.argv[1], [item["column"] for item in metadata["features"].values()])
        count = len(next(iter(columns.values())))
        answers = []
        size = BATCH_ROWS
        if metadata.get("transforms"):
            size = 1  # images of one batch would have to have one size
            columns = _with_paths(columns, metadata)
        for start in range(0, count, size):
            batch = {name: cells[start : start + size] for name, cells in columns.items()}
            answers.append(predict(batch, start + 1))
    except (BadRowsError, OSError) as error:
        sys.exit(_failed(f"error: {sys.argv[1]}: {' '.join(str(error).splitlines())}"))
    try:
        write_predictions(sys.stdout, metadata["outputs"], answers)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _with_paths(columns, metadata):
    """Paths of images are relative to the CSV file's folder."""
    folder = Path(sys.argv[1]).resolve().parent
    images = {metadata["features"][name]["column"] for name in metadata["transforms"]}
    return {
        name: [str(folder / cell) if cell else "" for cell in cells] if name in images else cells
        for name, cells in columns.items()
    }


def written_list(cell):
    """The items of a list that is written as Python or JSON writes it; None where a cell is none."""
    cell = cell.strip()
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    found = _literal(cell)
    if not isinstance(found, list) or not all(item is None or isinstance(item, (str, int, float)) for item in found):
        return None
    return [str(item) for item in found if item is not None and item != ""]


def _literal(cell):
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        if len(cell) > _LONGEST_LITERAL:
            return None
    try:
        return ast.literal_eval(cell)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def items(separator, cell):
    """The items of a set or vector cell."""
    if LIST_SEPARATOR in cell:
        return [text for text in cell.split(LIST_SEPARATOR) if text]
    listed = written_list(cell)
    if listed is not None:
        return listed
    if separator is not None:
        return [text.strip() for text in cell.split(separator) if text.strip()]
    return cell.replace(",", " ").split()


def read_columns(path, wanted):
    """The cells of the wanted columns. Raises BadRowsError for a missing column or a line unlike the header."""
    csv.field_size_limit(1 << 30)
    with open(path, encoding="utf-8-sig", newline="") as file:
        try:
            lines = csv.reader(file, delimiter=delimiter_of(file.read(LEAD_CHARACTERS)), strict=True)
            file.seek(0)
            header = next(lines, [])
            rows = [_fitting(cells, header, lines.line_num) for cells in lines if cells]
        except UnicodeDecodeError as error:
            raise BadRowsError(f"not UTF-8 ({error.reason}); save it as UTF-8") from None
        except csv.Error as error:
            raise BadRowsError(f"line {lines.line_num}: {error}") from None
    for name in wanted:
        if header.count(name) != 1:
            what = "occurs more than once" if name in header else "is missing"
            raise BadRowsError(f"column {name!r} {what}; the file has {', '.join(map(repr, header))}")
    if not rows:
        raise BadRowsError("holds no rows")
    return {name: [cells[header.index(name)] for cells in rows] for name in wanted}


def write_predictions(file, outputs, answers):
    """Writes FEATURE_prediction, then FEATURE_probability_CLASS, for each output; `answers` are batches."""
    file.reconfigure(encoding="utf-8", newline="")
    writer = csv.writer(file, lineterminator="\n")
    header = []
    for output in outputs:
        header.append(f"{output['name']}_prediction")
        header += [f"{output['name']}_probability_{label}" for label in output["classes"]]
    writer.writerow(header)
    for answer in answers:
        for row in zip(*(answer[output["name"]] for output in outputs)):
            writer.writerow([cell for output, value in zip(outputs, row) for cell in _cells(output, value)])


def _cells(output, value):
    """The prediction, and the probability of each class where there are classes."""
    classes, kind = output["classes"], output["type"]
    if kind == "category":
        return [classes[value.index(max(value))], *map(float_text, value)]
    if kind == "binary":
        says = classes[value > _as_float32(output["threshold"])]
        says = says.lower() if sorted(map(str.lower, classes)) == ["false", "true"] else says
        return [says, float_text(_as_float32(1 - value)), float_text(value)]
    if kind == "set":
        chosen = [label for label, number in zip(classes, value) if number > _as_float32(output["threshold"])]
        return [",".join(chosen), *map(float_text, value)]
    return [" ".join(map(float_text, value)) if kind == "vector" else float_text(value)]


def float_text(value):
    """The shortest text that reads back as the same float32, where it was one, else as the same double."""
    for digits in (7, 8, 9):
        text = f"{value:.{digits}g}"
        if _as_float32(float(text)) == value:
            return text
    return repr(value)


def _as_float32(value):
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return value


def _fitting(cells, header, line):
    if len(cells) != len(header):
        raise BadRowsError(f"line {line}: {len(cells)} cells under {len(header)} columns")
    return cells


def _failed(message):
    print(message, file=sys.stderr)
    return 2
