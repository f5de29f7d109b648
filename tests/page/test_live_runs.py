"""A run that goes on: its curves grow, whatever becomes of the connection, and it can be stopped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import headstart
import pytest
from headstart.v1.training_pb2 import TrainJobEvent

from tests.integration.test_restarts import free_port
from tests.page.browsing import Browsing, figure_of, table_of
from tests.support import reviews
from tests.support.running_server import RunningServer

DATA = headstart.ServerPath("reviews.csv")
EPOCHS = 120
LONG: dict[str, Any] = {"batch_size": 4, "early_stop": 0}


@pytest.fixture
def server(tmp_path: Path, roots: tuple[str, ...]) -> Iterator[RunningServer]:
    with RunningServer(tmp_path / "state", *roots, "--http-port", str(free_port()), http=True) as started:
        yield started


def start(server: RunningServer, epochs: int) -> str:
    """Starts a run; returns its id."""
    with server.client() as client:
        return client.train(reviews.spec(epochs=epochs, **LONG), DATA).name.split("/")[1]


def evaluations(page: Any) -> int:
    """Epochs that the curves have now."""
    rows = table_of(figure_of(page, "verdict accuracy"))
    return len(rows)


def wait_for(page: Any, is_true: Callable[[], bool], tries: int = 600) -> None:
    """Waits until something holds; the page goes on meanwhile."""
    for _ in range(tries):
        if is_true():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it has not come true within a minute")


def test_curves_grow_while_a_run_goes_on_and_escape_does_not_stop_it(server: RunningServer, browsing: Browsing) -> None:
    page = browsing.open(f"{server.url}/#/jobs/{start(server, 100_000)}")
    page.get_by_text("Live", exact=True).wait_for()
    figure_of(page, "verdict accuracy").wait_for()
    first = evaluations(page)
    wait_for(page, lambda: evaluations(page) >= first + 3)
    page.get_by_role("button", name="Cancel run").press("Enter")
    page.get_by_role("dialog").press("Escape")
    assert page.get_by_text("Training", exact=True).first.is_visible()
    page.get_by_role("button", name="Cancel run").press("Enter")
    page.get_by_role("dialog").get_by_role("button", name="Cancel run").press("Enter")
    page.get_by_text("Cancelled", exact=True).wait_for()
    assert page.get_by_role("button", name="Cancel run").is_hidden()


def test_a_run_is_paused_and_resumed_and_its_curves_go_on(server: RunningServer, browsing: Browsing) -> None:
    page = browsing.open(f"{server.url}/#/jobs/{start(server, 100_000)}")
    figure_of(page, "verdict accuracy").wait_for()
    page.get_by_role("button", name="Pause run").press("Enter")
    page.get_by_text("Paused: it goes on from its checkpoint when it is resumed.").wait_for()
    before = evaluations(page)
    page.get_by_role("button", name="Resume run").press("Enter")
    page.get_by_role("button", name="Pause run").wait_for()
    wait_for(page, lambda: evaluations(page) >= before + 3)


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_server_that_restarts_loses_and_doubles_no_point(end: str, server: RunningServer, browsing: Browsing) -> None:
    job = start(server, EPOCHS)
    page = browsing.open(f"{server.url}/#/jobs/{job}")
    figure_of(page, "verdict accuracy").wait_for()
    wait_for(page, lambda: evaluations(page) >= 3)
    getattr(server, end)()
    page.get_by_text("Reconnecting", exact=True).wait_for()
    before = evaluations(page)
    assert before < EPOCHS
    server.start()
    page.get_by_text("Live", exact=True).wait_for()
    page.get_by_text("Succeeded", exact=True).wait_for(timeout=180_000)
    with server.client() as client:
        events = list(client.watch(f"trainJobs/{job}"))
    wait_for(page, lambda: evaluations(page) == EPOCHS)
    assert plotted(page, "verdict accuracy", 3) == evaluated(events, "verdict.accuracy")
    assert plotted(page, "Learning rate", 1) == stepped(events)


def plotted(page: Any, title: str, curves: int) -> dict[int, list[float]]:
    """Values by step, rounded, as the figure's table has them."""
    rows = table_of(figure_of(page, title))
    found = {
        int(row[0].replace(",", "")): [float(f"{float(cell):.3g}") for cell in row[1 : curves + 1]] for row in rows
    }
    assert len(found) == len(rows)
    return found


def evaluated(events: list[TrainJobEvent], metric: str) -> dict[int, list[float]]:
    """What the log says of a metric of training, validation and test, by step."""
    epochs = [event.epoch_finished for event in events if event.HasField("epoch_finished")]
    return {one.step: [rounded(part[metric]) for part in (one.train, one.validation, one.test)] for one in epochs}


def stepped(events: list[TrainJobEvent]) -> dict[int, list[float]]:
    """What the log says of the learning rate, by step."""
    steps = [event.step_progress for event in events if event.HasField("step_progress")]
    return {one.step: [rounded(one.learning_rate)] for one in steps}


def rounded(value: float) -> float:
    """To the digits that are shown of every number."""
    return float(f"{float(f'{value:.4g}' if abs(value) >= 1e-4 else f'{value:.2e}'):.3g}")


def test_a_queued_run_says_how_many_are_before_it(server: RunningServer, browsing: Browsing) -> None:
    start(server, 100_000), start(server, 1)
    last = start(server, 1)
    page = browsing.open(f"{server.url}/#/jobs/{last}")
    page.get_by_text(re.compile(r"1 queued job before it; waits for the running job")).wait_for()
    page.goto(f"{server.url}/#/jobs")
    page.get_by_text("1 queued job before it; waits for the running job").wait_for()
    page.get_by_text(re.compile(r"\d+ %, .* left")).wait_for()


def test_a_sweeps_trials_stand_in_a_table_the_best_first(server: RunningServer, browsing: Browsing) -> None:
    rates = {"trainer.learning_rate": [0.00001, 0.05, 0.02]}
    with server.client() as client:
        spec = reviews.spec(epochs=3) | {"sweep": {"search": "grid", "parameters": rates}}
        job = client.train(spec, DATA).result()
        board = client.jobs.get(job.name).trials
    page = browsing.open(f"{server.url}/#/{job.name.replace('trainJobs', 'jobs')}")
    section = page.get_by_role("region", name="Trials").first
    section.get_by_text("3 of 3 trials, the best first").wait_for()
    cells = section.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.cells].map(cell => cell.textContent))"
    )
    assert [int(row[0]) for row in cells] == [trial.number for trial in board]
    assert "best so far" in cells[0][1] and "trainer.learning_rate: " in cells[0][2]
    assert browsing.complaints == []
