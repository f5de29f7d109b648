"""A real PostgreSQL for tests: one cluster per process, one database per test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from uuid import uuid4

import psycopg

_SECONDS, _ATTEMPTS = 60, 3


def postgres_binaries() -> Path | None:
    """The folder of initdb and pg_ctl; None where PostgreSQL is not installed."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class PostgresCluster:
    """A server on loopback, started in a folder of its own. It forgets nothing but at a power failure."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._root = Path(tempfile.mkdtemp(prefix="headstart-postgres-"))
        self._data = self._root / "data"
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._root, "postgres", "postgres")
        self._run("initdb", "-D", str(self._data), "-U", "headstart", "-A", "trust", "--no-sync", "-E", "UTF8")
        for attempt in range(_ATTEMPTS):
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = int(free.getsockname()[1])
            try:
                self.start()
            except RuntimeError:  # somebody else may have taken the port
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                break

    def start(self) -> None:
        """Starts the server, and returns when it answers."""
        options = f"-p {self.port} -k {self._root} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300"
        log = str(self._root / "log")
        self._run("pg_ctl", "-D", str(self._data), "-l", log, "-o", options, "-w", "-t", str(_SECONDS), "start")

    def stop(self) -> None:
        """Ends the server and every connection."""
        self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop")

    def remove(self) -> None:
        """Stops the server, and deletes all it has."""
        self.stop()
        shutil.rmtree(self._root, ignore_errors=True)

    def database(self) -> str:
        """The SQLAlchemy URL of a new, empty database."""
        name = f"test_{uuid4().hex}"
        with psycopg.connect(f"postgresql://headstart@127.0.0.1:{self.port}/postgres", autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return f"postgresql+psycopg://headstart@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._binaries / program), *arguments]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--", *command]
        # what pg_ctl leaves running must not hold a pipe of ours open
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=self._root, check=False)
            if done.returncode:
                output.seek(0)
                raise RuntimeError(f"{program} failed: {output.read().decode()[-2_000:]}")
