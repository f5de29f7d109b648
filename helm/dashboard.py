"""Writes the chart's Grafana dashboard, of the panels in panels.py.

Usage: python -m helm.dashboard
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helm.panels import ROWS, Panel

PATH = Path(__file__).parent / "headstart" / "files" / "dashboard.json"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _ACROSS = 8, 8, 3


def dashboard() -> dict[str, Any]:
    """The dashboard, as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, found in ROWS.items():
        panels.append({"type": "row", "title": title, "id": len(panels) + 1, "gridPos": _place(0, top, 24, 1)})
        for index, panel in enumerate(found):
            line, column = divmod(index, _ACROSS)
            place = _place(_WIDTH * column, top + 1 + _HEIGHT * line, _WIDTH, _HEIGHT)
            panels.append(_panel(len(panels) + 1, panel, place))
        top += 1 + _HEIGHT * -(-len(found) // _ACROSS)
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
    found = [query for panels in ROWS.values() for panel in panels for query in panel.queries.values()]
    return [query.replace("$__rate_interval", "5m").replace("$instance", ".*") for query in found]


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + index), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
        for index, (legend, query) in enumerate(panel.queries.items())
    ]
    return {
        "type": "timeseries",
        "id": number,
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": targets,
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
