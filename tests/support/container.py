"""A rendered pod's container run without a container engine, in namespaces and a root of its own.

What the pod asks for is done as a kubelet and a runtime do it: the image's entry point with the container's arguments
is process 1 of its PID namespace, as the pod's user, without capabilities, in a read-only root, with the pod's volumes
alone to write to, and with a network of its own. Its files are this machine's. Needs root, overlayfs and util-linux.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.chart import ROOT

_PROGRAMS = ("unshare", "nsenter", "setpriv", "chroot", "ip")
_NAMESPACES = ("--mount", "--pid", "--fork", "--kill-child", "--net", "--ipc", "--uts")
_BEGIN = """\
set -e
mount --make-rprivate /
ip link set lo up 2>/dev/null || true
mount -t tmpfs layer {layer}
mkdir {layer}/upper {layer}/work {root}
mount -t overlay overlay -o lowerdir=/,upperdir={layer}/upper,workdir={layer}/work {root}
mount -t proc proc {root}/proc
mount --rbind /sys {root}/sys
mount --rbind /dev {root}/dev
printf '127.0.0.1 localhost %s\\n' {hosts} > {root}/etc/hosts
"""


def impossible() -> str:
    """Why containers cannot be run here; empty where they can."""
    if os.geteuid() != 0:
        return "other users, mounts and namespaces need root"
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        return f"{', '.join(missing)} not found: install util-linux, coreutils and iproute2"
    with tempfile.TemporaryDirectory() as layer:
        script = _BEGIN.format(layer=layer, root=f"{layer}/root", hosts="probe")
        found = subprocess.run(
            ["unshare", *_NAMESPACES, "sh", "-c", script], capture_output=True, text=True, check=False
        )
    return f"no namespaces and overlays here: {found.stderr.strip()}" if found.returncode else ""


@dataclass(frozen=True)
class Image:
    """What the Dockerfile says of every image: its entry point and environment."""

    entrypoint: list[str]
    environment: dict[str, str]

    @classmethod
    def of_dockerfile(cls) -> Image:
        """Where the image has its packages, this interpreter's are found."""
        text = (ROOT / "Dockerfile").read_text("utf-8").partition(" AS runtime\n")[2].partition("\nFROM ")[0]
        [entrypoint] = re.findall(r"^ENTRYPOINT \[(.*)\]$", text, re.MULTILINE)
        [pairs] = re.findall(r"^ENV ((?:.*\\\n)*.*)$", text, re.MULTILINE)
        environment = dict(pair.split("=", 1) for pair in shlex.split(pairs.replace("\\\n", " ")))
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment["PYTHONPATH"] = f"{ROOT / 'client'}:{ROOT / 'server'}"
        return cls([word.strip(' "') for word in entrypoint.split(",")], environment)


@dataclass
class Container:
    """One container of a pod; `volumes` are folders by the names of the pod's volumes, others are new and empty."""

    pod: dict[str, Any]
    container: dict[str, Any]
    environment: dict[str, str]
    folder: Path
    volumes: dict[str, Path] = field(default_factory=dict)
    hosts: str = "pod"
    network_of: int | None = None
    """PID of a process whose network it shares; None: it has its own."""
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Its process 1, as this machine numbers it."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        deadline = time.monotonic() + 60
        while not (found := children.read_text().split()):
            assert time.monotonic() < deadline and self.process.poll() is None, self.log
            time.sleep(0.05)
        return int(found[0])

    def start(self) -> None:
        """Starts the entry point with the container's arguments."""
        self.folder.mkdir(parents=True, exist_ok=True)
        network: tuple[str, ...] = _NAMESPACES
        before: list[str] = []
        if self.network_of is not None:
            network = tuple(name for name in _NAMESPACES if name != "--net")
            before = ["nsenter", f"--net=/proc/{self.network_of}/ns/net"]
        image = Image.of_dockerfile()
        command = [*self.container.get("command", image.entrypoint), *self.container.get("args", ())]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*before, "unshare", *network, "sh", "-c", self._script(command)], stdout=log, stderr=log, cwd="/"
            )

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Runs a command inside, as an `exec` handler does."""
        inside = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--ipc", "--uts", "--root", "--wd"]
        return subprocess.run([*inside, *self._as_user(command)], capture_output=True, text=True, check=False)

    def delete(self) -> int:
        """The end of a pod: preStop, SIGTERM, and SIGKILL once its grace is over; returns the exit code, or -9."""
        assert self.process is not None
        grace = time.monotonic() + self.pod["terminationGracePeriodSeconds"]
        if handler := self.container.get("lifecycle", {}).get("preStop"):
            done = self.run(handler["exec"]["command"])
            assert done.returncode == 0, done.stderr
        os.kill(self.pid, signal.SIGTERM)
        try:
            return self.process.wait(max(0.0, grace - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def kill(self) -> None:
        """Ends every process of it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def _script(self, command: list[str]) -> str:
        layer = self.folder / "layer"
        layer.mkdir(exist_ok=True)
        root = layer / "root"
        lines = [_BEGIN.format(layer=layer, root=root, hosts=shlex.quote(self.hosts))]
        lines += [f"chmod o+x {shlex.quote(f'{root}{path}')}" for path in Path(sys.base_prefix).parents]
        lines += [line for mount in self.container.get("volumeMounts", ()) for line in self._mount(mount, root)]
        if self.container["securityContext"].get("readOnlyRootFilesystem"):
            lines.append(f"mount -o remount,ro {root}")
        entry = f"cd / && exec {shlex.join(self._as_user(command))}"
        return "\n".join([*lines, f"exec chroot {root} sh -c {shlex.quote(entry)}"])

    def _mount(self, mount: dict[str, Any], root: Path) -> Iterator[str]:
        """Volumes belong to the pod's group, as a kubelet hands them over."""
        name, place = mount["name"], shlex.quote(f"{root}{mount['mountPath']}")
        [volume] = [item for item in self.pod["volumes"] if item["name"] == name] or [{}]
        empty = volume.get("emptyDir", {})
        yield f"mkdir -p {place}"
        if name not in self.volumes and empty.get("medium") == "Memory":
            size = empty["sizeLimit"].removesuffix("i")
            yield f"mount -t tmpfs -o size={size},mode=2777,gid={self.pod['securityContext']['fsGroup']} {name} {place}"
            return
        folder = self.volumes.setdefault(name, self.folder / "volumes" / name)
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder, *folder.iterdir()):
            os.chown(path, -1, self.pod["securityContext"]["fsGroup"])
        folder.chmod(0o2777 if "emptyDir" in volume else 0o2775)
        yield f"mount --bind {folder} {place}"
        if mount.get("readOnly"):
            yield f"mount -o remount,ro,bind {place}"

    def _as_user(self, command: list[str]) -> list[str]:
        context = self.pod["securityContext"] | self.container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        user, group = context["runAsUser"], context["runAsGroup"]
        who = [f"--reuid={user}", f"--regid={group}", f"--groups={context['fsGroup']}"]
        none = ["--bounding-set=-all", "--inh-caps=-all"]
        if context["allowPrivilegeEscalation"] is False:
            none.append("--no-new-privs")
        environment = Image.of_dockerfile().environment | self.environment
        values = [f"{name}={value}" for name, value in environment.items()]
        return ["setpriv", *who, *none, "env", "--ignore-environment", *values, *command]


@contextmanager
def running(container: Container) -> Iterator[Container]:
    """Starts a container, and leaves nothing of it."""
    container.start()
    try:
        yield container
    finally:
        container.kill()
