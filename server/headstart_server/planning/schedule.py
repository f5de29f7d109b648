"""Resolves the learning rate's scheduler, and the names of metrics that it and others listen to."""

from dataclasses import dataclass
from typing import Any

from headstart_server.core.errors import invalid
from headstart_server.core.suggest import choices
from headstart_server.planning import rules
from headstart_server.planning.resolution import Resolution
from headstart_server.spec.model import TrainSpec
from headstart_server.training.metric_names import metric_names
from headstart_server.training.plateau import PlateauRule
from headstart_server.training.schedule import Schedule
from headstart_server.training.timetable import Timetable

_PATH = "trainer.learning_rate_scheduler"
_DECAY_RATE = 0.9
_OF_DECAY: dict[str, dict[str, Any]] = {
    "exponential": {"decay_rate": _DECAY_RATE, "staircase": False},
    "cosine": {"eta_min": 0.0, "t_mult": 1},
}
"""Settings that one decay reads, with their defaults."""


@dataclass(frozen=True)
class SchedulePlan:
    """The scheduler's settings, before it is known how many steps a run has."""

    warmup_fraction: float = 0.0
    warmup_evaluations: float = 0.0
    decay: str = "linear"
    decay_rate: float = _DECAY_RATE
    decay_steps: int = 0
    staircase: bool = False
    t_0: int = 0
    t_mult: int = 1
    eta_min: float = 0.0
    plateau: PlateauRule | None = None

    def over(self, timetable: Timetable) -> Schedule:
        """The schedule of a run."""
        return Schedule(
            timetable.total_steps,
            timetable.steps_per_epoch,
            self.warmup_fraction,
            self.decay,
            self.decay_rate,
            warmup_steps=round(self.warmup_evaluations * timetable.steps_per_evaluation),
            decay_steps=self.decay_steps,
            staircase=self.staircase,
            t_0=self.t_0,
            t_mult=self.t_mult,
            eta_min=self.eta_min,
        )


def plan_schedule(spec: TrainSpec, resolution: Resolution, rate: float, *, encoder_trains: bool) -> SchedulePlan:
    """Resolves `trainer.learning_rate_scheduler`, given the peak rate; raises InvalidInputError for a metric that there
    is not, and for a least rate above the peak."""
    scheduler, settle = spec.trainer.learning_rate_scheduler, resolution.settle
    evaluations = settle(f"{_PATH}.warmup_evaluations", scheduler.warmup_evaluations, 0.0)
    rule = rules.warmup_fraction(encoder_trains=encoder_trains)
    if evaluations:
        rule = 0.0, "the warm-up is given in evaluations"
    decay: str = settle(f"{_PATH}.decay", scheduler.decay, "linear")
    own = {
        key: settle(f"{_PATH}.{key}", getattr(scheduler, key), value) for key, value in _OF_DECAY.get(decay, {}).items()
    }
    floor = float(own.get("eta_min", 0.0))
    if floor and floor >= rate:
        raise invalid(f"{_PATH}.eta_min", f"{floor:g} must be below the learning rate, which is {rate:g}")
    return SchedulePlan(
        warmup_fraction=settle(f"{_PATH}.warmup_fraction", scheduler.warmup_fraction, *rule),
        warmup_evaluations=evaluations,
        decay=decay,
        decay_steps=scheduler.decay_steps or 0,
        t_0=scheduler.t_0 or 0,
        plateau=_plateau(spec, resolution),
        **own,
    )


def metric_called(given: str, spec: TrainSpec, path: str) -> str:
    """`loss` or `output.metric`; raises InvalidInputError with the names that there are."""
    names = {
        f"{feature.name}.{metric}": metric for feature in spec.output_features for metric in metric_names(feature.type)
    }
    if given == "loss" or given in names:
        return given
    matches = [name for name, metric in names.items() if metric == given]
    if len(matches) == 1:
        return matches[0]
    raise invalid(path, f"{given[:80]!r} is no metric of this spec{choices(given, ['loss', *names], 'known')}")


def _plateau(spec: TrainSpec, resolution: Resolution) -> PlateauRule | None:
    scheduler, settle = spec.trainer.learning_rate_scheduler, resolution.settle
    times = settle(f"{_PATH}.reduce_on_plateau", scheduler.reduce_on_plateau, 0)
    if not times:
        return None
    path = f"{_PATH}.reduce_eval_metric"
    return PlateauRule(
        times,
        settle(f"{_PATH}.reduce_on_plateau_patience", scheduler.reduce_on_plateau_patience, 10),
        settle(f"{_PATH}.reduce_on_plateau_rate", scheduler.reduce_on_plateau_rate, 0.1),
        metric_called(settle(path, scheduler.reduce_eval_metric, "loss"), spec, path),
        settle(f"{_PATH}.reduce_eval_split", scheduler.reduce_eval_split, "training"),
    )
