"""A real Prometheus in a process of its own, which scrapes one server every second."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.support.chart import CHART

_START_SECONDS = 60.0
Series = dict[str, Any]


class Scraper:
    """Use as a context; it has the chart's rules."""

    def __init__(self, program: Path, folder: Path, target: str) -> None:
        self._folder = folder
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(CHART / "files" / "alerts.yaml")],
            "scrape_configs": [{"job_name": "headstart", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self._command = [
            str(program),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self._address}",
        ]
        self.started = 0.0

    def __enter__(self) -> Scraper:
        self.started = time.time()
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while not self._ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "prometheus.log").read_text())
            time.sleep(0.1)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(30)

    def get(self, path: str, **parameters: Any) -> Any:
        """What its API answers: https://prometheus.io/docs/prometheus/latest/querying/api/"""
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(url, timeout=60) as answer:
            return json.load(answer)["data"]

    def over_time(self, query: str) -> list[list[float]]:
        """The finite values of each series that a query has had at any second since the start."""
        found = self.get("query_range", query=query, start=self.started, end=time.time(), step=1)["result"]
        values = [[float(value) for _, value in series["values"]] for series in found]
        return [finite for series in values if (finite := [value for value in series if math.isfinite(value)])]

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self._address}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
