"""Accuracy on images through gRPC: frozen, augmented, fine-tuned, from nothing, and beside text and tabular columns."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import numpy.typing as npt
import torch
import torchvision
from safetensors.torch import save_file
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.support.jobs import follow, text_feature
from benchmarks.support.pictures import MOBILENET, model_root, photos, read_rows
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_RANDOM = "mobilenet_v2_random"
_CATEGORIES = ("gender", "base_colour", "season", "usage")
_EMBED_ROWS = 100
_COLUMNS = (
    Column("task", "task"),
    Column("rows", "training rows", "{:,}"),
    Column("ours", "headstart", "{:.3f}"),
    Column("logistic", "logistic regression", "{:.3f}"),
    Column("error", "standard error", "{:.3f}"),
    Column("encoded", "encoded", "{:,}"),
    Column("epochs", "epochs"),
    Column("seconds", "job, s", "{:.1f}"),
)


@dataclass(frozen=True)
class Task:
    """A data set, its inputs and target; with `compared`, logistic regression reads the same embeddings."""

    name: str
    folder: Path
    inputs: list[dict[str, Any]]
    target: str
    compared: bool = False
    trainer: dict[str, Any] | None = None


def run(bench: Bench) -> Report:
    """Every task as a job with the product's own defaults; the test rows are never trained on."""
    data_root = bench.scratch / "data"
    models = model_root(bench.data_root, bench.scratch / "models")
    _save_random(models / _RANDOM)
    pets = photos(bench.data_root, "image/cats_dogs", data_root)
    products = photos(bench.data_root, "multimodal/fashion_products", data_root)
    with (
        running_server(bench.scratch / "state", data_root, models) as address,
        headstart.Client(address) as client,
    ):
        rows = [_row(client, task) for task in _tasks(pets, products, bench)]
    return Report(
        "accuracy_images",
        "What accuracy on unseen images a job reaches with nothing but column names and types in its spec.",
        "image/cats_dogs and multimodal/fashion_products, the real rows; mobilenet_v2 with real ImageNet features, "
        "text by all-MiniLM-L6-v2",
        [Table(_COLUMNS, rows)],
        [
            "The logistic regression reads the embeddings that the job stored, asked for over gRPC, standardised, and "
            "one-hot categories and standardised numbers beside them. It trains on every row, while a job sets a tenth "
            "aside to choose the epoch and to calibrate.",
            "Jobs run in this order over one store: what an earlier one encoded, later ones find.",
            "Two accuracies that differ by less than the standard error say the same.",
        ],
    )


def image_feature(name: str, weights: str = MOBILENET, **feature: Any) -> dict[str, Any]:
    """An image input on mobilenet_v2."""
    encoder = {"type": "mobilenetv2", "pretrained_model_name_or_path": weights, **feature.pop("encoder", {})}
    return {"name": name, "type": "image", "encoder": encoder, **feature}


def _tasks(pets: Path, products: Path, bench: Bench) -> list[Task]:
    flips = [{"type": "random_horizontal_flip"}, {"type": "random_rotate", "parameters": {"degree": 10.0}}]
    views = image_feature("image_path", augmentation=flips, preprocessing={"cached_views": 3})
    trained = image_feature("image_path", encoder={"trainable": True}, augmentation=flips[:1])
    picture, text = image_feature("image_path"), text_feature("product_name")
    tabular = [{"name": name, "type": "category"} for name in _CATEGORIES] + [{"name": "year", "type": "number"}]
    everything = [picture, text, *tabular]
    tasks = [
        Task("cats_dogs, frozen, random weights", pets, [image_feature("image_path", _RANDOM)], "label", True),
        Task("cats_dogs, frozen", pets, [picture], "label", True),
        Task("cats_dogs, frozen, 3 cached views", pets, [views], "label"),
        Task("cats_dogs, encoder trainable, 3 epochs", pets, [trained], "label", trainer={"epochs": 3}),
        Task("fashion_products: image", products, [picture], "master_category", True),
        Task("fashion_products: text", products, [text], "master_category", True),
        Task("fashion_products: image, text, tabular", products, everything, "master_category", True),
        Task("the same again", products, everything, "master_category"),
        Task("fashion_products: image, tabular, again", products, [picture, *tabular], "master_category"),
    ]
    return bench.pick(tasks, tasks[:2])


def _row(client: headstart.Client, task: Task) -> dict[str, Any]:
    spec = {
        "input_features": task.inputs,
        "output_features": [{"name": task.target, "type": "category"}],
        "trainer": task.trainer or {},
    }
    job = follow(client, spec, task.folder / "train.csv", task.folder / "test.csv", below=task.folder.parent)
    ours = job.best.test[f"{task.target}.accuracy"]
    test = read_rows(task.folder / "test.csv")
    return {
        "task": task.name,
        "rows": len(read_rows(task.folder / "train.csv")),
        "ours": ours,
        "logistic": _logistic(client, task) if task.compared else None,
        "error": (ours * (1 - ours) / len(test)) ** 0.5,
        "encoded": job.encoded,
        "epochs": len(job.epochs),
        "seconds": job.seconds,
    }


def _logistic(client: headstart.Client, task: Task) -> float:
    """Test accuracy of scikit-learn's own defaults but for the number of iterations."""
    categories = [item["name"] for item in task.inputs if item["type"] == "category"]
    columns = make_column_transformer(
        (StandardScaler(), slice(0, -len(categories) or None)),
        (OneHotEncoder(handle_unknown="ignore"), list(range(-len(categories), 0))),
    )
    model = make_pipeline(columns, LogisticRegression(max_iter=2_000))
    parts = [read_rows(task.folder / f"{part}.csv") for part in ("train", "test")]
    (train, test), labels = (
        [_matrix(client, task, rows) for rows in parts],
        [[row[task.target] for row in rows] for rows in parts],
    )
    model.fit(train, labels[0])
    return float(model.score(test, labels[1]))


def _matrix(client: headstart.Client, task: Task, rows: list[dict[str, str]]) -> npt.NDArray[np.object_]:
    """Embeddings first, then numbers, then categories."""
    blocks = [_embeddings(client, item, task.folder, rows) for item in task.inputs if item["type"] in ("text", "image")]
    numbers = [[float(row[item["name"]] or 0) for row in rows] for item in task.inputs if item["type"] == "number"]
    categories = [[row[item["name"]] for row in rows] for item in task.inputs if item["type"] == "category"]
    return np.column_stack(
        [*(block.astype(object) for block in blocks), *(np.array(column, object) for column in numbers + categories)]
    )


def _embeddings(
    client: headstart.Client, feature: dict[str, Any], folder: Path, rows: list[dict[str, str]]
) -> npt.NDArray[np.float32]:
    cells: list[Any] = [row[feature["name"]] for row in rows]
    if feature["type"] == "image":
        cells = [(folder / cell).read_bytes() for cell in cells]
    found = [client.embed(feature, cells[start : start + _EMBED_ROWS]) for start in range(0, len(cells), _EMBED_ROWS)]
    return np.concatenate([np.frombuffer(part.flat, np.float32).reshape(-1, part.dimension) for part in found])


def _save_random(folder: Path) -> None:
    """The architecture as torchvision initialises it, so that a frozen encoder of random weights can be compared."""
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    save_file(torchvision.models.mobilenet_v2(weights=None).state_dict(), folder / "weights.safetensors")
