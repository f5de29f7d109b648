"""What suggested specs reach, with no other word than the target column, beside a logistic regression and AutoGluon."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headstart
import numpy as np
import numpy.typing as npt
from headstart.v1.spec_pb2 import Feature
from headstart.v1.training_pb2 import SuggestSpecResponse, TrainJob
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.support.autogluon import VERSION, AutoGluon
from benchmarks.support.corpus import read_csv, take, write_csv
from benchmarks.support.jobs import follow
from benchmarks.support.matrix import as_stored, embeddings
from benchmarks.support.pictures import model_root, photos
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_WORDS = ("category", "binary")
_MOST_TRAIN, _MOST_TEST = 6_000, 2_000
_COLUMNS = (
    Column("task", "data set: target"),
    Column("rows", "training rows", "{:,}"),
    Column("inputs", "learned from"),
    Column("left_out", "left out"),
    Column("ours", "headstart", "{:.3f}"),
    Column("logistic", "logistic regression", "{:.3f}"),
    Column("difference", "difference", "{:+.3f}"),
    Column("error", "standard error", "{:.3f}"),
    Column("head", "head that was best"),
    Column("seconds", "suggest and job, s", "{:.1f}"),
    Column("autogluon", VERSION, "{:.3f}"),
    Column("autogluon_seconds", "its fit, s", "{:.1f}"),
)
_TASKS = (
    ("tabular/titanic", "Survived"),
    ("image/cats_dogs", "label"),
    ("multimodal/fashion_products", "master_category"),
    ("image/fashion_mnist_png", "label"),
    ("text/uci_sentences", "label"),
    ("text/sms_spam", "label"),
    ("text/trec", "label"),
    ("text/trec", "fine_label"),
    ("text/sst2", "label"),
    ("text/ag_news", "label"),
    ("text/yelp_polarity", "label"),
    ("text/yelp_reviews", "sentiment"),
    ("text/yelp_reviews", "stars"),
)
Columns = dict[str, list[str]]


@dataclass(frozen=True)
class _Data:
    """A data set below the server's data root."""

    folder: Path
    target: str

    def read(self, part: str) -> Columns:
        return {name: list(cells) for name, cells in read_csv(self.folder / f"{part}.csv").items()}


def run(bench: Bench) -> Report:
    """Every data set: suggested, trained as it is, and compared on its test rows."""
    data_root, rows = bench.scratch / "data", list[dict[str, Any]]()
    autogluon = AutoGluon.found(bench.scratch)
    models = model_root(bench.data_root, bench.scratch / "models")
    with running_server(bench.scratch / "state", data_root, models) as address, headstart.Client(address) as client:
        for name, target in bench.pick(_TASKS, _TASKS[:3]):
            rows.append(_row(client, name, _placed(bench, name, target, data_root), autogluon))
    return Report(
        "suggestions",
        "What a suggested spec reaches, given the target column alone.",
        "the real rows; of more than "
        f"{_MOST_TRAIN:,} training and {_MOST_TEST:,} test rows the first; all-MiniLM-L6-v2 and mobilenet_v2, frozen",
        [Table(_COLUMNS, rows)],
        [
            "The logistic regression (scikit-learn's defaults but for the iterations) reads the embeddings that the "
            "job stored, standardised numbers (median for holes) and one-hot categories of the same columns. It trains "
            "on every row, while a job sets a tenth aside to choose the epoch and to calibrate.",
            "AutoGluon has the seconds that the suggestion and its job took, and the columns that were suggested; it "
            "reads tables, an image as its path.",
            "Two accuracies that differ by less than the standard error say the same.",
        ],
    )


def _placed(bench: Bench, name: str, target: str, data_root: Path) -> _Data:
    source = bench.data_root / name
    folder = photos(bench.data_root, name, data_root) if (source / "images.tar").is_file() else data_root / source.name
    folder.mkdir(parents=True, exist_ok=True)
    for part, most in (("train", _MOST_TRAIN), ("test", _MOST_TEST)):
        write_csv(folder / f"{part}.csv", take(read_csv(source / f"{part}.csv"), range(bench.pick(most, 200))))
    return _Data(folder, target)


def _row(client: headstart.Client, name: str, data: _Data, autogluon: AutoGluon | None) -> dict[str, Any]:
    start = time.perf_counter()
    suggestion = client.suggest(headstart.ServerPath(f"{data.folder.name}/train.csv"), data.target)
    seconds = time.perf_counter() - start
    parts = (data.folder / "train.csv", data.folder / "test.csv")
    named: list[str] = []
    job = follow(client, suggestion.spec, *parts, below=data.folder.parent, on_start=named.append)
    seconds += job.seconds
    inputs = [item.name for item in suggestion.spec.input_features]
    peer = autogluon.fit(*parts, inputs, data.target, seconds) if autogluon is not None else None
    ours, logistic = job.best.test[f"{data.target}.accuracy"], _logistic(client, suggestion, data, job.model)
    left_out = [f"{item.column} ({item.reason})" for item in suggestion.columns if not item.type]
    return {
        "task": f"{name}: {data.target}",
        "rows": len(data.read("train")[data.target]),
        "inputs": ", ".join(f"{item.name} ({item.type})" for item in suggestion.spec.input_features),
        "left_out": ", ".join(left_out),
        "ours": ours,
        "logistic": logistic,
        "difference": ours - logistic,
        "error": (ours * (1 - ours) / len(data.read("test")[data.target])) ** 0.5,
        "head": _best_head(client.jobs.get(named[0])),
        "seconds": seconds,
        "autogluon": peer.accuracy if peer else None,
        "autogluon_seconds": peer.seconds if peer else None,
    }


def _best_head(job: TrainJob) -> str:
    """What was tried of the best trial, `gbm without Name`."""
    parameters = next(trial.parameters for trial in job.trials if trial.best)
    inputs = job.spec.input_features
    without = [feature.name for index, feature in enumerate(inputs) if f"input_features[{index}].active" in parameters]
    return parameters["model_type"].string_value + (f" without {', '.join(without)}" if without else "")


def _logistic(client: headstart.Client, suggestion: SuggestSpecResponse, data: _Data, model: str) -> float:
    """Test accuracy on the columns that the suggested spec learns from."""
    features = as_stored(client, suggestion.spec.input_features, model)
    categories = sum(feature.type in _WORDS for feature in features)
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), slice(0, -categories or None)),
        (OneHotEncoder(handle_unknown="ignore"), list(range(-categories, 0))),
    )
    regression = make_pipeline(columns, LogisticRegression(max_iter=2_000))
    train, test = data.read("train"), data.read("test")
    regression.fit(_matrix(client, features, data.folder, train), train[data.target])
    return float(regression.score(_matrix(client, features, data.folder, test), test[data.target]))


def _matrix(
    client: headstart.Client, features: Sequence[Feature], folder: Path, rows: Columns
) -> npt.NDArray[np.object_]:
    """Embeddings and numbers first, then categories."""
    blocks: list[npt.NDArray[Any]] = []
    for feature in features:
        if feature.type in ("text", "image"):
            blocks.append(embeddings(client, feature, folder, rows[feature.name]).astype(object))
        elif feature.type == "number":
            numbers = [float(cell) if cell else np.nan for cell in rows[feature.name]]
            blocks.append(np.array(numbers, object)[:, None])
    blocks += [np.array(rows[feature.name], object)[:, None] for feature in features if feature.type in _WORDS]
    return np.concatenate(blocks, axis=1)
