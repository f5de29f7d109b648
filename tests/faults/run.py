"""Breaks servers and workers while clients work, and has a program that knows only the contract check what they saw.

    python -m tests.faults.run --count 1000 --seed 1

Every other run has two servers on one PostgreSQL. Each follows from its seed, though not when its faults meet the jobs;
`--only SEED` runs one of them again.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.faults.checker import faults_of
from tests.faults.history import Curve, curve_of
from tests.faults.scenario import Scenario, unbroken_curves
from tests.faults.world import World, make_data
from tests.support.postgres import PostgresCluster, postgres_binaries


@dataclass
class Report:
    """What one run was, and what was wrong with it."""

    seed: int
    servers: int
    jobs: int = 0
    injected: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Runs:
    """Runs over common rows and weights, against the curves of unbroken runs."""

    def __init__(self, root: Path, cluster: PostgresCluster | None) -> None:
        self._root, self._data, self._cluster = root, root / "common", cluster
        make_data(self._data)
        world = World(root / "unbroken", self._data, None, uuid4().hex)
        with world.running():
            logs = unbroken_curves(world)
        self._curves: Mapping[str, Curve] = {spec: curve_of(log) for spec, log in logs.items()}

    def run(self, seed: int, *, pair: bool) -> Report:
        """One run, on two servers or on one."""
        world = World(self._root / f"run-{seed}", self._data, self._cluster if pair else None, uuid4().hex)
        scenario, report = Scenario(world, seed), Report(seed, len(world.servers))
        with world.running():
            ending = scenario.run()
        ending.processes = world.processes()
        report.jobs, report.injected = len(ending.jobs), scenario.injected
        report.wrong = faults_of(scenario.history, ending, self._curves)
        return report


@contextmanager
def runs_in(folder: Path, *, pairs: bool) -> Iterator[Runs]:
    """Runs, and the PostgreSQL that they need where there are pairs of servers."""
    binaries = postgres_binaries() if pairs else None
    if pairs and binaries is None:
        raise RuntimeError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    cluster = PostgresCluster(binaries) if binaries is not None else None
    try:
        yield Runs(folder, cluster)
    finally:
        if cluster is not None:
            cluster.remove()


def main(argv: list[str]) -> int:
    """Runs them; returns the exit code: 0 where nothing was wrong."""
    arguments = _parser().parse_args(argv)
    seeds = [arguments.only] if arguments.only is not None else range(arguments.seed, arguments.seed + arguments.count)
    counted: Counter[str] = Counter()
    end = time.monotonic() + (arguments.minutes * 60 if arguments.minutes else float("inf"))
    with tempfile.TemporaryDirectory(prefix="headstart-faults-") as folder, runs_in(Path(folder), pairs=True) as runs:
        for seed in seeds:
            if time.monotonic() > end:
                break
            report = runs.run(seed, pair=seed % 2 == 0)
            counted.update(runs=1, jobs=report.jobs, injected=len(report.injected), wrong=len(report.wrong))
            print(f"{seed}: {report.servers} servers, {report.jobs} jobs; {'; '.join(report.injected)}", flush=True)
            for wrong in report.wrong:
                print(f"   WRONG: {wrong}", flush=True)
    print(", ".join(f"{counted[name]} {name}" for name in ("runs", "jobs", "injected", "wrong")))
    return 1 if counted["wrong"] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="runs")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    parser.add_argument("--only", type=int, help="the seed of the only run")
    parser.add_argument("--minutes", type=float, help="begin no run after so long")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
