"""Alerts and the dashboard: what the chart installs of them, and that each alert is tried and explained."""

from __future__ import annotations

import json

import pytest
import yaml
from headstart_server.metrics import DEFINITIONS

from helm import dashboard
from tests.support.chart import CHART, ROOT, of_kind, rendered
from tests.support.queries import PROCESS, alert_queries, metric_names, rules


def test_alerts_are_of_the_release_whatever_it_is_called(program: str) -> None:
    """A ServiceMonitor's targets have its Service's name for a job."""
    found = rendered(program, "--set", "nameOverride=engine,metrics.prometheusRule.enabled=true")
    asked = json.dumps(of_kind(found, "PrometheusRule")["spec"])
    assert ".*headstart.*" not in asked
    assert asked.count('job=\\"hs-engine\\"') == 4
    assert "hs-engine" in [item["metadata"]["name"] for item in found if item["kind"] == "Service"]


def test_alerts_and_dashboard_travel_whole(program: str) -> None:
    found = rendered(program, "--values", CHART / "ci" / "everything-values.yaml")
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text().replace('=~".*headstart.*"', '="hs-engine"'))
    assert of_kind(found, "PrometheusRule")["spec"] == alerts
    [board] = [item for item in found if item["kind"] == "ConfigMap" and "headstart.json" in item["data"]]
    assert json.loads(board["data"]["headstart.json"]) == dashboard.dashboard()
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_every_metric_of_an_alert_or_a_panel_is_one_of_the_servers() -> None:
    named = set().union(*map(metric_names, [*alert_queries(), *dashboard.queries()]))
    assert named - PROCESS - DEFINITIONS.keys() == {"up"}


@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_every_alert_is_made_to_fire_and_to_clear_and_is_explained(alert: str) -> None:
    cases = yaml.safe_load((CHART / "files" / "alerts_test.yaml").read_text())["tests"]
    checks = [check for case in cases for check in case["alert_rule_test"] if check["alertname"] == alert]
    assert {bool(check.get("exp_alerts")) for check in checks} == {True, False}
    assert f"`{alert}`" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
