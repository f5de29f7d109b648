"""Breaks servers and workers while clients work, and has a program that knows only the contract check what they saw.

    python -m tests.faults.run --count 1000 --seed 1

Every other run has two servers on one PostgreSQL. Each follows from its seed, though not when its faults meet the jobs;
`--only SEED` runs one of them again, on servers of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from tests.faults.checker import faults_of
from tests.faults.history import Curve, Ending, History, curve_of
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

    def run(self, seeds: Sequence[int], *, pair: bool) -> Iterator[Report]:
        """One run after another on the same two servers, or on one: what earlier ones left is looked at again after
        each, and processes after the last. Ends early where a client hangs, as nobody knows what it still does."""
        world = World(self._root / f"world-{seeds[0]}", self._data, self._cluster if pair else None, uuid4().hex)
        history, told = History(), set[str]()
        report = Report(seeds[0], len(world.servers))
        with world.running():
            for seed in seeds:
                if seed != seeds[0]:
                    yield report
                scenario, report = Scenario(world, seed, history), Report(seed, len(world.servers))
                before = len(history.names)
                try:
                    ending = scenario.run()
                except Exception:  # noqa: BLE001 - whatever it is, a client that kept to the contract saw it
                    report.wrong = [traceback.format_exc()]
                    break
                finally:
                    report.injected = scenario.injected
                    report.jobs = len(history.names) - before
                report.wrong = [fault for fault in faults_of(history, ending, self._curves) if fault not in told]
                told.update(report.wrong)
        report.wrong += faults_of(History(), Ending(processes=world.processes()), self._curves)
        yield report


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
    end = time.monotonic() + (arguments.minutes * 60 if arguments.minutes else float("inf"))
    if arguments.only is not None:
        batches: list[Sequence[int]] = [[arguments.only]]
    else:
        batches = list(_batches(range(arguments.seed, arguments.seed + arguments.count), arguments.runs_per_world))
    with tempfile.TemporaryDirectory(prefix="headstart-faults-") as folder, runs_in(Path(folder), pairs=True) as runs:

        def batch(seeds: Sequence[int]) -> Counter[str]:
            counted: Counter[str] = Counter()
            if time.monotonic() < end:
                for report in runs.run(seeds, pair=seeds[0] % 2 == 0):
                    counted += _told(report)
            return counted

        with ThreadPoolExecutor(arguments.worlds) as pool:
            counted = sum(pool.map(batch, batches), Counter[str]())
    print(", ".join(f"{counted[name]} {name}" for name in ("runs", "jobs", "injected", "wrong")))
    return 1 if counted["wrong"] else 0


def _batches(seeds: range, size: int) -> Iterator[Sequence[int]]:
    """Seeds of a world each: even ones run on two servers, odd ones on one."""
    for start in range(0, len(seeds), 2 * size):
        for parity in (0, 1):
            if batch := seeds[start : start + 2 * size][parity::2]:
                yield batch


def _told(report: Report) -> Counter[str]:
    lines = [f"{report.seed}: {report.servers} servers, {report.jobs} jobs; {'; '.join(report.injected)}"]
    lines += [f"   WRONG: {wrong}" for wrong in report.wrong]
    print("\n".join(lines), flush=True)
    return Counter(runs=1, jobs=report.jobs, injected=len(report.injected), wrong=len(report.wrong))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000, help="runs")
    parser.add_argument("--seed", type=int, default=1, help="of the first; the others follow")
    parser.add_argument("--only", type=int, help="the seed of the only run")
    parser.add_argument("--minutes", type=float, help="begin no world after so long")
    parser.add_argument("--runs-per-world", type=int, default=10, help="runs on the same servers, one after another")
    parser.add_argument("--worlds", type=int, default=3, help="of servers, beside each other")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
