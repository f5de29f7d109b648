"""Writes docs/metrics.md from the code: python -m tests.contract.metrics"""

from __future__ import annotations

from pathlib import Path

from headstart_server.metrics import DEFINITIONS, Definition

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
_HEAD = """# Metrics

Written by `make docs` from `server/headstart_server/metrics.py`.

`/metrics` answers Prometheus with what stands below, and with `process_*` and `python_*` of the server's own process.
Counters and histograms begin at 0 with each start of the server. Gauges of jobs, files and processes are read from the
job database, the disk and the system when somebody scrapes (files once in 15 seconds at most, processes once in 5), so
they are right from the first scrape on, whoever did the work. What jobs on Ray do is counted by the server whose jobs
they are, as they report it; what their workers evict and quarantine on other machines is not.

Labels have few values: `train_job` is there for running jobs alone (`--concurrent-jobs` at most), `code` is a gRPC
status, `reason` one of [errors.md](errors.md), `service` and `method` those of the contract. Health checks and
reflection are not counted. A source that does not answer for two seconds, such as a database that is away, leaves what
it said last in the scrapes of the next minute, and nothing from then on (`headstart_reading_failures_total`).
Alerts and panels on these metrics come with the chart; [operations.md](operations.md) says what to do when an alert
fires.
"""


def document() -> str:
    """The page."""
    rows = [_row(definition) for definition in DEFINITIONS.values()]
    return "\n".join([_HEAD, "| metric | type | labels | what it is |", "|---|---|---|---|", *rows]) + "\n"


def _row(definition: Definition) -> str:
    labels = ", ".join(f"`{label}`" for label in definition.labels)
    return f"| `{definition.name}` | {definition.kind} | {labels} | {definition.text} |"


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
