"""Trains with Ludwig in an interpreter of its own and prints what it measured, as JSON on the last line.

Run by `benchmarks/support/ludwig.py`: standard input is JSON with `columns` (name to values), `model` (folder of the
encoder), `trainable`, `stored`, `epochs` and `batch_size`. Imports nothing of Headstart.
"""

import json
import logging
import sys
import time
from typing import Any

import pandas
import torch

_CUDA = torch.version.cuda
torch.version.cuda = None
import torchaudio  # noqa: E402, F401 - refuses a torch of another CUDA version, which on a CPU does not matter

torch.version.cuda = _CUDA
from ludwig.api import LudwigModel  # noqa: E402
from ludwig.data import preprocessing  # noqa: E402
from ludwig.trainers.trainer import Trainer  # noqa: E402


def timed(owner: Any, name: str, seconds: list[float]) -> None:
    """Makes a function or method note how long each call takes."""
    original = getattr(owner, name)

    def call(*arguments: Any, **settings: Any) -> Any:
        start = time.perf_counter()
        result = original(*arguments, **settings)
        seconds.append(time.perf_counter() - start)
        return result

    setattr(owner, name, call)


def config(task: dict[str, Any]) -> dict[str, Any]:
    """The spec: all rows but a few train, as the split column says."""
    encoder = {
        "type": "auto_transformer",
        "pretrained_model_name_or_path": task["model"],
        "trainable": task["trainable"],
    }
    text = {"cache_encoder_embeddings": task["stored"]}
    return {
        "input_features": [{"name": "text", "type": "text", "encoder": encoder, "preprocessing": text}],
        "output_features": [{"name": "label", "type": "category"}],
        "preprocessing": {"split": {"type": "fixed", "column": "split"}},
        "trainer": {
            "epochs": task["epochs"],
            "batch_size": task["batch_size"],
            "learning_rate": 5e-5 if task["trainable"] else 1e-3,
            "evaluate_training_set": False,
            "early_stop": -1,
        },
    }


def main() -> None:
    """Measures one task."""
    task = json.load(sys.stdin)
    rows = pandas.DataFrame(task["columns"])
    rows["split"] = [1, 2, *[0] * (len(rows) - 2)]
    encoding: list[float] = []
    epochs: list[float] = []
    timed(preprocessing, "embed_fixed_features", encoding)
    timed(Trainer, "_train_loop", epochs)
    model = LudwigModel(config(task), logging_level=logging.ERROR, backend="local")
    model.train(
        dataset=rows,
        skip_save_model=True,
        skip_save_progress=True,
        skip_save_log=True,
        skip_save_processed_input=True,
        output_directory=task["scratch"],
    )
    print(json.dumps({"encode_seconds": encoding[0], "epoch_seconds": epochs}))


if __name__ == "__main__":
    main()
