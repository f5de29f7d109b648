"""A server that cannot start says so in one line that names the setting, and exits with 2."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

_PROGRAM = """
import contextlib, io, json, sys
from headstart_server.app import main
for arguments in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(arguments)
    print(json.dumps([code, said.getvalue()]), flush=True)
"""
SAID = {
    "busy port": r"cannot listen on 127.0.0.1 port",
    "busy HTTP port": "another --http-port",
    "no certificate": "--tls-certificate",
    "no pem": "--tls-certificate",
    "damaged database": "the job database cannot be used",
    "no database": "the job database cannot be used",
    "no data root": "data_root",
    "no model root": "model_root",
    "state directory": "/proc/none cannot be written",
    "port file": "/proc/none cannot be written",
}


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, tuple[int, str]]]:
    """(exit code, what was said) of each start, all in one process."""
    root = tmp_path_factory.mktemp("starts")
    (root / "damaged").mkdir()
    (root / "damaged" / "headstart.sqlite").write_bytes(b"no database at all, though long enough to be one " * 40)
    (root / "key.pem").write_text("no PEM")
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        flags = {
            "busy port": ["--host", "127.0.0.1", "--port", port],
            "busy HTTP port": ["--host", "127.0.0.1", "--http-port", port],
            "no certificate": ["--tls-certificate", str(root / "none.pem"), "--tls-key", str(root / "none.pem")],
            "no pem": ["--tls-certificate", str(root / "key.pem"), "--tls-key", str(root / "key.pem")],
            "damaged database": ["--state-dir", str(root / "damaged")],
            "no database": ["--database-url", "sqlite:////proc/none/jobs.sqlite"],
            "no data root": ["--data-root", str(root / "none")],
            "no model root": ["--model-root", str(root / "none")],
            "state directory": ["--state-dir", "/proc/none"],
            "port file": ["--port-file", "/proc/none/port"],
        }
        usual = ["--state-dir", str(root / "state"), "--port", "0", "--http-port", "0", "--fast-precision", "fp32"]
        found = subprocess.run(
            [sys.executable, "-c", _PROGRAM],
            input=json.dumps([[*usual, *flags[name]] for name in SAID]),
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
        )
    yield dict(zip(SAID, map(tuple, map(json.loads, found.stdout.splitlines())), strict=True))


@pytest.mark.parametrize("name", SAID)
def test_a_start_that_cannot_be_is_one_line_and_code_2(name: str, starts: dict[str, tuple[int, str]]) -> None:
    code, said = starts[name]
    assert code == 2
    assert said.startswith("headstart serve: ") and said.count("\n") == 1
    assert SAID[name] in said
