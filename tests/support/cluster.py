"""A Kubernetes cluster without nodes: etcd, kube-apiserver and kube-controller-manager as processes of this machine.

Objects are admitted, defaulted, stored and looked after as on any cluster; pods are made, and stay without a node.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from tests.support.kubernetes_api import KubernetesApi

_SECONDS = 300.0
_LEVELS = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn", "audit")}
_BROUGHT_BY_USERS: list[dict[str, Any]] = [
    {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000},
    {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}, "handler": "nvidia"},
]
"""What values files of the chart name, and what admission looks for."""


class Cluster:
    """A cluster that runs: its API, and the kubeconfig of its administrator."""

    def __init__(self, api: KubernetesApi, kubeconfig: Path) -> None:
        self.api, self.kubeconfig = api, kubeconfig
        self._numbers = count(1)

    def namespace(self) -> str:
        """A new namespace at the `restricted` level of pod security, with its default service account."""
        name = f"restricted-{next(self._numbers)}"
        metadata = {"name": name, "labels": _LEVELS}
        answer = self.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        assert answer.status == 201, answer.message
        has_account = {("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt")}
        eventually("the default service account", lambda: has_account <= self.api.names(name))
        return name

    def helm(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Runs helm against the cluster."""
        return subprocess.run(
            [program, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )

    def install_definitions(self, paths: list[Path]) -> None:
        """Installs custom resource definitions, and waits until their kinds are served."""
        for path in paths:
            for definition in yaml.safe_load_all(path.read_text("utf-8")):
                answer = self.api.create(definition)
                assert answer.status == 201, answer.message
                eventually("the definition", partial(self._is_established, definition))

    def _is_established(self, definition: dict[str, Any]) -> bool:
        name = definition["metadata"]["name"]
        found = self.api.get(definition["apiVersion"], definition["kind"], "", name)
        conditions = found.get("status", {}).get("conditions") or ()
        return any(item["type"] == "Established" and item["status"] == "True" for item in conditions)


def eventually(what: str, happens: Callable[[], bool]) -> None:
    """Waits for what controllers do in their own time."""
    deadline = time.monotonic() + _SECONDS
    while not happens():
        assert time.monotonic() < deadline, f"{what} did not come"
        time.sleep(0.2)


@contextmanager
def running_cluster(tools: str, folder: Path, definitions: list[Path]) -> Iterator[Cluster]:
    """A cluster of the programs in `tools` (as PATH has it), with its files in `folder`, until the context ends."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *flags: str) -> None:
        found = shutil.which(name, path=tools)
        assert found, f"{name} is not in {tools}"
        with (folder / f"{name}.log").open("wb") as log:
            processes.append(subprocess.Popen([found, *flags], stdout=log, stderr=log, cwd=folder))

    try:
        etcd = f"http://127.0.0.1:{_free_port()}"
        start("etcd", *_etcd_flags(etcd, f"http://127.0.0.1:{_free_port()}"))
        port, token = _free_port(), secrets.token_hex(16)
        _write_credentials(folder, token)
        start("kube-apiserver", *_api_flags(etcd, port))
        api = KubernetesApi(f"https://127.0.0.1:{port}", token, folder / "apiserver.crt")
        kubeconfig = _write_kubeconfig(folder, api)
        eventually("the API server", lambda: _is_ready(api, processes, folder))
        start("kube-controller-manager", *_controller_flags(kubeconfig))
        cluster = Cluster(api, kubeconfig)
        cluster.install_definitions(definitions)
        for item in _BROUGHT_BY_USERS:
            assert api.create(item).status == 201
        yield cluster
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(60)


def _etcd_flags(clients: str, peers: str) -> list[str]:
    return [
        *("--data-dir=etcd", "--unsafe-no-fsync", "--log-level=error"),
        *(f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}"),
        *(
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
        ),
    ]


def _api_flags(etcd: str, port: int) -> list[str]:
    """With the admission plugins that are on by default."""
    return [
        *(f"--etcd-servers={etcd}", f"--secure-port={port}", "--bind-address=127.0.0.1", "--cert-dir=."),
        *("--authorization-mode=RBAC", "--token-auth-file=tokens.csv", "--service-cluster-ip-range=10.96.0.0/16"),
        *("--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=accounts.pem"),
        "--service-account-signing-key-file=accounts.pem",
    ]


def _controller_flags(kubeconfig: Path) -> list[str]:
    return [
        *(f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0"),
        *("--service-account-private-key-file=accounts.pem", "--root-ca-file=apiserver.crt"),
    ]


def _write_credentials(folder: Path, token: str) -> None:
    (folder / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    key = ["openssl", "genrsa", "-out", str(folder / "accounts.pem"), "2048"]
    subprocess.run(key, check=True, capture_output=True)


def _write_kubeconfig(folder: Path, api: KubernetesApi) -> Path:
    cluster = {"server": api.url, "certificate-authority": str(api.authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": api.token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
        "current-context": "here",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def _is_ready(api: KubernetesApi, processes: list[subprocess.Popen[bytes]], folder: Path) -> bool:
    ended = [str(process.args) for process in processes if process.poll() is not None]
    logs = "\n".join(path.read_text(errors="replace")[-4000:] for path in folder.glob("*.log"))
    assert not ended, f"{ended} ended:\n{logs}"
    if not api.authority.exists():
        return False
    try:
        return api.call("GET", "/readyz").status == 200
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
