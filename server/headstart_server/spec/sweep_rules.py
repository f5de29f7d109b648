"""What a sweep must say, and what it says in vain."""

import importlib.util
import math
from collections.abc import Iterator
from itertools import islice

from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.sweep import MOST_TRIALS, SweepParameterSpec, SweepSpec
from headstart_server.spec.sweep_trials import ROW_SECTIONS, RandomSearch, base_of, trial_spec, trials_of

_OPTUNA = (
    "'tpe' needs Optuna on the server, which is not installed there: pip install 'headstart[sweep]', or use 'random'"
)
_LOOKED_AT = 200
"""Draws by which it is found out whether a setting ever has an effect."""
_MOST_VALUES, _MOST_COMBINATIONS = 1_000, 10_000
_MOST_READ, _MOST_DRAWN = 10_000, 4_000
"""Features that are read for all values, and for all draws, where settings are tried on which they depend."""


def sweep_rules(spec: TrainSpec) -> Iterator[Violation]:
    """Every rule that the sweep of a spec breaks."""
    sweep = spec.sweep
    if not sweep.parameters:
        if sweep != SweepSpec():
            yield Violation("sweep.parameters", "is missing; name the settings to try, or leave the sweep out")
        return
    if spec.backend.type == "ray":
        yield Violation(
            "backend.type", "'ray' trains one model on many workers; a sweep runs on the server, so use local"
        )
    if sweep.search == "tpe" and importlib.util.find_spec("optuna") is None:
        yield Violation("sweep.search", _OPTUNA)
        return
    broken = [
        item for path, each in sweep.parameters.items() for item in _parameter(path, each, grid=sweep.search == "grid")
    ]
    yield from broken or _many(spec)
    if not broken and not any(_many(spec)):
        yield from _trials(spec)


def _many(spec: TrainSpec) -> Iterator[Violation]:
    """More values than are looked at in a second or two."""
    counts = {path: len(each.choices) or 2 for path, each in spec.sweep.parameters.items()}
    if sum(counts.values()) > _MOST_VALUES:
        yield Violation(
            "sweep.parameters", f"have {sum(counts.values()):,} choices; use at most {_MOST_VALUES:,} in all"
        )
    combinations = math.prod(counts.values())
    if spec.sweep.search == "grid" and combinations > _MOST_COMBINATIONS:
        message = (
            f"have {combinations:,} combinations; a grid takes at most {_MOST_COMBINATIONS:,}, so use search: random"
        )
        yield Violation("sweep.parameters", message)
    of_rows = sum(count for path, count in counts.items() if path.startswith(ROW_SECTIONS))
    if of_rows * len(spec.features) > _MOST_READ:
        most = _MOST_READ // len(spec.features)
        message = (
            f"have {of_rows:,} choices of features and preprocessing; with {len(spec.features):,} columns use {most:,}"
        )
        yield Violation("sweep.parameters", message)


def _looked_at(spec: TrainSpec) -> int:
    """How many draws."""
    named = (*ROW_SECTIONS, "model_type")
    columns = len(spec.features) if any(path.startswith(named) for path in spec.sweep.parameters) else 1
    return max(3, min(_LOOKED_AT, _MOST_DRAWN // columns))


def _parameter(path: str, parameter: SweepParameterSpec, *, grid: bool) -> Iterator[Violation]:
    field, numbers = f"sweep.parameters.{path[:200]}", (parameter.min, parameter.max)
    if parameter.choices:
        if any(value is not None for value in (*numbers, parameter.scale, parameter.integer)):
            yield Violation(field, "takes choices, or numbers from min to max; leave one of them out")
        return
    if None in numbers:
        yield Violation(field, "has nothing to choose from; give choices: [...], or min and max")
        return
    assert parameter.min is not None and parameter.max is not None
    if grid:
        yield Violation(field, "has no choices, of which a grid is made; give choices: [...], or use search: random")
    if parameter.min > parameter.max:
        yield Violation(f"{field}.min", f"{parameter.min:g} is above max, {parameter.max:g}")
    if parameter.scale == "log" and parameter.integer and round(parameter.min) < 1:
        yield Violation(f"{field}.min", f"{parameter.min:g} is no whole number with a logarithm; give one from 1 on")
    elif parameter.scale == "log" and parameter.min <= 0:
        yield Violation(f"{field}.min", f"{parameter.min:g} has no logarithm; give one above 0, or scale: linear")


def _trials(spec: TrainSpec) -> Iterator[Violation]:
    """Values that no spec may have, and settings that never have an effect."""
    base, used = base_of(spec), set[str]()
    try:
        for path, parameter in spec.sweep.parameters.items():
            for value in parameter.choices or [_number(parameter.min, parameter), _number(parameter.max, parameter)]:
                used |= set(trial_spec(base, {path: value})[0])
        # at random also where a grid is asked for, which begins with many that are alike
        sweep = spec.sweep.model_copy(update={"trials": MOST_TRIALS, "search": "random"})
        drawn = trials_of(spec.model_copy(update={"sweep": sweep}), RandomSearch(spec.sweep.parameters, 0))
        for trial in islice(drawn, _looked_at(spec)):
            used |= set(trial.parameters)
    except InvalidInputError as error:
        yield from error.violations
        return
    for path in spec.sweep.parameters:
        if path not in used:
            yield Violation(
                f"sweep.parameters.{path[:200]}", "has no effect in any trial, whatever the others are; leave it out"
            )


def _number(value: float | None, parameter: SweepParameterSpec) -> float:
    assert value is not None
    return round(value) if parameter.integer else value
