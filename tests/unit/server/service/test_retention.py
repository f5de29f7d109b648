"""Retention bounds what lies in a state directory and takes nothing from a job in progress."""

import asyncio
import os
import tarfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from headstart_server.core.errors import NotFoundError
from headstart_server.core.layout import Layout
from headstart_server.core.states import State
from headstart_server.data.formats import Format
from headstart_server.data.opening import Location, open_location
from headstart_server.data.tables import open_table
from headstart_server.data.uploads import Uploads
from headstart_server.embedding_store.compaction import LEAST_SHARDS
from headstart_server.embedding_store.store import EmbeddingStore
from headstart_server.encoders.tokens import TokenCache, TokenColumn
from headstart_server.jobs.records import JobRecord
from headstart_server.service import retention as retention_module
from headstart_server.service.retention import Retention
from headstart_server.settings import Settings
from headstart_server.storage.folders import SharedFolders
from headstart_server.storage.storage import Storage

from tests.support.stores import gathered, keys_of, small_shards, space_of

DAY = 86_400.0
NOW = 1_000 * DAY


@dataclass
class FakeJobs:
    """A job store with jobs of these states and times."""

    jobs: list[tuple[State, float]] = field(default_factory=list)
    over: list[str] = field(default_factory=list)
    """Ids of those that ended longer ago than they are kept."""

    def expired(self) -> list[str]:
        return self.over

    def delete(self, identifier: str) -> None:
        self.over.remove(identifier)

    def earliest(self, states: Sequence[State]) -> datetime | None:
        times = [time for state, time in self.jobs if state in states]
        return datetime.fromtimestamp(min(times), UTC) if times else None

    def moment(self) -> datetime:
        return datetime.now(UTC)

    def get(self, identifier: str) -> JobRecord:
        if identifier not in ("known", "failed"):
            raise NotFoundError(f"trainJobs/{identifier} does not exist")
        return _job(State.FAILED if identifier == "failed" else State.SUCCEEDED, 0.0)


@dataclass
class FakeExports:
    """Notes before when ended exports are removed."""

    expired: list[datetime] = field(default_factory=list)

    def expire(self, before: datetime) -> int:
        self.expired.append(before)
        return 0


def _job(state: State, seconds: float) -> JobRecord:
    moment = datetime.fromtimestamp(seconds, UTC)
    return JobRecord("j", "", "", "", state, moment, moment, {}, [])


def _retention(root: Path, *jobs: tuple[State, float], **settings: Any) -> Retention:
    layout = Layout(root)
    known: Any = FakeJobs(list(jobs))
    return Retention(Storage(layout), Settings(**settings), EmbeddingStore(layout.embeddings), known, FakeExports())


def test_a_job_goes_with_its_files_at_the_end_of_its_time_to_live(tmp_path: Path) -> None:
    retention, kept, gone = _retention(tmp_path), Layout(tmp_path).job("kept"), Layout(tmp_path).job("gone")
    for folder in (kept, gone):
        (folder / "checkpoints").mkdir(parents=True)
    jobs: Any = retention._jobs
    jobs.over = ["gone"]
    retention.tend()
    assert (jobs.over, kept.exists(), gone.exists()) == ([], True, False)


def test_what_a_job_published_without_having_succeeded_goes_with_it(tmp_path: Path) -> None:
    """What says that it is no model is the job's row."""
    retention = _retention(tmp_path)
    models = retention._storage.models
    for name in ("known", "failed"):
        with models.publish(name) as folder:
            (folder / "bundle.json").touch()
    jobs: Any = retention._jobs
    jobs.over = ["known", "failed"]
    for name in ("known", "failed"):
        retention._delete(name)
    assert models.names() == ["known"]


def _file(path: Path, used: float, size: int = 10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (used, used))
    return path


def _caches(root: Path, used: float) -> list[Path]:
    layout = Layout(root)
    return [
        _file(path, used)
        for path in (
            layout.tables / "t.arrow",
            layout.tokens / "t.safetensors",
            layout.embeddings / "space" / "quarantine" / "s.safetensors",
        )
    ]


def test_tables_tokens_and_quarantine_go_when_unused_for_long(tmp_path: Path) -> None:
    old, young = _caches(tmp_path / "old", NOW - 31 * DAY), _caches(tmp_path / "young", NOW - 29 * DAY)
    _retention(tmp_path / "old").prune_caches(NOW)
    _retention(tmp_path / "young").prune_caches(NOW)
    assert not any(path.exists() for path in old) and all(path.exists() for path in young)
    _retention(tmp_path / "young", cache_days=10).prune_caches(NOW)
    assert not any(path.exists() for path in young)


def test_without_an_age_they_stay_and_a_size_bounds_them_together(tmp_path: Path) -> None:
    paths = _caches(tmp_path, NOW - 1000 * DAY)
    assert _retention(tmp_path, cache_days=0).prune_caches(NOW).files == 0
    _retention(tmp_path, cache_days=0, max_cache_bytes=20).prune_caches(NOW)
    assert sum(path.exists() for path in paths) == 2


@pytest.mark.parametrize("state", [State.QUEUED, State.PREPARING, State.TRAINING, State.CANCELLING])
def test_what_was_used_since_a_job_in_progress_began_stays(tmp_path: Path, state: State) -> None:
    used, unused = _file(Layout(tmp_path).tables / "a", NOW - 40 * DAY), _file(Layout(tmp_path).tables / "b", DAY)
    _retention(tmp_path, (state, NOW - 41 * DAY), (state, NOW - DAY), max_cache_bytes=1).prune_caches(NOW)
    assert (used.exists(), unused.exists()) == (True, False)


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.PAUSED])
def test_jobs_that_do_not_run_keep_nothing(tmp_path: Path, state: State) -> None:
    path = _file(Layout(tmp_path).tables / "a", NOW - 40 * DAY)
    _retention(tmp_path, (state, NOW - 41 * DAY)).prune_caches(NOW)
    assert not path.exists()


def test_what_was_used_within_the_hour_stays(tmp_path: Path) -> None:
    path = _file(Layout(tmp_path).tables / "a", NOW - 3_000)
    _retention(tmp_path, max_cache_bytes=1).prune_caches(NOW)
    assert path.exists()
    _retention(tmp_path, max_cache_bytes=1).prune_caches(NOW + 1_000)
    assert not path.exists()


def test_half_written_files_of_killed_processes_go_after_a_day(tmp_path: Path) -> None:
    tables = Layout(tmp_path).tables
    old, young = _file(tables / ".a.arrow.1.tmp", NOW - 1.1 * DAY), _file(tables / ".b.arrow.2.tmp", NOW - 0.9 * DAY)
    _retention(tmp_path, cache_days=0).prune_caches(NOW)
    assert (old.exists(), young.exists()) == (False, True)


def test_half_published_folders_of_killed_processes_go_after_a_day(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for folder in (layout.models, layout.artifacts, layout.encoders, layout.datasets):
        paths = [folder / ".old.1.tmp", folder / ".young.2.tmp", folder / "published"]
        for path, age in zip(paths, (1.1, 0.9, 2.0), strict=True):
            _file(path / "inside" / "file", NOW - age * DAY)
            for part in (path / "inside", path):
                os.utime(part, (NOW - age * DAY, NOW - age * DAY))
        _retention(tmp_path).prune_caches(NOW)
        assert [path.exists() for path in paths] == [False, True, True]


def test_opening_a_table_or_tokens_is_a_use(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "rows.csv").write_text("a\n1\n")
    cache = TokenCache(layout.tokens)
    tokens = cache.path("t", 16, np.array([[1, 2]], np.uint64))
    cache.save(tokens, TokenColumn.of([[1]]))
    open_table(tmp_path / "rows.csv", Format.CSV, layout.tables, "dataset")
    [table] = layout.tables.glob("*.arrow")
    for path in (table, tokens):
        os.utime(path, (1, 1))
    open_table(tmp_path / "rows.csv", Format.CSV, layout.tables, "dataset")
    assert cache.load(tokens) is not None
    _retention(tmp_path).prune_caches(time.time() + 29 * DAY)
    assert table.exists() and tokens.exists()


def test_opening_an_archive_is_a_use_of_all_that_was_made_of_it(tmp_path: Path) -> None:
    tables = Layout(tmp_path).tables
    (tmp_path / "x.csv").write_text("a\n1\n")
    with tarfile.open(tmp_path / "data.tgz", "w:gz") as archive:
        archive.add(tmp_path / "x.csv", "x.csv")
    location = Location(tmp_path / "data.tgz", Format.TGZ)
    open_location(location, tables, "dataset")
    made = sorted(path.suffix for path in tables.iterdir())
    assert made == [".arrow", ".csv", ".index", *[".sha256"] * 4, ".tar"]
    for path in tables.iterdir():
        os.utime(path, (1, 1))
    open_location(location, tables, "dataset")
    _retention(tmp_path).prune_caches(time.time() + 29 * DAY)
    assert sorted(path.suffix for path in tables.iterdir()) == made


def test_a_table_that_a_job_reads_outlives_its_file(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    (tmp_path / "rows.csv").write_text("a\n" + "\n".join(map(str, range(1_000))))
    table = open_table(tmp_path / "rows.csv", Format.CSV, layout.tables, "dataset")
    _retention(tmp_path).prune_caches(time.time() + 31 * DAY)
    assert not list(layout.tables.iterdir())
    assert table.rows.column("a").cast(pa.float64()).to_pylist() == list(range(1_000))
    assert open_table(tmp_path / "rows.csv", Format.CSV, layout.tables, "dataset").row_count == 1_000


def test_quarantine_begins_when_a_shard_is_found_damaged(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    [path] = small_shards(layout.embeddings, 1)
    path.write_bytes(b"x")
    os.utime(path, (1, 1))
    EmbeddingStore(layout.embeddings).space(space_of()).refresh()
    _retention(tmp_path).prune_caches(time.time() + DAY)
    assert (path.parent.parent / "quarantine" / path.name).exists()


def test_a_round_evicts_and_merges(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    paths = small_shards(layout.embeddings, LEAST_SHARDS + 1)
    space = EmbeddingStore(layout.embeddings).space(space_of())
    _retention(tmp_path, max_store_bytes=LEAST_SHARDS * paths[0].stat().st_size).tend()
    assert len(list((space.folder / "shards").iterdir())) == 1
    space.refresh()
    assert gathered(space, keys_of([f"row {number}" for number in range(1, LEAST_SHARDS + 1)]))[1] == []
    assert not space.contains(keys_of(["row 0"])).any()


async def test_a_round_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    retention = _retention(tmp_path)
    retention.period_seconds = 0.0
    rounds, enough = 0, asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail(_: Path) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 3:
            loop.call_soon_threadsafe(enough.set)
        raise OSError("disk gone")

    monkeypatch.setattr(retention_module, "compact", fail)
    running = asyncio.create_task(retention.run())
    await asyncio.wait_for(enough.wait(), 60)
    running.cancel()


ABANDONED = [
    ".precision.json.1.tmp",
    "tables/.t.arrow.1.tmp",
    "datasets/.1.upload",
    "datasets/.d.1.tmp/data.csv",
    "models/.m.1.tmp/head.safetensors",
    "artifacts/.a.1.tmp/model.onnx",
    "embeddings/s/.space.json.1.tmp",
    "embeddings/s/shards/.s.safetensors.1.tmp",
    "embeddings/s/claims/1.claim",
    "jobs/known/.dataset.arrow.1.tmp",
    "jobs/known/checkpoints/.epoch-1.1.tmp/state.safetensors",
    "jobs/plan-1/dataset.arrow",
    "jobs/unknown/dataset.arrow",
]


@pytest.mark.parametrize("name", ABANDONED)
@pytest.mark.parametrize(("days", "stays"), [(2.0, False), (0.5, True)])
def test_what_a_killed_process_left_goes_a_day_later_wherever_it_lies(
    name: str, days: float, stays: bool, tmp_path: Path
) -> None:
    left = _file(tmp_path / name, NOW - days * DAY)
    for folder in left.relative_to(tmp_path).parents:
        os.utime(tmp_path / folder, (NOW - days * DAY,) * 2)
    kept = [
        _file(tmp_path / place, NOW - 20 * DAY) for place in ("datasets/d/data.csv", "jobs/known/a", "jobs/embed/a")
    ]
    retention = _retention(tmp_path)
    retention.tidy(NOW)
    retention.prune_caches(NOW)
    assert left.exists() is stays
    assert all(path.exists() for path in kept)


def test_an_upload_that_is_still_open_stays_however_old_it_is(tmp_path: Path) -> None:
    uploads = Uploads(SharedFolders(tmp_path / "datasets"), tmp_path / "tables", 1_000)
    with uploads.receive("a.csv", "", "") as upload:
        upload.write(b"a,b\n")
        [path] = (tmp_path / "datasets").iterdir()
        os.utime(path, (NOW - 9 * DAY,) * 2)
        _retention(tmp_path).prune_caches(NOW)
        upload.write(b"1,2\n")
        assert upload.finish().row_count == 1


def test_a_mounted_storage_loses_what_killed_writers_left(tmp_path: Path) -> None:
    old = _file(tmp_path / "shared" / "models" / "names" / ".m.json.1.tmp", NOW - 2 * DAY)
    new = _file(tmp_path / "shared" / "embeddings" / ".s.1.tmp", NOW - DAY / 2)
    assert Storage(Layout(tmp_path / "own"), str(tmp_path / "shared")).tidy(NOW) == 1
    assert (old.exists(), new.exists()) == (False, True)


def test_exports_that_ended_are_kept_for_a_day(tmp_path: Path) -> None:
    retention = _retention(tmp_path)
    retention._exports = exports = FakeExports()
    retention.tend()
    (before,) = exports.expired
    assert 0 <= (datetime.now(UTC) - before).total_seconds() - DAY < 60


def test_broken_uploads_are_kept_for_a_day_whatever_runs(tmp_path: Path) -> None:
    uploads = Uploads(SharedFolders(tmp_path / "datasets"), tmp_path / "tables", 1_000)
    old, new = (
        _file(tmp_path / "datasets" / f".{name}.part", NOW - days * DAY) for name, days in (("a", 1.1), ("b", 0.9))
    )
    running = (State.TRAINING, NOW - 9 * DAY)
    with uploads.receive("a.csv", "", "", "living") as upload:
        upload.write(b"a")
        living = next(path for path in (tmp_path / "datasets").iterdir() if path not in (old, new))
        os.utime(living, (NOW - 2 * DAY, NOW - 2 * DAY))
        _retention(tmp_path, running).prune_caches(NOW)
        assert (old.exists(), new.exists(), living.exists()) == (False, True, True)
