"""Builds what is written in other languages, with the toolchains that this machine has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
PROTOS = ROOT / "protos"
EXAMPLES = ROOT / "examples"
BUILD = ROOT / "build" / "languages"
_BUILD_SECONDS = 900.0


def needs(*programs: str) -> None:
    """Skips the test that asks where a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed")


def ran(
    command: list[str],
    folder: Path,
    seconds: float = _BUILD_SECONDS,
    environment: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def contract_files() -> list[str]:
    """The contract's own protos, as protoc is told of them."""
    return sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "headstart" / "v1").glob("*.proto"))


def generated(*arguments: str, files: list[str] | None = None, folder: Path = ROOT) -> None:
    """Has protoc generate."""
    ran([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}", *arguments, *(files or contract_files())], folder)


def go_tools() -> Path:
    """The folder of programs that `tools/go.mod` lists."""
    needs("go")
    folder = BUILD / "tools"
    ran(["go", "build", "-buildvcs=false", "-o", f"{folder}/", "tool"], HERE / "tools")
    return folder


def go_program() -> list[str]:
    """The example in Go."""
    tools, folder = go_tools(), EXAMPLES / "go"
    plugins = [f"--plugin={tools / name}" for name in ("protoc-gen-go", "protoc-gen-go-grpc")]
    outputs = [
        f"--{kind}_{what}" for kind in ("go", "go-grpc") for what in (f"out={folder}", "opt=module=headstart.dev")
    ]
    generated(*plugins, *outputs)
    ran(["go", "vet", "."], folder)
    ran(["go", "build", "-buildvcs=false", "-o", str(BUILD / "example-go"), "."], folder)
    return [str(BUILD / "example-go")]


def java_program() -> list[str]:
    """The example in Java."""
    needs("java", "mvn")
    folder = EXAMPLES / "java"
    ran(["mvn", "--quiet", "--batch-mode", "compile"], folder)
    target = folder / "target"
    return ["java", "-cp", f"{target / 'classes'}{os.pathsep}{target / 'libraries'}/*", "dev.headstart.examples.Main"]


def node_program() -> list[str]:
    """The example in Node."""
    folder = installed(EXAMPLES / "node")
    return ["node", str(folder / "main.js")]


def installed(folder: Path) -> Path:
    """A folder of Node whose packages are installed."""
    needs("node", "npm")
    ran(["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent"], folder)
    return folder


PROGRAMS: dict[str, Callable[[], list[str]]] = {"go": go_program, "java": java_program, "node": node_program}
