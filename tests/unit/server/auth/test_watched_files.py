"""Files that are read again: others take their place, and what cannot be used does not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import structlog
from headstart_server.auth.watched_files import WatchedFiles, keep_current
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.core.executors import Executor
from prometheus_client import REGISTRY


def watched(path: Path) -> WatchedFiles[int]:
    def read() -> int:
        text = path.read_text()
        if text == "wrong":
            raise FailedPreconditionError("line 1: is wrong")
        return int(text)

    return WatchedFiles("tokens", [path], read)


def successful() -> float | None:
    return REGISTRY.get_sample_value("headstart_reload_successful", {"kind": "tokens"})


def test_a_changed_file_is_in_use_after_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    found = watched(path)
    path.write_text("22")
    assert found.value == 1
    found.look()
    assert (found.value, successful()) == (22, 1)


def test_a_link_that_points_elsewhere_is_a_change(tmp_path: Path) -> None:
    """As Kubernetes changes the files of a Secret."""
    for name, text in (("old", "1"), ("new", "2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(text)
    (tmp_path / "data").symlink_to("old")
    (tmp_path / "a").symlink_to("data/a")
    found = watched(tmp_path / "a")
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(tmp_path / "data")
    found.look()
    assert found.value == 2


@pytest.mark.parametrize("content", ["wrong", "no number", None])
def test_what_cannot_be_used_is_told_once_and_what_was_stays(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("1")
    found = watched(path)
    path.unlink()
    if content is not None:
        path.write_text(content)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            found.look()
    assert (found.value, successful()) == (1, 0)
    assert [entry["log_level"] for entry in logs] == ["error"]
    path.write_text("333")
    found.look()
    assert (found.value, successful()) == (333, 1)


def test_files_that_cannot_be_used_at_first_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("wrong")
    with pytest.raises(FailedPreconditionError, match="line 1"):
        watched(tmp_path / "a")


async def test_files_are_looked_at_again_and_again(tmp_path: Path) -> None:
    path, threads = tmp_path / "a", Executor("credential", 1, 10)
    path.write_text("1")
    found = watched(path)
    looking = asyncio.create_task(keep_current([found], threads, seconds=0.001))
    for text in ("22", "wrong", "4444"):
        path.write_text(text)
        async with asyncio.timeout(60):
            while (found.value if text != "wrong" else successful()) != (int(text) if text != "wrong" else 0):
                await asyncio.sleep(0.001)
    looking.cancel()
    threads.close()
