"""Databases that cannot be used are refused at the start, in one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from headstart_server.core.errors import FailedPreconditionError
from headstart_server.jobs.store import JobStore


@pytest.mark.parametrize("content", [b"no database at all, though long enough to be read as one " * 40, None])
def test_a_file_that_is_no_database_is_named_in_one_line(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "jobs.sqlite"
    if content is None:  # sound at its head, damaged behind it
        JobStore(f"sqlite:///{path}").close()
        data = bytearray(path.read_bytes())
        data[5_000:9_000] = b"\xa5" * 4_000
        content = bytes(data)
    path.write_bytes(content)
    with pytest.raises(
        FailedPreconditionError, match=r"the job database cannot be used: .*; check --database-url"
    ) as caught:
        JobStore(f"sqlite:///{path}")
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("url", ["nonsense", "nosuch://x/y", "sqlite:////proc/none/jobs.sqlite"])
def test_a_database_that_cannot_be_had_is_named(url: str) -> None:
    with pytest.raises(FailedPreconditionError, match="the job database cannot be used"):
        JobStore(url)
