"""Runs the exported model on a CSV file: python predict.py rows.csv > predictions.csv

Needs torch only.
"""

import csv
import json
import sys
from pathlib import Path

import torch

HERE = Path(__file__).parent


def main():
    metadata = json.loads((HERE / "metadata.json").read_text(encoding="utf-8"))
    model = torch.jit.load(str(HERE / "model.pt"))
    with open(sys.argv[1], encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    names = {feature["spec"].get("column") or feature["spec"]["name"] for feature in metadata["features"].values()}
    outputs = model.predict({name: [row.get(name) or "" for row in rows] for name in names})
    header = []
    for output in metadata["outputs"]:
        classes = output["classes"] if output["type"] in ("category", "set") else [""]
        header += [f"{output['name']}_probability_{label}" if label else output["name"] for label in classes]
    writer = csv.writer(sys.stdout)
    writer.writerow(header)
    for row in range(len(rows)):
        cells = []
        for output in metadata["outputs"]:
            cells += outputs[output["name"]][row].reshape(-1).tolist()
        writer.writerow(cells)


if __name__ == "__main__":
    main()
