"""Boosted trees on stored embeddings and tabular columns, beside LightGBM by hand on the same columns."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import headstart
import lightgbm
import numpy as np
import numpy.typing as npt
from headstart.v1.spec_pb2 import Feature
from sklearn.preprocessing import OneHotEncoder

from benchmarks.support.corpus import read_csv, take, write_csv
from benchmarks.support.encoder import NAME
from benchmarks.support.jobs import follow
from benchmarks.support.matrix import embeddings
from benchmarks.support.pictures import MOBILENET, model_root, photos, read_rows
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_TEXT = {"type": "auto_transformer", "pretrained_model_name_or_path": NAME}
_IMAGE = {"type": "mobilenetv2", "pretrained_model_name_or_path": MOBILENET}
_TITANIC = {
    "text": ("Name",),
    "category": ("Pclass", "Sex", "Embarked"),
    "number": ("Age", "SibSp", "Parch", "Fare"),
}
_FASHION = {
    "image": ("image_path",),
    "text": ("product_name",),
    "category": ("gender", "base_colour", "season", "usage"),
    "number": ("year",),
}
_TASKS: tuple[tuple[str, str, dict[str, tuple[str, ...]]], ...] = (
    ("tabular/titanic", "Survived", _TITANIC),
    ("multimodal/fashion_products", "master_category", _FASHION),
)
_PARTS, _SEEDS = ("train", "validation", "test"), (1, 2, 3)
_LEFT_OUT = 10
"""Every so many-th training row is one of validation, for both."""
_RUN = "import sys; sys.modules['lightgbm'] = None; import runpy; sys.argv = ['predict.py', 'rows.csv']; "
_RUN += "runpy.run_path('predict.py', run_name='__main__')"
"""Runs an exported model where LightGBM cannot be imported."""
_COLUMNS = (
    Column("task", "data set: target"),
    Column("rows", "training rows", "{:,}"),
    Column("width", "columns"),
    Column("ours", "headstart, `model_type: gbm`", "{:.3f}"),
    Column("by_hand", "LightGBM by hand", "{:.3f}"),
    Column("difference", "difference", "{:+.3f}"),
    Column("error", "standard error", "{:.3f}"),
    Column("seconds", "job, s", "{:.1f}"),
    Column("onnx", "ONNX against Predict", "{:.1e}"),
    Column("torchscript", "TorchScript against Predict", "{:.1e}"),
)
Columns = dict[str, list[str]]


def run(bench: Bench) -> Report:
    """Both data sets: trained, compared on the test rows, exported, and run without LightGBM."""
    data_root, rows = bench.scratch / "data", list[dict[str, Any]]()
    models = model_root(bench.data_root, bench.scratch / "models")
    with running_server(bench.scratch / "state", data_root, models) as address, headstart.Client(address) as client:
        for name, target, columns in bench.pick(_TASKS, _TASKS[:1]):
            folder = _placed(bench, name, data_root)
            rows.append(_row(client, bench.scratch / name.replace("/", "_"), folder, target, columns) | {"task": name})
    return Report(
        "trees",
        "Boosted trees on stored embeddings and tabular columns.",
        "the real rows, every tenth of training a validation row of both; all-MiniLM-L6-v2 and mobilenet_v2, frozen",
        [Table(_COLUMNS, rows)],
        [
            "By hand: LightGBM's scikit-learn-like training with the same rounds, rate and early stopping on the "
            "embeddings that the job stored, the numbers with their holes, and one-hot categories; the mean of "
            f"{len(_SEEDS)} seeds.",
            "Two accuracies that differ by less than the standard error say the same.",
            "The last two columns: the largest difference of a probability that the artifact's own `predict.py` gives "
            "for the test rows, in a process that cannot import LightGBM.",
        ],
    )


def _placed(bench: Bench, name: str, data_root: Path) -> Path:
    """The data set below the server's data root, as three files."""
    source = bench.data_root / name
    folder = photos(bench.data_root, name, data_root) if (source / "images.tar").is_file() else data_root / source.name
    folder.mkdir(parents=True, exist_ok=True)
    train = read_csv(source / "train.csv")
    numbers = range(len(next(iter(train.values()))))
    validation = [row for row in numbers if row % _LEFT_OUT == 0]
    write_csv(folder / "validation.csv", take(train, validation))
    write_csv(folder / "train.csv", take(train, [row for row in numbers if row % _LEFT_OUT]))
    write_csv(folder / "test.csv", read_csv(source / "test.csv"))
    return folder


def _row(
    client: headstart.Client, scratch: Path, folder: Path, target: str, columns: dict[str, tuple[str, ...]]
) -> dict[str, Any]:
    encoders: dict[str, Any] = {"text": {"encoder": _TEXT}, "image": {"encoder": _IMAGE}}
    spec = {
        "model_type": "gbm",
        "input_features": [
            {"name": name, "type": kind, **encoders.get(kind, {})} for kind, names in columns.items() for name in names
        ],
        "output_features": [{"name": target, "type": "category"}],
    }
    job = follow(
        client, spec, folder / "train.csv", folder / "test.csv", folder / "validation.csv", below=folder.parent
    )
    ours = job.best.test[f"{target}.accuracy"]
    by_hand, width = _by_hand(client, folder, target, columns, job.model)
    rows = {part: read_rows(folder / f"{part}.csv") for part in _PARTS}
    return {
        "rows": len(rows["train"]),
        "width": width,
        "ours": ours,
        "by_hand": by_hand,
        "difference": ours - by_hand,
        "error": (ours * (1 - ours) / len(rows["test"])) ** 0.5,
        "seconds": job.seconds,
        **{
            kind: _difference(client, scratch / kind, folder, target, job.model, kind)
            for kind in ("onnx", "torchscript")
        },
    }


def _by_hand(
    client: headstart.Client, folder: Path, target: str, columns: dict[str, tuple[str, ...]], model: str
) -> tuple[float, int]:
    """(mean test accuracy, columns)."""
    features = client.jobs.get(client.models.get(model).job).resolved_spec.input_features
    data = {part: {name: list(cells) for name, cells in read_csv(folder / f"{part}.csv").items()} for part in _PARTS}
    words = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(_words(data["train"], columns))
    x = {part: _matrix(client, features, folder, rows, columns, words) for part, rows in data.items()}
    labels = sorted(set(data["train"][target]))
    y = {part: np.array([labels.index(cell) for cell in rows[target]]) for part, rows in data.items()}
    found = []
    for seed in _SEEDS:
        options = {"objective": "multiclass", "num_class": len(labels), "learning_rate": 0.05, "seed": seed}
        booster = lightgbm.train(
            {**options, "verbosity": -1, "feature_fraction_seed": seed},
            lightgbm.Dataset(x["train"], y["train"]),
            1_000,
            [lightgbm.Dataset(x["validation"], y["validation"])],
            callbacks=[lightgbm.early_stopping(50, verbose=False)],
        )
        found.append(float((np.asarray(booster.predict(x["test"])).argmax(1) == y["test"]).mean()))
    return float(np.mean(found)), x["train"].shape[1]


def _matrix(
    client: headstart.Client,
    features: Sequence[Feature],
    folder: Path,
    rows: Columns,
    columns: dict[str, tuple[str, ...]],
    words: OneHotEncoder,
) -> npt.NDArray[np.float32]:
    blocks: list[npt.NDArray[Any]] = [
        embeddings(client, feature, folder, rows[feature.name])
        for feature in features
        if feature.type in ("text", "image")
    ]
    numbers = [[float(cell) if cell else np.nan for cell in rows[name]] for name in columns.get("number", ())]
    return np.concatenate([*blocks, np.array(numbers).T, words.transform(_words(rows, columns))], 1).astype(np.float32)


def _words(rows: Columns, columns: dict[str, tuple[str, ...]]) -> npt.NDArray[np.object_]:
    return np.array([rows[name] for name in columns["category"]], dtype=object).T


def _difference(
    client: headstart.Client, target: Path, folder: Path, output: str, model: str, file_format: str
) -> float:
    """The largest difference of a probability between an artifact, run on its own, and Predict."""
    client.export(model, file_format, output_dir=target)
    rows = read_csv(folder / "test.csv")
    write_csv(target / "rows.csv", rows)
    if (folder / "images").is_dir():
        (target / "images").symlink_to(folder / "images")
    done = subprocess.run([sys.executable, "-c", _RUN], cwd=target, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the artifact's predict.py: {done.stderr[-2000:]}")
    (target / "predictions.csv").write_text(done.stdout, encoding="utf-8")
    found = read_csv(target / "predictions.csv")
    given: dict[str, list[Any]] = {name: list(cells) for name, cells in rows.items()}
    for name in ("image_path",):
        if name in given:
            given[name] = [(folder / cell).read_bytes() for cell in given[name]]
    answer = client.predict(model, given)[output]
    columns = [np.array(list(map(float, found[f"{output}_probability_{label}"]))) for label in answer.classes]
    return float(np.abs(np.stack(columns, 1) - np.asarray(answer.probabilities)).max())
