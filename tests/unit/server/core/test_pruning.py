"""Pruning removes the least recently used files past an age or a size, and none that may be in use."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from headstart_server.core.pruning import Pruned, kept_files, mark_used, prune

NEVER = 0.0
ALWAYS = float("inf")


def _files(folder: Path, *last_uses: int) -> list[Path]:
    """Files of 10 bytes, used last at these seconds."""
    paths = []
    for number, used in enumerate(last_uses):
        paths.append(folder / f"{9 - number}")
        paths[-1].write_bytes(b"x" * 10)
        os.utime(paths[-1], (used, used))
    return paths


def _left(paths: list[Path]) -> list[bool]:
    return [path.exists() for path in paths]


def test_files_past_the_age_go(tmp_path: Path) -> None:
    paths = _files(tmp_path, 30, 10, 20)
    assert prune(kept_files(paths), used_before=20, limit_bytes=0, in_use_since=ALWAYS) == Pruned(1, 10)
    assert _left(paths) == [True, False, True]


def test_the_least_recently_used_go_until_the_rest_fits(tmp_path: Path) -> None:
    paths = _files(tmp_path, 30, 10, 20)
    assert prune(kept_files(paths), used_before=NEVER, limit_bytes=10, in_use_since=ALWAYS) == Pruned(2, 20)
    assert _left(paths) == [True, False, False]
    assert prune(kept_files(paths), used_before=NEVER, limit_bytes=10, in_use_since=ALWAYS) == Pruned()


def test_without_limits_everything_stays(tmp_path: Path) -> None:
    assert prune(kept_files(_files(tmp_path, 1, 2)), used_before=NEVER, limit_bytes=0, in_use_since=ALWAYS) == Pruned()


@pytest.mark.parametrize("limits", [{"used_before": ALWAYS, "limit_bytes": 0}, {"used_before": 0.0, "limit_bytes": 1}])
def test_what_may_be_in_use_stays_past_every_limit(tmp_path: Path, limits: dict[str, Any]) -> None:
    paths = _files(tmp_path, 10, 20, 30)
    prune(kept_files(paths), in_use_since=20, **limits)
    assert _left(paths) == [False, True, True]


def test_a_file_that_goes_by_itself_is_no_crash(tmp_path: Path) -> None:
    assert prune(kept_files([tmp_path / "gone"]), used_before=ALWAYS, limit_bytes=1, in_use_since=ALWAYS) == Pruned()
    mark_used(tmp_path / "gone")
    assert not (tmp_path / "gone").exists()


def test_a_use_makes_a_file_young(tmp_path: Path) -> None:
    [path] = _files(tmp_path, 10)
    mark_used(path)
    assert prune(kept_files([path]), used_before=20, limit_bytes=0, in_use_since=ALWAYS) == Pruned()


def test_a_file_whose_use_begins_while_others_are_looked_at_stays(tmp_path: Path) -> None:
    [path] = _files(tmp_path, 10)

    def listed() -> Iterator[Path]:
        yield path
        mark_used(path)

    assert prune(kept_files(listed()), used_before=20, limit_bytes=0, in_use_since=ALWAYS) == Pruned()
    assert path.exists()
