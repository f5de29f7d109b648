"""A server that cannot start says so in one line that names the setting, and exits with 2."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import dataclass

import pytest

from tests.support.certificates import Authority, Pair, server_pair

_PROGRAM = """
import contextlib, io, json, sys
from headstart_server.app import main
for arguments in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = main(arguments)
    print(json.dumps([code, said.getvalue()]), flush=True)
print(json.dumps(list(sys.modules)))
"""
SAID = {
    "busy port": r"cannot listen on 127.0.0.1 port",
    "busy HTTP port": "another --http-port",
    "no certificate": "--tls-certificate",
    "no pem": "--tls-certificate",
    "wrong token file": "line 1: has 3 fields; write NAME TENANT SCOPES CREDENTIAL",
    "no token file": "cannot be read: No such file or directory",
    "no keys": "give a JSON Web Key Set",
    "no client authority": "--tls-client-ca",
    "audit log": "audit_log '/proc/none/audit' cannot be written",
    "damaged database": "the job database cannot be used",
    "no database": "the job database cannot be used",
    "no data root": "data_root",
    "no model root": "model_root",
    "state directory": "/proc/none cannot be written",
    "port file": "/proc/none cannot be written",
    "storage": "headstart.json in the shared storage",
}


@dataclass(frozen=True)
class Starts:
    """All in one process."""

    said: dict[str, tuple[int, str]]
    """(exit code, what was said) of each."""
    imported: set[str]
    """Modules that the process has imported at its end."""


@pytest.fixture(scope="module")
def starts(tmp_path_factory: pytest.TempPathFactory) -> Starts:
    root = tmp_path_factory.mktemp("starts")
    (root / "damaged").mkdir()
    (root / "damaged" / "headstart.sqlite").write_bytes(b"no database at all, though long enough to be one " * 40)
    (root / "key.pem").write_text("no PEM")
    (root / "tokens").write_text("three fields alone\n")
    pair = Pair.written(root, "server", server_pair(Authority.named("ours")))
    issuer = ["--oidc-issuer", "https://issuer.example", "--oidc-audience", "headstart"]
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        flags = {
            "busy port": ["--host", "127.0.0.1", "--port", port],
            "busy HTTP port": ["--host", "127.0.0.1", "--http-port", port],
            "no certificate": ["--tls-certificate", str(root / "none.pem"), "--tls-key", str(root / "none.pem")],
            "no pem": ["--tls-certificate", str(root / "key.pem"), "--tls-key", str(root / "key.pem")],
            "wrong token file": ["--token-file", str(root / "tokens")],
            "no token file": ["--token-file", str(root / "none")],
            "no keys": [*issuer, "--oidc-jwks", str(root / "key.pem")],
            "no client authority": [*pair.flags, "--tls-client-ca", str(root / "key.pem")],
            "audit log": ["--audit-log", "/proc/none/audit"],
            "damaged database": ["--state-dir", str(root / "damaged")],
            "no database": ["--database-url", "sqlite:////proc/none/jobs.sqlite"],
            "no data root": ["--data-root", str(root / "none")],
            "no model root": ["--model-root", str(root / "none")],
            "state directory": ["--state-dir", "/proc/none"],
            "port file": ["--port-file", "/proc/none/port"],
            "storage": ["--storage-url", "/proc"],
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
    *said, imported = map(json.loads, found.stdout.splitlines())
    return Starts(dict(zip(SAID, map(tuple, said), strict=True)), set(imported))


@pytest.mark.parametrize("name", SAID)
def test_a_start_that_cannot_be_is_one_line_and_code_2(name: str, starts: Starts) -> None:
    code, said = starts.said[name]
    assert code == 2
    assert said.startswith("headstart serve: ") and said.count("\n") == 1
    assert SAID[name] in said


def test_a_server_imports_nothing_that_exports(starts: Starts) -> None:
    modules = {f"headstart_server.export.{name}" for name in ("exporter", "onnx", "torchscript")}
    assert "headstart_server.composition" in starts.imported
    assert not starts.imported & {"onnxscript", "onnxruntime", *modules}
