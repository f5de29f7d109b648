"""A browser, and a server with runs to look at. `make test-page` runs these tests; nothing else collects them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import headstart
import pytest

from tests.page.browsing import Browsing
from tests.page.stored_jobs import store_failed_job
from tests.support import reviews
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
HOSTILE = "<img src=x onerror=alert(1)>"
"""What somebody may call a job."""


def chromium() -> str:
    """Where Chromium is, or empty."""
    given = os.environ.get("CHROMIUM", "")
    return given or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome") or ""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright; make test-page installs it")
    path = chromium()
    if not path:
        pytest.skip("no Chromium found; install one, or set CHROMIUM to its path")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=path, args=[*_FLAGS, "--disable-sync", "--no-first-run"])
        yield opened
        opened.close()


@pytest.fixture
def browsing(browser: Any) -> Iterator[Browsing]:
    """Opens pages; what they complain of fails the test."""
    found = Browsing(browser)
    yield found
    found.close()
    assert found.complaints == []


@pytest.fixture(scope="session")
def roots(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Flags that name models and data."""
    models, data = tmp_path_factory.mktemp("models"), tmp_path_factory.mktemp("data")
    save_bert(models / "tiny-bert")
    reviews.write_csv(data / "reviews.csv", reviews.make_rows(400))
    return ("--model-root", str(models), "--data-root", str(data), "--fast-precision", "fp32")


@dataclass(frozen=True)
class Site:
    """A server with two finished runs, a failed one, and a model."""

    server: RunningServer
    runs: tuple[str, str]
    failed: str
    model: str

    def url(self, path: str) -> str:
        """Of a view, with the ids of what is there: `#/jobs/{run}`."""
        first, second = self.runs
        return f"{self.server.url}/{path.format(run=first, other=second, failed=self.failed, model=self.model)}"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, roots: tuple[str, ...]) -> Iterator[Site]:
    state: Path = tmp_path_factory.mktemp("state")
    failed = store_failed_job(state)
    with RunningServer(state, *roots, http=True) as server, server.client() as client:
        several = reviews.spec(epochs=3)
        several["output_features"] += [{"name": "score", "type": "number"}, {"name": "watched", "type": "binary"}]
        data = headstart.ServerPath("reviews.csv")
        first = client.train(several, data, display_name=HOSTILE).result()
        second = client.train(reviews.spec(epochs=4, learning_rate=0.002), data, display_name="slower").result()
        runs = (_id(first.name), _id(second.name))
        yield Site(server, runs, failed, _id(first.model))


def _id(name: str) -> str:
    return name.split("/")[1]
