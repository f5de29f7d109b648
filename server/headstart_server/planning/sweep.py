"""What of a sweep is settled before its trials: which metric it compares, and that every encoder it names is there."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from headstart_server.core.errors import InvalidInputError, Violation, invalid
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.initial_model import InitialModel
from headstart_server.planning.job_plan import check_spec
from headstart_server.planning.schedule import metric_called
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.sweep_trials import ROW_SECTIONS, Trial, search_of, trials_of
from headstart_server.training.metric_names import metric_names

_USUAL = {
    "category": "accuracy",
    "binary": "accuracy",
    "number": "root_mean_squared_error",
    "set": "jaccard",
    "vector": "mean_squared_error",
}
"""The metric of a single output: unlike the loss it is the same quantity whatever the settings are."""
_CHECKED = 200
"""Trials that are looked at before a job exists; others fail by themselves."""


def sweep_metric(spec: TrainSpec) -> str:
    """`loss` or `output.metric`; raises InvalidInputError with the names that there are."""
    outputs, given = spec.output_features, spec.sweep.metric
    if given is not None:
        return metric_called(given, spec, "sweep.metric")
    if len(outputs) == 1:
        return f"{outputs[0].name}.{_USUAL[outputs[0].type]}"
    return "loss"


def rows_key(spec: TrainSpec) -> str:
    """The same for specs that make the same of the rows: whose trials share prepared rows and embeddings."""
    return f"{spec.trainer.random_seed} {spec.model_dump_json(include=set(ROW_SECTIONS))}"


def check_sweep(spec: TrainSpec, sources: ModelSources, device_type: str, initial: InitialModel | None = None) -> None:
    """Raises InvalidInputError for a metric that there is not, and for inputs of trials that cannot be read."""
    if not spec.sweep.parameters:
        return
    metric, losses = sweep_metric(spec), set[str]()
    for trial in _distinct(spec):
        losses.add(_losses_of(trial.spec))
        if len(losses) > 1 and metric.rpartition(".")[2] == "loss":
            raise invalid(
                "sweep.metric",
                f"{metric!r} is another quantity in trials that differ in the loss, its weight or the normalization of "
                f"an output, and cannot compare them; use {_other_metrics(spec)}",
            )
        try:
            check_spec(trial.spec, sources, device_type, initial)
        except InvalidInputError as error:
            shown = ", ".join(f"{path}: {value!r}"[:100] for path, value in trial.parameters.items())
            named = [
                Violation("sweep.parameters", f"with {shown}: {item.field}: {item.message}")
                for item in error.violations
            ]
            raise InvalidInputError(named, reason=error.reason) from None


def _losses_of(spec: TrainSpec) -> str:
    """The same for specs whose losses can be compared."""
    settings: dict[str, Any] = {"loss": True, "preprocessing": {"normalization"}}
    return "\n".join(item.model_dump_json(include=settings) for item in apply_defaults(spec).output_features)


def _other_metrics(spec: TrainSpec) -> str:
    names = (f"{item.name}.{name}" for item in spec.output_features for name in metric_names(item.type))
    return " or ".join([name for name in names if not name.endswith(".loss")][:4])


def _distinct(spec: TrainSpec) -> Iterator[Trial]:
    """A trial of each kind of rows that the first trials have."""
    seen = set[str]()
    for trial in islice(trials_of(spec, search_of(spec)), _CHECKED):
        if (key := rows_key(trial.spec)) not in seen:
            seen.add(key)
            yield trial
