"""What the chart's alerts and panels ask Prometheus."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.support.chart import CHART

PROCESS = {
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
    "process_max_fds",
    "process_start_time_seconds",
}
"""Metrics of prometheus_client's own that alerts and panels use."""
_NAME = re.compile(r"\b(?:up|headstart_\w+|process_\w+)\b")
_ENDING = re.compile(r"_(?:bucket|sum|count)$")


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    groups = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alert_queries() -> list[str]:
    """What each alert asks."""
    return [rule["expr"] for rule in rules()]


def metric_names(query: str) -> set[str]:
    """The metrics that a query reads, histograms without their endings."""
    # what stands in quotes or names labels is none
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"", "", query)
    return {_ENDING.sub("", name) for name in _NAME.findall(bare)}
