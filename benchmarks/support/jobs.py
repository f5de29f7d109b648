"""Jobs as a client sees them: started, followed to their end, with the clock running."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headstart
from headstart.v1.spec_pb2 import TrainSpec
from headstart.v1.training_pb2 import EncodeProgress, EpochMetrics, TrainJob

from benchmarks.support.encoder import NAME


@dataclass
class FollowedJob:
    """What one job told."""

    seconds: float = 0.0
    """From the call of TrainJob until SUCCEEDED arrived."""
    model: str = ""
    epochs: list[EpochMetrics] = field(default_factory=list)
    best: EpochMetrics = field(default_factory=EpochMetrics)
    encode: EncodeProgress = field(default_factory=EncodeProgress)
    """Of the last input that was encoded."""
    encode_span: tuple[float, float] = (float("inf"), 0.0)
    """When the passes began and ended, by time.perf_counter."""
    passes: dict[str, EncodeProgress] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def encoded(self) -> int:
        """Rows that encoders read, of all inputs."""
        return sum(progress.rows_encoded for progress in self.passes.values())


def text_spec(text: str, label: str, *, trainer: dict[str, Any] | None = None, **feature: Any) -> dict[str, Any]:
    """A spec of one text column and one category, on the benchmarks' encoder."""
    return {
        "input_features": [text_feature(text, **feature)],
        "output_features": [{"name": label, "type": "category"}],
        "trainer": trainer or {},
    }


def text_feature(
    name: str, *, trainable: bool = False, cached: bool | None = None, precision: str | None = None
) -> dict[str, Any]:
    """A text feature on the benchmarks' encoder."""
    encoder = {"type": "auto_transformer", "pretrained_model_name_or_path": NAME, "trainable": trainable}
    preprocessing: dict[str, Any] = {}
    if cached is not None:
        preprocessing["cache_encoder_embeddings"] = cached
    if precision is not None:
        preprocessing["embedding_precision"] = precision
    return {"name": name, "type": "text", "encoder": encoder, "preprocessing": preprocessing}


def follow(
    client: headstart.Client,
    spec: dict[str, Any] | TrainSpec,
    train: Path,
    test: Path | None = None,
    validation: Path | None = None,
    *,
    below: Path | None = None,
    on_start: Callable[[str], None] | None = None,
) -> FollowedJob:
    """Runs a job over files of the server's data root, `below` or their own folder, to its end.

    Args:
        on_start: Called with the job's name once it is known.
    """
    job = FollowedJob()
    parts = [
        None if path is None else headstart.ServerPath(str(path.relative_to(below or path.parent)))
        for path in (train, validation, test)
    ]
    assert parts[0] is not None
    start = time.perf_counter()
    run = client.train(spec, parts[0], validation=parts[1], test=parts[2])
    for event in run:
        _note(job, event)
        if event.sequence == 1 and on_start is not None:
            on_start(event.job)
        if event.state_change.state == TrainJob.STATE_SUCCEEDED:
            job.seconds = time.perf_counter() - start
    run.result()
    return job


def _note(job: FollowedJob, event: Any) -> None:
    match event.WhichOneof("event"):
        case "encode_progress":
            job.encode = event.encode_progress
            now = time.perf_counter()
            job.encode_span = (min(job.encode_span[0], now), now)
            job.passes[job.encode.feature] = job.encode
        case "epoch_finished":
            job.epochs.append(event.epoch_finished)
        case "warning":
            job.warnings.append(event.warning.reason)
        case "model_published":
            job.model, job.best = event.model_published.model, event.model_published.best_epoch
