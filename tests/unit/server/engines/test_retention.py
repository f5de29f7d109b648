"""A machine without a server stays below the server's limits, and takes nothing from a job that runs there."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from headstart_server.core.errors import StorageError
from headstart_server.core.layout import Layout
from headstart_server.engines.retention import DAY_SECONDS, Limits, tend_machine
from headstart_server.settings import Settings
from headstart_server.storage.storage import Storage

from tests.support.stores import small_shards


def _file(path: Path, days: float, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - days * DAY_SECONDS
    os.utime(path, (then, then))
    return path


def _job(layout: Layout, name: str, begun: float, written: float) -> Path:
    """A job's folder, by days ago."""
    folder = _file(layout.job(name) / "scratch", written).parent
    os.utime(folder, (time.time() - begun * DAY_SECONDS,) * 2)
    return folder


def _machine(tmp_path: Path) -> Storage:
    (tmp_path / "object_store").mkdir(exist_ok=True)
    return Storage(Layout(tmp_path / "disk"), str(tmp_path / "object_store"))


def test_what_is_old_goes_and_what_is_used_stays(tmp_path: Path) -> None:
    storage = _machine(tmp_path)
    layout = storage.layout
    old = [_file(layout.tables / "old.arrow", 31), _file(layout.tokens / "old.tokens", 40)]
    old += [_file(layout.tables / ".half.arrow.tmp", 2), _job(layout, "dead", 50, 9)]
    new = [_file(layout.tables / "new.arrow", 29), _file(layout.tokens / "now.tokens", 0)]
    tend_machine(storage, Limits(cache_days=30))
    assert [path.exists() for path in (*old, *new)] == [False] * 4 + [True] * 2


def test_a_job_that_runs_keeps_what_it_uses(tmp_path: Path) -> None:
    storage = _machine(tmp_path)
    job = _job(storage.layout, "long", 3, 0.1)
    used, unused = _file(storage.layout.tables / "used.arrow", 2.9), _file(storage.layout.tables / "unused.arrow", 3.1)
    tend_machine(storage, Limits(cache_days=1, cache_bytes=1))
    assert [path.exists() for path in (job, used, unused)] == [True, True, False]


def test_shards_stay_below_the_stores_limit(tmp_path: Path) -> None:
    storage = _machine(tmp_path)
    small_shards(storage.layout.embeddings, 4)
    limit = sum(path.stat().st_size for path in storage.layout.embeddings.rglob("*.safetensors")) // 2
    tend_machine(storage, Limits(store_bytes=limit))
    left = list(storage.layout.embeddings.rglob("*.safetensors"))
    assert 0 < len(left) < 4
    assert sum(path.stat().st_size for path in left) <= limit


def test_copies_of_what_was_removed_elsewhere_go(tmp_path: Path) -> None:
    storage, other = _machine(tmp_path), Storage(Layout(tmp_path / "other"), str(tmp_path / "object_store"))
    for name in ("kept", "removed"):
        with other.datasets.publish(name) as folder:
            (folder / "rows.csv").write_text("a\n1\n")
        assert storage.datasets.path(name).is_dir()
    other.datasets.remove("removed")
    tend_machine(storage, Limits())
    assert [path.name for path in storage.layout.datasets.glob("[!.]*")] == ["kept"]


def test_a_servers_own_directory_is_the_servers_to_tidy(tmp_path: Path) -> None:
    storage = _machine(tmp_path)
    old = _file(storage.layout.tables / "old.arrow", 31)
    storage.layout.precision.write_text("{}")
    tend_machine(storage, Limits(cache_days=30))
    assert old.exists()


def test_a_job_begins_though_nothing_can_be_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(_: Storage) -> None:
        raise StorageError("the bucket is away", reason="STORAGE_UNREACHABLE")

    monkeypatch.setattr(Storage, "forget_removed", unreachable)
    tend_machine(_machine(tmp_path), Limits(cache_days=30))


def test_limits_are_the_servers() -> None:
    settings = Settings(max_store_bytes=7, cache_days=2, max_cache_bytes=9)
    assert Limits.of(settings) == Limits(store_bytes=7, cache_days=2, cache_bytes=9)
