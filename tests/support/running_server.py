"""A real server in a process of its own, as its users start it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import headstart

_START_SECONDS = 120.0


class RunningServer:
    """Starts `headstart serve` on a free port over a state directory. Use as a context.

    No worker is kept warm unless the flags say so: most servers of the tests run no job, or one.
    """

    module = "headstart_server.app"

    def __init__(
        self, state: Path, *flags: str, http: bool = False, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.state, self._flags, self._http, self._environment = state, flags, http, environment
        self.port = self.http_port = 0
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> RunningServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"localhost:{self.port}"

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.state / "server.log").read_text()

    def client(self) -> headstart.Client:
        """A client of it, that has reached it: from then on it rides out what a busy machine does to connections."""
        client, deadline = headstart.Client(self.address), time.monotonic() + _START_SECONDS
        while True:
            try:
                client.server_info()
            except headstart.Unavailable:
                if time.monotonic() > deadline:
                    raise
                continue
            except headstart.HeadstartError:  # an answer, too, where it asks who is there
                pass
            return client

    @property
    def url(self) -> str:
        """Where its page is."""
        return f"http://localhost:{self.http_port}"

    def start(self, port: int = 0) -> None:
        """Starts it, on any port unless one is given, and waits until it listens."""
        self.state.mkdir(parents=True, exist_ok=True)
        port_file, http_port_file = self.state / "port", self.state / "http_port"
        port_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", self.module, "--state-dir", str(self.state), "--port", str(port)]
        command += ["--warm-workers", "0"]
        command += ["--http-port", "0", "--http-port-file", str(http_port_file)] if self._http else ["--no-http"]
        with (self.state / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port-file", str(port_file), *self._flags],
                stderr=log,
                env={**os.environ, "HF_HUB_OFFLINE": "1", **self._environment},
            )
        deadline = time.monotonic() + _START_SECONDS
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{self.log}")
            time.sleep(0.05)
        self.port = int(port_file.read_text())
        self.http_port = int(http_port_file.read_text()) if self._http else 0

    def stop(self) -> int:
        """Asks it to stop as an orchestrator would; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
