"""The Open Inference Protocol's messages: those of the proto, apart from everybody else's, and alike on the wire."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from grpc_tools import protoc
from headstart_server.rpc.inference import grpc_service_pb2 as pb

from tests.contract.inference import FOLDER, PROTO, PROTOS, generated

ABSENT = "tritonclient is not installed (python -m pip install 'tritonclient[grpc]')"
IMPLEMENTATIONS = pytest.mark.parametrize("implementation", ["upb", "python"])


def test_committed_modules_equal_fresh_ones() -> None:
    for name, text in generated().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, "run: make protos"


def _imported(first: str, second: str, implementation: str, path: Path | None = None) -> str:
    """The end of what a process says that imports both."""
    program = f"import sys; sys.path += {[str(path)] if path else []!r}; import {first}; import {second}; print('both')"
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    return (run.stdout or run.stderr).strip().splitlines()[-1]


OURS = "headstart_server.rpc.inference.grpc_service_pb2"


@IMPLEMENTATIONS
def test_a_process_may_also_import_the_same_names_of_another(tmp_path: Path, implementation: str) -> None:
    (tmp_path / "others.proto").write_text((PROTOS / PROTO).read_text())
    (tmp_path / "again.proto").write_text((PROTOS / PROTO).read_text())
    for name in ("others.proto", "again.proto"):
        assert protoc.main(["protoc", f"-I{tmp_path}", f"--python_out={tmp_path}", name]) == 0
    assert _imported(OURS, "others_pb2", implementation, tmp_path) == "both"
    assert _imported("others_pb2", OURS, implementation, tmp_path) == "both"
    # two of others are what a process cannot have
    assert _imported("others_pb2", "again_pb2", implementation, tmp_path).startswith("TypeError")


@IMPLEMENTATIONS
def test_a_process_may_also_import_tritons_client(implementation: str) -> None:
    pytest.importorskip("tritonclient.grpc", reason=ABSENT)
    assert _imported(OURS, "tritonclient.grpc", implementation) == "both"
    assert _imported("tritonclient.grpc", OURS, implementation) == "both"


def _messages(messages: Iterator[Descriptor]) -> Iterator[Descriptor]:
    for message in messages:
        yield message
        yield from _messages(iter(message.nested_types))


def _fields(message: Descriptor) -> dict[str, tuple[Any, ...]]:
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type and field.message_type.full_name,
            field.enum_type and field.enum_type.full_name,
        )
        for field in message.fields
    }


def test_every_field_is_where_tritons_client_has_it() -> None:
    theirs = pytest.importorskip("tritonclient.grpc", reason=ABSENT).service_pb2.DESCRIPTOR.pool
    for message in _messages(iter(pb.DESCRIPTOR.message_types_by_name.values())):
        known = _fields(theirs.FindMessageTypeByName(message.full_name))
        own = _fields(message)
        assert own == {name: known.get(name) for name in own}, message.full_name
    enum = pb.DESCRIPTOR.enum_types_by_name["DataType"]
    numbers = {value.name: value.number for value in enum.values}
    assert numbers == {value.name: value.number for value in theirs.FindEnumTypeByName(enum.full_name).values}


def test_every_method_is_one_of_tritons_client() -> None:
    theirs = pytest.importorskip("tritonclient.grpc", reason=ABSENT).service_pb2.DESCRIPTOR
    known = theirs.services_by_name["GRPCInferenceService"].methods_by_name
    for method in pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods:
        other = known[method.name]
        kinds = (method.client_streaming, method.server_streaming)
        types = (method.input_type.full_name, method.output_type.full_name)
        assert (*kinds, *types) == (
            other.client_streaming,
            other.server_streaming,
            other.input_type.full_name,
            other.output_type.full_name,
        )
