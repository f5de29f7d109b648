"""Ludwig's `hyperopt`, as a sweep."""

from __future__ import annotations

import re
from typing import Any

from headstart_server.spec.ludwig.rewriting import Reading, Section, Spelling

_SPACES: dict[str, dict[str, Any]] = {
    "uniform": {},
    "quniform": {},
    "loguniform": {"scale": "log"},
    "qloguniform": {"scale": "log"},
    "randint": {"integer": True},
    "qrandint": {"integer": True},
    "lograndint": {"scale": "log", "integer": True},
    "qlograndint": {"scale": "log", "integer": True},
}
_EXCLUSIVE = ("randint", "lograndint")
"""Spaces of Ray Tune whose upper end is left out; of their quantised kinds it is not."""
_SEARCHES = {
    **dict.fromkeys(("random", "variant_generator", "basic"), "random"),
    **dict.fromkeys(("hyperopt", "optuna"), "tpe"),
}
_FEATURE = re.compile(r"([^.\[\]]+)\.(.+)")


def _hyperopt(section: Section, path: str, reading: Reading) -> None:
    found = section.pop("hyperopt")
    if found is None:
        return
    if not isinstance(found, dict):
        return reading.refuse(path, "must be a mapping; see sweep")
    if "sweep" in section:
        return reading.refuse(path, "and sweep are given; keep one of them")
    sweep: Section = {}
    parameters = found.pop("parameters", {})
    grid = isinstance(parameters, dict) and all(
        isinstance(each, dict) and each.get("space") == "grid_search" for each in parameters.values()
    )
    if not isinstance(parameters, dict) or not parameters:
        return reading.refuse(f"{path}.parameters", "names no setting to try")
    sweep["parameters"] = {
        _place(str(name), section): _space(space, f"{path}.parameters.{name}", reading)
        for name, space in parameters.items()
    }
    _metric(found, sweep, path, reading)
    _search(found, sweep, path, reading, grid=grid)
    _executor(found, sweep, path, reading)
    if grid and sweep.pop("trials", None) not in (None, 1):
        reading.note(f"{path}.executor.num_samples", "has no effect: the same seed makes the same grid of trials again")
    if not grid and any(isinstance(each, dict) and each.get("space") == "grid_search" for each in parameters.values()):
        reading.note(f"{path}.parameters", "grid_search beside other spaces is drawn from at random, as choice is")
    for key in found:
        reading.refuse(f"{path}.{str(key)[:80]}", "has no counterpart in a sweep; leave it out")
    section["sweep"] = sweep
    reading.note(path, "read as sweep")
    reading.moves["sweep"] = path


def _place(name: str, spec: Section) -> str:
    """`title.encoder.type` of a feature called `title`, by its place."""
    parts = _FEATURE.fullmatch(name)
    for side in ("input_features", "output_features"):
        features = spec.get(side)
        for index, feature in enumerate(features if isinstance(features, list) else ()):
            if parts and isinstance(feature, dict) and feature.get("name") == parts[1]:
                return f"{side}[{index}].{parts[2]}"
    return name.replace("training.", "trainer.", 1) if name.startswith("training.") else name


def _space(space: Any, path: str, reading: Reading) -> Any:
    kind = space.get("space", "choice") if isinstance(space, dict) else None
    if kind in ("choice", "grid_search"):
        return {"choices": space.get("categories", space.get("values", []))}
    if not isinstance(kind, str) or kind not in _SPACES or not isinstance(space, dict):
        shown = str(kind)[:80]
        reading.refuse(path, f"space {shown!r} is not known here; use choice, {', '.join(_SPACES)}")
        return {}
    if "q" in space or "base" in space:
        reading.note(path, "steps (q) and bases have no effect: numbers are drawn from the whole range")
    lower, upper = space.get("lower"), space.get("upper")
    if kind in _EXCLUSIVE and isinstance(upper, int):
        upper -= 1
    return {"min": lower, "max": upper, **_SPACES[str(kind)]}


def _metric(found: Section, sweep: Section, path: str, reading: Reading) -> None:
    metric, output = found.pop("metric", None), found.pop("output_feature", None)
    if found.pop("split", "validation") != "validation":
        reading.refuse(f"{path}.split", "trials are compared on the validation rows; leave it out")
    if found.pop("goal", None) is not None:
        reading.note(f"{path}.goal", "has no effect: which way a metric improves follows from it")
    # what Ludwig compares by where nothing is said; a sweep would take accuracy
    metric = "loss" if metric in (None, "auto") else metric
    sweep["metric"] = metric if output in (None, "combined", "auto") else f"{output}.{metric}"


def _search(found: Section, sweep: Section, path: str, reading: Reading, *, grid: bool) -> None:
    search = found.pop("search_alg", None) or found.pop("sampler", None)
    kind = search.get("type") if isinstance(search, dict) else search
    if kind is None:
        sweep["search"] = "grid" if grid else "random"
    elif isinstance(kind, str) and kind in _SEARCHES:
        sweep["search"] = "grid" if grid else _SEARCHES[kind]
    else:
        reading.refuse(f"{path}.search_alg.type", f"{str(kind)[:80]!r} is not known here; use {', '.join(_SEARCHES)}")


def _executor(found: Section, sweep: Section, path: str, reading: Reading) -> None:
    executor = found.pop("executor", None) or {}
    if not isinstance(executor, dict):
        return reading.refuse(f"{path}.executor", "must be a mapping")
    for key, name in (("num_samples", "trials"), ("time_budget_s", "seconds")):
        if executor.get(key) is not None:
            sweep[name] = executor[key]
    scheduler = executor.get("scheduler")
    if isinstance(scheduler, dict) and scheduler.get("type", "fifo") != "fifo":
        reading.refuse(
            f"{path}.executor.scheduler", "trials are not stopped by their epochs; use sweep.halving, which is by rows"
        )
    idle = [key for key in executor if key not in ("num_samples", "time_budget_s", "scheduler")]
    if idle:
        reading.note(f"{path}.executor", f"{', '.join(map(str, idle))[:200]}: no effect, trials run one by one")


HYPEROPT_SPELLINGS = (Spelling("", "hyperopt", "`sweep`: spaces, metric, search and budget", _hyperopt),)
