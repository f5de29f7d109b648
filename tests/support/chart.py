"""The Helm chart as `helm` renders it, with every helm that is at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "headstart"
SITUATIONS = sorted([*CHART.glob("ci/*.yaml"), *CHART.glob("examples/*.yaml")])
KUBERNETES = "1.35.0"
ANYBODY = ("--values", CHART / "ci" / "default-values.yaml")
"""Values with nothing in them but that everybody may call."""
Objects = list[dict[str, Any]]


def helms() -> list[str]:
    """Programs to render with: those that HEADSTART_HELMS names, or the one beside this Python, or on the path."""
    if named := os.environ.get("HEADSTART_HELMS"):
        return named.split(os.pathsep)
    beside = Path(sys.executable).parent / "helm"
    found = str(beside) if beside.exists() else shutil.which("helm")
    return [found] if found else []


def helm(program: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs helm."""
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)


def rendered(program: str, *arguments: str | Path, chart: Path = CHART, release: str = "hs") -> Objects:
    """The objects of a release; fails the test with what helm says if there are none.

    Without a file of values everybody may call.
    """
    given = () if "--values" in arguments or chart != CHART else ANYBODY
    where = ("--namespace", "ml", "--kube-version", KUBERNETES)
    done = helm(program, "template", release, chart, *where, *given, *arguments)
    assert done.returncode == 0, done.stderr
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def refused(program: str, *arguments: str) -> str:
    """What helm says of values that do not fit."""
    done = helm(program, "template", "hs", CHART, "--kube-version", KUBERNETES, *arguments)
    assert done.returncode != 0, "it was accepted"
    return done.stderr


def of_kind(objects: Objects, kind: str) -> dict[str, Any]:
    """The one object of a kind."""
    [found] = [item for item in objects if item["kind"] == kind]
    return found


def pods(objects: Objects) -> list[dict[str, Any]]:
    """The spec of every pod that the objects ask for."""
    found = []
    for item in objects:
        if item["kind"] == "Pod":
            found.append(item["spec"])
        elif item["kind"] == "StatefulSet":
            found.append(item["spec"]["template"]["spec"])
        elif item["kind"] == "RayCluster":
            groups = [item["spec"]["headGroupSpec"], *item["spec"]["workerGroupSpecs"]]
            found += [group["template"]["spec"] for group in groups]
    return found
