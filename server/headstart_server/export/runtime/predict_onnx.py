"""Runs the exported model on a CSV file: python predict.py rows.csv > predictions.csv

Needs onnxruntime (numpy comes with it), tokenizers where there are texts and Pillow where there are images.
"""

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
from prediction_csv import BadRowsError, run
from spellings import Spellings

HERE = Path(__file__).parent
MISSING_NUMBERS = {"", "na", "n/a", "nan", "+nan", "-nan", "null", "none", "?", "-", "missing", "#n/a"}
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
TRUE = {"1", "1.0", "t", "true", "y", "yes", "on"}
FALSE = {"0", "0.0", "f", "false", "n", "no", "off"}
LIST_SEPARATOR = "\x1f"
UNKNOWN = "<unknown>"


class Model:
    """The exported model with the preprocessing of its features."""

    def __init__(self, folder=HERE):
        self.metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        self.tokenizers = {}
        if self.metadata["tokenizers"]:
            from tokenizers import Tokenizer

            for name, path in self.metadata["tokenizers"].items():
                self.tokenizers[name] = Tokenizer.from_file(str(folder / path))
        if self.metadata["transforms"]:
            from image_files import pixels_of

            self.pixels_of = pixels_of

    def predict(self, columns, first_row=1):
        """Outputs by name, one row each, for strings by column; an empty one is a missing cell, an image is a path.

        Raises BadRowsError naming column, row (counted from `first_row`) and value of a cell it cannot read.
        """
        feeds = {}
        for name, feature in self.metadata["features"].items():
            column = feature["column"]
            if column not in columns:
                raise BadRowsError(f"column {column!r} is missing")
            roles = {item["role"]: item["name"] for item in self.metadata["inputs"] if item["feature"] == name}
            if "image" in roles:
                cells = zip(columns[column], range(first_row, first_row + len(columns[column])))
                images = [self.pixels_of(cell, self.metadata["transforms"][name], column, row) for cell, row in cells]
                feeds[roles["image"]] = np.stack(images)
            elif "value" in roles:
                where = Where(column, first_row)
                feeds[roles["value"]] = values(feature["spec"]["type"], feature["statistics"], columns[column], where)
            else:
                ids, mask = tokens(self.tokenizers[name], feature["statistics"], columns[column])
                feeds.update({roles["input_ids"]: ids, roles["attention_mask"]: mask})
        outputs = [output["name"] for output in self.metadata["outputs"]]
        return dict(zip(outputs, self.session.run(outputs, feeds)))


class Where:
    """Names cells in errors."""

    def __init__(self, column, first_row):
        self.column, self.first_row = column, first_row

    def error(self, row, message):
        return BadRowsError(f"column {self.column!r}, row {self.first_row + row}: {message}")


def tokens(tokenizer, statistics, cells):
    """(ids, mask), int64 [n, longest]; a text without any token is one padding token."""
    texts = [cell or statistics["fill"] for cell in cells]
    texts = [text.rstrip(LIST_SEPARATOR).replace(LIST_SEPARATOR, " ") for text in texts]
    if statistics["lowercase"]:
        texts = ["".join(character.lower()[0] for character in text) for text in texts]
    encoded = tokenizer.encode_batch(texts)
    ids = np.array([row.ids for row in encoded], np.int64)
    mask = np.array([row.attention_mask for row in encoded], np.int64)
    if ids.shape[1] == 0:
        ids, mask = np.full((len(cells), 1), tokenizer.padding["pad_id"], np.int64), np.zeros((len(cells), 1), np.int64)
    mask[mask.sum(1) == 0, 0] = 1
    return ids, mask


def values(kind, statistics, cells, where):
    """The tensor of a tabular input: numbers, indices of categories, truth values, multi-hot sets or vectors."""
    if kind == "number":
        return np.array([number(cell, where, row) for row, cell in enumerate(cells)], np.float64)
    if kind == "category":
        index = {text: position for position, text in enumerate(statistics["vocabulary"])}
        known = Spellings([text for text in statistics["vocabulary"] if text != UNKNOWN])
        return np.array([index.get(known.find(cell or statistics["fill"]), 0) for cell in cells], np.int64)
    if kind == "binary":
        known = Spellings([statistics["true_label"], statistics["false_label"]])
        return np.array([truth(statistics, known, cell, where, row) for row, cell in enumerate(cells)], np.float32)
    if kind == "vector":
        return np.stack([vector(statistics, cell, where, row) for row, cell in enumerate(cells)])
    index = {text: position for position, text in enumerate(statistics["vocabulary"])}
    known = Spellings(index)
    hot = np.zeros((len(cells), len(index)), np.float32)
    for row, cell in enumerate(cells):
        for text in items(statistics["separator"], cell):
            meant = known.find(text)
            if meant is not None:
                hot[row, index[meant]] = 1
    return hot


def number(cell, where, row):
    word = cell.strip()
    if word.lower() in MISSING_NUMBERS:
        return float("nan")
    if not NUMBER.fullmatch(word) or not np.isfinite(float(word)):
        raise where.error(row, f"{cell[:80]!r} is no finite number")
    return float(word)


def truth(statistics, known, cell, where, row):
    if cell == "":
        return statistics["fill"]
    label = known.find(cell)
    if label is not None:
        return float(label == statistics["true_label"])
    folded = cell.strip().lower()
    labels = statistics["true_label"].strip().lower(), statistics["false_label"].strip().lower()
    usual = labels[0] in TRUE and labels[1] in FALSE
    if not usual or folded not in TRUE | FALSE:
        expected = f"{statistics['true_label']!r} nor {statistics['false_label']!r}"
        raise where.error(row, f"{cell[:80]!r} is neither {expected}")
    return float(folded in TRUE)


def vector(statistics, cell, where, row):
    size = statistics["size"]
    if cell == "":
        return np.zeros(size, np.float32)
    try:
        numbers = [float(item) for item in items(statistics["separator"], cell.strip().strip("[]()"))]
    except ValueError:
        raise where.error(row, f"{cell[:80]!r} is not a list of numbers") from None
    if len(numbers) != size:
        raise where.error(row, f"{cell[:80]!r} holds {len(numbers)} numbers, expected {size}")
    with np.errstate(over="ignore"):
        found = np.array(numbers, np.float64).astype(np.float32)
    if not np.isfinite(found).all():
        raise where.error(row, f"{cell[:80]!r} holds numbers that are not finite")
    return found


def items(separator, cell):
    if LIST_SEPARATOR in cell:
        return [text for text in cell.split(LIST_SEPARATOR) if text]
    if separator is not None:
        return [text.strip() for text in cell.split(separator) if text.strip()]
    return cell.replace(",", " ").split()


def main():
    model = Model()
    run(
        model.metadata,
        lambda columns, first_row: {name: found.tolist() for name, found in model.predict(columns, first_row).items()},
    )


if __name__ == "__main__":
    main()
