"""Limits hold for what all tenants have together, and nothing that one of them has is forgotten."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.layout import Layout
from headstart_server.core.pruning import Pruned
from headstart_server.embedding_store.cli import main
from headstart_server.engines.retention import DAY_SECONDS, Limits, limit_store, prune_caches, remove_abandoned
from headstart_server.jobs.backup import back_up
from headstart_server.service.retention import Retention
from headstart_server.settings import Settings
from headstart_server.storage.storage import Storage

from tests.support.stores import shards_below, small_shards
from tests.support.tenancy import tenants_of

TENANTS = ("", "a", "b")


def written(path: Path, days: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 10)
    then = time.time() - days * DAY_SECONDS
    os.utime(path, (then, then))
    return path


def stores(root: Path, count: int) -> list[Path]:
    """Shards of every tenant, the default's used longest ago."""
    paths = [path for tenant in TENANTS for path in small_shards(Layout(root, tenant).embeddings, count)]
    for number, path in enumerate(paths):
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    return paths


def test_the_stores_of_all_tenants_are_limited_together_the_least_recently_used_first(tmp_path: Path) -> None:
    paths = stores(tmp_path, 3)
    limit_store(Layout(tmp_path), Limits(store_bytes=4 * paths[0].stat().st_size))
    assert [path.exists() for path in paths] == [False] * 5 + [True] * 4


def test_a_store_that_was_a_tenants_own_before_all_shared_one_is_limited_too(tmp_path: Path) -> None:
    paths = stores(tmp_path, 1)
    limit_store(Layout(tmp_path, shared_content=True), Limits(store_bytes=1))
    assert not any(path.exists() for path in paths)


def test_caches_and_what_killed_processes_left_go_whosever_they_are(tmp_path: Path) -> None:
    layouts = [Layout(tmp_path, tenant) for tenant in TENANTS]
    old = [written(layout.tables / "old.arrow", 40) for layout in layouts]
    old += [written(layout.tokens / "old.tokens", 40) for layout in layouts]
    old += [written(layout.embeddings / "space" / "quarantine" / "shard", 40) for layout in layouts]
    left = [written(layout.datasets / ".id.upload", 40) for layout in layouts]
    left += [written(layout.embeddings / "space" / "shards" / ".shard.tmp", 40) for layout in layouts]
    kept = [written(layout.tables / "new.arrow", 1) for layout in layouts]
    now = time.time()
    prune_caches(Storage(Layout(tmp_path)), Limits(cache_days=30), now, now - DAY_SECONDS)
    remove_abandoned(Layout(tmp_path), now - DAY_SECONDS)
    assert [path for path in (*old, *left) if path.exists()] == []
    assert all(path.exists() for path in kept)


def test_small_shards_of_every_tenant_are_merged(tmp_path: Path) -> None:
    stores(tmp_path, 16)
    jobs: Any = _NoJobs()
    Retention(Storage(Layout(tmp_path)), Settings(), tenants_of(tmp_path), jobs, jobs).tend()
    assert [len(shards_below(Layout(tmp_path, tenant).embeddings)) for tenant in TENANTS] == [1, 1, 1]


class _NoJobs:
    """A store without jobs, of trainings or of exports."""

    def earliest(self, states: Any) -> None:
        return None

    def moment(self) -> datetime:
        return datetime.now(UTC)

    def expire(self, before: Any) -> int:
        return 0

    def expired(self) -> list[str]:
        return []


@pytest.mark.parametrize("tenant", TENANTS)
def test_copies_of_what_another_machine_removed_go_whosever_they_are(tmp_path: Path, tenant: str) -> None:
    (tmp_path / "bucket").mkdir()
    here, there = (Storage(Layout(tmp_path / name), str(tmp_path / "bucket")) for name in ("here", "there"))
    with there.of(tenant).models.publish("m") as folder:
        (folder / "bundle.json").write_text("{}")
    copy = here.of(tenant).models.path("m")
    there.of(tenant).models.remove("m")
    here.forget_removed()
    assert not copy.exists()


@pytest.mark.parametrize("tenant", TENANTS)
def test_copies_that_nobody_uses_go_and_come_back(tmp_path: Path, tenant: str) -> None:
    """Each server would keep every model that it has ever been asked for."""
    (tmp_path / "bucket").mkdir()
    here, there = (Storage(Layout(tmp_path / name), str(tmp_path / "bucket")) for name in ("here", "there"))
    copies = []
    for name in ("old", "young"):
        with there.of(tenant).models.publish(name) as folder:
            (folder / "bundle.json").write_text("x" * 100)
        copies.append(here.of(tenant).models.path(name))
    own = written(here.of(tenant).layout.models / "own" / "bundle.json", 1)
    now = time.time()
    old = copies[0].with_name(".old.token")
    os.utime(old, (now - 2 * DAY_SECONDS,) * 2)
    assert prune_caches(here, Limits(cache_bytes=150), now, now - DAY_SECONDS) == Pruned(1, 100)
    assert [copy.exists() for copy in copies] == [False, True]
    assert not old.exists() and own.exists()  # what is this machine's alone is no copy
    assert (here.of(tenant).models.path("old") / "bundle.json").read_text() == "x" * 100
    assert old.stat().st_mtime > now - 60
    assert prune_caches(there, Limits(cache_days=1), now + 3 * DAY_SECONDS, now + DAY_SECONDS).files == 2
    assert there.of(tenant).models.names() == ["old", "young"]


def test_a_backup_has_what_every_tenant_has(tmp_path: Path) -> None:
    kept = []
    for layout in (Layout(tmp_path / "state", tenant) for tenant in TENANTS):
        kept += [written(folder / "x" / "file", 1) for folder in (layout.datasets, layout.models, layout.artifacts)]
        kept.append(written(layout.embeddings / "space" / "space.json", 1))
        written(layout.tables / "made-again.arrow", 1)
    kept.append(written(Layout(tmp_path / "state").job("j") / "dataset.arrow", 1))
    back_up(Layout(tmp_path / "state"), tmp_path / "copy")
    copied = {path.relative_to(tmp_path / "copy") for path in (tmp_path / "copy").rglob("*") if path.is_file()}
    assert copied == {path.relative_to(tmp_path / "state") for path in kept}


def test_the_store_command_sees_every_tenants_embeddings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stores(tmp_path, 2)
    state = ["--state-dir", str(tmp_path)]
    assert main(["list", *state]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()][1:] == ["a", "b"]
    assert main(["stats", *state]) == 0
    assert "rows: 6" in capsys.readouterr().out
    assert main(["compact", *state]) == main(["verify", *state]) == 0
    assert main(["prune", "--max-size", "0", *state]) == 0
    assert "removed_shards: 3" in capsys.readouterr().out
