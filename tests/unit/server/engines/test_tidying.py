"""A machine without a server stays below the server's limits."""

from __future__ import annotations

import os
import time
from pathlib import Path

from headstart_server.core.layout import Layout
from headstart_server.engines.tidying import DAY_SECONDS, Limits, tend_machine
from headstart_server.settings import Settings
from headstart_server.storage.storage import Storage

from tests.support.stores import small_shards


def _file(path: Path, days: float, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    then = time.time() - days * DAY_SECONDS
    os.utime(path, (then, then))
    return path


def _machine(tmp_path: Path) -> Storage:
    (tmp_path / "depot").mkdir(exist_ok=True)
    return Storage(Layout(tmp_path / "disk"), str(tmp_path / "depot"))


def test_what_is_old_goes_and_what_is_used_stays(tmp_path: Path) -> None:
    storage = _machine(tmp_path)
    layout = storage.layout
    old = [_file(layout.tables / "old.arrow", 31), _file(layout.tokens / "old.tokens", 40)]
    new = [_file(layout.tables / "new.arrow", 29), _file(layout.tokens / "now.tokens", 0)]
    for job, days in (("own", 0), ("other", 1), ("dead", 50)):
        folder = _file(layout.job(job) / "scratch", days).parent
        os.utime(folder, (time.time() - days * DAY_SECONDS,) * 2)
    tend_machine(storage, Limits(cache_days=30), "own")
    assert [path.exists() for path in (*old, *new)] == [False, False, True, True]
    assert [path.name for path in layout.jobs.iterdir()] == ["other"]


def test_without_limits_only_the_jobs_own_files_go(tmp_path: Path) -> None:
    storage = _machine(tmp_path)
    kept = [_file(storage.layout.tables / "t.arrow", 5_000), _file(storage.layout.job("dead") / "scratch", 5_000)]
    _file(storage.layout.job("own") / "scratch", 0)
    tend_machine(storage, Limits(), "own")
    assert all(path.exists() for path in kept)
    assert not storage.layout.job("own").exists()


def test_shards_stay_below_the_stores_limit(tmp_path: Path) -> None:
    storage = _machine(tmp_path)
    small_shards(storage.layout.embeddings, 4)
    limit = sum(path.stat().st_size for path in storage.layout.embeddings.rglob("*.safetensors")) // 2
    tend_machine(storage, Limits(store_bytes=limit), "own")
    left = list(storage.layout.embeddings.rglob("*.safetensors"))
    assert 0 < len(left) < 4
    assert sum(path.stat().st_size for path in left) <= limit


def test_copies_of_what_was_removed_elsewhere_go(tmp_path: Path) -> None:
    storage, other = _machine(tmp_path), Storage(Layout(tmp_path / "other"), str(tmp_path / "depot"))
    for name in ("kept", "removed"):
        with other.datasets.publish(name) as folder:
            (folder / "rows.csv").write_text("a\n1\n")
        assert storage.datasets.path(name).is_dir()
    other.datasets.remove("removed")
    tend_machine(storage, Limits(), "own")
    assert [path.name for path in storage.layout.datasets.glob("[!.]*")] == ["kept"]


def test_limits_are_the_servers() -> None:
    settings = Settings(max_store_bytes=7, cache_days=2, max_cache_bytes=9)
    assert Limits.of(settings) == Limits(store_bytes=7, cache_days=2, cache_bytes=9)
