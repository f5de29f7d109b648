"""What of a sweep is settled before its trials: which metric it compares, and that every encoder it names is there."""

from collections.abc import Iterator
from itertools import islice

from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.encoders.sources import ModelSources
from headstart_server.planning.initial_model import InitialModel
from headstart_server.planning.job_plan import check_spec
from headstart_server.planning.schedule import metric_called
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.sweep_trials import ROW_SECTIONS, Trial, search_of, trials_of

_CHECKED = 200
"""Trials that are looked at before a job exists; others fail by themselves."""


def sweep_metric(spec: TrainSpec) -> str:
    """`loss` or `output.metric`; raises InvalidInputError with the names that there are."""
    outputs, given = spec.output_features, spec.sweep.metric
    if given is not None:
        return metric_called(given, spec, "sweep.metric")
    if len(outputs) == 1 and outputs[0].type in ("category", "binary"):
        return f"{outputs[0].name}.accuracy"
    return "loss"


def rows_key(spec: TrainSpec) -> str:
    """The same for specs that make the same of the rows: whose trials share prepared rows and embeddings."""
    return f"{spec.trainer.random_seed} {spec.model_dump_json(include=set(ROW_SECTIONS))}"


def check_sweep(spec: TrainSpec, sources: ModelSources, device_type: str, initial: InitialModel | None = None) -> None:
    """Raises InvalidInputError for a metric that there is not, and for inputs of trials that cannot be read."""
    if not spec.sweep.parameters:
        return
    sweep_metric(spec)
    for trial in _distinct(spec):
        try:
            check_spec(trial.spec, sources, device_type, initial)
        except InvalidInputError as error:
            shown = ", ".join(f"{path}: {value!r}"[:100] for path, value in trial.parameters.items())
            named = [
                Violation("sweep.parameters", f"with {shown}: {item.field}: {item.message}")
                for item in error.violations
            ]
            raise InvalidInputError(named, reason=error.reason) from None


def _distinct(spec: TrainSpec) -> Iterator[Trial]:
    """A trial of each kind of rows that the first trials have."""
    seen = set[str]()
    for trial in islice(trials_of(spec, search_of(spec)), _CHECKED):
        if (key := rows_key(trial.spec)) not in seen:
            seen.add(key)
            yield trial
