"""MLflow's client and W&B's run as far as sinks use them, in memory, and as strict as they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple


class Metric(NamedTuple):
    """One of MLflow's."""

    key: str
    value: float
    timestamp: int
    step: int


class Pair(NamedTuple):
    """A param or a tag."""

    key: str
    value: str


@dataclass
class FakeRun:
    """A run of MLflow."""

    id: str
    start_time: int
    run_name: str
    tags: dict[str, str]
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    status: str = "RUNNING"
    end_time: int | None = None
    info: Any = None
    data: Any = None

    def __post_init__(self) -> None:
        self.info, self.data = SimpleNamespace(run_id=self.id), SimpleNamespace(params=self.params)


class FakeMlflow:
    """A tracking server of one experiment. `down` says that it cannot be reached."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: list[FakeRun] = []
        self.batches = 0
        self.histories = 0
        self.down = False
        self.uri: str | None = None

    def modules(self) -> dict[str, Any]:
        """Return what is imported of it, by name."""
        tracking = SimpleNamespace(MlflowClient=self._connect, get_tracking_uri=lambda: "http://its-own")
        return {
            "mlflow.tracking": tracking,
            "mlflow.entities": SimpleNamespace(Metric=Metric, Param=Pair, RunTag=Pair),
        }

    def _connect(self, tracking_uri: str | None) -> FakeMlflow:
        self.uri = tracking_uri
        return self

    def _run(self, run_id: str) -> FakeRun:
        if self.down:
            raise ConnectionError("the tracking server is gone")
        return next(run for run in self.runs if run.id == run_id)

    def get_experiment_by_name(self, name: str) -> Any:
        """Find an experiment."""
        found = self.experiments.get(name)
        return SimpleNamespace(experiment_id=found) if found else None

    def create_experiment(self, name: str) -> str:
        """Make one."""
        self.experiments[name] = f"e{len(self.experiments)}"
        return self.experiments[name]

    def search_runs(self, experiment_ids: list[str], filter_string: str, max_results: int) -> list[FakeRun]:
        """Find runs by the tag of their job."""
        tag, _, job = filter_string.partition(" = ")
        assert tag == "tags.`headstart.job`"
        return [run for run in self.runs if run.tags["headstart.job"] == job.strip("'")][:max_results]

    def create_run(self, experiment_id: str, start_time: int, tags: dict[str, str], run_name: str) -> FakeRun:
        """Begin a run."""
        self.runs.append(FakeRun(f"r{len(self.runs)}", start_time, run_name, dict(tags)))
        return self.runs[-1]

    def get_metric_history(self, run_id: str, key: str) -> list[Metric]:
        """Return a run's metrics of a key."""
        self.histories += 1
        return [metric for metric in self._run(run_id).metrics if metric.key == key]

    def log_batch(
        self,
        run_id: str,
        metrics: Sequence[Metric] = (),
        params: Sequence[Pair] = (),
        tags: Sequence[Pair] = (),
    ) -> None:
        """Take a batch, unless it is too large or changes a param."""
        run = self._run(run_id)
        assert len(metrics) <= 1000
        assert len(params) <= 100
        assert len(tags) <= 100
        assert all(run.params.get(item.key, item.value) == item.value for item in params), "params do not change"
        self.batches += 1
        run.metrics += metrics
        run.params.update(params)
        run.tags.update(tags)

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        """End a run."""
        run = self._run(run_id)
        run.status, run.end_time = status, end_time


class FakeWandbRun:
    """A run of W&B, which takes no step again; a resumed one goes on after `step`."""

    def __init__(self, step: int = 0, **options: Any) -> None:
        self.options = options
        self.step = step
        self.rows: list[tuple[int, dict[str, Any]]] = []
        self.axes: dict[str, str] = {}
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.tags: tuple[str, ...] | None = None
        self.preempting = False
        self.exit_code: int | None = None
        self.config = _Config()

    def define_metric(self, name: str, step_metric: str | None = None, hidden: bool = False) -> None:
        """Give a chart its axis."""
        assert "*" not in name
        if step_metric:
            self.axes[name] = step_metric

    def log(self, data: dict[str, Any], step: int, commit: bool) -> None:
        """Keep a row."""
        assert step >= self.step, "W&B drops rows of earlier steps"
        self.rows.append((step, data))
        self.step = step + commit

    def mark_preempting(self) -> None:
        """Note it."""
        self.preempting = True

    def finish(self, exit_code: int) -> None:
        """Note it."""
        self.exit_code = exit_code


class _Config(dict[str, Any]):
    def update(self, values: dict[str, Any], allow_val_change: bool) -> None:  # type: ignore[override]
        assert allow_val_change
        super().update(values)


class FakeWandb:
    """The module `wandb`; `steps` is how far the service has runs already."""

    def __init__(self, mode: str = "online", key: bool = True, steps: int = 0) -> None:
        self.runs: list[FakeWandbRun] = []
        self.logins = 0
        self._mode, self._key, self._steps = mode, key, steps

    def setup(self) -> Any:
        """Return what the environment says."""
        return SimpleNamespace(settings=SimpleNamespace(mode=self._mode))

    def login(self) -> bool:
        """Tell whether there is a key."""
        self.logins += 1
        return self._key

    def Settings(self, **settings: Any) -> dict[str, Any]:  # noqa: N802  (named as in wandb)
        """Return them."""
        return settings

    def init(self, **options: Any) -> FakeWandbRun:
        """Begin a run."""
        self.runs.append(FakeWandbRun(self._steps, **options))
        return self.runs[-1]
