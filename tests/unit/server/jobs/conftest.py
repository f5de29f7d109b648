"""A store in a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from headstart_server.jobs.store import JobStore


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def store(database: Path) -> Iterator[JobStore]:
    opened = JobStore(f"sqlite:///{database}")
    yield opened
    opened.close()
