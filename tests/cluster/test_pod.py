"""The pod that the chart renders runs as its user, in its root, with its volumes, from the first probe to SIGTERM."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart import Objects, helms, of_kind, rendered
from tests.support.cluster import eventually
from tests.support.container import Container, impossible, running
from tests.support.probes import passes, succeeds

pytestmark = pytest.mark.skipif(bool(impossible()), reason=impossible() or "possible")

SERVICE = "hs-headstart.ml.svc"
TLS = ("--set", "tls.enabled=true,tls.existingSecret=certificate")
START = """
import headstart
size = {"name": "size", "type": "number"}
spec = {"input_features": [size], "output_features": [{"name": "price", "type": "number"}]}
spec["trainer"] = {"epochs": 10000, "early_stop": -1}
rows = {"size": list(range(2000)), "price": list(range(0, 4000, 2))}
with headstart.Client("localhost:50051") as client:
    print(client.train(spec, rows).name)
"""
"""Starts a job that lasts, and prints its name."""
FOLLOW = """
import sys, headstart
with headstart.Client("localhost:50051") as client:
    for event in client.watch(sys.argv[1]):
        if event.WhichOneof("event") == "epoch_finished" and sys.argv[2] == "EPOCH":
            break
        if event.warning.reason == sys.argv[2]:
            print(event.warning.message)
            break
"""
"""Waits until a job has finished an epoch (EPOCH) or said why it is not as usual, and prints what it said."""


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A secret of type kubernetes.io/tls, with the authority that clients trust, as a folder."""
    folder = tmp_path_factory.mktemp("certificate")
    make = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=headstart -addext subjectAltName=DNS:{SERVICE}"
    made = [*make.split(), "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(made, check=True, capture_output=True)
    (folder / "ca.crt").write_bytes((folder / "tls.crt").read_bytes())
    (folder / "tls.key").chmod(0o640)
    return folder


def _environment(container: dict[str, Any], objects: Objects) -> dict[str, str]:
    configs = {item["metadata"]["name"]: item["data"] for item in objects if item["kind"] == "ConfigMap"}
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        found |= configs[source["configMapRef"]["name"]]
    return found | {item["name"]: item["value"] for item in container["env"]}


def _server(objects: Objects, folder: Path, **volumes: Path) -> Container:
    pod = of_kind(objects, "StatefulSet")["spec"]["template"]["spec"]
    [container] = pod["containers"]
    return Container(pod, container, _environment(container, objects), folder, dict(volumes), hosts=SERVICE)


def _helm_test(objects: Objects, server: Container, folder: Path) -> Container:
    pod = of_kind(objects, "Pod")["spec"]
    [container] = pod["containers"]
    environment = _environment(container, objects)
    volumes = {name: path for name, path in server.volumes.items() if name == "tls"}
    return Container(pod, container, environment, folder, volumes, hosts=SERVICE, network_of=server.pid)


@pytest.mark.parametrize("values", [(), TLS], ids=["plain", "tls"])
def test_the_pod_starts_answers_and_stops(values: tuple[str, ...], certificate: Path, tmp_path: Path) -> None:
    objects = rendered(helms()[-1], *values)
    with running(_server(objects, tmp_path / "server", tls=certificate)) as server:
        assert passes(server, "startupProbe"), server.log
        assert passes(server, "readinessProbe") and passes(server, "livenessProbe"), server.log
        for path in ("/livez", "/readyz", "/metrics"):
            page = {"path": path, "port": "http", "scheme": "HTTPS" if values else "HTTP"}
            assert succeeds(server, {"httpGet": page, "timeoutSeconds": 30}), path
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{server.pid}/status").read_text().splitlines())
        assert status["Uid"].split() == status["Gid"].split() == ["10001"] * 4
        assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, 0, "1")
        assert status["NSpid"].split()[-1] == "1"
        with running(_helm_test(objects, server, tmp_path / "test")) as client:
            assert client.process is not None
            assert client.process.wait(120) == 0, client.log
        assert server.delete() == 0, server.log


def test_a_job_goes_on_in_the_pod_that_comes_after(tmp_path: Path) -> None:
    objects = rendered(helms()[-1], "--set", "preStopSeconds=0")
    state = tmp_path / "state"
    with running(_server(objects, tmp_path / "first", state=state)) as server:
        assert passes(server, "startupProbe"), server.log
        job = _inside(server, START).strip()
        _inside(server, FOLLOW, job, "EPOCH")
        eventually("a checkpoint", lambda: any(state.glob("jobs/*/checkpoints/**/progress.json")))
        assert server.delete() == 0, server.log
    with running(_server(objects, tmp_path / "second", state=state)) as server:
        assert passes(server, "startupProbe"), server.log
        assert "goes on after epoch" in _inside(server, FOLLOW, job, "RESUMED")
        assert server.delete() == 0, server.log


def test_a_volume_that_the_user_cannot_write_to_ends_the_server_in_one_line(tmp_path: Path) -> None:
    """And so shows that the root of these tests is read-only, and that their server is not root."""
    objects = rendered(helms()[-1])
    server = _server(objects, tmp_path / "server")
    [mount] = [item for item in server.container["volumeMounts"] if item["name"] == "state"]
    mount["readOnly"] = True
    with running(server):
        assert server.process is not None
        assert server.process.wait(120) == 2, server.log
    assert "/var/lib/headstart" in server.log.splitlines()[-1] and "Traceback" not in server.log


def _inside(container: Container, program: str, *arguments: str) -> str:
    done = container.run(["python", "-c", program, *arguments])
    assert done.returncode == 0, done.stderr
    return done.stdout
