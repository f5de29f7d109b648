"""Readings: taken when somebody scrapes, once in a while at most, and one that fails takes no other with it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
import torch
from headstart_server import metrics, readings
from headstart_server.readings import Reading, Readings
from headstart_server.service.measurements import gpu_readings, store_readings, worker_readings
from prometheus_client import REGISTRY
from prometheus_client.registry import CollectorRegistry


def taken(source: Readings) -> dict[str, float]:
    registry = CollectorRegistry()
    registry.register(source)
    return {sample.name: sample.value for family in registry.collect() for sample in family.samples}


def test_a_reading_is_good_for_some_seconds() -> None:
    calls: list[int] = []

    def read() -> Iterator[Reading]:
        calls.append(1)
        yield metrics.STORE_SHARDS, (), len(calls)

    kept, fresh = Readings("test", read, seconds=3600), Readings("test", read)
    assert not calls  # not before a scrape
    assert [taken(kept)["headstart_store_shards"] for _ in range(3)] == [1, 1, 1]
    assert [taken(fresh)["headstart_store_shards"] for _ in range(2)] == [2, 3]


def test_a_reading_that_fails_is_logged_counted_and_left_out() -> None:
    def fail() -> Iterator[Reading]:
        yield metrics.STORE_SHARDS, (), 1
        raise OSError("no such disk")

    with structlog.testing.capture_logs() as logs:
        assert taken(Readings("broken", fail)) == {}
    assert [entry["event"] for entry in logs] == ["a metric cannot be read"]
    assert REGISTRY.get_sample_value("headstart_reading_failures_total", {"source": "broken"}) == 1


def test_a_source_that_does_not_answer_holds_no_scrape_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_PATIENCE_SECONDS", 0.05)
    answers, calls = threading.Event(), list[int]()

    def read() -> Iterator[Reading]:
        calls.append(1)
        if len(calls) == 2:
            answers.wait()
        yield metrics.STORE_SHARDS, (), len(calls)

    source = Readings("slow", read)
    assert taken(source) == {"headstart_store_shards": 1}  # as often as a registry is made of it
    with structlog.testing.capture_logs() as logs:
        assert next(iter(source.collect())).samples[0].value == 1  # the last one
        monkeypatch.setattr(readings, "_STALE_SECONDS", 0.0)
        assert list(source.collect()) == []
        assert list(source.collect()) == []
    assert [entry["error"] for entry in logs] == ["its source does not answer"]
    assert len(calls) == 2  # it was not asked again
    assert REGISTRY.get_sample_value("headstart_reading_failures_total", {"source": "slow"}) == 3
    answers.set()
    assert next(iter(source.collect())).samples[0].value == 2
    source.close()


def test_a_source_that_never_answered_is_logged_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_PATIENCE_SECONDS", 0.05)
    answers = threading.Event()

    def read() -> Iterator[Reading]:
        answers.wait()
        yield metrics.STORE_SHARDS, (), 1

    source = Readings("silent", read)
    with structlog.testing.capture_logs() as logs:
        assert [list(source.collect()) for _ in range(2)] == [[], []]
    assert [(entry["source"], entry["error"]) for entry in logs] == [("silent", "its source does not answer")]
    answers.set()
    assert next(iter(source.collect())).samples[0].value == 1
    source.close()


def test_the_store_is_measured_by_what_is_published(tmp_path: Path) -> None:
    for name in ("a/shards/1.safetensors", "b/shards/2.safetensors", "b/shards/.half", "b/quarantine/3.safetensors"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(100))
    found = {definition.name: number for definition, _, number in store_readings([tmp_path])}
    assert found == {
        "headstart_store_bytes": 200,
        "headstart_store_shards": 2,
        "headstart_store_quarantined_shards": 1,
    }


def test_memory_is_that_of_the_groups_that_workers_lead() -> None:
    here, gone = os.getpgid(0), 2**22 + 1  # above any process id
    found = {
        (definition.name, labels[0]): number
        for definition, labels, number in worker_readings({"job": lambda: [here], "export": lambda: [gone]})
    }
    assert found["headstart_worker_processes", "job"] == 1
    assert found["headstart_worker_resident_memory_bytes", "job"] > 1 << 20
    assert found["headstart_worker_resident_memory_bytes", "export"] == 0


@pytest.mark.parametrize("used", [False, True])
def test_a_gpu_is_measured_once_the_server_uses_it(used: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked earlier, torch would take memory of the GPU for the answer."""
    told = {"is_initialized": used, "device_count": 1, "mem_get_info": (30, 100), "memory_allocated": 20}
    for name, answer in told.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    found = [(definition.name.removeprefix("headstart_gpu_"), *rest) for definition, *rest in gpu_readings()]
    expected = [("memory_used_bytes", ("0",), 70), ("memory_bytes", ("0",), 100), ("allocated_bytes", ("0",), 20)]
    assert found == (expected if used else [])
