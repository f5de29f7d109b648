"""Runs the exported model on a CSV file: python predict.py rows.csv > predictions.csv

Needs torch only.
"""

import json
import warnings
from pathlib import Path

from prediction_csv import BadRowsError, run

warnings.filterwarnings("ignore", message="Failed to initialize NumPy")  # which nothing here needs

import torch  # noqa: E402

HERE = Path(__file__).parent


def main():
    metadata = json.loads((HERE / "metadata.json").read_text(encoding="utf-8"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch deprecates TorchScript
        model = torch.jit.load(str(HERE / "model.pt"))

    def predict(columns, first_row):
        try:
            with torch.inference_mode():
                outputs = model.predict(columns, first_row)
        except torch.jit.Error as error:
            message = str(error).partition("builtins.ValueError: ")[2]  # before it stands the model's own code
            if not message:
                raise
            raise BadRowsError(message) from None
        return {name: values.tolist() for name, values in outputs.items()}

    run(metadata, predict)


if __name__ == "__main__":
    main()
