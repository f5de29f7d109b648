"""The specs that a sweep tries: its base with other settings, without those that have no effect beside the others."""

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pydantic import ValidationError

from headstart_server.core.errors import InvalidInputError, Violation
from headstart_server.spec.defaults import apply_defaults
from headstart_server.spec.head_rules import head_rules
from headstart_server.spec.ludwig.table import with_long_forms
from headstart_server.spec.model import TrainSpec
from headstart_server.spec.sweep import MOST_TRIALS, SweepParameterSpec, SweepSpec
from headstart_server.spec.sweep_inputs import activates, named_before, take_inactive, with_effect
from headstart_server.spec.training_rules import training_rules
from headstart_server.spec.unused import given
from headstart_server.spec.validate import validate

DEFAULT_TRIALS = 20
_DRAWS = 50
"""How often in a row settings are drawn again of which there has been a trial."""
_PART = re.compile(r"([^.\[\]]+)((?:\[\d+\])*)")
ROW_SECTIONS = ("input_features", "output_features", "preprocessing", "defaults")
"""Of a spec, what decides what is made of the rows."""
_SECTIONS = frozenset({"sweep", "notes", "backend"})
"""Of a spec, what no trial changes."""


@dataclass(frozen=True)
class Trial:
    """One setting of a sweep."""

    number: int
    """From 1."""
    parameters: Mapping[str, Any]
    """By path, without what has no effect beside the others."""
    spec: TrainSpec


class Search(Protocol):
    """Draws settings."""

    def ask(self) -> dict[str, Any] | None:
        """The next settings, by path; None where there are no more."""

    def tell(self, value: float | None) -> None:
        """How good those that were asked for last are, the larger the better; None where they failed."""


def base_of(spec: TrainSpec) -> TrainSpec:
    """A spec without its sweep."""
    return spec.model_copy(update={"sweep": SweepSpec()})


def trials_of(spec: TrainSpec, search: Search) -> Iterator[Trial]:
    """The trials of a sweep, each of its own settings, as they are drawn. Raises InvalidInputError for a bad value."""
    base, seen, number, repeated = base_of(spec), set[str](), 0, 0
    telling = {
        path: value
        for path, each in spec.sweep.parameters.items()
        for value in each.choices
        if given(value) and not activates(path)
    }
    grid = spec.sweep.search == "grid"
    most = spec.sweep.trials or (MOST_TRIALS if grid else DEFAULT_TRIALS)
    # a grid ends by itself; whoever draws from a few settings draws the same ones again
    while number < most and (grid or repeated < _DRAWS) and (drawn := search.ask()) is not None:
        parameters, trial = trial_spec(base, drawn, telling)
        key = repr(sorted(parameters.items()))
        if key in seen:
            repeated += 1
            search.tell(None)
            continue
        seen.add(key)
        number, repeated = number + 1, 0
        yield Trial(number, parameters, trial)


def trial_spec(
    base: TrainSpec, drawn: Mapping[str, Any], telling: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], TrainSpec]:
    """(the settings that have an effect, the spec with them); raises InvalidInputError naming `sweep.parameters`.

    `telling` has values by path that ask for something: where such a one had no effect, neither has 0 or false, which
    specs may say in vain.
    """
    parameters = with_effect(drawn)
    for path, value in (telling or {}).items():
        if path in parameters and not given(parameters[path]):
            kept, _ = trial_spec(base, {**parameters, path: value})
            if path not in kept:
                del parameters[path]
    while True:
        spec, active = _with(base, parameters)
        violations = [replace(item, field=named_before(item.field, active)) for item in _violations(spec, parameters)]
        idle = [path for path in parameters if any(_touches(item.field, path) for item in violations)]
        if not violations:
            return parameters, spec
        # the one that decides what the others mean stays as it is: of all that are named, the longest path goes first
        if not idle:
            shown = ", ".join(f"{path}: {value!r}"[:100] for path, value in parameters.items())
            raise InvalidInputError(
                [Violation("sweep.parameters", f"with {shown}: {item.field}: {item.message}") for item in violations]
            )
        del parameters[max(idle, key=len)]


def _violations(spec: TrainSpec, parameters: Mapping[str, Any]) -> list[Violation]:
    """The rules that a trial's spec breaks; those of columns are not asked again where no setting is one of theirs."""
    if any(_steps(path)[0] in ROW_SECTIONS for path in parameters):
        return validate(spec, apply_defaults(spec))
    return [*training_rules(spec), *head_rules(spec, spec if spec.by_steps else apply_defaults(spec))]


def _touches(field: str, path: str) -> bool:
    return field == path or path.startswith((f"{field}.", f"{field}[")) or field.startswith((f"{path}.", f"{path}["))


def _with(base: TrainSpec, parameters: Mapping[str, Any]) -> tuple[TrainSpec, Sequence[int]]:
    """The base with other settings, whose sections alone are read anew: specs may have thousands of columns; and the
    places that its inputs have in the base."""
    changed = {str(_steps(path)[0]) for path in parameters}
    values = {name: deepcopy(value) for name, value in base.compact(changed).items()}
    # a section as a whole before what lies in it
    for path, value in sorted(parameters.items(), key=lambda item: len(item[0])):
        _put(values, path, value)
    active = take_inactive(values, len(base.input_features))
    try:
        read = TrainSpec.model_validate(with_long_forms(values))
    except ValidationError as error:
        raise InvalidInputError(
            [_named(detail, parameters, active) for detail in error.errors(include_url=False)[:10]]
        ) from None
    return base.model_copy(update={name: getattr(read, name) for name in changed}), active


def _named(detail: Any, parameters: Mapping[str, Any], active: Sequence[int]) -> Violation:
    """A violation of the parameter that brought the value."""
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in detail["loc"]).removeprefix(".")
    field = named_before(field, active)
    path = next((path for path in parameters if _touches(field, path)), "")
    what = f"{field}: " if field != path else ""
    return Violation(
        f"sweep.parameters.{path}" if path else "sweep.parameters",
        f"{what}{detail['msg'][0].lower()}{detail['msg'][1:]}",
    )


def _put(values: dict[str, Any], path: str, value: Any) -> None:
    """Sets a value by its path, through sections that come to be; raises InvalidInputError for a path to nowhere."""
    steps = _steps(path)
    target: Any = values
    for step, following in itertools.pairwise(steps):
        if isinstance(step, int):
            if not isinstance(target, list) or step >= len(target):
                raise _nowhere(path, f"there is no [{step}]")
            target = target[step]
        else:
            if isinstance(following, int) and step not in target:
                raise _nowhere(path, f"there is no {step!r}")
            target = target.setdefault(step, {})
        if not isinstance(target, dict | list):
            raise _nowhere(path, f"{step!r} is no section")
    if isinstance(steps[-1], int) or not isinstance(target, dict):
        raise _nowhere(path, "it names no setting")
    if value is None or value == "auto":
        target.pop(steps[-1], None)
    else:
        target[steps[-1]] = deepcopy(value)  # a setting inside it may be another parameter


def _steps(path: str) -> list[str | int]:
    """`a[0].b` as a, 0, b."""
    steps: list[str | int] = []
    for part in path.split("."):
        found = _PART.fullmatch(part)
        if found is None:
            raise _nowhere(path, "it is no path; write e.g. trainer.learning_rate or input_features[0].encoder.type")
        steps += [found[1], *map(int, re.findall(r"\d+", found[2]))]
    if steps[0] in _SECTIONS or steps[0] not in TrainSpec.model_fields:
        raise _nowhere(path, f"{str(steps[0])[:80]!r} is no section that trials change")
    return steps


def _nowhere(path: str, message: str) -> InvalidInputError:
    return InvalidInputError(Violation(f"sweep.parameters.{path[:200]}", message))


class RandomSearch:
    """Draws each setting by itself."""

    def __init__(self, parameters: Mapping[str, SweepParameterSpec], seed: int) -> None:
        self._parameters, self._random = parameters, random.Random(seed)

    def ask(self) -> dict[str, Any] | None:
        """See Search."""
        return {path: self._drawn(each) for path, each in self._parameters.items()}

    def tell(self, value: float | None) -> None:
        """Nothing is learned of it."""

    def _drawn(self, parameter: SweepParameterSpec) -> Any:
        if parameter.choices:
            return self._random.choice(parameter.choices)
        assert parameter.min is not None and parameter.max is not None
        low, high = parameter.min, parameter.max
        if parameter.integer and parameter.scale != "log":
            return self._random.randint(round(low), round(high))
        if parameter.scale == "log":
            drawn = math.exp(self._random.uniform(math.log(low), math.log(high)))
        else:
            drawn = self._random.uniform(low, high)
        return min(max(round(drawn), round(low)), round(high)) if parameter.integer else drawn


class GridSearch:
    """Every combination, the last parameter's choices first."""

    def __init__(self, parameters: Mapping[str, SweepParameterSpec]) -> None:
        names, choices = list(parameters), [each.choices for each in parameters.values()]
        self._combinations = (dict(zip(names, values, strict=True)) for values in itertools.product(*choices))

    def ask(self) -> dict[str, Any] | None:
        """See Search."""
        return next(self._combinations, None)

    def tell(self, value: float | None) -> None:
        """Nothing is learned of it."""


class ParzenSearch:
    """Tree-structured Parzen estimator (Bergstra et al. 2011), as Optuna has it (arXiv:1907.10902)."""

    def __init__(self, parameters: Mapping[str, SweepParameterSpec], seed: int) -> None:
        import optuna  # an extra

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self._parameters = optuna, parameters
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        self._trial: Any = None

    def ask(self) -> dict[str, Any] | None:
        """See Search."""
        self._trial = self._study.ask()
        return {path: self._suggested(path, each) for path, each in self._parameters.items()}

    def tell(self, value: float | None) -> None:
        """See Search."""
        failed = self._optuna.trial.TrialState.FAIL if value is None else None
        self._study.tell(self._trial, value, state=failed)

    def _suggested(self, path: str, parameter: SweepParameterSpec) -> Any:
        if parameter.choices:
            # by place: Optuna's own choices are scalars
            return parameter.choices[self._trial.suggest_categorical(path, range(len(parameter.choices)))]
        low, high, log = parameter.min, parameter.max, parameter.scale == "log"
        if parameter.integer:
            return self._trial.suggest_int(path, round(low or 0), round(high or 0), log=log)
        return self._trial.suggest_float(path, low, high, log=log)


def search_of(spec: TrainSpec) -> Search:
    """The search that a sweep asks for."""
    # in one order, in which a message's map does not keep them: what is drawn follows from the spec and its seed
    parameters = dict(sorted(spec.sweep.parameters.items()))
    seed = spec.trainer.random_seed if spec.trainer.random_seed is not None else 42
    match spec.sweep.search:
        case "grid":
            return GridSearch(parameters)
        case "tpe":
            return ParzenSearch(parameters, seed % (1 << 32))
        case _:
            return RandomSearch(parameters, seed)
