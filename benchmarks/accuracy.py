"""Accuracy through gRPC, beside a logistic regression on the very same embeddings."""

from dataclasses import dataclass
from typing import Any

import headstart
import numpy as np
import numpy.typing as npt
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from benchmarks.support.corpus import Columns, Corpus, corpus, titanic, write_csv
from benchmarks.support.jobs import follow, text_feature, text_spec
from benchmarks.support.report import RECORDED, Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_NUMBERS, _CATEGORIES = ("Age", "SibSp", "Parch", "Fare"), ("Sex", "Pclass", "Embarked")
_EMBED_ROWS = 1_000
_COLUMNS = (
    Column("task", "task"),
    Column("rows", "training rows", "{:,}"),
    Column("ours", "headstart", "{:.3f}"),
    Column("logistic", "logistic regression", "{:.3f}"),
    Column("difference", "difference", "{:+.3f}"),
    Column("error", "standard error", "{:.3f}"),
    Column("epochs", "epochs"),
    Column("seconds", "job, s", "{:.1f}"),
    Column("recorded", f"Ludwig 0.17.10, {RECORDED}", "{:.3f}"),
)


@dataclass(frozen=True)
class Task:
    """Rows, the spec over them, and the column that the text is in."""

    name: str
    found: Corpus
    spec: dict[str, Any]
    text: str
    target: str
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    recorded: float | None = None
    encoder_trains: bool = False


def run(bench: Bench) -> Report:
    """Frozen encoders: every task as a job with the product's own defaults; the test rows are never trained on."""
    return report("accuracy", bench, frozen_tasks(bench))


def report(name: str, bench: Bench, tasks: list[Task]) -> Report:
    """One job per task, through a server."""
    data_root = bench.scratch / "data"
    with running_server(bench.scratch / "state", data_root) as address, headstart.Client(address) as client:
        rows = []
        for number, task in enumerate(tasks):
            train = write_csv(data_root / f"train-{number}.csv", task.found.train)
            test = write_csv(data_root / f"test-{number}.csv", task.found.test)
            job = follow(client, task.spec, train, test)
            ours = job.best.test[f"{task.target}.accuracy"]
            logistic = None if task.encoder_trains else _logistic(client, task)
            rows.append({**_row(task, ours, logistic), "epochs": len(job.epochs), "seconds": job.seconds})
    return Report(
        name,
        "What accuracy on unseen rows a job reaches with nothing but column names and types in its spec.",
        "; ".join(dict.fromkeys(task.found.origin for task in tasks)),
        [Table(_COLUMNS, rows)],
        [
            "The logistic regression reads the embeddings that the job stored, asked for over gRPC, standardised; on "
            "titanic also standardised numbers (median for holes) and one-hot categories. It trains on every row, "
            "while a job sets a tenth aside to choose the epoch and to calibrate.",
            "Two accuracies that differ by less than the standard error say the same.",
        ],
    )


def frozen_tasks(bench: Bench) -> list[Task]:
    """Text alone, twice, and text beside numbers and categories."""
    sizes = bench.pick((10_000, 10_000), (400, 200))
    sst2, trec = (corpus(bench.data_root, name).head(*sizes) for name in ("text/sst2", "text/trec"))
    mixed = text_spec("Name", "Survived")
    mixed["input_features"] = [
        text_feature("Name"),
        *({"name": name, "type": "number"} for name in _NUMBERS),
        *({"name": name, "type": "category"} for name in _CATEGORIES),
    ]
    return [
        Task("sst2, frozen", sst2, text_spec("text", "label"), "text", "label", recorded=0.796),
        Task("trec, frozen", trec, text_spec("text", "label"), "text", "label", recorded=0.849),
        Task(
            "titanic: names, numbers, categories",
            titanic(bench.data_root).head(*sizes),
            mixed,
            "Name",
            "Survived",
            _NUMBERS,
            _CATEGORIES,
            recorded=0.782,
        ),
    ]


def _logistic(client: headstart.Client, task: Task) -> float:
    """Test accuracy of scikit-learn's own defaults but for the number of iterations."""
    model = make_pipeline(_features(task), LogisticRegression(max_iter=2_000))
    model.fit(_matrix(client, task, task.found.train), task.found.train[task.target])
    return float(model.score(_matrix(client, task, task.found.test), task.found.test[task.target]))


def _features(task: Task) -> Any:
    """Columns of `_matrix`: embeddings first, then numbers, then categories."""
    categories = list(range(-len(task.categories), 0))
    numbers = slice(0, -len(task.categories) or None)
    return make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore"), categories),
    )


def _matrix(client: headstart.Client, task: Task, rows: Columns) -> npt.NDArray[np.object_]:
    feature = text_feature(task.text)
    texts = list(rows[task.text])
    parts = [
        np.frombuffer(found.flat, np.float32).reshape(-1, found.dimension)
        for found in (
            client.embed(feature, texts[start : start + _EMBED_ROWS]) for start in range(0, len(texts), _EMBED_ROWS)
        )
    ]
    numbers = [[float(value) if value else np.nan for value in rows[name]] for name in task.numbers]
    columns = [*numbers, *(list(rows[name]) for name in task.categories)]
    return np.column_stack([np.concatenate(parts).astype(object), *(np.array(column, object) for column in columns)])


def _row(task: Task, ours: float, logistic: float | None) -> dict[str, Any]:
    return {
        "task": task.name,
        "rows": len(task.found.train[task.target]),
        "ours": ours,
        "logistic": logistic,
        "difference": None if logistic is None else ours - logistic,
        "error": (ours * (1 - ours) / len(task.found.test[task.target])) ** 0.5,
        "recorded": task.recorded,
    }
