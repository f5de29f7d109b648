"""The protos generate stubs in other languages, which compile; so does code that uses what is most unlike there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.languages.toolchains import (
    BUILD,
    HERE,
    PROTOS,
    contract_files,
    generated,
    go_program,
    installed,
    java_program,
    needs,
    ran,
)

GOOGLE = ["google/rpc/error_details.proto", "google/rpc/status.proto"]
"""Generators of TypeScript find it nowhere else."""


def test_go() -> None:
    assert Path(go_program()[0]).is_file()


def test_java() -> None:
    assert java_program()


def test_rust(tmp_path: Path) -> None:
    needs("cargo")
    protoc = tmp_path / "protoc"
    protoc.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m grpc_tools.protoc "$@"\n')
    protoc.chmod(0o755)
    environment = {"PROTOC": str(protoc), "CARGO_TARGET_DIR": str(BUILD / "rust")}
    ran(["cargo", "check", "--quiet"], HERE / "rust", environment=environment)


@pytest.fixture(scope="module")
def typescript() -> Path:
    """The folder of programs in TypeScript, beside what they use of the contract."""
    folder = installed(HERE / "typescript")
    shutil.rmtree(folder / "generated", ignore_errors=True)
    for name, plugin, options in (
        ("connect", "es", "target=ts,import_extension=js"),
        ("ts-proto", "ts_proto", "outputServices=grpc-js,esModuleInterop=true,importSuffix=.js,forceLong=bigint"),
    ):
        output = folder / "generated" / name
        output.mkdir(parents=True)
        program = folder / "node_modules" / ".bin" / f"protoc-gen-{plugin}"
        flags = (f"--plugin={program}", f"--{plugin}_out={output}", f"--{plugin}_opt={options}")
        generated(*flags, files=[*contract_files(), *GOOGLE], folder=PROTOS)
    return folder


def test_typescript_by_connect_and_by_ts_proto(typescript: Path) -> None:
    assert (typescript / "generated" / "connect" / "headstart" / "v1" / "training_pb.ts").is_file()
    assert (typescript / "generated" / "ts-proto" / "headstart" / "v1" / "training.ts").is_file()
    ran([str(typescript / "node_modules" / ".bin" / "tsc"), "--project", "."], typescript)
