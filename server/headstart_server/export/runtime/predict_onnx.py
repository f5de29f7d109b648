"""Runs the exported model on a CSV file: python predict.py rows.csv > predictions.csv

Needs onnxruntime and tokenizers (numpy comes with the former).
"""

import csv
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

HERE = Path(__file__).parent
MISSING_NUMBERS = {"", "na", "n/a", "nan", "null", "none", "?", "-", "missing", "#n/a"}
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)
TRUE = {"1", "1.0", "t", "true", "y", "yes", "on"}
FALSE = {"0", "0.0", "f", "false", "n", "no", "off"}


class Model:
    """The exported model with the preprocessing of its features."""

    def __init__(self, folder=HERE):
        self.metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
        self.tokenizers = {
            name: Tokenizer.from_file(str(folder / path)) for name, path in self.metadata["tokenizers"].items()
        }

    def predict(self, rows):
        """Outputs by name, one row each, for a list of dicts of strings (missing cells: empty or absent)."""
        feeds = {}
        for item in self.metadata["inputs"]:
            feature = self.metadata["features"][item["feature"]]
            spec = feature["spec"]
            cells = [row.get(spec.get("column") or spec["name"]) or "" for row in rows]
            if item["role"] == "value":
                feeds[item["name"]] = value(spec, feature["statistics"], cells)
            else:
                feeds[item["name"]] = self.tokens(item, feature["statistics"], cells)
        outputs = [output["name"] for output in self.metadata["outputs"]]
        return dict(zip(outputs, self.session.run(outputs, feeds)))

    def tokens(self, item, statistics, cells):
        texts = [cell or statistics["fill"] for cell in cells]
        if statistics["lowercase"]:
            texts = [text.lower() for text in texts]
        encoded = self.tokenizers[item["feature"]].encode_batch(texts)
        return np.array([row.ids if item["role"] == "input_ids" else row.attention_mask for row in encoded], np.int64)


def value(spec, statistics, cells):
    if spec["type"] == "number":
        for cell in cells:
            if cell.strip().lower() not in MISSING_NUMBERS and not NUMBER.fullmatch(cell.strip()):
                raise ValueError(f"{cell!r} is not a finite number")
        return np.array(
            [float("nan") if cell.strip().lower() in MISSING_NUMBERS else float(cell) for cell in cells], np.float64
        )
    if spec["type"] == "category":
        index = {text: position for position, text in enumerate(statistics["vocabulary"])}
        return np.array([index.get(cell or statistics["fill"], 0) for cell in cells], np.int64)
    if spec["type"] == "binary":
        return np.array([truth(statistics, cell) for cell in cells], np.float32)
    if spec["type"] == "set":
        index = {text: position for position, text in enumerate(statistics["vocabulary"])}
        hot = np.zeros((len(cells), len(index)), np.float32)
        for row, cell in enumerate(cells):
            for text in items(statistics["separator"], cell):
                if text in index:
                    hot[row, index[text]] = 1
        return hot
    vectors = np.zeros((len(cells), statistics["size"]), np.float32)
    for row, cell in enumerate(cells):
        if cell:
            vector = [float(number) for number in items(statistics["separator"], cell.strip().strip("[]()"))]
            if len(vector) != statistics["size"] or not np.isfinite(vector).all():
                raise ValueError(f"{cell!r} is not {statistics['size']} finite numbers")
            vectors[row] = vector
    return vectors


def truth(statistics, cell):
    if cell == "":
        return statistics["fill"]
    if cell in (statistics["true_label"], statistics["false_label"]):
        return float(cell == statistics["true_label"])
    folded = cell.strip().lower()
    labels = statistics["true_label"].strip().lower(), statistics["false_label"].strip().lower()
    usual = labels[0] in TRUE and labels[1] in FALSE
    if not usual or folded not in TRUE | FALSE:
        raise ValueError(f"{cell!r} is neither {statistics['true_label']!r} nor {statistics['false_label']!r}")
    return float(folded in TRUE)


def items(separator, cell):
    if separator is not None:
        return [text.strip() for text in cell.split(separator) if text.strip()]
    return cell.replace(",", " ").split()


def main():
    model = Model()
    with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    outputs = model.predict(rows)
    described = model.metadata["outputs"]
    header = []
    for output in described:
        classes = output["classes"] if output["type"] in ("category", "set") else [""]
        header += [f"{output['name']}_probability_{label}" if label else output["name"] for label in classes]
    writer = csv.writer(sys.stdout)
    writer.writerow(header)
    for row in range(len(rows)):
        writer.writerow(
            [number for output in described for number in np.atleast_1d(outputs[output["name"]][row]).tolist()]
        )


if __name__ == "__main__":
    main()
