"""A real Prometheus has of a server that trains, predicts, embeds and exports what alerts and panels ask for."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import headstart
import pytest
from headstart.v1 import training_pb2 as pb

from helm import dashboard
from tests.prometheus.scraper import Scraper
from tests.support import reviews
from tests.support.queries import alert_queries, metric_names
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

PROGRAM = os.environ.get("HEADSTART_PROMETHEUS", "")
if not PROGRAM:
    pytest.skip("HEADSTART_PROMETHEUS names no program: make test-prometheus", allow_module_level=True)

ONLY_WITH_A_GPU = {"headstart_gpu_memory_used_bytes", "headstart_gpu_memory_bytes", "headstart_gpu_allocated_bytes"}
"""Read where torch has a CUDA device that the server uses."""
QUERIES = [query for query in dashboard.queries() if not metric_names(query) & ONLY_WITH_A_GPU]
SCRAPES = 3.0
"""Seconds after which Prometheus has seen what has happened."""


@pytest.fixture(scope="module")
def scraper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraper]:
    root = tmp_path_factory.mktemp("prometheus")
    for name in ("models", "data", "scrapes"):
        (root / name).mkdir()
    save_bert(root / "models" / "tiny-bert")
    reviews.write_csv(root / "data" / "reviews.csv", reviews.make_rows(240))
    flags = ["--model-root", str(root / "models"), "--data-root", str(root / "data"), "--max-store-bytes", "1000000000"]
    with (
        RunningServer(root / "state", *flags, http=True) as server,
        Scraper(Path(PROGRAM), root / "scrapes", f"localhost:{server.http_port}") as found,
        server.client() as client,
    ):
        time.sleep(SCRAPES)  # as it is before anything has happened
        _use(server, client, root / "data" / "reviews.csv")
        time.sleep(SCRAPES)
        yield found


def _use(server: RunningServer, client: headstart.Client, table: Path) -> None:
    """Trains, twice; loses a worker; fails; predicts and embeds, twice; uploads, lists and exports."""
    source = headstart.ServerPath("reviews.csv")
    for _ in range(2):
        model = client.train(reviews.spec(epochs=300), source).result().model
        client.predict(model, reviews.columns(reviews.make_rows(2, seed=50), "review", "price", "category"))
        client.embed(reviews.spec()["input_features"][0], {"review": ["a film", "another film"]})
        list(client.models.list())
        time.sleep(SCRAPES)
    _lose_a_worker(server, client, source)
    _diverge(client, source)
    client.upload_dataset(table)
    for file_format in ("onnx", "torchscript"):
        client.export(model, format=file_format)


def _lose_a_worker(server: RunningServer, client: headstart.Client, source: headstart.ServerPath) -> None:
    """The job goes on in another, until it is cancelled."""
    run = client.train(reviews.spec(epochs=100_000), source)
    trains = (event for event in run if event.state_change.state == pb.TrainJob.STATE_TRAINING)
    next(trains)
    assert server.process is not None
    for child in _children(server.process.pid):
        os.kill(child, signal.SIGKILL)
    next(trains)
    client.jobs.cancel(run.name)
    with pytest.raises(headstart.JobCancelled):
        run.result()


def _diverge(client: headstart.Client, source: headstart.ServerPath) -> None:
    spec = reviews.spec(learning_rate=100.0, optimizer={"type": "sgd"}, epochs=50)
    spec["output_features"] = [{"name": "score", "type": "number", "preprocessing": {"normalization": "none"}}]
    spec["input_features"][1]["preprocessing"] = {"normalization": "none"}
    with pytest.raises(headstart.JobFailed, match="learning_rate"):
        client.train(spec, source).result()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_every_metric_of_an_alert_or_a_panel_is_scraped(scraper: Scraper) -> None:
    named = set().union(*map(metric_names, [*alert_queries(), *dashboard.queries()]))
    scraped = set(scraper.get("label/__name__/values"))
    scraped |= {name.removesuffix("_bucket") for name in scraped}
    assert named - scraped == ONLY_WITH_A_GPU


@pytest.mark.parametrize("query", QUERIES)
def test_every_panel_shows_something(query: str, scraper: Scraper) -> None:
    assert scraper.over_time(query)


def test_every_rule_can_be_evaluated(scraper: Scraper) -> None:
    rules = [rule for group in scraper.get("rules")["groups"] for rule in group["rules"]]
    assert rules
    assert {rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"} == {}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('headstart_jobs{state="SUCCEEDED"}', 2),
        ('headstart_jobs{state="FAILED"}', 1),
        ('headstart_jobs{state="CANCELLED"}', 1),
        ('headstart_jobs_ended_total{reason="NON_FINITE_LOSS"}', 1),
        ("headstart_job_attempts_total", 5),
        ('headstart_job_restarts_total{cause="worker"}', 1),
        ('headstart_worker_deaths_total{purpose="job"}', 1),
        ('headstart_embedding_rows_total{outcome="encoded"}', 240),
        ('headstart_embedding_rows_total{outcome="found"}', 960),
        ('sum(headstart_exports_total{outcome="published"})', 2),
        ("headstart_queue_oldest_seconds", 0),
        ("headstart_uploads_in_progress", 0),
        ("sum(headstart_reading_failures_total)", 0),
    ],
)
def test_what_has_happened_is_what_prometheus_has(query: str, expected: float, scraper: Scraper) -> None:
    [series] = scraper.get("query", query=query)["result"]
    assert float(series["value"][1]) == expected


def test_seconds_were_saved_and_no_series_of_a_job_is_left(scraper: Scraper) -> None:
    [saved] = scraper.get("query", query="headstart_encoder_seconds_saved_total")["result"]
    assert float(saved["value"][1]) > 0
    assert scraper.get("query", query='{job=~".+", __name__=~"headstart_job_(loss|last_report.*)"}')["result"] == []
