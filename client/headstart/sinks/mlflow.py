"""A run of MLflow's: metrics, the spec as params, warnings and the model as tags, the final state as its status."""

from __future__ import annotations

import hashlib
import re
import shlex
import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from headstart.sinks.points import Parameter, Point
from headstart.sinks.sink import Sink, job_id, required
from headstart.v1.training_pb2 import TrainJob, TrainJobEvent

T = TypeVar("T")
JOB_TAG = "headstart.job"
STATUSES = {
    TrainJob.STATE_SUCCEEDED: "FINISHED",
    TrainJob.STATE_FAILED: "FAILED",
    TrainJob.STATE_CANCELLED: "KILLED",
}
BATCH = 100
"""Params and tags that MLflow takes at once."""
WAITING = 500
"""Metrics that are sent at once, of at most 1,000."""
WAIT_SECONDS = 1.0
LONGEST_KEY, LONGEST_PARAM, LONGEST_TAG = 250, 500, 5000
"""Of keys and values, in characters; also of older servers."""


class MLflow(Sink):
    """Writes to the run of an experiment that is tagged with the job, which is made where there is none.

    A job that is watched again goes on in the same run: what it holds is not written twice.

    Args:
        tracking_uri: of the server or database; default MLflow's own (MLFLOW_TRACKING_URI). `sqlite:///` and other
            databases need the whole package, `pip install mlflow`; the extra brings what servers need.
        experiment: its name; made where it is missing.

    Raises:
        InvalidArgument: mlflow is not installed.
    """

    title = "MLflow"

    def __init__(self, tracking_uri: str | None = None, experiment: str = "headstart") -> None:
        self._tracking: Any = required("mlflow.tracking", "mlflow")
        self._entities: Any = required("mlflow.entities", "mlflow")
        self.tracking_uri = tracking_uri
        self.experiment = experiment
        self._waiting: list[Any] = []
        self._sent = 0.0

    @property
    def option(self) -> str:
        """Return the options that name the server and the experiment."""
        uri = self.tracking_uri or self._tracking.get_tracking_uri()
        return f"--mlflow {shlex.quote(uri)} --mlflow-experiment {shlex.quote(self.experiment)}"

    def check(self) -> None:
        """Find the experiment, or make it."""
        self._client: Any = self._tracking.MlflowClient(tracking_uri=self.tracking_uri)
        found = self._client.get_experiment_by_name(self.experiment)
        self._experiment_id = found.experiment_id if found else self._client.create_experiment(self.experiment)

    def open(self, job: TrainJob) -> None:
        """Find the job's run, or begin it at the time at which the job was created."""
        self._waiting = []
        wanted = f"tags.`{JOB_TAG}` = '{job.name}'"
        runs = self._client.search_runs([self._experiment_id], wanted, max_results=1)
        self._continued = bool(runs)
        run = runs[0] if runs else self._create(job)
        self._run_id = run.info.run_id
        self._params = dict(run.data.params)

    def _create(self, job: TrainJob) -> Any:
        return self._client.create_run(
            self._experiment_id,
            start_time=job.create_time.ToMilliseconds(),
            tags={JOB_TAG: job.name},
            run_name=job.display_name or job_id(job),
        )

    def last_position(self, key: str) -> int:
        """Ask for the metric's history, where the run is one that goes on."""
        if not self._continued:
            return -1
        return max((metric.step for metric in self._client.get_metric_history(self._run_id, key_of(key))), default=-1)

    def has_parameters(self) -> bool:
        """Tell whether the run has params."""
        return bool(self._params)

    def write(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        """Keep metrics for the next batch, which is sent when it is large or a second old."""
        stamp = event.time.ToMilliseconds()
        for point in points:
            self._waiting.append(self._entities.Metric(key_of(point.key), point.value, stamp, point.position))
        if len(self._waiting) >= WAITING or time.monotonic() - self._sent >= WAIT_SECONDS:
            self._send()

    def write_best(self, points: Sequence[Point], event: TrainJobEvent) -> None:
        """Write the best evaluation's metrics: `best/validation/label.accuracy`."""
        fresh = [point for point in points if self.last_position(point.key) < point.position]
        self.write(fresh, event)

    def write_parameters(self, parameters: Sequence[Parameter], event: TrainJobEvent) -> None:
        """Write params, and origins as tags. MLflow changes no param: what a resumed job resolves anew is a tag."""
        values = {key_of(item.path): _clipped(item.text, LONGEST_PARAM) for item in parameters}
        new = {key: value for key, value in values.items() if key not in self._params}
        changed = {key: value for key, value in values.items() if self._params.get(key, value) != value}
        self._params |= new
        params = [self._entities.Param(key, value) for key, value in new.items()]
        for batch in _batches(params, BATCH):
            self._client.log_batch(self._run_id, params=batch)
        origins = {f"origin.{item.path}": item.provenance for item in parameters}
        self._tag(origins | {f"changed.{key}": value for key, value in changed.items()})

    def write_text(self, tag: str, text: str, event: TrainJobEvent) -> None:
        """Write a tag; a warning's has the event's number, for there may be several with its reason."""
        kind, _, reason = tag.partition("/")
        self._tag({f"{kind}.{reason}.{event.sequence}" if reason else f"headstart.{tag}": text})

    def _tag(self, tags: dict[str, str]) -> None:
        made = [self._entities.RunTag(key_of(key), _clipped(value, LONGEST_TAG)) for key, value in tags.items()]
        for batch in _batches(made, BATCH):
            self._client.log_batch(self._run_id, tags=batch)

    def end(self, state: TrainJob.State, event: TrainJobEvent) -> None:
        """Set the run's status and end."""
        self._send()
        self._client.set_terminated(self._run_id, STATUSES[state], end_time=event.time.ToMilliseconds())

    def close(self) -> None:
        """Send what waits. A job that is merely not followed any more stays RUNNING."""
        self._send()

    def _send(self) -> None:
        if self._waiting:
            self._client.log_batch(self._run_id, metrics=self._waiting)
        self._waiting = []
        self._sent = time.monotonic()


def key_of(name: str) -> str:
    """Return a name as MLflow takes it: `features[0].type` as `features.0.type`, other characters by code."""
    plain = name.replace("[", ".").replace("]", "")
    plain = re.sub(r"[^\w.\- /]", lambda found: f"_{ord(found[0]):x}_", plain)
    # Keys may be paths of files, and must stay themselves when they are made plain.
    plain = "/".join(part if part.strip(".") else f"_{part.replace('.', '_')}" for part in plain.split("/"))
    if len(plain) <= LONGEST_KEY:
        return plain
    digest = hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()
    return f"{plain[: LONGEST_KEY - 17]}_{digest}"


def _clipped(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
