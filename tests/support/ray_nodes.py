"""A Ray cluster of several nodes on this machine, each in a network namespace of its own, behind one bridge.

Needs root and iproute2. A node can be killed, or cut off: then its processes live, and nobody reaches them.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_BRIDGE, _NETWORK, _PORT = "hsbr0", "10.77.31", 6399
_START_SECONDS = 90.0
HOST = f"{_NETWORK}.1"
"""This machine, as the nodes see it."""
ENVIRONMENT = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_worker_niceness": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
}
"""A lost node is noticed within seconds, not within a minute; and nobody joins without the token."""


def possible() -> str:
    """Why there can be no namespaces here; empty where there can."""
    if shutil.which("ip") is None:
        return "iproute2 is not installed"
    name = f"hsprobe{os.getpid()}"
    found = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if found.returncode:
        return f"network namespaces are not permitted here: {found.stderr.strip()}"
    _ip("netns", "del", name)
    return ""


class Node:
    """One raylet in a namespace."""

    def __init__(self, number: int, cpus: int, root: Path) -> None:
        self.name, self.address = f"hsnode{number}", f"{_NETWORK}.{10 + number}"
        self._outside, self._cpus = f"hsveth{number}", cpus
        self.state = root / self.name
        self.is_cut_off = False
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Joins the cluster."""
        self._lay_cable()
        environment = {
            **os.environ,
            **ENVIRONMENT,
            "GLOO_SOCKET_IFNAME": "eth0",
            "HEADSTART_STATE_DIR": str(self.state),
        }
        command = ["ip", "netns", "exec", self.name, sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        flags = [f"--address={_NETWORK}.1:{_PORT}", f"--node-ip-address={self.address}", f"--num-cpus={self._cpus}"]
        with (self.state.with_suffix(".log")).open("wb") as log:
            self._process = subprocess.Popen([*command, *flags], env=environment, stdout=log, stderr=log)

    @property
    def pids(self) -> list[int]:
        """Every process in it."""
        found = subprocess.run(["ip", "netns", "pids", self.name], capture_output=True, text=True, check=False)
        return [int(line) for line in found.stdout.split()]

    @property
    def trains(self) -> bool:
        """Whether a worker of a training runs in it."""
        return any("RayTrainWorker" in _command(pid) for pid in self.pids)

    def kill(self) -> None:
        """Ends every process at once, as a power cut does."""
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def cut_off(self) -> None:
        """Pulls the cable."""
        _ip("link", "set", self._outside, "down")
        self.is_cut_off = True

    def remove(self) -> None:
        """Leaves nothing."""
        self.kill()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._take_cable()

    def _take_cable(self) -> None:
        _ip("netns", "del", self.name, may_fail=True)
        _ip("link", "del", self._outside, may_fail=True)

    def _lay_cable(self) -> None:
        if not self.pids:
            self._take_cable()  # of a run that was killed
        _ip("netns", "add", self.name)
        _ip("link", "add", self._outside, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self._outside, "master", _BRIDGE, "up")
        _ip("-n", self.name, "addr", "add", f"{self.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", self.name, "link", "set", device, "up")


class Nodes:
    """The nodes of one cluster; its head has no CPUs, so that nothing trains on it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.all: list[Node] = []
        self.address = f"{_NETWORK}.1:{_PORT}"

    def start_head(self) -> None:
        """Starts it on the bridge."""
        if not Path(f"/sys/class/net/{_BRIDGE}").exists():  # a run that was killed leaves it
            _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("addr", "replace", f"{_NETWORK}.1/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", f"--port={_PORT}", "--num-cpus=0"]
        flags = [
            f"--node-ip-address={_NETWORK}.1",
            "--include-dashboard=false",
            f"--temp-dir={self._root / 'ray'}",
        ]
        subprocess.run([*command, *flags], env={**os.environ, **ENVIRONMENT}, check=True, stdout=subprocess.DEVNULL)

    def add(self, count: int, cpus: int = 1) -> None:
        """Starts further nodes and waits until they have joined."""
        for _ in range(count):
            node = Node(len(self.all) + 1, cpus, self._root)
            self.all.append(node)
            node.start()
            self._await(node)  # two that start at once take the same names for their sockets

    def training(self) -> list[Node]:
        """Nodes on which a training runs."""
        return [node for node in self.all if node.trains]

    def stop(self) -> None:
        """Leaves nothing."""
        for node in self.all:
            node.remove()
        stop = [sys.executable, "-m", "ray.scripts.scripts", "stop", "--force"]
        subprocess.run(stop, capture_output=True, check=False)
        _ip("link", "del", _BRIDGE, may_fail=True)

    def _await(self, node: Node) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while "Ray runtime started" not in (log := node.state.with_suffix(".log").read_text(errors="replace")):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the node did not join:\n{log}")
            time.sleep(0.3)


@contextmanager
def ray_nodes(count: int) -> Iterator[Nodes]:
    """A cluster of a head and so many nodes of one CPU."""
    with tempfile.TemporaryDirectory(prefix="hsray-", ignore_cleanup_errors=True) as folder:
        nodes = Nodes(Path(folder))
        try:
            nodes.start_head()
            nodes.add(count)
            yield nodes
        finally:
            nodes.stop()


def _ip(*arguments: str, may_fail: bool = False) -> None:
    found = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if found.returncode and not may_fail:
        raise RuntimeError(f"ip {' '.join(arguments)}: {found.stderr.strip()}")


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
