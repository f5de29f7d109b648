"""Writes the chart's Grafana dashboard: a row of panels per question, each one query or a few.

Usage: python helm/dashboard.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATH = Path(__file__).parent / "headstart" / "files" / "dashboard.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_OF = 'instance=~"$instance"'

ROWS: dict[str, list[tuple[str, str, dict[str, str]]]] = {
    "Jobs": [
        ("Jobs by state", "short", {"{{state}}": f"sum by (state) (headstart_jobs{{{_OF}}})"}),
        ("Training speed", "rowsps", {"rows/s": f"headstart_training_rows_per_second{{{_OF}}}"}),
        (
            "Rows of embedding passes",
            "rowsps",
            {"{{outcome}}": f"sum by (outcome) (rate(headstart_embedding_rows_total{{{_OF}}}[$__rate_interval]))"},
        ),
    ],
    "Calls": [
        (
            "Calls by status",
            "reqps",
            {"{{code}}": f"sum by (code) (rate(headstart_rpcs_total{{{_OF}}}[$__rate_interval]))"},
        ),
        (
            "Duration of calls, 99th percentile",
            "s",
            {
                "{{method}}": "histogram_quantile(0.99, sum by (method, le) "
                f"(rate(headstart_rpc_seconds_bucket{{{_OF}}}[$__rate_interval])))"
            },
        ),
        (
            "Predictions that share a batch, and their wait",
            "short",
            {
                "rows of a batch, mean": f"sum(rate(headstart_predict_batch_rows_sum{{{_OF}}}[$__rate_interval])) / "
                f"sum(rate(headstart_predict_batch_rows_count{{{_OF}}}[$__rate_interval]))",
                "wait in s, 99th percentile": "histogram_quantile(0.99, sum by (le) "
                f"(rate(headstart_predict_wait_seconds_bucket{{{_OF}}}[$__rate_interval])))",
            },
        ),
    ],
    "Store and process": [
        (
            "Embedding store",
            "bytes",
            {"bytes": f"sum(headstart_store_bytes{{{_OF}}})"},
        ),
        ("Shards", "short", {"shards": f"sum(headstart_store_shards{{{_OF}}})"}),
        (
            "Memory and cores of the server's process",
            "short",
            {
                "resident GiB": f"process_resident_memory_bytes{{{_OF}}} / 2^30",
                "cores": f"rate(process_cpu_seconds_total{{{_OF}}}[$__rate_interval])",
            },
        ),
    ],
}
"""Panels by row: title, unit, and queries by their legend."""


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    for row, (title, found) in enumerate(ROWS.items()):
        panels.append({"type": "row", "title": title, "id": len(panels) + 1, "gridPos": _place(row, 0, 24, 1)})
        for column, (name, unit, queries) in enumerate(found):
            panels.append(_panel(len(panels) + 1, name, unit, queries, _place(row, 8 * column, 8, 8, below=1)))
    return {
        "uid": "headstart",
        "title": "Headstart",
        "schemaVersion": 39,
        "tags": ["headstart"],
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                {
                    "name": "instance",
                    "type": "query",
                    "datasource": _SOURCE,
                    "query": "label_values(headstart_jobs, instance)",
                    "includeAll": True,
                    "multi": True,
                    "refresh": 2,
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels,
    }


def queries() -> list[str]:
    """Every query, as Prometheus takes it for all instances over five minutes."""
    found = [query for panels in ROWS.values() for _, _, queries in panels for query in queries.values()]
    return [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in found]


def _place(row: int, x: int, width: int, height: int, below: int = 0) -> dict[str, int]:
    return {"x": x, "y": 9 * row + below, "w": width, "h": height}


def _panel(number: int, title: str, unit: str, found: dict[str, str], place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
        for index, (legend, query) in enumerate(found.items())
    ]
    return {
        "type": "timeseries",
        "id": number,
        "title": title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": targets,
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
