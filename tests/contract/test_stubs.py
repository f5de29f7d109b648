"""The committed stubs are what the protos generate, and the server serves what the protos promise."""

from __future__ import annotations

import importlib
import inspect
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from grpc_tools import protoc
from headstart_server.rpc.inference import grpc_service_pb2
from headstart_server.rpc.inference.servicer import InferenceServicer

ROOT = Path(__file__).parents[2]
PROTOS = ROOT / "protos"
STUBS = ROOT / "client" / "headstart" / "v1"
NAMES = sorted(path.stem for path in (PROTOS / "headstart" / "v1").glob("*.proto"))


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stubs generated now."""
    folder = tmp_path_factory.mktemp("stubs")
    wellknown = files("grpc_tools") / "_proto"
    arguments = [
        f"-I{PROTOS}",
        f"-I{wellknown}",
        *(f"--{kind}_out={folder}" for kind in ("python", "pyi", "grpc_python")),
    ]
    assert protoc.main(["protoc", *arguments, *(f"headstart/v1/{name}.proto" for name in NAMES)]) == 0
    return folder / "headstart" / "v1"


def test_there_are_protos() -> None:
    assert "training" in NAMES and "spec" in NAMES


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ending", ["_pb2.py", "_pb2.pyi", "_pb2_grpc.py"])
def test_committed_stubs_equal_fresh_ones(fresh: Path, name: str, ending: str) -> None:
    generated = fresh / f"{name}{ending}"
    if not generated.exists():
        assert not (STUBS / generated.name).exists()
        return
    assert (STUBS / generated.name).read_text() == generated.read_text()


def test_no_stub_is_left_of_a_proto_that_went() -> None:
    kept = {path.name.split("_pb2")[0] for path in STUBS.glob("*_pb2*")}
    assert kept == set(NAMES)


def _services() -> dict[str, ServiceDescriptor]:
    found = {}
    for name in NAMES:
        module = importlib.import_module(f"headstart.v1.{name}_pb2")
        found.update(module.DESCRIPTOR.services_by_name)
    found.update(grpc_service_pb2.DESCRIPTOR.services_by_name)
    return found


def _servicers() -> dict[str, type]:
    """The server's servicer of each service, by the service's name."""
    found: dict[str, type] = {"GRPCInferenceService": InferenceServicer}
    for path in (ROOT / "server" / "headstart_server" / "rpc").glob("*.py"):
        module = importlib.import_module(f"headstart_server.rpc.{path.stem}")
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__:
                for base in kind.__bases__:
                    if base.__name__.endswith("Servicer") and base.__module__.startswith("headstart.v1."):
                        found[base.__name__.removesuffix("Servicer")] = kind
    return found


def test_every_service_has_a_servicer_and_is_registered() -> None:
    from headstart_server.rpc.server import SERVICE_NAMES

    assert set(_services()) == set(_servicers()) == set(SERVICE_NAMES)


@pytest.mark.parametrize("service", sorted(_services()))
def test_every_rpc_has_a_method_of_its_own_and_of_its_kind(service: str) -> None:
    servicer = _servicers()[service]
    for method in _services()[service].methods:
        own = servicer.__dict__.get(method.name)
        assert own is not None, f"{service}.{method.name} falls through to the generated base"
        assert inspect.isasyncgenfunction(own) == method.server_streaming, method.name
        assert inspect.isasyncgenfunction(own) or inspect.iscoroutinefunction(own), method.name
