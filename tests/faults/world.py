"""Servers to be broken: one on SQLite, or two on one PostgreSQL and one folder, each always at its own port."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import headstart

from tests.integration.test_restarts import free_port
from tests.support import reviews
from tests.support.postgres import PostgresCluster
from tests.support.running_server import RunningServer
from tests.support.tiny_models import save_bert

LEASE_SECONDS = 2.0
_MARK = "HEADSTART_FAULTS"
"""An environment variable that every process of a world inherits."""


class World:
    """What a scenario runs in. `root` has its own files alone."""

    def __init__(self, root: Path, data: Path, cluster: PostgresCluster | None, mark: str) -> None:
        self.root, self._mark = root, mark
        flags = ["--data-root", str(data / "data"), "--model-root", str(data / "models")]
        flags += ["--lease-seconds", str(LEASE_SECONDS)]
        names = ["one"]
        if cluster is not None:
            (root / "shared").mkdir(parents=True)
            flags += ["--database-url", cluster.database(), "--migrate", "--storage-url", str(root / "shared")]
            names = ["one", "other"]
        self.servers = [
            RunningServer(root / name, *flags, "--port", str(free_port()), environment={_MARK: mark}) for name in names
        ]
        self._files: list[int] = []

    @contextmanager
    def running(self) -> Iterator[World]:
        """Its servers, until the end of the context, however that comes."""
        try:
            for server in self.servers:
                server.start()
            self._files = [_open_files(server) for server in self.servers]
            yield self
        finally:
            for server in self.servers:
                with suppress(ProcessLookupError, subprocess.TimeoutExpired):
                    server.stop()

    def client(self, index: int) -> headstart.Client:
        """A client of one of the servers."""
        return headstart.Client(f"localhost:{self.servers[index % len(self.servers)].port}")

    def workers(self, index: int) -> list[int]:
        """Processes that one server has spawned."""
        process = self.servers[index].process
        assert process is not None
        found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    def processes(self, seconds: float = 20.0) -> list[str]:
        """Those that live on, after a while to leave in."""
        deadline = time.monotonic() + seconds
        while (found := list(self._marked())) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def leaked_files(self, allowed: int) -> list[str]:
        """Servers with that many more open files than at their first start."""
        found = []
        for server, before in zip(self.servers, self._files, strict=True):
            now = _open_files(server)
            if now > before + allowed:
                found.append(f"{server.state.name} has {now}, at first {before}")
        return found

    def _marked(self) -> Iterator[str]:
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                if f"{_MARK}={self._mark}".encode() in path.read_bytes():
                    yield (path.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")[:120]


def kill(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process that may have left meanwhile."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def make_data(root: Path) -> None:
    """Rows and weights for all worlds."""
    (root / "data").mkdir(parents=True)
    reviews.write_csv(root / "data" / "reviews.csv", reviews.make_rows(240))
    save_bert(root / "models" / "tiny-bert")


def _open_files(server: RunningServer) -> int:
    assert server.process is not None
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
