"""The embedding pass on a Ray cluster: what a second actor brings, and who encoded how many rows."""

from typing import Any

import headstart

from benchmarks.support.clock import Sample
from benchmarks.support.corpus import corpus, write_csv
from benchmarks.support.jobs import FollowedJob, follow, text_spec
from benchmarks.support.report import Column, Report, Table
from benchmarks.support.scale import Bench
from benchmarks.support.server import running_server

_ACTORS = (1, 2)
_COLUMNS = (
    Column("actors", "actors"),
    Column("encoded", "encoded by each", "{}"),
    Column("repeated", "repeated", "{:,}"),
    Column("twice", "rows encoded twice", "{:,}"),
    Column("busy", "rows/s while they encode", "{:,.0f}"),
    Column("spread", "spread", "{:.0%}"),
    Column("over", "over one actor", "{:.2f}×"),
    Column("whole", "rows/s with their start", "{:,.0f}"),
    Column("overall", "over one actor, with their start", "{:.2f}×"),
)


def run(bench: Bench) -> Report:
    """Jobs over empty stores, one actor and two in turns; each actor reserves one core and has one."""
    found = corpus(bench.data_root, "text/sst2").head(bench.pick(10_000, 1_000), 10)
    jobs: dict[int, list[FollowedJob]] = {actors: [] for actors in _ACTORS}
    for turn in range(bench.pick(3, 1)):
        for actors in _ACTORS if turn % 2 == 0 else _ACTORS[::-1]:
            folder = bench.scratch / f"{actors}-{turn}"
            with running_server(folder / "state", folder) as address, headstart.Client(address) as client:
                train = write_csv(folder / "train.csv", found.train)
                jobs[actors].append(follow(client, _spec(actors), train))
    return Report(
        "ray_pass",
        "Whether the rows of an embedding pass are shared evenly among Ray's actors, and what that gives.",
        f"{found.origin}; {len(found.train['text']):,} rows",
        [Table(_COLUMNS, _rows(jobs))],
        [
            "Speed while they encode is the sum of the actors' own; with their start, it is rows over the whole pass, "
            "in which every actor imports torch and loads the weights first.",
            "Two actors on a machine of two cores leave none for the driver and for Ray's own processes.",
        ],
    )


def _spec(actors: int) -> dict[str, Any]:
    spec = text_spec("text", "label", trainer={"epochs": 1})
    return {**spec, "backend": {"type": "ray", "trainer": {"num_workers": actors}}}


def _rows(jobs: dict[int, list[FollowedJob]]) -> list[dict[str, object]]:
    table: list[dict[str, object]] = []
    for actors, done in jobs.items():
        passes = [job.encode for job in done]
        busy = Sample(tuple(sum(worker.rows_per_second for worker in item.workers) for item in passes))
        whole = Sample(tuple(item.rows_per_second for item in passes))
        first: Any = table[0] if table else {"busy": busy.median, "whole": whole.median}
        last = passes[-1]
        distinct = last.rows_total - last.rows_repeated
        table.append(
            {
                "actors": actors,
                "encoded": " + ".join(str(worker.rows) for worker in last.workers),
                "repeated": last.rows_repeated,
                "twice": sum(worker.rows for worker in last.workers) - distinct,
                "busy": busy.median,
                "spread": busy.spread,
                "over": busy.median / first["busy"],
                "whole": whole.median,
                "overall": whole.median / first["whole"],
            }
        )
    return table
