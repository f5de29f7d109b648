"""A fake server per test, and clients of it that retry without waiting."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import headstart
import pytest
from headstart.cli import main

from tests.support.command_line import Outcome, Run
from tests.support.fake_server import FakeServer
from tests.support.image_tables import ROWS, write_table

QUICK = headstart.RetryPolicy(initial_delay=0.001, longest_delay=0.01, give_up_after=60, connect_timeout=60)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as running:
        yield running


@pytest.fixture
def client(server: FakeServer) -> Iterator[headstart.Client]:
    with headstart.Client(server.address, retry=QUICK) as connected:
        yield connected


@pytest.fixture
async def async_client(server: FakeServer) -> AsyncIterator[headstart.AsyncClient]:
    async with headstart.AsyncClient(server.address, retry=QUICK) as connected:
        yield connected


@pytest.fixture
def run(server: FakeServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("HEADSTART_SERVER", server.address)

    def call(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text("trainer: {epochs: 1}\n")
    return path


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text('review\nab\nsplendid\n"a ""quoted"" line\nbreak"\nx\ny\nz\nend of it\n')
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of two images, one of them twice, beside a file that it does not name."""
    (tmp_path / "shop" / "images").mkdir(parents=True)
    for name in ("a.jpg", "b.jpg", "unnamed.jpg"):
        (tmp_path / "shop" / "images" / name).write_bytes(name.encode() * 300)
    return write_table(tmp_path / "shop" / "train.csv", ROWS)
