"""Runs the exported model on a CSV file: python predict.py rows.csv > predictions.csv

Needs torch, and Pillow with numpy where there are images.
"""

import json
import warnings
from pathlib import Path

from prediction_csv import LIST_SEPARATOR, BadRowsError, items, run
from spellings import Spellings

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # which nothing here needs

import torch  # noqa: E402

HERE = Path(__file__).parent


def as_spelled(columns, features):
    """The cells of categories, binaries and sets as the training rows spell them."""
    respelled = dict(columns)
    for feature in features:
        statistics, column = feature["statistics"], feature["column"]
        kind = feature["spec"]["type"]
        if kind == "category":
            known = Spellings([text for text in statistics["vocabulary"] if text != "<unknown>"])
        elif kind == "binary":
            known = Spellings([statistics["true_label"], statistics["false_label"]])
        elif kind == "set":
            known = Spellings(statistics["vocabulary"])
            found = [
                [known.find(item) or item for item in items(statistics["separator"], cell)] for cell in columns[column]
            ]
            respelled[column] = ["".join(item + LIST_SEPARATOR for item in row) for row in found]
            continue
        else:
            continue
        respelled[column] = [known.find(cell) or cell for cell in columns[column]]
    return respelled


def main():
    metadata = json.loads((HERE / "metadata.json").read_text(encoding="utf-8"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates TorchScript
        model = torch.jit.load(str(HERE / "model.pt"))

    def predict(columns, first_row):
        images = {}
        for name, transform in metadata.get("transforms", {}).items():
            from image_files import pixels_of

            column = metadata["features"][name]["column"]
            rows = range(first_row, first_row + len(columns[column]))
            found = [pixels_of(cell, transform, column, row) for cell, row in zip(columns[column], rows)]
            images[column] = torch.stack([torch.from_numpy(pixels) for pixels in found])
        columns = as_spelled(columns, metadata["features"].values())
        try:
            with torch.inference_mode():
                outputs = model.predict(columns, first_row, images)
        except torch.jit.Error as error:
            message = str(error).partition("builtins.ValueError: ")[2]  # before it stands the model's own code
            if not message:
                raise
            raise BadRowsError(message) from None
        return {name: values.tolist() for name, values in outputs.items()}

    run(metadata, predict)


if __name__ == "__main__":
    main()
