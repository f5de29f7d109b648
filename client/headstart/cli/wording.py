"""How numbers, states and metrics are written for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp

from headstart.v1.dataset_pb2 import Dataset
from headstart.v1.export_pb2 import Artifact, ExportJob
from headstart.v1.training_pb2 import EncodeProgress, EpochMetrics, TrainJob, Trial

FIRST = ("loss", "accuracy", "roc_auc", "f1", "r2", "mean_absolute_error", "root_mean_squared_error", "jaccard")
SHOWN_METRICS = 4


def state_name(state: TrainJob.State) -> str:
    """Return `succeeded` for STATE_SUCCEEDED."""
    return TrainJob.State.Name(state).removeprefix("STATE_").lower()


def export_state(state: ExportJob.State) -> str:
    """Return `running` for STATE_RUNNING."""
    return ExportJob.State.Name(state).removeprefix("STATE_").lower()


def artifact_format(value: Artifact.Format) -> str:
    """Return `onnx` for FORMAT_ONNX."""
    return Artifact.Format.Name(value).removeprefix("FORMAT_").lower()


def duration(seconds: float) -> str:
    """Return `1:02:03`, `2:03` or `4.5 s`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Return bytes with a binary unit."""
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def moment(time: Timestamp) -> str:
    """Return a point in time in UTC, to the second; empty where it is unset."""
    return time.ToDatetime().strftime("%Y-%m-%d %H:%M:%S") if time.seconds else ""


def shown_metrics(epochs: Iterable[EpochMetrics]) -> list[str]:
    """Return the few metrics that say most: losses, then what each output is judged by."""
    names = {name for epoch in epochs for split in (epoch.train, epoch.validation, epoch.test) for name in split}
    ranked = sorted(names, key=lambda name: (_rank(name), name))
    return [name for name in ranked if _rank(name) < len(FIRST)][:SHOWN_METRICS] or ranked[:SHOWN_METRICS]


def epoch_number(epoch: EpochMetrics) -> str:
    """Return `2` for an epoch that has ended, and `1.5` for an evaluation within it."""
    return f"{epoch.epochs or epoch.epoch:.4g}" if epoch.epochs != epoch.epoch else str(epoch.epoch)


def trial_value(trial: Trial) -> str:
    """Return what a trial reached, `0.861 ± 0.011`, or why it failed."""
    if trial.failure:
        return f"failed: {trial.failure}"
    error = f" ± {trial.standard_error:.2g}" if trial.HasField("standard_error") else ""
    return f"{trial.value:.4g}{error}"


def trial_settings(trial: Trial) -> str:
    """Return what a trial tried, `trainer.learning_rate 0.01, model_type gbm`."""
    return ", ".join(f"{path} {_setting(value)}" for path, value in sorted(trial.parameters.items())) or "as given"


def _setting(value: Value) -> str:
    plain = MessageToDict(value)
    return f"{plain:.4g}" if isinstance(plain, float) else str(plain)


def splits(epoch: EpochMetrics, metric: str) -> str:
    """Return a metric as `train / validation / test`."""
    return " / ".join(_value(values, metric) for values in (epoch.train, epoch.validation, epoch.test))


def encoded(progress: EncodeProgress) -> str:
    """Return what became of the rows of an embedding pass."""
    counts = {
        "found": progress.rows_found,
        "repeated": progress.rows_repeated,
        "encoded": progress.rows_encoded,
        "shared": progress.rows_shared,
    }
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name != "shared")


def contents(dataset: Dataset) -> str:
    """Return how much a data set holds: its rows, or the tables of an archive that holds several."""
    tables = dataset.table_files
    return f"{len(tables)} tables: {', '.join(tables)}" if len(tables) > 1 else f"{dataset.row_count:,} rows"


def format_name(format: Dataset.Format) -> str:
    """Return `csv` for FORMAT_CSV."""
    return Dataset.Format.Name(format).removeprefix("FORMAT_").lower() if format else ""


def waits(progress: EncodeProgress | EpochMetrics) -> bool:
    """Tell whether so much time went into waiting for data that it shows."""
    return progress.data_wait_seconds >= 0.05


def spent(seconds: float, progress: EncodeProgress | EpochMetrics) -> str:
    """Return a time, and how much of it was waiting for data where that shows."""
    waited = f", {duration(progress.data_wait_seconds)} of it waiting for data" if waits(progress) else ""
    return f"{duration(seconds)}{waited}"


def warning_text(warning: Any) -> str:
    """Return a `Warning` event in a line (typed Any: the stub's name is hidden behind Python's own Warning)."""
    return f"{warning.message} ({warning.reason})"


def _rank(name: str) -> int:
    last = name.rpartition(".")[2]
    return FIRST.index(last) if last in FIRST else len(FIRST)


def _value(values: Mapping[str, float], metric: str) -> str:
    return f"{values[metric]:.4f}" if metric in values else "–"
